# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Negatives, their logits without their vectors, and the contrastive loss."""

import math

import pytest
import torch
from torch.nn import functional as F

from hf_ssl.models.contrast import (
    contrastive_logits,
    contrastive_loss,
    draw_cross_negatives,
    draw_negatives,
    exclude_negatives,
    same_as_own,
    weaken_negatives,
)

IS_REAL = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4])


def test_negatives_are_other_frames_of_the_same_utterance() -> None:
    torch.manual_seed(0)
    negatives = draw_negatives(IS_REAL, 400)
    assert negatives.shape == (3, 5, 400)
    for row, slot in IS_REAL.nonzero().tolist():
        others = set(range(int(IS_REAL[row].sum()))) - {slot}
        assert set(negatives[row, slot].tolist()) == (others or {slot})  # a single frame has only itself


def test_negatives_are_equally_likely() -> None:
    torch.manual_seed(0)
    counts = torch.bincount(draw_negatives(IS_REAL[:1], 20_000)[0, 2], minlength=5)
    assert counts[2] == 0
    assert counts[[0, 1, 3, 4]].float().sub(5000).abs().max() < 300


def test_cross_negatives_are_other_frames_of_the_batch() -> None:
    torch.manual_seed(0)
    negatives = draw_cross_negatives(IS_REAL, 2000)
    real = set((IS_REAL.flatten().nonzero()).flatten().tolist())
    for row, slot in IS_REAL.nonzero().tolist():
        assert set(negatives[row, slot].tolist()) == real - {row * 5 + slot}


def test_logits_and_gradients_are_those_of_materialised_negatives() -> None:
    generator = torch.Generator().manual_seed(0)
    anchors = torch.randn(2, 7, 6, generator=generator, requires_grad=True)
    pool = torch.randn(2, 7, 6, generator=generator, requires_grad=True)
    torch.manual_seed(0)
    negatives = draw_negatives(torch.ones(2, 7, dtype=torch.bool), 9)
    rows = torch.arange(2).view(-1, 1, 1)

    logits = contrastive_logits(anchors, pool, negatives, 0.1)
    loss = contrastive_loss(logits, torch.ones(2, 7, dtype=torch.bool))
    gradients = torch.autograd.grad(loss, (anchors, pool))

    candidates = torch.cat([pool.unsqueeze(2), pool[rows, negatives]], dim=2)
    expected_logits = F.cosine_similarity(anchors.unsqueeze(2), candidates, dim=-1) / 0.1
    expected = F.cross_entropy(expected_logits.flatten(0, 1), torch.zeros(14, dtype=torch.long), reduction="sum")
    torch.testing.assert_close(logits, expected_logits)
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(gradients, torch.autograd.grad(expected, (anchors, pool)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_similarities_are_in_float32_under_autocast_too() -> None:
    generator = torch.Generator().manual_seed(0)
    # vectors that are all alike, as quantized ones may be: the rounding of bfloat16 would be as large as what differs
    anchors = 1 + 0.1 * torch.randn(2, 7, 64, generator=generator)
    pool = 1 + 0.1 * torch.randn(2, 7, 64, generator=generator)
    negatives = draw_negatives(torch.ones(2, 7, dtype=torch.bool), 5)
    expected = contrastive_logits(anchors, pool, negatives, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        logits = contrastive_logits(anchors, pool, negatives, 0.1)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, rtol=0, atol=0)


def test_filler_counts_for_nothing_and_gives_no_gradient() -> None:
    anchors = torch.zeros(1, 3, 4, requires_grad=True)
    logits = contrastive_logits(anchors, torch.zeros(1, 3, 4), torch.zeros(1, 3, 2, dtype=torch.long), 0.1)
    loss = contrastive_loss(logits, torch.tensor([[True, False, False]]))
    torch.testing.assert_close(loss, torch.tensor(math.log(3)))
    loss.backward()
    assert torch.isfinite(anchors.grad).all()
    assert contrastive_loss(logits, torch.zeros(1, 3, dtype=torch.bool)) == 0


def test_same_as_own() -> None:
    values = torch.tensor([[7, 8, 7]])
    negatives = torch.tensor([[[1, 2], [0, 2], [0, 1]]])
    assert same_as_own(values, negatives).tolist() == [[[False, True], [False, False], [True, False]]]


LOGITS = torch.tensor([[[1.0, 2.0, -2.0]]])


def test_a_negative_with_log_weight_counts_as_a_part_of_one() -> None:
    """Two negatives of weight one half are as good as one."""
    doubled = torch.tensor([[[1.0, 2.0, 2.0]]])
    both = torch.ones(1, 1, 2, dtype=torch.bool)
    is_real = torch.ones(1, 1, dtype=torch.bool)
    weakened = contrastive_loss(weaken_negatives(doubled, both, 0.5, "log"), is_real)
    torch.testing.assert_close(weakened, contrastive_loss(doubled[..., :2], is_real))


def test_log_weakens_both_signs_and_multiplication_strengthens_one() -> None:
    both = torch.ones(1, 1, 2, dtype=torch.bool)
    lowered = weaken_negatives(LOGITS, both, 0.3, "log")
    assert (lowered[..., 1:] < LOGITS[..., 1:]).all()
    assert lowered[..., 0] == LOGITS[..., 0]
    multiplied = weaken_negatives(LOGITS, both, 0.3, "multiply")
    torch.testing.assert_close(multiplied[..., 1:], torch.tensor([[[0.6, -0.6]]]))


def test_weakening_on_condition() -> None:
    both = torch.ones(1, 1, 2, dtype=torch.bool)
    assert torch.equal(weaken_negatives(LOGITS, both, 0.3, "log", torch.tensor(False)), LOGITS)
    assert not torch.equal(weaken_negatives(LOGITS, both, 0.3, "log", torch.tensor(True)), LOGITS)


@pytest.mark.parametrize("weighting", ["log", "multiply"])
def test_excluded_negatives_stay_excluded_and_the_gradient_finite(weighting: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    excluded = torch.tensor([[[True, False]]])
    changed = weaken_negatives(exclude_negatives(logits, excluded), torch.ones_like(excluded), 0.3, weighting)
    assert changed[0, 0, 1] == -torch.inf
    contrastive_loss(changed, torch.ones(1, 1, dtype=torch.bool)).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 0, 1] == 0


def test_without_any_negative_left_there_is_no_loss() -> None:
    logits = exclude_negatives(LOGITS, torch.ones(1, 1, 2, dtype=torch.bool))
    assert contrastive_loss(logits, torch.ones(1, 1, dtype=torch.bool)) == 0
