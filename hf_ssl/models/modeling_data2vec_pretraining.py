# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec: the pre-training objective over transformers' own encoders, as far as all modalities share it.

The student is one of transformers' models, whose weights keep their names: a saved folder opens in transformers' own
classes, to which the teacher and the regression head are keys too many. The modalities' classes live in files of their
own (`modeling_data2vec_audio_pretraining.py`, ...).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from transformers import initialization as init
from transformers.utils import ModelOutput

from .input_checks import check_integer_labels, check_marks_real_steps
from .layer_norm import sum_gradients_in_float32
from .self_distillation import SelfDistillationModel
from .teacher import EMATeacher, average_layers
from .torch_init import init_like_torch


class RegressionLayer(nn.Linear):
    """Linear layer of its own type, because it starts from torch's weights and not from the encoder's, as in the
    original for speech."""


@dataclass
class Data2VecForPreTrainingOutput(ModelOutput):
    """
    Output of pre-training with data2vec. A position is a frame, a token or a patch.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`):
            Sum over predicted positions of the loss of a position, divided by their number in the (global) batch.
        predictions (`torch.FloatTensor` of shape `(num_predicted, hidden_size)`):
            The student's at predicted positions, in the batch's order.
        targets (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`):
            The teacher's targets for all positions; those of padding are meaningless.
        prediction_mask (`torch.BoolTensor` of shape `(batch_size, sequence_length)`):
            Which positions were predicted.
        mask_time_indices (`torch.BoolTensor` of shape `(batch_size, sequence_length)`):
            Which positions were hidden from the student.
        frame_mask (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
            Which positions are real; `None` if all are.
        local_features (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`, *optional*):
            What the student's convolutions make of the whole waveform or image, without gradient, for monitors.
        predicted_targets (`torch.FloatTensor` of shape `(num_predicted, hidden_size)`):
            Those of `targets` that `predictions` are compared with.
        predicted_mask (`torch.BoolTensor` of shape `(num_predicted,)`, *optional*):
            `False` at filler among `predictions`; `None` if there is none, as without `predicted_positions`.
    """

    loss: torch.Tensor | None = None
    predictions: torch.Tensor | None = None
    targets: torch.Tensor | None = None
    prediction_mask: torch.Tensor | None = None
    mask_time_indices: torch.Tensor | None = None
    frame_mask: torch.Tensor | None = None
    local_features: torch.Tensor | None = None
    predicted_targets: torch.Tensor | None = None
    predicted_mask: torch.Tensor | None = None


class Data2VecPreTrainingObjective(SelfDistillationModel):
    """Teacher and targets of a model of transformers, to be put before its `PreTrainedModel` in a class's bases."""

    def _set_up_teacher(self) -> None:
        """Adds the teacher to a model that is complete otherwise, and initialises all weights."""
        sum_gradients_in_float32(self)
        self.teacher = EMATeacher(self._student_stages())
        self.post_init()
        self.teacher.copy_from(self._student_stages())

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, RegressionLayer):
            init_like_torch(module)
        elif isinstance(module, EMATeacher):
            init.zeros_(module.num_updates)

    def _copied_stages(self) -> Mapping[str, nn.Module]:
        """Modules within those that the teacher averages of which it has copies of the present instead."""
        return {}

    def update_teacher(self, step: int | None = None) -> float:
        """Moves the teacher towards the student. Call it after every optimizer step.

        Args:
            step: Number of optimizer steps taken, the last one included; counted here if absent.

        Returns:
            The decay that was used.
        """
        decay = super().update_teacher(step)
        if decay < 1:  # a teacher that is frozen is so as a whole, as in the original
            for name, module in self._copied_stages().items():
                self.teacher.get_submodule(name).load_state_dict(module.state_dict())
        return decay

    def _average_layers(self, layer_outputs: list[torch.Tensor], frame_mask: torch.Tensor | None) -> torch.Tensor:
        """Targets of the teacher's layers as configured, `(batch_size, sequence_length, hidden_size)`, float32."""
        return average_layers(
            layer_outputs,
            top_k=self.config.average_top_k_layers,
            layer_norms=self.config.target_layer_norms,
            target_norms=self.config.target_norms,
            frame_mask=None if frame_mask is None or self.config.norm_targets_over_padding else frame_mask,
        )

    def _check_teacher_is_updated(self) -> None:
        """To be called at every forward."""
        if self.training and not torch.compiler.is_compiling():
            self.teacher.assert_updated(self._student_stages())


def checked_prediction_mask(
    labels: torch.Tensor | None, mask: torch.Tensor, mask_name: str, is_real: torch.Tensor | None = None
) -> torch.Tensor:
    """Which positions are predicted: those whose label is not -100, or all that `mask`, of the same shape, hides.

    Args:
        labels: `(batch_size, sequence_length)`, *optional*.
        mask: `(batch_size, sequence_length)`, `True` at hidden positions.
        mask_name: The mask's argument, for the error.
        is_real: `(batch_size, sequence_length)`, `False` at padding, which has no target; `None` if there is none.
    """
    if labels is None:
        return mask
    if labels.shape != mask.shape:
        raise ValueError(
            f"`labels` must have the shape of `{mask_name}`, {tuple(mask.shape)}, but have {tuple(labels.shape)}."
        )
    check_integer_labels(labels)
    check_marks_real_steps("labels", labels != -100, is_real)
    return labels != -100
