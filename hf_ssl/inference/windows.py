# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Long recordings in windows: which part a model sees at once, and which of its frames count.

Lengths are in steps of the model's input: samples of a waveform, or mel frames. Convolutions without padding make
frame `f` of the steps `f * stride` to `f * stride + receptive_field - 1`. A window that begins at a multiple of the
stride therefore has the same frames as the whole recording: none is lost, doubled or shifted by cutting.
"""

from collections.abc import Iterable, Iterator
from math import inf
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedConfig


class FrameGeometry(NamedTuple):
    """How frames lie on the steps of the input.

    Attributes:
        stride (`int`): Steps from one frame to the next.
        receptive_field (`int`): Steps that one frame sees, and the fewest that make one.
    """

    stride: int
    receptive_field: int

    @classmethod
    def of(cls, config: PreTrainedConfig) -> "FrameGeometry":
        """Geometry of a model that reads waveforms: `conv_kernel` and `conv_stride` of its configuration.

        Raises:
            ValueError: The configuration has none: the model reads something else.
        """
        fields = config.to_dict()
        if not {"conv_kernel", "conv_stride"} <= fields.keys():
            raise ValueError(
                "expected a model that reads waveforms by strided convolutions (data2vec, wav2vec 2.0, HuBERT, WavLM "
                f"and the like), got the model type {config.model_type!r}, which has no `conv_kernel`/`conv_stride`"
            )
        stride, receptive_field = 1, 1
        for kernel, step in zip(fields["conv_kernel"], fields["conv_stride"], strict=True):
            receptive_field += (kernel - 1) * stride
            stride *= step
        return cls(stride, receptive_field)

    def num_frames(self, num_steps: int) -> int:
        """Frames of `num_steps` steps; 0 if they are fewer than the receptive field."""
        return max((num_steps - self.receptive_field) // self.stride + 1, 0)

    def num_steps(self, num_frames: int) -> int:
        """Fewest steps that have `num_frames` frames."""
        return (num_frames - 1) * self.stride + self.receptive_field


class Window(NamedTuple):
    """What a model sees at once, and what is kept of its frames.

    Attributes:
        first_step, num_steps (`int`): The part of the recording.
        first_kept, num_kept (`int`): The frames that are kept, counted within the window.
        is_last (`bool`): Whether it is the recording's last window.
    """

    first_step: int
    num_steps: int
    first_kept: int
    num_kept: int
    is_last: bool


class WindowSize(NamedTuple):
    """Length of windows in frames.

    Attributes:
        window (`int`): Frames that the model sees at once.
        overlap (`int`): Frames at either inner edge of a window that are context only, and dropped.
        alignment (`int`): Windows begin at multiples of it, as `window` and `overlap` are: the chunks that a model
            cuts time into are then those of the whole recording.
    """

    window: int
    overlap: int
    alignment: int = 1

    @classmethod
    def of_seconds(
        cls,
        geometry: FrameGeometry,
        steps_per_second: float,
        window_seconds: float,
        overlap_seconds: float,
        alignment: int = 1,
    ) -> "WindowSize":
        """Rounds seconds to frames, windows down and overlaps up to a multiple of `alignment`.

        Raises:
            ValueError: Nothing of a window would be kept, or a length is negative or not a number.
        """
        if not (0 < window_seconds < inf and overlap_seconds >= 0 and 2 * overlap_seconds < window_seconds):
            raise ValueError(
                "expected a window of some seconds and an overlap of at least 0 and less than half of the "
                "window, got "
                f"window_seconds={window_seconds:g} and overlap_seconds={overlap_seconds:g}"
            )
        window = geometry.num_frames(round(window_seconds * steps_per_second)) // alignment * alignment
        overlap = round(overlap_seconds * steps_per_second / geometry.stride)
        overlap += -overlap % alignment
        if window <= 2 * overlap:
            chunks = "" if alignment == 1 else f" in chunks of {alignment}"
            raise ValueError(
                f"a window of {window_seconds:g} s has {window} frames{chunks}, and {overlap} at either edge are "
                f"dropped (overlap_seconds={overlap_seconds:g}): nothing is left. Make the window longer"
            )
        return cls(window, overlap, alignment)


def plan_windows(num_steps: int, geometry: FrameGeometry, size: WindowSize) -> list[Window]:
    """Windows whose kept frames, one after the other, are all frames of the recording, each once.

    A recording of at most `size.window` frames is one window, with all its steps. The windows of a longer one are all
    equally long, so that they make batches without padding: the last begins earlier rather than being shorter (as far
    as the alignment lets it).

    Returns:
        `list[Window]`: In order; empty if the recording is shorter than the receptive field.
    """
    num_frames = geometry.num_frames(num_steps)
    if num_frames <= size.window:
        return [Window(0, num_steps, 0, num_frames, True)] if num_frames else []
    last_first_frame = num_frames - size.window
    last_first_frame += -last_first_frame % size.alignment
    windows = []
    num_done = 0
    while num_done < num_frames:
        first_frame = min(max(num_done - size.overlap, 0), last_first_frame)
        is_last = first_frame + size.window >= num_frames
        end = num_frames if is_last else first_frame + size.window - size.overlap
        window_steps = geometry.num_steps(min(size.window, num_frames - first_frame))
        windows.append(
            Window(first_frame * geometry.stride, window_steps, num_done - first_frame, end - num_done, is_last)
        )
        num_done = end
    return windows


def cut_windows(blocks: Iterable[np.ndarray], windows: Iterable[Window]) -> Iterator[np.ndarray]:
    """The steps of each window, from a stream of blocks `(num_steps, ...)`; holds no more than a window and a block.

    Raises:
        ValueError: The stream ended before the last window did.
    """
    stream = iter(blocks)
    parts: list[np.ndarray] = []
    num_held, first_held = 0, 0
    for window in windows:
        end = window.first_step + window.num_steps
        while first_held + num_held < end:
            block = next(stream, None)
            if block is None:
                raise ValueError(f"a recording ended {end - first_held - num_held} steps too early")
            parts.append(block)
            num_held += len(block)
        held = np.concatenate(parts)[window.first_step - first_held :]
        parts, num_held, first_held = [held], len(held), window.first_step
        yield held[: window.num_steps]
