# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Named sizes of models: the keyword arguments of their configurations."""

from typing import Any

from ..models.configuration_best_rq import BestRqConfig
from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from ..models.configuration_data2vec_pretraining import (
    Data2VecAudioPreTrainingConfig,
    Data2VecTextPreTrainingConfig,
    Data2VecVisionPreTrainingConfig,
)

# For tests: some thousand parameters, and a waveform encoder of two layers. It learns nothing of use.
DATA2VEC2_AUDIO_TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": [16, 16],
    "conv_kernel": [20, 16],
    "conv_stride": [16, 16],
    "num_conv_pos_embeddings": 2,
    "conv_pos_kernel_size": 3,
    "num_conv_pos_embedding_groups": 4,
    "num_masks": 2,
    "decoder_hidden_size": 16,
    "decoder_num_layers": 2,
    "decoder_kernel_size": 3,
    "decoder_groups": 4,
    "average_top_k_layers": 2,
    "ema_anneal_end_step": 100,
    "classifier_proj_size": 16,
    "tdnn_dim": [16, 16],
    "tdnn_kernel": [3, 1],
    "tdnn_dilation": [1, 1],
    "xvector_output_dim": 16,
}

# For a laptop and for hours, not months, of speech. On a CPU the published seven-layer waveform encoder costs more
# than all the rest; three layers with the same 20 ms per frame cost half as much. Dropout and LayerDrop are for runs
# of hundreds of thousands of steps, and so is the published schedule of the teacher: in hundreds of steps an average
# with a decay of 0.999 would hardly leave its random beginning. A teacher that follows so fast must have a local
# encoder of its own: with the student's, as published, targets collapsed to functions of the position in time within
# 50 steps (`between_utterance_share` .96 -> .18) while the loss fell.
DATA2VEC2_AUDIO_SMALL: dict[str, Any] = {
    "hidden_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "intermediate_size": 768,
    "conv_dim": [128, 192, 256],
    "conv_kernel": [20, 16, 8],
    "conv_stride": [10, 8, 4],
    "num_conv_pos_embeddings": 3,
    "conv_pos_kernel_size": 9,
    "num_conv_pos_embedding_groups": 8,
    "decoder_hidden_size": 128,
    "decoder_num_layers": 3,
    "decoder_groups": 8,
    "average_top_k_layers": 4,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "prenet_dropout": 0.0,
    "decoder_input_dropout": 0.0,
    "layerdrop": 0.0,
    "prenet_layerdrop": 0.0,
    "teacher_scope": "model",
    "ema_decay": 0.99,
    "ema_end_decay": 0.999,
    "ema_anneal_end_step": 1000,
}

# The published base model is what `Data2Vec2AudioConfig` gives by itself.
DATA2VEC2_AUDIO_BASE: dict[str, Any] = {}

# `config/v2/large_audio_only_task.yaml` of the original: 8 layers of prenet and 16 that targets are made of.
DATA2VEC2_AUDIO_LARGE: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 16,
    "num_prenet_layers": 8,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "layerdrop": 0.0,
    "prenet_layerdrop": 0.0,
    "num_masks": 12,
    "mask_prob": 0.55,
    "mask_prob_adjust": 0.1,
    "decoder_hidden_size": 768,
    "average_top_k_layers": 16,
    "ema_decay": 0.9997,
    "ema_end_decay": 1.0,
    "ema_anneal_end_step": 300_000,
}


def data2vec2_audio_config(size: str, **overrides: Any) -> Data2Vec2AudioConfig:
    """The configuration of a data2vec 2.0 speech model of a named size.

    Args:
        size (`str`): `"tiny"` (tests), `"small"` (laptop), `"base"` or `"large"` (both as published).
        **overrides: Fields to set otherwise.

    Raises:
        ValueError: There is no such size.
    """
    match size:
        case "tiny":
            fields = DATA2VEC2_AUDIO_TINY
        case "small":
            fields = DATA2VEC2_AUDIO_SMALL
        case "base":
            fields = DATA2VEC2_AUDIO_BASE
        case "large":
            fields = DATA2VEC2_AUDIO_LARGE
        case _:
            raise ValueError(f"Expected the size tiny, small, base or large, got {size!r}.")
    return Data2Vec2AudioConfig(**(fields | overrides))


# For tests: some thousand parameters and 16 patches.
DATA2VEC2_VISION_TINY: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_prenet_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_masks": 2,
    "decoder_hidden_size": 16,
    "decoder_num_layers": 2,
    "decoder_groups": 4,
    "average_top_k_layers": 2,
    "ema_anneal_end_step": 100,
}

# For a laptop, small images and hundreds of updates: 64 patches, a fast teacher as for speech, and fewer masks, which
# on a CPU cost what they encode.
DATA2VEC2_VISION_SMALL: dict[str, Any] = {
    "image_size": 64,
    "patch_size": 8,
    "hidden_size": 192,
    "num_hidden_layers": 5,
    "num_prenet_layers": 1,
    "num_attention_heads": 6,
    "intermediate_size": 768,
    "num_masks": 8,
    "mask_prob": 0.7,
    "mask_prob_adjust": 0.1,
    "decoder_hidden_size": 192,
    "decoder_num_layers": 3,
    "decoder_groups": 8,
    "average_top_k_layers": 4,
    "cls_loss_weight": 1.0,
    "ema_decay": 0.99,
    "ema_end_decay": 0.999,
    "ema_anneal_end_step": 1000,
}

# The published base model is what `Data2Vec2VisionConfig` gives by itself.
DATA2VEC2_VISION_BASE: dict[str, Any] = {}

# `config/v2/large_images_only_task.yaml` of the original. Its 8 images of 16 masks per device make .01 of the sum of
# the CLS losses 1.28 of their mean.
DATA2VEC2_VISION_LARGE: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_prenet_layers": 0,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "mask_prob": 0.75,
    "mask_prob_adjust": 0.1,
    "decoder_hidden_size": 1024,
    "decoder_num_layers": 3,
    "decoder_kernel_size": 5,
    "average_top_k_layers": 18,
    "cls_loss_weight": 1.28,
    "ema_anneal_end_step": 150_000,
}

# `config/v2/huge_images_only_task.yaml`: as large, but for these.
DATA2VEC2_VISION_HUGE: dict[str, Any] = DATA2VEC2_VISION_LARGE | {
    "hidden_size": 1280,
    "num_hidden_layers": 32,
    "intermediate_size": 5120,
    "average_top_k_layers": 24,
    "ema_end_decay": 0.99995,
}


def data2vec2_vision_config(size: str, **overrides: Any) -> Data2Vec2VisionConfig:
    """The configuration of a data2vec 2.0 image model of a named size.

    Args:
        size (`str`): `"tiny"` (tests), `"small"` (laptop), `"base"`, `"large"` or `"huge"` (these as published).
        **overrides: Fields to set otherwise.

    Raises:
        ValueError: There is no such size.
    """
    match size:
        case "tiny":
            fields = DATA2VEC2_VISION_TINY
        case "small":
            fields = DATA2VEC2_VISION_SMALL
        case "base":
            fields = DATA2VEC2_VISION_BASE
        case "large":
            fields = DATA2VEC2_VISION_LARGE
        case "huge":
            fields = DATA2VEC2_VISION_HUGE
        case _:
            raise ValueError(f"Expected the size tiny, small, base, large or huge, got {size!r}.")
    return Data2Vec2VisionConfig(**(fields | overrides))


# For tests: some thousand parameters.
BEST_RQ_TINY: dict[str, Any] = {
    "conv_dim": [8, 4],
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_kernel_size": 5,
    "codebook_size": 64,
    "codebook_dim": 8,
    "mask_length": 8,
    "mask_prob": 0.05,
    "classifier_proj_size": 16,
    "tdnn_dim": [16, 16],
    "tdnn_kernel": [3, 1],
    "tdnn_dilation": [1, 1],
    "xvector_output_dim": 16,
}

# For a laptop and for hours, not months, of speech: a small codebook, because every code must be met often enough to
# be learned, and no dropout, which is for runs of hundreds of thousands of steps.
BEST_RQ_SMALL: dict[str, Any] = {
    "conv_dim": [64, 16],
    "hidden_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "intermediate_size": 768,
    "conv_kernel_size": 15,
    "codebook_size": 1024,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "subsampling_dropout": 0.0,
}

# The open-source base model is what `BestRqConfig` gives by itself.
BEST_RQ_BASE: dict[str, Any] = {}


def best_rq_config(size: str, **overrides: Any) -> BestRqConfig:
    """The configuration of a BEST-RQ model of a named size.

    Args:
        size (`str`): `"tiny"` (tests), `"small"` (laptop) or `"base"` (the open-source recipe's).
        **overrides: Fields to set otherwise.

    Raises:
        ValueError: There is no such size.
    """
    match size:
        case "tiny":
            fields = BEST_RQ_TINY
        case "small":
            fields = BEST_RQ_SMALL
        case "base":
            fields = BEST_RQ_BASE
        case _:
            raise ValueError(f"Expected the size tiny, small or base, got {size!r}.")
    return BestRqConfig(**(fields | overrides))


# For tests: some thousand parameters, and a waveform encoder of two layers. It learns nothing of use.
DATA2VEC_AUDIO_TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": [16, 16],
    "conv_kernel": [20, 16],
    "conv_stride": [16, 16],
    "num_conv_pos_embeddings": 2,
    "conv_pos_kernel_size": 3,
    "num_conv_pos_embedding_groups": 4,
    "mask_length": 5,
    "average_top_k_layers": 2,
    "ema_anneal_end_step": 100,
    "classifier_proj_size": 16,
    "tdnn_dim": [16, 16],
    "tdnn_kernel": [3, 1],
    "tdnn_dilation": [1, 1],
    "xvector_output_dim": 16,
}

# For a laptop: the encoder of data2vec 2.0's small model, and its fast teacher with a waveform encoder of its own, for
# the reasons given there.
DATA2VEC_AUDIO_SMALL: dict[str, Any] = {
    "hidden_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "intermediate_size": 768,
    "conv_dim": [128, 192, 256],
    "conv_kernel": [20, 16, 8],
    "conv_stride": [10, 8, 4],
    "num_conv_pos_embeddings": 3,
    "conv_pos_kernel_size": 9,
    "num_conv_pos_embedding_groups": 8,
    "average_top_k_layers": 4,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "layerdrop": 0.0,
    "teacher_scope": "model",
    "ema_decay": 0.99,
    "ema_end_decay": 0.999,
    "ema_anneal_end_step": 1000,
}

# The published base model is what `Data2VecAudioPreTrainingConfig` gives by itself.
DATA2VEC_AUDIO_BASE: dict[str, Any] = {}


def data2vec_audio_config(size: str, **overrides: Any) -> Data2VecAudioPreTrainingConfig:
    """The configuration of a data2vec speech model of a named size.

    Args:
        size (`str`): `"tiny"` (tests), `"small"` (laptop) or `"base"` (as published).
        **overrides: Fields to set otherwise.

    Raises:
        ValueError: There is no such size.
    """
    match size:
        case "tiny":
            fields = DATA2VEC_AUDIO_TINY
        case "small":
            fields = DATA2VEC_AUDIO_SMALL
        case "base":
            fields = DATA2VEC_AUDIO_BASE
        case _:
            raise ValueError(f"Expected the size tiny, small or base, got {size!r}.")
    return Data2VecAudioPreTrainingConfig(**(fields | overrides))


# For tests: the encoder of data2vec's tiny model.
DATA2VEC_AQC_TINY: dict[str, Any] = DATA2VEC_AUDIO_TINY | {
    "proj_codevector_dim": 16,
    "num_codevectors_per_group": 8,
    "num_negatives": 6,
    "cluster_factor": 4,
    "num_kmeans_iterations": 5,
}

# For a laptop: data2vec's small model with a small codebook, because every code must be met often enough to be
# learned, with a temperature that falls within the run, and with ten times the weight on the diversity of codes.
DATA2VEC_AQC_SMALL: dict[str, Any] = DATA2VEC_AUDIO_SMALL | {
    "proj_codevector_dim": 128,
    "num_codevectors_per_group": 64,
    "gumbel_temperature": [2.0, 0.5, 0.999],
    "diversity_loss_weight": 1.0,
    "num_negatives": 50,
}

# The published base model is what `Data2VecAqcConfig` gives by itself.
DATA2VEC_AQC_BASE: dict[str, Any] = {}


def data2vec_aqc_config(size: str, **overrides: Any) -> Data2VecAqcConfig:
    """The configuration of a data2vec-aqc model of a named size.

    Args:
        size (`str`): `"tiny"` (tests), `"small"` (laptop) or `"base"` (as published).
        **overrides: Fields to set otherwise.

    Raises:
        ValueError: There is no such size.
    """
    match size:
        case "tiny":
            fields = DATA2VEC_AQC_TINY
        case "small":
            fields = DATA2VEC_AQC_SMALL
        case "base":
            fields = DATA2VEC_AQC_BASE
        case _:
            raise ValueError(f"Expected the size tiny, small or base, got {size!r}.")
    return Data2VecAqcConfig(**(fields | overrides))


# For tests: some thousand parameters.
DATA2VEC2_TEXT_TINY: dict[str, Any] = {
    "vocab_size": 300,
    "max_position_embeddings": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_masks": 2,
    "decoder_hidden_size": 16,
    "decoder_num_layers": 2,
    "decoder_kernel_size": 3,
    "average_top_k_layers": 2,
    "ema_anneal_end_step": 100,
}

# For a laptop and for megabytes, not gigabytes, of text. Dropout is for runs of hundreds of thousands of steps, and so
# is the published schedule of the teacher, which would hardly leave its random beginning in hundreds of steps.
DATA2VEC2_TEXT_SMALL: dict[str, Any] = {
    "vocab_size": 8000,
    "max_position_embeddings": 512,
    "hidden_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "intermediate_size": 768,
    "decoder_hidden_size": 192,
    "decoder_num_layers": 3,
    "average_top_k_layers": 6,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "embedding_dropout": 0.0,
    "decoder_input_dropout": 0.0,
    "ema_decay": 0.99,
    "ema_end_decay": 0.999,
    "ema_anneal_end_step": 1000,
}

# The published base model is what `Data2Vec2TextConfig` gives by itself.
DATA2VEC2_TEXT_BASE: dict[str, Any] = {}

# `config/v2/large_text_only_task_pgrp_1M.yaml` of the original.
DATA2VEC2_TEXT_LARGE: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "mask_prob": 0.5,
    "average_top_k_layers": 24,
    "target_layer_norms": ["layer"],
    "target_norms": ["instance"],
    "loss_beta": 4.0,
}


def data2vec2_text_config(size: str, **overrides: Any) -> Data2Vec2TextConfig:
    """The configuration of a data2vec 2.0 text model of a named size.

    Args:
        size (`str`): `"tiny"` (tests), `"small"` (laptop), `"base"` or `"large"` (both as published).
        **overrides: Fields to set otherwise.

    Raises:
        ValueError: There is no such size.
    """
    match size:
        case "tiny":
            fields = DATA2VEC2_TEXT_TINY
        case "small":
            fields = DATA2VEC2_TEXT_SMALL
        case "base":
            fields = DATA2VEC2_TEXT_BASE
        case "large":
            fields = DATA2VEC2_TEXT_LARGE
        case _:
            raise ValueError(f"Expected the size tiny, small, base or large, got {size!r}.")
    return Data2Vec2TextConfig(**(fields | overrides))


# For tests: some thousand parameters.
DATA2VEC_TEXT_TINY: dict[str, Any] = {
    "vocab_size": 300,
    "max_position_embeddings": 66,
    "type_vocab_size": 1,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "average_top_k_layers": 2,
    "ema_anneal_end_step": 100,
}

# For a laptop and for megabytes of text: the encoder and the fast teacher of data2vec 2.0's small model, for the
# reasons given there.
DATA2VEC_TEXT_SMALL: dict[str, Any] = {
    "vocab_size": 8000,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "hidden_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "intermediate_size": 768,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "average_top_k_layers": 5,
    "ema_decay": 0.99,
    "ema_end_decay": 0.999,
    "ema_anneal_end_step": 1000,
}

# The published encoder; its objective (`config/text/pretraining/base.yaml` of the original) is what
# `Data2VecTextPreTrainingConfig` gives by itself.
DATA2VEC_TEXT_BASE: dict[str, Any] = {
    "vocab_size": 50_265,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}


def data2vec_text_config(size: str, **overrides: Any) -> Data2VecTextPreTrainingConfig:
    """The configuration of a data2vec text model of a named size.

    Args:
        size (`str`): `"tiny"` (tests), `"small"` (laptop) or `"base"` (as published).
        **overrides: Fields to set otherwise.

    Raises:
        ValueError: There is no such size.
    """
    match size:
        case "tiny":
            fields = DATA2VEC_TEXT_TINY
        case "small":
            fields = DATA2VEC_TEXT_SMALL
        case "base":
            fields = DATA2VEC_TEXT_BASE
        case _:
            raise ValueError(f"Expected the size tiny, small or base, got {size!r}.")
    return Data2VecTextPreTrainingConfig(**(fields | overrides))


# In pre-training the original has one table of relative positions for all layers, and ViT's epsilon.
_SHARED_POSITIONS: dict[str, Any] = {
    "use_relative_position_bias": False,
    "use_shared_relative_position_bias": True,
    "layer_norm_eps": 1e-6,
}

# For tests: some thousand parameters and 16 patches.
DATA2VEC_VISION_TINY: dict[str, Any] = _SHARED_POSITIONS | {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "layer_scale_init_value": 0.1,
    "out_indices": [0, 0, 1, 1],
    "num_mask_patches": 9,
    "min_mask_patches_per_block": 2,
    "max_mask_patches_per_block": 8,
    "average_top_k_layers": 2,
    "ema_anneal_end_step": 100,
}

# For a laptop, small images and thousands of updates: 64 patches, of which 39 are masked (the published share), a fast
# teacher as for speech, layers that speak from the first update on, and no stochastic depth.
DATA2VEC_VISION_SMALL: dict[str, Any] = _SHARED_POSITIONS | {
    "image_size": 64,
    "patch_size": 8,
    "hidden_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "intermediate_size": 768,
    "layer_scale_init_value": 0.1,
    "drop_path_rate": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "out_indices": [1, 2, 3, 5],
    "num_mask_patches": 39,
    "min_mask_patches_per_block": 5,
    "max_mask_patches_per_block": 64,
    "average_top_k_layers": 4,
    "ema_decay": 0.99,
    "ema_end_decay": 0.999,
    "ema_anneal_end_step": 1000,
}

# The command for ViT-B of the original's own repository for images; the rest is what
# `Data2VecVisionPreTrainingConfig` gives by itself.
DATA2VEC_VISION_BASE: dict[str, Any] = _SHARED_POSITIONS

# The command for ViT-L there, for its first 800 epochs.
DATA2VEC_VISION_LARGE: dict[str, Any] = _SHARED_POSITIONS | {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "layer_scale_init_value": 1e-5,
    "drop_path_rate": 0.2,
    "attention_probs_dropout_prob": 0.15,
    "out_indices": [7, 11, 15, 23],
}


def data2vec_vision_config(size: str, **overrides: Any) -> Data2VecVisionPreTrainingConfig:
    """The configuration of a data2vec image model of a named size.

    Args:
        size (`str`): `"tiny"` (tests), `"small"` (laptop), `"base"` or `"large"` (both as published).
        **overrides: Fields to set otherwise.

    Raises:
        ValueError: There is no such size.
    """
    match size:
        case "tiny":
            fields = DATA2VEC_VISION_TINY
        case "small":
            fields = DATA2VEC_VISION_SMALL
        case "base":
            fields = DATA2VEC_VISION_BASE
        case "large":
            fields = DATA2VEC_VISION_LARGE
        case _:
            raise ValueError(f"Expected the size tiny, small, base or large, got {size!r}.")
    return Data2VecVisionPreTrainingConfig(**(fields | overrides))
