# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Names of the weights of fairseq's data2vec 2.0 (`data2vec_multi`) that all modalities share <-> ours."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from .problems import Problems
from .weight_names import NameRule, original_name, our_name, store_weight

_BLOCK_NAMES = {
    "norm1": "attention_layer_norm",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.out_proj",
    "norm2": "mlp_layer_norm",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def transformer_rules(encoder: str) -> list[NameRule]:
    """Prenet, trunk and ALiBi of the modality whose weights are called `encoder` there."""
    return [
        NameRule(f"{encoder}.alibi_scale", "context_encoder.attention_bias.scale"),
        NameRule(f"{encoder}.context_encoder.norm.{{kind}}", "context_encoder.layer_norm.{kind}"),
        NameRule("norm.{kind}", "trunk.layer_norm.{kind}"),
        *(
            NameRule(f"{blocks}.{{layer}}.{original}.{{kind}}", f"{layers}.{{layer}}.{ours}.{{kind}}")
            for blocks, layers in (
                (f"{encoder}.context_encoder.blocks", "context_encoder.layers"),
                ("blocks", "trunk.layers"),
            )
            for original, ours in _BLOCK_NAMES.items()
        ),
    ]


def decoder_rules(encoder: str, num_projections: int | None = None) -> list[NameRule]:
    """The decoder of the modality whose weights are called `encoder` there; without `num_projections`, for the way to
    our names only, with one projection or with several, which alternate with activations and are numbered."""
    one = NameRule(f"{encoder}.decoder.proj.{{kind}}", "decoder.projections.0.{kind}")
    several = NameRule(f"{encoder}.decoder.proj.{{layer}}.{{kind}}", "decoder.projections.{layer}.{kind}", step=2)
    return [
        NameRule(f"{encoder}.decoder.blocks.{{layer}}.0.{{kind}}", "decoder.layers.{layer}.conv.{kind}"),
        *([one] if num_projections in (None, 1) else []),
        *([several] if num_projections != 1 else []),
    ]


class WeightNames(NamedTuple):
    """The names of a pre-trained model's weights.

    Attributes:
        student: What our names of the student begin with, such as `data2vec2_audio.`.
        encoder: Rules of student and teacher, ours relative to the base model.
        decoder: Rules of the decoder.
    """

    student: str
    encoder: Sequence[NameRule]
    decoder: Sequence[NameRule]


# from the original


def rename_pretraining(
    names: WeightNames,
    student: Mapping[str, torch.Tensor],
    teacher: Mapping[str, torch.Tensor] | None,
    scope: str,
    problems: Problems,
) -> dict[str, torch.Tensor]:
    """Weights of our pre-training class; names that are not known go to `problems`.

    Args:
        names: The modality's.
        student, teacher: The original's weights.
        scope: What the teacher averages, as in our configuration.
        problems: Takes what does not fit.
    """
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in student.items():
        ours = our_name(name, names.encoder)
        ours = names.student + ours if ours else our_name(name, names.decoder)
        store_weight(weights, name, ours, tensor, problems)
    for name, tensor in (teacher or {}).items():
        ours = our_name(f"blocks.{name}" if scope == "trunk" else name, names.encoder)
        store_weight(weights, f"_ema.{name}", f"teacher.{ours}" if ours else None, tensor, problems)
    if teacher is not None and scope == "trunk":
        # the original's teacher is the blocks alone; the norm behind them, if any, takes no part in the targets
        for name in [name for name in weights if name.startswith(f"{names.student}trunk.layer_norm.")]:
            weights[f"teacher.{name.removeprefix(names.student)}"] = weights[name].clone()
    return weights


# to the original


def split_pretraining(
    names: WeightNames, weights: Mapping[str, torch.Tensor], scope: str
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Student with decoder, and teacher, under the original's names."""
    student, teacher = {}, {}
    for name, tensor in weights.items():
        if name == "teacher.num_updates":
            continue
        if name.startswith("decoder."):
            student[original_name(name, names.decoder)] = tensor
        elif name.startswith(names.student):
            ours = name.removeprefix(names.student)
            student[original_name(ours, names.encoder)] = original_shape(ours, tensor)
        elif not (scope == "trunk" and "trunk.layer_norm" in name):
            ours = name.removeprefix("teacher.")
            original = original_name(ours, names.encoder)
            original = original.removeprefix("blocks.") if scope == "trunk" else original
            teacher[original] = original_shape(ours, tensor)
    return student, teacher


def original_shape(ours: str, tensor: torch.Tensor) -> torch.Tensor:
    """A weight in the shape that it has there."""
    if ours.endswith("attention_bias.scale"):
        return tensor.view(tensor.shape[0], 1, tensor.shape[1], 1, 1)
    return tensor
