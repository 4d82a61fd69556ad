# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The picture of a replication: every task's figure against the time of pre-training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .cells import BUDGET_NAMES, Cell, Filled
from .plan import NO_SHARES, Plan, fingerprint
from .table import Column, columns

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which colour-blind people can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
_MARKERS = {"steps": "o", "time": "s"}
_MARK = "hf_ssl chart of"


def draw_chart(plan: Plan, filled: Filled, path: Path) -> None:
    """Draws a chart per task and metric: circles for equal updates, squares for equal time, a dashed line for what
    needs no pre-training (mean over seeds).

    Args:
        plan: Its methods and tasks, in their order.
        filled: What to draw.
        path: A PNG file.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: Nothing has been measured yet.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = columns(plan, filled)
    if not drawn:
        raise ValueError("Nothing has been measured yet that could be drawn.")
    width = min(3, len(drawn))
    height = -(-len(drawn) // width)
    figure = Figure(figsize=(4.6 * width, 3.6 * height), layout="constrained")
    FigureCanvasAgg(figure)
    charts = list(figure.subplots(height, width, squeeze=False).flat)
    for chart, column in zip(charts, drawn, strict=False):
        _draw_column(chart, plan, filled, column)
    for chart in charts[len(drawn) :]:
        chart.set_visible(False)
    named = _legend(charts, plan)
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, dpi=120, metadata={"Description": f"{_MARK} {chart_mark(plan, filled)}"})


def is_chart_of(path: Path, plan: Plan, filled: Filled) -> bool:
    """Whether a file is the chart of these figures; no, if it is missing."""
    return path.is_file() and f"{_MARK} {chart_mark(plan, filled)}".encode() in path.read_bytes()


def chart_mark(plan: Plan, filled: Filled) -> str:
    """Changes with all that is drawn, and not with the version of matplotlib. A chart carries it in its file."""
    drawn = columns(plan, filled)
    return fingerprint(
        drawn, {name: [sorted(_points(plan, filled, name, column)) for column in drawn] for name in plan.methods}
    )


def _points(plan: Plan, filled: Filled, method: str, column: Column) -> list[tuple[str, float, float]]:
    """What a chart has of a method: budget, minutes of pre-training, and figure."""
    return [
        (cell.budget, _minutes(plan, filled, cell), figure["test"] * (1 if column.metric in NO_SHARES else 100))
        for (cell, task), figures in filled.figures.items()
        for figure in figures
        if (cell.method, task, figure["reader"], figure["metric"]) == (method, *column)
    ]


def _minutes(plan: Plan, filled: Filled, cell: Cell) -> float:
    return 0.0 if cell.budget == "none" else filled.pretraining[cell][f"{plan.clock}_seconds"] / 60


def _legend(charts: Sequence[Axes], plan: Plan) -> dict[str, Artist]:
    """The colour of every method that any chart has, in the plan's order, and what the marks stand for."""
    from matplotlib.lines import Line2D

    found: dict[str, Artist] = {}
    for chart in charts:
        handles, labels = chart.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    named = {name: found[name] for name in plan.methods if name in found}
    if plan.time_of is not None:
        for budget, marker in _MARKERS.items():
            named[BUDGET_NAMES[budget]] = Line2D([], [], color="grey", marker=marker, linestyle="")
    return named


def _draw_column(chart: Axes, plan: Plan, filled: Filled, column: Column) -> None:
    is_share = column.metric not in NO_SHARES
    chart.set_title(f"{column.task} ({column.reader.replace('_', ' ')})", fontsize=10)
    chart.set_xlabel(f"minutes of pre-training ({plan.clock})")
    chart.set_ylabel(f"{column.metric}, test (%)" if is_share else f"{column.metric}, test")
    chart.grid(alpha=0.25)
    chart.spines[["top", "right"]].set_visible(False)
    for number, (name, method) in enumerate(plan.methods.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = _points(plan, filled, name, column)
        if method.script is None and points:
            level = sum(value for _, _, value in points) / len(points)
            chart.axhline(level, color=colour, linestyle="--", linewidth=1, label=name)
        for budget, minutes, value in points if method.script is not None else ():
            chart.plot(minutes, value, _MARKERS[budget], color=colour, alpha=0.8, label=name)
    chart.set_xlim(0, 1.05 * max((_minutes(plan, filled, cell) for cell in filled.pretraining), default=1.0))
