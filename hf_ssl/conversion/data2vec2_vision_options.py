# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Options of fairseq's data2vec 2.0 for images (`data2vec_multi`, and `mae_image_classification` around it) <-> our
configuration."""

from collections.abc import Mapping
from typing import Any

from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from .data2vec2_options import (
    DECODER_FIELDS,
    MODEL_FIELDS,
    MODEL_SOURCES,
    UNSUPPORTED_DECODER_OPTIONS,
    UNSUPPORTED_MODEL_OPTIONS,
    check_copies,
    computed_trunk_fields,
    needed_trunk_fields,
    other_fields,
    trunk_options,
)
from .options import list_missing, list_unsupported, named_fields, named_options, section
from .problems import Problems, one_line

_IMAGE_FIELDS = {
    "image_size": "input_size",
    "patch_size": "patch_size",
    "num_channels": "in_chans",
    "num_extra_tokens": "num_extra_tokens",
    "num_prenet_layers": "prenet_depth",
    "prenet_dropout": "prenet_dropout",
    "prenet_layerdrop": "prenet_layerdrop",
    "mask_prob": "mask_prob",
    "mask_prob_adjust": "mask_prob_adjust",
    "mask_length": "mask_length",
    "mask_dropout": "mask_dropout",
    "inverse_mask": "inverse_mask",
    "mask_noise_std": "mask_noise_std",
}
# The 2-d decoder has one projection, whatever `projection_layers` says.
_IMAGE_DECODER_FIELDS = {ours: original for ours, original in DECODER_FIELDS.items() if "projection" not in ours}
_IMAGE_SOURCES = ("start_drop_path_rate", "end_drop_path_rate", "ema_local_encoder", "embed_dim")
# Options that we do not have, with the value at which they do nothing.
_UNSUPPORTED_IMAGE_OPTIONS = {
    "use_alibi_encoder": False,
    "fixed_positions": True,
    "transformer_decoder": False,
    "enc_dec_transformer": False,
    "local_grad_mult": 1.0,
    "mask_prob_min": None,
    "keep_masked_pct": 0,
    "remove_masks": False,
}
# Options that change nothing that we have, with the original's defaults.
_INERT_IMAGE_OPTIONS: dict[str, Any] = {
    "init_extra_token_zero": True,
    "add_masks": False,
    "encoder_zero_mask": True,
    "mask_channel_prob": 0.0,
    "mask_channel_length": 64,
    "alibi_scale": 1.0,
    "learned_alibi": False,
    "alibi_max_pos": None,
    "learned_alibi_scale": False,
    "learned_alibi_scale_per_head": False,
    "learned_alibi_scale_per_layer": False,
    "alibi_dims": 2,
    "alibi_distance": "manhattan",
}
_INERT_IMAGE_DECODER_OPTIONS = {"projection_layers": 1, "projection_ratio": 2.0}
# Options of fine-tuning itself, with the original's defaults: what images and labels go through in training, and the
# learning rates of layers. Those of the student are read where the original had entered them before: in its own.
_FINETUNING_OPTIONS: dict[str, Any] = {
    "no_pretrained_weights": False,
    "linear_classifier": False,
    "mixup": 0.8,
    "cutmix": 1.0,
    "label_smoothing": 0.1,
    "drop_path_rate": 0.1,
    "layer_decay": 0.65,
    "mixup_prob": 1.0,
    "mixup_switch_prob": 0.5,
    "mixup_mode": "batch",
    "norm_eps": None,
    "remove_alibi": False,
    "no_decay_blocks": True,
}
_TRAINING_COURSE = (
    "linear_classifier",
    "mixup",
    "cutmix",
    "label_smoothing",
    "layer_decay",
    "mixup_prob",
    "mixup_switch_prob",
    "mixup_mode",
    "no_decay_blocks",
)
_IMAGES_PER_DEVICE = 16  # of the published base recipe
_POOLINGS = {"MEAN_POOLING": "mean", "CLS_TOKEN": "cls"}


# from the original


def image_pretraining_fields(model: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a pre-training configuration from `cfg.model`; `None`, and `problems`, if they cannot be made."""
    options = dict(model)
    image = section(section(model, "modalities"), "image")
    decoder = section(image, "decoder")
    list_unsupported(options, UNSUPPORTED_MODEL_OPTIONS, problems)
    list_unsupported(image, _UNSUPPORTED_IMAGE_OPTIONS, problems)
    list_unsupported(decoder, UNSUPPORTED_DECODER_OPTIONS, problems)
    list_missing(options, (*MODEL_FIELDS.values(), *MODEL_SOURCES, "cls_loss"), problems)
    list_missing(image, (*_IMAGE_FIELDS.values(), *_IMAGE_SOURCES), problems)
    list_missing(decoder, _IMAGE_DECODER_FIELDS.values(), problems)
    if problems.missing_options:
        return None
    check_copies(options, image, problems)
    if image["embed_dim"] != options["embed_dim"]:
        problems.options.append(
            f"The image's `embed_dim` = {image['embed_dim']!r} must be the trunk's, {options['embed_dim']!r}"
        )
    try:
        computed = computed_trunk_fields(options, image)
    except (TypeError, ValueError, ArithmeticError) as error:
        problems.options.append(f"The checkpoint's options make no model: {one_line(error)}")
        return None
    return (
        named_fields(options, MODEL_FIELDS)
        | named_fields(image, _IMAGE_FIELDS)
        | named_fields(decoder, _IMAGE_DECODER_FIELDS)
        | computed
        | {"cls_loss_weight": options["cls_loss"], "cls_loss_reduction": "sum"}
    )


def image_classifier_fields(config: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Fields of a fine-tuned configuration from the whole `cfg`; `None`, and `problems`, if they cannot be made."""
    finetuning = section(config, "model")
    student = section(section(finetuning, "pretrained_model_args"), "model")
    list_missing(finetuning, ("num_classes", "prediction_mode", "use_fc_norm"), problems)
    fields = image_pretraining_fields(student, problems)
    if fields is None:
        return None
    mode = str(finetuning["prediction_mode"]).rpartition(".")[2]
    if mode not in _POOLINGS:
        problems.unsupported_options.append(f"prediction_mode = {finetuning['prediction_mode']!r}")
        return None
    return fields | {
        "num_labels": finetuning["num_classes"],
        "problem_type": "single_label_classification",
        "pooling": _POOLINGS[mode],
        "use_pooled_layer_norm": finetuning["use_fc_norm"],
    }


def image_training_course(config: Mapping[str, Any]) -> list[str]:
    """How the original was fine-tuned as far as a folder has no place for it, for people to read."""
    finetuning = section(config, "model")
    return [f"{name}: {finetuning[name]!r:.80}" for name in _TRAINING_COURSE if name in finetuning]


# to the original


def image_pretraining_options(config: Data2Vec2VisionConfig) -> dict[str, Any]:
    """`cfg.model` of a pre-training checkpoint; what our configuration does not say has the original's defaults."""
    return trunk_options(config) | {
        "supported_modality": "IMAGE",
        "cls_loss": _original_cls_loss(config),
        "max_update": config.ema_anneal_end_step,
        "modalities": {"_name": None, "image": _image_options(config)},
    }


def image_classifier_options(config: Data2Vec2VisionConfig, task: dict[str, Any]) -> dict[str, Any]:
    """`cfg.model` of a fine-tuned checkpoint, with the student's configuration in `pretrained_model_args`.

    Args:
        config: The folder's.
        task: `cfg.task` of the checkpoint.
    """
    pretrained_model_args = {
        "_name": None,
        "common": {"_name": None, "seed": 1},
        "model": image_pretraining_options(config),
        "task": {"_name": "mae_image_pretraining", "data": task["data"]},
        "criterion": None,
        "lr_scheduler": None,
    }
    return {
        "_name": "mae_image_classification",
        "model_path": "",
        **_FINETUNING_OPTIONS,
        "num_classes": config.num_labels,
        "data": task["data"],
        "encoder_dropout": config.hidden_dropout,
        "post_mlp_drop": config.hidden_dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "dropout_input": config.input_dropout,
        "layerdrop": config.layerdrop,
        "prenet_layerdrop": config.prenet_layerdrop,
        "prenet_dropout": config.prenet_dropout,
        "drop_path_rate": config.drop_path_rates[1],
        "use_fc_norm": config.use_pooled_layer_norm,
        "prediction_mode": {ours: original for original, ours in _POOLINGS.items()}[config.pooling],
        "pretrained_model_args": pretrained_model_args,
    }


def _original_cls_loss(config: Data2Vec2VisionConfig) -> float | int:
    """The weight of a sum over the masked copies of a device that is ours at the original's 16 images."""
    is_sum = config.cls_loss_reduction == "sum"
    return config.cls_loss_weight if is_sum else config.cls_loss_weight / (_IMAGES_PER_DEVICE * config.num_masks)


def _image_options(config: Data2Vec2VisionConfig) -> dict[str, Any]:
    values = config.to_dict()
    return {
        "_name": None,
        "type": "IMAGE",
        **_UNSUPPORTED_IMAGE_OPTIONS,
        **_INERT_IMAGE_OPTIONS,
        **named_options(values, _IMAGE_FIELDS),
        "embed_dim": config.hidden_size,
        "start_drop_path_rate": config.prenet_drop_path_rates[0],
        "end_drop_path_rate": config.prenet_drop_path_rates[1],
        "num_alibi_heads": config.num_attention_heads,
        "model_depth": config.num_hidden_layers,
        "ema_local_encoder": config.teacher_scope == "model",
        "decoder": {
            **UNSUPPORTED_DECODER_OPTIONS,
            **_INERT_IMAGE_DECODER_OPTIONS,
            **named_options(values, _IMAGE_DECODER_FIELDS),
        },
    }


def unsupported_image_fields(config: Data2Vec2VisionConfig) -> list[str]:
    """Fields for which the original has no option, with the value that they would need to have."""
    needed = needed_trunk_fields(config) | {"final_dropout": 0.0}
    return other_fields(config, needed)


def different_image_behaviour(config: Data2Vec2VisionConfig) -> list[str]:
    """What the original will compute differently although it loads the weights."""
    if config.cls_loss_weight > 0 and config.cls_loss_reduction == "mean":
        return ["the original sums the CLS token's loss over the images of a device (`cls_loss_reduction`)"]
    return []
