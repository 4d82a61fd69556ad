# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Names of the weights of fairseq's data2vec 2.0 for text <-> ours."""

from collections.abc import Mapping

import torch

from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from .problems import Problems
from .trunk_weights import WeightNames, decoder_rules, original_shape, split_pretraining, transformer_rules
from .weight_names import NameRule, original_name, our_name, store_weight

_TEXT = "modality_encoders.TEXT"
_LOCAL = f"{_TEXT}.local_encoder"
_ENCODER_RULES = [
    NameRule(f"{_LOCAL}.embed_tokens.weight", "local_encoder.word_embeddings.weight"),
    NameRule(f"{_LOCAL}.embed_positions.weight", "local_encoder.position_embeddings.weight"),
    NameRule(f"{_LOCAL}.layernorm_embedding.{{kind}}", "local_encoder.layer_norm.{kind}"),
    *transformer_rules(_TEXT),
]
_FINETUNED_STUDENT = "model."
_OUR_STUDENT = "data2vec2_text."


def text_names(config: Data2Vec2TextConfig | None = None) -> WeightNames:
    """Names of a text model's weights; without its configuration, for the way to our names only."""
    num_projections = None if config is None else config.decoder_num_projections
    return WeightNames(_OUR_STUDENT, _ENCODER_RULES, decoder_rules(_TEXT, num_projections))


def _head_rules(head: str) -> list[NameRule]:
    return [
        NameRule(f"classification_heads.{head}.{layer}.{{kind}}", f"classifier.{layer}.{{kind}}")
        for layer in ("dense", "out_proj")
    ]


# from the original


def rename_text_classifier(
    model: Mapping[str, torch.Tensor], head: str, problems: Problems
) -> dict[str, torch.Tensor]:
    """Weights of [`~hf_ssl.Data2Vec2TextForSequenceClassification`]; names that are not known go to `problems`.

    Args:
        model: The original's weights.
        head: Name of the head among `classification_heads`.
        problems: Takes what does not fit.
    """
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in model.items():
        if name.startswith(_FINETUNED_STUDENT):
            ours = our_name(name.removeprefix(_FINETUNED_STUDENT), _ENCODER_RULES)
            ours = _OUR_STUDENT + ours if ours else None
        else:
            ours = our_name(name, _head_rules(head))
        store_weight(weights, name, ours, tensor, problems)
    return weights


# to the original


def original_text_pretraining_weights(
    weights: Mapping[str, torch.Tensor], config: Data2Vec2TextConfig
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Student with decoder, and teacher, under the original's names."""
    return split_pretraining(text_names(config), weights, config.teacher_scope)


def original_text_classifier_weights(weights: Mapping[str, torch.Tensor], head: str) -> dict[str, torch.Tensor]:
    """A fine-tuned model's weights under the original's names."""
    renamed = {}
    for name, tensor in weights.items():
        if name.startswith(_OUR_STUDENT):
            ours = name.removeprefix(_OUR_STUDENT)
            renamed[_FINETUNED_STUDENT + original_name(ours, _ENCODER_RULES)] = original_shape(ours, tensor)
        else:
            renamed[original_name(name, _head_rules(head))] = tensor
    return renamed
