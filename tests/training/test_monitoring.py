# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import math

import pytest
import torch

from hf_ssl.training import between_utterance_share, feature_std
from hf_ssl.training.monitoring import (
    code_counts,
    codebook_perplexity,
    codebook_usage,
    effective_rank,
    masked_accuracy,
    sample_frames,
    target_entropy,
)


def test_feature_std():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(5000, 8, generator=generator)
    assert feature_std(3 * features + 7).item() == pytest.approx(3, rel=0.02)
    assert feature_std(torch.ones(10, 4)).item() == pytest.approx(1e-3, rel=1e-3)


def test_share_tells_content_from_position():
    generator = torch.Generator().manual_seed(0)
    content = torch.randn(6, 50, 16, generator=generator)
    position = torch.randn(1, 50, 16, generator=generator).expand(6, -1, -1)
    assert between_utterance_share(content).item() == pytest.approx(1, abs=0.05)
    assert between_utterance_share(position).item() == pytest.approx(0, abs=1e-6)
    assert between_utterance_share(content + position).item() == pytest.approx(0.5, abs=0.05)


def test_share_ignores_padding():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(3, 20, 4, generator=generator)
    frame_mask = torch.arange(20) < torch.tensor([[20], [15], [12]])
    spoiled = torch.where(frame_mask.unsqueeze(-1), targets, 1e3)
    assert torch.equal(between_utterance_share(spoiled, frame_mask), between_utterance_share(targets, frame_mask))


def test_one_utterance_has_no_share():
    assert between_utterance_share(torch.randn(1, 10, 4)).isnan()


def test_masked_accuracy() -> None:
    logits = torch.zeros(4, 1, 5)
    logits[torch.arange(4), 0, torch.tensor([0, 1, 2, 3])] = 1
    assert masked_accuracy(logits, torch.tensor([[0], [1], [2], [4]])).item() == 0.75
    assert masked_accuracy(logits[:0], torch.zeros(0, 1, dtype=torch.long)).isnan()


def test_figures_of_codebooks() -> None:
    even = torch.arange(8).repeat(3).unsqueeze(-1)
    assert codebook_usage(code_counts(even, 16)).item() == 0.5
    assert target_entropy(code_counts(even, 16)).item() == pytest.approx(math.log(8))
    assert codebook_perplexity(code_counts(even, 16)).item() == pytest.approx(8)
    assert codebook_perplexity(code_counts(torch.full((9, 1), 3), 16)).item() == 1  # collapsed
    uneven = torch.tensor([0, 0, 0, 1]).unsqueeze(-1)
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert target_entropy(code_counts(uneven, 2)).item() == pytest.approx(entropy)


def test_figures_are_averaged_over_codebooks() -> None:
    codes = torch.stack([torch.arange(4), torch.zeros(4, dtype=torch.long)], dim=-1)
    assert codebook_usage(code_counts(codes, 4)).item() == pytest.approx((1 + 0.25) / 2)
    assert target_entropy(code_counts(codes, 4)).item() == pytest.approx(math.log(4) / 2)


def test_counts_add_up_over_batches() -> None:
    codes = torch.tensor([[0, 2], [0, 1], [3, 1]])
    assert code_counts(codes, 4).tolist() == [[2, 0, 0, 1], [0, 2, 1, 0]]
    assert torch.equal(code_counts(codes[:1], 4) + code_counts(codes[1:], 4), code_counts(codes, 4))


def test_counts_are_of_real_vectors() -> None:
    codes = torch.tensor([[[0, 2], [0, 1]], [[3, 1], [3, 3]]])
    is_real = torch.tensor([[True, True], [True, False]])
    assert torch.equal(code_counts(codes, 4, is_real), code_counts(codes[is_real], 4))
    assert torch.equal(code_counts(codes, 4), code_counts(codes.flatten(0, 1), 4))


def test_effective_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q
    assert effective_rank(directions[:5].repeat(10, 1)).item() == pytest.approx(5, rel=1e-4)
    assert effective_rank(torch.randn(2000, 16, generator=generator)).item() == pytest.approx(16, rel=0.01)
    assert effective_rank(torch.randn(2000, 16, generator=generator) + 100).item() < 2  # nearly the same everywhere
    assert effective_rank(torch.randn(300, 1, generator=generator) * directions[:1]).item() == pytest.approx(
        1, abs=1e-3
    )


def test_rounding_is_no_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(1000, 1, generator=generator) * torch.randn(1, 768, generator=generator)
    assert effective_rank(vectors).item() == pytest.approx(1, abs=1e-3)
    assert effective_rank(vectors.bfloat16()).item() < 2


def test_effective_rank_of_nothing() -> None:
    assert effective_rank(torch.zeros(20, 4)).item() == 0
    assert effective_rank(torch.randn(15, 4)).isnan()
    assert effective_rank(torch.full((20, 4), float("inf"))).isnan()


def test_sampled_frames_keep_their_mask() -> None:
    features = torch.arange(60).view(3, 20, 1).float()
    frame_mask = torch.arange(20) < torch.tensor([[20], [15], [12]])
    frames, is_real = sample_frames(features, frame_mask, most=20)
    assert frames.flatten().tolist() == list(range(0, 60, 3))
    assert torch.equal(is_real, frame_mask.flatten()[::3])
    frames, is_real = sample_frames(features, None)
    assert len(frames) == 60
    assert is_real.all()
