# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Figures that show whether targets carry information: those of self-distillation may collapse, and those of a
quantizer use a few codes only where features are badly normalised."""

import torch

from ..evaluation.representation_health import rankme


def feature_std(features: torch.Tensor, is_real: torch.Tensor | None = None) -> torch.Tensor:
    """Mean over dimensions of the standard deviation over vectors: `pred_var` and `target_var` of the original.

    Args:
        features: `(num_vectors, hidden_size)`.
        is_real: `(num_vectors,)`, `False` at vectors that do not count; `None` if all do.

    Returns:
        A scalar in float32; near 0 after a collapse. Targets averaged over K instance-normalised layers have
        1 / sqrt(K) if the layers have nothing in common, and 1 if they are equal.
    """
    if is_real is None:
        return (features.float().var(dim=0) + 1e-6).sqrt().mean()
    weights, count = is_real.unsqueeze(-1).float(), is_real.sum()
    mean = (features.float() * weights).sum(dim=0) / count
    variance = ((features.float() - mean).square() * weights).sum(dim=0) / (count - 1)
    return (variance + 1e-6).sqrt().mean()


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


def sample_frames(
    features: torch.Tensor, frame_mask: torch.Tensor | None, most: int = 1024
) -> tuple[torch.Tensor, torch.Tensor]:
    """A copy of every n-th frame of a batch, such that there are about `most`.

    Args:
        features: `(batch_size, sequence_length, hidden_size)`.
        frame_mask: `(batch_size, sequence_length)`, `True` at the frames that count; `None` if all do.
        most: About how many frames to take.

    Returns:
        Frames `(num_frames, hidden_size)` and which of them count `(num_frames,)`, on the device, without waiting for
        it.
    """
    if frame_mask is None:
        frame_mask = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
    stride = max(1, frame_mask.numel() // most)
    return features.flatten(0, 1)[::stride].clone(), frame_mask.flatten()[::stride].clone()


def effective_rank(vectors: torch.Tensor) -> torch.Tensor:
    """Number of directions that vectors really use, see [`~hf_ssl.evaluation.representation_health.rankme`].

    The mean is not taken off: vectors that are all the same have the rank 1.

    Args:
        vectors: `(num_vectors, hidden_size)`.

    Returns:
        A scalar on the CPU, at most `min(num_vectors, hidden_size)`; 0 if all vectors are zero, NaN if they are fewer
        than 16 or not finite.
    """
    # In double precision, or rounding errors would add up to directions; not every accelerator has it.
    vectors = vectors.detach().cpu().double()
    if len(vectors) < 16 or not vectors.isfinite().all():
        return torch.tensor(float("nan"))
    return rankme(torch.linalg.eigvalsh(vectors.mT @ vectors).clamp_min(0).sqrt()).float()


def masked_accuracy(logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Share of predicted codes that are right.

    Args:
        logits: `(num_predicted, num_codebooks, codebook_size)`.
        codes: `(num_predicted, num_codebooks)`, -100 where there is none.

    Returns:
        A scalar; NaN if nothing was predicted.
    """
    return (logits.argmax(dim=-1) == codes).sum() / (codes != -100).sum()


def code_counts(codes: torch.Tensor, codebook_size: int, is_real: torch.Tensor | None = None) -> torch.Tensor:
    """How often each code occurs; counts of several batches and processes may be added up. Nothing waits for a GPU.

    Args:
        codes: `(..., num_codebooks)`.
        codebook_size: Codes per codebook.
        is_real: `(...)`, `True` at the vectors that count; `None` if all do.

    Returns:
        `(num_codebooks, codebook_size)`, long.
    """
    num_codebooks = codes.shape[-1]
    offsets = torch.arange(num_codebooks, device=codes.device) * codebook_size
    ones = torch.ones_like(codes) if is_real is None else is_real.unsqueeze(-1).expand_as(codes).long()
    counts = torch.zeros(num_codebooks * codebook_size, dtype=torch.long, device=codes.device)
    counts.scatter_add_(0, (codes + offsets).flatten(), ones.flatten())
    return counts.view(num_codebooks, codebook_size)


def codebook_usage(counts: torch.Tensor) -> torch.Tensor:
    """Share of the codebook that occurs, averaged over codebooks.

    Args:
        counts: From [`code_counts`]. Few vectors cannot use all of a large codebook.
    """
    return (counts > 0).float().mean()


def target_entropy(counts: torch.Tensor) -> torch.Tensor:
    """Entropy of the codes' frequencies in nats, averaged over codebooks: the loss of a model that knows frequencies
    and nothing else. Of [`code_counts`]."""
    frequencies = counts.float() / counts.sum(dim=-1, keepdim=True)
    return torch.special.entr(frequencies).sum(dim=-1).mean()


def codebook_perplexity(counts: torch.Tensor) -> torch.Tensor:
    """Number of codes that, used equally often, would have the same entropy. Of [`code_counts`]."""
    return target_entropy(counts).exp()
