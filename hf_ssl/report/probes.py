# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Results of `hf-ssl probe`: what the frozen features know, arm by arm and layer by layer."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..evaluation.probe_table import ERROR_RATES
from .layer_chart import Layers, layer_chart
from .markup import Child, Markup, element
from .numbers import format_share
from .privacy import last_name
from .section import Section, table

# As many as page.css has.
NUM_COLOURS = 8
_METHODS = {
    "weighted_sum": "Weighted sum of layers",
    "linear": "Linear classifier",
    "neighbours": "Nearest neighbours",
    "cosine": "Cosine similarity",
}


@dataclass(frozen=True)
class ProbeFigure:
    """A line of a results file."""

    arm: str
    task: str
    data: str
    column: str
    method: str
    metric: str
    test: float
    by_layer: tuple[float, ...]


def read_results(path: str | Path) -> list[ProbeFigure]:
    """Reads the lines of a results file that are figures of probes; lines about something else are passed over.

    Raises:
        ValueError: The file is damaged, or no line is of a probe.
    """
    figures = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path}, line {number}, is no JSON ({error}); expected what hf-ssl probe --results wrote."
            ) from error
        if isinstance(entry, dict) and entry.get("what") == "probe":
            figures.append(_figure(entry, f"{path}, line {number}"))
    if not figures:
        raise ValueError(f"{path} has no figures of probes; expected what hf-ssl probe --results wrote.")
    return figures


def _figure(entry: dict[str, Any], place: str) -> ProbeFigure:
    try:
        test, by_layer = float(entry["test"]), tuple(float(value) for value in entry["by_layer"])
        words = [str(entry[name]) for name in ("arm", "task", "data", "column", "method", "metric")]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{place}: not what hf-ssl probe writes ({type(error).__name__}: {error}).") from error
    if not all(map(math.isfinite, (test, *by_layer))):
        raise ValueError(f"{place}: expected finite figures, got {test} and {by_layer}.")
    arm, task, data, column, method, metric = words
    # An arm without a name of its own is called by its folder.
    arm = ", ".join([last_name(part) for part in arm.split(", ")])
    return ProbeFigure(arm, task, last_name(data), column, method, metric, test, by_layer)


def probe_section(figures: Sequence[ProbeFigure]) -> Section:
    """A block for each task: a table of test figures, and charts by layer."""
    tasks = list(dict.fromkeys((figure.task, figure.data, figure.column) for figure in figures))
    blocks = [
        _task([figure for figure in figures if (figure.task, figure.data, figure.column) == task]) for task in tasks
    ]
    introduction = element(
        "p",
        "Frozen features, read by small heads. Everything is chosen on validation; the test was used once.",
        class_="introduction",
    )
    return Section("What its features know", [introduction, blocks])


def _task(figures: Sequence[ProbeFigure]) -> Child:
    first = figures[0]
    title = element("h3", f"{first.task.capitalize()}: {first.column}, {first.data}")
    methods = list(dict.fromkeys((figure.method, figure.metric) for figure in figures))
    arms = list(dict.fromkeys(figure.arm for figure in figures))
    charts = [_chart([f for f in figures if (f.method, f.metric) == method], arms) for method in methods]
    return [title, _table(figures, methods, arms), element("div", charts, class_="grid-of-charts wide")]


def _table(figures: Sequence[ProbeFigure], methods: list[tuple[str, str]], arms: list[str]) -> Markup:
    header = ["On test", *(f"{_METHODS.get(method, method)}, {metric}" for method, metric in methods)]
    rows: list[list[Child]] = []
    for number, arm in enumerate(arms):
        cells: list[Child] = [element("span", arm, class_=f"reading s{number % NUM_COLOURS}")]
        for method in methods:
            values = [f.test for f in figures if f.arm == arm and (f.method, f.metric) == method]
            cells.append(_mean(values))
        rows.append(cells)
    return table(header, rows, class_="figures")


def _mean(values: Sequence[float]) -> Child:
    if not values:
        return "none"
    mean = element("b", format_share(sum(values) / len(values)))
    if len(values) == 1:
        return mean
    return [mean, element("small", f" {format_share(min(values))} to {format_share(max(values))}, {len(values)} runs")]


def _chart(figures: Sequence[ProbeFigure], arms: list[str]) -> Child:
    first = figures[0]
    layers = [
        Layers(
            arm, arms.index(arm) % NUM_COLOURS, [f.by_layer for f in figures if f.arm == arm and len(f.by_layer) > 1]
        )
        for arm in arms
    ]
    layers = [line for line in layers if line.runs]
    if not layers:
        return None
    are_weights = first.method == "weighted_sum"
    title = "Weights of the sum" if are_weights else f"{_METHODS.get(first.method, first.method)} by layer"
    direction = "lower is better" if first.metric in ERROR_RATES else "higher is better"
    caption = (
        "How much of each layer the sum takes."
        if are_weights
        else f"{first.metric.capitalize()} on validation, {direction}."
    )
    return element(
        "figure",
        element("figcaption", element("h3", title)),
        layer_chart(title, layers),
        element("div", element("p", f"{caption} Layer 0 is the input of the first.", class_="caption")),
    )
