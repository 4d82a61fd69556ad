# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""How well a student predicts its teacher's targets, frame by frame, patch by patch or token by token."""

from typing import NamedTuple

import torch
from torch.nn import functional as F


class Similarities(NamedTuple):
    """Of one item, and of several masked copies of it the first. A position is a frame, a patch or a token.

    Attributes:
        hidden: Which positions the student did not see, `(sequence_length,)`, bool.
        predicted: Which positions it predicted, `(sequence_length,)`, bool.
        own: Cosine similarity of each prediction with the target of its position, `(num_predicted,)`.
        others: The same with the targets of the other predicted positions, on average, `(num_predicted,)`; `None` if
            there is no other.
    """

    hidden: torch.Tensor
    predicted: torch.Tensor
    own: torch.Tensor
    others: torch.Tensor | None

    @property
    def by_position(self) -> torch.Tensor:
        """`own` where something was predicted, and 0 elsewhere, `(sequence_length,)`."""
        values = torch.zeros(len(self.predicted))
        values[self.predicted] = self.own
        return values


def similarities(outputs) -> Similarities:
    """Of the first item in the outputs of a pre-training model that has a teacher."""
    targets = outputs.targets[0]
    predicted = outputs.prediction_mask.view(-1, len(targets))[0]
    hidden = outputs.mask_time_indices.view(-1, len(targets))[0]
    predictions = F.normalize(outputs.predictions[: int(predicted.sum())].float(), dim=-1)
    # (num_predicted, num_predicted), a row for each prediction
    pairs = predictions @ F.normalize(targets[predicted].float(), dim=-1).T
    own = pairs.diagonal()
    others = (pairs.sum(-1) - own) / (len(own) - 1) if len(own) > 1 else None
    return Similarities(hidden, predicted, own, others)


def others_in_words(found: Similarities, position: str) -> str:
    """How near the targets of other positions are, to be added to the mean of `own`; nothing if there are none.

    Args:
        found: What was found of an item.
        position: What it is called, such as `"patch"`.
    """
    if found.others is None:
        return ""
    return (
        f", and {found.others.mean().item():.2f} with the targets of the others: only the difference is knowledge of "
        f"the very {position}"
    )
