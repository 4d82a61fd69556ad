# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Recordings of any length as streams of samples, and as the arrays that transformers' pipelines take."""

import math
import os
from typing import NamedTuple, TypedDict

import numpy as np

from ..data.audio import read_audio, stream_audio

_VARIANCE_FLOOR = 1e-7  # of Wav2Vec2FeatureExtractor


class PipelineAudio(TypedDict):
    """What transformers' audio pipelines take: a mono waveform and its sampling rate."""

    raw: np.ndarray
    sampling_rate: int


class WaveformStatistics(NamedTuple):
    """What must be known of a recording before its first window.

    Attributes:
        num_samples (`int`): Its length at the model's rate, as decoded; headers may promise more.
        mean, variance (`float`): Of all its samples.
    """

    num_samples: int
    mean: float
    variance: float

    def normalize(self, waveform: np.ndarray) -> np.ndarray:
        """Zero mean and unit variance by the statistics of the whole recording, whatever part this is."""
        scale = 1 / math.sqrt(self.variance + _VARIANCE_FLOOR)
        return (waveform - np.float32(self.mean)) * np.float32(scale)


def read_for_pipeline(source: str | os.PathLike | bytes, *, sampling_rate: int) -> PipelineAudio:
    """Reads a file for `transformers.pipeline`, whose own reading of files needs an ffmpeg binary.

    ```python
    recognizer = pipeline("automatic-speech-recognition", "MODEL", chunk_length_s=30)
    recognizer(read_for_pipeline("speech.mp3", sampling_rate=recognizer.feature_extractor.sampling_rate))
    ```

    Args:
        source (`str`, `os.PathLike` or `bytes`): A wav, flac, ogg, opus or mp3 file, or the content of one.
        sampling_rate (`int`): The model's; the audio is resampled to it.

    Raises:
        AudioReadError: If the source is missing, empty, not audio, damaged, or not finite.
    """
    return {"raw": read_audio(source, sampling_rate=sampling_rate), "sampling_rate": sampling_rate}


def waveform_statistics(source: str | os.PathLike | bytes, *, sampling_rate: int) -> WaveformStatistics:
    """Length, mean and variance of a recording, in one pass over it.

    Raises:
        AudioReadError: As `stream_audio`.
    """
    num_samples, total, total_of_squares = 0, 0.0, 0.0
    for block in stream_audio(source, sampling_rate=sampling_rate):
        num_samples += len(block)
        total += float(block.sum(dtype=np.float64))
        total_of_squares += float(np.square(block, dtype=np.float64).sum())
    mean = total / num_samples
    return WaveformStatistics(num_samples, mean, max(total_of_squares / num_samples - mean**2, 0.0))
