# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Results of `hf-ssl probe`: what the frozen features know, arm by arm and layer by layer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..evaluation.probe_table import ERROR_RATES
from ..own_results import OWN_ARM, ComparedLine, told_settings
from .layer_chart import Layers, layer_chart
from .markup import Child, Markup, element
from .numbers import format_share
from .privacy import arm_name, last_name
from .section import Section, table

# As many as page.css has.
NUM_COLOURS = 8
_METHODS = {
    "weighted_sum": "Weighted sum of layers",
    "linear": "Linear classifier",
    "neighbours": "Nearest neighbours",
    "single_layer": "Single layer",
    "cosine": "Cosine similarity",
}


@dataclass(frozen=True)
class ProbeFigure:
    """A figure of a probe: an arm's on one measurement, once; `settings` in words, where they are not as usual."""

    arm: str
    task: str
    data: str
    column: str
    method: str
    metric: str
    test: float
    by_layer: tuple[float, ...]
    settings: str = ""

    @property
    def measured(self) -> tuple[str, ...]:
        """What was to be told of what, and how."""
        return self.task, self.data, self.column, self.settings


def probe_figures(lines: Sequence[ComparedLine]) -> list[ProbeFigure]:
    """The figures of lines of a results file, those of the run itself first, as `this model`.

    Args:
        lines: From [`~hf_ssl.own_results.results_of_model`].

    Raises:
        ValueError: A line is not what hf-ssl probe writes.
    """
    return [_figure(compared) for compared in sorted(lines, key=lambda compared: not compared.is_own)]


def _figure(compared: ComparedLine) -> ProbeFigure:
    line, is_own = compared
    try:
        test, by_layer = float(line["test"]), tuple(float(value) for value in line["by_layer"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"Not what hf-ssl probe writes ({type(error).__name__}: {error}), {dict(line)!r:.200}."
        ) from error
    if not all(map(math.isfinite, (test, *by_layer))):
        raise ValueError(f"Expected finite figures of a probe, got {test} and {by_layer}.")
    arm = OWN_ARM if is_own else arm_name(str(line["arm"]))
    task, data, column, method, metric = (str(line[name]) for name in ("task", "data", "column", "method", "metric"))
    return ProbeFigure(arm, task, data, column, method, metric, test, by_layer, told_settings(line))


def probe_section(figures: Sequence[ProbeFigure]) -> Section:
    """A block for each task: a table of test figures, and charts by layer."""
    measured = dict.fromkeys(figure.measured for figure in figures)
    blocks = [_task([figure for figure in figures if figure.measured == task]) for task in measured]
    introduction = element(
        "p",
        "Frozen features, read by small heads. Everything is chosen on validation; the test was used once.",
        class_="introduction",
    )
    return Section("What its features know", [introduction, blocks])


def _task(figures: Sequence[ProbeFigure]) -> Child:
    first = figures[0]
    settings = f" ({first.settings})" if first.settings else ""
    title = element("h3", f"{first.task.capitalize()}: {first.column}, {last_name(first.data)}{settings}")
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
