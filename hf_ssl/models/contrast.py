# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Contrastive loss against sampled negatives that are never materialised.

Vectors are in slots: `(batch_size, num_slots, size)`, those of an utterance first in its row, then filler.
"""

import math

import torch
from torch.nn import functional as F


def draw_negatives(
    is_real: torch.Tensor, num_negatives: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draws, for each slot, slots of the same utterance (wav2vec 2.0, section 3.2), with replacement, never itself.

    Args:
        is_real: `(batch_size, num_slots)`, `False` at filler.
        num_negatives: How many to draw.
        generator: Source of randomness, on the device of `is_real`; torch's global one if absent.

    Returns:
        `(batch_size, num_slots, num_negatives)`, slots. In a row with a single real slot, that slot: it is its own
        positive, and so never counts.
    """
    counts = is_real.sum(dim=-1).view(-1, 1, 1)
    own = torch.arange(is_real.shape[1], device=is_real.device).view(1, -1, 1)
    drawn = _draw_others(own, counts, (*is_real.shape, num_negatives), generator)
    return torch.where(counts > 1, drawn, torch.zeros_like(drawn))


def draw_cross_negatives(
    is_real: torch.Tensor, num_negatives: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """The same from all utterances of the batch.

    Deviation: the original stops with a shape error as soon as these are asked for. In what it would draw, all but
    the first utterance could meet their positives: it compares a number that counts through the batch with the own
    slot's number within its utterance.

    Returns:
        `(batch_size, num_slots, num_negatives)`, `utterance * num_slots + slot`.
    """
    ends = is_real.sum(dim=-1).cumsum(dim=0)
    starts = ends - is_real.sum(dim=-1)
    own = starts.view(-1, 1, 1) + torch.arange(is_real.shape[1], device=is_real.device).view(1, -1, 1)
    drawn = _draw_others(own, ends[-1], (*is_real.shape, num_negatives), generator)
    utterances = torch.searchsorted(ends, drawn, right=True).clamp_max(len(ends) - 1)
    return (utterances * is_real.shape[1] + drawn - starts[utterances]).clamp_(0, is_real.numel() - 1)


def _draw_others(
    own: torch.Tensor, counts: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator | None
) -> torch.Tensor:
    """Numbers below `counts`, other than `own`."""
    others = (counts - 1).clamp_min(0)
    drawn = (torch.rand(shape, device=own.device, generator=generator) * others).long()
    drawn = torch.minimum(drawn, (others - 1).clamp_min(0))  # where the product was rounded up
    return drawn + (drawn >= own)


def contrastive_logits(
    anchors: torch.Tensor, pool: torch.Tensor, negatives: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Cosine similarities of each anchor with its positive and its negatives, divided by the temperature.

    One matrix product of all anchors of a group with all its pool, out of which the sampled ones are picked: the
    negatives themselves, `num_negatives` times the pool, never exist. In float32, under autocast too: bfloat16 has no
    numbers between .9922 and .9961, which a temperature of .1 makes logits that differ by .04.

    Args:
        anchors: `(num_groups, num_slots, size)`.
        pool: The same shape; the positive of an anchor is in its own slot.
        negatives: `(num_groups, num_slots, num_negatives)`, slots of the same group.

    Returns:
        `(num_groups, num_slots, 1 + num_negatives)`, float32, the positive first.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        similarities = F.normalize(anchors.float(), dim=-1) @ F.normalize(pool.float(), dim=-1).transpose(1, 2)
    positives = similarities.diagonal(dim1=1, dim2=2).unsqueeze(-1)
    return torch.cat([positives, similarities.gather(2, negatives)], dim=-1) / temperature


def same_as_own(values: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
    """Whether a negative has the value of its slot.

    Args:
        values: `(num_groups, num_slots)`, such as codes or clusters.
        negatives: `(num_groups, num_slots, num_negatives)`.

    Returns:
        Bool, in the shape of `negatives`.
    """
    return values.gather(1, negatives.flatten(1)).view_as(negatives) == values.unsqueeze(-1)


def exclude_negatives(logits: torch.Tensor, excluded: torch.Tensor) -> torch.Tensor:
    """Takes negatives, `(num_groups, num_slots, num_negatives)`, out of the softmax."""
    return torch.cat([logits[..., :1], logits[..., 1:].masked_fill(excluded, -torch.inf)], dim=-1)


def weaken_negatives(
    logits: torch.Tensor, weakened: torch.Tensor, factor: float, weighting: str, condition: torch.Tensor | None = None
) -> torch.Tensor:
    """Lets some negatives weigh less.

    Args:
        logits: `(num_groups, num_slots, 1 + num_negatives)`.
        weakened: `(num_groups, num_slots, num_negatives)`, bool: which ones.
        factor: Between 0 and 1.
        weighting: `"log"`: the negative counts as `factor` negatives. `"multiply"`: its logit is multiplied, which
            pulls it to zero and so *strengthens* it if the similarity is negative.
        condition: Bool, a scalar; nothing is changed where it is `False`.
    """
    if condition is not None:
        weakened = weakened & condition
    negatives = logits[..., 1:]
    scaled = negatives * factor if weighting == "multiply" else negatives + math.log(factor)
    return torch.cat([logits[..., :1], torch.where(weakened, scaled, negatives)], dim=-1)


def contrastive_loss(logits: torch.Tensor, is_real: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the positive, summed over the real slots.

    Args:
        logits: `(num_groups, num_slots, 1 + num_negatives)`, the positive first.
        is_real: `(num_groups, num_slots)`.
    """
    losses = logits.logsumexp(dim=-1) - logits[..., 0]
    return torch.where(is_real, losses, torch.zeros_like(losses)).sum()
