# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Log-mel spectrograms for the eye."""

import numpy as np
from transformers.audio_utils import mel_filter_bank, window_function

from .pictures import in_colour

NUM_BANDS = 80


def spectrogram_pixels(waveform: np.ndarray, sampling_rate: int) -> np.ndarray:
    """A picture of a waveform: 80 mel bands, windows of 25 ms every 10 ms, low bands at the bottom.

    Args:
        waveform: `(num_samples,)`, of at least one window.
        sampling_rate: Samples per second.

    Returns:
        `(80, num_windows, 3)`, uint8.
    """
    length, hop = sampling_rate // 40, sampling_rate // 100
    padded = np.pad(waveform.astype(np.float64), (length // 2, length - length // 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, length)[: len(waveform) : hop]
    fft_length = 2 ** int(np.ceil(np.log2(length)))
    power = np.abs(np.fft.rfft(windows * window_function(length, "hann"), n=fft_length)) ** 2
    filters = mel_filter_bank(
        fft_length // 2 + 1, NUM_BANDS, 20.0, sampling_rate / 2, sampling_rate, mel_scale="kaldi",
        triangularize_in_mel_space=True,
    )  # fmt: skip
    levels = 10 * np.log10(np.maximum(power @ filters, 1e-10))
    high = levels.max()
    low = max(np.quantile(levels, 0.05), high - 80)  # decibels
    return in_colour(((levels - low) / max(high - low, 1e-6)).T[::-1])
