# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Names of the weights of fairseq's data2vec 2.0 for images <-> ours."""

from collections.abc import Mapping

import torch

from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from .data2vec2_weights import BLOCK_NAMES, WeightNames, rename_pretraining, split_pretraining
from .problems import Problems
from .weight_names import NameRule, first_name, original_name, store_weight

_IMAGE = "modality_encoders.IMAGE"
_OUR_STUDENT = "data2vec2_vision."
_FINETUNED_STUDENT = "model."
_POSITIONS = f"{_IMAGE}.fixed_positional_encoder.positions"

_ENCODER_RULES = [
    NameRule(_POSITIONS, "local_encoder.position_embeddings"),
    NameRule(f"{_IMAGE}.local_encoder.proj.{{kind}}", "local_encoder.patch_embedding.{kind}"),
    NameRule(f"{_IMAGE}.extra_tokens", "context_encoder.extra_tokens"),
    NameRule(f"{_IMAGE}.context_encoder.norm.{{kind}}", "context_encoder.layer_norm.{kind}"),
    NameRule("norm.{kind}", "trunk.layer_norm.{kind}"),
    *(
        NameRule(f"{blocks}.{{layer}}.{original}.{{kind}}", f"{layers}.{{layer}}.{ours}.{{kind}}")
        for blocks, layers in (
            (f"{_IMAGE}.context_encoder.blocks", "context_encoder.layers"),
            ("blocks", "trunk.layers"),
        )
        for original, ours in BLOCK_NAMES.items()
    ),
]
_DECODER_RULES = [
    NameRule(f"{_IMAGE}.decoder.blocks.{{layer}}.0.{{kind}}", "decoder.layers.{layer}.conv.{kind}"),
    NameRule(f"{_IMAGE}.decoder.proj.{{kind}}", "decoder.projections.0.{kind}"),
]
_HEAD_RULES = [NameRule("fc_norm.{kind}", "layer_norm.{kind}"), NameRule("head.{kind}", "classifier.{kind}")]


def image_weight_name(name: str) -> str | None:
    """Our name, relative to the base model, of a student's or teacher's weight; `None` if it is not known."""
    return first_name(rule.to_ours(name) for rule in _ENCODER_RULES)


def image_decoder_weight_name(name: str) -> str | None:
    """Our name of a weight of the image decoder; `None` if it is not one."""
    return first_name(rule.to_ours(name) for rule in _DECODER_RULES)


def image_classifier_weight_name(name: str) -> str | None:
    """Our name of a weight of a fine-tuned model; `None` if it is not known."""
    if not name.startswith(_FINETUNED_STUDENT):
        return first_name(rule.to_ours(name) for rule in _HEAD_RULES)
    ours = image_weight_name(name.removeprefix(_FINETUNED_STUDENT))
    return None if ours is None else _OUR_STUDENT + ours


IMAGE_NAMES = WeightNames(_OUR_STUDENT, image_weight_name, image_decoder_weight_name)


def rename_image_pretraining(
    student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor] | None, scope: str, problems: Problems
) -> dict[str, torch.Tensor]:
    """Weights of [`~hf_ssl.Data2Vec2VisionForPreTraining`]; names that are not known go to `problems`."""
    if teacher is not None and scope == "encoder":
        # without a local encoder the original's teacher still has the fixed positions: ours uses the student's
        teacher = {name: tensor for name, tensor in teacher.items() if name != _POSITIONS}
    return rename_pretraining(student, teacher, scope, problems, IMAGE_NAMES)


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
    scope = config.teacher_scope
    student, teacher = split_pretraining(weights, _OUR_STUDENT, scope, _ENCODER_RULES, _DECODER_RULES)
    if scope == "encoder":
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
