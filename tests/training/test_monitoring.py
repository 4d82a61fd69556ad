# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from hf_ssl.training import between_utterance_share, feature_std


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
