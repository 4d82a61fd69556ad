# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Configurations of data2vec's pre-training: transformers' own ones with the fields of the objective.

They keep transformers' `model_type`, so that a pre-training folder opens in transformers' own classes, which carry the
fields of the objective along without using them.
"""

import copy
from typing import Any, Protocol, TypeVar

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig
from transformers.models.data2vec.configuration_data2vec_audio import Data2VecAudioConfig

from .waveforms import count_frames, count_samples

TARGET_NORMS = ("batch", "instance", "layer")

# Which class opens a folder for pre-training where this package is not installed (`trust_remote_code=True`). Nothing
# but that: every other Auto class takes transformers' own class, with or without this package.
AUDIO_AUTO_MAP = {"AutoModelForPreTraining": "modeling_data2vec_audio_pretraining.Data2VecAudioForPreTraining"}

ConfigType = TypeVar("ConfigType", bound=PreTrainedConfig)


class ObjectiveFields(Protocol):
    """Fields of the objective that all modalities have."""

    num_hidden_layers: int
    mask_prob: float | int
    mask_length: int
    average_top_k_layers: int
    target_layer_norms: list[str] | tuple[str, ...]
    target_norms: list[str] | tuple[str, ...]
    teacher_scope: str


def as_pretraining_config(config: PreTrainedConfig, config_class: type[ConfigType]) -> ConfigType:
    """transformers' own configuration as one of pre-training.

    Fields that it has, also further ones from a pre-training folder, keep their values; the others get the defaults of
    `config_class`, except that a network of fewer layers than the default average has targets of all of them.
    """
    if isinstance(config, config_class):
        return config
    fields = {name: value for name, value in copy.deepcopy(config.__dict__).items() if name != "auto_map"}
    pretraining_config: Any = config_class()
    for name, value in fields.items():
        setattr(pretraining_config, name, value)
    if "average_top_k_layers" not in fields:
        num_layers = min(pretraining_config.average_top_k_layers, pretraining_config.num_hidden_layers)
        pretraining_config.average_top_k_layers = num_layers
    pretraining_config.validate()
    return pretraining_config


def validate_objective(config: ObjectiveFields, teacher_scopes: tuple[str, ...]) -> None:
    """
    Raises:
        ValueError: A field of the objective is out of range.
    """
    if not 1 <= config.average_top_k_layers <= config.num_hidden_layers:
        raise ValueError(
            f"`average_top_k_layers` must be between 1 and `num_hidden_layers` = {config.num_hidden_layers}, but is "
            f"{config.average_top_k_layers}."
        )
    if not 0 < config.mask_prob <= 1:
        raise ValueError(f"`mask_prob` must be above 0 and at most 1, but is {config.mask_prob}.")
    if config.mask_length < 1:
        raise ValueError(f"`mask_length` must be at least 1, but is {config.mask_length}.")
    if config.teacher_scope not in teacher_scopes:
        raise ValueError(f"`teacher_scope` must be one of {teacher_scopes}, but is {config.teacher_scope!r}.")
    for norm in (*config.target_layer_norms, *config.target_norms):
        if norm not in TARGET_NORMS:
            raise ValueError(f"Target normalisations must be among {TARGET_NORMS}, but {norm!r} was given.")


@strict
class Data2VecAudioPreTrainingConfig(Data2VecAudioConfig):
    r"""
    Configuration of data2vec's pre-training on speech ([data2vec: A General Framework for Self-supervised Learning in
    Speech, Vision and Language](https://huggingface.co/papers/2202.03555)). The defaults are the published base model
    (`base_librispeech.yaml` of the original code); they differ from `Data2VecAudioConfig` in `layerdrop` and
    `activation_dropout`, and in `ctc_loss_reduction`, for fine-tuning.

    Args:
        mask_prob (`float`, *optional*, defaults to 0.65), mask_length (`int`, *optional*, defaults to 10),
        mask_dropout (`float`, *optional*, defaults to 0.0):
            Share of frames to mask if spans did not overlap, frames per span, and share of masked frames that are
            unmasked again, in pre-training: see [`~hf_ssl.models.masking.draw_mask_indices`]. Those of fine-tuning are
            `mask_time_*` and `mask_feature_*`.
        require_same_masks (`bool`, *optional*, defaults to `False`):
            Unmask frames until all utterances of a batch have as many masked ones as the one with the fewest, as in
            the original, whose batches are cropped to equal lengths. A mask then depends on its batch.
        average_top_k_layers (`int`, *optional*, defaults to 8): Layers of the teacher in the targets.
        target_layer_norms, target_norms (`tuple[str]`, *optional*, default to `("instance",)` and `()`):
            Normalisations of each layer and of their average, in order: `"batch"`, `"instance"`, `"layer"`.
        norm_targets_over_padding (`bool`, *optional*, defaults to `False`):
            Let padded frames into the statistics of `"instance"` and `"batch"`, as the original does.
        loss_beta (`float`, *optional*, defaults to 0.0): Of the smooth L1 loss; 0 for L2.
        loss_scale (`float`, *optional*): Factor on the loss; `1 / sqrt(hidden_size)` if `None`.
        ema_decay, ema_end_decay (`float`), ema_anneal_end_step (`int`):
            Schedule of the teacher, see [`~hf_ssl.models.teacher.ema_decay`].
        teacher_scope (`str`, *optional*, defaults to `"layers"`):
            What the teacher averages: `"layers"` (the transformer; its convolutional positions are copied from the
            student after every step: `ema_layers_only` of the original), `"transformer"` (with the positions:
            `ema_transformer_only`) or `"model"` (with the waveform encoder too). It shares the rest.
        kwargs: All fields of `Data2VecAudioConfig`.
    """

    layerdrop: float | int = 0.05
    activation_dropout: float | int = 0.0
    ctc_loss_reduction: str = "mean"
    mask_prob: float | int = 0.65
    mask_length: int = 10
    mask_dropout: float | int = 0.0
    require_same_masks: bool = False
    average_top_k_layers: int = 8
    target_layer_norms: list[str] | tuple[str, ...] = ("instance",)
    target_norms: list[str] | tuple[str, ...] = ()
    norm_targets_over_padding: bool = False
    loss_beta: float | int = 0.0
    loss_scale: float | int | None = None
    ema_decay: float | int = 0.999
    ema_end_decay: float | int = 0.9999
    ema_anneal_end_step: int = 30_000
    teacher_scope: str = "layers"

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.auto_map = dict(AUDIO_AUTO_MAP)

    def validate_architecture(self):
        """Part of the validation by `@strict`: what the fields must be in relation to each other."""
        super().validate_architecture()
        validate_objective(self, ("layers", "transformer", "model"))
        if self.add_adapter:
            raise ValueError("`add_adapter` must be false: the adapter is for fine-tuning, and would not be trained.")

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees: the shortest input, in samples."""
        return count_samples(self.conv_kernel, self.conv_stride)

    def num_frames(self, num_samples: int) -> int:
        """Frames that the waveform encoder makes of `num_samples` samples; 0 or less if they are too few."""
        return count_frames(num_samples, self.conv_kernel, self.conv_stride)


__all__ = ["Data2VecAudioPreTrainingConfig"]
