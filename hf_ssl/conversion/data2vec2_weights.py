# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Names of the weights of fairseq's data2vec 2.0 for speech <-> ours."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from .problems import Problems
from .weight_names import NameRule, first_name, original_name, store_weight

_AUDIO = "modality_encoders.AUDIO"
_CONV = f"{_AUDIO}.local_encoder.conv_layers.{{layer}}"
_POSITIONS = f"{_AUDIO}.relative_positional_encoder"
BLOCK_NAMES = {
    "norm1": "attention_layer_norm",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.out_proj",
    "norm2": "mlp_layer_norm",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_ENCODER_RULES = [
    NameRule(f"{_AUDIO}.alibi_scale", "context_encoder.attention_bias.scale"),
    NameRule(f"{_CONV}.0.{{kind}}", "local_encoder.conv_layers.{layer}.conv.{kind}"),
    NameRule(f"{_CONV}.2.1.{{kind}}", "local_encoder.conv_layers.{layer}.layer_norm.{kind}"),
    NameRule(f"{_CONV}.2.{{kind}}", "local_encoder.conv_layers.{layer}.group_norm.{kind}"),
    NameRule(f"{_AUDIO}.project_features.1.{{kind}}", "local_encoder.layer_norm.{kind}"),
    NameRule(f"{_AUDIO}.project_features.2.{{kind}}", "local_encoder.projection.{kind}"),
    NameRule(f"{_AUDIO}.context_encoder.norm.{{kind}}", "context_encoder.layer_norm.{kind}"),
    NameRule("norm.{kind}", "trunk.layer_norm.{kind}"),
    *(
        NameRule(f"{blocks}.{{layer}}.{original}.{{kind}}", f"{layers}.{{layer}}.{ours}.{{kind}}")
        for blocks, layers in (
            (f"{_AUDIO}.context_encoder.blocks", "context_encoder.layers"),
            ("blocks", "trunk.layers"),
        )
        for original, ours in BLOCK_NAMES.items()
    ),
]
# The convolutional positions are numbered from 1, behind a transposition; with a leading layer norm they are nested.
_POSITION_RULES = [
    NameRule(
        f"{_POSITIONS}.{{layer}}.0.{{kind}}", "context_encoder.position_encoder.layers.{layer}.conv.{kind}", first=1
    )
]
_NESTED_POSITION_RULES = [
    NameRule(f"{_POSITIONS}.0.{{kind}}", "context_encoder.position_encoder.layer_norm.{kind}"),
    NameRule(
        f"{_POSITIONS}.1.{{layer}}.0.{{kind}}", "context_encoder.position_encoder.layers.{layer}.conv.{kind}", first=1
    ),
]
_DECODER_RULES = [NameRule(f"{_AUDIO}.decoder.blocks.{{layer}}.0.{{kind}}", "decoder.layers.{layer}.conv.{kind}")]
_ONE_PROJECTION_RULES = [NameRule(f"{_AUDIO}.decoder.proj.{{kind}}", "decoder.projections.0.{kind}")]
# Several projections alternate with activations.
_PROJECTION_RULES = [
    NameRule(f"{_AUDIO}.decoder.proj.{{layer}}.{{kind}}", "decoder.projections.{layer}.{kind}", step=2)
]
_CTC_RULES = [NameRule("w2v_encoder.proj.{kind}", "lm_head.{kind}")]
_CTC_STUDENT = "w2v_encoder.w2v_model."
_OUR_STUDENT = "data2vec2_audio."


def audio_weight_name(name: str) -> str | None:
    """Our name, relative to the base model, of a student's or teacher's weight; `None` if it is not known."""
    return first_name(rule.to_ours(name) for rule in (*_ENCODER_RULES, *_POSITION_RULES, *_NESTED_POSITION_RULES))


def decoder_weight_name(name: str) -> str | None:
    """Our name of a weight of the audio decoder; `None` if it is not one."""
    return first_name(rule.to_ours(name) for rule in (*_DECODER_RULES, *_ONE_PROJECTION_RULES, *_PROJECTION_RULES))


def ctc_weight_name(name: str) -> str | None:
    """Our name of a weight of a fine-tuned model; `None` if it is not known."""
    if not name.startswith(_CTC_STUDENT):
        return first_name(rule.to_ours(name) for rule in _CTC_RULES)
    ours = audio_weight_name(name.removeprefix(_CTC_STUDENT))
    return None if ours is None else _OUR_STUDENT + ours


class WeightNames(NamedTuple):
    """Our names of a modality's weights.

    Attributes:
        prefix: Of the base model in the models with heads.
        encoder: From the original's name to ours, relative to the base model; `None` if it is not known.
        decoder: The same of the decoder's weights.
    """

    prefix: str
    encoder: Callable[[str], str | None]
    decoder: Callable[[str], str | None]


AUDIO_NAMES = WeightNames(_OUR_STUDENT, audio_weight_name, decoder_weight_name)

# from the original


def rename_pretraining(
    student: Mapping[str, torch.Tensor],
    teacher: Mapping[str, torch.Tensor] | None,
    scope: str,
    problems: Problems,
    names: WeightNames = AUDIO_NAMES,
) -> dict[str, torch.Tensor]:
    """Weights of a pre-training model; names that are not known go to `problems`."""
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in student.items():
        ours = names.encoder(name)
        store_weight(weights, name, f"{names.prefix}{ours}" if ours else names.decoder(name), tensor, problems)
    for name, tensor in (teacher or {}).items():
        ours = names.encoder(f"blocks.{name}" if scope == "trunk" else name)
        store_weight(weights, f"_ema.{name}", f"teacher.{ours}" if ours else None, tensor, problems)
    if teacher is not None and scope == "trunk":
        # the original's teacher is the blocks alone; the norm behind them, if any, takes no part in the targets
        for name in [name for name in weights if name.startswith(f"{names.prefix}trunk.layer_norm.")]:
            weights[f"teacher.{name.removeprefix(names.prefix)}"] = weights[name].clone()
    return weights


def rename_ctc(model: Mapping[str, torch.Tensor], problems: Problems) -> dict[str, torch.Tensor]:
    """Weights of [`~hf_ssl.Data2Vec2AudioForCTC`]; names that are not known go to `problems`."""
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in model.items():
        store_weight(weights, name, ctc_weight_name(name), tensor, problems)
    return weights


# to the original


def original_pretraining_weights(
    weights: Mapping[str, torch.Tensor], config: Data2Vec2AudioConfig
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Student with decoder, and teacher, under the original's names."""
    shaped = {name: _original_shape(name, tensor) for name, tensor in weights.items()}
    return split_pretraining(
        shaped, _OUR_STUDENT, config.teacher_scope, _encoder_rules(config), _decoder_rules(config)
    )


def split_pretraining(
    weights: Mapping[str, torch.Tensor],
    prefix: str,
    scope: str,
    encoder_rules: list[NameRule],
    decoder_rules: list[NameRule],
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Student with decoder, and teacher, of any modality, under the original's names."""
    student, teacher = {}, {}
    for name, tensor in weights.items():
        if name == "teacher.num_updates":
            continue
        if name.startswith("decoder."):
            student[original_name(name, decoder_rules)] = tensor
        elif name.startswith(prefix):
            student[original_name(name.removeprefix(prefix), encoder_rules)] = tensor
        elif not (scope == "trunk" and "trunk.layer_norm" in name):
            original = original_name(name.removeprefix("teacher."), encoder_rules)
            teacher[original.removeprefix("blocks.") if scope == "trunk" else original] = tensor
    return student, teacher


def original_ctc_weights(weights: Mapping[str, torch.Tensor], config: Data2Vec2AudioConfig) -> dict[str, torch.Tensor]:
    """A fine-tuned model's weights under the original's names."""
    renamed = {}
    for name, tensor in weights.items():
        if name.startswith(_OUR_STUDENT):
            ours = name.removeprefix(_OUR_STUDENT)
            renamed[_CTC_STUDENT + original_name(ours, _encoder_rules(config))] = _original_shape(ours, tensor)
        else:
            renamed[original_name(name, _CTC_RULES)] = tensor
    return renamed


def _encoder_rules(config: Data2Vec2AudioConfig) -> list[NameRule]:
    return _ENCODER_RULES + (_NESTED_POSITION_RULES if config.conv_pos_layer_norm_first else _POSITION_RULES)


def _decoder_rules(config: Data2Vec2AudioConfig) -> list[NameRule]:
    return _DECODER_RULES + (_ONE_PROJECTION_RULES if config.decoder_num_projections == 1 else _PROJECTION_RULES)


def _original_shape(ours: str, tensor: torch.Tensor) -> torch.Tensor:
    if ours.endswith("attention_bias.scale"):
        return tensor.view(tensor.shape[0], 1, tensor.shape[1], 1, 1)
    return tensor
