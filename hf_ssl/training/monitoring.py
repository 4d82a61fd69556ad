# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Figures that show whether the targets of self-distillation carry information or have collapsed."""

import torch


def feature_std(features: torch.Tensor) -> torch.Tensor:
    """Mean over dimensions of the standard deviation over vectors: `pred_var` and `target_var` of the original.

    Args:
        features: `(num_vectors, hidden_size)`.

    Returns:
        A scalar in float32; near 0 after a collapse. Targets averaged over K instance-normalised layers have
        1 / sqrt(K) if the layers have nothing in common, and 1 if they are equal.
    """
    return (features.float().var(dim=0) + 1e-6).sqrt().mean()


def between_utterance_share(targets: torch.Tensor, frame_mask: torch.Tensor | None = None) -> torch.Tensor:
    """Share of the targets' variance that lies between utterances at equal time.

    The published measure, [`feature_std`], is blind to a target that depends on the position in time alone: small
    models collapse that way while their loss falls. This share is then 0. Targets that know nothing of the position
    have a share of 1.

    Args:
        targets: `(batch_size, sequence_length, hidden_size)`.
        frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.

    Returns:
        A scalar; NaN if no instant has two utterances.
    """
    targets = targets.float()
    if frame_mask is None:
        frame_mask = torch.ones(targets.shape[:2], dtype=torch.bool, device=targets.device)
    weights = frame_mask.unsqueeze(-1).to(targets.dtype)
    counts = weights.sum(dim=0)  # utterances that are still running, by time
    weights = weights * (counts > 1)
    counts = weights.sum(dim=0)
    total_count = weights.sum()

    mean_at_time = (targets * weights).sum(dim=0) / counts.clamp_min(1)
    # unbiased within each instant, so that two utterances count for as much as twenty
    correction = counts / (counts - 1).clamp_min(1)
    between = ((targets - mean_at_time).square() * weights * correction).sum(dim=(0, 1)) / total_count
    mean = (targets * weights).sum(dim=(0, 1)) / total_count
    total = ((targets - mean).square() * weights).sum(dim=(0, 1)) / (total_count - 1)
    return between.mean() / total.mean()
