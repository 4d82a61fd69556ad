# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What do frozen features know? Linear probes, the same for every encoder.

Each item is one vector per layer. A linear classifier is trained on each layer; its layer and regularisation are
chosen on a validation split, never on the test split.

```python
>>> train, test = (extract_features(encoder, clips).statistics for clips in (train_clips, test_clips))
>>> linear_probe(train, train_words, test, test_words, seed=0).accuracy
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline
    from threadpoolctl import threadpool_limits

REGULARISATION_STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)  # scikit-learn's `C`: small is strong


@dataclass(frozen=True)
class ProbeResult:
    """How well a linear classifier reads labels off frozen features.

    Args:
        accuracy (`float`): Share of test clips classified rightly by the chosen layer.
        best_layer (`int`): The layer chosen on the validation split; 0 is what enters the first layer.
        by_layer (`tuple[float, ...]`): Best accuracy of every layer on the VALIDATION split.
        inverse_regularisation (`float`): scikit-learn's `C`, chosen on the validation split.
        majority_accuracy (`float`): Test accuracy of always answering the most frequent training label.
        num_classes (`int`): Number of classes among the training labels.
        num_train (`int`): Number of training clips, a validation split carved out of them included.
        num_test (`int`): Number of test clips.
    """

    accuracy: float
    best_layer: int
    by_layer: tuple[float, ...]
    inverse_regularisation: float
    majority_accuracy: float
    num_classes: int
    num_train: int
    num_test: int


def linear_probe(
    train_features: np.ndarray,
    train_labels: Sequence[str] | Sequence[int] | np.ndarray,
    test_features: np.ndarray,
    test_labels: Sequence[str] | Sequence[int] | np.ndarray,
    *,
    validation: tuple[np.ndarray, Sequence[str] | Sequence[int] | np.ndarray] | None = None,
    seed: int = 0,
) -> ProbeResult:
    """Trains a linear classifier on frozen features; every encoder gets the same treatment.

    Features are standardised with the training clips' statistics. For every layer, a logistic regression is trained
    at each of `REGULARISATION_STRENGTHS`. The layer and strength that do best on the validation split (the lowest
    layer and the strongest regularisation among equals) are trained again on all training clips and meet the test
    split once. A test label that no training clip has counts as an error.

    Args:
        train_features (`np.ndarray` of shape `(num_layers, num_train, feature_size)`): Features to learn from.
        train_labels (sequence of `str` or `int` of length `num_train`): Their labels.
        test_features (`np.ndarray` of shape `(num_layers, num_test, feature_size)`): Features to score on.
        test_labels (sequence of `str` or `int` of length `num_test`): Their labels.
        validation (`tuple`, *optional*): Features and labels to choose on. By default a fifth of the training clips,
            every class in proportion.
        seed (`int`): Seed of that choice.

    Returns:
        `ProbeResult`: The accuracy on test and what was chosen.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: Shapes and numbers of labels do not fit, features are not finite, there is but one class, or one
            with too few clips to carve a validation split.
    """
    threadpool_limits = require_scikit_learn()
    train = _check_split("train", train_features, train_labels)
    test = _check_split("test", test_features, test_labels)
    classes, counts = np.unique(train[1], return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"Expected at least two classes among the training labels, got {classes.tolist()}.")
    if validation is None:
        fitting, choosing = _carve_validation(train, seed)
    else:
        fitting, choosing = train, _check_split("validation", *validation)
    for name, features in (("test", test[0]), ("validation", choosing[0])):
        if features[:, 0].shape != train[0][:, 0].shape:
            raise ValueError(
                f"Expected {name} features of shape {(len(train[0]), 'num_clips', train[0].shape[2])} "
                f"as in training, got {features.shape}."
            )
    # These products are so small that several threads only wait for each other: 20 times slower on two busy cores.
    with threadpool_limits(limits=1):
        scores = np.array([_validation_scores(layer, fitting, choosing) for layer in range(len(train[0]))])
        best_layer, best_strength = np.unravel_index(scores.argmax(), scores.shape)
        strength = REGULARISATION_STRENGTHS[best_strength]
        classifier = _classifier(strength).fit(train[0][best_layer], train[1])
        predicted = classifier.predict(test[0][best_layer])
    return ProbeResult(
        accuracy=float(np.mean(predicted == test[1])),
        best_layer=int(best_layer),
        by_layer=tuple(scores.max(axis=1).tolist()),
        inverse_regularisation=strength,
        majority_accuracy=float(np.mean(test[1] == classes[counts.argmax()])),
        num_classes=len(classes),
        num_train=len(train[1]),
        num_test=len(test[1]),
    )


Split = tuple[np.ndarray, np.ndarray]


def _check_split(name: str, features: np.ndarray, labels: Sequence[str] | Sequence[int] | np.ndarray) -> Split:
    features, labels = np.asarray(features), np.asarray(labels)
    if features.ndim != 3 or 0 in features.shape:
        raise ValueError(
            f"Expected {name} features of shape (num_layers, num_clips, feature_size), none of them 0, "
            f"got {features.shape}."
        )
    if labels.shape != features.shape[1:2]:
        raise ValueError(f"Expected {features.shape[1]} {name} labels, one per clip, got shape {labels.shape}.")
    if not np.isfinite(features).all():
        raise ValueError(f"The {name} features hold NaN or infinite values. Has the model diverged?")
    return features, labels


def _carve_validation(train: Split, seed: int) -> tuple[Split, Split]:
    from sklearn.model_selection import train_test_split

    features, labels = train
    classes, counts = np.unique(labels, return_counts=True)
    num_held_out = max(round(0.2 * len(labels)), len(classes))
    if counts.min() < 2 or len(labels) - num_held_out < len(classes):
        raise ValueError(
            "Expected at least two training clips of every class to carve a validation split, got "
            f"{counts.min()} of {classes[counts.argmin()]!r} ({len(labels)} clips of {len(classes)} classes). "
            "Give `validation=(features, labels)` or drop rare classes."
        )
    fitting, choosing = train_test_split(
        np.arange(len(labels)), test_size=num_held_out, stratify=labels, random_state=seed
    )
    return (features[:, fitting], labels[fitting]), (features[:, choosing], labels[choosing])


def _validation_scores(layer: int, fitting: Split, choosing: Split) -> list[float]:
    """Returns the validation accuracy of one layer at each of `REGULARISATION_STRENGTHS`."""
    scores = []
    for strength in REGULARISATION_STRENGTHS:
        classifier = _classifier(strength).fit(fitting[0][layer], fitting[1])
        scores.append(float(np.mean(classifier.predict(choosing[0][layer]) == choosing[1])))
    return scores


def _classifier(inverse_regularisation: float) -> Pipeline:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=inverse_regularisation, max_iter=1000))


def require_scikit_learn() -> type[threadpool_limits]:
    """Returns what limits the threads of scikit-learn's linear algebra; scikit-learn installs it."""
    try:
        import sklearn  # noqa: F401
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ImportError(
            "Linear probes and TF-IDF need scikit-learn, which is not installed. Install it with: pip install "
            '"hf-ssl[probe]"'
        ) from error
    return threadpool_limits
