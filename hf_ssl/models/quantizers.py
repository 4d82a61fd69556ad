# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Quantizers: what turns speech features into discrete codes."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from .size_checks import check_drawn_numbers


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
        check_drawn_numbers("codebooks", num_codebooks * (input_size + codebook_size) * codebook_dim)
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


class CodeScores(nn.Linear):
    """Linear layer of its own type, because the quantizer's scores start from normal weights of variance 1."""


class QuantizedVectors(NamedTuple):
    """What [`GumbelVectorQuantizer`] makes of vectors.

    `vectors`, `(batch_size, num_vectors, codevector_size)`: the chosen entries of all groups, side by side.
    `codes`, `(batch_size, num_vectors, num_groups)`: which ones.
    `probability_perplexity`, `code_perplexity`: scalars, summed over groups: of the mean of the softmax, with a
        gradient, and of the hard choices without noise.
    """

    vectors: torch.Tensor
    codes: torch.Tensor
    probability_perplexity: torch.Tensor
    code_perplexity: torch.Tensor


class GumbelVectorQuantizer(nn.Module):
    """Product quantizer with a straight-through Gumbel softmax in training, and the best code otherwise (wav2vec 2.0,
    section 2).

    Unlike wav2vec 2.0's code, entries are summed by a matrix product, not by an outer product of all probabilities
    with all entries.

    Args:
        input_size: Size of the vectors.
        num_groups: Codebooks; an output is one entry of each.
        codes_per_group: Entries of a codebook.
        codevector_size: Size of an output, a multiple of `num_groups`.
        depth: Linear layers that score the codes, with GELU between them.
        factor: How much wider than the input the inner ones are.
    """

    def __init__(
        self,
        input_size: int,
        num_groups: int,
        codes_per_group: int,
        codevector_size: int,
        depth: int = 1,
        factor: int = 3,
    ):
        super().__init__()
        inner_size = input_size * factor
        self.hidden_layers = nn.ModuleList(
            nn.Linear(input_size if index == 0 else inner_size, inner_size) for index in range(depth - 1)
        )
        score_type = CodeScores if depth == 1 else nn.Linear
        self.scores = score_type(input_size if depth == 1 else inner_size, num_groups * codes_per_group)
        self.codevectors = nn.Parameter(torch.empty(num_groups, codes_per_group, codevector_size // num_groups))

    def forward(
        self,
        vectors: torch.Tensor,
        is_real: torch.Tensor,
        temperature: torch.Tensor | float = 1.0,
        gumbel_noise: torch.Tensor | None = None,
    ) -> QuantizedVectors:
        """
        Args:
            vectors: `(batch_size, num_vectors, input_size)`.
            is_real: `(batch_size, num_vectors)`, bool: which of them the perplexities are of.
            temperature: Of the Gumbel softmax.
            gumbel_noise: `(batch_size, num_vectors, num_groups, codes_per_group)`; drawn in training if absent.
        """
        for layer in self.hidden_layers:
            vectors = F.gelu(layer(vectors))
        logits = self.scores(vectors).unflatten(-1, self.codevectors.shape[:2]).float()
        best = F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
        choices = self._choose(logits, temperature, gumbel_noise) if self.training else best
        chosen = torch.einsum("btgv,gvd->btgd", choices.to(self.codevectors.dtype), self.codevectors)
        return QuantizedVectors(
            vectors=chosen.flatten(2),
            codes=choices.argmax(dim=-1),
            probability_perplexity=_perplexity(logits.softmax(dim=-1), is_real),
            code_perplexity=_perplexity(best, is_real).detach(),
        )

    def _choose(
        self, logits: torch.Tensor, temperature: torch.Tensor | float, gumbel_noise: torch.Tensor | None
    ) -> torch.Tensor:
        """One code per group, hard, with the gradient of the softmax."""
        if gumbel_noise is None:
            gumbel_noise = -torch.empty_like(logits).exponential_().log()
        soft = ((logits + gumbel_noise) / temperature).softmax(dim=-1)
        hard = F.one_hot(soft.argmax(dim=-1), soft.shape[-1]).to(soft.dtype)
        return hard - soft.detach() + soft


def _perplexity(probabilities: torch.Tensor, is_real: torch.Tensor) -> torch.Tensor:
    """Perplexity of the mean over real vectors, `(batch_size, num_vectors, num_groups, codes_per_group)`, summed over
    groups."""
    weights = is_real.view(*is_real.shape, 1, 1).to(probabilities.dtype)
    mean = (probabilities * weights).sum(dim=(0, 1)) / weights.sum().clamp_min(1)
    return (-(mean * (mean + 1e-7).log()).sum(dim=-1)).exp().sum()
