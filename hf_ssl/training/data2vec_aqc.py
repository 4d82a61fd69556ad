# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Trainer of data2vec-aqc."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from ..models.modeling_data2vec_aqc import Data2VecAqcForPreTrainingOutput
from .callbacks import CollapseGuardCallback
from .monitoring import code_counts, codebook_perplexity, codebook_usage
from .trainer import SelfDistillationTrainer

logger = logging.get_logger(__name__)

_LOGGED_AS_THEY_ARE = (
    "regression_loss",
    "student_contrastive_loss",
    "teacher_contrastive_loss",
    "diversity_loss",
    "features_penalty",
    "probability_perplexity",
    "code_perplexity",
    "dead_cluster_share",
    "cluster_mate_share",
    "collision_share",
)


class Data2VecAqcTrainer(SelfDistillationTrainer):
    """Trainer of data2vec-aqc: besides what is watched of teachers, the parts of the loss, how well positives are told
    from negatives, and how codes and clusters are used."""

    def step_metrics(self, outputs: Any) -> dict[str, torch.Tensor]:
        """Also the parts of the loss, and how well positives are told from negatives."""
        return super().step_metrics(outputs) | {
            **{name: outputs[name] for name in _LOGGED_AS_THEY_ARE},
            "student_contrastive_accuracy": _accuracy(outputs.student_logits, outputs.slot_mask),
            "teacher_contrastive_accuracy": _accuracy(outputs.teacher_logits, outputs.slot_mask),
        }

    @torch.no_grad()
    def _record(self, inputs: Mapping[str, torch.Tensor], outputs: Data2VecAqcForPreTrainingOutput) -> None:
        super()._record(inputs, outputs)
        assert outputs.codes is not None
        assert outputs.slot_mask is not None
        codebook_size = self.accelerator.unwrap_model(self.model).config.num_codevectors_per_group
        self._code_counts += code_counts(outputs.codes[outputs.slot_mask], codebook_size)

    def _read_meters(self) -> dict[str, float]:
        """Also figures of all codes since the last log, averaged over codebooks."""
        counts = self.accelerator.reduce(self._code_counts, reduction="sum")
        return super()._read_meters() | {
            "codebook_usage": codebook_usage(counts).item(),
            "codebook_perplexity": codebook_perplexity(counts).item(),
        }

    def _reset_meters(self) -> None:
        super()._reset_meters()
        self._code_counts: Any = 0


def _accuracy(logits: torch.Tensor, slot_mask: torch.Tensor) -> torch.Tensor:
    """Share of predicted frames whose positive has the highest logit; NaN if nothing was predicted."""
    hits = (logits.argmax(dim=-1) == 0) & slot_mask
    return hits.sum() / slot_mask.sum()


class QuantizerGuardCallback(CollapseGuardCallback):
    """Also speaks up when the quantizer gives almost all frames the same code, while the loss falls: negatives with
    the code of their positive are left out, so that nothing is left to tell it from.

    It happens within tens of updates if the learning rate is too high, and so is looked for from the first log on.
    """

    MOST_COLLISIONS = 0.5

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs,
    ) -> None:
        super().on_log(args, state, control, logs=logs, **kwargs)
        share = (logs or {}).get("collision_share", 0.0)
        if share > self.MOST_COLLISIONS:
            logger.warning(
                f"Step {state.global_step}: {share:.0%} of the negatives have the very code of their positive. The "
                "quantizer has collapsed, and the contrastive losses teach nothing any more. Lower the learning rate, "
                "raise `diversity_loss_weight`, and start again."
            )
            control.should_training_stop = control.should_training_stop or self.stop
