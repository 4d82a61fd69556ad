# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the fine-tuned speech models of all families have in common: masks, pooling, losses."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional as F

from .input_checks import check_mask_type, is_integer
from .losses import mean_over_items
from .masking import draw_mask_indices


class SpecAugmentFields(Protocol):
    """Fields of a configuration that say what is masked in fine-tuning."""

    mask_time_prob: float | int
    mask_time_length: int
    mask_time_min_masks: int
    mask_feature_prob: float | int
    mask_feature_length: int
    mask_feature_min_masks: int


def draw_time_mask(
    config: SpecAugmentFields, features: torch.Tensor, frame_mask: torch.Tensor | None
) -> torch.Tensor | None:
    """Spans of real frames to mask in fine-tuning (wav2vec 2.0, appendix B).

    Args:
        config: `mask_time_*`.
        features: `(batch_size, sequence_length, hidden_size)`.
        frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.

    Returns:
        `(batch_size, sequence_length)`, bool; `None` if `mask_time_prob` is 0.
    """
    if config.mask_time_prob <= 0:
        return None
    batch_size, sequence_length = features.shape[:2]
    lengths = [sequence_length] * batch_size if frame_mask is None else frame_mask.sum(-1).tolist()
    return draw_mask_indices(
        lengths,
        sequence_length,
        mask_prob=config.mask_time_prob,
        mask_length=config.mask_time_length,
        min_masks=config.mask_time_min_masks,
        generators=numpy_generators(batch_size),
    )


def replace_frames(features: torch.Tensor, mask_time_indices: torch.Tensor, noise_std: float | int) -> torch.Tensor:
    """Noise instead of masked frames.

    Args:
        features: `(batch_size, sequence_length, hidden_size)`.
        mask_time_indices: `(batch_size, sequence_length)`.
        noise_std: Of the noise.
    """
    if mask_time_indices.shape != features.shape[:2]:
        raise ValueError(
            "`mask_time_indices` must have shape (batch_size, sequence_length) = "
            f"{tuple(features.shape[:2])}, but has {tuple(mask_time_indices.shape)}."
        )
    check_mask_type("mask_time_indices", mask_time_indices)
    noise = torch.randn_like(features) * noise_std
    return torch.where(mask_time_indices.bool().to(features.device).unsqueeze(-1), noise, features)


def mask_channels(config: SpecAugmentFields, features: torch.Tensor) -> torch.Tensor:
    """Zeros at spans of channels of `features`, `(batch_size, sequence_length, hidden_size)`, as in fine-tuning."""
    if config.mask_feature_prob <= 0:
        return features
    batch_size, _, hidden_size = features.shape
    channels = draw_mask_indices(
        [hidden_size] * batch_size,
        hidden_size,
        mask_prob=config.mask_feature_prob,
        mask_length=config.mask_feature_length,
        min_masks=config.mask_feature_min_masks,
        generators=numpy_generators(batch_size),
    )
    return features.masked_fill(channels.to(features.device).unsqueeze(1), 0)


def numpy_generators(count: int) -> list[np.random.Generator]:
    """Generators seeded from torch's, which is the one that training saves and restores."""
    return [np.random.default_rng(seed) for seed in torch.randint(2**62, (count,)).tolist()]


def weighted_layer_sum(layer_weights: torch.Tensor, hidden_states: Sequence[torch.Tensor]) -> torch.Tensor:
    """Sum of all layers' outputs with the softmax of `layer_weights`, `(num_hidden_states,)`, as weights."""
    weights = layer_weights.softmax(dim=-1)
    summed = weights[0] * hidden_states[0]
    for weight, state in zip(weights[1:], hidden_states[1:], strict=True):
        summed = summed + weight * state
    return summed


def pool_mean(hidden_states: torch.Tensor, frame_mask: torch.Tensor | None) -> torch.Tensor:
    """Mean over real frames: `(batch_size, sequence_length, size)` -> `(batch_size, size)`."""
    if frame_mask is None:
        return hidden_states.mean(dim=1)
    weights = frame_mask.unsqueeze(-1).to(hidden_states.dtype)
    return (hidden_states * weights).sum(dim=1) / weights.sum(dim=1)


def pool_statistics(hidden_states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation over real frames: `(batch_size, sequence_length, size)` -> `(batch_size, 2 size)`.

    Unlike transformers' loop over utterances, one frame gives a standard deviation of 0 instead of NaN.
    """
    dtype, hidden_states = hidden_states.dtype, hidden_states.float()  # squares overflow in float16
    steps = torch.arange(hidden_states.shape[1], device=hidden_states.device)
    weights = (steps < lengths.unsqueeze(-1)).unsqueeze(-1).to(hidden_states.dtype)
    counts = lengths.view(-1, 1).to(hidden_states.dtype)
    mean = (hidden_states * weights).sum(1) / counts
    squares = ((hidden_states - mean.unsqueeze(1)).square() * weights).sum(1)
    # the small number keeps the gradient of the root finite where a channel is constant
    return torch.cat([mean, (squares / (counts - 1).clamp_min(1) + 1e-10).sqrt()], dim=-1).to(dtype)


def ctc_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    frame_lengths: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None,
    *,
    blank: int,
    reduction: str,
    zero_infinity: bool,
) -> torch.Tensor:
    """Connectionist temporal classification.

    Args:
        logits: `(batch_size, sequence_length, vocab_size)`.
        labels: `(batch_size, target_length)`, negative at padding.
        frame_lengths: `(batch_size,)`, real frames.
        num_items_in_batch: Target tokens of the global batch; this batch's if `None`.
        blank: Label of no token.
        reduction: `"mean"`: per target token; `"sum"`.
        zero_infinity: Whether transcripts that do not fit into their audio give no loss instead of an infinite one.

    Raises:
        ValueError: A label has no logit, or these are no labels of this batch.
    """
    if labels.dim() != 2 or len(labels) != len(logits) or not is_integer(labels):
        raise ValueError(
            f"Expected a row of integer labels per utterance, shape ({len(logits)}, target_length), but got labels of "
            f"type {labels.dtype} and shape {tuple(labels.shape)}."
        )
    if labels.numel() and labels.max() >= logits.shape[-1]:
        raise ValueError(
            f"Labels must be smaller than `config.vocab_size` = {logits.shape[-1]}, but the largest is "
            f"{int(labels.max())}. Does the tokenizer belong to this model?"
        )
    is_token = labels >= 0
    log_probs = F.log_softmax(logits, dim=-1, dtype=torch.float32).transpose(0, 1)
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN's CTC is not deterministic
        loss = F.ctc_loss(
            log_probs,
            labels.masked_select(is_token).long(),
            frame_lengths,
            is_token.sum(-1),
            blank=blank,
            reduction="sum",
            zero_infinity=zero_infinity,
        )
    if reduction == "sum":
        return loss
    return mean_over_items(loss, num_items_in_batch, is_token.sum())
