# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of the data sets that decode on access, and of the length-grouped sampler."""

import io
import pickle
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from hf_ssl.data import (
    AudioDataset,
    LengthGroupedSampler,
    SkippedFiles,
    StreamedAudioDataset,
    audio_info,
    item_seed,
    load_audio_sources,
    read_audio,
)


@pytest.fixture
def skipped(tmp_path) -> SkippedFiles:
    return SkippedFiles(str(tmp_path / "run" / "skipped.jsonl"))


def table_of(paths: list[Path], **columns: list) -> datasets.Dataset:
    """A table whose rows are not cut into windows, so that crops are drawn."""
    infos = [audio_info(path) for path in paths]
    durations = [info.num_samples / info.sampling_rate for info in infos]
    rows = {"path": list(map(str, paths)), "start": [0.0] * len(paths), "duration": durations}
    return datasets.Dataset.from_dict({**rows, **columns})


def make(table, skipped, **arguments) -> AudioDataset:
    defaults = {"sampling_rate": 16000, "max_seconds": 0.5, "min_seconds": 0.1, "seed": 7, "skipped": skipped}
    return AudioDataset(table, **{**defaults, **arguments})


@pytest.fixture
def eight_clips(write_audio) -> list[Path]:
    return [write_audio(f"corpus/{number}.wav", seconds=1 + number / 8, seed=number) for number in range(8)]


def assert_same_items(items, expected) -> None:
    assert len(items) == len(expected)
    for item, other in zip(items, expected, strict=True):
        assert item["seed"] == other["seed"]
        np.testing.assert_array_equal(item["input_values"], other["input_values"])


def test_item(write_audio, skipped):
    path = write_audio("a.wav", seconds=0.4)
    dataset = make(table_of([path], label=["x"]), skipped, columns=["label"])
    item = dataset[0]
    assert set(item) == {"input_values", "seed", "label"}
    assert item["input_values"].dtype == np.float32
    np.testing.assert_array_equal(item["input_values"], read_audio(path, sampling_rate=16000))
    assert item["label"] == "x"
    assert item["seed"] == item_seed(7, 0, 0)
    assert dataset.lengths == [0.4]


def test_lengths_are_those_of_the_items(write_audio, skipped):
    paths = [write_audio(f"{rate}.wav", seconds=seconds, sampling_rate=rate) for rate, seconds in
             ((16000, 0.3), (44100, 0.37), (44100, 1.234), (8000, 2.0), (22050, 0.5))]  # fmt: skip
    dataset = make(table_of(paths), skipped)
    for index, seconds in enumerate(dataset.lengths):
        num_samples = len(dataset[index]["input_values"])
        assert abs(num_samples - seconds * 16000) <= 1
        assert num_samples <= 8000


def test_crop_is_a_part_of_the_clip_and_depends_on_seed_epoch_and_index(eight_clips, skipped):
    dataset = make(table_of(eight_clips), skipped)
    full = read_audio(eight_clips[3], sampling_rate=16000)
    crop = dataset[3]["input_values"]
    assert len(crop) == 8000
    parts = np.lib.stride_tricks.sliding_window_view(full, 8000)
    assert (parts == crop).all(axis=1).sum() == 1
    np.testing.assert_array_equal(dataset[3]["input_values"], crop)
    dataset.set_epoch(1)
    assert not np.array_equal(dataset[3]["input_values"], crop)
    dataset.set_epoch(0)
    assert not np.array_equal(make(table_of(eight_clips), skipped, seed=8)[3]["input_values"], crop)
    twice = make(table_of([eight_clips[3]] * 2), skipped)
    assert not np.array_equal(twice[0]["input_values"], twice[1]["input_values"])


def test_crops_reach_the_whole_clip(write_audio, skipped):
    ramp = np.linspace(0, 0.9, 16000, dtype=np.float32)
    dataset = make(table_of([write_audio("ramp.wav", samples=ramp)]), skipped)
    firsts = []
    for epoch in range(200):
        dataset.set_epoch(epoch)
        firsts.append(dataset[0]["input_values"][0] / 0.9)
    assert min(firsts) < 0.03
    assert 0.47 < max(firsts) <= 0.5001


def test_without_random_crop_the_beginning_is_read(eight_clips, skipped):
    dataset = make(table_of(eight_clips), skipped, random_crop=False)
    expected = read_audio(eight_clips[2], sampling_rate=16000, duration=0.5)
    np.testing.assert_array_equal(dataset[2]["input_values"], expected)


@settings(deadline=None)
@given(seed=st.integers(0, 2**64), epoch=st.integers(0, 10**6), index=st.integers(0, 2**40))
def test_item_seed(seed, epoch, index):
    value = item_seed(seed, epoch, index)
    assert 0 <= value < 2**63
    assert value == item_seed(seed, epoch, index)
    assert len({value, item_seed(seed + 1, epoch, index), item_seed(seed, epoch + 1, index)}) == 3


def test_item_seeds_are_stable_and_distinct():
    # Made with numpy 2.4; numpy promises that SeedSequence does not change. A change breaks resuming a run.
    assert item_seed(0, 0, 0) == 4334430513956379144
    assert item_seed(42, 3, 1234) == 199887603298084755
    seeds = {item_seed(0, epoch, index) for epoch in range(10) for index in range(1000)}
    assert len(seeds) == 10_000


@pytest.mark.parametrize("persistent_workers", [False, True])
def test_workers_give_what_the_main_process_gives_in_every_epoch(eight_clips, skipped, persistent_workers):
    table = table_of(eight_clips)
    expected = make(table, skipped)
    loaded = make(table, skipped)
    loader = DataLoader(
        loaded, batch_size=2, num_workers=2, persistent_workers=persistent_workers, collate_fn=list, shuffle=False
    )
    for epoch in (0, 1, 5):
        expected.set_epoch(epoch)
        loaded.set_epoch(epoch)
        items = [item for batch in loader for item in batch]
        assert_same_items(items, [expected[index] for index in range(8)])


def test_epoch_survives_pickling(eight_clips, skipped):
    dataset = make(table_of(eight_clips), skipped)
    dataset.set_epoch(3)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.epoch == 3
    assert_same_items([copy[1]], [dataset[1]])


def break_clips(paths: list[Path], write_audio) -> datasets.Dataset:
    """A table made while the files were whole; then three of them break."""
    table = table_of(paths)
    paths[1].unlink()
    paths[4].write_bytes(b"junk")
    write_audio(f"corpus/{paths[6].name}", samples=np.full(16000, np.nan, dtype=np.float32))
    return table


def test_clips_that_fail_are_listed_and_replaced_deterministically(eight_clips, write_audio, skipped):
    table = break_clips(eight_clips, write_audio)
    dataset = make(table, skipped)
    items = [dataset[index] for index in range(8)]
    assert [item["seed"] for item in items] == [item_seed(7, 0, index) for index in range(8)]
    assert all(len(item["input_values"]) == 8000 and np.isfinite(item["input_values"]).all() for item in items)
    assert skipped.by_reason() == {"not found": 1, "unreadable": 1, "not finite": 1}
    assert set(skipped.files) == {str(eight_clips[index]) for index in (1, 4, 6)}
    reversed_items = [make(table, SkippedFiles())[index] for index in reversed(range(8))]
    assert_same_items(reversed_items[::-1], items)


def test_failures_in_workers_reach_the_list(eight_clips, write_audio, skipped):
    table = break_clips(eight_clips, write_audio)
    expected = make(table, SkippedFiles())
    loader = DataLoader(make(table, skipped), batch_size=1, num_workers=2, collate_fn=list)
    assert_same_items([item for batch in loader for item in batch], [expected[index] for index in range(8)])
    assert skipped.count == 3


def test_clip_that_decodes_to_less_than_min_seconds(write_audio, skipped):
    paths = [write_audio(f"{number}.wav", seconds=1.0, seed=number) for number in range(2)]
    table = table_of(paths)
    write_audio("0.wav", seconds=0.05)
    dataset = make(table, skipped, max_seconds=None)
    np.testing.assert_array_equal(dataset[0]["input_values"], dataset[1]["input_values"])
    assert skipped.by_reason() == {"too short": 1}


def test_nothing_readable_is_an_error(eight_clips, skipped):
    table = table_of(eight_clips)
    for path in eight_clips:
        path.unlink()
    with pytest.raises(RuntimeError, match=r"21 clips in a row could not be read, starting with row 2: .* not found"):
        make(table, skipped)[2]


def test_bad_arguments(eight_clips, skipped):
    table = table_of(eight_clips)
    with pytest.raises(ValueError, match=r"no column 'label'; its columns are \['path', 'start', 'duration'\]"):
        make(table, skipped, columns=["label"])
    with pytest.raises(ValueError, match=r"no column 'duration'"):
        make(table.remove_columns("duration"), skipped)
    with pytest.raises(ValueError, match=r"a column `path` or `audio`"):
        make(table.remove_columns("path"), skipped)
    with pytest.raises(ValueError, match=r"min_seconds <= max_seconds"):
        make(table, skipped, min_seconds=2.0)
    with pytest.raises(IndexError, match=r"from 0 to 7, got 8"):
        make(table, skipped)[8]


@pytest.fixture
def streamed_table(tmp_path) -> datasets.IterableDataset:
    """Four shards of three clips, 0.5 to 1.6 seconds long; the last clip is not audio."""
    (tmp_path / "shards").mkdir()
    for shard in range(4):
        audio = []
        for number in range(3 * shard, 3 * shard + 3):
            buffer = io.BytesIO()
            samples = np.random.default_rng(number).uniform(-0.5, 0.5, size=8000 + 1600 * number)
            soundfile.write(buffer, samples, 16000, format="FLAC")
            audio.append({"bytes": buffer.getvalue() if number < 11 else b"junk", "path": f"{number}.flac"})
        table = datasets.Dataset.from_dict({"audio": audio, "label": [item["path"] for item in audio]})
        table.to_parquet(str(tmp_path / f"shards/train-{shard}.parquet"))
    arguments = {"min_seconds": None, "max_seconds": None, "skipped": SkippedFiles(), "streaming": True}
    return load_audio_sources([str(tmp_path / "shards")], columns=["label"], **arguments)


def make_stream(table, skipped, **arguments) -> StreamedAudioDataset:
    defaults = {"sampling_rate": 16000, "max_seconds": None, "min_seconds": 0.1, "seed": 7, "skipped": skipped}
    return StreamedAudioDataset(table, **{**defaults, **arguments})


def test_stream_gives_each_clip_once_with_the_same_seed_for_any_number_of_workers(streamed_table, skipped):
    stream = make_stream(streamed_table, skipped, columns=["label"], shuffle_buffer_size=4)
    alone = {item["label"]: item for item in stream}
    assert sorted(alone) == sorted(f"{number}.flac" for number in range(11))
    assert skipped.by_reason() == {"unreadable": 1}
    items = [item for batch in DataLoader(stream, batch_size=1, num_workers=2, collate_fn=list) for item in batch]
    assert len(items) == 11
    assert_same_items(items, [alone[item["label"]] for item in items])


def test_stream_order_and_seeds_change_with_the_epoch_in_persistent_workers(streamed_table, skipped):
    stream = make_stream(streamed_table, skipped, columns=["label"], shuffle_buffer_size=4)
    loader = DataLoader(stream, batch_size=1, num_workers=2, persistent_workers=True, collate_fn=list)
    epochs = []
    for epoch in (0, 1, 0):
        stream.set_epoch(epoch)
        epochs.append([item for batch in loader for item in batch])
    assert_same_items(epochs[0], epochs[2])
    assert [item["label"] for item in epochs[0]] != [item["label"] for item in epochs[1]]
    assert {item["seed"] for item in epochs[0]}.isdisjoint(item["seed"] for item in epochs[1])


def test_stream_cuts_long_recordings(streamed_table, skipped):
    stream = make_stream(streamed_table.select_columns(["audio"]), skipped, max_seconds=0.7, shuffle_buffer_size=0)
    items = list(stream)
    assert max(len(item["input_values"]) for item in items) <= 11200
    assert sum(len(item["input_values"]) for item in items) == sum(8000 + 1600 * number for number in range(11))
    assert len({item["seed"] for item in items}) == len(items)


def test_stream_does_not_cut_labelled_recordings(streamed_table, skipped):
    stream = make_stream(streamed_table, skipped, max_seconds=0.75, columns=["label"], shuffle_buffer_size=0)
    assert [item["label"] for item in stream] == ["0.flac", "1.flac", "2.flac"]
    assert skipped.by_reason() == {"too long": 8, "unreadable": 1}


def test_stream_without_anything_usable_is_an_error(streamed_table, skipped):
    stream = make_stream(streamed_table, skipped, min_seconds=60.0)
    with pytest.raises(RuntimeError, match=r"none of the 12 streamed recordings can be used: .*11 too short"):
        next(iter(stream))


@settings(deadline=None)
@given(
    lengths=st.lists(st.floats(0.1, 100), min_size=1, max_size=300),
    batch_size=st.integers(1, 9),
    mega_batch=st.integers(1, 5),
    epoch=st.integers(0, 3),
)
def test_sampler_is_a_reproducible_permutation(lengths, batch_size, mega_batch, epoch):
    sampler = LengthGroupedSampler(lengths, batch_size=batch_size, seed=1, mega_batch=mega_batch)
    sampler.set_epoch(epoch)
    indices = list(sampler)
    assert sorted(indices) == list(range(len(lengths)))
    assert len(sampler) == len(lengths)
    assert indices == list(sampler)
    num_complete = len(lengths) // batch_size * batch_size
    if num_complete:
        in_complete_batches = [lengths[index] for index in indices[:num_complete]]
        assert max(in_complete_batches[:batch_size]) == max(in_complete_batches)


def padding(lengths: np.ndarray, indices: list[int], batch_size: int) -> float:
    batches = [lengths[indices[first : first + batch_size]] for first in range(0, len(indices), batch_size)]
    return 1 - lengths.sum() / sum(len(batch) * batch.max() for batch in batches)


def test_sampler_pads_less_than_random_and_varies_with_epoch_and_seed():
    lengths = np.random.default_rng(0).gamma(2.0, 4.0, size=2000)
    sampler = LengthGroupedSampler(lengths, batch_size=16, seed=0)
    first = list(sampler)
    random = np.random.default_rng(1).permutation(2000).tolist()
    assert padding(lengths, first, 16) < 0.05 < 0.3 < padding(lengths, random, 16)
    sampler.set_epoch(1)
    second = list(sampler)
    assert first != second
    assert first != list(LengthGroupedSampler(lengths, batch_size=16, seed=1))
    # Batches must not come sorted by length: their means follow no trend.
    means = [lengths[second[begin : begin + 16]].mean() for begin in range(0, 2000, 16)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


@pytest.mark.parametrize("arguments", [{"lengths": []}, {"batch_size": 0}, {"mega_batch": 0}])
def test_sampler_arguments(arguments):
    with pytest.raises(ValueError, match="expected at least one length"):
        LengthGroupedSampler(**{"lengths": [1.0], "batch_size": 1, "seed": 0, **arguments})
