# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Names of the weights of fairseq's data2vec for text <-> transformers' and those of our pre-training."""

from collections.abc import Mapping

import torch

from .problems import Problems
from .weight_names import NameRule, original_name, our_name, store_weight

_LAYER_NAMES = {
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.out_proj": "attention.output.dense",
    "self_attn_layer_norm": "attention.output.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "final_layer_norm": "output.LayerNorm",
}
_ENCODER_RULES = [
    NameRule("embed_tokens.weight", "embeddings.word_embeddings.weight"),
    NameRule("embed_positions.weight", "embeddings.position_embeddings.weight"),
    NameRule("layernorm_embedding.{kind}", "embeddings.LayerNorm.{kind}"),
    *(
        NameRule(f"layers.{{layer}}.{original}.{{kind}}", f"encoder.layer.{{layer}}.{ours}.{{kind}}")
        for original, ours in _LAYER_NAMES.items()
    ),
]
_HEAD_RULES = [NameRule("encoder.regression_head.{layer}.{kind}", "regression_head.{layer}.{kind}")]
_STUDENT = "encoder.sentence_encoder."
_OUR_STUDENT = "data2vec_text."
# A number that the original's encoder carries along.
_VERSION = "version"
# transformers' encoder has it, the original's has none: zeros change nothing.
_TYPES = "embeddings.token_type_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"
_PADDING = 1  # of whose position nobody reads the embedding


# from the original


def rename_text_pretraining(
    student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor] | None, problems: Problems
) -> dict[str, torch.Tensor]:
    """Weights of [`~hf_ssl.Data2VecTextForPreTraining`]; names that are not known go to `problems`."""
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in student.items():
        if name != _STUDENT + _VERSION:
            store_weight(weights, name, _our_name(name), tensor, problems)
    for name, tensor in (teacher or {}).items():
        if name != _VERSION:
            ours = our_name(name, _ENCODER_RULES)
            store_weight(weights, f"_ema.{name}", f"teacher.{ours}" if ours else None, tensor, problems)
    for prefix in (_OUR_STUDENT, "teacher."):
        words = weights.get(f"{prefix}embeddings.word_embeddings.weight")
        if words is not None and words.dim() == 2:
            weights[prefix + _TYPES] = torch.zeros(1, words.shape[1])
    return weights


def copy_text_student_to_teacher(weights: dict[str, torch.Tensor]) -> None:
    """Adds the teacher that the original would make of a student; copies, for memory cannot be shared when saved."""
    for name, tensor in list(weights.items()):
        if name.startswith(_OUR_STUDENT):
            weights["teacher." + name.removeprefix(_OUR_STUDENT)] = tensor.clone()


def _our_name(name: str) -> str | None:
    if not name.startswith(_STUDENT):
        return our_name(name, _HEAD_RULES)
    ours = our_name(name.removeprefix(_STUDENT), _ENCODER_RULES)
    return _OUR_STUDENT + ours if ours else None


# to the original


def original_data2vec_text_weights(
    weights: Mapping[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Student with regression head, and teacher, under the original's names. The embedding of the one type of tokens
    becomes a part of the positions'."""
    student = {_STUDENT + name: tensor for name, tensor in _original_encoder(weights, _OUR_STUDENT).items()}
    heads = [name for name in weights if not name.startswith((_OUR_STUDENT, "teacher."))]
    student |= {original_name(name, _HEAD_RULES): weights[name] for name in heads}
    return student, _original_encoder(weights, "teacher.")


def _original_encoder(weights: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    ours = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    ours.pop("num_updates", None)
    types = ours.pop(_TYPES)
    positions = ours[_POSITIONS] + types
    positions[_PADDING] = ours[_POSITIONS][_PADDING]
    ours[_POSITIONS] = positions
    renamed = {original_name(name, _ENCODER_RULES): tensor for name, tensor in ours.items()}
    return renamed | {_VERSION: torch.tensor([3.0])}
