# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Votes of nearest neighbours."""

import numpy as np
import pytest

from hf_ssl.evaluation.neighbours import NUM_NEIGHBOURS, neighbour_vote


def split(informative_layer: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(60) % 3
    features = np.random.default_rng(seed).standard_normal((3, 60, 8)) + 10
    features[informative_layer] += 8 * np.eye(8)[labels]
    return features, np.array(["x", "y", "z"])[labels]


def test_finds_the_informative_layer() -> None:
    result = neighbour_vote(split(2, 0), split(2, 1), split(2, 2))
    assert result.best_layer == 2
    assert result.accuracy > 0.9
    assert result.validation == result.by_layer[2] == max(result.by_layer)
    assert result.num_neighbours in NUM_NEIGHBOURS


def test_choice_does_not_look_at_test() -> None:
    result = neighbour_vote(split(1, 0), split(1, 1), split(2, 2))
    assert result.best_layer == 1
    assert result.accuracy < 0.6


def test_one_neighbour_is_the_most_similar_direction() -> None:
    # Centred at 0: the query points where "a" lies, though "b" is nearer.
    train = (np.array([[[10.0, 0.0], [0.0, 1.0], [-10.0, -1.0]]]), np.array(["a", "b", "c"]))
    query = (np.array([[[0.5, 0.1]]]), np.array(["a"]))
    result = neighbour_vote(train, query, query)
    assert result.accuracy == pytest.approx(1.0)
    assert result.num_neighbours == 1
