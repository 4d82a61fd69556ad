# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The random-projection quantizer and the Gumbel vector quantizer."""

import pytest
import torch
from torch.nn import functional as F

from hf_ssl.models.quantizers import GumbelVectorQuantizer, RandomProjectionQuantizer


def brute_force(quantizer: RandomProjectionQuantizer, vectors: torch.Tensor) -> torch.Tensor:
    """Codes by the definition: the smallest distance between vectors of length 1, in float64."""
    codes = []
    for projection, codebook in zip(quantizer.projection.double(), quantizer.codebook.double(), strict=True):
        projected = F.normalize(vectors.double() @ projection, dim=-1)
        codes.append((projected.unsqueeze(-2) - codebook).norm(dim=-1).argmin(dim=-1))
    return torch.stack(codes, dim=-1)


@pytest.mark.parametrize("num_codebooks", [1, 3])
def test_code_is_the_nearest_codebook_vector(num_codebooks: int) -> None:
    quantizer = RandomProjectionQuantizer(20, num_codebooks, 50, 6)
    vectors = torch.randn(2, 30, 20)
    codes = quantizer(vectors)
    assert codes.shape == (2, 30, num_codebooks)
    assert codes.dtype == torch.long
    assert torch.equal(codes, brute_force(quantizer, vectors))
    assert len(codes.unique()) > 20


def test_several_codebooks_are_independent() -> None:
    quantizer = RandomProjectionQuantizer(20, 2, 50, 6)
    first, second = quantizer(torch.randn(200, 20)).unbind(-1)
    assert (first == second).float().mean() < 0.2


def test_starts_as_published() -> None:
    """Section 3.1 of the paper: Xavier's projection, normal codebook vectors of length 1."""
    quantizer = RandomProjectionQuantizer(320, 1, 8192, 16)
    bound = (6 / (320 + 16)) ** 0.5
    assert quantizer.projection.abs().max() <= bound
    assert quantizer.projection.abs().max() > 0.99 * bound
    assert quantizer.projection.std() == pytest.approx(bound / 3**0.5, rel=0.02)
    torch.testing.assert_close(quantizer.codebook.norm(dim=-1), torch.ones(1, 8192))
    assert quantizer.codebook.mean(dim=1).abs().max() < 0.02


def test_seed_determines_it() -> None:
    first = RandomProjectionQuantizer(20, 1, 50, 6, seed=3)
    torch.manual_seed(1)
    torch.randn(5)
    again, other = RandomProjectionQuantizer(20, 1, 50, 6, seed=3), RandomProjectionQuantizer(20, 1, 50, 6, seed=4)
    assert torch.equal(first.codebook, again.codebook)
    assert torch.equal(first.projection, again.projection)
    assert not torch.equal(first.codebook, other.codebook)
    assert not torch.equal(first.projection, other.projection)


def test_does_not_disturb_other_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    RandomProjectionQuantizer(20, 1, 50, 6)
    assert torch.equal(torch.rand(3), expected)


def test_without_memory_it_is_filled_later() -> None:
    expected = RandomProjectionQuantizer(20, 1, 50, 6)
    with torch.device("meta"):
        quantizer = RandomProjectionQuantizer(20, 1, 50, 6)
    assert quantizer.codebook.is_meta
    quantizer.to_empty(device="cpu").init_weights()
    assert torch.equal(quantizer.codebook, expected.codebook)
    assert torch.equal(quantizer.projection, expected.projection)


@pytest.mark.parametrize("cast", ["half", "bfloat16", "to"])
def test_stays_in_float32(cast: str) -> None:
    quantizer = RandomProjectionQuantizer(20, 1, 50, 6)
    before = quantizer.codebook.clone()
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), quantizer)
    model.to(torch.float16) if cast == "to" else getattr(model, cast)()
    assert model[0].weight.dtype != torch.float32
    assert torch.equal(quantizer.codebook, before)
    assert quantizer.projection.dtype == torch.float32


def test_computes_in_float32_under_autocast() -> None:
    quantizer = RandomProjectionQuantizer(320, 1, 8192, 16)
    vectors = torch.randn(200, 320)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        codes = quantizer(vectors)
    assert torch.equal(codes, quantizer(vectors))


def test_is_not_trained_and_is_saved() -> None:
    quantizer = RandomProjectionQuantizer(20, 1, 50, 6)
    assert not list(quantizer.parameters())
    assert set(quantizer.state_dict()) == {"projection", "codebook"}
    assert not quantizer(torch.randn(3, 20, requires_grad=True)).requires_grad


def test_length_of_a_vector_does_not_matter() -> None:
    quantizer = RandomProjectionQuantizer(20, 1, 50, 6)
    vectors = torch.randn(40, 20)
    assert torch.equal(quantizer(vectors), quantizer(37 * vectors))


def test_zeros_have_the_first_code() -> None:
    """As in the original, where all codes are equally near."""
    assert RandomProjectionQuantizer(20, 1, 50, 6)(torch.zeros(1, 20)).item() == 0


def make_gumbel_quantizer(**options) -> GumbelVectorQuantizer:
    torch.manual_seed(0)
    quantizer = GumbelVectorQuantizer(6, num_groups=2, codes_per_group=5, codevector_size=8, **options)
    torch.nn.init.normal_(quantizer.codevectors)
    return quantizer


@pytest.mark.parametrize("depth", [1, 3])
def test_evaluation_takes_the_best_code_of_each_group(depth: int) -> None:
    quantizer = make_gumbel_quantizer(depth=depth).eval()
    vectors = torch.randn(2, 4, 6)
    quantized = quantizer(vectors, torch.ones(2, 4, dtype=torch.bool))
    hidden = vectors
    for layer in quantizer.hidden_layers:
        hidden = F.gelu(layer(hidden))
    assert len(quantizer.hidden_layers) == depth - 1
    best = quantizer.scores(hidden).view(2, 4, 2, 5).argmax(-1)
    assert torch.equal(quantized.codes, best)
    expected = torch.cat([quantizer.codevectors[0][best[..., 0]], quantizer.codevectors[1][best[..., 1]]], dim=-1)
    torch.testing.assert_close(quantized.vectors, expected)


def test_training_takes_the_code_that_is_best_with_noise_and_is_differentiable() -> None:
    quantizer = make_gumbel_quantizer().train()
    vectors, noise = torch.randn(1, 3, 6, requires_grad=True), torch.zeros(1, 3, 2, 5)
    noise[..., 3] = 100.0
    quantized = quantizer(vectors, torch.ones(1, 3, dtype=torch.bool), temperature=2.0, gumbel_noise=noise)
    assert (quantized.codes == 3).all()
    torch.testing.assert_close(quantized.vectors[0, 0], quantizer.codevectors[:, 3].flatten())
    drawn = quantizer(vectors, torch.ones(1, 3, dtype=torch.bool), temperature=2.0)
    drawn.vectors.square().sum().backward()
    assert vectors.grad.abs().sum() > 0
    assert quantizer.scores.weight.grad.abs().sum() > 0


def test_noise_is_gumbel() -> None:
    """Codes are then drawn in proportion to the softmax of their scores."""
    quantizer = make_gumbel_quantizer().train()
    vectors = torch.randn(1, 1, 6).expand(1, 20_000, 6)
    codes = quantizer(vectors, torch.ones(1, 20_000, dtype=torch.bool)).codes[0, :, 0]
    expected = quantizer.scores(vectors[0, 0])[:5].softmax(-1)
    torch.testing.assert_close(torch.bincount(codes, minlength=5) / 20_000, expected, atol=0.02, rtol=0)


def test_perplexities_are_of_real_vectors_alone() -> None:
    quantizer = make_gumbel_quantizer().eval()
    vectors, is_real = torch.randn(2, 5, 6), torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    padded = quantizer(vectors, is_real)
    alone = quantizer(vectors[is_real].unsqueeze(0), torch.ones(1, 7, dtype=torch.bool))
    torch.testing.assert_close(padded.probability_perplexity, alone.probability_perplexity)
    torch.testing.assert_close(padded.code_perplexity, alone.code_perplexity)
    assert 2 <= padded.code_perplexity <= 10


def test_perplexity_of_equal_use_is_the_number_of_codes() -> None:
    quantizer = make_gumbel_quantizer().eval()
    torch.nn.init.zeros_(quantizer.scores.weight)
    torch.nn.init.zeros_(quantizer.scores.bias)
    quantized = quantizer(torch.randn(1, 3, 6), torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(quantized.probability_perplexity, torch.tensor(10.0), rtol=1e-4, atol=0)
    torch.testing.assert_close(quantized.code_perplexity, torch.tensor(2.0), rtol=1e-4, atol=0)
