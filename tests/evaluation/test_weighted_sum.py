# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Heads over weighted sums of layers find what is there, where it is, and no more."""

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from hf_ssl import BestRqFeatureExtractor, BestRqModel
from hf_ssl.evaluation.layer_features import extract_layer_features, log_mel_frames
from hf_ssl.evaluation.weighted_sum import Clips, classify, recognise
from hf_ssl.training.model_sizes import best_rq_config


def labelled_clips(count: int, seed: int, informative_layer: int | None, num_layers: int = 3) -> Clips:
    """Noise in all layers; one of them also has the class, faintly, as the sign of a channel."""
    generator = torch.Generator().manual_seed(seed)
    features, labels = [], []
    for index in range(count):
        frames = torch.randn(num_layers, 5 + index % 4, 8, generator=generator)
        if informative_layer is not None:
            frames[informative_layer, :, 3] += 0.5 if index % 2 else -0.5
        features.append(frames.half())
        labels.append("high" if index % 2 else "low")
    return Clips(features, labels)


def test_classifier_finds_the_layer_that_knows() -> None:
    splits = [labelled_clips(100, seed, informative_layer=1) for seed in range(3)]
    result = classify(*splits, seed=0, num_epochs=100)
    assert result.test > 0.7
    assert result.validation > 0.7
    assert result.layer_weights[1] > 0.6
    assert sum(result.layer_weights) == pytest.approx(1)


def test_classifier_of_noise_stays_near_chance() -> None:
    splits = [labelled_clips(200, seed, informative_layer=None) for seed in range(3)]
    assert 0.35 < classify(*splits, seed=0, num_epochs=5).test < 0.65


def test_labels_that_training_lacks_are_errors() -> None:
    train, validation, test = (labelled_clips(20, seed, informative_layer=0) for seed in range(3))
    result = classify(train, validation, Clips(test.features, ["other"] * 20), seed=0, num_epochs=5)
    assert result.test == 0.0


def spelled_clips(count: int, seed: int) -> Clips:
    """Every letter is two frames of its own pattern, then two of silence."""
    generator = torch.Generator().manual_seed(seed)
    features, labels = [], []
    for _ in range(count):
        letters = torch.randint(3, (int(torch.randint(2, 5, (), generator=generator)),), generator=generator)
        frames = torch.zeros(2, 4 * len(letters), 6)
        for position, letter in enumerate(letters.tolist()):
            frames[1, 4 * position : 4 * position + 2, letter] = 3.0
        features.append((frames + 0.1 * torch.randn(frames.shape, generator=generator)).half())
        labels.append("".join("abc"[letter] for letter in letters))
    return Clips(features, labels)


def test_recogniser_learns_to_spell() -> None:
    splits = [spelled_clips(count, seed) for seed, count in enumerate((160, 20, 20))]
    result = recognise(*splits, seed=0, num_epochs=25)
    assert result.test < 0.05
    assert result.layer_weights[1] > result.layer_weights[0]


def test_same_seed_gives_same_result() -> None:
    splits = [spelled_clips(16, seed) for seed in range(3)]
    assert recognise(*splits, seed=3, num_epochs=2) == recognise(*splits, seed=3, num_epochs=2)


def test_layers_of_any_family() -> None:
    waveforms = [np.random.default_rng(0).standard_normal(length, dtype=np.float32) for length in (8000, 12000)]
    config = best_rq_config("tiny")
    clips = extract_layer_features(BestRqModel(config), BestRqFeatureExtractor(), waveforms)
    num_layers = config.num_hidden_layers + 1
    assert [clip.shape for clip in clips] == [(num_layers, 12, 32), (num_layers, 19, 32)]
    model = Wav2Vec2Model(
        Wav2Vec2Config(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=[8] * 7
        )
    )
    clips = extract_layer_features(model, Wav2Vec2FeatureExtractor(), waveforms)
    assert [clip.shape for clip in clips] == [(2, 24, 16), (2, 37, 16)]
    frames = clips[0].float()
    torch.testing.assert_close(frames.mean(-1), torch.zeros(2, 24), atol=1e-3, rtol=0)
    torch.testing.assert_close(frames.std(-1, correction=0), torch.ones(2, 24), atol=1e-2, rtol=0)


def test_log_mel_frames_are_a_single_layer() -> None:
    clips = log_mel_frames([np.random.default_rng(0).standard_normal(16000, dtype=np.float32)])
    assert clips[0].shape == (1, 50, 160)
