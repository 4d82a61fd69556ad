# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Losses of fine-tuning that do not depend on the modality."""

import torch
from torch.nn import functional as F


def classification_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    is_multi_label: bool,
    num_items_in_batch: torch.Tensor | int | None,
) -> torch.Tensor:
    """Cross-entropy, or binary cross-entropy for several labels, averaged over labels that are not -100."""
    expected = logits.shape if is_multi_label else logits.shape[:-1]
    if labels.shape != expected or (labels.is_floating_point() and not is_multi_label):
        raise ValueError(
            f"Expected {'zeros and ones' if is_multi_label else 'integer labels'} of shape {tuple(expected)}, but got "
            f"labels of type {labels.dtype} and shape {tuple(labels.shape)}. `config.problem_type` says whether there "
            "are several labels at once."
        )
    if not is_multi_label:
        loss = F.cross_entropy(logits.flatten(0, -2).float(), labels.flatten(), ignore_index=-100, reduction="sum")
        count = (labels != -100).sum()
    else:
        is_label = labels != -100
        elementwise = F.binary_cross_entropy_with_logits(
            logits.float(), labels.masked_fill(~is_label, 0).float(), reduction="none"
        )
        loss, count = (elementwise * is_label).sum(), is_label.sum()
    return loss / (count.clamp_min(1) if num_items_in_batch is None else num_items_in_batch)


def mean_squared_loss(
    logits: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None
) -> torch.Tensor:
    """Squared error of numbers, such as similarities of sentences, averaged over labels.

    Args:
        logits: `(batch_size, 1)`.
        labels: `(batch_size,)` or `(batch_size, 1)`.
        num_items_in_batch: Labels of the global batch; this batch's if `None`.
    """
    if labels.numel() != logits.numel():
        raise ValueError(
            f"Expected a number per item to regress, {logits.numel()} of them, but got labels of shape "
            f"{tuple(labels.shape)}. `config.num_labels` is 1 for regression."
        )
    loss = F.mse_loss(logits.flatten().float(), labels.flatten().float(), reduction="sum")
    return loss / (labels.numel() if num_items_in_batch is None else num_items_in_batch)
