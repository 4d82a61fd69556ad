# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Options of fairseq's data2vec for text (`data2vec_text`) <-> the configuration of our pre-training.

The dictionaries of names serve both directions: the field here -> the original's option of the same meaning. Masks are
options of the task there.
"""

from collections.abc import Mapping
from typing import Any

from ..models.configuration_data2vec_pretraining import Data2VecTextPreTrainingConfig, longest_text
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
from .problems import Problems

_ENCODER_FIELDS = {
    "hidden_size": "embed_dim",
    "intermediate_size": "ffn_embed_dim",
    "num_hidden_layers": "layers",
    "num_attention_heads": "attention_heads",
}
_TRANSFORMER_FIELDS = {
    "hidden_act": "activation_fn",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
}
_OBJECTIVE_FIELDS = {
    "regression_num_layers": "head_layers",
    "average_top_k_layers": "average_top_k_layers",
    "loss_beta": "loss_beta",
    "ema_decay": "ema_decay",
    "ema_end_decay": "ema_end_decay",
    "ema_anneal_end_step": "ema_anneal_end_step",
}
_MASK_FIELDS = {"mask_prob": "mask_prob", "mask_length": "mask_multiple_length"}
_OBJECTIVE_SOURCES = (
    "loss_scale",
    "ema_transformer_layers_only",
    *(f"{norm}_norm_target_layer" for norm in TARGET_LAYER_NORMS),
    *(f"{norm}_norm_targets" for norm in TARGET_NORMS),
)
# Options that transformers' encoder does not have, with the value at which they do nothing, or at which it is fixed.
_UNSUPPORTED_ENCODER_OPTIONS: dict[str, Any] = {"normalize_before": False, "learned_pos": True, "layerdrop": 0}
_UNSUPPORTED_TRANSFORMER_OPTIONS: dict[str, Any] = {
    "layernorm_embedding": True,
    "no_scale_embedding": True,
    "no_token_positional_embeddings": False,
    "activation_dropout": 0.0,
    "relu_dropout": 0.0,
    "adaptive_input": False,
}
_UNSUPPORTED_TASK_OPTIONS: dict[str, Any] = {
    "random_token_prob": 0.0,
    "leave_unmasked_prob": 0.0,
    "mask_stdev": 0.0,
    "mask_whole_words": False,
}
_ACTIVATIONS = ("gelu", "relu")


# from the original


def text_fields(config: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a configuration from the whole `cfg`, but for the size of the vocabulary, which is not there; `None`,
    and `problems`, if they cannot be made."""
    model, task = section(config, "model"), section(config, "task")
    transformer = section(model, "transformer")
    encoder = section(transformer, "encoder")
    list_unsupported(encoder, _UNSUPPORTED_ENCODER_OPTIONS, problems)
    list_unsupported(transformer, _UNSUPPORTED_TRANSFORMER_OPTIONS, problems)
    list_unsupported(task, _UNSUPPORTED_TASK_OPTIONS, problems)
    list_missing(encoder, _ENCODER_FIELDS.values(), problems)
    list_missing(transformer, (*_TRANSFORMER_FIELDS.values(), "max_source_positions"), problems)
    list_missing(model, (*_OBJECTIVE_FIELDS.values(), *_OBJECTIVE_SOURCES), problems)
    list_missing(task, _MASK_FIELDS.values(), problems)
    if problems.missing_options:
        return None
    if transformer["activation_fn"] not in _ACTIVATIONS:
        problems.unsupported_options.append(f"activation_fn = {transformer['activation_fn']!r}")
    if type(transformer["max_source_positions"]) is not int or type(model["loss_scale"]) not in (int, float):
        problems.options.append("`max_source_positions` and `loss_scale` must be numbers")
        return None
    return (
        named_fields(encoder, _ENCODER_FIELDS)
        | named_fields(transformer, _TRANSFORMER_FIELDS)
        | named_fields(model, _OBJECTIVE_FIELDS)
        | named_fields(task, _MASK_FIELDS)
        | {
            "pad_token_id": 1,
            "max_position_embeddings": transformer["max_source_positions"] + 2,  # behind that of padding
            "type_vocab_size": 1,
            "layer_norm_eps": 1e-5,
            "loss_scale": model["loss_scale"] if model["loss_scale"] > 0 else None,
            "teacher_scope": "layers" if model["ema_transformer_layers_only"] else "model",
            "target_layer_norms": tuple(norm for norm in TARGET_LAYER_NORMS if model[f"{norm}_norm_target_layer"]),
            "target_norms": tuple(norm for norm in TARGET_NORMS if model[f"{norm}_norm_targets"]),
            "norm_targets_over_padding": True,
        }
    )


# to the original


def text_options(config: Data2VecTextPreTrainingConfig) -> dict[str, Any]:
    """`cfg.model` of a checkpoint; what the configuration does not say has the original's defaults."""
    values = config.to_dict()
    encoder = _UNSUPPORTED_ENCODER_OPTIONS | named_options(values, _ENCODER_FIELDS)
    transformer = _UNSUPPORTED_TRANSFORMER_OPTIONS | named_options(values, _TRANSFORMER_FIELDS)
    return {
        "_name": "data2vec_text",
        "max_positions": longest_text(config),
        "load_checkpoint_heads": False,
        **named_options(values, _OBJECTIVE_FIELDS),
        "loss_scale": -1.0 if config.loss_scale is None else config.loss_scale,
        "ema_transformer_layers_only": config.teacher_scope == "layers",
        **{f"{norm}_norm_target_layer": norm in config.target_layer_norms for norm in TARGET_LAYER_NORMS},
        **{f"{norm}_norm_targets": norm in config.target_norms for norm in TARGET_NORMS},
        "transformer": {**transformer, "max_source_positions": longest_text(config), "encoder": encoder},
    }


def text_task(config: Data2VecTextPreTrainingConfig) -> dict[str, Any]:
    """`cfg.task` of a checkpoint."""
    return {
        "_name": "masked_lm",
        "data": "",
        "sample_break_mode": "none",
        "tokens_per_sample": longest_text(config),
        "include_target_tokens": True,
        **_UNSUPPORTED_TASK_OPTIONS,
        **named_options(config.to_dict(), _MASK_FIELDS),
    }


def unsupported_data2vec_text_fields(config: Data2VecTextPreTrainingConfig) -> list[str]:
    """Fields for which the original has no option, with the value that they would need to have."""
    needed = {
        "hidden_act": config.hidden_act if config.hidden_act in _ACTIVATIONS else "gelu",
        "layer_norm_eps": 1e-5,
        "type_vocab_size": 1,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "target_layer_norms": [norm for norm in TARGET_LAYER_NORMS if norm in config.target_layer_norms],
        "target_norms": [norm for norm in TARGET_NORMS if norm in config.target_norms],
    }
    return other_fields(config, needed)


def different_data2vec_text_behaviour(config: Data2VecTextPreTrainingConfig) -> list[str]:
    """What the original will compute differently although it loads the weights."""
    if config.norm_targets_over_padding or not {"batch", "instance"}.intersection(
        (*config.target_layer_norms, *config.target_norms)
    ):
        return []
    return ["the original normalises targets over padding too (`norm_targets_over_padding`)"]
