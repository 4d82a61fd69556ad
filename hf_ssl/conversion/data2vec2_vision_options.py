# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Options of fairseq's data2vec 2.0 for images (`data2vec_multi`, and `mae_image_classification` around it) <-> our
configuration."""

from collections.abc import Mapping
from typing import Any

from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from .options import list_missing, list_unsupported, named_fields, named_options, section
from .problems import Problems
from .trunk_options import IMAGE_FIELDS, modality_sections, other_trunk_fields, student_fields, student_options

_IMAGE_FIELDS = {
    "image_size": "input_size",
    "patch_size": "patch_size",
    "num_channels": "in_chans",
    "num_extra_tokens": "num_extra_tokens",
    "mask_prob": "mask_prob",
    "mask_prob_adjust": "mask_prob_adjust",
    "mask_length": "mask_length",
    "mask_dropout": "mask_dropout",
    "inverse_mask": "inverse_mask",
    "mask_noise_std": "mask_noise_std",
}
# Options that we do not have, with the value at which they do nothing.
_UNSUPPORTED_IMAGE_OPTIONS = {
    "use_alibi_encoder": False,
    "fixed_positions": True,
    "transformer_decoder": False,
    "enc_dec_transformer": False,
    "local_grad_mult": 1.0,
    "keep_masked_pct": 0,
    "remove_masks": False,
}
# Options that change nothing that we have, with the original's defaults.
_INERT_IMAGE_OPTIONS: dict[str, Any] = {
    "encoder_zero_mask": True,
    "mask_channel_prob": 0.0,
    "alibi_scale": 1.0,
    "learned_alibi": False,
    "learned_alibi_scale": False,
    "learned_alibi_scale_per_head": False,
    "learned_alibi_scale_per_layer": False,
    "alibi_dims": 2,
    "alibi_distance": "manhattan",
}
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
    sections = modality_sections(model, "image")
    image = sections.modality
    list_unsupported(image, _UNSUPPORTED_IMAGE_OPTIONS, problems)
    list_missing(sections.model, ("cls_loss",), problems)
    list_missing(image, (*_IMAGE_FIELDS.values(), "embed_dim"), problems)
    fields = student_fields(sections, IMAGE_FIELDS, problems)
    if fields is None:
        return None
    if image["embed_dim"] != sections.model["embed_dim"]:
        problems.options.append(
            f"The image's `embed_dim` = {image['embed_dim']!r} must be the trunk's, {sections.model['embed_dim']!r}"
        )
    cls_loss = {"cls_loss_weight": sections.model["cls_loss"], "cls_loss_reduction": "sum"}
    return fields | named_fields(image, _IMAGE_FIELDS) | cls_loss


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
    image = {
        **_UNSUPPORTED_IMAGE_OPTIONS,
        **_INERT_IMAGE_OPTIONS,
        **named_options(config.to_dict(), _IMAGE_FIELDS),
        "embed_dim": config.hidden_size,
    }
    options = student_options(config, "image", IMAGE_FIELDS, image)
    return options | {"cls_loss": _original_cls_loss(config), "max_update": config.ema_anneal_end_step}


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


def unsupported_image_fields(config: Data2Vec2VisionConfig) -> list[str]:
    """Fields for which the original has no option, with the value that they would need to have."""
    return other_trunk_fields(config, {"final_dropout": 0.0})


def different_image_behaviour(config: Data2Vec2VisionConfig) -> list[str]:
    """What the original will compute differently although it loads the weights."""
    if config.cls_loss_weight > 0 and config.cls_loss_reduction == "mean":
        return ["the original sums the CLS token's loss over the images of a device (`cls_loss_reduction`)"]
    return []
