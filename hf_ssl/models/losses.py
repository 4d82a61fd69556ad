# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Losses of fine-tuning that do not depend on the modality."""

import torch
from torch.nn import functional as F

from .input_checks import check_classes, check_several_labels


def at_least_one(count: torch.Tensor | int) -> torch.Tensor | int:
    """A number of items to divide by: a global batch without any has a loss of 0 and not of 0 / 0."""
    return count.clamp_min(1) if isinstance(count, torch.Tensor) else max(1, count)


def mean_over_items(
    total: torch.Tensor, num_items_in_batch: torch.Tensor | int | None, own_items: torch.Tensor | int
) -> torch.Tensor:
    """A sum divided by the number of items of the global batch, or of this one if that is `None`; 0 if there is none.

    Args:
        total: Sum over the items of this batch.
        num_items_in_batch: Items of the global batch, as the `Trainer` counts them.
        own_items: Items of this batch.
    """
    return total / at_least_one(own_items if num_items_in_batch is None else num_items_in_batch)


def classification_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    is_multi_label: bool,
    num_items_in_batch: torch.Tensor | int | None,
) -> torch.Tensor:
    """Cross-entropy, or binary cross-entropy for several labels, averaged over labels that are not -100.

    Raises:
        ValueError: The labels do not fit.
    """
    if not is_multi_label:
        check_classes(labels, tuple(logits.shape[:-1]), logits.shape[-1])
        loss = F.cross_entropy(logits.flatten(0, -2).float(), labels.flatten().long(), reduction="sum")
        count = (labels != -100).sum()
    else:
        check_several_labels(labels, tuple(logits.shape))
        is_label = labels != -100
        elementwise = F.binary_cross_entropy_with_logits(
            logits.float(), labels.masked_fill(~is_label, 0).float(), reduction="none"
        )
        loss, count = (elementwise * is_label).sum(), is_label.sum()
    return mean_over_items(loss, num_items_in_batch, count)


def mean_squared_loss(
    logits: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None
) -> torch.Tensor:
    """Squared error of numbers, such as similarities of sentences, averaged over labels.

    Args:
        logits: `(batch_size, 1)`.
        labels: `(batch_size,)` or `(batch_size, 1)`.
        num_items_in_batch: Labels of the global batch; this batch's if `None`.
    """
    if labels.numel() != logits.numel() or labels.is_complex():
        raise ValueError(
            f"Expected a number per item to regress, {logits.numel()} of them, but got labels of type "
            f"{labels.dtype} and shape {tuple(labels.shape)}. `config.num_labels` is 1 for regression."
        )
    loss = F.mse_loss(logits.flatten().float(), labels.flatten().float(), reduction="sum")
    return mean_over_items(loss, num_items_in_batch, labels.numel())
