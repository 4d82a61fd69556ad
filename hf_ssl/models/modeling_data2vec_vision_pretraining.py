# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec pre-training on images, over transformers' own `Data2VecVisionModel`.

What it computes is what the original's own repository for images does (`engine_for_cyclical.py` of data2vec_vision),
not its unfinished port to fairseq.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.models.data2vec.configuration_data2vec_vision import Data2VecVisionConfig
from transformers.models.data2vec.modeling_data2vec_vision import Data2VecVisionModel, Data2VecVisionPreTrainedModel
from transformers.utils.generic import can_return_tuple

from .configuration_data2vec_pretraining import Data2VecVisionPreTrainingConfig, as_pretraining_config
from .input_checks import check_floating, check_mask_type
from .masking import PredictedFrames, draw_rectangle_mask, find_predicted
from .modeling_data2vec_pretraining import (
    Data2VecForPreTrainingOutput,
    Data2VecPreTrainingObjective,
    checked_prediction_mask,
)
from .size_checks import check_layers


class Data2VecVisionForPreTraining(Data2VecPreTrainingObjective, Data2VecVisionPreTrainedModel):
    """data2vec pre-training: predict the teacher's view of the whole image where patches are masked.

    What it saves opens in transformers' own classes, such as `Data2VecVisionForImageClassification`, without this
    package. It opens any folder of theirs: the teacher is then a copy of the student, and the mask token, which
    fine-tuned models have not, is new.

    Args:
        config ([`Data2VecVisionPreTrainingConfig`] or `Data2VecVisionConfig`):
            transformers' own configuration gets the default fields of the objective, and a mask token.
    """

    config_class = Data2VecVisionConfig
    config: Data2VecVisionPreTrainingConfig

    def __init__(self, config: Data2VecVisionConfig):
        check_layers(num_hidden_layers=config.num_hidden_layers)
        super().__init__(as_pretraining_config(config, Data2VecVisionPreTrainingConfig, use_mask_token=True))
        self.data2vec_vision = Data2VecVisionModel(self.config)
        # the encoder's own norm is there for some heads only, and thus not part of it
        self.layernorm = nn.LayerNorm(self.config.hidden_size, eps=self.config.layer_norm_eps)
        self.final_proj = nn.Linear(self.config.hidden_size, self.config.hidden_size)
        self._set_up_teacher()

    def _student_stages(self) -> Mapping[str, nn.Module]:
        names = ["encoder"] if self.config.teacher_scope == "transformer" else ["embeddings", "encoder"]
        return {name: self.data2vec_vision.get_submodule(name) for name in names}

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        bool_masked_pos: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        predicted_positions: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> Data2VecForPreTrainingOutput:
        r"""
        Args:
            pixel_values (`torch.FloatTensor` of shape `(batch_size, num_channels, height, width)`):
                Normalised images.
            bool_masked_pos (`torch.BoolTensor` of shape `(batch_size, num_patches)`, *optional*):
                Patches to hide from the student, in row-major order; drawn here if absent.
            labels (`torch.LongTensor` of shape `(batch_size, num_patches)`, *optional*):
                -100 at patches that are not predicted, any other value at those that are; `bool_masked_pos` if
                absent. The `Trainer` counts them to normalise the loss over devices and accumulation steps.
            predicted_positions (`torch.LongTensor` of shape `(batch_size, max_predicted)`, *optional*):
                Positions of the patches that are predicted, in order, then -1, as the data collator gives them. Their
                shape says how many there are: without them the forward asks the device, and a compiled graph breaks
                there.
            num_items_in_batch (`int`, *optional*):
                Predicted patches of the global batch, by which the loss is divided; this batch's if absent.
        """
        self._check_teacher_is_updated()
        self._check_images(pixel_values)
        bool_masked_pos = self._checked_mask(bool_masked_pos, pixel_values)
        prediction_mask = checked_prediction_mask(labels, bool_masked_pos, "bool_masked_pos")

        targets = self.teacher_targets(pixel_values)
        predicted = find_predicted(prediction_mask, predicted_positions)
        predictions = self.student_predictions(pixel_values, bool_masked_pos, predicted)
        predicted_targets = predicted.of(targets)
        loss = self.regression_loss(predictions, predicted_targets, num_items_in_batch, predicted.is_real)

        return Data2VecForPreTrainingOutput(
            loss=loss,
            predictions=predictions,
            targets=targets,
            prediction_mask=prediction_mask,
            mask_time_indices=bool_masked_pos,
            local_features=self.local_features(pixel_values),
            predicted_targets=predicted_targets,
            predicted_mask=predicted.is_real,
        )

    @torch.no_grad()
    def local_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The student's embeddings of all patches, for monitors: `(batch_size, num_patches, hidden_size)`.

        Computed once more, for transformers' embeddings give those with masks only; it is one product per patch.
        """
        patches, _ = self.data2vec_vision.embeddings.patch_embeddings(pixel_values.to(self.final_proj.weight.dtype))
        return patches

    @torch.no_grad()
    def teacher_targets(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Targets for all patches: outputs of the teacher's last layers over the unmasked image, without CLS.

        Args:
            pixel_values: `(batch_size, num_channels, height, width)`.

        Returns:
            `(batch_size, num_patches, hidden_size)`, float32.
        """
        teacher: Any = self.teacher  # whose modules are known by name only
        embed = self.data2vec_vision.embeddings if self.config.teacher_scope == "transformer" else teacher.embeddings
        dtype = next(teacher.parameters()).dtype  # float32 also beside a student in half precision
        embeddings, _ = embed(pixel_values.to(next(embed.parameters()).dtype))
        resolution = pixel_values.shape[2:]
        encoded = teacher.encoder(embeddings.to(dtype), output_hidden_states=True, resolution=resolution)
        return self._average_layers([layer[:, 1:] for layer in encoded.hidden_states[1:]], None)

    def student_predictions(
        self, pixel_values: torch.Tensor, bool_masked_pos: torch.Tensor, predicted: PredictedFrames
    ) -> torch.Tensor:
        """Encodes the image with masked patches and regresses those of `predicted`; `(num_predicted, hidden_size)`."""
        student = self.data2vec_vision
        pixel_values = pixel_values.to(self.final_proj.weight.dtype)
        embeddings, _ = student.embeddings(pixel_values, bool_masked_pos=bool_masked_pos)
        encoded = student.encoder(embeddings, resolution=pixel_values.shape[2:]).last_hidden_state
        return self.final_proj(self.layernorm(predicted.of(encoded[:, 1:])))

    def regression_loss(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        num_predicted: torch.Tensor | int | None = None,
        is_real: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """As of the other modalities, but averaged over dimensions unless `config.loss_scale` says otherwise."""
        loss = super().regression_loss(predictions, targets, num_predicted, is_real)
        return loss if self.config.loss_scale is not None else loss * self.config.hidden_size**-0.5

    def draw_masks(self, batch_size: int) -> torch.Tensor:
        """Masks as configured, `(batch_size, num_patches)`, bool."""
        return torch.stack([draw_mask_of_image(self.config) for _ in range(batch_size)])

    def _check_images(self, pixel_values: torch.Tensor) -> None:
        size = self.config.image_size
        expected = (self.config.num_channels, *((size, size) if isinstance(size, int) else size))
        if pixel_values.dim() != 4 or tuple(pixel_values.shape[1:]) != expected or pixel_values.shape[0] == 0:
            raise ValueError(
                f"`pixel_values` must have shape (batch_size, {', '.join(map(str, expected))}), but have shape "
                f"{tuple(pixel_values.shape)}. The image processor makes them of images in RGB, and resizes these."
            )
        check_floating("pixel_values", pixel_values, "The image processor scales and normalises bytes.")

    def _checked_mask(self, bool_masked_pos: torch.Tensor | None, pixel_values: torch.Tensor) -> torch.Tensor:
        batch_size = len(pixel_values)
        if bool_masked_pos is None:
            return self.draw_masks(batch_size).to(pixel_values.device)
        if bool_masked_pos.shape != (batch_size, self.config.num_patches):
            raise ValueError(
                "`bool_masked_pos` must have shape (batch_size, num_patches) = "
                f"{(batch_size, self.config.num_patches)}, but has {tuple(bool_masked_pos.shape)}."
            )
        check_mask_type("bool_masked_pos", bool_masked_pos)
        return bool_masked_pos.bool()


def draw_mask_of_image(
    config: Data2VecVisionPreTrainingConfig, generator: np.random.Generator | None = None
) -> torch.Tensor:
    """The mask of one image as configured, `(num_patches,)`, bool; seeded from torch's generator without one."""
    mask = draw_rectangle_mask(
        config.grid_size,
        config.num_mask_patches,
        min_patches=config.min_mask_patches_per_block,
        max_patches=config.max_mask_patches_per_block,
        generator=generator,
    )
    return mask.flatten()


__all__ = ["Data2VecVisionForPreTraining"]
