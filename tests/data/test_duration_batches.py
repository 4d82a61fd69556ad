# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Batches of seconds: whole epochs, bounded batches, whole updates, the same for any number of processes."""

from collections.abc import Iterable
from itertools import chain

import numpy as np
import pytest
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ssl.data.duration_batches import DurationBatchSampler, padded_lengths


def clips_of(batches: Iterable[list[int]]) -> list[int]:
    return sorted(chain.from_iterable(batches))


def speech_lengths(count: int) -> np.ndarray:
    """Lengths as of utterances: between half a second and fifteen seconds, most of them short."""
    return np.random.default_rng(0).gamma(2.0, 2.0, count).clip(0.5, 15.0)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.floats(0.1, 20.0), min_size=8, max_size=200),
    batch_seconds=st.floats(20.0, 200.0),
    batches_per_update=st.integers(1, 4),
    epoch=st.integers(0, 5),
)
def test_every_clip_once_in_bounded_batches(
    lengths: list[float], batch_seconds: float, batches_per_update: int, epoch: int
) -> None:
    sampler = DurationBatchSampler(lengths, batch_seconds=batch_seconds, batches_per_update=batches_per_update, seed=1)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert clips_of(batches) == list(range(len(lengths)))
    assert len(batches) == len(sampler)
    assert len(batches) % batches_per_update == 0
    assert all(batches)
    assert all(len(batch) * max(lengths[index] for index in batch) <= batch_seconds for batch in batches)
    assert max(lengths) in [lengths[index] for index in batches[0]]


def test_little_padding_and_full_batches() -> None:
    lengths = speech_lengths(2000)
    sampler = DurationBatchSampler(lengths, batch_seconds=60, batches_per_update=4, seed=0)
    assert sampler.padding_share < 0.03
    assert np.mean([lengths[batch].sum() for batch in sampler]) > 50


def test_padding_up_to_multiples_gives_few_shapes_within_the_same_bound() -> None:
    lengths = speech_lengths(2000)
    sampler = DurationBatchSampler(lengths, batch_seconds=60, batches_per_update=4, seed=0, pad_to_multiple_of=0.5)
    batches = list(sampler)
    assert clips_of(batches) == list(range(len(lengths)))
    padded = [np.ceil(lengths[batch].max() / 0.5) * 0.5 for batch in batches]
    assert all(len(batch) * length <= 60 for batch, length in zip(batches, padded, strict=True))
    shapes = {(len(batch), length) for batch, length in zip(batches, padded, strict=True)}
    assert len({length for _, length in shapes}) <= 30
    assert len(shapes) < len(set(padded)) + 5  # one number of clips per length; a few batches were halved
    padding = sum(len(batch) * length for batch, length in zip(batches, padded, strict=True))
    assert sampler.padding_share == pytest.approx(1 - lengths.sum() / padding)
    assert sampler.padding_share < 0.09


def test_a_length_that_is_a_multiple_but_for_rounding() -> None:
    assert padded_lengths([0.3, 0.1 * 3, 0.31, 0.7], 0.1).tolist() == pytest.approx([0.3, 0.3, 0.4, 0.7])
    assert padded_lengths([160000, 160001], 16000).tolist() == [160000, 176000]


def test_padding_may_make_a_clip_too_long() -> None:
    with pytest.raises(ValueError, match=r"The longest clip has 21.00 s with padding, more than a batch of 20 s"):
        DurationBatchSampler([20.0], batch_seconds=20, batches_per_update=1, seed=0, pad_to_multiple_of=3)


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    def draw(seed: int, epoch: int) -> list[list[int]]:
        sampler = DurationBatchSampler(speech_lengths(100), batch_seconds=30, batches_per_update=2, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draw(0, 1) == draw(0, 1)
    assert draw(0, 1) != draw(0, 2)
    assert draw(0, 1) != draw(1, 1)


@pytest.mark.parametrize("num_processes", [1, 2, 4])
def test_processes_share_the_same_global_batches(num_processes: int) -> None:
    """What accelerate gives to each process adds up to the same clips per update."""
    sampler = DurationBatchSampler(speech_lengths(300), batch_seconds=30, batches_per_update=4, seed=0)
    batches = list(sampler)
    expected = [clips_of(batches[first : first + 4]) for first in range(0, len(batches), 4)]
    shards = [list(BatchSamplerShard(sampler, num_processes, rank)) for rank in range(num_processes)]
    accumulation = 4 // num_processes
    assert len({len(shard) for shard in shards}) == 1
    updates = [
        clips_of(chain.from_iterable(shard[first : first + accumulation] for shard in shards))
        for first in range(0, len(shards[0]), accumulation)
    ]
    assert updates == expected


@pytest.mark.parametrize(
    ("lengths", "batch_seconds", "batches_per_update", "message"),
    [
        ([1.0, 30.0], 20.0, 1, "longest clip has 30.00 s"),
        ([], 20.0, 1, "at least one clip"),
        ([1.0, 0.0], 20.0, 1, "positive length"),
        ([1.0], 0.0, 1, "positive number of seconds"),
        ([1.0], 20.0, 0, "at least one of them"),
        ([15.0] * 5, 20.0, 4, "5 clips are too few for updates of 4 batches"),
    ],
)
def test_bad_arguments(lengths: list[float], batch_seconds: float, batches_per_update: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DurationBatchSampler(lengths, batch_seconds=batch_seconds, batches_per_update=batches_per_update, seed=0)
