# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""From files to batches of windows, through the model, and back to the frames of each file."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ..data.audio import AudioReadError, audio_info
from .inputs import Failures, InputFile
from .loading import LoadedModel
from .windows import Window, WindowSize, cut_windows, plan_windows

# `(inputs, attention_mask or None)` -> `(batch_size, num_frames, ...)`
Forward = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]

# Files are sorted by length within groups of so many batches: little padding, and results in order soon.
_BATCHES_PER_GROUP = 32


class Recording(NamedTuple):
    """A file that has been read through once.

    Attributes:
        file (`InputFile`): Where it is.
        num_samples (`int`): Its length at the model's rate.
        num_frames (`int`): Frames that all its windows keep together.
    """

    file: InputFile
    num_samples: int
    num_frames: int


class WindowSteps(NamedTuple):
    """A window of a recording on its way to the model.

    Attributes:
        recording (`Recording`): Whose window.
        window (`Window`): Which.
        steps (`np.ndarray`): Its samples or mel frames, `(num_steps, *step_shape)`, normalised as the model wants it.
    """

    recording: Recording
    window: Window
    steps: np.ndarray


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

    Inputs are normalised by the statistics of their whole file, as in one pass over it. Files longer than a window are
    decoded several times, therefore: for the statistics, and for the windows; never more than a batch is held.

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
    for batch in _batches(prepared, batch_size, loaded.inputs.padding_is_harmless):
        frames = _encode(batch, loaded, forward)
        for row, (recording, window, _) in enumerate(batch):
            kept = slice(window.first_kept, window.first_kept + window.num_kept)
            yield EncodedWindow(recording, window, frames[row, kept])
        progress.update(sum(item.window.num_kept for item in batch) * loaded.seconds_per_frame)


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
) -> Iterator[WindowSteps]:
    for seconds, file in files:
        try:
            yield from _windows_of_file(seconds, file, loaded, size)
        except AudioReadError as error:
            failures.add(file.path, error.reason)


def _windows_of_file(seconds: float, file: InputFile, loaded: LoadedModel, size: WindowSize) -> Iterator[WindowSteps]:
    inputs = loaded.inputs
    is_long = seconds * inputs.steps_per_second > inputs.geometry.num_steps(size.window)
    num_samples, num_steps, blocks = inputs.open(file.path, is_long=is_long)
    if num_samples < inputs.min_samples:
        raise AudioReadError(
            file.path,
            f"too short: {num_samples} samples at {inputs.sampling_rate} Hz, the model needs at least "
            f"{inputs.min_samples} ({inputs.min_samples / inputs.sampling_rate:.3f} s)",
        )
    recording = Recording(file, num_samples, inputs.geometry.num_frames(num_steps))
    windows = plan_windows(num_steps, inputs.geometry, size)
    for window, steps in zip(windows, cut_windows(blocks, windows), strict=True):
        yield WindowSteps(recording, window, steps)


def _batches(items: Iterator[WindowSteps], batch_size: int, mix_lengths: bool) -> Iterator[list[WindowSteps]]:
    batch: list[WindowSteps] = []
    for item in items:
        differs = bool(batch) and len(item.steps) != len(batch[0].steps)
        if len(batch) == batch_size or (differs and not mix_lengths):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


@torch.inference_mode()
def _encode(batch: Sequence[WindowSteps], loaded: LoadedModel, forward: Forward) -> torch.Tensor:
    """`(batch_size, num_frames, ...)`, on the CPU."""
    lengths = [len(item.steps) for item in batch]
    inputs = torch.zeros(len(batch), max(lengths), *loaded.inputs.step_shape)
    attention_mask = torch.zeros(len(batch), max(lengths), dtype=torch.long)
    for row, item in enumerate(batch):
        inputs[row, : lengths[row]] = torch.from_numpy(item.steps)
        attention_mask[row, : lengths[row]] = 1
    model = loaded.model
    mask = attention_mask.to(model.device) if min(lengths) < max(lengths) else None
    return forward(inputs.to(model.device, model.dtype), mask).cpu()
