# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Trainer of data2vec-aqc."""

from collections.abc import Mapping
from typing import Any

import torch

from ..models.modeling_data2vec_aqc import Data2VecAqcForPreTrainingOutput
from .monitoring import code_counts, codebook_perplexity, codebook_usage
from .trainer import SelfDistillationTrainer

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
            "student_contrastive_accuracy": contrastive_accuracy(outputs.student_logits, outputs.slot_mask),
            "teacher_contrastive_accuracy": contrastive_accuracy(outputs.teacher_logits, outputs.slot_mask),
        }

    @torch.no_grad()
    def _record(self, inputs: Mapping[str, torch.Tensor], outputs: Data2VecAqcForPreTrainingOutput) -> None:
        super()._record(inputs, outputs)
        assert outputs.codes is not None
        assert outputs.slot_mask is not None
        codebook_size = self.accelerator.unwrap_model(self.model).config.num_codevectors_per_group
        self._code_counts += code_counts(outputs.codes, codebook_size, outputs.slot_mask)

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


def contrastive_accuracy(logits: torch.Tensor, slot_mask: torch.Tensor) -> torch.Tensor:
    """Share of predicted frames whose positive has a higher logit than any negative; NaN if nothing was predicted.

    A frame without any negative left, and one whose logits are all the same, are no hits.
    """
    highest = logits[..., 1:].amax(dim=-1)
    hits = (logits[..., 0] > highest) & ~highest.isneginf() & slot_mask
    return hits.sum() / slot_mask.sum()
