# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Masks as properties: whatever the length and the parameters, something is masked and something stays visible."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ssl.models.masking import (
    FILLER,
    count_in_spans,
    draw_block_masks,
    draw_mask_indices,
    draw_random_masks,
    draw_span_masks,
    draw_token_spans,
    find_predicted,
    find_visible_frames,
    gather_frames,
    row_positions,
    scatter_visible,
)

LENGTHS = st.integers(1, 400)
PROBABILITIES = st.floats(0.05, 0.95)
SPAN_LENGTHS = st.integers(1, 20)
SEEDS = st.integers(0, 2**31)
SPAN_OPTIONS = {
    "mask_prob": PROBABILITIES,
    "mask_length": SPAN_LENGTHS,
    "mask_prob_adjust": st.floats(0, 0.2),
    "mask_dropout": st.floats(0, 0.5),
    "inverse": st.booleans(),
    "non_overlapping": st.booleans(),
    "expand_adjacent": st.booleans(),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def expected_count(length: int, mask_prob: float, inverse: bool) -> int:
    """Masked positions of `length`: as many as asked for, but one at least, and one visible where there are two."""
    asked = length - int(length * (1 - mask_prob)) if inverse else int(length * mask_prob)
    return max(1, min(asked, length - 1))


@given(length=LENGTHS, num_masks=st.integers(1, 4), seed=SEEDS, options=st.fixed_dictionaries(SPAN_OPTIONS))
@settings(deadline=None)
def test_span_masks_have_the_exact_count(length: int, num_masks: int, seed: int, options: dict) -> None:
    masks = draw_span_masks(length, num_masks, generator=seeded(seed), **options)
    assert masks.dtype == torch.bool
    assert masks.shape == (num_masks, length)
    assert (masks.sum(-1) == expected_count(length, options["mask_prob"], options["inverse"])).all()


@given(length=LENGTHS, seed=SEEDS, options=st.fixed_dictionaries(SPAN_OPTIONS))
@settings(deadline=None, max_examples=30)
def test_span_masks_follow_the_generator_alone(length: int, seed: int, options: dict) -> None:
    first = draw_span_masks(length, 3, generator=seeded(seed), **options)
    torch.rand(7)  # the global generator has no say
    assert torch.equal(draw_span_masks(length, 3, generator=seeded(seed), **options), first)


def test_masks_of_an_utterance_differ_from_each_other() -> None:
    masks = draw_span_masks(200, 8, mask_prob=0.5, mask_length=5, generator=seeded(0))
    assert len({tuple(mask.tolist()) for mask in masks}) == 8


def test_span_masks_come_in_spans() -> None:
    """50 % of single frames would change state every second frame; spans of 10 change about ten times less."""
    masks = draw_span_masks(400, 20, mask_prob=0.5, mask_length=10, generator=seeded(0))
    assert (masks[:, 1:] != masks[:, :-1]).float().mean() < 0.25


@given(
    grid_size=st.integers(1, 20),
    mask_length=st.integers(1, 6),
    seed=SEEDS,
    options=st.fixed_dictionaries({name: SPAN_OPTIONS[name] for name in SPAN_OPTIONS if name != "mask_length"}),
)
@settings(deadline=None)
def test_block_masks_have_equal_counts(grid_size: int, mask_length: int, seed: int, options: dict) -> None:
    masks = draw_block_masks(grid_size, 4, mask_length=mask_length, generator=seeded(seed), **options)
    assert masks.shape == (4, grid_size**2)
    assert (masks.sum(-1) == expected_count(grid_size**2, options["mask_prob"], options["inverse"])).all()


def test_an_inverse_block_stays_visible_in_one_piece() -> None:
    masks = draw_block_masks(
        16, 6, mask_prob=0.8, mask_length=3, mask_prob_adjust=0.07, inverse=True, generator=seeded(0)
    )
    visible = ~masks.view(-1, 16, 16)
    has_neighbour = torch.zeros_like(visible)
    has_neighbour[:, 1:] |= visible[:, :-1]
    has_neighbour[:, :-1] |= visible[:, 1:]
    has_neighbour[:, :, 1:] |= visible[:, :, :-1]
    has_neighbour[:, :, :-1] |= visible[:, :, 1:]
    assert has_neighbour[visible].float().mean() > 0.7


@given(length=LENGTHS, mask_prob=PROBABILITIES, seed=SEEDS)
@settings(deadline=None)
def test_random_masks_have_the_exact_count(length: int, mask_prob: float, seed: int) -> None:
    masks = draw_random_masks(length, 3, mask_prob=mask_prob, generator=seeded(seed))
    assert masks.shape == (3, length)
    assert (masks.sum(-1) == expected_count(length, mask_prob, inverse=True)).all()
    assert torch.equal(draw_random_masks(length, 3, mask_prob=mask_prob, generator=seeded(seed)), masks)


def test_random_masks_reach_every_position() -> None:
    masks = draw_random_masks(10, 400, mask_prob=0.5, generator=seeded(0))
    assert (masks.float().mean(0) - 0.5).abs().max() < 0.15


@given(
    lengths=st.lists(st.integers(0, 120), min_size=1, max_size=5),
    padding=st.integers(0, 20),
    seed=SEEDS,
    options=st.fixed_dictionaries(
        {
            "mask_prob": st.floats(0, 1),
            "mask_length": SPAN_LENGTHS,
            "min_masks": st.integers(0, 5),
            "same_count": st.booleans(),
            "add_masks": st.booleans(),
            "mask_dropout": st.floats(0, 0.9),
        }
    ),
)
@settings(deadline=None)
def test_mask_indices_stay_within_lengths_and_leave_something(
    lengths: list[int], padding: int, seed: int, options: dict
) -> None:
    def draw() -> torch.Tensor:
        generators = [np.random.default_rng((seed, index)) for index in range(len(lengths))]
        return draw_mask_indices(lengths, max(lengths) + padding, generators=generators, **options)

    masks = draw()
    assert masks.shape == (len(lengths), max(lengths) + padding)
    for mask, length in zip(masks, lengths, strict=True):
        assert not mask[length:].any()
        assert length == 0 or not mask[:length].all()
    assert torch.equal(draw(), masks)


def test_mask_indices_of_an_utterance_do_not_depend_on_its_neighbours() -> None:
    def draw(lengths: list[int], seeds: list[int]) -> torch.Tensor:
        generators = [np.random.default_rng(seed) for seed in seeds]
        return draw_mask_indices(lengths, 100, mask_prob=0.5, mask_length=5, generators=generators)

    alone, together = draw([80], [1]), draw([100, 80], [0, 1])
    assert alone.any()
    assert torch.equal(alone[0], together[1])


@pytest.mark.parametrize("add_masks", [False, True])
def test_same_count_gives_rows_of_one_length_equal_counts(add_masks: bool) -> None:
    generators = [np.random.default_rng(seed) for seed in range(6)]
    masks = draw_mask_indices(
        [100] * 6, 100, mask_prob=0.5, mask_length=7, generators=generators, same_count=True, add_masks=add_masks
    )
    assert len(set(masks.sum(-1).tolist())) == 1
    assert masks.any()


def test_mask_dropout_unmasks() -> None:
    def count(mask_dropout: float) -> int:
        generator = np.random.default_rng(0)
        return int(
            draw_mask_indices(
                [100], 100, mask_prob=0.5, mask_length=5, generators=[generator], mask_dropout=mask_dropout
            ).sum()
        )

    assert count(0.5) == count(0.0) - round(count(0.0) * 0.5)


@given(visible=st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=5))
@settings(deadline=None)
def test_gather_and_scatter_undo_each_other(visible: list[list[bool]]) -> None:
    """With unequal counts per row and with rows that are masked altogether."""
    is_visible = torch.tensor(visible)
    frames = find_visible_frames(is_visible)
    counts = is_visible.sum(-1)
    assert frames.positions.shape == frames.is_real.shape == (len(visible), max(1, int(counts.max())))
    assert torch.equal(frames.is_real.sum(-1), counts)
    for row, positions, is_real in zip(is_visible, frames.positions, frames.is_real, strict=True):
        assert positions[is_real].tolist() == row.nonzero().flatten().tolist()

    hidden_states = torch.randn(len(visible), 9, 3)
    fill = torch.full((1, 1, 3), -7.0)
    restored = scatter_visible(gather_frames(hidden_states, frames.positions), is_visible, fill)
    assert torch.equal(restored, torch.where(is_visible.unsqueeze(-1), hidden_states, fill))


@given(st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=5), st.integers(0, 12))
def test_positions_say_what_a_mask_says(marked: list[list[bool]], num_positions: int) -> None:
    mask = torch.tensor(marked)
    positions = row_positions(mask, num_positions)
    assert positions.shape == (len(marked), max(num_positions, int(mask.sum(-1).max())))
    for row, entries in zip(mask, positions.tolist(), strict=True):
        expected = row.nonzero().flatten().tolist()
        assert entries == expected + [FILLER] * (len(entries) - len(expected))
    asked, told = find_predicted(mask), find_predicted(mask, positions)
    assert told.is_real is not None
    assert torch.equal(told.rows[told.is_real], asked.rows)
    assert torch.equal(told.times[told.is_real], asked.times)
    assert int(told.num_predicted) == asked.num_predicted
    frames = find_visible_frames(mask, positions)
    assert torch.equal(frames.is_real, positions != FILLER)


def test_positions_that_are_not_those_of_the_mask() -> None:
    mask = torch.tensor([[[True, False, True], [False, True, False]]])
    positions = row_positions(mask)
    assert positions.tolist() == [[[0, 2], [1, FILLER]]]
    find_predicted(mask, positions)
    with pytest.raises(ValueError, match=r"`predicted_positions` must be the positions that the mask marks"):
        find_predicted(mask, positions.flip(-1))
    with pytest.raises(ValueError, match=r"`predicted_positions` must be the positions that the mask marks"):
        find_predicted(mask, positions[..., :1])
    with pytest.raises(ValueError, match=r"must be integers of shape \(1, 2, 'any number'\), but are torch.float32"):
        find_predicted(mask, positions.float())
    with pytest.raises(ValueError, match=r"`visible_positions` must be integers of shape .* of shape \(1, 2, 2\)"):
        find_visible_frames(mask[0], positions)


@given(length=LENGTHS, mask_prob=PROBABILITIES, inverse=st.booleans())
def test_count_in_spans(length: int, mask_prob: float, inverse: bool) -> None:
    masks = draw_span_masks(length, 2, mask_prob=mask_prob, mask_length=5, inverse=inverse)
    assert ((masks ^ inverse).sum(-1) == count_in_spans(length, mask_prob, inverse)).all()


DRAWS: dict[str, Callable] = {
    "span": draw_span_masks,
    "block": draw_block_masks,
    "random": lambda length, num_masks, mask_length, **kwargs: draw_random_masks(length, num_masks, **kwargs),
}


@pytest.mark.parametrize("kind", sorted(DRAWS))
def test_an_empty_sequence_is_an_error(kind: str) -> None:
    with pytest.raises(ValueError, match="at least one position, but got length 0"):
        DRAWS[kind](0, 2, mask_prob=0.5, mask_length=3)


@pytest.mark.parametrize("kind", sorted(DRAWS))
@pytest.mark.parametrize("mask_prob", [-0.1, 0.0, 1.0, 1.5, float("nan")])
def test_masking_nothing_or_everything_is_an_error(kind: str, mask_prob: float) -> None:
    with pytest.raises(ValueError, match=r"`mask_prob` must lie strictly between 0 and 1"):
        DRAWS[kind](10, 2, mask_prob=mask_prob, mask_length=3)


@pytest.mark.parametrize("kind", ["span", "block"])
def test_a_span_of_no_frames_is_an_error(kind: str) -> None:
    with pytest.raises(ValueError, match=r"`mask_length` must be at least 1, but got 0"):
        DRAWS[kind](10, 2, mask_prob=0.5, mask_length=0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"mask_prob": -0.5}, r"`mask_prob` must not be negative, but got -0.5"),
        ({"mask_length": 0}, r"`mask_length` must be at least 1, but got 0"),
        ({"lengths": [5, 11]}, r"lengths must lie between 0 and the sequence length 10, but are \[5, 11\]"),
        ({"lengths": [5, -1]}, r"lengths must lie between 0 and the sequence length 10, but are \[5, -1\]"),
        ({"lengths": [5]}, "one generator per sequence: 1 sequences, 2 generators"),
    ],
)
def test_bad_arguments_of_mask_indices(overrides: dict, message: str) -> None:
    arguments = {"lengths": [5, 10], "mask_prob": 0.5, "mask_length": 2} | overrides
    lengths = arguments.pop("lengths")
    with pytest.raises(ValueError, match=message):
        draw_mask_indices(lengths, 10, generators=[np.random.default_rng(0), np.random.default_rng(1)], **arguments)


def test_expansion_beyond_the_whole_sequence_stops_at_its_ends() -> None:
    """0.9 of 10 frames and half as many again are more than there are."""
    masks = draw_span_masks(
        10, 2, mask_prob=0.9, mask_length=3, mask_dropout=0.5, expand_adjacent=True, generator=seeded(0)
    )
    assert masks.sum(-1).tolist() == [9, 9]


def test_token_spans_have_the_published_share() -> None:
    """.35 of the tokens in spans of 4 are about .30 when spans overlap and are cut (1 - (1 - .35 / 4) ** 4)."""
    generator = np.random.default_rng(0)
    masks = torch.stack(
        [draw_token_spans(512, mask_prob=0.35, mask_length=4, generator=generator) for _ in range(200)]
    )
    assert masks.float().mean() == pytest.approx(1 - (1 - 0.35 / 4) ** 4, abs=5e-3)
    assert masks[:, -1].float().mean() > 0.15  # spans start at the last token too
    again = draw_token_spans(512, mask_prob=0.35, mask_length=4, generator=np.random.default_rng(0))
    assert torch.equal(again, masks[0])


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_token_spans_of_short_texts(length: int) -> None:
    for seed in range(20):
        for mask_prob in (0.01, 0.99):
            generator = np.random.default_rng(seed)
            mask = draw_token_spans(length, mask_prob=mask_prob, mask_length=4, generator=generator)
            assert 1 <= mask.sum() <= max(1, length - 1)


def test_token_spans_of_bad_parameters() -> None:
    for parameters in ({"mask_prob": 0.0}, {"mask_prob": 1.0}, {"mask_length": 0}):
        with pytest.raises(ValueError, match="`mask_"):
            draw_token_spans(10, **({"mask_prob": 0.35, "mask_length": 4} | parameters))
    with pytest.raises(ValueError, match="at least one position"):
        draw_token_spans(0, mask_prob=0.35, mask_length=4)
