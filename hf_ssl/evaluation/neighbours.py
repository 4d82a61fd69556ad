# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What do frozen features know without any training? A vote of the nearest neighbours."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

NUM_NEIGHBOURS = (1, 5, 20)

Split: TypeAlias = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class NeighbourResult:
    """Accuracies of a vote.

    Attributes:
        accuracy (`float`): On test.
        validation (`float`): On validation, by which layer and number were chosen.
        best_layer (`int`), num_neighbours (`int`): What was chosen.
        by_layer (`tuple[float, ...]`): Best accuracy of every layer on the VALIDATION split.
    """

    accuracy: float
    validation: float
    best_layer: int
    num_neighbours: int
    by_layer: tuple[float, ...]


def neighbour_vote(train: Split, validation: Split, test: Split) -> NeighbourResult:
    """Lets the most similar training items (cosine, after centring) vote.

    Of layers and numbers of neighbours that do equally well on validation, the lowest layer and the smallest number
    are taken.

    Args:
        train, validation, test: Features `(num_layers, num_items, feature_size)` and labels `(num_items,)`.
    """
    scores = np.array(
        [
            [np.mean(_vote(train, validation[0], layer, count) == validation[1]) for count in NUM_NEIGHBOURS]
            for layer in range(len(train[0]))
        ]
    )
    layer, choice = (int(index) for index in np.unravel_index(scores.argmax(), scores.shape))
    return NeighbourResult(
        accuracy=float(np.mean(_vote(train, test[0], layer, NUM_NEIGHBOURS[choice]) == test[1])),
        validation=float(scores.max()),
        best_layer=layer,
        num_neighbours=NUM_NEIGHBOURS[choice],
        by_layer=tuple(scores.max(axis=1).tolist()),
    )


def _vote(train: Split, queries: np.ndarray, layer: int, count: int) -> np.ndarray:
    centre = train[0][layer].mean(axis=0)
    keys, queries = (_unit(features[layer] - centre) for features in (train[0], queries))
    nearest = np.argsort(-(queries @ keys.T), axis=1, kind="stable")[:, :count]
    classes, numbers = np.unique(train[1], return_inverse=True)
    votes = np.stack([np.bincount(numbers[row], minlength=len(classes)) for row in nearest])
    return classes[votes.argmax(axis=1)]


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
