# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Options of fairseq's data2vec 2.0 for speech (`data2vec_multi`, and `wav2vec_ctc` around it) <-> our configuration.

The dictionaries of names serve both directions: our field -> the original's option of the same meaning.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig

from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from .fairseq_checkpoint import parse_conv_spec
from .options import as_list, conv_spec, list_missing, list_unsupported, named_fields, named_options, section
from .problems import Problems, one_line

ConfigType = TypeVar("ConfigType", bound=PreTrainedConfig)

MODEL_FIELDS = {
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
_AUDIO_FIELDS = {
    "num_prenet_layers": "prenet_depth",
    "prenet_dropout": "prenet_dropout",
    "prenet_layerdrop": "prenet_layerdrop",
    "local_grad_scale": "local_grad_mult",
    "num_conv_pos_embeddings": "conv_pos_depth",
    "num_conv_pos_embedding_groups": "conv_pos_groups",
    "conv_pos_layer_norm_first": "conv_pos_pre_ln",
    "use_alibi": "use_alibi_encoder",
    "alibi_scale": "alibi_scale",
    "learn_alibi_scale": "learned_alibi_scale",
    "alibi_scale_per_head": "learned_alibi_scale_per_head",
    "alibi_scale_per_layer": "learned_alibi_scale_per_layer",
}
DECODER_FIELDS = {
    "decoder_hidden_size": "decoder_dim",
    "decoder_num_layers": "decoder_layers",
    "decoder_kernel_size": "decoder_kernel",
    "decoder_groups": "decoder_groups",
    "decoder_residual": "decoder_residual",
    "decoder_num_projections": "projection_layers",
    "decoder_projection_ratio": "projection_ratio",
    "decoder_input_dropout": "input_dropout",
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
MODEL_SOURCES = (
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
_AUDIO_SOURCES = (
    "start_drop_path_rate",
    "end_drop_path_rate",
    "feature_encoder_spec",
    "extractor_mode",
    "conv_pos_width",
    "ema_local_encoder",
    "encoder_zero_mask",
    "mask_noise_std",
)
# Options that we do not have, with the value at which they do nothing.
UNSUPPORTED_MODEL_OPTIONS = {"shared_decoder": None, "recon_loss": 0, "d2v_loss": 1, "skip_ema": False}
_UNSUPPORTED_MODEL_OPTIONS = UNSUPPORTED_MODEL_OPTIONS | {"cls_loss": 0}
_UNSUPPORTED_AUDIO_OPTIONS = {"num_extra_tokens": 0, "learned_alibi": False, "mask_prob_min": None}
_UNSUPPORTED_PRETRAINING_AUDIO_OPTIONS = {"keep_masked_pct": 0, "remove_masks": False, "mask_channel_prob": 0.0}
_UNSUPPORTED_FINETUNING_AUDIO_OPTIONS = {"mask_dropout": 0, "add_masks": False, "inverse_mask": False}
UNSUPPORTED_DECODER_OPTIONS = {"add_positions_masked": False, "add_positions_all": False}
_UNSUPPORTED_CTC_OPTIONS = {"blank_weight": 0}
# Options that change nothing that we have, with the original's defaults: of training (when to stop, what to log, the
# seed), of fresh weights, of modalities other than audio, and copies of other options.
INERT_MODEL_OPTIONS: dict[str, Any] = {
    "ema_same_dtype": True,
    "log_norms": True,
    "max_update": 400_000,
    "min_target_var": 0.1,
    "min_pred_var": 0.01,
    "mae_init": False,
    "seed": 1,
    "decoder_group": False,
}
_INERT_AUDIO_OPTIONS: dict[str, Any] = {
    "init_extra_token_zero": True,
    "add_masks": False,
    "mask_channel_length": 64,
    "alibi_max_pos": None,
}
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
_MODALITIES = ("audio", "image", "text")
_STUDENTS = ("w2v_args", "pretrained_model_args")  # options of a fine-tuned model that hold those of the student
# In the original's order of application.
TARGET_LAYER_NORMS = ("batch", "instance", "layer")
TARGET_NORMS = ("layer", "instance")


class AudioSections(NamedTuple):
    """The three sections of `data2vec_multi` that describe a speech model."""

    model: dict[str, Any]
    audio: dict[str, Any]
    decoder: dict[str, Any]


def _audio_sections(model: Mapping[str, Any]) -> AudioSections:
    audio = section(section(model, "modalities"), "audio")
    return AudioSections(dict(model), audio, section(audio, "decoder"))


# from the original


def pretraining_fields(model: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a pre-training configuration from `cfg.model`; `None`, and `problems`, if they cannot be made."""
    sections = _audio_sections(model)
    list_unsupported(sections.audio, _UNSUPPORTED_PRETRAINING_AUDIO_OPTIONS, problems)
    list_missing(sections.audio, _PRETRAINING_MASK_FIELDS.values(), problems)
    fields = _student_fields(sections, problems)
    if fields is None:
        return None
    return fields | named_fields(sections.audio, _PRETRAINING_MASK_FIELDS)


def ctc_fields(config: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a fine-tuned configuration from the whole `cfg`; `None`, and `problems`, if they cannot be made.

    The masks of pre-training, which a fine-tuned file has lost, stay at our defaults.
    """
    finetuning = section(config, "model")
    sections = _audio_sections(section(section(finetuning, "w2v_args"), "model"))
    list_unsupported(finetuning, _UNSUPPORTED_CTC_OPTIONS, problems)
    list_missing(finetuning, ("apply_mask", "final_dropout"), problems)
    list_missing(sections.audio, FINETUNING_MASK_FIELDS.values(), problems)
    fields = _student_fields(sections, problems)
    if fields is None:
        return None
    if finetuning["apply_mask"]:
        list_unsupported(sections.audio, _UNSUPPORTED_FINETUNING_AUDIO_OPTIONS, problems)
        if sections.audio["mask_length"] == 1:  # drawn by another function there
            problems.unsupported_options.append("mask_length = 1")
    criterion = config.get("criterion")
    return (
        fields
        | named_fields(sections.audio, FINETUNING_MASK_FIELDS)
        | {
            "apply_spec_augment": finetuning["apply_mask"],
            "mask_time_min_masks": 1,
            # masked frames become zeros, or noise
            "mask_noise_std": 0.0 if sections.audio["encoder_zero_mask"] else sections.audio["mask_noise_std"],
            "final_dropout": finetuning["final_dropout"],
            "ctc_zero_infinity": bool(criterion.get("zero_infinity")) if isinstance(criterion, Mapping) else False,
        }
    )


def make_config(config_class: type[ConfigType], fields: dict[str, Any], problems: Problems) -> ConfigType | None:
    """The configuration of these fields; `None`, and `problems`, if there is no such model."""
    try:
        return config_class(**fields)
    except (StrictDataclassError, TypeError, ValueError, ArithmeticError) as error:
        problems.options.append(f"The checkpoint's options make no model: {one_line(error)}")
        return None


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


def ignored_options(options: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Options that are not among the `known` ones, nested ones too, for people to read. The original's loader drops
    what it does not know, as from a fork or from another version."""
    found: list[str] = []
    for name, value in options.items():
        if name in _STUDENTS or (name in _MODALITIES and name not in known):
            continue  # the student, which is looked at by itself; modalities that the model does not have
        if name not in known:
            found.append(f"{name!r}: {value!r:.80}")
        elif isinstance(value, Mapping) and isinstance(known[name], Mapping):
            found += ignored_options(value, known[name])
    return found


def _student_fields(sections: AudioSections, problems: Problems) -> dict[str, Any] | None:
    model, audio, decoder = sections.model, sections.audio, sections.decoder
    list_unsupported(model, _UNSUPPORTED_MODEL_OPTIONS, problems)
    list_unsupported(audio, _UNSUPPORTED_AUDIO_OPTIONS, problems)
    list_unsupported(decoder, UNSUPPORTED_DECODER_OPTIONS, problems)
    list_missing(model, (*MODEL_FIELDS.values(), *MODEL_SOURCES), problems)
    list_missing(audio, (*_AUDIO_FIELDS.values(), *_AUDIO_SOURCES), problems)
    list_missing(decoder, DECODER_FIELDS.values(), problems)
    if problems.missing_options:
        return None
    check_copies(model, audio, problems)
    try:
        computed = _computed_fields(model, audio)
    except (TypeError, ValueError, ArithmeticError) as error:
        problems.options.append(f"The checkpoint's options make no model: {one_line(error)}")
        return None
    return (
        named_fields(model, MODEL_FIELDS)
        | named_fields(audio, _AUDIO_FIELDS)
        | named_fields(decoder, DECODER_FIELDS)
        | computed
    )


def _computed_fields(model: dict[str, Any], audio: dict[str, Any]) -> dict[str, Any]:
    conv_layers = parse_conv_spec(audio["feature_encoder_spec"])
    mode = audio["extractor_mode"]
    return computed_trunk_fields(model, audio) | {
        "conv_dim": tuple(layer[0] for layer in conv_layers),
        "conv_kernel": tuple(layer[1] for layer in conv_layers),
        "conv_stride": tuple(layer[2] for layer in conv_layers),
        "feat_extract_norm": _EXTRACTOR_MODES.get(mode, mode),
        "conv_pos_kernel_size": max(3, audio["conv_pos_width"] // audio["conv_pos_depth"]),
        "norm_targets_over_padding": True,
        "convolve_padding": True,
    }


def computed_trunk_fields(model: dict[str, Any], modality: dict[str, Any]) -> dict[str, Any]:
    """Fields of trunk, prenet, targets and teacher that are computed from several options."""
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


def check_copies(model: dict[str, Any], modality: dict[str, Any], problems: Problems) -> None:
    """Options of which we have one and the original several: they have to agree."""
    if model["encoder_dropout"] != model["post_mlp_drop"]:
        problems.options.append(
            f"The checkpoint has different dropouts after attention ({model['encoder_dropout']}) and after the "
            f"feed-forward network ({model['post_mlp_drop']}); we have one, `hidden_dropout`"
        )
    for copied, source in (("num_alibi_heads", "num_heads"), ("model_depth", "depth")):
        if modality.get(copied, model[source]) != model[source]:
            problems.options.append(f"`{copied}` = {modality[copied]!r} must be `{source}` = {model[source]!r}")


# to the original


def pretraining_options(config: Data2Vec2AudioConfig) -> dict[str, Any]:
    """`cfg.model` of a pre-training checkpoint; what our configuration does not say has the original's defaults."""
    values = config.to_dict()
    options = _student_options(config, named_options(values, _PRETRAINING_MASK_FIELDS) | {"mask_channel_prob": 0.0})
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
        "model": _student_options(config, masks),
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
    values = config.to_dict()
    return {
        "_name": None,
        "type": "AUDIO",
        **_UNSUPPORTED_AUDIO_OPTIONS,
        **_UNSUPPORTED_PRETRAINING_AUDIO_OPTIONS,
        **_INERT_AUDIO_OPTIONS,
        **named_options(values, _AUDIO_FIELDS),
        **masks,
        "start_drop_path_rate": config.prenet_drop_path_rates[0],
        "end_drop_path_rate": config.prenet_drop_path_rates[1],
        "num_alibi_heads": config.num_attention_heads,
        "model_depth": config.num_hidden_layers,
        "ema_local_encoder": config.teacher_scope == "model",
        "extractor_mode": {ours: original for original, ours in _EXTRACTOR_MODES.items()}[config.feat_extract_norm],
        "feature_encoder_spec": conv_spec(config),
        "conv_pos_width": config.conv_pos_kernel_size * config.num_conv_pos_embeddings,
        "decoder": UNSUPPORTED_DECODER_OPTIONS | named_options(values, DECODER_FIELDS),
    }


def _student_options(config: Data2Vec2AudioConfig, masks: dict[str, Any]) -> dict[str, Any]:
    return trunk_options(config) | {
        **_UNSUPPORTED_MODEL_OPTIONS,
        "supported_modality": "AUDIO",
        "modalities": {"_name": None, "audio": _audio_options(config, masks)},
    }


def trunk_options(config: Data2Vec2AudioConfig | Data2Vec2VisionConfig) -> dict[str, Any]:
    """Options of trunk, targets and teacher, which all modalities have."""
    return {
        "_name": "data2vec_multi",
        **INERT_MODEL_OPTIONS,
        **UNSUPPORTED_MODEL_OPTIONS,
        **named_options(config.to_dict(), MODEL_FIELDS),
        "post_mlp_drop": config.hidden_dropout,
        "mlp_ratio": _mlp_ratio(config),
        "start_drop_path_rate": config.drop_path_rates[0],
        "end_drop_path_rate": config.drop_path_rates[1],
        "end_of_block_targets": config.target_source == "block",
        **{f"{norm}_norm_target_layer": norm in config.target_layer_norms for norm in TARGET_LAYER_NORMS},
        **{f"{norm}_norm_targets": norm in config.target_norms for norm in TARGET_NORMS},
        "ema_encoder_only": config.teacher_scope == "trunk",
    }


def _mlp_ratio(config: Data2Vec2AudioConfig | Data2Vec2VisionConfig) -> float:
    """The ratio that `int(embed_dim * ratio)` turns back into the very size."""
    ratio = config.intermediate_size / config.hidden_size
    return ratio if int(config.hidden_size * ratio) == config.intermediate_size else math.nextafter(ratio, math.inf)


def unsupported_fields(config: Data2Vec2AudioConfig) -> list[str]:
    """Fields for which the original has no option, with the value that they would need to have."""
    needed = needed_trunk_fields(config) | {
        "conv_bias": False,
        "use_weighted_layer_sum": False,
        "conv_pos_kernel_size": max(3, config.conv_pos_kernel_size),
    }
    return other_fields(config, needed)


def needed_trunk_fields(config: Data2Vec2AudioConfig | Data2Vec2VisionConfig) -> dict[str, Any]:
    """Fields of all modalities that must have certain values for the original to have an option for them."""
    return {
        "hidden_act": "gelu",
        "pre_norm_drops_residual": config.layer_norm_first or config.pre_norm_drops_residual,
        "target_layer_norms": [norm for norm in TARGET_LAYER_NORMS if norm in config.target_layer_norms],
        "target_norms": [norm for norm in TARGET_NORMS if norm in config.target_norms],
    }


def other_fields(config: PreTrainedConfig, needed: Mapping[str, Any]) -> list[str]:
    """Fields that have other values than `needed`, for people to read."""
    values = config.to_dict()
    return [
        f"{name} = {as_list(values[name])!r} (it would have to be {value!r})"
        for name, value in needed.items()
        if as_list(values[name]) != value
    ]


def different_behaviour(config: Data2Vec2AudioConfig) -> list[str]:
    """What the original will compute differently although it loads the weights."""
    found = []
    if not config.convolve_padding:
        found.append("the original lets padded frames into its convolutions (`convolve_padding`)")
    if not config.norm_targets_over_padding:
        found.append("the original normalises targets over padded frames too (`norm_targets_over_padding`)")
    return found
