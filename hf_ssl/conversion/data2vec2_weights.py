# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Names of the weights of fairseq's data2vec 2.0 for speech <-> ours."""

from collections.abc import Mapping

import torch

from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from .problems import Problems
from .trunk_weights import WeightNames, decoder_rules, original_shape, split_pretraining, transformer_rules
from .weight_names import NameRule, original_name, our_name, store_weight

_AUDIO = "modality_encoders.AUDIO"
_CONV = f"{_AUDIO}.local_encoder.conv_layers.{{layer}}"
_POSITIONS = f"{_AUDIO}.relative_positional_encoder"
_ENCODER_RULES = [
    NameRule(f"{_CONV}.0.{{kind}}", "local_encoder.conv_layers.{layer}.conv.{kind}"),
    NameRule(f"{_CONV}.2.1.{{kind}}", "local_encoder.conv_layers.{layer}.layer_norm.{kind}"),
    NameRule(f"{_CONV}.2.{{kind}}", "local_encoder.conv_layers.{layer}.group_norm.{kind}"),
    NameRule(f"{_AUDIO}.project_features.1.{{kind}}", "local_encoder.layer_norm.{kind}"),
    NameRule(f"{_AUDIO}.project_features.2.{{kind}}", "local_encoder.projection.{kind}"),
    *transformer_rules(_AUDIO),
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
_CTC_RULES = [NameRule("w2v_encoder.proj.{kind}", "lm_head.{kind}")]
_CTC_STUDENT = "w2v_encoder.w2v_model."
_OUR_STUDENT = "data2vec2_audio."


def audio_names(config: Data2Vec2AudioConfig | None = None) -> WeightNames:
    """Names of a speech model's weights; without its configuration, for the way to our names only."""
    if config is None:
        encoder = [*_ENCODER_RULES, *_POSITION_RULES, *_NESTED_POSITION_RULES]
        return WeightNames(_OUR_STUDENT, encoder, decoder_rules(_AUDIO))
    positions = _NESTED_POSITION_RULES if config.conv_pos_layer_norm_first else _POSITION_RULES
    decoder = decoder_rules(_AUDIO, config.decoder_num_projections)
    return WeightNames(_OUR_STUDENT, [*_ENCODER_RULES, *positions], decoder)


def audio_weight_name(name: str) -> str | None:
    """Our name, relative to the base model, of a student's or teacher's weight; `None` if it is not known."""
    return our_name(name, audio_names().encoder)


def decoder_weight_name(name: str) -> str | None:
    """Our name of a weight of the audio decoder; `None` if it is not one."""
    return our_name(name, audio_names().decoder)


def ctc_weight_name(name: str) -> str | None:
    """Our name of a weight of a fine-tuned model; `None` if it is not known."""
    if not name.startswith(_CTC_STUDENT):
        return our_name(name, _CTC_RULES)
    ours = audio_weight_name(name.removeprefix(_CTC_STUDENT))
    return None if ours is None else _OUR_STUDENT + ours


# from the original


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
    return split_pretraining(audio_names(config), weights, config.teacher_scope)


def original_ctc_weights(weights: Mapping[str, torch.Tensor], config: Data2Vec2AudioConfig) -> dict[str, torch.Tensor]:
    """A fine-tuned model's weights under the original's names."""
    names, renamed = audio_names(config), {}
    for name, tensor in weights.items():
        if name.startswith(_OUR_STUDENT):
            ours = name.removeprefix(_OUR_STUDENT)
            renamed[_CTC_STUDENT + original_name(ours, names.encoder)] = original_shape(ours, tensor)
        else:
            renamed[original_name(name, _CTC_RULES)] = tensor
    return renamed
