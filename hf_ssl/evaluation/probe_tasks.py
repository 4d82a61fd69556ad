# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The tasks of `hf-ssl probe`: from the features of three splits to figures.

Everything is chosen on validation: layer, regularisation, number of neighbours, learning rate, epoch. The test is used
once, by what was chosen.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from .features import Features
from .frame_tasks import (
    FrameResult,
    FrameTimes,
    LabelledFrames,
    classify_frames,
    labelled_frames,
    most_frequent_label,
)
from .metrics import mean_average_precision
from .neighbours import neighbour_vote
from .probe_data import ProbeData, ProbeTask
from .probe_table import ERROR_RATES
from .probing import linear_probe
from .verification import verify
from .weighted_sum import Clips, HeadResult, classify, recognise, split_labels, tag

Method = Literal["weighted_sum", "linear", "neighbours", "single_layer"]

METHODS: Mapping[ProbeTask, tuple[Method, ...]] = {
    "classification": ("weighted_sum", "linear", "neighbours"),
    "multilabel": ("weighted_sum", "linear"),
    "recognition": ("weighted_sum", "single_layer"),
    "frames": ("weighted_sum", "linear"),
    "verification": (),
}
# Costs as much as all others together, times the number of layers.
_NO_DEFAULT: tuple[Method, ...] = ("single_layer",)


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        method (`str`): What read the features: `weighted_sum`, `linear`, `neighbours`, `single_layer` (the head of
            the weighted sum on the layer that is best) or `cosine`.
        metric (`str`): What `test` and `validation` are.
        test (`float`), validation (`float`, *optional*): Shares; validation only if something was chosen by it.
        seed (`int`, *optional*): Of the head; `None` if nothing in the method is random.
        chosen (`dict`): What was chosen on validation.
        by_layer (`tuple[float, ...]`): Weights of the sum, or scores of every layer on VALIDATION.
    """

    method: str
    metric: str
    test: float
    validation: float | None
    seed: int | None = None
    chosen: Mapping[str, float] = field(default_factory=dict)
    by_layer: tuple[float, ...] = ()


class SplitFeatures(NamedTuple):
    """Features of the three splits."""

    train: Features
    validation: Features
    test: Features


def methods_of(task: ProbeTask, given: Sequence[Method] | None, named: str = "--methods") -> Sequence[Method]:
    """What shall read the features: what is given, or what the task has; without recognition by single layers, which
    takes as many times as long as there are layers.

    Args:
        task: What to do.
        given: A choice of the task's methods, if there is one.
        named: What the choice is called in errors.

    Raises:
        ValueError: There is no such task, or it has no such method.
    """
    if task not in METHODS:
        raise ValueError(f"Expected one of the tasks {', '.join(METHODS)}, got {task!r}.")
    if given is None:
        return [method for method in METHODS[task] if method not in _NO_DEFAULT]
    unknown = [method for method in given if method not in METHODS[task]]
    if unknown or not given:
        known = f"only {', '.join(METHODS[task])}" if METHODS[task] else f"a single one: leave {named} out"
        raise ValueError(f"The task {task} has no method {', '.join(unknown)} ({named}), {known}.")
    return given


def measure(
    task: ProbeTask,
    features: SplitFeatures,
    data: ProbeData,
    *,
    seeds: Sequence[int],
    methods: Sequence[Method] | None = None,
    num_epochs: int | None = None,
    frame_times: FrameTimes | None = None,
) -> Iterator[Figure]:
    """All figures of a task.

    Args:
        task: What to do.
        features: For recognition and frames with all frames.
        data: The labels, and what they belong to.
        seeds: One head each, where a head is trained.
        methods: See [`methods_of`].
        num_epochs: Of heads; the head's own number if `None`.
        frame_times: Of the encoder; for frames.
    """
    methods = methods_of(task, methods)
    match task:
        case "classification":
            if "weighted_sum" in methods:
                yield from _heads(classify, "accuracy", features, data, seeds, num_epochs)
            if "linear" in methods:
                yield _linear(features, data)
            if "neighbours" in methods:
                yield _neighbours(features, data)
        case "multilabel":
            if "weighted_sum" in methods:
                yield from _heads(tag, "mean average precision", features, data, seeds, num_epochs)
            if "linear" in methods:
                yield from _best_layer("linear", tag, "mean average precision", features, data, seeds, num_epochs)
        case "recognition":
            if "weighted_sum" in methods:
                yield from _heads(recognise, "character error rate", features, data, seeds, num_epochs)
            if "single_layer" in methods:
                yield from _best_layer(
                    "single_layer", recognise, "character error rate", features, data, seeds, num_epochs
                )
        case "frames":
            assert frame_times is not None
            yield from _frames(features, data, frame_times, seeds, methods, num_epochs)
        case "verification":
            yield _cosine(features, data)


def without_features(task: ProbeTask, data: ProbeData) -> tuple[str, float]:
    """What one gets on test without looking at any item: how, and the figure."""
    match task:
        case "classification":
            label = Counter(data.train.labels).most_common(1)[0][0]
            return f"always {label!r}", float(np.mean([other == label for other in data.test.labels]))
        case "multilabel":
            return "any order", _precision_of_any_order(data)
        case "recognition":
            return "nothing recognised", 1.0
        case "frames":
            label, share = most_frequent_label(data.train, data.test)
            return f"always {label!r}", share
        case "verification":
            return "guesses", 0.5


def _heads(
    train_head: Callable[..., HeadResult],
    metric: str,
    features: SplitFeatures,
    data: ProbeData,
    seeds: Sequence[int],
    num_epochs: int | None,
) -> Iterator[Figure]:
    splits = _clips(features, data)
    for seed in seeds:
        result = train_head(*splits, seed=seed, **_epochs(num_epochs))
        yield from _head_figures("weighted_sum", metric, result, seed, {}, result.layer_weights)


def _best_layer(
    method: Method,
    train_head: Callable[..., HeadResult],
    metric: str,
    features: SplitFeatures,
    data: ProbeData,
    seeds: Sequence[int],
    num_epochs: int | None,
) -> Iterator[Figure]:
    """A head for every layer alone: the figures of the one that is best on validation."""
    splits = _clips(features, data)
    for seed in seeds:
        results = [
            train_head(*(split.layer(number) for split in splits), seed=seed, **_epochs(num_epochs))
            for number in range(len(features.train.frames[0]))
        ]
        by_layer = tuple(result.validation for result in results)
        layer = by_layer.index(min(by_layer) if metric in ERROR_RATES else max(by_layer))
        yield from _head_figures(method, metric, results[layer], seed, {"layer": layer}, by_layer)


def _head_figures(
    method: Method,
    metric: str,
    result: HeadResult,
    seed: int,
    chosen: Mapping[str, float],
    by_layer: tuple[float, ...],
) -> Iterator[Figure]:
    chosen = {**chosen, "learning_rate": result.learning_rate, "epoch": result.epoch}
    yield Figure(method, metric, result.test, result.validation, seed, chosen, by_layer)
    if result.word_error_rate is not None:
        # What layers have on validation is the other rate; weights of a sum belong to both.
        weights = by_layer if method == "weighted_sum" else ()
        yield Figure(method, "word error rate", result.word_error_rate, None, seed, chosen, weights)


def _clips(features: SplitFeatures, data: ProbeData) -> list[Clips]:
    return [
        Clips(split.frames, labelled.labels)
        for split, labelled in zip(features, (data.train, data.validation, data.test), strict=True)
    ]


def _epochs(num_epochs: int | None) -> dict[str, int]:
    return {} if num_epochs is None else {"num_epochs": num_epochs}


def _linear(features: SplitFeatures, data: ProbeData) -> Figure:
    train, validation, test = (split.statistics for split in features)
    result = linear_probe(
        train, data.train.labels, test, data.test.labels, validation=(validation, data.validation.labels)
    )
    chosen = {"layer": result.best_layer, "inverse_regularisation": result.inverse_regularisation}
    best = result.by_layer[result.best_layer]
    return Figure("linear", "accuracy", result.accuracy, best, chosen=chosen, by_layer=result.by_layer)


def _neighbours(features: SplitFeatures, data: ProbeData) -> Figure:
    result = neighbour_vote(
        (features.train.statistics, np.asarray(data.train.labels)),
        (features.validation.statistics, np.asarray(data.validation.labels)),
        (features.test.statistics, np.asarray(data.test.labels)),
    )
    chosen = {"layer": result.best_layer, "neighbours": result.num_neighbours}
    return Figure(
        "neighbours", "accuracy", result.accuracy, result.validation, chosen=chosen, by_layer=result.by_layer
    )


def _frames(
    features: SplitFeatures,
    data: ProbeData,
    frame_times: FrameTimes,
    seeds: Sequence[int],
    methods: Sequence[Method],
    num_epochs: int | None,
) -> Iterator[Figure]:
    train = labelled_frames(features.train, data.train, frame_times)
    validation = labelled_frames(features.validation, data.validation, frame_times)
    splits = (train, validation, labelled_frames(features.test, data.test, frame_times))
    for seed in seeds:
        if "weighted_sum" in methods:
            result = classify_frames(*splits, seed=seed, num_epochs=num_epochs)
            yield from _frame_figures("weighted_sum", result, seed, {}, result.head.layer_weights)
        if "linear" in methods:
            yield from _best_layer_of_frames(splits, seed, num_epochs)


def _best_layer_of_frames(splits: Sequence[LabelledFrames], seed: int, num_epochs: int | None) -> Iterator[Figure]:
    results = [
        classify_frames(
            splits[0].layer(number), splits[1].layer(number), splits[2].layer(number), seed=seed, num_epochs=num_epochs
        )
        for number in range(len(splits[0].frames))
    ]
    by_layer = tuple(result.head.validation for result in results)
    layer = int(np.argmax(by_layer))
    yield from _frame_figures("linear", results[layer], seed, {"layer": layer}, by_layer)


def _frame_figures(
    method: str, result: FrameResult, seed: int, chosen: Mapping[str, float], by_layer: tuple[float, ...]
) -> Iterator[Figure]:
    head = result.head
    chosen = {**chosen, "learning_rate": head.learning_rate, "epoch": head.epoch}
    yield Figure(method, "accuracy", head.test, head.validation, seed, chosen, by_layer)
    yield Figure(method, "macro-F1", result.macro_f1, None, seed, chosen, by_layer)


def _cosine(features: SplitFeatures, data: ProbeData) -> Figure:
    result = verify(
        features.train.statistics,
        (features.validation.statistics, data.validation.labels),
        (features.test.statistics, data.test.labels),
    )
    chosen = {"layer": result.best_layer, "trials": result.num_trials}
    return Figure(
        "cosine", "equal error rate", result.test, result.validation, chosen=chosen, by_layer=result.by_layer
    )


def _precision_of_any_order(data: ProbeData) -> float:
    """Mean average precision where all clips have the same score."""
    fields = [set(split_labels(labels)) for labels in data.test.labels]
    names = sorted(set().union(*fields))
    present = np.array([[name in labels for name in names] for labels in fields], dtype=np.int64)
    return mean_average_precision(np.zeros(present.shape), present)
