# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""From files to batches of windows, through the model, and back to the frames of each file."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ..data.audio import AudioReadError, audio_info, read_audio, stream_audio
from .inputs import Failures, InputFile
from .loading import LoadedModel
from .streams import WaveformStatistics, waveform_statistics
from .windows import Window, WindowSize, cut_windows, plan_windows

# `(input_values, attention_mask or None)` -> `(batch_size, num_frames, ...)`
Forward = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]

# Files are sorted by length within groups of so many batches: little padding, and results in order soon.
_BATCHES_PER_GROUP = 32


class Recording(NamedTuple):
    """A file that has been read through once.

    Attributes:
        file (`InputFile`): Where it is.
        statistics (`WaveformStatistics`): Length and loudness.
        num_frames (`int`): Frames that all its windows keep together.
    """

    file: InputFile
    statistics: WaveformStatistics
    num_frames: int


class WindowSamples(NamedTuple):
    """A window of a recording on its way to the model.

    Attributes:
        recording (`Recording`): Whose window.
        window (`Window`): Which.
        samples (`np.ndarray`): Its samples, normalised if the model wants it.
    """

    recording: Recording
    window: Window
    samples: np.ndarray


class EncodedWindow(NamedTuple):
    """What the model made of a window.

    Attributes:
        recording (`Recording`): Whose window. All windows of a recording come one after the other, in order.
        window (`Window`): Which.
        frames (`torch.Tensor`): `(window.num_kept, ...)`, on the CPU.
    """

    recording: Recording
    window: Window
    frames: torch.Tensor


def in_groups(files: Sequence[InputFile], batch_size: int) -> Iterator[list[InputFile]]:
    """Files in groups of which each is encoded, and its results written, before the next."""
    iterator = iter(files)
    while group := list(islice(iterator, batch_size * _BATCHES_PER_GROUP)):
        yield group


def encode_files(
    files: Sequence[InputFile],
    loaded: LoadedModel,
    forward: Forward,
    *,
    size: WindowSize,
    batch_size: int,
    failures: Failures,
    progress: tqdm,
) -> Iterator[EncodedWindow]:
    """Encodes files in batches, the short ones first.

    Waveforms are normalised by the statistics of their whole file, as in one pass over it. Files longer than a window
    are decoded twice, therefore: once for the statistics, once for the windows; never more than a batch is held.

    Args:
        files: What to read.
        loaded: The model.
        forward: What of the model's output is wanted.
        size: Windows of longer recordings.
        batch_size: Windows that the model sees at once.
        failures: Gets the files that cannot be used; the others go on.
        progress: Its total grows by the seconds of these files, and it advances by those that are done.
    """
    by_length = _by_length(files, failures)
    progress.total = (progress.total or 0) + sum(seconds for seconds, _ in by_length)
    prepared = _prepare(by_length, loaded, size, failures)
    seconds_per_frame = loaded.geometry.stride / loaded.feature_extractor.sampling_rate
    for batch in _batches(prepared, batch_size, padding_is_harmless(loaded)):
        frames = _encode(batch, loaded, forward)
        for row, (recording, window, _) in enumerate(batch):
            kept = slice(window.first_kept, window.first_kept + window.num_kept)
            yield EncodedWindow(recording, window, frames[row, kept])
        progress.update(sum(item.window.num_kept for item in batch) * seconds_per_frame)


def padding_is_harmless(loaded: LoadedModel) -> bool:
    """Whether a masked, padded waveform has the same frames as alone; if not, batches hold equal lengths only.

    Group norm over time counts padding, and so do data2vec 2.0's convolutions with `convolve_padding`.
    """
    fields = loaded.model.config.to_dict()
    return fields.get("feat_extract_norm") == "layer" and not fields.get("convolve_padding", False)


def _by_length(files: Sequence[InputFile], failures: Failures) -> list[tuple[float, InputFile]]:
    """Seconds by the header, and the file; shortest first."""
    found = []
    for file in files:
        try:
            info = audio_info(file.path)
        except AudioReadError as error:
            failures.add(file.path, error.reason)
            continue
        found.append((info.num_samples / info.sampling_rate, file))
    return sorted(found, key=lambda entry: entry[0])


def _prepare(
    files: Sequence[tuple[float, InputFile]], loaded: LoadedModel, size: WindowSize, failures: Failures
) -> Iterator[WindowSamples]:
    for seconds, file in files:
        try:
            yield from _windows_of_file(seconds, file, loaded, size)
        except AudioReadError as error:
            failures.add(file.path, error.reason)


def _windows_of_file(
    seconds: float, file: InputFile, loaded: LoadedModel, size: WindowSize
) -> Iterator[WindowSamples]:
    geometry, sampling_rate = loaded.geometry, loaded.feature_extractor.sampling_rate
    statistics, blocks = _open_stream(
        file.path, sampling_rate, seconds * sampling_rate > geometry.num_samples(size.window)
    )
    windows = plan_windows(statistics.num_samples, geometry, size)
    if not windows:
        raise AudioReadError(
            file.path,
            f"too short: {statistics.num_samples} samples at {sampling_rate} Hz, the model needs at least "
            f"{geometry.receptive_field} ({geometry.receptive_field / sampling_rate:.3f} s)",
        )
    recording = Recording(file, statistics, geometry.num_frames(statistics.num_samples))
    for window, samples in zip(windows, cut_windows(blocks, windows), strict=True):
        if loaded.feature_extractor.do_normalize:
            samples = statistics.normalize(samples)
        yield WindowSamples(recording, window, samples)


def _open_stream(path: str, sampling_rate: int, is_long: bool) -> tuple[WaveformStatistics, Iterator[np.ndarray]]:
    if is_long:
        statistics = waveform_statistics(path, sampling_rate=sampling_rate)
        return statistics, stream_audio(path, sampling_rate=sampling_rate)
    waveform = read_audio(path, sampling_rate=sampling_rate)
    mean, variance = float(waveform.mean(dtype=np.float64)), float(waveform.var(dtype=np.float64))
    return WaveformStatistics(len(waveform), mean, variance), iter([waveform])


def _batches(items: Iterator[WindowSamples], batch_size: int, mix_lengths: bool) -> Iterator[list[WindowSamples]]:
    batch: list[WindowSamples] = []
    for item in items:
        differs = bool(batch) and len(item.samples) != len(batch[0].samples)
        if len(batch) == batch_size or (differs and not mix_lengths):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


@torch.inference_mode()
def _encode(batch: Sequence[WindowSamples], loaded: LoadedModel, forward: Forward) -> torch.Tensor:
    """`(batch_size, num_frames, ...)`, on the CPU."""
    lengths = [len(item.samples) for item in batch]
    input_values = torch.zeros(len(batch), max(lengths))
    attention_mask = torch.zeros(len(batch), max(lengths), dtype=torch.long)
    for row, item in enumerate(batch):
        input_values[row, : lengths[row]] = torch.from_numpy(item.samples)
        attention_mask[row, : lengths[row]] = 1
    model = loaded.model
    mask = attention_mask.to(model.device) if min(lengths) < max(lengths) else None
    return forward(input_values.to(model.device, model.dtype), mask).cpu()
