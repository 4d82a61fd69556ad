# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Batches of a number of seconds out of a stream, whose lengths are known only when they have been decoded."""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from .dataset import StreamedAudioDataset
from .duration_batches import padded_lengths

# Seconds of decoded audio that a worker holds to choose from, in batches. More means less padding and more memory: a
# second at 16 kHz has 64 kB, so 40 batches of 60 s have 150 MB.
BUFFER_BATCHES = 40

_BATCH_STREAM = 4  # beside the streams of randomness in dataset.py

Item = TypeVar("Item")


class StreamCounts(NamedTuple):
    """What became of a stream so far.

    Attributes:
        read: Clips that were decoded.
        given: Clips in batches. The others are held in buffers: the remainder, when training ends.
        batches: Batches.
        incomplete: Batches with room for one more clip, of which the stream had none that fits, as when a pass ends.
        passes: Passes over the data, of all workers together.
    """

    read: int
    given: int
    batches: int
    incomplete: int
    passes: int


class StreamedDurationBatches(torch.utils.data.IterableDataset):
    """The clips of a stream in batches of clips of similar length and at most `batch_seconds`, without end.

    Every worker of every process holds a buffer of `BUFFER_BATCHES` batches. It draws a clip from the buffer, gives it
    together with those that are next in length, and reads on. When its shards end it empties the buffer, and begins
    the next pass over the data, in another order. So a clip comes once per pass, and because batches never end, every
    process takes the same number of steps however unequal their shards are; passes of processes need not coincide.

    The batches are a function of the seed, the shards of the stream, the numbers of processes and workers,
    `batch_seconds` and the dataset's bounds on lengths; a clip's own randomness (its masks, its augmentation) depends
    on the seed, the pass and the clip alone. To go on from a position, batches are read again up to there.

    Items are lists of clips: use with `DataLoader(..., batch_size=None, collate_fn=...)`.

    Args:
        dataset (`StreamedAudioDataset`): The clips; of several processes, those of this one
            (`datasets.distributed.split_dataset_by_node`).
        batch_seconds (`float`): Most seconds of a batch: the longest clip's times the number of clips.
        num_workers (`int`): Of the DataLoader.
        process_index (`int`): Which of the processes this is.
        pad_to_multiple_of (`int`, *optional*): Samples of which padded clips have a multiple.

    Raises:
        ValueError: Clips may be longer than a batch.
    """

    def __init__(
        self,
        dataset: StreamedAudioDataset,
        *,
        batch_seconds: float,
        num_workers: int = 0,
        process_index: int = 0,
        pad_to_multiple_of: int | None = None,
    ) -> None:
        self.pad_to_multiple_of = pad_to_multiple_of
        if not batch_seconds > 0:
            raise ValueError(f"Expected batches of a positive number of seconds, got batch_seconds={batch_seconds}.")
        longest = None
        if dataset.max_seconds is not None:
            longest = self._padded(int(dataset.max_seconds * dataset.sampling_rate)) / dataset.sampling_rate
        if longest is None or longest > batch_seconds:
            raise ValueError(
                f"Clips of a stream may have {longest or 'any number of'} s, more than a batch of "
                f"{batch_seconds:g} s. Give --batch_seconds that hold the longest clip, or a smaller --max_seconds."
            )
        self.dataset = dataset
        self.batch_seconds = batch_seconds
        self.process_index = process_index
        # A row for each worker, in shared memory: the main process reads what they write.
        self._counts = torch.zeros(max(1, num_workers), len(StreamCounts._fields), dtype=torch.int64).share_memory_()

    @property
    def counts(self) -> StreamCounts:
        """Counts of all workers, which read ahead of training."""
        return StreamCounts(*self._counts.sum(dim=0).tolist())

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        info = torch.utils.data.get_worker_info()
        worker = 0 if info is None else info.id
        counts = self._counts[worker]
        for number in count():
            read_before = int(counts[0])
            yield from self._pass(number, worker, counts)
            counts[4] += 1
            if int(counts[0]) == read_before:  # more workers than shards
                if info is None:
                    raise RuntimeError(
                        "The stream has no clips for this process. Use fewer processes, or more shards."
                    )
                return

    def _pass(self, number: int, worker: int, counts: torch.Tensor) -> Iterator[list[dict[str, Any]]]:
        seed = np.random.SeedSequence(
            (self.dataset.seed, number, self.process_index, worker), spawn_key=(_BATCH_STREAM,)
        )
        batches = batches_of_similar_length(
            _counted(self.dataset.items_of_pass(number), counts),
            self._seconds,
            batch_seconds=self.batch_seconds,
            generator=np.random.default_rng(seed),
        )
        for batch in batches:
            longest = max(map(self._seconds, batch))
            counts[1] += len(batch)
            counts[2] += 1
            counts[3] += (len(batch) + 1) * longest <= self.batch_seconds
            yield batch

    def _seconds(self, item: dict[str, Any]) -> float:
        """With padding up to a multiple."""
        return self._padded(len(item["input_values"])) / self.dataset.sampling_rate

    def _padded(self, num_samples: int) -> float:
        return float(padded_lengths([num_samples], self.pad_to_multiple_of)[0])


def _counted(items: Iterable[Item], counts: torch.Tensor) -> Iterator[Item]:
    for item in items:
        counts[0] += 1
        yield item


def batches_of_similar_length(
    items: Iterable[Item],
    seconds_of: Callable[[Item], float],
    *,
    batch_seconds: float,
    generator: np.random.Generator,
    buffer_batches: float = BUFFER_BATCHES,
) -> Iterator[list[Item]]:
    """Every item once, in batches of at most `batch_seconds` with padding, out of a bounded buffer.

    Args:
        items: In any order, none longer than a batch.
        seconds_of: The length of an item.
        batch_seconds: Most seconds of a batch.
        generator: Draws which item of the buffer goes next.
        buffer_batches: Most seconds in the buffer, in batches; it may exceed them by one item.
    """
    buffer: list[Item] = []
    seconds = 0.0
    for item in items:
        buffer.append(item)
        seconds += seconds_of(item)
        while seconds >= buffer_batches * batch_seconds:
            batch = _take_similar(buffer, seconds_of, batch_seconds, generator)
            seconds -= sum(map(seconds_of, batch))
            yield batch
    batches = _cut(sorted(buffer, key=seconds_of, reverse=True), seconds_of, batch_seconds)
    yield from (batches[position] for position in generator.permutation(len(batches)))


def _take_similar(
    buffer: list[Item], seconds_of: Callable[[Item], float], batch_seconds: float, generator: np.random.Generator
) -> list[Item]:
    """Removes a random item with those around it in length, as many as fit, that need the least padding."""
    buffer.sort(key=seconds_of)
    drawn = int(generator.integers(len(buffer)))
    first, last = _least_padded(np.array([seconds_of(item) for item in buffer]), drawn, batch_seconds)
    batch = buffer[first : last + 1]
    del buffer[first : last + 1]
    return batch


def _least_padded(lengths: np.ndarray, drawn: int, batch_seconds: float) -> tuple[int, int]:
    """First and last of the neighbours of a clip that fill most of a batch with audio; `lengths` rise."""
    lasts = np.arange(drawn, len(lengths))
    firsts = np.maximum(0, lasts + 1 - np.floor(batch_seconds / lengths[lasts]).astype(int))
    lasts, firsts = lasts[firsts <= drawn], firsts[firsts <= drawn]
    ends = np.concatenate([[0.0], np.cumsum(lengths)])
    best = int(np.argmax(ends[lasts + 1] - ends[firsts]))
    return int(firsts[best]), int(lasts[best])


def _cut(items: list[Item], seconds_of: Callable[[Item], float], batch_seconds: float) -> list[list[Item]]:
    """Items, the longest first, as full batches and one that may not be."""
    batches: list[list[Item]] = []
    first = 0
    while first < len(items):
        size = max(1, int(batch_seconds / seconds_of(items[first])))
        batches.append(items[first : first + size])
        first += size
    return batches
