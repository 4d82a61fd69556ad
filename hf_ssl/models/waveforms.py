# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""From samples to frames: lengths behind a stack of strided convolutions, and masks of real frames."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from .input_checks import check_attention_mask, check_floating, shortest_right_padded
from .plain_modules import is_run_as_written


class WaveformGeometry(Protocol):
    """What a configuration of a speech model says of its waveform encoder."""

    @property
    def conv_dim(self) -> Sequence[int]:
        """Channels of its convolutions."""
        ...

    @property
    def conv_kernel(self) -> Sequence[int]:
        """Kernel sizes of its convolutions."""
        ...

    @property
    def conv_stride(self) -> Sequence[int]:
        """Strides of its convolutions."""
        ...


def count_frames(num_samples: Any, kernels: Sequence[int], strides: Sequence[int]) -> Any:
    """Frames that convolutions without padding make of `num_samples` samples, a number or a tensor of them; 0 or less
    if they are too few."""
    for kernel, stride in zip(kernels, strides, strict=True):
        num_samples = (num_samples - kernel) // stride + 1
    return num_samples


def count_samples(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples that one frame sees: the shortest input, in samples."""
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def check_waveforms(name: str, waveforms: torch.Tensor) -> None:
    """
    Raises:
        ValueError: These are no mono waveforms of a floating type.
    """
    if waveforms.dim() != 2 or waveforms.shape[0] == 0:
        raise ValueError(
            f"`{name}` must be mono waveforms of shape (batch_size, num_samples), at least one, but have shape "
            f"{tuple(waveforms.shape)}. Mix channels before, for example with `hf_ssl.data.read_audio`."
        )
    check_floating(name, waveforms, "Divide samples of 16 bits by 32768, as `hf_ssl.data.read_audio` does.")


def find_real_frames(
    input_values: torch.Tensor, attention_mask: torch.Tensor | None, config: WaveformGeometry
) -> torch.Tensor | None:
    """Checks waveforms and turns the mask of real samples into one of real frames.

    Args:
        input_values: `(batch_size, num_samples)`.
        attention_mask: `(batch_size, num_samples)`, 1 at real samples; `None` if all are.
        config: Says how many samples make a frame.

    Returns:
        `(batch_size, sequence_length)`, bool; `None` if all frames are real. Compiled and traced code, which must not
        depend on it, makes a mask of every `attention_mask`.

    Raises:
        ValueError: Shapes or types do not fit, padding is not on the right, or an utterance is too short for a frame.
    """
    check_waveforms("input_values", input_values)
    if attention_mask is not None:
        check_attention_mask(attention_mask, tuple(input_values.shape), "input_values")
    num_samples = shortest = input_values.shape[1]
    if attention_mask is not None and not torch.compiler.is_compiling():
        shortest = shortest_right_padded(attention_mask)
    receptive_field = count_samples(config.conv_kernel, config.conv_stride)
    if shortest < receptive_field:
        raise ValueError(
            f"An utterance of {shortest} samples is shorter than the receptive field of the waveform encoder: one "
            f"frame needs at least {receptive_field} samples. Leave it out or pad it with silence."
        )
    num_frames, fewest = (
        count_frames(count, config.conv_kernel, config.conv_stride) for count in (num_samples, shortest)
    )
    if attention_mask is None or (fewest == num_frames and is_run_as_written()):
        return None
    lengths = count_frames(attention_mask.long().sum(-1), config.conv_kernel, config.conv_stride)
    return torch.arange(num_frames, device=attention_mask.device) < lengths.unsqueeze(-1)


def frame_mask_of_output(
    frame_mask: torch.Tensor | None, attention_mask: torch.Tensor | None, features: torch.Tensor
) -> torch.Tensor | None:
    """[`find_real_frames`]'s answer as an output has it, which is there whenever there is an attention mask.

    Args:
        frame_mask: `(batch_size, sequence_length)`; `None` if all frames are real.
        attention_mask: Of the samples, if there is one.
        features: `(batch_size, sequence_length, ...)`.
    """
    if frame_mask is None and attention_mask is not None:
        return torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
    return frame_mask
