# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Log-mel features of BEST-RQ, as the open-source recipe computes them, for batches and on any device.

None of transformers' feature extractors can express them: Hamming windows around instants 10 ms apart, mel filters
whose two flanks are equally wide, decibels cut at 80 below an utterance's loudest value, and one normalisation per mel
bin.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F
from transformers.feature_extraction_sequence_utils import SequenceFeatureExtractor
from transformers.feature_extraction_utils import BatchFeature
from transformers.utils import PaddingStrategy, TensorType

NORMALIZATIONS = ("utterance", "dataset", "recipe", "none")

SMALLEST_POWER = 1e-10
# Decibels. Of an utterance with digital silence in a mel bin, whose deviation is rounding error; the original divides
# by it, or by 1e-10.
SMALLEST_STD = 1e-3

Waveform = np.ndarray | torch.Tensor | Sequence[float]


class BestRqFeatureExtractor(SequenceFeatureExtractor):
    r"""
    Makes log-mel features of waveforms.

    Args:
        feature_size (`int`, *optional*, defaults to 80): Mel bins, between 0 Hz and half the sampling rate.
        sampling_rate (`int`, *optional*, defaults to 16000): Samples per second.
        padding_value (`float`, *optional*, defaults to 0.0): What stands in padded mel frames after normalisation.
        win_length, hop_length (`int`, *optional*, default to 400 and 160): Samples per window, and between windows.
        top_db (`float`, *optional*, defaults to 80.0):
            Quieter values than the utterance's loudest less this are raised to it. `None` for streams, whose loudest
            value is not known before they end.
        normalization (`str`, *optional*, defaults to `"utterance"`):
            `"utterance"`: mean 0 and deviation 1 of each mel bin over an utterance's real mel frames; `"dataset"`: by
            `mean` and `std`; `"recipe"`: like `"utterance"`, but real mel frames are counted from lengths relative to
            the batch, and padding is normalised along, as in the open-source recipe; `"none"`.
        mean, std (`list[float]`, *optional*): One value per mel bin, see [`dataset_statistics`].
        return_attention_mask (`bool`, *optional*, defaults to `True`): Whether to return the mask of real mel frames.
    """

    model_input_names = ["input_features", "attention_mask"]

    def __init__(
        self,
        feature_size: int = 80,
        sampling_rate: int = 16_000,
        padding_value: float = 0.0,
        win_length: int = 400,
        hop_length: int = 160,
        top_db: float | None = 80.0,
        normalization: str = "utterance",
        mean: list[float] | None = None,
        std: list[float] | None = None,
        return_attention_mask: bool = True,
        **kwargs,
    ):
        super().__init__(feature_size, sampling_rate, padding_value, **kwargs)
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"`normalization` must be one of {NORMALIZATIONS}, but is {normalization!r}.")
        if normalization == "dataset" and not (mean and std and len(mean) == len(std) == feature_size):
            raise ValueError(
                f"`normalization='dataset'` needs `mean` and `std` with {feature_size} values each, one per mel bin. "
                "`dataset_statistics` computes them."
            )
        self.win_length = win_length
        self.hop_length = hop_length
        self.top_db = top_db
        self.normalization = normalization
        self.mean = mean
        self.std = std
        self.return_attention_mask = return_attention_mask

    def num_mel_frames(self, num_samples: int) -> int:
        """Mel frames of a waveform of `num_samples` samples: one around its beginning and one every `hop_length`."""
        return 1 + num_samples // self.hop_length

    def __call__(
        self,
        raw_speech: Waveform | Sequence[Waveform],
        sampling_rate: int | None = None,
        padding: bool | str | PaddingStrategy = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | TensorType | None = None,
        device: str | torch.device = "cpu",
        **kwargs,
    ) -> BatchFeature:
        """
        Args:
            raw_speech: A mono waveform of shape `(num_samples,)`, or several.
            sampling_rate: Of the waveforms; checked.
            padding, max_length, truncation, pad_to_multiple_of:
                As in transformers' feature extractors, in mel frames. `padding=False` is for one utterance, or several
                of one length.
            return_attention_mask: Instead of the attribute.
            return_tensors: `"pt"` or `"np"`; lists otherwise.
            device: Where to compute; `"pt"` tensors stay there.

        Returns:
            `input_features` of shape `(batch_size, num_mel_frames, feature_size)` and `attention_mask` of shape
            `(batch_size, num_mel_frames)`.

        Raises:
            ValueError: The sampling rate is another one, or a waveform is empty or not mono.
        """
        self._check_sampling_rate(sampling_rate)
        waveforms = _as_waveforms(raw_speech)
        lengths = torch.tensor([len(waveform) for waveform in waveforms], device=device)
        batch = torch.nn.utils.rnn.pad_sequence([waveform.to(device) for waveform in waveforms], batch_first=True)
        frame_mask = self.real_frames(lengths, batch.shape[1])
        features = self._normalize(self.log_mel(batch), frame_mask)
        features, frame_mask = self._fit(features, frame_mask, padding, max_length, truncation, pad_to_multiple_of)
        data = {"input_features": features}
        if self.return_attention_mask if return_attention_mask is None else return_attention_mask:
            data["attention_mask"] = frame_mask.long()
        return _as_batch(data, return_tensors)

    def with_features(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Puts features in the place of a batch's waveforms, computed where these lie, such as on a GPU.

        Args:
            batch: Of a collator that leaves the features to the device: `waveforms`, `(batch_size, num_samples)`, as
                long as the longest one and then zeros, and `attention_mask`, `(batch_size, num_mel_frames)`, which
                may have more mel frames than the waveforms: padding. A batch without `waveforms` stays as it is.

        Returns:
            The batch with `input_features`, `(batch_size, num_mel_frames, feature_size)`: those of a call.
        """
        if "waveforms" not in batch:
            return dict(batch)
        waveforms, is_real = batch["waveforms"], batch["attention_mask"].bool()
        num_mel_frames = self.num_mel_frames(waveforms.shape[1])
        features = self._normalize(self.log_mel(waveforms), is_real[:, :num_mel_frames])
        features = F.pad(features, (0, 0, 0, is_real.shape[1] - num_mel_frames), value=self.padding_value)
        rest = {name: tensor for name, tensor in batch.items() if name != "waveforms"}
        return {"input_features": features, **rest}

    def log_mel(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Features before normalisation, in decibels: `(batch_size, num_samples)` -> `(batch_size, num_mel_frames,
        feature_size)`."""
        decibels = mel_decibels(self.spectrum(waveforms), self.mel_filters().to(waveforms.device))
        if self.top_db is None:
            return decibels
        return decibels.maximum(decibels.amax(dim=(-2, -1), keepdim=True) - self.top_db)

    def mel_filters(self) -> torch.Tensor:
        """`(num_frequencies, feature_size)`."""
        return mel_filters(self.feature_size, self.win_length // 2 + 1, self.sampling_rate)

    def spectrum(self, waveforms: torch.Tensor, surround: bool = True) -> torch.Tensor:
        """Short-time Fourier transform: `(batch_size, num_samples)` -> `(batch_size, num_mel_frames,
        num_frequencies)`, complex. With `surround`, half a window of zeros stands before the beginning and behind the
        end, so that windows are centred."""
        window = torch.hamming_window(self.win_length, device=waveforms.device)
        spectrum = torch.stft(
            waveforms.float(),
            self.win_length,
            self.hop_length,
            window=window,
            center=surround,
            pad_mode="constant",
            return_complex=True,
        )
        return spectrum.transpose(1, 2)

    def real_frames(self, lengths: torch.Tensor, num_samples: int) -> torch.Tensor:
        """Which mel frames of a batch are real.

        Args:
            lengths: `(batch_size,)`, samples of each waveform.
            num_samples: The longest of them, to which the others are padded.

        Returns:
            `(batch_size, num_mel_frames)`, bool.
        """
        num_mel_frames = self.num_mel_frames(num_samples)
        if self.normalization == "recipe":
            real = lengths.float() / num_samples * num_mel_frames - 1e-6
        else:
            real = 1 + lengths.div(self.hop_length, rounding_mode="floor")
        return torch.arange(num_mel_frames, device=lengths.device) < real.unsqueeze(-1)

    def _normalize(self, features: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        is_real = frame_mask.unsqueeze(-1)
        if self.normalization == "none":
            return features.masked_fill(~is_real, self.padding_value)
        if self.normalization == "dataset":
            mean = torch.tensor(self.mean, device=features.device)
            std = torch.tensor(self.std, device=features.device)
        else:
            counts = is_real.sum(dim=1, keepdim=True)
            mean = (features * is_real).sum(dim=1, keepdim=True) / counts
            std = (((features - mean) * is_real).square().sum(dim=1, keepdim=True) / counts).sqrt()
        normalized = (features - mean) / std.clamp_min(SMALLEST_STD)
        return normalized if self.normalization == "recipe" else normalized.masked_fill(~is_real, self.padding_value)

    def _fit(
        self,
        features: torch.Tensor,
        frame_mask: torch.Tensor,
        padding: bool | str | PaddingStrategy,
        max_length: int | None,
        truncation: bool,
        pad_to_multiple_of: int | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cuts or pads the mel frames to the length that was asked for."""
        if truncation and max_length is not None:
            features, frame_mask = features[:, :max_length], frame_mask[:, :max_length]
        strategy = PaddingStrategy.LONGEST if padding is True else PaddingStrategy(padding or "do_not_pad")
        if strategy is PaddingStrategy.DO_NOT_PAD and not bool(frame_mask.all()):
            raise ValueError("Utterances of several lengths make no batch without padding: set `padding=True`.")
        target = features.shape[1]
        if strategy is PaddingStrategy.MAX_LENGTH:
            if max_length is None:
                raise ValueError("`padding='max_length'` needs `max_length`, in mel frames.")
            target = max(target, max_length)
        if pad_to_multiple_of is not None and strategy is not PaddingStrategy.DO_NOT_PAD:
            target = math.ceil(target / pad_to_multiple_of) * pad_to_multiple_of
        missing = target - features.shape[1]
        features = F.pad(features, (0, 0, 0, missing), value=self.padding_value)
        return features, F.pad(frame_mask, (0, missing), value=False)

    def _check_sampling_rate(self, sampling_rate: int | None) -> None:
        if sampling_rate is not None and sampling_rate != self.sampling_rate:
            raise ValueError(
                f"The waveforms have {sampling_rate} samples per second, but the model was trained on "
                f"{self.sampling_rate}. Resample them before, for example with `hf_ssl.data.read_audio`."
            )


def _as_waveforms(raw_speech: Waveform | Sequence[Waveform]) -> list[torch.Tensor]:
    """A list of waveforms, float32; a single one may be an array or a list of numbers."""
    is_batch = not isinstance(raw_speech, np.ndarray | torch.Tensor) and (
        len(raw_speech) == 0 or not np.isscalar(raw_speech[0])
    )
    if isinstance(raw_speech, np.ndarray | torch.Tensor) and raw_speech.ndim == 2:
        is_batch = True
    several = list(raw_speech) if is_batch else [raw_speech]  # type: ignore[arg-type]
    if not several:
        raise ValueError("Expected at least one waveform, got none.")
    waveforms = [torch.as_tensor(waveform, dtype=torch.float32) for waveform in several]
    for waveform in waveforms:
        if waveform.dim() != 1 or len(waveform) == 0:
            raise ValueError(
                f"Expected mono waveforms of shape (num_samples,), got shape {tuple(waveform.shape)}. Mix channels "
                "and leave out empty files before."
            )
    return waveforms


def _as_batch(data: dict[str, torch.Tensor], return_tensors: str | TensorType | None) -> BatchFeature:
    if return_tensors is None:
        return BatchFeature({name: tensor.tolist() for name, tensor in data.items()})
    if TensorType(return_tensors) is TensorType.PYTORCH:
        return BatchFeature(data)
    return BatchFeature({name: tensor.cpu().numpy() for name, tensor in data.items()})


def mel_decibels(spectrum: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Loudness of mel bins.

    Args:
        spectrum: `(batch_size, num_mel_frames, num_frequencies)`, complex.
        filters: `(num_frequencies, num_mel_bins)`.

    Returns:
        `(batch_size, num_mel_frames, num_mel_bins)`, in decibels.
    """
    power = torch.view_as_real(spectrum).square().sum(-1)
    return 10 * (power @ filters).clamp_min(SMALLEST_POWER).log10()


def mel_filters(num_mel_bins: int, num_frequencies: int, sampling_rate: int) -> torch.Tensor:
    """Triangular filters, evenly spaced in mel (O'Shaughnessy's formula), from 0 Hz to half the sampling rate.

    Both flanks of a filter are as wide as the distance to the centre below, as in the open-source recipe; usual
    filters reach to the centre above.

    Returns:
        `(num_frequencies, num_mel_bins)`.
    """
    highest = 2595 * math.log10(1 + sampling_rate / 2 / 700)
    mels = torch.linspace(0, highest, num_mel_bins + 2, dtype=torch.float64)
    centres = 700 * (10 ** (mels / 2595) - 1)
    widths = centres[1:-1] - centres[:-2]
    frequencies = torch.linspace(0, sampling_rate / 2, num_frequencies, dtype=torch.float64).unsqueeze(-1)
    return (1 - ((frequencies - centres[1:-1]) / widths).abs()).clamp_min(0).float()


class DatasetStatistics(NamedTuple):
    """Mean and standard deviation of each mel bin, for `normalization="dataset"`, and the mel frames they are of."""

    mean: list[float]
    std: list[float]
    num_mel_frames: int


def dataset_statistics(features: Iterable[torch.Tensor]) -> DatasetStatistics:
    """Statistics of a data set's features, in one pass and in float64.

    Args:
        features: One tensor per utterance, `(num_mel_frames, feature_size)`, made with `normalization="none"`.

    Raises:
        ValueError: There are no mel frames, or an utterance has another number of mel bins.
    """
    count, mean, squares = 0, torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    for utterance in features:
        utterance = utterance.double().cpu()
        if count and utterance.shape[-1] != len(mean):
            raise ValueError(f"Expected {len(mean)} mel bins as in the utterances before, got {utterance.shape[-1]}.")
        if count == 0:
            mean, squares = torch.zeros(2, utterance.shape[-1], dtype=torch.float64)
        # merges two sets of numbers by their means and sums of squares (Chan et al., 1979)
        new_count = len(utterance)
        if new_count == 0:
            continue
        new_mean = utterance.mean(dim=0)
        shift = new_mean - mean
        total = count + new_count
        squares = squares + (utterance - new_mean).square().sum(dim=0) + shift.square() * count * new_count / total
        mean = mean + shift * new_count / total
        count = total
    if count == 0:
        raise ValueError("Expected at least one mel frame to compute statistics of, got none.")
    return DatasetStatistics(mean.tolist(), (squares / count).sqrt().tolist(), count)


__all__ = ["BestRqFeatureExtractor"]
