# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What an encoder must beat: the same items represented without a network, as a single layer."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from transformers.audio_utils import mel_filter_bank, window_function

from ..models.feature_extraction_best_rq import BestRqFeatureExtractor
from .encoders import Modality, Representation, Representer, normalize_frames
from .items import Clip, Item, Picture, Text

SAMPLING_RATE = 16_000
NUM_MEL_FILTERS = 80
PIXEL_SIDE = 16
MAX_NUM_TERMS = 4096


class LogMel:
    """Log-mel features of clips, read at 16 kHz.

    Statistics: mean and standard deviation over time of 80 bands, windows of 25 ms every 10 ms. Each clip is brought
    to zero mean and unit variance first, as the feature extractors do for the networks, so that the level of a
    recording is no feature. Frames: two log-mel frames of BEST-RQ's feature extractor side by side, 50 per second.
    """

    def __init__(self) -> None:
        self.frame_length, self.hop_length = SAMPLING_RATE // 40, SAMPLING_RATE // 100
        self.fft_length = 2 ** int(np.ceil(np.log2(self.frame_length)))
        self.mel_filters = mel_filter_bank(
            self.fft_length // 2 + 1, NUM_MEL_FILTERS, 20.0, SAMPLING_RATE / 2, SAMPLING_RATE, mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )  # fmt: skip
        self.window = window_function(self.frame_length, "hann")
        self.feature_extractor = BestRqFeatureExtractor()

    def represent(self, items: Sequence[Clip]) -> Iterator[Representation]:
        for item in items:
            waveform = item.read(SAMPLING_RATE)
            if len(waveform) < self.frame_length:
                raise ValueError(
                    f"{item.name} has {len(waveform)} samples; a log mel window needs {self.frame_length}: leave "
                    "shorter clips out (--min_seconds)."
                )
            yield Representation(self._frames(waveform), self._statistics(waveform))

    def frame_times(self, num_frames: int, seconds: float) -> np.ndarray:
        """As of an encoder: between the centres of the two log-mel frames of each."""
        return (2 * np.arange(num_frames) + 0.5) * self.hop_length / SAMPLING_RATE

    def _statistics(self, waveform: np.ndarray) -> torch.Tensor:
        normalised = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
        # All windows at once: transformers' `spectrogram` takes them one by one and ten times as long.
        windows = np.lib.stride_tricks.sliding_window_view(normalised, self.frame_length)[:: self.hop_length]
        power = np.abs(np.fft.rfft(windows * self.window, n=self.fft_length)) ** 2
        bands = np.log(np.maximum(power @ self.mel_filters, 1e-10))
        return torch.from_numpy(np.concatenate([bands.mean(axis=0), bands.std(axis=0)]).astype(np.float32))[None]

    def _frames(self, waveform: np.ndarray) -> torch.Tensor:
        inputs = self.feature_extractor(waveform, sampling_rate=SAMPLING_RATE, return_tensors="pt")
        frames = inputs["input_features"]
        return normalize_frames(frames[:, : frames.shape[1] // 2 * 2].unflatten(1, (-1, 2)).flatten(2))


class Pixels:
    """Pixels of a small version of an image, 16 x 16, as one frame."""

    def represent(self, items: Sequence[Picture]) -> Iterator[Representation]:
        for item in items:
            small = item.read().resize((PIXEL_SIDE, PIXEL_SIDE), Image.Resampling.BILINEAR)
            values = torch.from_numpy(np.asarray(small, dtype=np.float32).reshape(1, -1))
            yield Representation(normalize_frames(values[:, None]), values)


class TermFrequencies:
    """Terms of a text by TF-IDF, the 4,096 most frequent ones of the training texts, as one frame.

    Raises:
        ImportError: scikit-learn is not installed.
    """

    def __init__(self, train: Sequence[Text]) -> None:
        from .probing import require_scikit_learn

        require_scikit_learn()
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.vectorizer = TfidfVectorizer(max_features=MAX_NUM_TERMS, sublinear_tf=True, dtype=np.float32)
        self.vectorizer.fit([item.text for item in train])

    def represent(self, items: Sequence[Text]) -> Iterator[Representation]:
        for item in items:
            values = torch.from_numpy(self.vectorizer.transform([item.text]).toarray())
            yield Representation(normalize_frames(values[:, None]), values)


def baseline_of(modality: Modality, train: Sequence[Item]) -> tuple[str, Representer]:
    """The name and the baseline of what is probed; `train` is what it may learn from."""
    match modality:
        case "speech":
            return "log-mel, no network", LogMel()
        case "images":
            return "pixels, no network", Pixels()
        case "text":
            return "TF-IDF, no network", TermFrequencies(train)  # type: ignore[arg-type]
