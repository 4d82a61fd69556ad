# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec 2.0 for images: patch embedding, fixed positions, pre-training, and image classification."""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput, ImageClassifierOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .configuration_data2vec2_vision import Data2Vec2VisionConfig
from .decoders import ConvDecoder2d
from .input_checks import (
    check_classes,
    check_floating,
    check_integer_labels,
    check_mask_type,
    check_several_labels,
)
from .layer_norm import LayerNorm
from .losses import at_least_one, mean_over_items, mean_squared_loss
from .masking import draw_block_masks, find_predicted
from .modeling_data2vec2 import (
    Data2Vec2ContextEncoder,
    Data2Vec2ForPreTrainingOutput,
    Data2Vec2Layer,
    Data2Vec2PreTrainedModel,
    Data2Vec2PreTrainingObjective,
    Data2Vec2Trunk,
    gather_targets,
)
from .torch_init import init_like_torch


def sincos_positions(hidden_size: int, grid_size: int) -> torch.Tensor:
    """Sine and cosine of column and row at geometric frequencies (Chen et al., 2021, An empirical study of training
    self-supervised vision transformers, section 4; with the order of MAE: columns first).

    Args:
        hidden_size: A multiple of 4.
        grid_size: Patches on a side of the grid.

    Returns:
        `(1, grid_size * grid_size, hidden_size)`, patches in row-major order.
    """
    exponents = torch.arange(hidden_size // 4, dtype=torch.float64) / (hidden_size // 4)
    frequencies = 10_000**-exponents
    side = torch.arange(grid_size, dtype=torch.float64)
    rows, columns = torch.meshgrid(side, side, indexing="ij")
    angles = [coordinate.reshape(-1, 1) * frequencies for coordinate in (columns, rows)]
    parts = [function(angle) for angle in angles for function in (torch.sin, torch.cos)]
    return torch.cat(parts, dim=1).float().unsqueeze(0)


class PatchConv(nn.Conv2d):
    """Convolution of its own type, because it starts from other weights than the decoder's."""


class Data2Vec2VisionLocalEncoder(nn.Module):
    """Image -> patch embeddings with their fixed positions."""

    position_embeddings: torch.Tensor

    def __init__(self, config: Data2Vec2VisionConfig):
        super().__init__()
        self.config = config
        self.patch_embedding = PatchConv(
            config.num_channels, config.hidden_size, config.patch_size, stride=config.patch_size
        )
        self.register_buffer("position_embeddings", sincos_positions(config.hidden_size, config.grid_size))

    def forward(self, pixel_values: torch.Tensor, interpolate_pos_encoding: bool = False) -> torch.Tensor:
        """`(batch_size, num_channels, height, width)` -> `(batch_size, num_patches, hidden_size)`."""
        embedded = self.patch_embedding(pixel_values.to(self.patch_embedding.weight.dtype))
        positions = self.position_embeddings
        if interpolate_pos_encoding:
            positions = self._interpolate(positions, embedded.shape[-2:])
        return embedded.flatten(2).transpose(1, 2) + positions.to(embedded.dtype)

    def _interpolate(self, positions: torch.Tensor, grid: torch.Size) -> torch.Tensor:
        """Bicubic between the positions of the configured grid, for grids of other sizes and shapes."""
        grid_size = self.config.grid_size
        square = positions.transpose(1, 2).unflatten(-1, (grid_size, grid_size)).float()
        return F.interpolate(square, size=grid, mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)


@dataclass
class RecordedLayers(OutputRecorder):
    """Layers of prenet and trunk. The field is declared here, because transformers 5.20, the last for Python 3.10, has
    neither it nor what it is for, hidden states chosen by negative indices."""

    num_hidden_layers_key: str = "num_recorded_layers"


class Data2Vec2VisionPreTrainedModel(Data2Vec2PreTrainedModel):
    config: Data2Vec2VisionConfig
    config_class = Data2Vec2VisionConfig
    base_model_prefix = "data2vec2_vision"
    main_input_name = "pixel_values"
    input_modalities = "image"
    # a table that is computed, not learned; transformers leaves buffers as they are when it loads in half precision
    _keep_in_fp32_modules_strict = {"position_embeddings"}
    _can_record_outputs = Data2Vec2PreTrainedModel._can_record_outputs | {
        "hidden_states": RecordedLayers(Data2Vec2Layer)
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, PatchConv):
            # Xavier's bound of the linear map that this convolution is, as in ViT and MAE
            bound = math.sqrt(6 / (module.weight[0].numel() + module.out_channels))
            init.uniform_(module.weight, a=-bound, b=bound)
            assert module.bias is not None
            bias_bound = 1 / math.sqrt(module.weight[0].numel())
            init.uniform_(module.bias, a=-bias_bound, b=bias_bound)
        elif isinstance(module, nn.Conv2d):
            init_like_torch(module)
        elif isinstance(module, Data2Vec2VisionLocalEncoder):
            init.copy_(module.position_embeddings, sincos_positions(self.config.hidden_size, self.config.grid_size))
        elif isinstance(module, ImageClassifier):
            init.trunc_normal_(module.weight, std=0.02)
            init.zeros_(module.bias)
        else:
            super()._init_weights(module)

    def _check_images(self, pixel_values: torch.Tensor, any_size: bool = False) -> None:
        config = self.config
        if pixel_values.dim() != 4 or pixel_values.shape[1] != config.num_channels or pixel_values.shape[0] == 0:
            raise ValueError(
                f"`pixel_values` must have shape (batch_size, {config.num_channels}, height, width), but have shape "
                f"{tuple(pixel_values.shape)}. The image processor makes them of images in RGB."
            )
        check_floating("pixel_values", pixel_values, "The image processor scales and normalises bytes.")
        size = (pixel_values.shape[2], pixel_values.shape[3])
        if any_size:
            if min(size) < config.patch_size or size[0] % config.patch_size or size[1] % config.patch_size:
                raise ValueError(
                    f"Images of {size[0]} x {size[1]} pixels cannot be cut into patches of {config.patch_size} x "
                    f"{config.patch_size}: height and width must be multiples of {config.patch_size}."
                )
        elif size != (config.image_size, config.image_size):
            raise ValueError(
                f"Expected images of {config.image_size} x {config.image_size} pixels, got {size[0]} x {size[1]}. Let "
                "the image processor resize them; an encoder or a classifier takes other sizes with "
                "`interpolate_pos_encoding=True`."
            )


# What a pre-training folder has more than an encoder needs; no reason for a warning.
_PRETRAINING_KEYS = [r"^teacher\.", r"^decoder\."]


class Data2Vec2VisionModel(Data2Vec2VisionPreTrainedModel):
    """The encoder: image in, one vector per extra token and patch out.

    Args:
        config ([`Data2Vec2VisionConfig`]): Its configuration.
    """

    _keys_to_ignore_on_load_unexpected = _PRETRAINING_KEYS

    def __init__(self, config: Data2Vec2VisionConfig):
        super().__init__(config)
        self.local_encoder = Data2Vec2VisionLocalEncoder(config)
        self.context_encoder = Data2Vec2ContextEncoder(config, num_extra_tokens=config.num_extra_tokens)
        self.trunk = Data2Vec2Trunk(config)
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(self, pixel_values: torch.Tensor, interpolate_pos_encoding: bool = False, **kwargs) -> BaseModelOutput:
        r"""
        Args:
            pixel_values (`torch.FloatTensor` of shape `(batch_size, num_channels, height, width)`):
                Normalised images, from `ViTImageProcessor`.
            interpolate_pos_encoding (`bool`, *optional*, defaults to `False`):
                Take images of any size that can be cut into patches, and interpolate the positions.

        Returns:
            `last_hidden_state` of shape `(batch_size, num_extra_tokens + num_patches, hidden_size)`, the CLS token
            right before the patches, which are in row-major order; on request `hidden_states` of prenet and trunk (the
            maps of a backbone) and `attentions`.
        """
        self._check_images(pixel_values, any_size=interpolate_pos_encoding)
        features = self.local_encoder(pixel_values, interpolate_pos_encoding)
        hidden_states, biases = self.context_encoder(features, **kwargs)
        hidden_states = self.trunk(hidden_states, biases, **kwargs)
        return BaseModelOutput(last_hidden_state=hidden_states)


class Data2Vec2VisionForPreTraining(Data2Vec2VisionPreTrainedModel, Data2Vec2PreTrainingObjective):
    """data2vec 2.0 pre-training: predict the teacher's view of the whole image from the blocks left visible.

    Example:

    ```python
    >>> import torch
    >>> from hf_ssl import Data2Vec2VisionConfig, Data2Vec2VisionForPreTraining

    >>> config = Data2Vec2VisionConfig(num_hidden_layers=2, average_top_k_layers=2, num_masks=2)
    >>> model = Data2Vec2VisionForPreTraining(config)
    >>> optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    >>> loss = model(torch.randn(2, 3, 224, 224)).loss
    >>> loss.backward()
    >>> optimizer.step()
    >>> decay = model.update_teacher()  # the Trainer of hf_ssl.training does this for you
    ```
    """

    _keep_in_fp32_modules_strict = {"teacher", "position_embeddings"}

    def __init__(self, config: Data2Vec2VisionConfig):
        super().__init__(config)
        self.data2vec2_vision = Data2Vec2VisionModel(config)
        self._set_up_objective(
            ConvDecoder2d(
                hidden_size=config.hidden_size,
                decoder_hidden_size=config.decoder_hidden_size,
                num_layers=config.decoder_num_layers,
                kernel_size=config.decoder_kernel_size,
                groups=config.decoder_groups,
                grid_size=config.grid_size,
                residual=config.decoder_residual,
            )
        )

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        bool_masked_pos: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        mask_noise: torch.Tensor | None = None,
        visible_positions: torch.Tensor | None = None,
        predicted_positions: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> Data2Vec2ForPreTrainingOutput:
        r"""
        Args:
            pixel_values (`torch.FloatTensor` of shape `(batch_size, num_channels, image_size, image_size)`):
                Normalised images.
            bool_masked_pos (`torch.BoolTensor` of shape `(batch_size, num_masks, num_patches)`, *optional*):
                Patches to hide from the student. In training they come from the data collator; drawn here if absent.
            labels (`torch.LongTensor` of shape `(batch_size, num_masks, num_patches)`, *optional*):
                -100 at patches that are not predicted, any other value at those that are; `bool_masked_pos` if absent.
                The `Trainer` counts them to normalise the loss over devices and accumulation steps.
            mask_noise (`torch.FloatTensor` of shape `(batch_size, num_masks, num_patches, hidden_size)`, *optional*):
                What the decoder sees at hidden patches; drawn if absent.
            visible_positions (`torch.LongTensor` of shape `(batch_size, num_masks, max_visible)`, *optional*):
                Positions of the patches that stay visible, in order, then -1, as the data collator gives them.
            predicted_positions (`torch.LongTensor` of shape `(batch_size, num_masks, max_predicted)`, *optional*):
                The same of the patches that are predicted. Their shapes say how many there are: without them the
                forward asks the device, and a compiled graph breaks there.
            num_items_in_batch (`int`, *optional*):
                Predicted patches of the global batch, by which the loss is divided; this batch's if absent.
        """
        if self.training and not torch.compiler.is_compiling():
            self.teacher.assert_updated(self._student_stages())
        self._check_images(pixel_values)
        local_features = self.data2vec2_vision.local_encoder(pixel_values)
        bool_masked_pos = self._checked_mask(bool_masked_pos, local_features)
        prediction_mask = self._prediction_mask(labels, bool_masked_pos)

        targets = self.teacher_targets(pixel_values, local_features, None)
        encoded = self.encode_visible(local_features, None, bool_masked_pos, visible_positions)
        predicted = find_predicted(prediction_mask, predicted_positions)
        predictions = self.predict_hidden(encoded, predicted, mask_noise)
        predicted_targets = gather_targets(targets, predicted, prediction_mask.shape[1])
        regression_loss = self.regression_loss(predictions, predicted_targets, num_items_in_batch, predicted.is_real)
        share = 1.0 if num_items_in_batch is None else predicted.num_predicted / at_least_one(num_items_in_batch)
        cls_loss = self.cls_loss(encoded.extra_tokens, targets) * share

        return Data2Vec2ForPreTrainingOutput(
            loss=regression_loss + cls_loss,
            predictions=predictions,
            targets=targets,
            prediction_mask=prediction_mask,
            mask_time_indices=bool_masked_pos,
            predicted_targets=predicted_targets,
            predicted_mask=predicted.is_real,
            regression_loss=regression_loss,
            cls_loss=cls_loss,
            # without the positions, which tell patches apart whatever is in them
            local_features=local_features.detach() - self.data2vec2_vision.local_encoder.position_embeddings,
        )

    def cls_loss(self, extra_tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of the CLS token, which predicts the mean of all targets of its image (section 3.2, global loss).

        Args:
            extra_tokens: The student's, `(batch_size * num_masks, num_extra_tokens, hidden_size)`.
            targets: `(batch_size, num_patches, hidden_size)`.

        Returns:
            Its mean or sum over masked copies, weighted.
        """
        if self.config.cls_loss_weight == 0:
            return targets.new_zeros(())
        predictions = extra_tokens[:, -1]
        image_targets = targets.mean(dim=1).repeat_interleave(len(predictions) // len(targets), dim=0)
        count = None if self.config.cls_loss_reduction == "mean" else 1
        return self.config.cls_loss_weight * self.regression_loss(predictions, image_targets, count)

    def draw_masks(self, batch_size: int) -> torch.Tensor:
        """Masks as configured, `(batch_size, num_masks, num_patches)`."""
        masks = [draw_masks_of_image(self.config) for _ in range(batch_size)]
        return torch.stack(masks)

    def _checked_mask(self, bool_masked_pos: torch.Tensor | None, local_features: torch.Tensor) -> torch.Tensor:
        batch_size, num_patches = local_features.shape[:2]
        if bool_masked_pos is None:
            return self.draw_masks(batch_size).to(local_features.device)
        shape = tuple(bool_masked_pos.shape)
        if len(shape) != 3 or (shape[0], shape[2]) != (batch_size, num_patches) or shape[1] == 0:
            raise ValueError(
                "`bool_masked_pos` must have shape (batch_size, num_masks, num_patches) = "
                f"({batch_size}, any number, {num_patches}), but has {shape}. `config.num_patches` gives their number."
            )
        check_mask_type("bool_masked_pos", bool_masked_pos)
        return bool_masked_pos.bool()

    def _prediction_mask(self, labels: torch.Tensor | None, bool_masked_pos: torch.Tensor) -> torch.Tensor:
        if labels is None:
            return bool_masked_pos
        if labels.shape != bool_masked_pos.shape:
            raise ValueError(
                f"`labels` must have the shape of `bool_masked_pos`, {tuple(bool_masked_pos.shape)}, but have "
                f"{tuple(labels.shape)}."
            )
        check_integer_labels(labels)
        return labels != -100


def draw_masks_of_image(config: Data2Vec2VisionConfig, generator: torch.Generator | None = None) -> torch.Tensor:
    """The masks of one image as configured, `(num_masks, num_patches)`, all with the same number of masked patches.

    Args:
        config: The model's configuration.
        generator: Source of randomness; torch's global one if absent.
    """
    return draw_block_masks(
        config.grid_size,
        config.num_masks,
        mask_prob=config.mask_prob,
        mask_length=config.mask_length,
        mask_prob_adjust=config.mask_prob_adjust,
        mask_dropout=config.mask_dropout,
        inverse=config.inverse_mask,
        generator=generator,
    )


class ImageClassifier(nn.Linear):
    """Linear layer of its own type, because it starts from other weights than the transformer's."""


class Data2Vec2VisionForImageClassification(Data2Vec2VisionPreTrainedModel):
    """Image classification: mean of the patches (or the CLS token), layer norm, linear layer."""

    accepts_loss_kwargs = True
    _keys_to_ignore_on_load_unexpected = _PRETRAINING_KEYS

    def __init__(self, config: Data2Vec2VisionConfig):
        super().__init__(config)
        self.num_labels: int = config.num_labels or 1
        self.data2vec2_vision = Data2Vec2VisionModel(config)
        self.layer_norm = LayerNorm(config.hidden_size, eps=1e-6) if config.use_pooled_layer_norm else None
        self.dropout = nn.Dropout(config.final_dropout)
        self.classifier = ImageClassifier(config.hidden_size, self.num_labels)
        self.post_init()

    def freeze_base_model(self) -> None:
        """Stops training everything but the head."""
        self.data2vec2_vision.requires_grad_(False)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> ImageClassifierOutput:
        r"""
        Args:
            pixel_values (`torch.FloatTensor` of shape `(batch_size, num_channels, height, width)`):
                Normalised images.
            labels (*optional*):
                `torch.LongTensor` of shape `(batch_size,)`, one label per image; or a float tensor of shape
                `(batch_size, num_labels)`: probabilities (mixed images, smoothed labels) if `config.problem_type` is
                `"single_label_classification"`, otherwise zeros and ones for several labels per image.
            interpolate_pos_encoding (`bool`, *optional*, defaults to `False`):
                Take images of any size that can be cut into patches.
            num_items_in_batch (`int`, *optional*): Elements of the labels of the global batch; this batch's if absent.

        Returns:
            `logits` of shape `(batch_size, num_labels)`, and `loss` if there are labels.
        """
        outputs = self.data2vec2_vision(pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, **kwargs)
        pooled = self._pool(outputs.last_hidden_state)
        pooled = pooled if self.layer_norm is None else self.layer_norm(pooled)
        logits = self.classifier(self.dropout(pooled))
        loss = None
        if labels is not None:
            loss = image_classification_loss(logits, labels, self.config.problem_type, num_items_in_batch)
        return ImageClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    def _pool(self, hidden_states: torch.Tensor) -> torch.Tensor:
        num_extra_tokens = self.config.num_extra_tokens
        if self.config.pooling == "cls":
            return hidden_states[:, num_extra_tokens - 1]
        return hidden_states[:, num_extra_tokens:].mean(dim=1)


def image_classification_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    problem_type: str | None = None,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """Cross-entropy with labels or probabilities, or binary cross-entropy for several labels; averaged over images
    (and labels, if there are several).

    Args:
        logits: `(batch_size, num_labels)`.
        labels: `(batch_size,)` of integers, or `(batch_size, num_labels)` of floats.
        problem_type: `"single_label_classification"`, `"multi_label_classification"`, `"regression"`, or what
            the labels' shape says if absent.
        num_items_in_batch: Elements of the labels of the global batch; this batch's if absent.

    Raises:
        ValueError: The labels do not fit.
    """
    if problem_type == "regression":
        return mean_squared_loss(logits, labels, num_items_in_batch)
    has_one_label = labels.dim() == 1 and problem_type != "multi_label_classification"
    if labels.shape != (logits.shape[:1] if has_one_label else logits.shape) or (
        labels.is_floating_point() == has_one_label
    ):
        raise ValueError(
            f"Expected integer labels of shape {tuple(logits.shape[:1])}, or probabilities (or zeros and ones) of "
            f"shape {tuple(logits.shape)}, but got labels of type {labels.dtype} and shape {tuple(labels.shape)}."
        )
    if has_one_label:
        check_classes(labels, tuple(logits.shape[:1]), logits.shape[1], may_be_ignored=False)
    else:
        check_several_labels(labels, tuple(logits.shape), may_be_ignored=False)
    if has_one_label or problem_type == "single_label_classification":
        targets = labels.long() if has_one_label else labels.to(torch.float32)
        loss = F.cross_entropy(logits.float(), targets, reduction="sum")
        elements_per_image = labels.numel() // len(labels)
        return mean_over_items(
            loss if num_items_in_batch is None else loss * elements_per_image, num_items_in_batch, len(labels)
        )
    loss = F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="sum")
    return mean_over_items(loss, num_items_in_batch, labels.numel())


__all__ = [
    "Data2Vec2VisionForImageClassification",
    "Data2Vec2VisionForPreTraining",
    "Data2Vec2VisionModel",
    "Data2Vec2VisionPreTrainedModel",
]
