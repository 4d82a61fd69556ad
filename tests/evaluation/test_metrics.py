# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Metrics against values worked out by hand and against scikit-learn, without the network."""

import socket
from typing import Any, get_args

import evaluate
import numpy as np
import pytest

from hf_ssl.evaluation.metrics import (
    Accuracy,
    CharacterErrorRate,
    MacroF1,
    MeanAveragePrecision,
    MetricName,
    WordErrorRate,
    load_metric,
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a metric opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)


def test_word_error_rate_counts_each_kind_of_error() -> None:
    result = WordErrorRate().compute(
        predictions=["one two four", "red", "up up down"], references=["one two three", "red blue", "up down"]
    )
    assert result == {
        "wer": 3 / 7,
        "substitutions": 1,
        "deletions": 1,
        "insertions": 1,
        "reference_length": 7,
    }


def test_error_rate_is_over_the_corpus_not_a_mean_of_rates() -> None:
    result = WordErrorRate().compute(predictions=["a", "a b c d"], references=["b", "a b c d"])
    assert result["wer"] == 1 / 5


def test_character_error_rate_counts_spaces() -> None:
    result = CharacterErrorRate().compute(predictions=["redcat"], references=["red cat"])
    assert result["cer"] == 1 / 7
    assert (result["deletions"], result["reference_length"]) == (1, 7)


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_equal_texts_have_no_error(name: str) -> None:
    assert load_metric(name).compute(predictions=["one two", "up"], references=["one two", " up "])[name] == 0


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_error_rate_can_exceed_one(name: str) -> None:
    assert load_metric(name).compute(predictions=["a b c d"], references=["x"])[name] > 1


def test_what_is_said_in_silence_is_inserted() -> None:
    result = WordErrorRate().compute(predictions=["one two", "up"], references=["", "up"])
    assert (result["wer"], result["insertions"]) == (2.0, 2)


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_only_empty_references_are_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="reference that is not empty"):
        load_metric(name).compute(predictions=["one"], references=["  "])


@pytest.mark.parametrize("name", ["wer", "cer", "accuracy", "f1"])
def test_no_examples_are_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=r"at least one"):
        load_metric(name).compute(predictions=[], references=[])


def test_metrics_accumulate_batches() -> None:
    metric = load_metric("wer")
    metric.add_batch(predictions=["one"], references=["one"])
    metric.add_batch(predictions=["two"], references=["three"])
    assert metric.compute()["wer"] == 0.5


def test_accuracy() -> None:
    assert Accuracy().compute(predictions=[0, 1, 2, 2], references=[0, 1, 1, 2]) == {"accuracy": 0.75}


def test_f1_agrees_with_scikit_learn() -> None:
    scikit = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    true, predicted = generator.integers(0, 5, 60), generator.integers(0, 7, 60)  # some classes are never true
    expected = scikit.f1_score(true, predicted, average="macro", zero_division=0)
    assert MacroF1().compute(predictions=predicted, references=true)["f1"] == pytest.approx(expected)


def test_average_precision_of_a_known_ranking() -> None:
    # Present at ranks 1 and 3: the mean of precisions 1/1 and 2/3.
    result = MeanAveragePrecision().compute(predictions=[[0.9], [0.8], [0.7], [0.1]], references=[[1], [0], [1], [0]])
    assert result == {"average_precision": pytest.approx((1 + 2 / 3) / 2), "num_classes": 1}


def test_average_precision_agrees_with_scikit_learn_with_ties() -> None:
    scikit = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    scores, present = generator.integers(0, 6, (50, 4)) / 5, generator.integers(0, 2, (50, 4))
    expected = scikit.average_precision_score(present, scores, average="macro")
    result = MeanAveragePrecision().compute(predictions=scores, references=present)
    assert result["average_precision"] == pytest.approx(expected)


def test_average_precision_leaves_out_classes_that_never_occur() -> None:
    result = MeanAveragePrecision().compute(predictions=[[0.9, 0.9], [0.1, 0.2]], references=[[1, 0], [0, 0]])
    assert result == {"average_precision": 1.0, "num_classes": 1}


@pytest.mark.parametrize(
    ("scores", "present", "message"),
    [
        ([[0.5], [0.6]], [[0], [0]], "positive reference"),
        ([[float("nan")], [0.6]], [[1], [0]], "1 NaN"),
        ([[0.5], [0.6]], [[2], [0]], "references of 0 and 1"),
        ([[0.5, 0.1], [0.6, 0.1]], [[1], [0]], "shape"),
    ],
)
def test_bad_multi_label_input_is_named(scores: list, present: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MeanAveragePrecision().compute(predictions=scores, references=present)


def test_matthews_correlation_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    for num_classes in (2, 4):
        predicted, true = generator.integers(num_classes, size=(2, 50)).tolist()
        result = load_metric("matthews_correlation").compute(predictions=predicted, references=true)
        assert result["matthews_correlation"] == pytest.approx(metrics.matthews_corrcoef(true, predicted))
    constant = load_metric("matthews_correlation").compute(predictions=[1, 1], references=[0, 1])
    assert constant == {"matthews_correlation": 0.0}


def test_correlations_agree_with_scipy_with_ties() -> None:
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(0)
    predicted, true = generator.integers(5, size=(2, 40)).astype(float).tolist()
    pearson = load_metric("pearsonr").compute(predictions=predicted, references=true)
    spearman = load_metric("spearmanr").compute(predictions=predicted, references=true)
    assert pearson["pearsonr"] == pytest.approx(stats.pearsonr(predicted, true).statistic)
    assert spearman["spearmanr"] == pytest.approx(stats.spearmanr(predicted, true).statistic)


def test_correlations_that_do_not_exist() -> None:
    assert np.isnan(load_metric("pearsonr").compute(predictions=[1.0, 1.0], references=[0.0, 1.0])["pearsonr"])
    with pytest.raises(ValueError, match="at least two"):
        load_metric("spearmanr").compute(predictions=[1.0], references=[1.0])


@pytest.mark.parametrize("name", get_args(MetricName))
def test_loaded_metrics_are_those_of_evaluate(name: str) -> None:
    assert isinstance(load_metric(name), evaluate.Metric)


def test_unknown_metric_lists_the_known() -> None:
    with pytest.raises(ValueError, match="average_precision"):
        load_metric("bleu")  # type: ignore[arg-type]
