# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Metrics as `evaluate.Metric` classes that need no network.

`evaluate.load("wer")` downloads a script; these classes are installed with the package:

```python
>>> from hf_ssl.evaluation.metrics import load_metric
>>> load_metric("wer").compute(predictions=["seven blue"], references=["seven red"])["wer"]
0.5
```
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import datasets
import evaluate
import jiwer
import numpy as np

MetricName = Literal[
    "wer", "cer", "accuracy", "f1", "average_precision", "matthews_correlation", "pearsonr", "spearmanr"
]

_TEXTS = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
_CLASSES = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
_NUMBERS = datasets.Features({"predictions": datasets.Value("float64"), "references": datasets.Value("float64")})
_SCORES = datasets.Features(
    {
        "predictions": datasets.Sequence(datasets.Value("float64")),
        "references": datasets.Sequence(datasets.Value("int64")),
    }
)

_TRANSCRIPTION_INPUTS = """
Args:
    predictions (`list[str]`): Transcripts to score.
    references (`list[str]`): What was really said, in the same order.

Returns:
    `dict`: The rate under the metric's name, and `substitutions`, `deletions`, `insertions` and `reference_length`.
    An empty reference counts what was predicted for it as insertions.

Raises:
    ValueError: All references are empty, so that there is no rate; or none is given.
"""

_CLASSIFICATION_INPUTS = """
Args:
    predictions (`list[int]`): Predicted classes.
    references (`list[int]`): True classes, in the same order.

Raises:
    ValueError: There are no examples.
"""

_REGRESSION_INPUTS = """
Args:
    predictions (`list[float]`): Predicted numbers.
    references (`list[float]`): True numbers, in the same order.

Raises:
    ValueError: There are fewer than two examples.
"""

_MULTI_LABEL_INPUTS = """
Args:
    predictions (`list[list[float]]` of shape `(num_examples, num_classes)`): Scores or logits; their order counts.
    references (`list[list[int]]` of shape `(num_examples, num_classes)`): 1 where the class is present, else 0.

Returns:
    `dict`: `average_precision`, the mean over the classes that occur in the references, and `num_classes`, their
    number. A class without a positive example has no average precision and is left out.

Raises:
    ValueError: No class occurs in the references, a score is NaN, or a reference is neither 0 nor 1.
"""


class WordErrorRate(evaluate.Metric):
    """Word error rate: substituted, deleted and inserted words per reference word, over the whole corpus.

    White space at the ends of a text and repeated spaces do not count; case and punctuation do.
    """

    def _info(self) -> evaluate.MetricInfo:
        return _describe("Word error rate over a corpus.", _TRANSCRIPTION_INPUTS, _TEXTS)

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        _expect_examples(references)
        return _error_rate("wer", jiwer.process_words(list(references), list(predictions)))


class CharacterErrorRate(evaluate.Metric):
    """Character error rate: substituted, deleted and inserted characters per reference character, over the corpus.

    Spaces between words are characters too; white space at the ends of a text does not count.
    """

    def _info(self) -> evaluate.MetricInfo:
        return _describe("Character error rate over a corpus.", _TRANSCRIPTION_INPUTS, _TEXTS)

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        _expect_examples(references)
        return _error_rate("cer", jiwer.process_characters(list(references), list(predictions)))


class Accuracy(evaluate.Metric):
    """Share of examples whose predicted class is the true one, under `accuracy`."""

    def _info(self) -> evaluate.MetricInfo:
        return _describe("Share of right predictions.", _CLASSIFICATION_INPUTS, _CLASSES)

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        _expect_examples(references)
        return {"accuracy": float(np.mean(np.asarray(predictions) == np.asarray(references)))}


class MacroF1(evaluate.Metric):
    """F1 of each class that is predicted or true, averaged with equal weight, under `f1`."""

    def _info(self) -> evaluate.MetricInfo:
        return _describe("F1 averaged over classes.", _CLASSIFICATION_INPUTS, _CLASSES)

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        _expect_examples(references)
        return {"f1": macro_f1(np.asarray(predictions), np.asarray(references))}


class MatthewsCorrelation(evaluate.Metric):
    """Correlation of predicted and true classes, under `matthews_correlation`; 0 where either has one class only."""

    def _info(self) -> evaluate.MetricInfo:
        return _describe("Matthews correlation coefficient.", _CLASSIFICATION_INPUTS, _CLASSES)

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        _expect_examples(references)
        predicted, true = np.asarray(predictions), np.asarray(references)
        labels = np.union1d(predicted, true)
        # of the classes' indicators, which for two classes is the usual coefficient
        is_predicted = (predicted[:, None] == labels).astype(float)
        is_true = (true[:, None] == labels).astype(float)
        is_predicted -= is_predicted.mean(axis=0)
        is_true -= is_true.mean(axis=0)
        scale = np.sqrt(np.sum(is_predicted**2) * np.sum(is_true**2))
        correlation = float(np.sum(is_predicted * is_true) / scale) if scale > 0 else 0.0
        return {"matthews_correlation": correlation}


class PearsonCorrelation(evaluate.Metric):
    """Linear correlation of predicted and true numbers, under `pearsonr`; NaN where either is constant."""

    def _info(self) -> evaluate.MetricInfo:
        return _describe("Pearson correlation.", _REGRESSION_INPUTS, _NUMBERS)

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        return {"pearsonr": _correlation(np.asarray(predictions), np.asarray(references))}


class SpearmanCorrelation(evaluate.Metric):
    """Correlation of the ranks of predicted and true numbers, under `spearmanr`; NaN where either is constant."""

    def _info(self) -> evaluate.MetricInfo:
        return _describe("Spearman correlation.", _REGRESSION_INPUTS, _NUMBERS)

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        return {"spearmanr": rank_correlation(np.asarray(predictions), np.asarray(references))}


class MeanAveragePrecision(evaluate.Metric):
    """Multi-label average precision, averaged over classes, under `average_precision`."""

    def _info(self) -> evaluate.MetricInfo:
        return _describe("Average precision averaged over classes.", _MULTI_LABEL_INPUTS, _SCORES)

    def _compute(self, predictions: list[list[float]], references: list[list[int]]) -> dict[str, float]:
        _expect_examples(references)
        present = np.asarray(references)
        score = mean_average_precision(np.asarray(predictions, dtype=np.float64), present)
        return {"average_precision": score, "num_classes": int(present.any(axis=0).sum())}


def load_metric(name: MetricName) -> evaluate.Metric:
    """Gives a metric by the name `evaluate` knows it by, without the network.

    Args:
        name (`str`): `"wer"`, `"cer"`, `"accuracy"`, `"f1"` (macro), `"average_precision"` (multi-label, macro),
            `"matthews_correlation"`, `"pearsonr"` or `"spearmanr"`.

    Returns:
        `evaluate.Metric`: Holds what it is given in memory, not in files.

    Raises:
        ValueError: There is no metric of that name here.
    """
    match name:
        case "wer":
            return WordErrorRate(keep_in_memory=True)
        case "cer":
            return CharacterErrorRate(keep_in_memory=True)
        case "accuracy":
            return Accuracy(keep_in_memory=True)
        case "f1":
            return MacroF1(keep_in_memory=True)
        case "average_precision":
            return MeanAveragePrecision(keep_in_memory=True)
        case "matthews_correlation":
            return MatthewsCorrelation(keep_in_memory=True)
        case "pearsonr":
            return PearsonCorrelation(keep_in_memory=True)
        case "spearmanr":
            return SpearmanCorrelation(keep_in_memory=True)
        case _:
            raise ValueError(f"Expected one of {', '.join(get_args(MetricName))}, got {name!r}.")


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation of two series of numbers of the same length, `(num_examples,)`; NaN where one is
    constant.

    Raises:
        ValueError: There are fewer than two examples.
    """
    return _correlation(_ranks(first), _ranks(second))


def macro_f1(predicted: np.ndarray, true: np.ndarray) -> float:
    """F1 of each class that is predicted or true, averaged with equal weight.

    Args:
        predicted, true (`np.ndarray` of shape `(num_examples,)`): Numbers of classes; at least one example.
    """
    scores = []
    for label in np.union1d(predicted, true):
        hits = np.sum((predicted == label) & (true == label))
        # 2 hits / (predicted + true) is the harmonic mean of precision and recall, defined without any hit too.
        scores.append(2 * hits / (np.sum(predicted == label) + np.sum(true == label)))
    return float(np.mean(scores))


def mean_average_precision(scores: np.ndarray, present: np.ndarray) -> float:
    """Average precision of each class that occurs in `present`, averaged with equal weight.

    Args:
        scores (`np.ndarray` of shape `(num_examples, num_classes)`): Scores or logits; their order counts.
        present (`np.ndarray` of shape `(num_examples, num_classes)`): 1 where the class is present, else 0.

    Raises:
        ValueError: No class occurs, a score is NaN, a reference is neither 0 nor 1, or the shapes differ.
    """
    if scores.shape != present.shape:
        raise ValueError(f"Expected scores of the references' shape {present.shape}, got {scores.shape}.")
    if np.isnan(scores).any():
        raise ValueError(f"Expected scores, got {np.isnan(scores).sum()} NaN. Check the model's outputs.")
    if not np.isin(present, (0, 1)).all():
        raise ValueError(f"Expected references of 0 and 1, got {np.setdiff1d(present, (0, 1)).tolist()} too.")
    occurring = np.flatnonzero(present.any(axis=0))
    if len(occurring) == 0:
        raise ValueError("Expected at least one positive reference: average precision is undefined without any.")
    return float(np.mean([_average_precision(scores[:, label], present[:, label]) for label in occurring]))


def _describe(description: str, inputs: str, features: datasets.Features) -> evaluate.MetricInfo:
    return evaluate.MetricInfo(description=description, citation="", inputs_description=inputs, features=features)


def _expect_examples(references: list[Any]) -> None:
    if len(references) == 0:
        raise ValueError("Expected at least one prediction and its reference, got none.")


def _error_rate(name: str, alignment: jiwer.WordOutput | jiwer.CharacterOutput) -> dict[str, float]:
    errors = alignment.substitutions + alignment.deletions + alignment.insertions
    reference_length = alignment.hits + alignment.substitutions + alignment.deletions
    if reference_length == 0:
        # jiwer calls this a rate of 0 or of the number of insertions; neither is an error rate.
        raise ValueError(f"Expected a reference that is not empty: {name} is undefined without any. Check the labels.")
    return {
        name: errors / reference_length,
        "substitutions": alignment.substitutions,
        "deletions": alignment.deletions,
        "insertions": alignment.insertions,
        "reference_length": reference_length,
    }


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's, of two series of numbers of the same length."""
    if len(first) < 2:
        raise ValueError(f"Expected at least two predictions and references to correlate, got {len(first)}.")
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.sum(first * second) / scale) if scale > 0 else float("nan")


def _ranks(numbers: np.ndarray) -> np.ndarray:
    """Ranks from 0 on; equal numbers share the mean of theirs."""
    _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[inverse]


def _average_precision(scores: np.ndarray, present: np.ndarray) -> float:
    """Sum over thresholds of precision times gain in recall; equal scores share one threshold.

    Args:
        scores (`np.ndarray` of shape `(num_examples,)`): Scores of one class.
        present (`np.ndarray` of shape `(num_examples,)`): Whether the class is present; at least once.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(present[order])[last_of_ties]
    precision = hits / (np.flatnonzero(last_of_ties) + 1)
    return float(np.sum(precision * np.diff(hits, prepend=0)) / hits[-1])
