# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Quantizers: what turns speech features into discrete codes."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init


class RandomProjectionQuantizer(nn.Module):
    """Frozen quantizer of BEST-RQ (Chiu et al., 2022, section 3.1): the code of a vector is the number of the codebook
    vector that is nearest to its random projection, both normalised to length 1.

    Projection and codebook are buffers: part of a checkpoint, never trained, and in float32 whatever the model is cast
    to, for codes change where they are rounded.

    Args:
        input_size: Size of the vectors.
        num_codebooks: Independent pairs of projection and codebook.
        codebook_size: Vectors per codebook.
        codebook_dim: Size of a projected vector.
        seed: Determines projections and codebooks, whatever else was drawn before and on whatever device.
    """

    projection: torch.Tensor
    codebook: torch.Tensor

    def __init__(self, input_size: int, num_codebooks: int, codebook_size: int, codebook_dim: int, seed: int = 0):
        super().__init__()
        self.seed = seed
        self.register_buffer("projection", torch.empty(num_codebooks, input_size, codebook_dim))
        self.register_buffer("codebook", torch.empty(num_codebooks, codebook_size, codebook_dim))
        projection, codebook = self._draw()
        self.projection.copy_(projection)
        self.codebook.copy_(codebook)

    def init_weights(self) -> None:
        """The same for a model that was made without memory. For `_init_weights` of a model."""
        projection, codebook = self._draw()
        init.copy_(self.projection, projection)
        init.copy_(self.codebook, codebook)

    def _draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Xavier-uniform projections, and codebooks of normal vectors of length 1; on the CPU."""
        generator = torch.Generator("cpu").manual_seed(self.seed)
        bound = (6 / sum(self.projection.shape[1:])) ** 0.5
        projection = torch.rand(self.projection.shape, generator=generator, device="cpu")
        codebook = torch.randn(self.codebook.shape, generator=generator, device="cpu")
        return (2 * projection - 1) * bound, F.normalize(codebook, dim=-1)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
        """Follows the model to other devices, but not to other data types."""

        def move_only(tensor: torch.Tensor) -> torch.Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(move_only, recurse)

    @torch.no_grad()
    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """`(..., input_size)` -> codes `(..., num_codebooks)`, long.

        Among vectors of length 1 the nearest is the one with the largest product, which the projection's own length
        does not change; so one matrix product replaces the distances.
        """
        with torch.autocast(vectors.device.type, enabled=False):
            flat = vectors.reshape(-1, vectors.shape[-1]).float()
            projected = torch.matmul(flat, self.projection)
            codes = torch.bmm(projected, self.codebook.transpose(1, 2)).argmax(dim=-1)
        return codes.t().reshape(*vectors.shape[:-1], -1)
