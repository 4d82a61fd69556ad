# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The tasks of `hf-ssl probe`: from the features of three splits to figures.

Everything is chosen on validation: layer, regularisation, number of neighbours, learning rate, epoch. The test is used
once, by what was chosen.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

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
from .probing import linear_probe
from .verification import verify
from .weighted_sum import Clips, HeadResult, classify, recognise, split_labels, tag

Method = Literal["weighted_sum", "linear", "neighbours"]

METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        method (`str`): What read the features: `weighted_sum`, `linear`, `neighbours` or `cosine`.
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


def measure(
    task: ProbeTask,
    features: SplitFeatures,
    data: ProbeData,
    *,
    seeds: Sequence[int],
    methods: Sequence[Method] = METHODS,
    num_epochs: int | None = None,
    frame_times: FrameTimes | None = None,
) -> Iterator[Figure]:
    """All figures of a task.

    Args:
        task: What to do.
        features: For recognition and frames with all frames.
        data: The labels, and what they belong to.
        seeds: One head each, where a head is trained.
        methods: Of classification, and of frames the first two; the other tasks have one.
        num_epochs: Of heads; the head's own number if `None`.
        frame_times: Of the encoder; for frames.
    """
    match task:
        case "classification":
            if "weighted_sum" in methods:
                yield from _heads(classify, "accuracy", features, data, seeds, num_epochs)
            if "linear" in methods:
                yield _linear(features, data)
            if "neighbours" in methods:
                yield _neighbours(features, data)
        case "multilabel":
            yield from _heads(tag, "mean average precision", features, data, seeds, num_epochs)
        case "recognition":
            yield from _heads(recognise, "character error rate", features, data, seeds, num_epochs)
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
    splits = [
        Clips(split.frames, labelled.labels)
        for split, labelled in zip(features, (data.train, data.validation, data.test), strict=True)
    ]
    options = {} if num_epochs is None else {"num_epochs": num_epochs}
    for seed in seeds:
        result = train_head(*splits, seed=seed, **options)
        chosen = {"learning_rate": result.learning_rate, "epoch": result.epoch}
        weights = result.layer_weights
        yield Figure("weighted_sum", metric, result.test, result.validation, seed, chosen, weights)
        if result.word_error_rate is not None:
            yield Figure("weighted_sum", "word error rate", result.word_error_rate, None, seed, chosen, weights)


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
