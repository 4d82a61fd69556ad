# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The picture of a replication: every task's figure against the time of pre-training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .cells import Filled
from .plan import NO_SHARES, Plan
from .table import Column, columns

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which colour-blind people can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = {"steps": "o", "time": "s"}


def draw_chart(plan: Plan, filled: Filled, path: Path) -> None:
    """Draws a chart per task and metric: circles for equal updates, squares for equal time, a dashed line for what
    needs no pre-training (mean over seeds).

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
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=120)


def _legend(charts: Sequence[Axes], plan: Plan) -> dict[str, Artist]:
    """The mark of every method that any chart has, in the plan's order."""
    found: dict[str, Artist] = {}
    for chart in charts:
        handles, labels = chart.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    return {name: found[name] for name in plan.methods if name in found}


def _draw_column(chart: Axes, plan: Plan, filled: Filled, column: Column) -> None:
    chart.set_title(f"{column.task} ({column.reader.replace('_', ' ')})", fontsize=10)
    chart.set_xlabel(f"minutes of pre-training ({plan.clock})")
    is_share = column.metric not in NO_SHARES
    chart.set_ylabel(f"{column.metric}, test (%)" if is_share else f"{column.metric}, test")
    chart.grid(alpha=0.25)
    chart.spines[["top", "right"]].set_visible(False)
    for number, (name, method) in enumerate(plan.methods.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [
            (cell, figure["test"] * (100 if is_share else 1))
            for (cell, task), figures in filled.figures.items()
            for figure in figures
            if (cell.method, task, figure["reader"], figure["metric"]) == (name, *column)
        ]
        if method.script is None and points:
            level = sum(value for _, value in points) / len(points)
            chart.axhline(level, color=colour, linestyle="--", linewidth=1, label=name)
        for cell, value in points if method.script is not None else ():
            minutes = filled.pretraining[cell][f"{plan.clock}_seconds"] / 60
            chart.plot(minutes, value, _MARKERS[cell.budget], color=colour, alpha=0.8, label=name)
