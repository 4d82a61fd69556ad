# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Names of the weights of fairseq's data2vec 2.0 for images <-> ours."""

from collections.abc import Mapping

import torch

from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from .problems import Problems
from .trunk_weights import WeightNames, decoder_rules, rename_pretraining, split_pretraining, transformer_rules
from .weight_names import NameRule, original_name, our_name, store_weight

_IMAGE = "modality_encoders.IMAGE"
_OUR_STUDENT = "data2vec2_vision."
_FINETUNED_STUDENT = "model."
_POSITIONS = f"{_IMAGE}.fixed_positional_encoder.positions"

_ENCODER_RULES = [
    NameRule(_POSITIONS, "local_encoder.position_embeddings"),
    NameRule(f"{_IMAGE}.local_encoder.proj.{{kind}}", "local_encoder.patch_embedding.{kind}"),
    NameRule(f"{_IMAGE}.extra_tokens", "context_encoder.extra_tokens"),
    *transformer_rules(_IMAGE),
]
_HEAD_RULES = [NameRule("fc_norm.{kind}", "layer_norm.{kind}"), NameRule("head.{kind}", "classifier.{kind}")]
IMAGE_NAMES = WeightNames(_OUR_STUDENT, _ENCODER_RULES, decoder_rules(_IMAGE, num_projections=1))


def image_weight_name(name: str) -> str | None:
    """Our name, relative to the base model, of a student's or teacher's weight; `None` if it is not known."""
    return our_name(name, IMAGE_NAMES.encoder)


def image_decoder_weight_name(name: str) -> str | None:
    """Our name of a weight of the image decoder; `None` if it is not one."""
    return our_name(name, IMAGE_NAMES.decoder)


def image_classifier_weight_name(name: str) -> str | None:
    """Our name of a weight of a fine-tuned model; `None` if it is not known."""
    if not name.startswith(_FINETUNED_STUDENT):
        return our_name(name, _HEAD_RULES)
    ours = image_weight_name(name.removeprefix(_FINETUNED_STUDENT))
    return None if ours is None else _OUR_STUDENT + ours


def rename_image_pretraining(
    student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor] | None, scope: str, problems: Problems
) -> dict[str, torch.Tensor]:
    """Weights of [`~hf_ssl.Data2Vec2VisionForPreTraining`]; names that are not known go to `problems`."""
    if teacher is not None and scope == "encoder":
        # without a local encoder the original's teacher still has the fixed positions: ours uses the student's
        teacher = {name: tensor for name, tensor in teacher.items() if name != _POSITIONS}
    return rename_pretraining(IMAGE_NAMES, student, teacher, scope, problems)


def rename_image_classifier(model: Mapping[str, torch.Tensor], problems: Problems) -> dict[str, torch.Tensor]:
    """Weights of [`~hf_ssl.Data2Vec2VisionForImageClassification`]; names that are not known go to `problems`."""
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in model.items():
        store_weight(weights, name, image_classifier_weight_name(name), tensor, problems)
    return weights


def original_image_pretraining_weights(
    weights: Mapping[str, torch.Tensor], config: Data2Vec2VisionConfig
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Student with decoder, and teacher, under the original's names."""
    student, teacher = split_pretraining(IMAGE_NAMES, weights, config.teacher_scope)
    if config.teacher_scope == "encoder":
        teacher[_POSITIONS] = student[_POSITIONS]
    return student, teacher


def original_image_classifier_weights(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A fine-tuned model's weights under the original's names."""
    return {
        _FINETUNED_STUDENT + original_name(name.removeprefix(_OUR_STUDENT), _ENCODER_RULES)
        if name.startswith(_OUR_STUDENT)
        else original_name(name, _HEAD_RULES): tensor
        for name, tensor in weights.items()
    }
