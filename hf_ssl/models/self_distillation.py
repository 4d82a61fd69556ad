# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What every model with an EMA teacher does with it: load, reset and update it, and regress its targets."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import logging

from .losses import mean_over_items
from .teacher import EMATeacher, ema_decay

logger = logging.get_logger(__name__)


class SelfDistillationModel(PreTrainedModel):
    """A student with a teacher, to be put before the family's `PreTrainedModel` in a class's bases.

    The class makes `self.teacher` of `self._student_stages()`. Its configuration has `ema_decay`, `ema_end_decay`,
    `ema_anneal_end_step`, `loss_beta` and `loss_scale`.
    """

    accepts_loss_kwargs = True
    _keep_in_fp32_modules_strict = {"teacher"}
    teacher: EMATeacher

    @classmethod
    def from_pretrained(cls, *args, output_loading_info: bool = False, **kwargs):
        """Loads a model. A checkpoint without a teacher gives a teacher equal to the student."""
        loaded: Any = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        model, info = loaded
        missing = [key for key in info["missing_keys"] if key.startswith("teacher.") and "num_updates" not in key]
        # with `ignore_mismatched_sizes=True`, where the student's weights were replaced too
        other_size = any(key.startswith("teacher.") for key, *_ in info["mismatched_keys"])
        expected = [key for key in model.teacher.state_dict() if key != "num_updates"]
        if missing and not other_size and len(missing) < len(expected):
            raise ValueError(
                f"The checkpoint has only a part of the teacher: {len(missing)} of {len(expected)} tensors are "
                f"missing, {missing[0]} for one. Save the whole model, or leave the "
                "teacher out altogether, which makes it a copy of the student."
            )
        if missing or other_size:
            model.reset_teacher()
            # the report of transformers, just above in the log, calls these weights "newly initialized"
            logger.warning("The checkpoint has no teacher. It was made a copy of the student.")
        model.teacher.freeze()
        return (model, info) if output_loading_info else model

    def _student_stages(self) -> Mapping[str, nn.Module]:
        """The student's modules that the teacher averages, by their names in the base model."""
        raise NotImplementedError

    def train(self, mode: bool = True):
        """Besides what it does anyway, checks that the teacher has been updated: a compiled forward cannot."""
        if mode:
            self.teacher.assert_updated(self._student_stages())
        return super().train(mode)

    def reset_teacher(self) -> None:
        """Makes the teacher a copy of the student and starts counting its updates afresh."""
        self.teacher.copy_from(self._student_stages())

    def update_teacher(self, step: int | None = None) -> float:
        """Moves the teacher towards the student. Call it after every optimizer step.

        Args:
            step: Number of optimizer steps taken, the last one included; counted here if absent.

        Returns:
            The decay that was used.
        """
        step = int(self.teacher.num_updates) + 1 if step is None else step
        decay = ema_decay(
            step, self.config.ema_decay, self.config.ema_end_decay, anneal_steps=self.config.ema_anneal_end_step
        )
        self.teacher.update(self._student_stages(), decay)
        return decay

    def regression_loss(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        num_predicted: torch.Tensor | int | None = None,
        is_real: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """L2 or smooth L1 loss, summed over a frame's dimensions, scaled, and averaged over predicted frames.

        Args:
            predictions, targets: `(num_predicted, hidden_size)`.
            num_predicted: Divisor: the number of predicted frames of the global batch; this batch's if absent.
            is_real: `(num_predicted,)`, `False` at filler, which has no loss; `None` if there is none.
        """
        predictions, beta = predictions.float(), float(self.config.loss_beta)
        if is_real is not None:
            predictions = torch.where(is_real.unsqueeze(-1), predictions, targets)
        if beta == 0:
            loss = F.mse_loss(predictions, targets, reduction="sum")
        else:
            loss = F.smooth_l1_loss(predictions, targets, reduction="sum", beta=beta)
        scale = self.config.loss_scale if self.config.loss_scale is not None else predictions.shape[-1] ** -0.5
        own_count = predictions.shape[0] if is_real is None else is_real.sum()
        return mean_over_items(loss * scale, num_predicted, own_count)
