# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Masks of BEST-RQ. Those of the open-source recipe are compared to the original's in tests/parity."""

import pytest
import torch

from hf_ssl.models.masking import draw_grid_mask, draw_stack_masks, draw_start_mask


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def runs(mask: torch.Tensor) -> list[int]:
    """Lengths of the masked spans."""
    edges = torch.diff(mask.int(), prepend=torch.zeros(1, dtype=torch.int), append=torch.zeros(1, dtype=torch.int))
    return (edges.nonzero()[1::2] - edges.nonzero()[::2]).flatten().tolist()


def test_start_mask_has_the_published_share() -> None:
    """Probability .01 and 40 frames: a frame is visible if none of 40 starts covers it."""
    mask = draw_start_mask(200_000, start_prob=0.01, mask_length=40, generator=generator(0))
    assert mask.float().mean() == pytest.approx(1 - 0.99**40, abs=0.01)
    assert min(runs(mask)[:-1]) >= 40
    assert max(runs(mask)) > 40  # spans overlap


@pytest.mark.parametrize("length", [1, 2, 3, 10])
def test_start_mask_of_short_utterances(length: int) -> None:
    for start_prob in (1e-6, 0.999):
        for seed in range(20):
            mask = draw_start_mask(length, start_prob=start_prob, mask_length=10, generator=generator(seed))
            assert mask.shape == (length,)
            assert mask.any()
            assert length == 1 or not mask.all()


def test_grid_mask_has_spans_on_the_grid() -> None:
    mask = draw_grid_mask(403, start_prob=0.05, mask_length=4, rounding=0.5, generator=generator(0))
    grid = mask[:400].view(-1, 4)
    assert torch.equal(grid.all(-1), grid.any(-1))
    assert int(grid.any(-1).sum()) == int(0.05 * 403 + 0.5)
    assert not mask[400:].any()


def test_grid_mask_rounds_at_random() -> None:
    counts = [
        int(draw_grid_mask(90, start_prob=0.05, mask_length=2, generator=generator(seed)).sum()) // 2
        for seed in range(400)
    ]
    assert set(counts) == {4, 5}
    assert sum(counts) / len(counts) == pytest.approx(4.5, abs=0.1)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9])
def test_grid_mask_of_short_utterances(length: int) -> None:
    for start_prob in (1e-6, 0.9):
        mask = draw_grid_mask(length, start_prob=start_prob, mask_length=4, generator=generator(0))
        assert mask.any()
        assert length == 1 or not mask.all()


def test_stack_masks_have_the_share_of_mel_frames() -> None:
    draws = {"bernoulli": (0.01, 40, 1 - 0.99**40), "grid": (0.15, 4, 0.6)}
    for sampling, (mask_prob, mask_length, share) in draws.items():
        masks = draw_stack_masks(
            [4000] * 20,
            1000,
            stack_size=4,
            mask_prob=mask_prob,
            mask_length=mask_length,
            sampling=sampling,
            generators=[generator(seed) for seed in range(20)],
        )
        assert masks.float().mean() == pytest.approx(share, abs=0.03)
        assert len(masks.unique(dim=0)) == 20


@pytest.mark.parametrize("sampling", ["bernoulli", "grid"])
def test_a_mask_depends_on_its_own_generator_alone(sampling: str) -> None:
    options = {"stack_size": 4, "mask_prob": 0.05, "mask_length": 8, "sampling": sampling}
    together = draw_stack_masks([200, 90], 60, **options, generators=[generator(1), generator(2)])
    alone = draw_stack_masks([90], 22, **options, generators=[generator(2)])
    assert torch.equal(together[1, :22], alone[0])
    assert not together[1, 22:].any()


def test_errors() -> None:
    with pytest.raises(ValueError, match="at least 4 mel frames, but a sequence has 3"):
        draw_stack_masks([9, 3], 2, stack_size=4, mask_prob=0.1, mask_length=4, sampling="grid")
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        draw_start_mask(10, start_prob=1.0, mask_length=4)
    with pytest.raises(ValueError, match="at least one position"):
        draw_grid_mask(0, start_prob=0.1, mask_length=4)
