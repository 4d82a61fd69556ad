# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Options of fairseq's data2vec 2.0 (`data2vec_multi`) that all modalities share <-> fields of our configurations.

The dictionaries of names serve both directions: our field -> the original's option of the same meaning.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..models.configuration_data2vec2 import Data2Vec2Config, Data2Vec2SequenceConfig
from .options import (
    TARGET_LAYER_NORMS,
    TARGET_NORMS,
    list_missing,
    list_unsupported,
    named_fields,
    named_options,
    other_fields,
    section,
)
from .problems import Problems, one_line

_MODEL_FIELDS = {
    "hidden_size": "embed_dim",
    "num_hidden_layers": "depth",
    "num_attention_heads": "num_heads",
    "hidden_dropout": "encoder_dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "input_dropout": "dropout_input",
    "layerdrop": "layerdrop",
    "layer_norm_eps": "norm_eps",
    "layer_norm_affine": "norm_affine",
    "layer_norm_first": "layer_norm_first",
    "num_masks": "clone_batch",
    "average_top_k_layers": "average_top_k_layers",
    "loss_beta": "loss_beta",
    "loss_scale": "loss_scale",
    "ema_decay": "ema_decay",
    "ema_end_decay": "ema_end_decay",
    "ema_anneal_end_step": "ema_anneal_end_step",
}
_PRENET_FIELDS = {
    "num_prenet_layers": "prenet_depth",
    "prenet_dropout": "prenet_dropout",
    "prenet_layerdrop": "prenet_layerdrop",
}
_ALIBI_FIELDS = {
    "use_alibi": "use_alibi_encoder",
    "alibi_scale": "alibi_scale",
    "learn_alibi_scale": "learned_alibi_scale",
    "alibi_scale_per_head": "learned_alibi_scale_per_head",
    "alibi_scale_per_layer": "learned_alibi_scale_per_layer",
}
_DECODER_FIELDS = {
    "decoder_hidden_size": "decoder_dim",
    "decoder_num_layers": "decoder_layers",
    "decoder_kernel_size": "decoder_kernel",
    "decoder_groups": "decoder_groups",
    "decoder_residual": "decoder_residual",
    "decoder_input_dropout": "input_dropout",
}
_PROJECTION_FIELDS = {
    "decoder_num_projections": "projection_layers",
    "decoder_projection_ratio": "projection_ratio",
}


class ModalityFields(NamedTuple):
    """Fields of a kind of modality -> options of its section, and of the section of its decoder."""

    modality: Mapping[str, str]
    decoder: Mapping[str, str]


SEQUENCE_FIELDS = ModalityFields(_PRENET_FIELDS | _ALIBI_FIELDS, _DECODER_FIELDS | _PROJECTION_FIELDS)
# Its attention has no biases, and its decoder one projection, whatever the options say.
IMAGE_FIELDS = ModalityFields(_PRENET_FIELDS, _DECODER_FIELDS)
# Options from which fields are computed.
_MODEL_SOURCES = (
    "mlp_ratio",
    "post_mlp_drop",
    "start_drop_path_rate",
    "end_drop_path_rate",
    "end_of_block_targets",
    "batch_norm_target_layer",
    "instance_norm_target_layer",
    "layer_norm_target_layer",
    "layer_norm_targets",
    "instance_norm_targets",
    "ema_encoder_only",
)
_MODALITY_SOURCES = ("start_drop_path_rate", "end_drop_path_rate", "ema_local_encoder")
# Options that we do not have, with the value at which they do nothing.
_UNSUPPORTED_MODEL_OPTIONS = {"shared_decoder": None, "recon_loss": 0, "d2v_loss": 1, "skip_ema": False}
_UNSUPPORTED_MODALITY_OPTIONS = {"mask_prob_min": None}
_UNSUPPORTED_DECODER_OPTIONS = {"add_positions_masked": False, "add_positions_all": False}
# The same of sequences, whose models have no CLS token.
_UNSUPPORTED_SEQUENCE_MODEL_OPTIONS = {"cls_loss": 0}
_UNSUPPORTED_SEQUENCE_OPTIONS = {"num_extra_tokens": 0, "learned_alibi": False}
# Options that change nothing that we have, with the original's defaults: of training (when to stop, what to log, the
# seed), of fresh weights, and copies of other options.
_INERT_MODEL_OPTIONS: dict[str, Any] = {
    "ema_same_dtype": True,
    "log_norms": True,
    "max_update": 400_000,
    "min_target_var": 0.1,
    "min_pred_var": 0.01,
    "mae_init": False,
    "seed": 1,
    "decoder_group": False,
}
_INERT_MODALITY_OPTIONS: dict[str, Any] = {
    "init_extra_token_zero": True,
    "add_masks": False,
    "mask_channel_length": 64,
    "alibi_max_pos": None,
}
_INERT_DECODER_OPTIONS: dict[str, Any] = {"projection_layers": 1, "projection_ratio": 2.0}  # where they are no fields


class ModalitySections(NamedTuple):
    """The three sections of `data2vec_multi` that describe a model of one modality."""

    model: dict[str, Any]
    modality: dict[str, Any]
    decoder: dict[str, Any]


def modality_sections(model: Mapping[str, Any], name: str) -> ModalitySections:
    """The sections of the modality `name` (`"audio"`, `"image"`, `"text"`) of `cfg.model`."""
    modality = section(section(model, "modalities"), name)
    return ModalitySections(dict(model), modality, section(modality, "decoder"))


# from the original


def sequence_fields(sections: ModalitySections, problems: Problems) -> dict[str, Any] | None:
    """The fields that speech and text share; `None`, and `problems`, if they cannot be made."""
    list_unsupported(sections.model, _UNSUPPORTED_SEQUENCE_MODEL_OPTIONS, problems)
    list_unsupported(sections.modality, _UNSUPPORTED_SEQUENCE_OPTIONS, problems)
    fields = student_fields(sections, SEQUENCE_FIELDS, problems)
    return None if fields is None else fields | {"norm_targets_over_padding": True, "convolve_padding": True}


def student_fields(sections: ModalitySections, fields: ModalityFields, problems: Problems) -> dict[str, Any] | None:
    """The fields that all modalities have, and these `fields`; `None`, and `problems`, if they cannot be made."""
    model, modality, decoder = sections
    list_unsupported(model, _UNSUPPORTED_MODEL_OPTIONS, problems)
    list_unsupported(modality, _UNSUPPORTED_MODALITY_OPTIONS, problems)
    list_unsupported(decoder, _UNSUPPORTED_DECODER_OPTIONS, problems)
    list_missing(model, (*_MODEL_FIELDS.values(), *_MODEL_SOURCES), problems)
    list_missing(modality, (*fields.modality.values(), *_MODALITY_SOURCES), problems)
    list_missing(decoder, fields.decoder.values(), problems)
    if problems.missing_options:
        return None
    _check_copies(sections, problems)
    try:
        computed = _computed_fields(model, modality)
    except (TypeError, ValueError, ArithmeticError) as error:
        problems.options.append(f"The checkpoint's options make no model: {one_line(error)}")
        return None
    return (
        named_fields(model, _MODEL_FIELDS)
        | named_fields(modality, fields.modality)
        | named_fields(decoder, fields.decoder)
        | computed
    )


def _computed_fields(model: dict[str, Any], modality: dict[str, Any]) -> dict[str, Any]:
    return {
        "intermediate_size": int(model["embed_dim"] * model["mlp_ratio"]),
        "drop_path_rates": (model["start_drop_path_rate"], model["end_drop_path_rate"]),
        "prenet_drop_path_rates": (modality["start_drop_path_rate"], modality["end_drop_path_rate"]),
        "pre_norm_drops_residual": model["layer_norm_first"],
        "target_source": "block" if model["end_of_block_targets"] else "ffn",
        "target_layer_norms": tuple(norm for norm in TARGET_LAYER_NORMS if model[f"{norm}_norm_target_layer"]),
        "target_norms": tuple(norm for norm in TARGET_NORMS if model[f"{norm}_norm_targets"]),
        "teacher_scope": _teacher_scope(model, modality),
    }


def _teacher_scope(model: dict[str, Any], modality: dict[str, Any]) -> str:
    if model["ema_encoder_only"]:
        return "trunk"
    return "model" if modality["ema_local_encoder"] else "encoder"


def _check_copies(sections: ModalitySections, problems: Problems) -> None:
    """Options of which we have one and the original several: they have to agree."""
    model, modality = sections.model, sections.modality
    if model["encoder_dropout"] != model["post_mlp_drop"]:
        problems.options.append(
            f"The checkpoint has different dropouts after attention ({model['encoder_dropout']}) and after the "
            f"feed-forward network ({model['post_mlp_drop']}); we have one, `hidden_dropout`"
        )
    for copied, source in (("num_alibi_heads", "num_heads"), ("model_depth", "depth")):
        if modality.get(copied, model[source]) != model[source]:
            problems.options.append(f"`{copied}` = {modality[copied]!r} must be `{source}` = {model[source]!r}")


# to the original


def sequence_options(config: Data2Vec2SequenceConfig, name: str, modality: dict[str, Any]) -> dict[str, Any]:
    """[`student_options`] of speech or text."""
    options = student_options(config, name, SEQUENCE_FIELDS, _UNSUPPORTED_SEQUENCE_OPTIONS | modality)
    return options | _UNSUPPORTED_SEQUENCE_MODEL_OPTIONS


def student_options(
    config: Data2Vec2Config, name: str, fields: ModalityFields, modality: dict[str, Any]
) -> dict[str, Any]:
    """`cfg.model` of a pre-training checkpoint.

    Args:
        config: Ours.
        name: The modality's in the original, `"audio"`, `"image"` or `"text"`.
        fields: Of the kind of modality.
        modality: Options of its section besides.
    """
    return {
        "_name": "data2vec_multi",
        **_INERT_MODEL_OPTIONS,
        **_UNSUPPORTED_MODEL_OPTIONS,
        **named_options(config.to_dict(), _MODEL_FIELDS),
        "supported_modality": name.upper(),
        "post_mlp_drop": config.hidden_dropout,
        "mlp_ratio": _mlp_ratio(config),
        "start_drop_path_rate": config.drop_path_rates[0],
        "end_drop_path_rate": config.drop_path_rates[1],
        "end_of_block_targets": config.target_source == "block",
        **{f"{norm}_norm_target_layer": norm in config.target_layer_norms for norm in TARGET_LAYER_NORMS},
        **{f"{norm}_norm_targets": norm in config.target_norms for norm in TARGET_NORMS},
        "ema_encoder_only": config.teacher_scope == "trunk",
        "modalities": {"_name": None, name: _modality_options(config, name, fields) | modality},
    }


def _modality_options(config: Data2Vec2Config, name: str, fields: ModalityFields) -> dict[str, Any]:
    values = config.to_dict()
    return {
        "_name": None,
        "type": name.upper(),
        **_UNSUPPORTED_MODALITY_OPTIONS,
        **_INERT_MODALITY_OPTIONS,
        **named_options(values, fields.modality),
        "start_drop_path_rate": config.prenet_drop_path_rates[0],
        "end_drop_path_rate": config.prenet_drop_path_rates[1],
        "num_alibi_heads": config.num_attention_heads,
        "model_depth": config.num_hidden_layers,
        "ema_local_encoder": config.teacher_scope == "model",
        "decoder": _UNSUPPORTED_DECODER_OPTIONS | _INERT_DECODER_OPTIONS | named_options(values, fields.decoder),
    }


def _mlp_ratio(config: Data2Vec2Config) -> float:
    """The ratio that `int(embed_dim * ratio)` turns back into the very size."""
    ratio = config.intermediate_size / config.hidden_size
    return ratio if int(config.hidden_size * ratio) == config.intermediate_size else math.nextafter(ratio, math.inf)


def other_trunk_fields(config: Data2Vec2Config, needed: Mapping[str, Any]) -> list[str]:
    """Fields for which the original has no option, with the value that they would need to have.

    Args:
        config: Ours.
        needed: Fields of the modality and the values that they need.
    """
    needed_by_all = {
        "hidden_act": "gelu",
        "pre_norm_drops_residual": config.layer_norm_first or config.pre_norm_drops_residual,
        "target_layer_norms": [norm for norm in TARGET_LAYER_NORMS if norm in config.target_layer_norms],
        "target_norms": [norm for norm in TARGET_NORMS if norm in config.target_norms],
    }
    return other_fields(config, {**needed_by_all, **needed})


def different_sequence_behaviour(config: Data2Vec2SequenceConfig) -> list[str]:
    """What the original will compute differently of sequences although it loads the weights."""
    found = []
    if not config.convolve_padding:
        found.append("the original lets padded frames into its convolutions (`convolve_padding`)")
    if not config.norm_targets_over_padding:
        found.append("the original normalises targets over padded frames too (`norm_targets_over_padding`)")
    return found
