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
from transformers.models.data2vec.configuration_data2vec_text import Data2VecTextConfig
from transformers.models.data2vec.configuration_data2vec_vision import Data2VecVisionConfig

from .option_checks import check_regression
from .size_checks import check_transformer
from .waveforms import count_frames, count_samples

TARGET_NORMS = ("batch", "instance", "layer")
_PUBLISHED_PATCHES = 14 * 14

# Which class opens a folder for pre-training where this package is not installed (`trust_remote_code=True`). Nothing
# but that: every other Auto class takes transformers' own class, with or without this package.
AUDIO_AUTO_MAP = {"AutoModelForPreTraining": "modeling_data2vec_audio_pretraining.Data2VecAudioForPreTraining"}
TEXT_AUTO_MAP = {"AutoModelForPreTraining": "modeling_data2vec_text_pretraining.Data2VecTextForPreTraining"}
VISION_AUTO_MAP = {"AutoModelForPreTraining": "modeling_data2vec_vision_pretraining.Data2VecVisionForPreTraining"}

ConfigType = TypeVar("ConfigType", bound=PreTrainedConfig)


class ObjectiveFields(Protocol):
    """Fields of the objective that all modalities have."""

    num_hidden_layers: int
    average_top_k_layers: int
    target_layer_norms: list[str] | tuple[str, ...]
    target_norms: list[str] | tuple[str, ...]
    loss_beta: float | int
    loss_scale: float | int | None
    ema_decay: float | int
    ema_end_decay: float | int
    ema_anneal_end_step: int
    teacher_scope: str


def as_pretraining_config(config: PreTrainedConfig, config_class: type[ConfigType], **needed: Any) -> ConfigType:
    """transformers' own configuration as one of pre-training.

    Fields that it has, also further ones from a pre-training folder, keep their values; the others get the defaults of
    `config_class`, except that a network of fewer layers than the default average has targets of all of them, and that
    images of another number of patches than the published 196 have masks of the same shares of them.

    Args:
        config: transformers' configuration, or one of pre-training, which is returned as it is.
        config_class: The class of the result.
        **needed: Fields that pre-training needs otherwise than fine-tuning.
    """
    if isinstance(config, config_class):
        return config
    fields = {name: value for name, value in copy.deepcopy(config.__dict__).items() if name != "auto_map"}
    pretraining_config: Any = config_class()
    for name, value in (fields | needed).items():
        setattr(pretraining_config, name, value)
    for name, value in _fitting_defaults(pretraining_config).items():
        if name not in fields:
            setattr(pretraining_config, name, value)
    pretraining_config.validate()
    return pretraining_config


def _fitting_defaults(config: Any) -> dict[str, int]:
    """Values of fields of the objective whose default depends on the encoder's size."""
    fitting = {"average_top_k_layers": min(config.average_top_k_layers, config.num_hidden_layers)}
    if isinstance(config, Data2VecVisionPreTrainingConfig):
        for name in ("num_mask_patches", "min_mask_patches_per_block", "max_mask_patches_per_block"):
            fitting[name] = max(1, getattr(config, name) * config.num_patches // _PUBLISHED_PATCHES)
    return fitting


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
    if config.teacher_scope not in teacher_scopes:
        raise ValueError(f"`teacher_scope` must be one of {teacher_scopes}, but is {config.teacher_scope!r}.")
    for norm in (*config.target_layer_norms, *config.target_norms):
        if norm not in TARGET_NORMS:
            raise ValueError(f"Target normalisations must be among {TARGET_NORMS}, but {norm!r} was given.")
    check_regression(
        loss_beta=config.loss_beta,
        loss_scale=config.loss_scale,
        ema_decay=config.ema_decay,
        ema_end_decay=config.ema_end_decay,
        ema_anneal_end_step=config.ema_anneal_end_step,
    )


def validate_spans(mask_prob: float, mask_length: int) -> None:
    """
    Raises:
        ValueError: There are no such spans of masked positions.
    """
    if not 0 < mask_prob <= 1:
        raise ValueError(f"`mask_prob` must be above 0 and at most 1, but is {mask_prob}.")
    if mask_length < 1:
        raise ValueError(f"`mask_length` must be at least 1, but is {mask_length}.")


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
        # What follows from other fields may be among the arguments, of a configuration before those were changed.
        self.num_feat_extract_layers = len(self.conv_dim)
        self.output_hidden_size = self.hidden_size
        self.auto_map = dict(AUDIO_AUTO_MAP)

    def validate_architecture(self):
        """Part of the validation by `@strict`: what the fields must be in relation to each other."""
        check_transformer(
            hidden_act=self.hidden_act,
            hidden_size=self.hidden_size,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
        )
        super().validate_architecture()
        validate_objective(self, ("layers", "transformer", "model"))
        validate_spans(self.mask_prob, self.mask_length)
        if not 0 <= self.mask_dropout < 1:
            raise ValueError(
                f"`mask_dropout` must be at least 0 and below 1, which unmasks everything, but is {self.mask_dropout}."
            )
        if self.add_adapter:
            raise ValueError("`add_adapter` must be false: the adapter is for fine-tuning, and would not be trained.")

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees: the shortest input, in samples."""
        return count_samples(self.conv_kernel, self.conv_stride)

    def num_frames(self, num_samples: int) -> int:
        """Frames that the waveform encoder makes of `num_samples` samples; 0 or less if they are too few."""
        return count_frames(num_samples, self.conv_kernel, self.conv_stride)


@strict
class Data2VecTextPreTrainingConfig(Data2VecTextConfig):
    r"""
    Configuration of data2vec's pre-training on text ([data2vec: A General Framework for Self-supervised Learning in
    Speech, Vision and Language](https://huggingface.co/papers/2202.03555)). The defaults are the published objective
    (`config/text/pretraining/base.yaml` of the original code); the encoder's are transformers' own, from which the
    published base model differs in `vocab_size` (50,265), `max_position_embeddings` (514, for texts of 512 tokens),
    `type_vocab_size` (1) and `layer_norm_eps` (1e-5).

    Args:
        mask_prob (`float`, *optional*, defaults to 0.35), mask_length (`int`, *optional*, defaults to 4):
            Share of tokens to mask if spans did not overlap, and tokens per span: see
            [`~hf_ssl.models.masking.draw_token_spans`].
        regression_num_layers (`int`, *optional*, defaults to 2):
            Linear layers of the head; all but the last are followed by GELU, and the first doubles the width.
        average_top_k_layers (`int`, *optional*, defaults to 10): Layers of the teacher in the targets.
        target_layer_norms, target_norms (`tuple[str]`, *optional*, default to `("layer",)` and `()`):
            Normalisations of each layer and of their average, in order: `"batch"`, `"instance"`, `"layer"`.
        norm_targets_over_padding (`bool`, *optional*, defaults to `False`):
            Let padding into the statistics of `"instance"` and `"batch"`, as the original does.
        loss_beta (`float`, *optional*, defaults to 4.0): Of the smooth L1 loss; 0 for L2.
        loss_scale (`float`, *optional*, defaults to 1.0): Factor on the loss; `1 / sqrt(hidden_size)` if `None`.
        ema_decay, ema_end_decay (`float`), ema_anneal_end_step (`int`):
            Schedule of the teacher, see [`~hf_ssl.models.teacher.ema_decay`].
        teacher_scope (`str`, *optional*, defaults to `"layers"`):
            What the teacher averages: `"layers"` (the transformer; its embeddings are copied from the student after
            every step: `ema_transformer_layers_only` of the original) or `"model"` (with the embeddings).
        kwargs: All fields of `Data2VecTextConfig`.
    """

    mask_prob: float | int = 0.35
    mask_length: int = 4
    regression_num_layers: int = 2
    average_top_k_layers: int = 10
    target_layer_norms: list[str] | tuple[str, ...] = ("layer",)
    target_norms: list[str] | tuple[str, ...] = ()
    norm_targets_over_padding: bool = False
    loss_beta: float | int = 4.0
    loss_scale: float | int | None = 1.0
    ema_decay: float | int = 0.999
    ema_end_decay: float | int = 0.9999
    ema_anneal_end_step: int = 300_000
    teacher_scope: str = "layers"

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.auto_map = dict(TEXT_AUTO_MAP)

    def validate_architecture(self):
        """Part of the validation by `@strict`: what the fields must be in relation to each other."""
        check_transformer(
            hidden_act=self.hidden_act,
            hidden_size=self.hidden_size,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
        )
        super().validate_architecture()
        validate_objective(self, ("layers", "model"))
        validate_spans(self.mask_prob, self.mask_length)
        if self.mask_prob == 1:
            raise ValueError("`mask_prob` must be below 1 for text: some tokens must stay visible.")
        if self.regression_num_layers < 1:
            raise ValueError(f"`regression_num_layers` must be at least 1, but is {self.regression_num_layers}.")
        if self.is_decoder:
            raise ValueError("`is_decoder` must be false: the student sees the whole text but for the mask.")


def longest_text(config: PreTrainedConfig) -> int:
    """Tokens of the longest text that a model of text reads. data2vec's positions are counted from the one behind that
    of padding on."""
    if not isinstance(config, Data2VecTextConfig):
        return config.max_position_embeddings
    assert config.pad_token_id is not None
    return config.max_position_embeddings - config.pad_token_id - 1


@strict
class Data2VecVisionPreTrainingConfig(Data2VecVisionConfig):
    r"""
    Configuration of data2vec's pre-training on images ([data2vec: A General Framework for Self-supervised Learning in
    Speech, Vision and Language](https://huggingface.co/papers/2202.03555)). The defaults are the command that the
    original code gives for its base model (`beit/README.md` of data2vec_vision), with the encoder of the published
    checkpoints; they differ from `Data2VecVisionConfig` in these fields of the encoder: `use_mask_token`,
    `use_relative_position_bias`, `layer_scale_init_value`, `drop_path_rate`, `attention_probs_dropout_prob`.

    Args:
        num_mask_patches (`int`, *optional*, defaults to 120), min_mask_patches_per_block (`int`, *optional*, defaults
        to 16), max_mask_patches_per_block (`int`, *optional*, defaults to 196):
            Masked patches per image, and smallest and largest block of them: see
            [`~hf_ssl.models.masking.draw_rectangle_mask`].
        average_top_k_layers (`int`, *optional*, defaults to 6): Layers of the teacher in the targets.
        target_layer_norms, target_norms (`tuple[str]`, *optional*, default to `("layer",)` and `("layer",)`):
            Normalisations of each layer and of their average, in order: `"batch"`, `"instance"`, `"layer"`.
        loss_beta (`float`, *optional*, defaults to 2.0): Of the smooth L1 loss; 0 for L2.
        loss_scale (`float`, *optional*): Factor on the loss; `1 / hidden_size`, a mean over dimensions, if `None`.
        ema_decay, ema_end_decay (`float`, *optional*, default to 0.9998), ema_anneal_end_step (`int`):
            Schedule of the teacher, see [`~hf_ssl.models.teacher.ema_decay`]; constant in the original's command.
        teacher_scope (`str`, *optional*, defaults to `"model"`):
            What the teacher averages: `"model"`, or `"transformer"` (without the embeddings of patches and CLS).
        kwargs: All fields of `Data2VecVisionConfig`.
    """

    use_mask_token: bool = True
    use_relative_position_bias: bool = True
    layer_scale_init_value: float = 1e-4
    drop_path_rate: float | int = 0.25
    attention_probs_dropout_prob: float | int = 0.05
    num_mask_patches: int = 120
    min_mask_patches_per_block: int = 16
    max_mask_patches_per_block: int = 196
    average_top_k_layers: int = 6
    target_layer_norms: list[str] | tuple[str, ...] = ("layer",)
    target_norms: list[str] | tuple[str, ...] = ("layer",)
    loss_beta: float | int = 2.0
    loss_scale: float | int | None = None
    ema_decay: float | int = 0.9998
    ema_end_decay: float | int = 0.9998
    ema_anneal_end_step: int = 0
    teacher_scope: str = "model"

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.auto_map = dict(VISION_AUTO_MAP)

    def validate_architecture(self):
        """Part of the validation by `@strict`: what the fields must be in relation to each other."""
        check_transformer(
            hidden_act=self.hidden_act,
            hidden_size=self.hidden_size,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
        )
        super().validate_architecture()
        validate_objective(self, ("transformer", "model"))
        if not self.use_mask_token:
            raise ValueError("`use_mask_token` must be true: masked patches are replaced by the mask token.")
        if not 1 <= self.min_mask_patches_per_block <= self.max_mask_patches_per_block:
            raise ValueError(
                "Expected 1 <= `min_mask_patches_per_block` <= `max_mask_patches_per_block`, but they are "
                f"{self.min_mask_patches_per_block} and {self.max_mask_patches_per_block}."
            )
        if not 1 <= self.num_mask_patches < self.num_patches:
            raise ValueError(
                f"`num_mask_patches` must be between 1 and the number of patches less 1, {self.num_patches - 1}, but "
                f"is {self.num_mask_patches}."
            )

    @property
    def grid_size(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        image, patch = self.image_size, self.patch_size
        height, width = (image, image) if isinstance(image, int) else image
        patch_height, patch_width = (patch, patch) if isinstance(patch, int) else patch
        return height // patch_height, width // patch_width

    @property
    def num_patches(self) -> int:
        return self.grid_size[0] * self.grid_size[1]


__all__ = ["Data2VecAudioPreTrainingConfig", "Data2VecTextPreTrainingConfig", "Data2VecVisionPreTrainingConfig"]
