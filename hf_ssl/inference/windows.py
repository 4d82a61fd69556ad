# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Long recordings in windows: which samples a model sees at once, and which of its frames count.

Convolutions without padding make frame `f` of the samples `f * stride` to `f * stride + receptive_field - 1`. A window
that begins at a multiple of the stride therefore has the same frames as the whole recording: none is lost, doubled or
shifted by cutting.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedConfig


class FrameGeometry(NamedTuple):
    """How frames lie on samples.

    Attributes:
        stride (`int`): Samples from one frame to the next.
        receptive_field (`int`): Samples that one frame sees.
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

    def num_frames(self, num_samples: int) -> int:
        """Frames of `num_samples` samples; 0 if they are fewer than the receptive field."""
        return max((num_samples - self.receptive_field) // self.stride + 1, 0)

    def num_samples(self, num_frames: int) -> int:
        """Fewest samples that have `num_frames` frames."""
        return (num_frames - 1) * self.stride + self.receptive_field


class Window(NamedTuple):
    """What a model sees at once, and what is kept of its frames.

    Attributes:
        first_sample, num_samples (`int`): The part of the recording.
        first_kept, num_kept (`int`): The frames that are kept, counted within the window.
        is_last (`bool`): Whether it is the recording's last window.
    """

    first_sample: int
    num_samples: int
    first_kept: int
    num_kept: int
    is_last: bool


class WindowSize(NamedTuple):
    """Length of windows in frames.

    Attributes:
        window (`int`): Frames that the model sees at once.
        overlap (`int`): Frames at either inner edge of a window that are context only, and dropped.
    """

    window: int
    overlap: int

    @classmethod
    def of_seconds(
        cls, geometry: FrameGeometry, sampling_rate: int, window_seconds: float, overlap_seconds: float
    ) -> "WindowSize":
        """Rounds seconds to frames.

        Raises:
            ValueError: Nothing of a window would be kept, or a length is negative or not a number.
        """
        if not (window_seconds > 0 and overlap_seconds >= 0 and 2 * overlap_seconds < window_seconds):
            raise ValueError(
                "expected an overlap of at least 0 and less than half of the window, got "
                f"window_seconds={window_seconds:g} and overlap_seconds={overlap_seconds:g}"
            )
        window = geometry.num_frames(round(window_seconds * sampling_rate))
        overlap = round(overlap_seconds * sampling_rate / geometry.stride)
        if window <= 2 * overlap:
            raise ValueError(
                f"a window of {window_seconds:g} s has {window} frames, and {overlap} at either edge are dropped "
                f"(overlap_seconds={overlap_seconds:g}): nothing is left. Make the window longer"
            )
        return cls(window, overlap)


def plan_windows(num_samples: int, geometry: FrameGeometry, size: WindowSize) -> list[Window]:
    """Windows whose kept frames, one after the other, are all frames of the recording, each once.

    A recording of at most `size.window` frames is one window, with all its samples. The windows of a longer one are
    all equally long, so that they make batches without padding: the last begins earlier rather than being shorter.

    Returns:
        `list[Window]`: In order; empty if the recording is shorter than the receptive field.
    """
    num_frames = geometry.num_frames(num_samples)
    if num_frames <= size.window:
        return [Window(0, num_samples, 0, num_frames, True)] if num_frames else []
    window_samples = geometry.num_samples(size.window)
    windows = []
    num_done = 0
    while num_done < num_frames:
        first_frame = min(max(num_done - size.overlap, 0), num_frames - size.window)
        is_last = first_frame + size.window == num_frames
        end = num_frames if is_last else first_frame + size.window - size.overlap
        first_kept = num_done - first_frame
        windows.append(Window(first_frame * geometry.stride, window_samples, first_kept, end - num_done, is_last))
        num_done = end
    return windows


def cut_windows(blocks: Iterable[np.ndarray], windows: Iterable[Window]) -> Iterator[np.ndarray]:
    """The samples of each window, from a stream of blocks; holds no more than a window and a block.

    Raises:
        ValueError: The stream ended before the last window did.
    """
    stream = iter(blocks)
    held, first_held = np.zeros(0, dtype=np.float32), 0
    for window in windows:
        held, first_held = held[window.first_sample - first_held :], window.first_sample
        parts, num_held = [held], len(held)
        while num_held < window.num_samples:
            block = next(stream, None)
            if block is None:
                raise ValueError(f"a recording ended {window.num_samples - num_held} samples too early")
            parts.append(block)
            num_held += len(block)
        held = np.concatenate(parts)
        yield held[: window.num_samples]
