# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Audio as a microphone gives it, in small blocks: of a file, or of raw samples from a pipe."""

import os
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import soxr

from ..data.audio import AudioReadError, stream_audio

BLOCK_SECONDS = 0.02
_NAME = "standard input"


def file_blocks(path: str | os.PathLike, *, sampling_rate: int) -> Iterator[np.ndarray]:
    """A file in blocks of 20 ms, `(num_samples,)`, float32, mono, at `sampling_rate`.

    Raises:
        AudioReadError: As `stream_audio`.
    """
    length = round(BLOCK_SECONDS * sampling_rate)
    for samples in stream_audio(path, sampling_rate=sampling_rate):
        for first in range(0, len(samples), length):
            yield samples[first : first + length]


def pcm_blocks(stream: BinaryIO, *, stream_sampling_rate: int, sampling_rate: int) -> Iterator[np.ndarray]:
    """Raw samples (signed, 16 bits, little-endian, mono) as they come, in blocks of about 20 ms.

    Args:
        stream: Where they come from; to its end.
        stream_sampling_rate: Samples per second of the stream.
        sampling_rate: Of the result. If it is another one, soxr resamples, in bursts of about 0.1 s.

    Yields:
        `(num_samples,)`, float32, between -1 and 1; not empty.

    Raises:
        AudioReadError: There are no samples, or the stream ended in the middle of one; after all whole samples.
    """
    blocks = _read_pcm(stream, max(round(BLOCK_SECONDS * stream_sampling_rate), 1))
    if stream_sampling_rate != sampling_rate:
        blocks = _resample(blocks, stream_sampling_rate, sampling_rate)
    yield from blocks


def paced(blocks: Iterable[np.ndarray], *, sampling_rate: int) -> Iterator[np.ndarray]:
    """Each block when its last sample has sounded, counted from now on."""
    begin, num_samples = time.monotonic(), 0
    for block in blocks:
        num_samples += len(block)
        time.sleep(max(begin + num_samples / sampling_rate - time.monotonic(), 0))
        yield block


def _read_pcm(stream: BinaryIO, num_samples: int) -> Iterator[np.ndarray]:
    is_empty = True
    while data := stream.read(2 * num_samples):
        is_empty = False
        num_bytes = len(data) // 2 * 2
        if num_bytes:
            yield np.frombuffer(data[:num_bytes], dtype="<i2").astype(np.float32) / 32768
        if num_bytes < len(data):
            raise AudioReadError(_NAME, "ended in the middle of a sample: expected signed 16-bit samples, raw")
    if is_empty:
        raise AudioReadError(_NAME, "empty: no samples")


def _resample(blocks: Iterator[np.ndarray], from_rate: int, to_rate: int) -> Iterator[np.ndarray]:
    resampler = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        resampled = resampler.resample_chunk(block)
        if len(resampled):
            yield resampled
    rest = resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
    if len(rest):
        yield rest
