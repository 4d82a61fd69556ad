# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Batches of seconds out of streams: bounded, of similar clips, each clip once per pass over all processes."""

from itertools import chain, islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from training_helpers import write_shards

from hf_ssl.data import SkippedFiles, StreamedAudioDataset, load_audio_sources
from hf_ssl.data.streamed_batches import StreamedDurationBatches, batches_of_similar_length

NUM_CLIPS = 48
Batch = list[dict[str, Any]]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.floats(0.1, 20.0), max_size=120),
    batch_seconds=st.floats(20.0, 100.0),
    buffer_batches=st.floats(0.5, 6.0),
    seed=st.integers(0, 3),
)
def test_every_item_once_in_bounded_batches(
    lengths: list[float], batch_seconds: float, buffer_batches: float, seed: int
) -> None:
    batches = list(
        batches_of_similar_length(
            range(len(lengths)),
            lengths.__getitem__,
            batch_seconds=batch_seconds,
            generator=np.random.default_rng(seed),
            buffer_batches=buffer_batches,
        )
    )
    assert sorted(chain.from_iterable(batches)) == list(range(len(lengths)))
    assert all(batches)
    assert all(len(batch) * max(lengths[index] for index in batch) <= batch_seconds * (1 + 1e-9) for batch in batches)


def test_little_padding_out_of_a_bounded_buffer() -> None:
    lengths = np.random.default_rng(0).gamma(2.0, 2.0, 4000).clip(0.5, 15.0)
    read = 0

    def reading():
        nonlocal read
        for index in range(len(lengths)):
            read += 1
            yield index

    given_seconds, padded = 0.0, 0.0
    batches = batches_of_similar_length(
        reading(), lengths.__getitem__, batch_seconds=60.0, generator=np.random.default_rng(0)
    )
    for batch in batches:
        held = lengths[:read].sum() - given_seconds
        assert held <= 40 * 60 + lengths.max()
        given_seconds += lengths[batch].sum()
        padded += len(batch) * lengths[batch].max()
    assert 1 - given_seconds / padded < 0.05


def load_shards(folder: Path) -> datasets.IterableDataset:
    arguments = {"min_seconds": None, "max_seconds": None, "skipped": SkippedFiles(), "streaming": True}
    return load_audio_sources([str(folder)], **arguments)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> datasets.IterableDataset:
    folder = tmp_path_factory.mktemp("shards")
    return load_shards(write_shards(folder, num_shards=8, clips_per_shard=NUM_CLIPS // 8))


def make_batches(
    table: datasets.IterableDataset, process: int = 0, num_processes: int = 1, num_workers: int = 0, **arguments: Any
) -> StreamedDurationBatches:
    max_seconds = arguments.pop("max_seconds", 1.5)
    options = {"sampling_rate": 16000, "max_seconds": max_seconds, "min_seconds": 0.1, "seed": 7}
    dataset = StreamedAudioDataset(table, skipped=SkippedFiles(), shuffle_buffer_size=4, **options)
    return StreamedDurationBatches(
        dataset.part_of_process(process, num_processes),
        num_workers=num_workers,
        process_index=process,
        **{"batch_seconds": 3.0, **arguments},
    )


def first_pass(batches: StreamedDurationBatches) -> list[Batch]:
    found = []
    for batch in batches:
        if batches.counts.passes > 0:
            return found
        found.append(batch)
    raise AssertionError("batches ended")


def clips(batches: list[Batch]) -> list[int]:
    """What tells clips apart whatever the pass: their last samples."""
    return [hash(item["input_values"][-20:].tobytes()) for item in chain.from_iterable(batches)]


@pytest.mark.parametrize("num_processes", [1, 2, 3, 4])
def test_processes_share_a_pass(table: datasets.IterableDataset, num_processes: int) -> None:
    """Of 8 shards; for 3 processes, which cannot share these, of every third clip."""
    passes = [first_pass(make_batches(table, process, num_processes)) for process in range(num_processes)]
    given_clips = list(chain.from_iterable(map(clips, passes)))
    assert len(given_clips) == len(set(given_clips)) == NUM_CLIPS
    assert min(map(len, passes)) > 0
    for batch in chain.from_iterable(passes):
        assert len(batch) * max(len(item["input_values"]) for item in batch) <= 3.0 * 16000


def test_padding_up_to_multiples_stays_within_a_batch(table: datasets.IterableDataset) -> None:
    passed = first_pass(make_batches(table, pad_to_multiple_of=8000))
    assert sum(map(len, passed)) == NUM_CLIPS
    for batch in passed:
        longest = max(len(item["input_values"]) for item in batch)
        assert len(batch) * -(-longest // 8000) * 8000 <= 3.0 * 16000
    with pytest.raises(ValueError, match=r"may have 4\.0 s, more than a batch of 3 s"):
        make_batches(table, pad_to_multiple_of=64000)


def test_batches_are_a_function_of_the_seed_and_go_on_in_another_order(table: datasets.IterableDataset) -> None:
    once, again = (list(islice(make_batches(table), 40)) for _ in range(2))
    assert [clips([batch]) for batch in once] == [clips([batch]) for batch in again]
    size = len(first_pass(make_batches(table)))
    following = once[size : 2 * size]
    assert set(clips(following)) <= set(clips(once[:size]))
    assert clips(following) != clips(once[: len(following)])
    seeds = {item["seed"] for item in chain.from_iterable(once[:size])}
    assert len(seeds) == NUM_CLIPS
    assert seeds.isdisjoint(item["seed"] for item in chain.from_iterable(following))


def load(batches: StreamedDurationBatches, num_workers: int, number: int) -> list[Batch]:
    return list(islice(DataLoader(batches, None, num_workers=num_workers, collate_fn=list), number))


def test_workers_share_a_process(table: datasets.IterableDataset) -> None:
    once, again = (load(make_batches(table, num_workers=2), 2, 10) for _ in range(2))
    assert [clips([batch]) for batch in once] == [clips([batch]) for batch in again]
    assert set(clips(once)) <= set(clips(first_pass(make_batches(table))))
    assert len(set(clips(once))) == len(clips(once)) > 15


def test_workers_without_shards_give_nothing(tmp_path: Path) -> None:
    batches = make_batches(load_shards(write_shards(tmp_path, num_shards=1, clips_per_shard=4)), num_workers=2)
    assert len(set(clips(load(batches, 2, 6)))) == 4


def test_what_is_left_over_is_counted(table: datasets.IterableDataset) -> None:
    batches = make_batches(table, batch_seconds=0.6, max_seconds=0.6)  # a buffer of 24 s of about 45
    taken = list(islice(batches, 3))
    counts = batches.counts
    assert counts.given == sum(map(len, taken))
    assert counts.batches == 3
    assert counts.passes == 0
    assert counts.given < counts.read
    decoded = islice(batches.dataset.items_of_pass(0), counts.read)
    assert sum(len(item["input_values"]) for item in decoded) >= 24 * 16000


def test_bad_arguments(table: datasets.IterableDataset) -> None:
    with pytest.raises(ValueError, match=r"Clips of a stream may have 1\.5 s"):
        make_batches(table, batch_seconds=1.0)
    with pytest.raises(ValueError, match="positive number of seconds"):
        make_batches(table, batch_seconds=0.0)


def test_a_process_without_clips_is_an_error(tmp_path: Path) -> None:
    table = load_shards(write_shards(tmp_path, num_shards=1, clips_per_shard=2))
    with pytest.raises(RuntimeError, match="no clips for this process"):
        next(iter(make_batches(table, process=3, num_processes=4)))
