# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Convolutional decoders that predict the targets of masked positions (data2vec 2.0, section 3.2)."""

import itertools
from collections.abc import Iterable

import torch
from torch import nn

from .convolutions import FrameConv1d, PatchConv2d


class DecoderProjection(nn.Linear):
    """Linear layer of its own type, because it starts from other weights than the transformer's."""


class ConvDecoder(nn.Module):
    """Stack of convolutions with residual connections, then a projection to the targets' size.

    Args:
        layers: The convolutions, which take and give `(batch_size, sequence_length, channels)` and take a frame mask.
        hidden_size: Size of the targets.
        decoder_hidden_size: Channels of the convolutions.
        residual: Add each layer's input to its output where the two have the same shape.
        num_projections: Linear layers at the end, with GELU between them.
        projection_ratio: Widening of the first of several projections.
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        hidden_size: int,
        decoder_hidden_size: int,
        residual: bool = True,
        num_projections: int = 1,
        projection_ratio: float = 2.0,
    ):
        super().__init__()
        self.residual = residual
        self.layers = nn.ModuleList(layers)
        widths = [decoder_hidden_size] + [int(decoder_hidden_size * projection_ratio)] * (num_projections - 1)
        self.projections = nn.ModuleList(
            DecoderProjection(size_in, size_out)
            for size_in, size_out in zip(widths, [*widths[1:], hidden_size], strict=True)
        )

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None = None) -> torch.Tensor:
        """
        Args:
            hidden_states: `(batch_size, sequence_length, hidden_size)`: encoded frames, noise where masked.
            frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are real.

        Returns:
            `(batch_size, sequence_length, decoder_hidden_size)`, to be passed to [`~ConvDecoder.project`].
        """
        for layer in self.layers:
            decoded = layer(hidden_states, frame_mask)
            add_residual = self.residual and decoded.shape == hidden_states.shape
            hidden_states = hidden_states + decoded if add_residual else decoded
        return hidden_states

    def project(self, decoded: torch.Tensor) -> torch.Tensor:
        """Maps decoded frames, `(..., decoder_hidden_size)`, to predictions, `(..., hidden_size)`.

        Apart from `forward`, so that only the frames that are predicted need to be projected.
        """
        for projection in self.projections[:-1]:
            decoded = nn.functional.gelu(projection(decoded))
        return self.projections[-1](decoded)


class ConvDecoder1d(ConvDecoder):
    """[`ConvDecoder`] over time.

    Args:
        hidden_size: Size of the encoder's output and of the targets.
        decoder_hidden_size: Channels of the convolutions.
        num_layers: Number of convolutions.
        kernel_size, groups: Of each convolution.
        residual, num_projections, projection_ratio: See [`ConvDecoder`].
    """

    def __init__(
        self,
        hidden_size: int,
        decoder_hidden_size: int,
        num_layers: int,
        kernel_size: int,
        groups: int,
        residual: bool = True,
        num_projections: int = 1,
        projection_ratio: float = 2.0,
    ):
        sizes = [hidden_size] + [decoder_hidden_size] * num_layers
        layers = [FrameConv1d(*channels, kernel_size, groups) for channels in itertools.pairwise(sizes)]
        super().__init__(layers, hidden_size, decoder_hidden_size, residual, num_projections, projection_ratio)


class ConvDecoder2d(ConvDecoder):
    """[`ConvDecoder`] over a square grid of patches.

    Args:
        hidden_size: Size of the encoder's output and of the targets.
        decoder_hidden_size: Channels of the convolutions.
        num_layers: Number of convolutions.
        kernel_size, groups: Of each convolution.
        grid_size: Patches on a side of the grid.
        residual: See [`ConvDecoder`].
    """

    def __init__(
        self,
        hidden_size: int,
        decoder_hidden_size: int,
        num_layers: int,
        kernel_size: int,
        groups: int,
        grid_size: int,
        residual: bool = True,
    ):
        sizes = [hidden_size] + [decoder_hidden_size] * num_layers
        layers = [PatchConv2d(*channels, kernel_size, groups, grid_size) for channels in itertools.pairwise(sizes)]
        super().__init__(layers, hidden_size, decoder_hidden_size, residual)
