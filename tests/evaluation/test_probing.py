# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Linear probes of frozen features."""

import sys

import numpy as np
import pytest

from hf_ssl.evaluation.probing import linear_probe


class TestLinearProbe:
    """On synthetic features whose informative layer is known."""

    @pytest.fixture(autouse=True)
    def _needs_scikit_learn(self) -> None:
        pytest.importorskip("sklearn", reason='scikit-learn is not installed: pip install "hf-ssl[probe]"')

    @staticmethod
    def features(labels: np.ndarray, informative_layer: int | None, seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        features = generator.standard_normal((4, len(labels), 12))
        if informative_layer is not None:
            features[informative_layer, :, 0] += 4 * labels
        return features

    @pytest.mark.parametrize("informative_layer", [0, 2, 3])
    def test_finds_the_informative_layer(self, informative_layer: int) -> None:
        labels = np.arange(200) % 3
        result = linear_probe(
            self.features(labels, informative_layer, 0), labels, self.features(labels, informative_layer, 1), labels
        )
        assert result.best_layer == informative_layer
        assert result.accuracy > 0.9
        assert result.by_layer[informative_layer] == max(result.by_layer)
        assert (result.num_classes, result.num_train, result.num_test) == (3, 200, 200)

    def test_stays_at_chance_on_noise(self) -> None:
        labels = np.arange(600) % 2
        result = linear_probe(self.features(labels, None, 0), labels, self.features(labels, None, 1), labels)
        assert abs(result.accuracy - 0.5) < 0.08  # four standard errors
        assert result.majority_accuracy == 0.5

    def test_choice_does_not_look_at_test(self) -> None:
        # Layer 1 is right on train and validation only, layer 2 on test only: an honest probe falls for layer 1.
        labels = np.arange(200) % 2
        result = linear_probe(self.features(labels, 1, 0), labels, self.features(labels, 2, 1), labels)
        assert result.best_layer == 1
        assert result.accuracy < 0.65

    def test_given_validation_split_decides(self) -> None:
        labels = np.arange(200) % 2
        train = self.features(labels, 1, 0)
        train[3, :, 0] += 4 * labels  # layers 1 and 3 are equally good in training
        result = linear_probe(
            train,
            labels,
            self.features(labels, 3, 1),
            labels,
            validation=(self.features(labels, 3, 2), labels),
        )
        assert result.best_layer == 3
        assert result.accuracy > 0.9

    def test_same_seed_same_result(self) -> None:
        labels = np.arange(60) % 3
        train, test = self.features(labels, None, 0), self.features(labels, None, 1)
        assert linear_probe(train, labels, test, labels, seed=5) == linear_probe(train, labels, test, labels, seed=5)

    def test_labels_may_be_words(self) -> None:
        labels = np.arange(100) % 2
        words = ["cat" if label else "dog" for label in labels]
        result = linear_probe(self.features(labels, 1, 0), words, self.features(labels, 1, 1), words)
        assert result.accuracy > 0.9

    def test_unseen_test_label_is_an_error_of_the_probe(self) -> None:
        labels = np.arange(100) % 2
        test_labels = np.where(np.arange(100) < 50, 2, labels)
        result = linear_probe(self.features(labels, 1, 0), labels, self.features(labels, 1, 1), test_labels)
        assert 0.4 < result.accuracy <= 0.5

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.zeros(20, dtype=int), "two classes"),
            (np.arange(19) % 2, "20 train labels"),
            (np.array([0] * 19 + [1]), "two training clips of every class"),
        ],
    )
    def test_bad_training_labels_are_named(self, labels: np.ndarray, message: str) -> None:
        features = np.random.default_rng(0).standard_normal((2, 20, 3))
        with pytest.raises(ValueError, match=message):
            linear_probe(features, labels, features, np.arange(20) % 2)

    @pytest.mark.parametrize(
        ("features", "message"),
        [
            (np.zeros((20, 3)), "num_layers, num_clips, feature_size"),
            (np.zeros((3, 20, 3)), "test features of shape"),
            (np.zeros((2, 20, 4)), "test features of shape"),
            (np.full((2, 20, 3), np.nan), "test features hold NaN"),
        ],
    )
    def test_bad_test_features_are_named(self, features: np.ndarray, message: str) -> None:
        labels = np.arange(20) % 2
        with pytest.raises(ValueError, match=message):
            linear_probe(np.random.default_rng(0).standard_normal((2, 20, 3)), labels, features, labels)


def test_missing_scikit_learn_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'pip install "hf-ssl\[probe\]"'):
        linear_probe(np.zeros((1, 4, 2)), [0, 1, 0, 1], np.zeros((1, 4, 2)), [0, 1, 0, 1])
