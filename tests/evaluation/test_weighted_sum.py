# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Heads over weighted sums of layers find what is there, where it is, and no more."""

import pytest
import torch

from hf_ssl.evaluation.weighted_sum import Clips, classify, recognise, tag


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


def tagged_clips(count: int, seed: int) -> Clips:
    """Layer 1 has channel 2 up for "low" and channel 5 for "odd"; a clip may have both, or neither."""
    generator = torch.Generator().manual_seed(seed)
    features, labels = [], []
    for index in range(count):
        frames = torch.randn(2, 6, 8, generator=generator)
        frames[1, :, 2] += 2.0 * (index % 2)
        frames[1, :, 5] += 2.0 * (index // 2 % 2)
        features.append(frames.half())
        labels.append(("", "low", "odd", "low; odd")[index % 4])
    return Clips(features, labels)


def test_tagger_finds_every_label() -> None:
    result = tag(*[tagged_clips(400, seed) for seed in range(3)], seed=0, num_epochs=60)
    assert result.test > 0.9
    assert result.layer_weights[1] > result.layer_weights[0]


def test_labels_that_training_of_a_tagger_lacks_are_named() -> None:
    train = tagged_clips(8, 0)
    with pytest.raises(ValueError, match="label 'even' does not occur in training, which has low, odd"):
        tag(train, train, Clips(train.features, ["even"] * 8), seed=0, num_epochs=1)


def test_recogniser_counts_words_of_the_same_head() -> None:
    splits = [spelled_clips(count, seed) for seed, count in enumerate((160, 20, 20))]
    result = recognise(*splits, seed=0, num_epochs=25)
    assert result.word_error_rate is not None
    assert result.test <= result.word_error_rate < 0.3  # a word is one transcript here
