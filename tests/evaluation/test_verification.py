# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The equal error rate against values worked out by hand and against scikit-learn's curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from hf_ssl.evaluation.verification import equal_error_rate, score_all_pairs


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
