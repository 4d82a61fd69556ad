# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The equal error rate against values worked out by hand and against scikit-learn's curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from hf_ssl.evaluation.verification import draw_trials, equal_error_rate, score_all_pairs, verify


@pytest.mark.parametrize(
    ("scores", "is_same", "expected"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 0.0),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 1.0),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 1, 0], 0.5),  # one threshold for all: nothing or everything
        ([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], 0.5),
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 1, 0, 1, 0, 0], 1 / 3),
    ],
)
def test_values_by_hand(scores: list[float], is_same: list[int], expected: float) -> None:
    assert equal_error_rate(np.array(scores), np.array(is_same)) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=60))
def test_lies_on_the_curve_of_scikit_learn(trials: list[tuple[int, bool]]) -> None:
    scores, is_same = np.array([score for score, _ in trials], dtype=float), np.array([same for _, same in trials])
    if is_same.all() or not is_same.any():
        with pytest.raises(ValueError, match="several utterances of several speakers"):
            equal_error_rate(scores, is_same)
        return
    rate = equal_error_rate(scores, is_same)
    false_acceptances, true_acceptances, _ = roc_curve(is_same, scores, drop_intermediate=False)
    gap = np.interp(np.linspace(0, 1, 10_001), np.linspace(0, 1, len(false_acceptances)), false_acceptances)
    gap_rejections = np.interp(
        np.linspace(0, 1, 10_001), np.linspace(0, 1, len(false_acceptances)), 1 - true_acceptances
    )
    crossing = np.argmin(np.abs(gap - gap_rejections))
    assert rate == pytest.approx(gap[crossing], abs=5e-3)


def test_pairs_are_compared_by_direction_alone() -> None:
    embeddings = np.array([[1.0, 0.0], [5.0, 0.0], [0.0, 2.0]])
    scores, is_same = score_all_pairs(embeddings, [7, 7, 8])
    np.testing.assert_allclose(scores, [1, 0, 0])
    assert is_same.tolist() == [True, False, False]


def test_a_null_embedding_has_no_direction_and_is_no_nan() -> None:
    scores, _ = score_all_pairs(np.array([[0.0, 0.0], [1.0, 0.0]]), [0, 1])
    assert scores.tolist() == [0.0]


@pytest.mark.parametrize(
    ("scores", "is_same", "message"),
    [
        ([0.1, np.nan], [1, 0], "finite scores, got 1"),
        ([0.1, 0.2, 0.3], [1, 0], "one answer per trial"),
    ],
)
def test_bad_trials_are_refused(scores: list[float], is_same: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        equal_error_rate(np.array(scores), np.array(is_same))


def voices(speakers: list[str], informative_layer: int, seed: int) -> np.ndarray:
    """Noise; in one layer a direction for each speaker too, on top of what all have in common."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((3, len(speakers), 8)) + 20
    features[informative_layer] += 5 * np.eye(8)[[ord(name) - ord("a") for name in speakers]]
    return features


def test_verification_finds_the_layer_that_knows_the_speaker() -> None:
    speakers = list("abcd" * 6)
    splits = [voices(speakers, informative_layer=1, seed=seed) for seed in range(3)]
    result = verify(splits[0], (splits[1], speakers), (splits[2], speakers))
    assert result.best_layer == 1
    assert result.test < 0.1
    assert result.by_layer[0] > 0.3
    assert result.validation == result.by_layer[1]
    assert result.num_trials == 24 * 23 // 2


def test_layer_is_not_chosen_by_the_test() -> None:
    speakers = list("abcd" * 6)
    splits = [voices(speakers, informative_layer=layer, seed=layer) for layer in range(3)]
    result = verify(splits[0], (splits[1], speakers), (splits[2], speakers))
    assert result.best_layer == 1
    assert result.test > 0.3


def test_trials_are_all_pairs_or_a_fair_draw() -> None:
    assert len(draw_trials(list("aab")).first) == 3
    speakers = list("abcdefghij" * 5)
    trials, again = draw_trials(speakers, most=100), draw_trials(speakers, most=100)
    assert trials.is_same.sum() == 50
    assert len({*zip(trials.first, trials.second, strict=True)}) == len(trials.first) == 100
    assert all(map(np.array_equal, trials, again))
    names = np.array(speakers)
    np.testing.assert_array_equal(names[trials.first] == names[trials.second], trials.is_same)
