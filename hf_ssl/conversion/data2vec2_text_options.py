# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Options of fairseq's data2vec 2.0 for text (`data2vec_multi`, and `data2vec_text_classification` around it) <-> our
configuration."""

from collections.abc import Mapping
from typing import Any

from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from .options import list_missing, list_unsupported, named_fields, named_options, section
from .problems import Problems
from .trunk_options import modality_sections, other_trunk_fields, sequence_fields, sequence_options

_TEXT_FIELDS = {
    "max_position_embeddings": "max_source_positions",
    "embedding_dropout": "dropout",
    "mask_prob": "mask_prob",
    "mask_length": "mask_length",
    "mask_noise_std": "mask_noise_std",
}
# Options that we do not have, with the value at which they do nothing.
_UNSUPPORTED_TEXT_OPTIONS = {
    "learned_pos": True,
    "no_scale_embedding": True,
    "layernorm_embedding": True,
    "no_token_positional_embeddings": False,
    "local_grad_mult": 1.0,
    "keep_masked_pct": 0,
}
# The same, of masks of several tokens. Masks of single tokens are drawn by another function, which has none of them.
_UNSUPPORTED_SPAN_OPTIONS = {"inverse_mask": False, "add_masks": False, "mask_dropout": 0.0}
# Options that change nothing, with the original's defaults: only convolutional positions would see hidden tokens.
_INERT_TEXT_OPTIONS: dict[str, Any] = {
    "mask_prob_adjust": 0,
    "remove_masks": False,
    "encoder_zero_mask": True,
    "mask_channel_prob": 0.0,
}
_UNSUPPORTED_CLASSIFIER_OPTIONS = {
    "pooler_activation_fn": "tanh",
    "quant_noise_pq": 0,
    "spectral_norm_classification_head": False,
}
_INERT_CLASSIFIER_OPTIONS: dict[str, Any] = {
    "quant_noise_pq_block_size": 8,
    "model_path": "",
    "no_pretrained_weights": False,
}
DEFAULT_HEAD = "sentence_classification_head"


# from the original


def text_pretraining_fields(model: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a configuration from `cfg.model`, but for the size of the vocabulary, which is not there; `None`, and
    `problems`, if they cannot be made."""
    sections = modality_sections(model, "text")
    text = sections.modality
    list_unsupported(text, _UNSUPPORTED_TEXT_OPTIONS, problems)
    list_missing(text, _TEXT_FIELDS.values(), problems)
    fields = sequence_fields(sections, problems)
    if fields is None:
        return None
    if text["mask_length"] != 1:
        list_unsupported(text, _UNSUPPORTED_SPAN_OPTIONS, problems)
    fields |= named_fields(text, _TEXT_FIELDS) | {"mask_padding": text["mask_length"] == 1}
    # without a prenet the original has no dropout before it
    return fields if fields["num_prenet_layers"] else fields | {"prenet_dropout": 0.0}


def text_classification_fields(config: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a fine-tuned configuration from the whole `cfg`, but for the numbers of tokens and of labels."""
    finetuning = section(config, "model")
    list_unsupported(finetuning, _UNSUPPORTED_CLASSIFIER_OPTIONS, problems)
    list_missing(finetuning, ("pooler_dropout",), problems)
    fields = text_pretraining_fields(section(section(finetuning, "pretrained_model_args"), "model"), problems)
    if fields is None:
        return None
    problem_type = {"problem_type": "regression"} if _is_regression(config) else {}
    return fields | {"classifier_dropout": finetuning["pooler_dropout"]} | problem_type


def classification_head_name(config: Mapping[str, Any]) -> str:
    """The name of the head among `classification_heads`."""
    sections = [config.get(name) for name in ("criterion", "task")]
    names = [found.get("classification_head_name") for found in sections if isinstance(found, Mapping)]
    return next((name for name in names if isinstance(name, str)), DEFAULT_HEAD)


def _is_regression(config: Mapping[str, Any]) -> bool:
    sections = [config.get(name) for name in ("criterion", "task")]
    return any(isinstance(found, Mapping) and found.get("regression_target") is True for found in sections)


# to the original


def text_pretraining_options(config: Data2Vec2TextConfig) -> dict[str, Any]:
    """`cfg.model` of a pre-training checkpoint; what our configuration does not say has the original's defaults."""
    text = {
        **_UNSUPPORTED_TEXT_OPTIONS,
        **_UNSUPPORTED_SPAN_OPTIONS,
        **_INERT_TEXT_OPTIONS,
        **named_options(config.to_dict(), _TEXT_FIELDS),
    }
    return sequence_options(config, "text", text) | {"max_update": config.ema_anneal_end_step}


def text_pretraining_task(config: Data2Vec2TextConfig) -> dict[str, Any]:
    """`cfg.task` of a pre-training checkpoint."""
    return {
        "_name": "masked_lm",
        "data": "",
        "sample_break_mode": "none",
        "tokens_per_sample": config.max_position_embeddings,
        "include_target_tokens": True,
        "random_token_prob": 0,
        "leave_unmasked_prob": 0,
        "include_index": True,
        "skip_masking": True,
        "d2v2_multi": True,
    }


def text_classification_options(config: Data2Vec2TextConfig) -> dict[str, Any]:
    """`cfg.model` of a fine-tuned checkpoint, with the student's whole configuration, as the original has it."""
    pretrained_model_args = {
        "_name": None,
        "common": {"_name": None, "seed": 1},
        "model": text_pretraining_options(config),
        "task": text_pretraining_task(config),
        "criterion": None,
        "lr_scheduler": None,
    }
    return {
        "_name": "data2vec_text_classification",
        **_UNSUPPORTED_CLASSIFIER_OPTIONS,
        **_INERT_CLASSIFIER_OPTIONS,
        "pooler_dropout": config.classifier_dropout,
        "pretrained_model_args": pretrained_model_args,
    }


def text_classification_task(config: Data2Vec2TextConfig) -> dict[str, Any]:
    """`cfg.task` of a fine-tuned checkpoint."""
    return {
        "_name": "sentence_prediction",
        "data": "",
        "num_classes": config.num_labels,
        "init_token": config.bos_token_id,
        "separator_token": config.eos_token_id,
        "max_positions": config.max_position_embeddings,
        "regression_target": config.problem_type == "regression",
        "d2v2_multi": True,
    }


def unsupported_text_fields(config: Data2Vec2TextConfig) -> list[str]:
    """Fields for which the original has no option, with the value that they would need to have."""
    needed = {
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        **({} if config.num_prenet_layers else {"prenet_dropout": 0.0}),
    }
    return other_trunk_fields(config, needed)
