# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Masks of self-supervised pre-training, and the gather and scatter of what stays visible.

Drawing a mask is a pure function of lengths, parameters and generator. `True` always means *masked*. The draws follow
the originals' order of random calls, so that the same generator gives the same mask (tests/parity), except where a
docstring names a deviation.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from .input_checks import can_ask, is_integer

# In rows of positions, behind the last one.
FILLER = -1


def draw_span_masks(
    length: int,
    num_masks: int,
    *,
    mask_prob: float,
    mask_length: int,
    mask_prob_adjust: float = 0.0,
    mask_dropout: float = 0.0,
    inverse: bool = False,
    non_overlapping: bool = False,
    expand_adjacent: bool = False,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Draws `num_masks` span masks over the `length` real frames of one utterance (data2vec 2.0, section 3.3).

    Span centres fall anywhere, spans are cut at the edges, and single frames are then masked or unmasked at random
    until every mask has exactly `int(mask_prob * length)` masked frames (`compute_block_mask_1d` of the original).

    Deviation: however short the utterance, at least one span is drawn, at least one frame is masked and, if there are
    two frames or more, at least one stays visible. The original may mask nothing.

    Args:
        length: Number of real frames, at least 1.
        num_masks: How many independent masks to draw.
        mask_prob: Share of frames to mask (to keep visible with `inverse=True`).
        mask_length: Frames per span.
        mask_prob_adjust: Added to `mask_prob` when spans are drawn, to make up for overlaps.
        mask_dropout: Share by which spans are drawn in excess before the count is corrected.
        inverse: Draw spans of what stays visible instead of what is masked.
        non_overlapping: Draw spans from a grid of `mask_length` frames, so that they cannot overlap.
        expand_adjacent: Make up for missing frames beside spans instead of anywhere.
        generator: Source of randomness; torch's global one if absent.

    Returns:
        `torch.BoolTensor` of shape `(num_masks, length)`.
    """
    _check_mask_parameters(length, mask_prob, mask_length)
    span_prob = 1 - mask_prob if inverse else mask_prob
    if non_overlapping:
        grid_size = math.ceil(length / mask_length)
        num_spans = max(1, int(grid_size * (span_prob + mask_prob_adjust) * (1 + mask_dropout)))
        grid = _choose(torch.ones(num_masks, grid_size), num_spans, generator)
        spans = grid.repeat_interleave(mask_length, dim=1)[:, :length]
    else:
        num_spans = max(1, int(length * ((span_prob + mask_prob_adjust) / mask_length) * (1 + mask_dropout)))
        centres = torch.randint(0, length, size=(num_masks, num_spans), generator=generator)
        offsets = torch.arange(mask_length) - mask_length // 2
        frames = (centres.unsqueeze(-1) + offsets).clamp_(0, length - 1).view(num_masks, -1)
        spans = torch.zeros(num_masks, length).scatter_(1, frames, 1.0)
    neighbours = torch.tensor([1.0, 0.0, 1.0]) if expand_adjacent else None
    target = count_in_spans(length, mask_prob, inverse)
    spans = torch.stack([_set_count(row, target, mask_dropout, neighbours, generator) for row in spans])
    return spans.bool() ^ inverse


def count_in_spans(length: int, mask_prob: float, inverse: bool = False) -> int:
    """Frames that each mask of [`draw_span_masks`] masks, or with `inverse` leaves visible: at least one, and never
    all of two or more."""
    span_prob = 1 - mask_prob if inverse else mask_prob
    return _clamp_span_count(int(length * span_prob), length, inverse)


def draw_block_masks(
    grid_size: int,
    num_masks: int,
    *,
    mask_prob: float,
    mask_length: int,
    mask_prob_adjust: float = 0.0,
    mask_dropout: float = 0.0,
    inverse: bool = False,
    non_overlapping: bool = False,
    expand_adjacent: bool = False,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Draws `num_masks` masks of square blocks over a `grid_size` x `grid_size` grid of patches.

    With `inverse=True` the blocks are what stays visible: data2vec 2.0's inverse block masking for images (section
    3.3, figure 2). All masks have the same number of masked patches (`compute_block_mask_2d` of the original). The
    arguments are those of [`draw_span_masks`]; `mask_length` is the side of a block in patches.

    Returns:
        `torch.BoolTensor` of shape `(num_masks, grid_size * grid_size)`, patches in row-major order.
    """
    num_patches = grid_size**2
    _check_mask_parameters(num_patches, mask_prob, mask_length)
    span_prob = 1 - mask_prob if inverse else mask_prob
    if non_overlapping:
        coarse_size = math.ceil(grid_size / mask_length)
        num_blocks = max(1, int(coarse_size**2 * (span_prob + mask_prob_adjust) * (1 + mask_dropout)))
        coarse = _choose(torch.ones(num_masks, coarse_size**2), num_blocks, generator)
        blocks = coarse.view(num_masks, coarse_size, coarse_size)
        blocks = blocks.repeat_interleave(mask_length, 1).repeat_interleave(mask_length, 2)
        blocks = blocks[:, :grid_size, :grid_size].reshape(num_masks, -1)
    else:
        area = mask_length**2
        num_blocks = max(1, int(num_patches * ((span_prob + mask_prob_adjust) / area) * (1 + mask_dropout)))
        centres = torch.randint(0, num_patches, size=(num_masks, num_blocks), generator=generator)
        blocks = _expand_blocks(centres, grid_size, mask_length)
    neighbours = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]) if expand_adjacent else None
    target = _clamp_span_count(int(num_patches * span_prob), num_patches, inverse)
    blocks = torch.stack([_set_count(row, target, mask_dropout, neighbours, generator) for row in blocks])
    return blocks.bool() ^ inverse


def draw_rectangle_mask(
    grid_size: tuple[int, int],
    num_masked: int,
    *,
    min_patches: int,
    max_patches: int,
    min_aspect: float = 0.3,
    generator: np.random.Generator | None = None,
) -> torch.Tensor:
    """Draws one mask of rectangular blocks of patches (blockwise masking of BEiT, section 2.3 and algorithm 1).

    Blocks are added, each between `min_patches` and `max_patches` large, with a ratio of height to width between
    `min_aspect` and `1 / min_aspect`, until `num_masked` patches are masked or ten tries have found no block that fits
    into what is missing: a mask may have fewer.

    Args:
        grid_size: Rows and columns of patches.
        num_masked: Patches to mask.
        min_patches, max_patches: Bounds on the size of a block.
        min_aspect: Bound on its shape.
        generator: Source of randomness; seeded from torch's global one if absent.

    Returns:
        `torch.BoolTensor` of shape `grid_size`.
    """
    if not 0 < num_masked < grid_size[0] * grid_size[1]:
        raise ValueError(f"A mask of {num_masked} patches does not fit into a grid of {grid_size}.")
    if generator is None:
        generator = np.random.default_rng(int(torch.randint(2**62, ())))
    mask = np.zeros(grid_size, dtype=bool)
    while (missing := num_masked - int(mask.sum())) > 0:
        if not _add_rectangle(mask, min_patches, min(missing, max_patches), min_aspect, generator):
            break
    return torch.from_numpy(mask)


def draw_random_masks(
    length: int, num_masks: int, *, mask_prob: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draws `num_masks` masks of single positions (the text masks of data2vec 2.0; `random_masking` of MAE).

    Returns:
        `torch.BoolTensor` of shape `(num_masks, length)` with `length - int(length * (1 - mask_prob))` masked
        positions in every row, at least one, and at least one visible where `length >= 2`.
    """
    _check_mask_parameters(length, mask_prob, 1)
    num_masked = _clamp_count(length - int(length * (1 - mask_prob)), length)
    noise = torch.rand(num_masks, length, generator=generator)
    ranks = noise.argsort(dim=1).argsort(dim=1)
    return ranks >= length - num_masked


def draw_mask_indices(
    lengths: Sequence[int],
    sequence_length: int,
    *,
    mask_prob: float,
    mask_length: int,
    generators: Sequence[np.random.Generator],
    min_masks: int = 0,
    same_count: bool = False,
    add_masks: bool = False,
    mask_dropout: float = 0.0,
) -> torch.Tensor:
    """Draws one span mask per sequence with span *starts* chosen without replacement (wav2vec 2.0, section 4.2).

    These are the masks of fine-tuning (SpecAugment-like, over frames or channels) and of data2vec 1
    (`compute_mask_indices` of the original with static span lengths). Masks never reach beyond `lengths`.

    Deviation: where the original stops with "the entire sequence is masked", one position stays visible.

    Args:
        lengths: Real length of each sequence.
        sequence_length: Padded length of the result.
        mask_prob: Expected share of masked positions if spans did not overlap.
        mask_length: Positions per span.
        generators: One numpy generator per sequence, so that a sequence's mask does not depend on its neighbours.
        min_masks: Smallest number of spans per sequence.
        same_count: Unmask at random until all rows have as many masked positions as the row with the fewest.
        add_masks: With `same_count`, mask up to the row with the most instead.
        mask_dropout: Share of masked positions that are unmasked again at the end.

    Returns:
        `torch.BoolTensor` of shape `(len(lengths), sequence_length)`.

    Raises:
        ValueError: A parameter is out of range, or there is not one generator per sequence.
    """
    _check_mask_indices_arguments(lengths, sequence_length, mask_prob, mask_length, len(generators))
    rows = [
        _span_positions(length, mask_prob, mask_length, min_masks, generator)
        for length, generator in zip(lengths, generators, strict=True)
    ]
    mask = np.zeros((len(rows), sequence_length), dtype=bool)
    counts = [len(row) for row in rows]
    target = (max(counts) if add_masks else min(counts)) if same_count and counts else None
    for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        # rows of equal counts depend on each other anyway; the original corrects all of them with the last generator
        generator = generators[-1] if same_count else generators[index]
        if target is not None and len(row) > target:
            row = generator.choice(row, target, replace=False)
        mask[index, row] = True
        if target is not None and len(row) < target:
            unmasked = np.flatnonzero(~mask[index, :length])
            missing = min(target - len(row), max(0, len(unmasked) - 1))
            mask[index, generator.choice(unmasked, missing, replace=False)] = True
        if mask_dropout > 0:
            masked = np.flatnonzero(mask[index])
            holes = np.rint(len(masked) * mask_dropout).astype(int)
            mask[index, generator.choice(masked, holes, replace=False)] = False
    return torch.from_numpy(mask)


def draw_token_spans(
    length: int, *, mask_prob: float, mask_length: int, generator: np.random.Generator | None = None
) -> torch.Tensor:
    """Draws one mask of spans of tokens that start anywhere, the last token included, and are cut at the end (the text
    masks of data2vec; `MaskTokensDataset` of the original with `mask_multiple_length`).

    Deviation: however short the text, at least one span starts and, if there are two tokens or more, at least one
    stays visible.

    Args:
        length: Tokens of the text, at least 1; special ones may be masked like all others.
        mask_prob: Expected share of masked tokens if spans neither overlapped nor were cut.
        mask_length: Tokens per span.
        generator: Source of randomness; seeded from torch's global one if absent.

    Returns:
        `torch.BoolTensor` of shape `(length,)`.
    """
    _check_mask_parameters(length, mask_prob, mask_length)
    if generator is None:
        generator = np.random.default_rng(int(torch.randint(2**62, ())))
    # the random number rounds up or down so that the expectation is exact
    num_spans = max(1, int(mask_prob * length / mask_length + generator.random()))
    starts = generator.choice(length, num_spans, replace=False)
    positions = np.unique((starts[:, None] + np.arange(mask_length)).ravel())
    positions = positions[positions < length]
    if len(positions) == length > 1:
        positions = generator.choice(positions, length - 1, replace=False)
    mask = np.zeros(length, dtype=bool)
    mask[positions] = True
    return torch.from_numpy(mask)


def draw_start_mask(
    length: int, *, start_prob: float, mask_length: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draws one mask of spans that start anywhere, independently of each other, and may overlap (BEST-RQ, section 3).

    Deviation: however short the utterance, at least one span starts and, if there are two positions or more, at least
    one stays visible.

    Args:
        length: Number of real positions, at least 1.
        start_prob: Probability that a span starts at a position.
        mask_length: Positions per span; spans are cut at the end.
        generator: Source of randomness; torch's global one if absent.

    Returns:
        `torch.BoolTensor` of shape `(length,)`.
    """
    _check_mask_parameters(length, start_prob, mask_length)
    starts = torch.rand(length, generator=generator) < start_prob
    if not starts.any():
        starts[torch.randint(length, (1,), generator=generator)] = True
    spans = starts.long().cumsum(0)
    spans[mask_length:] -= spans[:-mask_length].clone()
    return _leave_one_visible(spans > 0, generator)


def draw_grid_mask(
    length: int,
    *,
    start_prob: float,
    mask_length: int,
    rounding: float | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Draws one mask of spans from a grid of `mask_length` positions, so that they do not overlap (`compute_mask` of
    the open-source BEST-RQ). What is left behind the last whole span of the grid is never masked.

    Deviation: a sequence shorter than a span is masked by a part of one, and one span of the grid, or one position if
    there is a single span, stays visible. The original stops, or masks all.

    Args:
        length: Number of real positions, at least 1.
        start_prob: Number of spans per position.
        mask_length: Positions per span.
        rounding: Number in [0, 1) that decides whether the number of spans is rounded up; drawn if absent.
        generator: Source of randomness; torch's global one if absent.

    Returns:
        `torch.BoolTensor` of shape `(length,)`.
    """
    _check_mask_parameters(length, start_prob, mask_length)
    rounding = torch.rand([], generator=generator).item() if rounding is None else rounding
    num_places = max(1, length // mask_length)
    num_spans = min(max(1, int(start_prob * length + rounding)), max(1, num_places - 1))
    grid = torch.zeros(num_places, dtype=torch.bool)
    grid[torch.randperm(num_places, generator=generator)[:num_spans]] = True
    mask = torch.zeros(length, dtype=torch.bool)
    spans = grid.repeat_interleave(mask_length)[:length]
    mask[: len(spans)] = spans
    return _leave_one_visible(mask, generator)


def draw_stack_masks(
    lengths: Sequence[int],
    num_stacks: int,
    *,
    stack_size: int,
    mask_prob: float,
    mask_length: int,
    sampling: str,
    one_mask_per_batch: bool = False,
    generators: Sequence[torch.Generator | None] | None = None,
) -> torch.Tensor:
    """Draws the masks of BEST-RQ over stacks of positions that have one code in common.

    Deviation: where the paper's spans begin at any mel frame, these begin and end with a stack, so that what is
    predicted is hidden as a whole.

    Args:
        lengths: Number of real positions (mel frames) of each sequence, at least `stack_size`.
        num_stacks: Stacks (encoder frames) of the padded batch: columns of the result.
        stack_size: Positions per stack.
        mask_prob: Probability that a span starts at a position.
        mask_length: Positions per span, a multiple of `stack_size`.
        sampling: `"bernoulli"` for [`draw_start_mask`], `"grid"` for [`draw_grid_mask`].
        one_mask_per_batch: Draw one mask, for the shortest sequence, and give it to all.
        generators: One per sequence (the first is used for a mask in common); torch's global one if absent.

    Returns:
        `torch.BoolTensor` of shape `(len(lengths), num_stacks)`; never true behind a sequence's last whole stack.

    Raises:
        ValueError: A sequence is shorter than a stack, or a parameter is out of range.
    """
    if min(lengths) < stack_size:
        raise ValueError(f"A mask needs at least {stack_size} mel frames, but a sequence has {min(lengths)}.")
    if one_mask_per_batch:
        lengths = [min(lengths)] * len(lengths)
    masks = torch.zeros(len(lengths), num_stacks, dtype=torch.bool)
    for row, length in enumerate(lengths):
        if row > 0 and one_mask_per_batch:
            masks[row] = masks[0]
            continue
        generator = None if generators is None else generators[row]
        if sampling == "grid":
            positions = draw_grid_mask(length, start_prob=mask_prob, mask_length=mask_length, generator=generator)
            mask = positions[: length // stack_size * stack_size].view(-1, stack_size).any(dim=-1)
            mask = _leave_one_visible(mask, generator)
        else:
            mask = draw_start_mask(
                length // stack_size,
                start_prob=1 - (1 - mask_prob) ** stack_size,  # that one starts within a stack
                mask_length=max(1, mask_length // stack_size),
                generator=generator,
            )
        masks[row, : len(mask)] = mask
    return masks


class VisibleFrames(NamedTuple):
    """Where the visible frames of each sequence are.

    `positions`, `(batch_size, max_visible)`: original positions of the visible frames in ascending order, then zeros.
    `is_real`, `(batch_size, max_visible)`: `False` at the filler of sequences with fewer visible frames.
    `visible`, `(batch_size, sequence_length)`: the mask it was made of.
    """

    positions: torch.Tensor
    is_real: torch.Tensor
    visible: torch.Tensor


class PredictedFrames(NamedTuple):
    """Which frames of a batch are predicted, ordered by row and time.

    `rows`, `times`: `(num_predicted,)`: the frames' row and position.
    `is_real`: `(num_predicted,)`, `False` at filler; `None` if there is none.
    """

    rows: torch.Tensor
    times: torch.Tensor
    is_real: torch.Tensor | None

    @property
    def num_predicted(self) -> torch.Tensor | int:
        """How many frames are predicted, filler apart; a number where it is known without asking the device."""
        return len(self.rows) if self.is_real is None else self.is_real.sum()

    def of(self, frames: torch.Tensor) -> torch.Tensor:
        """`(num_rows, sequence_length, ...)` -> `(num_predicted, ...)`."""
        return frames[self.rows, self.times]


def row_positions(marked: torch.Tensor, num_positions: int = 0) -> torch.Tensor:
    """Where the entries of a mask are `True`, row by row: what data workers hand over, so that nobody has to ask a
    device how many there are.

    Args:
        marked: `(..., length)`, bool.
        num_positions: At least so many columns.

    Returns:
        `(..., num_columns)`: positions in ascending order, then [`FILLER`]; as many columns as the fullest row needs.
    """
    counts = marked.sum(dim=-1)
    num_columns = max(num_positions, int(counts.max()))
    positions = torch.sort(marked.to(torch.uint8), dim=-1, descending=True, stable=True).indices[..., :num_columns]
    positions = F.pad(positions, (0, num_columns - positions.shape[-1]))
    is_filler = torch.arange(num_columns, device=marked.device) >= counts.unsqueeze(-1)
    return positions.masked_fill(is_filler, FILLER)


def find_visible_frames(
    visible: torch.Tensor, positions: torch.Tensor | None = None, name: str = "visible_positions"
) -> VisibleFrames:
    """Turns a mask of visible frames into their positions.

    Args:
        visible: `(batch_size, sequence_length)`, bool.
        positions: `(batch_size, max_visible)`, those of `visible` from [`row_positions`]. Without them the host waits
            for the largest number.
        name: Of `positions`, for the error.

    Raises:
        ValueError: `positions` are not those of `visible`.
    """
    if positions is None:
        positions = row_positions(visible, 1)  # at least one, so that a fully masked batch has a shape to compute on
    else:
        _check_positions(name, positions, visible)
    return VisibleFrames(positions.clamp_min(0), positions != FILLER, visible)


def find_predicted(prediction_mask: torch.Tensor, positions: torch.Tensor | None = None) -> PredictedFrames:
    """Where frames are predicted.

    Args:
        prediction_mask: `(..., sequence_length)`, bool. All dimensions but the last are rows.
        positions: `(..., num_positions)`, those of `prediction_mask` from [`row_positions`]. Without them the host
            waits for their number.

    Raises:
        ValueError: `positions` are not those of `prediction_mask`.
    """
    if positions is None:
        rows, times = prediction_mask.flatten(0, -2).nonzero(as_tuple=True)
        return PredictedFrames(rows, times, None)
    _check_positions("predicted_positions", positions, prediction_mask)
    positions = positions.flatten(0, -2)
    rows = torch.arange(len(positions), device=positions.device).unsqueeze(1).expand_as(positions)
    return PredictedFrames(rows.flatten(), positions.clamp_min(0).flatten(), (positions != FILLER).flatten())


def _check_positions(name: str, positions: torch.Tensor, marked: torch.Tensor) -> None:
    """Checks shape and type and, on a CPU only, the values."""
    expected = f"`{name}` must be integers of shape {(*marked.shape[:-1], 'any number')}"
    if positions.shape[:-1] != marked.shape[:-1] or not is_integer(positions):
        raise ValueError(f"{expected}, but are {positions.dtype} of shape {tuple(positions.shape)}.")
    if can_ask(positions) and not torch.equal(row_positions(marked, positions.shape[-1]), positions):
        raise ValueError(
            f"`{name}` must be the positions that the mask marks, row by row, and then {FILLER}: collators make them "
            "with `row_positions`. To give another mask leave them out."
        )


def gather_frames(hidden_states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Picks frames: `(batch_size, sequence_length, hidden_size)` -> `(batch_size, num_positions, hidden_size)`."""
    return hidden_states.gather(1, positions.unsqueeze(-1).expand(-1, -1, hidden_states.shape[-1]))


def scatter_visible(encoded: torch.Tensor, visible: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    """Puts encoded visible frames back to their places in time and `fill` everywhere else.

    Args:
        encoded: `(batch_size, max_visible, hidden_size)`, in ascending order of position.
        visible: `(batch_size, sequence_length)`, bool.
        fill: `(batch_size, sequence_length, hidden_size)` or broadcastable to it.
    """
    ranks = (visible.long().cumsum(-1) - 1).clamp_min(0)
    return torch.where(visible.unsqueeze(-1), gather_frames(encoded, ranks), fill)


def _check_mask_parameters(length: int, mask_prob: float, mask_length: int) -> None:
    if length < 1:
        raise ValueError(f"A mask needs a sequence of at least one position, but got length {length}.")
    if not 0 < mask_prob < 1:
        raise ValueError(f"`mask_prob` must lie strictly between 0 and 1, but got {mask_prob}.")
    if mask_length < 1:
        raise ValueError(f"`mask_length` must be at least 1, but got {mask_length}.")


def _check_mask_indices_arguments(
    lengths: Sequence[int], sequence_length: int, mask_prob: float, mask_length: int, num_generators: int
) -> None:
    if mask_prob < 0:
        raise ValueError(f"`mask_prob` must not be negative, but got {mask_prob}.")
    if mask_length < 1:
        raise ValueError(f"`mask_length` must be at least 1, but got {mask_length}.")
    if not all(0 <= length <= sequence_length for length in lengths):
        raise ValueError(
            f"The lengths must lie between 0 and the sequence length {sequence_length}, but are {list(lengths)}."
        )
    if len(lengths) != num_generators:
        raise ValueError(
            f"Expected one generator per sequence: {len(lengths)} sequences, {num_generators} generators."
        )


def _clamp_count(count: int, length: int) -> int:
    """At least one position masked and, where there are two or more, at least one visible."""
    return max(1, min(count, length - 1))


def _clamp_span_count(count: int, length: int, inverse: bool) -> int:
    """The same for positions in spans, which are the visible ones if `inverse`: a single position is masked then."""
    return 0 if inverse and length == 1 else _clamp_count(count, length)


def _leave_one_visible(mask: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Unmasks a random position of a mask, `(length,)`, that has two or more and all of them masked."""
    if len(mask) > 1 and bool(mask.all()):
        mask = mask.clone()
        mask[torch.randint(len(mask), (1,), generator=generator)] = False
    return mask


def _choose(weights: torch.Tensor, count: int, generator: torch.Generator | None) -> torch.Tensor:
    """Marks `count` distinct positions per row of `weights` with 1."""
    chosen = torch.multinomial(weights, min(count, weights.shape[-1]), replacement=False, generator=generator)
    return torch.zeros_like(weights).scatter_(-1, chosen, 1.0)


def _expand_blocks(centres: torch.Tensor, grid_size: int, mask_length: int) -> torch.Tensor:
    """Grows patches, `(num_masks, num_blocks)`, to squares; returns `(num_masks, grid_size**2)` of 0 and 1."""
    offsets = torch.arange(mask_length) - mask_length // 2
    rows = (centres.div(grid_size, rounding_mode="floor").unsqueeze(-1) + offsets).clamp_(0, grid_size - 1)
    columns = (centres.remainder(grid_size).unsqueeze(-1) + offsets).clamp_(0, grid_size - 1)
    patches = rows.unsqueeze(-1) * grid_size + columns.unsqueeze(-2)
    return torch.zeros(len(centres), grid_size**2).scatter_(1, patches.flatten(1), 1.0)


def _add_rectangle(
    mask: np.ndarray, min_patches: int, max_patches: int, min_aspect: float, generator: np.random.Generator
) -> bool:
    """Masks one more block in place that has 1 to `max_patches` patches not masked yet; `False` if ten tries fail."""
    height, width = mask.shape
    for _ in range(10):
        # below `min_patches` where less than that is missing
        area = min_patches + (max_patches - min_patches) * generator.random()
        aspect = math.exp(generator.uniform(math.log(min_aspect), -math.log(min_aspect)))
        rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if not (rows < height and columns < width):
            continue
        top, left = generator.integers(height - rows + 1), generator.integers(width - columns + 1)
        block = mask[top : top + rows, left : left + columns]
        if 0 < int((~block).sum()) <= max_patches:
            block[:] = True
            return True
    return False


def _set_count(
    row: torch.Tensor,
    target: int,
    mask_dropout: float,
    neighbours: torch.Tensor | None,
    generator: torch.Generator | None,
) -> torch.Tensor:
    """Masks or unmasks single positions of one mask until `target` of them are masked."""
    row = row.clone()
    if neighbours is not None:
        _expand_to_neighbours(row, min(int(target * (1 + mask_dropout)), len(row)), neighbours, generator)
    surplus = int(row.sum()) - target
    if surplus > 0:
        row[torch.multinomial(row, surplus, replacement=False, generator=generator)] = 0
    elif surplus < 0:
        row[torch.multinomial(1 - row, -surplus, replacement=False, generator=generator)] = 1
    return row


def _expand_to_neighbours(
    row: torch.Tensor, target: int, neighbours: torch.Tensor, generator: torch.Generator | None
) -> None:
    """Masks positions next to masked ones, in place, until `target` are masked."""
    is_grid = neighbours.dim() == 2
    side = math.isqrt(len(row)) if is_grid else len(row)
    while (missing := target - int(row.sum())) > 0:
        shaped = row.view(1, 1, side, side) if is_grid else row.view(1, 1, side)
        convolve = F.conv2d if is_grid else F.conv1d
        touching = convolve(shaped, neighbours[None, None], padding="same").clamp_max(1).flatten()
        candidates = ((1 - row + touching) > 1).float()
        count = min(int(candidates.sum()), missing)
        row[torch.multinomial(candidates, count, replacement=False, generator=generator)] = 1


def _span_positions(
    length: int, mask_prob: float, mask_length: int, min_masks: int, generator: np.random.Generator
) -> np.ndarray:
    """Masked positions of one sequence, ascending; never all of a sequence of two or more."""
    # the random number rounds up or down so that the expectation is exact
    num_spans = max(min_masks, int(mask_prob * length / float(mask_length) + generator.random()))
    num_spans = min(num_spans, length - 1)
    if num_spans < 1:
        return np.empty(0, dtype=int)
    reserved = mask_length if length - mask_length > num_spans else length - num_spans - 1
    starts = generator.choice(length - reserved, num_spans, replace=False)
    positions = np.unique((starts[:, None] + np.arange(mask_length)).ravel())
    positions = positions[positions < length]
    return positions if len(positions) < length else np.sort(generator.choice(positions, length - 1, replace=False))
