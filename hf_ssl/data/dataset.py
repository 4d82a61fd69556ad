# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Data sets that decode clips on access, and the sampler that batches clips of similar length.

Everything random is a pure function of (seed, epoch, index): not of the number of workers, nor of what
was read before.
"""

import copy
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from datasets.distributed import split_dataset_by_node

from .audio import AudioReadError, audio_info, read_audio
from .manifests import is_blank
from .skipped import SkippedFiles
from .sources import audio_source
from .windows import ClipLimits

MAX_REPLACEMENTS = 20

# Independent streams of randomness for the same (seed, epoch, index).
_ITEM_STREAM = 0
_CROP_STREAM = 1
_REPLACEMENT_STREAM = 2
_SAMPLER_STREAM = 3
_PASS_STREAM = 5


def _generator(seed: int, epoch: int, index: int, *stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence((seed, epoch, index), spawn_key=stream))


def item_seed(seed: int, epoch: int, index: int) -> int:
    """A 63-bit seed for everything random about one item in one epoch (its masks, its augmentation).

    Args:
        seed (`int`): The run's seed, not negative.
        epoch (`int`): The epoch, not negative.
        index (`int`): The item's index in its data set, not negative.
    """
    sequence = np.random.SeedSequence((seed, epoch, index), spawn_key=(_ITEM_STREAM,))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


class _ClipReader:
    """What both data sets do with a clip: read it, crop it, check it."""

    def __init__(
        self, *, sampling_rate: int, max_seconds: float | None, min_seconds: float | None, random_crop: bool
    ) -> None:
        ClipLimits(min_seconds, max_seconds, cut_long=True).check()
        self.sampling_rate = sampling_rate
        self.max_seconds = max_seconds
        self.random_crop = random_crop
        self.max_samples = None if max_seconds is None else max(int(max_seconds * sampling_rate), 1)
        # Resampling may round a sample away.
        self.min_samples = 1 if min_seconds is None else max(int(min_seconds * sampling_rate) - 1, 1)

    def read(
        self, source: str | bytes, start: float, duration: float | None, generator: np.random.Generator
    ) -> np.ndarray:
        """Reads a clip of at most `max_seconds`; a random part of a longer one."""
        if self.max_seconds is not None and duration is not None and duration > self.max_seconds:
            if self.random_crop:
                start += generator.random() * (duration - self.max_seconds)
            duration = self.max_seconds
        waveform = read_audio(source, sampling_rate=self.sampling_rate, start=start, duration=duration)
        if len(waveform) < self.min_samples:
            raise AudioReadError(
                f"{start:.3f} s",
                f"too short: {len(waveform) / self.sampling_rate:.3f} s decoded from {start:.3f} s on",
            )
        return waveform[: self.max_samples]


class AudioDataset(torch.utils.data.Dataset):
    """Clips of a table, decoded on access.

    An item is `{"input_values": ..., "seed": ..., **columns}`: `input_values` of shape `(num_samples,)`, float32, at
    `sampling_rate`, not normalised (the feature extractor does that); `seed`, an int below 2**63 for whatever else is
    drawn for this item in this epoch, such as masks.

    A clip that cannot be decoded after all goes to `skipped`, and another row, drawn from (seed, epoch, index,
    attempt), takes its place.

    Args:
        table (`datasets.Dataset`): From `load_audio_sources`: `path` or `audio`, `start`, `duration` (seconds).
        sampling_rate (`int`): Samples per second of `input_values`.
        max_seconds (`float`, *optional*): Longer clips are cropped.
        min_seconds (`float`, *optional*): Clips that decode to less are replaced.
        seed (`int`): The run's seed, not negative.
        skipped (`SkippedFiles`): Takes the files that fail.
        random_crop (`bool`): Whether crops of longer clips begin at random; otherwise at the clip's beginning.
        columns (`Sequence[str]`): Columns of the table to hand on.
    """

    def __init__(
        self,
        table: datasets.Dataset,
        *,
        sampling_rate: int,
        max_seconds: float | None,
        min_seconds: float | None,
        seed: int,
        skipped: SkippedFiles,
        random_crop: bool = True,
        columns: Sequence[str] = (),
    ) -> None:
        _check_columns(table.column_names, columns)
        self.table = table
        self.seed = seed
        self.skipped = skipped
        self.columns = tuple(columns)
        self.sampling_rate = sampling_rate
        self._reader = _ClipReader(
            sampling_rate=sampling_rate, max_seconds=max_seconds, min_seconds=min_seconds, random_crop=random_crop
        )
        # In shared memory, so that DataLoader workers that outlive an epoch see the next one.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def epoch(self) -> int:
        """The epoch that items are drawn for."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, in DataLoader workers that already run too."""
        self._epoch.fill_(epoch)

    @property
    def lengths(self) -> list[float]:
        """Seconds of each item, after cropping."""
        durations = np.asarray(self.table["duration"][:], dtype=np.float64)
        if self._reader.max_seconds is not None:
            durations = np.minimum(durations, self._reader.max_seconds)
        return durations.tolist()

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"expected an index from 0 to {len(self) - 1}, got {index}")
        epoch = self.epoch
        row_index = index
        for attempt in range(MAX_REPLACEMENTS + 1):
            row = self.table[row_index]
            crop_generator = _generator(self.seed, epoch, index, _CROP_STREAM, attempt)
            try:
                input_values = self._read_row(row, crop_generator)
            except AudioReadError as error:
                self.skipped.add(_name_of(row, row_index), error.reason)
                replacement_generator = _generator(self.seed, epoch, index, _REPLACEMENT_STREAM, attempt)
                row_index = int(replacement_generator.integers(len(self)))
                continue
            columns = {name: row[name] for name in self.columns}
            return {"input_values": input_values, "seed": item_seed(self.seed, epoch, index), **columns}
        raise RuntimeError(
            f"{MAX_REPLACEMENTS + 1} clips in a row could not be read, starting with row {index}: "
            f"{self.skipped.summary()}. Check that the files are still there and are whole"
        )

    def _read_row(self, row: dict[str, Any], generator: np.random.Generator) -> np.ndarray:
        return self._reader.read(_source_of(row), row["start"], row["duration"], generator)


class StreamedAudioDataset(torch.utils.data.IterableDataset):
    """Clips of a streamed table, decoded as they come.

    Items are those of `AudioDataset`. Recordings longer than `max_seconds` give one item per window; with `columns`
    they go to `skipped`, like recordings that cannot be read and those shorter than `min_seconds`. An item's `seed`
    depends on the run's seed, the epoch and the recording's content, so not on how many workers share the stream.

    DataLoader workers share the shards of the stream among them (`table.num_shards`; surplus workers get nothing).
    Several processes need `datasets.distributed.split_dataset_by_node` on the table first.

    Args:
        table (`datasets.IterableDataset`): From `load_audio_sources(..., streaming=True)`.
        sampling_rate (`int`): Samples per second of `input_values`.
        max_seconds (`float`, *optional*): Longest item.
        min_seconds (`float`, *optional*): Shortest item.
        seed (`int`): The run's seed, not negative.
        skipped (`SkippedFiles`): Takes the recordings that are left out.
        columns (`Sequence[str]`): Columns of the table to hand on.
        shuffle_buffer_size (`int`): Recordings in the shuffle buffer (their encoded bytes, in each worker); 0 keeps
            the order of the stream. Shards are shuffled too.
    """

    def __init__(
        self,
        table: datasets.IterableDataset,
        *,
        sampling_rate: int,
        max_seconds: float | None,
        min_seconds: float | None,
        seed: int,
        skipped: SkippedFiles,
        columns: Sequence[str] = (),
        shuffle_buffer_size: int = 1000,
    ) -> None:
        if table.column_names is not None:
            _check_columns(table.column_names, columns, map_style=False)
        self.shuffle_buffer_size = shuffle_buffer_size
        self._unshuffled = table
        self.table = self._shuffled(seed)
        self.seed = seed
        self.skipped = skipped
        self.columns = tuple(columns)
        self.sampling_rate = sampling_rate
        self.max_seconds = max_seconds
        self._limits = ClipLimits(min_seconds, max_seconds, cut_long=not columns)
        self._reader = _ClipReader(
            sampling_rate=sampling_rate, max_seconds=max_seconds, min_seconds=min_seconds, random_crop=True
        )
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch that items are drawn for."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, in DataLoader workers that already run too; they see it when they next start iterating."""
        self._epoch.fill_(epoch)
        # Here, not in the workers: the table shares its epoch with them, and adds to it in place, which would race.
        self.table.set_epoch(epoch)

    def _shuffled(self, seed: int) -> datasets.IterableDataset:
        if self.shuffle_buffer_size == 0:
            return self._unshuffled
        return self._unshuffled.shuffle(seed=seed, buffer_size=self.shuffle_buffer_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._iterate(self.table, self.epoch)

    def items_of_pass(self, number: int) -> Iterator[dict[str, Any]]:
        """The items of a pass over the data, whatever epoch is set: workers may be at different passes."""
        table = self._shuffled(int(_generator(self.seed, number, 0, _PASS_STREAM).integers(2**32)))
        return self._iterate(table, number)

    def part_of_process(self, process_index: int, num_processes: int) -> "StreamedAudioDataset":
        """The same, of the part of the stream that one of several processes reads: whole shards if their number is a
        multiple of the processes', or else every so many-th recording."""
        part = copy.copy(self)
        part._unshuffled = split_dataset_by_node(self._unshuffled, rank=process_index, world_size=num_processes)
        part.table = part._shuffled(self.seed)
        return part

    def _iterate(self, table: datasets.IterableDataset, epoch: int) -> Iterator[dict[str, Any]]:
        num_rows, num_items = 0, 0
        for row in table:
            num_rows += 1
            for item in self._items(row, epoch):
                num_items += 1
                yield item
        if num_rows > 0 and num_items == 0:
            raise RuntimeError(f"none of the {num_rows} streamed recordings can be used: {self.skipped.summary()}")

    def _items(self, row: dict[str, Any], epoch: int) -> Iterator[dict[str, Any]]:
        name, identity = _identify(row)
        missing = [column for column in self.columns if is_blank(row[column])]
        if missing:
            self.skipped.add(name, f"no {missing[0]}: the data set has no value")
            return
        try:
            for start, duration in self._windows(row):
                index = int.from_bytes(hashlib.blake2b(identity + repr(start).encode(), digest_size=8).digest(), "big")
                generator = _generator(self.seed, epoch, index, _CROP_STREAM)
                input_values = self._reader.read(_source_of(row), start, duration, generator)
                columns = {column: row[column] for column in self.columns}
                yield {"input_values": input_values, "seed": item_seed(self.seed, epoch, index), **columns}
        except AudioReadError as error:
            self.skipped.add(name, error.reason)

    def _windows(self, row: dict[str, Any]) -> list[tuple[float, float]]:
        """Windows of a streamed recording; rows of local files, which may be mixed in, carry theirs already."""
        if row.get("duration") is not None:
            return [(row["start"], row["duration"])]
        info = audio_info(_source_of(row))
        reason = self._limits.reason_to_skip(info.num_samples, info.sampling_rate)
        if reason is not None:
            raise AudioReadError("", reason)
        return self._limits.windows(info.num_samples, info.sampling_rate)


class LengthGroupedSampler(torch.utils.data.Sampler[int]):
    """A random permutation in which the `batch_size` indices of a batch have similar lengths.

    The permutation is cut into mega-batches, each sorted by length and cut into batches, and the batches are shuffled.
    The batch with the longest clip comes first, so that running out of memory shows at once; an incomplete batch
    comes last. A pure function of (seed, epoch).

    Args:
        lengths (`Sequence[float]`): The length of each item, in any unit.
        batch_size (`int`): Items per batch, over all processes.
        seed (`int`): The run's seed, not negative.
        mega_batch (`int`): Batches per mega-batch: more means less padding and less randomness.
    """

    def __init__(self, lengths: Sequence[float], *, batch_size: int, seed: int, mega_batch: int = 50) -> None:
        if len(lengths) == 0 or batch_size < 1 or mega_batch < 1:
            raise ValueError(
                "expected at least one length, batch_size >= 1 and mega_batch >= 1, got "
                f"{len(lengths)} lengths, batch_size={batch_size} and mega_batch={mega_batch}"
            )
        self.lengths = np.asarray(lengths, dtype=np.float64)
        self.batch_size = batch_size
        self.seed = seed
        self.mega_batch = mega_batch
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that the next iteration draws for."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = _generator(self.seed, self.epoch, 0, _SAMPLER_STREAM)
        permutation = generator.permutation(len(self.lengths))
        mega_size = self.mega_batch * self.batch_size
        batches: list[np.ndarray] = []
        for first in range(0, len(permutation), mega_size):
            indices = permutation[first : first + mega_size]
            # Stable, so that clips of equal length keep their random order on every platform.
            indices = indices[np.argsort(-self.lengths[indices], kind="stable")]
            batches.extend(
                indices[begin : begin + self.batch_size] for begin in range(0, len(indices), self.batch_size)
            )
        incomplete = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        batches = [batches[position] for position in generator.permutation(len(batches))]
        if batches:
            longest = max(range(len(batches)), key=lambda position: self.lengths[batches[position]].max())
            batches[0], batches[longest] = batches[longest], batches[0]
        for batch in batches + incomplete:
            yield from batch.tolist()


def _check_columns(present: Sequence[str], columns: Sequence[str], map_style: bool = True) -> None:
    if "path" not in present and "audio" not in present:
        raise ValueError(f"expected a table with a column `path` or `audio`, its columns are {list(present)}")
    for name in (*(("start", "duration") if map_style else ()), *columns):
        if name not in present:
            raise ValueError(f"the table has no column {name!r}; its columns are {list(present)}")


def _source_of(row: dict[str, Any]) -> str | bytes:
    """The path of a local row, the bytes (or path) of a parquet or Hub row; a concatenated table has both columns."""
    source = row.get("path") or audio_source(row.get("audio"))
    if source is None:
        raise AudioReadError("", "empty: neither bytes nor a path")
    return source


def _name_of(row: dict[str, Any], row_index: int) -> str:
    """What `skipped` calls a row: its file, or its number where the audio came in bytes."""
    if row.get("path"):
        return row["path"]
    return f"row {row_index} ({(row.get('audio') or {}).get('path') or 'bytes'})"


def _identify(row: dict[str, Any]) -> tuple[str, bytes]:
    """Name and identity of a streamed row, which has no index: from its path and its content."""
    source = row.get("path") or audio_source(row.get("audio")) or ""
    path = row.get("path") or (row.get("audio") or {}).get("path") or ""
    digest = hashlib.blake2b(path.encode(), digest_size=16)
    digest.update(source if isinstance(source, bytes) else source.encode())
    return f"{path or 'bytes'} ({digest.hexdigest()[:8]})" if isinstance(source, bytes) else path, digest.digest()
