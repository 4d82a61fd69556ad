# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Convolutions over frames and patches, as in the convolutional positions and the decoders of data2vec 2.0."""

import torch
from torch import nn
from torch.nn import functional as F

from .plain_modules import is_plain


def convolve_frames(conv: nn.Conv1d, frames: torch.Tensor) -> torch.Tensor:
    """What `conv` makes of frames whose channels lie side by side in memory.

    On a CPU torch copies such frames to channels first for a convolution over one dimension, and back for what reads
    its result; over two dimensions it takes them as they are. With groups, where copies are dear beside the products,
    frames are therefore a grid of one row: up to twice as fast (`training_scripts/benchmarks/RESULTS.md`).

    Args:
        conv: A convolution with zero padding.
        frames: `(batch_size, in_channels, num_frames)`, a transposed view.

    Returns:
        `(batch_size, out_channels, num_frames)`, one more with an even kernel.
    """
    is_faster = frames.device.type == "cpu" and not torch.compiler.is_compiling()
    if not is_faster or not is_plain(conv, nn.Conv1d) or conv.groups == 1:
        return conv(frames)
    rows = F.conv2d(
        frames.unsqueeze(2), conv.weight.unsqueeze(2), conv.bias, padding=(0, *conv.padding), groups=conv.groups
    )
    return rows.squeeze(2)


class FrameConv1d(nn.Module):
    """Grouped convolution that keeps the number of frames, then layer norm without parameters, then GELU.

    Args:
        in_channels, out_channels, kernel_size, groups: As in `torch.nn.Conv1d`.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, groups: int):
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups)

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None = None) -> torch.Tensor:
        """
        Args:
            hidden_states: `(batch_size, sequence_length, in_channels)`.
            frame_mask: `(batch_size, sequence_length)`, `True` at real frames. Padded frames are zeroed before the
                convolution, which is what it would see beyond the end of an unpadded sequence.

        Returns:
            `(batch_size, sequence_length, out_channels)`.
        """
        if frame_mask is not None:
            hidden_states = hidden_states * frame_mask.unsqueeze(-1).to(hidden_states.dtype)
        num_frames = hidden_states.shape[1]
        # an even kernel gives one frame too many
        hidden_states = convolve_frames(self.conv, hidden_states.transpose(1, 2))[..., :num_frames].transpose(1, 2)
        return F.gelu(F.layer_norm(hidden_states, hidden_states.shape[-1:]))


class PatchConv2d(nn.Module):
    """Grouped convolution that keeps the grid of patches, then layer norm without parameters, then GELU.

    Args:
        in_channels, out_channels, kernel_size, groups: As in `torch.nn.Conv2d`.
        grid_size: Patches on a side of the grid.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, groups: int, grid_size: int):
        super().__init__()
        self.grid_size = grid_size
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups)

    def forward(self, hidden_states: torch.Tensor, patch_mask: torch.Tensor | None = None) -> torch.Tensor:
        """
        Args:
            hidden_states: `(batch_size, grid_size * grid_size, in_channels)`, patches in row-major order.
            patch_mask: `(batch_size, grid_size * grid_size)`, `True` at real patches. The others are zeroed before the
                convolution.

        Returns:
            `(batch_size, grid_size * grid_size, out_channels)`.
        """
        if patch_mask is not None:
            hidden_states = hidden_states * patch_mask.unsqueeze(-1).to(hidden_states.dtype)
        grid = hidden_states.transpose(1, 2).unflatten(-1, (self.grid_size, self.grid_size))
        # an even kernel gives one row and one column too many
        convolved = self.conv(grid)[..., : self.grid_size, : self.grid_size]
        hidden_states = convolved.flatten(2).transpose(1, 2)
        return F.gelu(F.layer_norm(hidden_states, hidden_states.shape[-1:]))
