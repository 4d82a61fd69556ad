# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What models read: waveforms or log-mel features, made of files of any length.

The input of either kind is a sequence of steps, samples or mel frames. Both are normalised by what is known of the
whole recording, as in one pass over it; long recordings are therefore read once or twice before their windows are.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from transformers import PreTrainedConfig, Wav2Vec2FeatureExtractor

from ..data.audio import read_audio, stream_audio
from ..models.configuration_best_rq import BestRqConfig
from ..models.feature_extraction_best_rq import BestRqFeatureExtractor, dataset_statistics
from ..models.streaming_log_mel import MelNormalization, StreamingLogMel, dataset_normalization
from .streams import WaveformStatistics, waveform_statistics
from .windows import FrameGeometry


class RecordingSteps(NamedTuple):
    """A recording as a model's input.

    Attributes:
        num_samples (`int`): Its length at the model's rate, as decoded; headers may promise more.
        num_steps (`int`): Steps of the input.
        blocks (`Iterator[np.ndarray]`): The steps, `(num_steps of the block, *step_shape)`, normalised.
    """

    num_samples: int
    num_steps: int
    blocks: Iterator[np.ndarray]


class InputMaker(Protocol):
    """Makes a model's input of audio files.

    Attributes:
        sampling_rate (`int`): Of the audio that the model was trained on.
        steps_per_second (`float`): Of the input.
        step_shape (`tuple[int, ...]`): Of one step: `()` for samples, `(num_mel_bins,)` for mel frames.
        geometry (`FrameGeometry`): How the model's frames lie on the steps.
        alignment (`int`): Frames at whose multiples windows must begin.
        min_samples (`int`): Fewest samples of a recording.
        padding_is_harmless (`bool`): Whether a masked, padded input has the same frames as alone; if not, batches hold
            equal lengths only.
    """

    sampling_rate: int
    steps_per_second: float
    step_shape: tuple[int, ...]
    geometry: FrameGeometry
    alignment: int
    min_samples: int
    padding_is_harmless: bool

    def open(self, path: str, *, is_long: bool) -> RecordingSteps:
        """Reads a file; `is_long` if it shall not be held as a whole.

        Raises:
            AudioReadError: It cannot be used; also when reading on in the blocks.
        """


def make_input_maker(feature_extractor: object, config: PreTrainedConfig, name_or_path: str) -> InputMaker:
    """The one that the model's feature extractor stands for.

    Raises:
        ValueError: There is none for it, or it does not fit the model.
    """
    if isinstance(feature_extractor, BestRqFeatureExtractor):
        return MelInputs(feature_extractor, config)
    if isinstance(feature_extractor, Wav2Vec2FeatureExtractor):
        return WaveformInputs(feature_extractor, config)
    raise ValueError(
        "expected a Wav2Vec2FeatureExtractor (waveforms) or a BestRqFeatureExtractor (log-mel) in "
        f"{name_or_path}, got a {type(feature_extractor).__name__}"
    )


class WaveformInputs:
    """Samples, for data2vec, wav2vec 2.0 and the like. A step is a sample."""

    step_shape: tuple[int, ...] = ()
    alignment = 1

    def __init__(self, feature_extractor: Wav2Vec2FeatureExtractor, config: PreTrainedConfig):
        self.feature_extractor = feature_extractor
        self.geometry = FrameGeometry.of(config)
        self.sampling_rate: int = feature_extractor.sampling_rate
        self.steps_per_second: float = self.sampling_rate
        self.min_samples = self.geometry.receptive_field
        # Group norm over time counts padding, and so do data2vec 2.0's convolutions with `convolve_padding`.
        fields = config.to_dict()
        self.padding_is_harmless = fields.get("feat_extract_norm") == "layer" and not fields.get(
            "convolve_padding", False
        )

    def open(self, path: str, *, is_long: bool) -> RecordingSteps:
        if is_long:
            statistics = waveform_statistics(path, sampling_rate=self.sampling_rate)
            blocks = stream_audio(path, sampling_rate=self.sampling_rate)
        else:
            waveform = read_audio(path, sampling_rate=self.sampling_rate)
            mean, variance = float(waveform.mean(dtype=np.float64)), float(waveform.var(dtype=np.float64))
            statistics, blocks = WaveformStatistics(len(waveform), mean, variance), iter([waveform])
        if self.feature_extractor.do_normalize:
            blocks = map(statistics.normalize, blocks)
        return RecordingSteps(statistics.num_samples, statistics.num_samples, blocks)


class MelInputs:
    """Log-mel features, for BEST-RQ. A step is a mel frame, and a frame of the encoder is made of `stack_size` steps.

    A frame's convolutions see some steps before it too; what a window's first frames lack of them belongs to the
    overlap. Models that cut time into chunks get windows that begin where a chunk of the recording does. With
    `config.pad_start` the zeros that fill up the first stack stand before the recording, not before each window.
    """

    def __init__(self, feature_extractor: BestRqFeatureExtractor, config: PreTrainedConfig):
        if not isinstance(config, BestRqConfig) or (
            (config.num_mel_bins, config.hop_length) != (feature_extractor.feature_size, feature_extractor.hop_length)
        ):
            raise ValueError(
                f"the BestRqFeatureExtractor ({feature_extractor.feature_size} mel bins, one mel frame per "
                f"{feature_extractor.hop_length} samples) does not fit the {type(config).__name__} beside it"
            )
        self.feature_extractor = feature_extractor
        self.config = config
        self.geometry = FrameGeometry(config.stack_size, config.stack_size)
        self.sampling_rate: int = feature_extractor.sampling_rate
        self.steps_per_second: float = self.sampling_rate / config.hop_length
        self.step_shape: tuple[int, ...] = (config.num_mel_bins,)
        self.alignment = config.chunk_size or 1
        self.min_samples = (config.stack_size - 1) * config.hop_length
        self.padding_is_harmless = not config.convolve_padding

    def open(self, path: str, *, is_long: bool) -> RecordingSteps:
        if is_long:
            num_samples, normalization = self._normalization(path)
            blocks: Iterator[np.ndarray] = (block.features.numpy() for block in self._stream(path, normalization))
        else:
            waveform = read_audio(path, sampling_rate=self.sampling_rate)
            num_samples = len(waveform)
            blocks = iter([self.feature_extractor(waveform, return_tensors="np")["input_features"][0]])
        return self._filled(num_samples, blocks)

    def _filled(self, num_samples: int, blocks: Iterator[np.ndarray]) -> RecordingSteps:
        num_steps = self.feature_extractor.num_mel_frames(num_samples)
        missing = -num_steps % self.config.stack_size if self.config.pad_start else 0
        return RecordingSteps(num_samples, missing + num_steps, self._with_zeros(missing, blocks))

    def _with_zeros(self, num_zeros: int, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        yield np.zeros((num_zeros, *self.step_shape), dtype=np.float32)
        yield from blocks

    def _normalization(self, path: str) -> tuple[int, MelNormalization]:
        """Samples of a file, and how to normalise it: in a first pass its loudest value, in a second its statistics,
        for these are of values that are cut below the loudest."""
        num_samples, loudest = 0, float("-inf")
        for block in self._stream(path, MelNormalization()):
            num_samples += block.num_samples
            loudest = max(loudest, block.loudest)
        extractor = self.feature_extractor
        floor = None if extractor.top_db is None else loudest - extractor.top_db
        if extractor.normalization in ("dataset", "none"):
            return num_samples, dataset_normalization(extractor, floor)
        blocks = self._stream(path, MelNormalization(floor))
        statistics = dataset_statistics(block.features for block in blocks)
        return num_samples, MelNormalization(floor, torch.tensor(statistics.mean), torch.tensor(statistics.std))

    def _stream(self, path: str, normalization: MelNormalization) -> Iterator["_MelBlock"]:
        log_mel = StreamingLogMel(self.feature_extractor, normalization)
        for samples in stream_audio(path, sampling_rate=self.sampling_rate):
            yield _MelBlock(len(samples), log_mel.add(torch.from_numpy(samples)))
        yield _MelBlock(0, log_mel.finish())


class _MelBlock(NamedTuple):
    """Some samples, and the mel frames that they completed, `(num_mel_frames, feature_size)`."""

    num_samples: int
    features: torch.Tensor

    @property
    def loudest(self) -> float:
        return float(self.features.max()) if len(self.features) else float("-inf")
