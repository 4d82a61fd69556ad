# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Options of fairseq's data2vec for speech (`data2vec_audio`, and `wav2vec_ctc` around it) <-> configurations of
transformers' data2vec, and ours of its pre-training.

The dictionaries of names serve both directions: the field here -> the original's option of the same meaning.
"""

from collections.abc import Mapping
from typing import Any

from transformers import Data2VecAudioConfig

from ..models.configuration_data2vec_pretraining import Data2VecAudioPreTrainingConfig, as_pretraining_config
from .data2vec2_options import FINETUNING_MASK_FIELDS, FINETUNING_OPTIONS
from .fairseq_checkpoint import parse_conv_spec
from .options import (
    TARGET_LAYER_NORMS,
    TARGET_NORMS,
    conv_spec,
    list_missing,
    list_unsupported,
    named_fields,
    named_options,
    other_fields,
    section,
)
from .problems import Problems, one_line

_ENCODER_FIELDS = {
    "hidden_size": "encoder_embed_dim",
    "num_hidden_layers": "encoder_layers",
    "num_attention_heads": "encoder_attention_heads",
    "intermediate_size": "encoder_ffn_embed_dim",
    "hidden_act": "activation_fn",
    "hidden_dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "layerdrop": "encoder_layerdrop",
    "feat_proj_dropout": "dropout_input",
    "conv_bias": "conv_bias",
    "num_conv_pos_embeddings": "pos_conv_depth",
    "num_conv_pos_embedding_groups": "conv_pos_groups",
}
_OBJECTIVE_FIELDS = {
    "loss_beta": "loss_beta",
    "loss_scale": "loss_scale",
    "ema_decay": "ema_decay",
    "ema_end_decay": "ema_end_decay",
    "ema_anneal_end_step": "ema_anneal_end_step",
}
# The same options are the masks of fine-tuning in a fine-tuned file, which has lost those of pre-training.
_PRETRAINING_MASK_FIELDS = {
    "mask_prob": "mask_prob",
    "mask_length": "mask_length",
    "mask_dropout": "mask_dropout",
    "require_same_masks": "require_same_masks",
}
# Options from which fields are computed.
_ENCODER_SOURCES = ("conv_feature_layers", "conv_pos")
_OBJECTIVE_SOURCES = (
    "average_top_k_layers",
    "ema_transformer_only",
    "ema_layers_only",
    *(f"{norm}_norm_target_layer" for norm in TARGET_LAYER_NORMS),
    *(f"{norm}_norm_targets" for norm in TARGET_NORMS),
)
# Options that we do not have, with the value at which they do nothing, or at which transformers has fixed them.
_UNSUPPORTED_OPTIONS: dict[str, Any] = {
    "extractor_mode": "layer_norm",
    "layer_type": "transformer",
    "layer_norm_first": False,
    "conv_pos_batch_norm": False,
}
_UNSUPPORTED_MASK_OPTIONS: dict[str, Any] = {
    "mask_selection": "static",
    "mask_other": 0,
    "no_mask_overlap": False,
    "mask_min_space": 1,
}
_UNSUPPORTED_PRETRAINING_OPTIONS = _UNSUPPORTED_MASK_OPTIONS | {
    "mask_channel_prob": 0.0,
    "group_norm_target_layer": False,
}
_UNSUPPORTED_FINETUNING_OPTIONS = _UNSUPPORTED_MASK_OPTIONS | {
    "mask_channel_selection": "static",
    "mask_channel_other": 0,
    "no_mask_channel_overlap": False,
    "mask_channel_min_space": 1,
    "mask_channel_before": False,
    "mask_dropout": 0,
}
_UNSUPPORTED_CTC_OPTIONS = {"blank_weight": 0}
# Options of the original's wav2vec 2.0 that its data2vec has but does not use, those that change nothing of what we
# have (when to stop, how to save memory), and the factor on the waveform encoder's gradient, all at their defaults.
_INERT_OPTIONS: dict[str, Any] = {
    "_name": "data2vec_audio",
    "dropout_features": 0.0,
    "final_dim": 0,
    "logit_temp": 0.1,
    "quantize_targets": False,
    "quantize_input": False,
    "same_quantizer": False,
    "target_glu": False,
    "feature_grad_mult": 1.0,
    "quantizer_depth": 1,
    "quantizer_factor": 3,
    "latent_vars": 320,
    "latent_groups": 2,
    "latent_dim": 0,
    "latent_temp": [2, 0.5, 0.999995],
    "num_negatives": 100,
    "negatives_from_everywhere": False,
    "cross_sample_negatives": 0,
    "codebook_negatives": 0,
    "max_positions": 100_000,
    "checkpoint_activations": False,
    "required_seq_len_multiple": 2,
    "crop_seq_to_multiple": 1,
    "depthwise_conv_kernel_size": 31,
    "attn_type": "",
    "pos_enc_type": "abs",
    "fp16": False,
    "adp_num": -1,
    "adp_dim": 64,
    "adp_act_fn": "relu",
    "adp_trf_idx": "all",
    "mask_channel_length": 10,
    "mask_channel_before": False,
    "mask_channel_selection": "static",
    "mask_channel_other": 0,
    "no_mask_channel_overlap": False,
    "mask_channel_min_space": 1,
    "max_update": 400_000,
    "min_target_var": 0.1,
    "min_pred_var": 0.01,
}
_SCOPES = {"layers": (True, True), "transformer": (True, False), "model": (False, False)}
_ACTIVATIONS = ("gelu", "relu")


# from the original


def pretraining_fields(model: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a pre-training configuration from `cfg.model`; `None`, and `problems`, if they cannot be made."""
    options = dict(model)
    list_unsupported(options, _UNSUPPORTED_PRETRAINING_OPTIONS, problems)
    objective = (*_OBJECTIVE_FIELDS.values(), *_OBJECTIVE_SOURCES, *_PRETRAINING_MASK_FIELDS.values())
    list_missing(options, objective, problems)
    fields = _encoder_fields(options, problems)
    if fields is None:
        return None
    scope = _teacher_scope(options)
    return (
        fields
        | named_fields(options, _OBJECTIVE_FIELDS)
        | named_fields(options, _PRETRAINING_MASK_FIELDS)
        | {
            "teacher_scope": scope,
            # with a teacher of the whole model the original averages all layers, whatever the option says
            "average_top_k_layers": options["encoder_layers" if scope == "model" else "average_top_k_layers"],
            "target_layer_norms": tuple(norm for norm in TARGET_LAYER_NORMS if options[f"{norm}_norm_target_layer"]),
            "target_norms": tuple(norm for norm in TARGET_NORMS if options[f"{norm}_norm_targets"]),
            "norm_targets_over_padding": True,
        }
    )


def ctc_fields(config: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of transformers' configuration from the whole `cfg` of a fine-tuned checkpoint; `None`, and `problems`,
    if they cannot be made."""
    finetuning = section(config, "model")
    options = section(section(finetuning, "w2v_args"), "model")
    list_unsupported(finetuning, _UNSUPPORTED_CTC_OPTIONS, problems)
    list_missing(finetuning, ("apply_mask", "final_dropout"), problems)
    list_missing(options, FINETUNING_MASK_FIELDS.values(), problems)
    fields = _encoder_fields(options, problems)
    if fields is None:
        return None
    if finetuning["apply_mask"]:
        list_unsupported(options, _UNSUPPORTED_FINETUNING_OPTIONS, problems)
    masks = named_fields(options, FINETUNING_MASK_FIELDS)
    masks_nothing = not masks["mask_time_prob"] and not masks["mask_feature_prob"]
    if masks_nothing:  # or transformers' model would have no place for the mask embedding
        masks |= {"mask_time_prob": Data2VecAudioConfig().mask_time_prob}
    criterion = config.get("criterion")
    return (
        fields
        | masks
        | {
            "apply_spec_augment": bool(finetuning["apply_mask"]) and not masks_nothing,
            "mask_time_min_masks": 1,
            "final_dropout": finetuning["final_dropout"],
            "ctc_loss_reduction": "mean",
            "ctc_zero_infinity": bool(criterion.get("zero_infinity")) if isinstance(criterion, Mapping) else False,
        }
    )


def audio_training_course(model: Mapping[str, Any]) -> list[str]:
    """How the original's encoder was trained as far as a folder has no place for it, for people to read."""
    scale = model.get("feature_grad_mult", 1.0)
    return [] if scale == 1 else [f"feature_grad_mult: {scale!r:.80}"]


def _encoder_fields(options: dict[str, Any], problems: Problems) -> dict[str, Any] | None:
    list_unsupported(options, _UNSUPPORTED_OPTIONS, problems)
    list_missing(options, (*_ENCODER_FIELDS.values(), *_ENCODER_SOURCES), problems)
    if problems.missing_options:
        return None
    if options["activation_fn"] not in _ACTIVATIONS:
        problems.unsupported_options.append(f"activation_fn = {options['activation_fn']!r}")
    if options["pos_conv_depth"] == 1:  # another layer there, with a norm of its weights
        problems.unsupported_options.append("pos_conv_depth = 1")
    try:
        conv_layers = parse_conv_spec(options["conv_feature_layers"])
        kernel_size = max(3, options["conv_pos"] // options["pos_conv_depth"])
    except (TypeError, ValueError, ArithmeticError) as error:
        problems.options.append(f"The checkpoint's options make no model: {one_line(error)}")
        return None
    return named_fields(options, _ENCODER_FIELDS) | {
        "conv_dim": tuple(layer[0] for layer in conv_layers),
        "conv_kernel": tuple(layer[1] for layer in conv_layers),
        "conv_stride": tuple(layer[2] for layer in conv_layers),
        "conv_pos_kernel_size": kernel_size,
    }


def _teacher_scope(options: Mapping[str, Any]) -> str:
    if options["ema_layers_only"]:  # which there switches `ema_transformer_only` on
        return "layers"
    return "transformer" if options["ema_transformer_only"] else "model"


# to the original


def pretraining_options(config: Data2VecAudioConfig) -> dict[str, Any]:
    """`cfg.model` of a pre-training checkpoint; what the configuration does not say has the original's defaults."""
    objective = as_pretraining_config(config, Data2VecAudioPreTrainingConfig)
    masks = named_options(objective.to_dict(), _PRETRAINING_MASK_FIELDS)
    return _student_options(objective) | masks | {"mask_channel_prob": 0.0}


def ctc_options(config: Data2VecAudioConfig, task: dict[str, Any]) -> dict[str, Any]:
    """`cfg.model` of a fine-tuned checkpoint, with the student's configuration in `w2v_args`, as the original has it.

    Args:
        config: The folder's.
        task: `cfg.task` of the checkpoint.
    """
    values = config.to_dict()
    masks = named_options(values, FINETUNING_MASK_FIELDS) | {"mask_dropout": 0.0}
    pretraining_task = {name: task[name] for name in ("data", "sample_rate", "normalize")}
    w2v_args = {
        "_name": None,
        "common": {"_name": None, "seed": 1},
        "model": _student_options(as_pretraining_config(config, Data2VecAudioPreTrainingConfig))
        | {"require_same_masks": True}
        | masks,
        "task": {"_name": "audio_pretraining", "labels": None, **pretraining_task},
        "criterion": None,
        "lr_scheduler": None,
    }
    return {
        "_name": "wav2vec_ctc",
        **FINETUNING_OPTIONS,
        "normalize": task["normalize"],
        "data": task["data"],
        "dropout_input": config.feat_proj_dropout,
        "final_dropout": config.final_dropout,
        "dropout": config.hidden_dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "layerdrop": config.layerdrop,
        "feature_grad_mult": 1.0,
        "update_alibi": True,
        "apply_mask": values.get("apply_spec_augment", True),
        "zero_mask": False,
        **masks,
        "w2v_args": w2v_args,
    }


def _student_options(config: Data2VecAudioPreTrainingConfig) -> dict[str, Any]:
    values = config.to_dict()
    transformer_only, layers_only = _SCOPES[config.teacher_scope]
    return {
        **_INERT_OPTIONS,
        **_UNSUPPORTED_OPTIONS,
        **_UNSUPPORTED_MASK_OPTIONS,
        "group_norm_target_layer": False,
        **named_options(values, _ENCODER_FIELDS),
        **named_options(values, _OBJECTIVE_FIELDS),
        "average_top_k_layers": config.average_top_k_layers,
        "conv_feature_layers": conv_spec(config),
        "conv_pos": config.conv_pos_kernel_size * config.num_conv_pos_embeddings,
        "ema_transformer_only": transformer_only,
        "ema_layers_only": layers_only,
        **{f"{norm}_norm_target_layer": norm in config.target_layer_norms for norm in TARGET_LAYER_NORMS},
        **{f"{norm}_norm_targets": norm in config.target_norms for norm in TARGET_NORMS},
    }


def unsupported_audio_fields(config: Data2VecAudioConfig) -> list[str]:
    """Fields for which the original has no option, with the value that they would need to have."""
    objective = as_pretraining_config(config, Data2VecAudioPreTrainingConfig)
    values = objective.to_dict()
    needed = {
        "hidden_act": values["hidden_act"] if values["hidden_act"] in _ACTIVATIONS else "gelu",
        "feat_extract_activation": "gelu",
        "layer_norm_eps": 1e-5,
        "use_weighted_layer_sum": False,
        "conv_pos_kernel_size": max(3, objective.conv_pos_kernel_size),
        "num_conv_pos_embeddings": max(2, objective.num_conv_pos_embeddings),
        "target_layer_norms": [norm for norm in TARGET_LAYER_NORMS if norm in objective.target_layer_norms],
        "target_norms": [norm for norm in TARGET_NORMS if norm in objective.target_norms],
    }
    if objective.teacher_scope == "model":
        needed["average_top_k_layers"] = objective.num_hidden_layers
    return other_fields(objective, needed)


def different_audio_behaviour(config: Data2VecAudioConfig) -> list[str]:
    """What the original will compute differently although it loads the weights."""
    if as_pretraining_config(config, Data2VecAudioPreTrainingConfig).norm_targets_over_padding:
        return []
    return ["the original normalises targets over padded frames too (`norm_targets_over_padding`)"]
