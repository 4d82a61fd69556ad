# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Options of fairseq's data2vec 2.0 for speech (`data2vec_multi`, and `wav2vec_ctc` around it) <-> our configuration.

The dictionaries of names serve both directions: our field -> the original's option of the same meaning.
"""

from collections.abc import Mapping
from typing import Any

from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from .fairseq_checkpoint import parse_conv_spec
from .options import conv_spec, list_missing, list_unsupported, named_fields, named_options, section
from .problems import Problems, one_line
from .trunk_options import (
    ModalitySections,
    modality_sections,
    other_trunk_fields,
    sequence_fields,
    sequence_options,
)

_AUDIO_FIELDS = {
    "local_grad_scale": "local_grad_mult",
    "num_conv_pos_embeddings": "conv_pos_depth",
    "num_conv_pos_embedding_groups": "conv_pos_groups",
    "conv_pos_layer_norm_first": "conv_pos_pre_ln",
}
# The same options are the masks of pre-training there, and of fine-tuning in a fine-tuned file, which has lost the
# former.
_PRETRAINING_MASK_FIELDS = {
    "mask_prob": "mask_prob",
    "mask_prob_adjust": "mask_prob_adjust",
    "mask_length": "mask_length",
    "mask_dropout": "mask_dropout",
    "inverse_mask": "inverse_mask",
    "encoder_zero_mask": "encoder_zero_mask",
    "mask_noise_std": "mask_noise_std",
}
FINETUNING_MASK_FIELDS = {
    "mask_time_prob": "mask_prob",
    "mask_time_length": "mask_length",
    "mask_feature_prob": "mask_channel_prob",
    "mask_feature_length": "mask_channel_length",
}
# Options from which fields are computed.
_AUDIO_SOURCES = ("feature_encoder_spec", "extractor_mode", "conv_pos_width", "encoder_zero_mask", "mask_noise_std")
# Options that we do not have, with the value at which they do nothing.
_UNSUPPORTED_PRETRAINING_AUDIO_OPTIONS = {"keep_masked_pct": 0, "remove_masks": False, "mask_channel_prob": 0.0}
_UNSUPPORTED_FINETUNING_AUDIO_OPTIONS = {"mask_dropout": 0, "add_masks": False, "inverse_mask": False}
_UNSUPPORTED_CTC_OPTIONS = {"blank_weight": 0}
# Options of fine-tuning itself, with the original's defaults. They set the course of training (what is frozen when,
# learning rates of layers) or do nothing with data2vec 2.0 (kinds of masks, adapters). Those of the student (dropouts,
# masks) are not here, nor read: the original makes the student of `w2v_args`, in which it had entered them before.
FINETUNING_OPTIONS: dict[str, Any] = {
    "w2v_path": "",
    "no_pretrained_weights": False,
    "mask_selection": "static",
    "mask_other": 0,
    "no_mask_overlap": False,
    "mask_min_space": 1,
    "require_same_masks": True,
    "mask_channel_selection": "static",
    "mask_channel_other": 0,
    "no_mask_channel_overlap": False,
    "mask_channel_min_space": 1,
    "mask_channel_before": False,
    "freeze_finetune_updates": 0,
    "drop_path": 0,
    "offload_activations": False,
    "min_params_to_wrap": 100_000_000,
    "checkpoint_activations": False,
    "ddp_backend": "legacy_ddp",
    "load_ema": False,
    "layer_decay": 1,
    "layer_type": "transformer",
    "adp_num": -1,
    "adp_dim": 64,
    "adp_act_fn": "relu",
    "adp_trf_idx": "all",
    "freeze_regex": None,
    "blank_weight": 0,
    "blank_mode": "add",
}
# Of these, the ones that a folder has no place for and that say how the original was trained.
_TRAINING_COURSE = ("freeze_finetune_updates", "layer_decay", "freeze_regex")
_EXTRACTOR_MODES = {"layer_norm": "layer", "default": "group"}


# from the original


def pretraining_fields(model: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a pre-training configuration from `cfg.model`; `None`, and `problems`, if they cannot be made."""
    sections = modality_sections(model, "audio")
    list_unsupported(sections.modality, _UNSUPPORTED_PRETRAINING_AUDIO_OPTIONS, problems)
    list_missing(sections.modality, _PRETRAINING_MASK_FIELDS.values(), problems)
    fields = _audio_fields(sections, problems)
    if fields is None:
        return None
    return fields | named_fields(sections.modality, _PRETRAINING_MASK_FIELDS)


def ctc_fields(config: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a fine-tuned configuration from the whole `cfg`; `None`, and `problems`, if they cannot be made.

    The masks of pre-training, which a fine-tuned file has lost, stay at our defaults.
    """
    finetuning = section(config, "model")
    sections = modality_sections(section(section(finetuning, "w2v_args"), "model"), "audio")
    list_unsupported(finetuning, _UNSUPPORTED_CTC_OPTIONS, problems)
    list_missing(finetuning, ("apply_mask", "final_dropout"), problems)
    list_missing(sections.modality, FINETUNING_MASK_FIELDS.values(), problems)
    fields = _audio_fields(sections, problems)
    if fields is None:
        return None
    if finetuning["apply_mask"]:
        list_unsupported(sections.modality, _UNSUPPORTED_FINETUNING_AUDIO_OPTIONS, problems)
        if sections.modality["mask_length"] == 1:  # drawn by another function there
            problems.unsupported_options.append("mask_length = 1")
    criterion = config.get("criterion")
    return (
        fields
        | named_fields(sections.modality, FINETUNING_MASK_FIELDS)
        | {
            "apply_spec_augment": finetuning["apply_mask"],
            "mask_time_min_masks": 1,
            # masked frames become zeros, or noise
            "mask_noise_std": 0.0 if sections.modality["encoder_zero_mask"] else sections.modality["mask_noise_std"],
            "final_dropout": finetuning["final_dropout"],
            "ctc_zero_infinity": bool(criterion.get("zero_infinity")) if isinstance(criterion, Mapping) else False,
        }
    )


def training_course(config: Mapping[str, Any]) -> list[str]:
    """How the original was fine-tuned as far as a folder has no place for it, for people to read."""
    finetuning = section(config, "model")
    course = [
        f"{name}: {finetuning[name]!r:.80}"
        for name in _TRAINING_COURSE
        if finetuning.get(name, FINETUNING_OPTIONS[name]) != FINETUNING_OPTIONS[name]
    ]
    criterion = config.get("criterion")
    if isinstance(criterion, Mapping) and criterion.get("sentence_avg"):
        course.append("sentence_avg: True (its loss was divided by the number of utterances, ours by that of tokens)")
    return course


def _audio_fields(sections: ModalitySections, problems: Problems) -> dict[str, Any] | None:
    audio = sections.modality
    list_missing(audio, (*_AUDIO_FIELDS.values(), *_AUDIO_SOURCES), problems)
    fields = sequence_fields(sections, problems)
    if fields is None:
        return None
    try:
        computed = _computed_fields(audio)
    except (TypeError, ValueError, ArithmeticError) as error:
        problems.options.append(f"The checkpoint's options make no model: {one_line(error)}")
        return None
    return fields | named_fields(audio, _AUDIO_FIELDS) | computed


def _computed_fields(audio: dict[str, Any]) -> dict[str, Any]:
    conv_layers = parse_conv_spec(audio["feature_encoder_spec"])
    mode = audio["extractor_mode"]
    return {
        "conv_dim": tuple(layer[0] for layer in conv_layers),
        "conv_kernel": tuple(layer[1] for layer in conv_layers),
        "conv_stride": tuple(layer[2] for layer in conv_layers),
        "feat_extract_norm": _EXTRACTOR_MODES.get(mode, mode),
        "conv_pos_kernel_size": max(3, audio["conv_pos_width"] // audio["conv_pos_depth"]),
    }


# to the original


def pretraining_options(config: Data2Vec2AudioConfig) -> dict[str, Any]:
    """`cfg.model` of a pre-training checkpoint; what our configuration does not say has the original's defaults."""
    masks = named_options(config.to_dict(), _PRETRAINING_MASK_FIELDS) | {"mask_channel_prob": 0.0}
    options = sequence_options(config, "audio", _audio_options(config, masks))
    return options | {"max_update": config.ema_anneal_end_step}


def ctc_options(config: Data2Vec2AudioConfig, task: dict[str, Any]) -> dict[str, Any]:
    """`cfg.model` of a fine-tuned checkpoint, with the student's configuration in `w2v_args`, as the original has it.

    Args:
        config: The folder's.
        task: `cfg.task` of the checkpoint.
    """
    values = config.to_dict()
    masks = named_options(values, FINETUNING_MASK_FIELDS) | {
        "mask_prob_adjust": config.mask_prob_adjust,
        "mask_dropout": 0.0,
        "inverse_mask": False,
        "encoder_zero_mask": config.mask_noise_std == 0,
        "mask_noise_std": config.mask_noise_std,
    }
    pretraining_task = {name: task[name] for name in ("data", "sample_rate", "normalize")}
    w2v_args = {
        "_name": None,
        "common": {"_name": None, "seed": 1},
        "model": sequence_options(config, "audio", _audio_options(config, masks)),
        "task": {"_name": "audio_pretraining", "labels": None, **pretraining_task},
        "criterion": None,
        "lr_scheduler": None,
    }
    return {
        "_name": "wav2vec_ctc",
        **FINETUNING_OPTIONS,
        "normalize": task["normalize"],
        "data": task["data"],
        "dropout_input": config.input_dropout,
        "final_dropout": config.final_dropout,
        "dropout": config.hidden_dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "layerdrop": config.layerdrop,
        "feature_grad_mult": config.local_grad_scale,
        "update_alibi": config.learn_alibi_scale,
        "apply_mask": config.apply_spec_augment,
        "zero_mask": masks["encoder_zero_mask"],
        "mask_dropout": 0.0,
        **named_options(values, FINETUNING_MASK_FIELDS),
        "w2v_args": w2v_args,
    }


def _audio_options(config: Data2Vec2AudioConfig, masks: dict[str, Any]) -> dict[str, Any]:
    return {
        **_UNSUPPORTED_PRETRAINING_AUDIO_OPTIONS,
        **named_options(config.to_dict(), _AUDIO_FIELDS),
        **masks,
        "extractor_mode": {ours: original for original, ours in _EXTRACTOR_MODES.items()}[config.feat_extract_norm],
        "feature_encoder_spec": conv_spec(config),
        "conv_pos_width": config.conv_pos_kernel_size * config.num_conv_pos_embeddings,
    }


def unsupported_fields(config: Data2Vec2AudioConfig) -> list[str]:
    """Fields for which the original has no option, with the value that they would need to have."""
    needed = {
        "conv_bias": False,
        "use_weighted_layer_sum": False,
        "conv_pos_kernel_size": max(3, config.conv_pos_kernel_size),
    }
    return other_trunk_fields(config, needed)
