# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Training of speaker embeddings: speakers to train on, other speakers to verify."""

from collections.abc import Iterable

import numpy as np
import torch
from transformers import EvalPrediction

from ..evaluation.verification import equal_error_rate, score_all_pairs
from .finetuning import FineTuningTrainer


class SpeakerVerificationTrainer(FineTuningTrainer):
    """`FineTuningTrainer` whose predictions are embeddings.

    In evaluation there is no loss: it is that of telling the training's speakers apart, and these are others.
    """

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        inputs = self._prepare_inputs(inputs)
        speakers = inputs.pop("labels")
        with torch.no_grad(), self.compute_loss_context_manager():
            embeddings = model(**inputs).embeddings
        return None, embeddings.float(), speakers


def number_speakers(train: Iterable[str], evaluation: Iterable[str]) -> tuple[list[str], list[str]]:
    """The speakers to train on, in alphabetical order, and those that occur in evaluation only.

    Raises:
        ValueError: There are fewer than two speakers to train on.
    """
    known = sorted(set(train))
    if len(known) < 2:
        raise ValueError(f"Expected at least two speakers to tell apart, got {known}.")
    return known, sorted(set(evaluation).difference(known))


def verification_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """`eer`: the equal error rate over all pairs of utterances, by cosine similarity; and the number of `trials`."""
    scores, is_same = score_all_pairs(np.asarray(prediction.predictions), np.asarray(prediction.label_ids))
    return {"eer": equal_error_rate(scores, is_same), "trials": len(scores)}
