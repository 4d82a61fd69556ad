# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Batches of a number of seconds instead of a number of clips."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

# Longest clip of a bucket over its shortest one. Clips of a bucket are shuffled, so about half of this is padding.
BUCKET_RATIO = 1.04


def padded_lengths(lengths: Sequence[float] | np.ndarray, multiple: float | None) -> np.ndarray:
    """Lengths, in seconds or samples, rounded up to a multiple; as they are if that is `None`."""
    exact = np.asarray(lengths, dtype=np.float64)
    # a length that is a multiple but for the rounding of float64 is one
    return exact if multiple is None else np.ceil(exact / multiple * (1 - 1e-12)) * multiple


class DurationBatchSampler(torch.utils.data.Sampler[list[int]]):
    """Every clip once per epoch, in batches of about the same duration, padding included.

    Clips fall into buckets of similar length, once and for all. Every epoch shuffles each bucket, cuts it into
    batches, and shuffles these; clips that are left over in a bucket go to the next longer one. The number of batches
    is the same in every epoch and a multiple of `batches_per_update`, for which the largest batches are halved. The
    batch with the longest clip comes first, so that running out of memory shows at once.

    A pure function of (seed, epoch). `batches_per_update` consecutive batches make an update, however many processes
    share them: 4 processes, 2 processes with 2 accumulation steps, and 1 with 4 see the same global batches.

    Args:
        lengths (`Sequence[float]`): Seconds of each clip.
        batch_seconds (`float`): Most seconds of a batch on one device: the longest clip's times the number of clips.
        batches_per_update (`int`): Processes times gradient accumulation steps.
        seed (`int`): The run's seed, not negative.
        pad_to_multiple_of (`float`, *optional*): Seconds of which padded clips have a multiple. Clips of a batch then
            have one padded length (those left over from shorter ones apart), and batches few shapes.

    Raises:
        ValueError: A clip is longer than a batch, or there are too few clips for whole updates.
    """

    def __init__(
        self,
        lengths: Sequence[float],
        *,
        batch_seconds: float,
        batches_per_update: int,
        seed: int,
        pad_to_multiple_of: float | None = None,
    ) -> None:
        self.lengths = np.asarray(lengths, dtype=np.float64)
        self.pad_to_multiple_of = pad_to_multiple_of
        self.batch_seconds = batch_seconds
        self.batches_per_update = batches_per_update
        self.seed = seed
        self.epoch = 0
        self._check()
        padded, ratio = padded_lengths(self.lengths, pad_to_multiple_of), BUCKET_RATIO
        if pad_to_multiple_of is not None:
            ratio = 1.0  # what is padded to one length anyway makes a bucket
        self._buckets = _buckets(padded, ratio)
        self._sizes = _batch_sizes(padded, self._buckets, batch_seconds, batches_per_update)

    def _check(self) -> None:
        if self.batches_per_update < 1 or not self.batch_seconds > 0:
            raise ValueError(
                "Expected batches of a positive number of seconds and at least one of them per update, got "
                f"batch_seconds={self.batch_seconds} and batches_per_update={self.batches_per_update}."
            )
        if len(self.lengths) == 0:
            raise ValueError("Expected at least one clip, got none.")
        if not (self.lengths > 0).all():
            raise ValueError(f"Clips must have a positive length, the shortest has {self.lengths.min()} s.")
        longest = padded_lengths(self.lengths, self.pad_to_multiple_of).max()
        if longest > self.batch_seconds:
            padding = "" if self.pad_to_multiple_of is None else " with padding"
            raise ValueError(
                f"The longest clip has {longest:.2f} s{padding}, more than a batch of {self.batch_seconds:g} s. Give "
                "--batch_seconds that hold it, or a smaller --max_seconds."
            )

    def __len__(self) -> int:
        return len(self._sizes)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that the next iteration draws for."""
        self.epoch = epoch

    @property
    def padding_share(self) -> float:
        """Share of padding in the epoch's batches."""
        padded_clips = padded_lengths(self.lengths, self.pad_to_multiple_of)
        padded = sum(len(batch) * padded_clips[batch].max() for batch in self)
        return 1 - self.lengths.sum() / padded

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng(np.random.SeedSequence((self.seed, self.epoch)))
        clips = np.concatenate([generator.permutation(bucket) for bucket in self._buckets])
        batches = np.split(clips, np.cumsum(self._sizes)[:-1])
        batches = [batches[position] for position in generator.permutation(len(batches))]
        longest = max(range(len(batches)), key=lambda position: self.lengths[batches[position]].max())
        batches[0], batches[longest] = batches[longest], batches[0]
        return iter([batch.tolist() for batch in batches])


def _buckets(lengths: np.ndarray, ratio: float) -> list[np.ndarray]:
    """Indices of clips of which the longest is at most `ratio` times as long as the shortest, shortest first."""
    order = np.argsort(lengths, kind="stable")
    buckets, first = [], 0
    while first < len(order):
        end = int(np.searchsorted(lengths[order], lengths[order[first]] * ratio, side="right"))
        buckets.append(order[first:end])
        first = end
    return buckets


def _batch_sizes(
    lengths: np.ndarray, buckets: Sequence[np.ndarray], batch_seconds: float, batches_per_update: int
) -> list[int]:
    """Clips of each batch, for clips in the order of the buckets: the same in every epoch.

    A batch may begin with clips that are left over in the buckets before; they are shorter.
    """
    sizes, left_over = [], 0
    for bucket in buckets:
        most = int(batch_seconds / lengths[bucket].max())
        full, left_over = divmod(left_over + len(bucket), most)
        sizes += [most] * full
    if left_over:
        sizes.append(left_over)
    missing = -len(sizes) % batches_per_update
    if len(sizes) + missing > len(lengths):
        raise ValueError(
            f"{len(lengths)} clips are too few for updates of {batches_per_update} batches (processes x accumulation) "
            "of which none is empty. Use fewer accumulation steps, or shorter clips (--max_seconds)."
        )
    return _halve_largest(sizes, missing)


def _halve_largest(sizes: list[int], count: int) -> list[int]:
    """Makes `count` more batches of the same clips."""
    for _ in range(count):
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        half = math.ceil(sizes[largest] / 2)
        sizes[largest : largest + 1] = [half, sizes[largest] - half]
    return sizes
