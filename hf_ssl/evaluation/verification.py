# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Speaker verification: do two utterances come from one speaker?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MOST_TRIALS = 100_000


class Trials(NamedTuple):
    """Pairs of utterances to compare, by their rows, and whether their speaker is the same; all `(num_trials,)`."""

    first: np.ndarray
    second: np.ndarray
    is_same: np.ndarray


@dataclass(frozen=True)
class VerificationResult:
    """Equal error rates.

    Attributes:
        test (`float`): On the test's trials.
        validation (`float`): On those of validation, by which the layer was chosen.
        best_layer (`int`): What was chosen.
        by_layer (`tuple[float, ...]`): Of every layer on VALIDATION.
        num_trials (`int`): In test.
    """

    test: float
    validation: float
    best_layer: int
    by_layer: tuple[float, ...]
    num_trials: int


def verify(
    train: np.ndarray,
    validation: tuple[np.ndarray, Sequence[str]],
    test: tuple[np.ndarray, Sequence[str]],
) -> VerificationResult:
    """Verifies speakers by the cosine similarity of frozen features, without training.

    The mean of the training utterances is subtracted. The layer is chosen on the trials of validation.

    Args:
        train: Features `(num_layers, num_utterances, feature_size)`; who speaks is not used.
        validation, test: Features of this shape, and their speakers.

    Raises:
        ValueError: Validation or test has no two utterances of one speaker, or a single speaker only.
    """
    mean = train.mean(axis=1, keepdims=True)
    trials = draw_trials(validation[1])
    by_layer = [_error_rate(layer, trials) for layer in validation[0] - mean]
    best_layer = int(np.argmin(by_layer))
    trials = draw_trials(test[1])
    return VerificationResult(
        test=_error_rate(test[0][best_layer] - mean[best_layer], trials),
        validation=by_layer[best_layer],
        best_layer=best_layer,
        by_layer=tuple(by_layer),
        num_trials=len(trials.is_same),
    )


def draw_trials(speakers: Sequence[str], most: int = MOST_TRIALS) -> Trials:
    """All pairs of utterances, or if these are too many, pairs drawn at random, half of them of one speaker if there
    are as many. The same for the same speakers."""
    names = np.asarray(speakers)
    first, second = np.triu_indices(len(names), k=1)
    is_same = names[first] == names[second]
    if len(first) > most:
        generator = np.random.default_rng(0)
        halves = [np.flatnonzero(is_same == same) for same in (True, False)]
        rows = np.concatenate([generator.permutation(half)[: most // 2] for half in halves])
        first, second, is_same = first[rows], second[rows], is_same[rows]
    return Trials(first, second, is_same)


def equal_error_rate(scores: np.ndarray, is_same: np.ndarray) -> float:
    """The rate at which a threshold accepts as many impostors as it rejects true speakers.

    Between two thresholds the rates are interpolated linearly; equal scores share one threshold.

    Args:
        scores: `(num_trials,)`; the higher, the likelier the same speaker.
        is_same: `(num_trials,)`, `True` where both utterances are one speaker's.

    Returns:
        A share between 0 (perfect) and 1; 0.5 is chance.

    Raises:
        ValueError: Scores are not finite, or there are only true speakers or only impostors.
    """
    scores, is_same = np.asarray(scores, dtype=np.float64), np.asarray(is_same, dtype=bool)
    if scores.ndim != 1 or scores.shape != is_same.shape:
        raise ValueError(f"Expected one score and one answer per trial, got {scores.shape} and {is_same.shape}.")
    if not np.isfinite(scores).all():
        raise ValueError(f"Expected finite scores, got {np.sum(~np.isfinite(scores))} that are not.")
    num_same, num_different = int(is_same.sum()), int((~is_same).sum())
    if num_same == 0 or num_different == 0:
        raise ValueError(
            "Expected trials of one speaker and of two, got "
            f"{num_same} and {num_different}: the data need several utterances of several speakers."
        )
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.diff(scores[order]) != 0, True)
    accepted_same = np.append(0, np.cumsum(is_same[order])[last_of_ties])
    accepted_different = np.append(0, np.cumsum(~is_same[order])[last_of_ties])
    false_rejections, false_acceptances = 1 - accepted_same / num_same, accepted_different / num_different
    after = int(np.argmax(false_acceptances >= false_rejections))  # at least 1: nothing is accepted at first
    gap_before = false_rejections[after - 1] - false_acceptances[after - 1]
    gap_after = false_acceptances[after] - false_rejections[after]
    share = gap_before / (gap_before + gap_after)
    return float(false_acceptances[after - 1] + share * (false_acceptances[after] - false_acceptances[after - 1]))


def score_all_pairs(embeddings: np.ndarray, speakers: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarity of every two different utterances.

    Args:
        embeddings: `(num_utterances, embedding_size)`.
        speakers: `(num_utterances,)`.

    Returns:
        Scores and whether the speakers are the same, both of shape `(num_utterances * (num_utterances - 1) / 2,)`.
    """
    directions = _directions(embeddings)
    first, second = np.triu_indices(len(directions), k=1)
    speakers = np.asarray(speakers)
    return (directions @ directions.T)[first, second], speakers[first] == speakers[second]


def _error_rate(embeddings: np.ndarray, trials: Trials) -> float:
    directions = _directions(embeddings)
    scores = np.concatenate(
        [
            np.einsum("td,td->t", directions[first], directions[second])
            for first, second in zip(_chunks(trials.first), _chunks(trials.second), strict=True)
        ]
    )
    return equal_error_rate(scores, trials.is_same)


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    """Trials that are scored at once: all at a time would take gigabytes."""
    return np.array_split(rows, max(1, len(rows) // 4096))


def _directions(embeddings: np.ndarray) -> np.ndarray:
    embeddings = np.asarray(embeddings, dtype=np.float32)
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.maximum(norms, np.finfo(np.float32).tiny)
