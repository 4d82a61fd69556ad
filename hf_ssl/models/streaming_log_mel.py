# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Log-mel features of BEST-RQ while the audio is still coming, the same as of the whole recording."""

from typing import NamedTuple

import torch

from .feature_extraction_best_rq import SMALLEST_STD, BestRqFeatureExtractor, mel_decibels


class MelNormalization(NamedTuple):
    """Makes features of decibels by what is known in advance: of a data set, or of a recording that was read before.

    Attributes:
        floor (`float`, *optional*): Quieter values are raised to it, in decibels.
        mean, std (`torch.Tensor` of shape `(feature_size,)`, *optional*): Statistics of each mel bin.
    """

    floor: float | None = None
    mean: torch.Tensor | None = None
    std: torch.Tensor | None = None

    def __call__(self, decibels: torch.Tensor) -> torch.Tensor:
        """`(num_mel_frames, feature_size)` -> the same."""
        if self.floor is not None:
            decibels = decibels.clamp_min(self.floor)
        if self.mean is None or self.std is None:
            return decibels
        return (decibels - self.mean) / self.std.clamp_min(SMALLEST_STD)


def dataset_normalization(feature_extractor: BestRqFeatureExtractor, floor: float | None = None) -> MelNormalization:
    """By what the feature extractor knows of its data set: `mean` and `std` if `normalization` is `"dataset"`."""
    if feature_extractor.normalization != "dataset":
        return MelNormalization(floor)
    return MelNormalization(floor, torch.tensor(feature_extractor.mean), torch.tensor(feature_extractor.std))


def stream_normalization(feature_extractor: BestRqFeatureExtractor) -> MelNormalization:
    """What a feature extractor does to a stream.

    Raises:
        ValueError: It needs something of the whole recording, which is not known before the stream ends.
    """
    if feature_extractor.normalization in ("dataset", "none") and feature_extractor.top_db is None:
        return dataset_normalization(feature_extractor)
    raise ValueError(
        "A stream's loudest value and its statistics are not known before it ends: expected a feature extractor with "
        "`top_db=None` and `normalization='dataset'`, got "
        f"`top_db={feature_extractor.top_db}` and `normalization={feature_extractor.normalization!r}`. Make one by "
        "training_scripts/feature_statistics.py --streaming_model, and train the model with it (pretrain_speech.py "
        "--preprocessor): features of another kind are not what this one was trained on."
    )


class StreamingLogMel:
    """Gives each mel frame as soon as the samples of its window are there.

    A window is centred on its instant, so its right half is look-ahead: half of `win_length`, 12.5 ms. Zeros stand
    before the beginning and, once the stream has ended, behind its end. Holds less than a window of samples.

    Args:
        feature_extractor ([`BestRqFeatureExtractor`]): Windows and mel bins.
        normalization ([`MelNormalization`]): See [`stream_normalization`].

    Raises:
        ValueError: There are samples between windows, in none of them.
    """

    def __init__(self, feature_extractor: BestRqFeatureExtractor, normalization: MelNormalization):
        if feature_extractor.hop_length > feature_extractor.win_length:
            raise ValueError(
                f"Expected windows without gaps, got hop_length={feature_extractor.hop_length} and "
                f"win_length={feature_extractor.win_length}."
            )
        self.feature_extractor = feature_extractor
        self.normalization = normalization
        self._filters = feature_extractor.mel_filters()
        self._held = self._half_window()

    @property
    def look_ahead(self) -> int:
        """Samples behind its instant that a mel frame needs."""
        return self.feature_extractor.win_length // 2

    def add(self, samples: torch.Tensor) -> torch.Tensor:
        """The next samples, `(num_samples,)`, however many; returns the mel frames that they complete,
        `(num_mel_frames, feature_size)`."""
        win_length, hop_length = self.feature_extractor.win_length, self.feature_extractor.hop_length
        samples = torch.cat([self._held, samples.float()])
        if len(samples) < win_length:
            self._held = samples
            return torch.zeros(0, self.feature_extractor.feature_size)
        num_mel_frames = (len(samples) - win_length) // hop_length + 1
        self._held = samples[num_mel_frames * hop_length :].clone()  # not a view, which would keep all samples
        seen = samples[: (num_mel_frames - 1) * hop_length + win_length]
        spectrum = self.feature_extractor.spectrum(seen.unsqueeze(0), surround=False)
        return self.normalization(mel_decibels(spectrum, self._filters)[0])

    def finish(self) -> torch.Tensor:
        """The mel frames whose windows reach behind the end; a new stream may begin."""
        features = self.add(self._half_window())
        self._held = self._half_window()
        return features

    def _half_window(self) -> torch.Tensor:
        return torch.zeros(self.look_ahead)
