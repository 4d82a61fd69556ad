# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The picture that the demo ends with: how pre-training went and what it is good for."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which colour-blind people can tell apart; the same arm has the same colour everywhere.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C8C8C"
ARM_COLOURS = (BLUE, ORANGE, GREY, PURPLE, GREEN)

TASK_TITLES = {
    "words": "Which word is it?",
    "voices": "Which voice is it?",
    "ctc": "Transcribing after fine-tuning",
}
METRIC_LABELS = {
    "accuracy": "Accuracy (%), higher is better",
    "wer": "Word error rate (%), lower is better",
    "cer": "Character error rate (%), lower is better",
}


@dataclass(frozen=True)
class Curve:
    """A figure of pre-training to draw over its steps.

    Args:
        key: Its name in the trainer's log.
        title, label: Over the chart, and at its vertical axis.
        colour: Of the line.
        reference: Name in the log of a figure to compare it with, drawn dashed in the same chart.
        reference_label: What that is.
    """

    key: str
    title: str
    label: str
    colour: str
    reference: str | None = None
    reference_label: str | None = None


def plot_demo(
    history: Sequence[dict[str, Any]], curves: Sequence[Curve], arms: Sequence[dict[str, Any]], path: str | Path
) -> Path:
    """Draws the demo's curves and results into one picture.

    The upper row shows pre-training over its steps: the curves, as far as the history has them. The lower row has one
    bar chart per task and metric, the value printed on each bar. Arms keep their colour over all charts. Without arms
    there is no lower row.

    Args:
        history (list of `dict`): `Trainer.state.log_history`; `step` and what the curves name are drawn, others
            ignored.
        curves (list of `Curve`): What to draw, in this order.
        arms (list of `dict`): Results, each `{"task": "ctc" or what was asked for, "arm": str, "test": float,
            "metric": "accuracy" | "wer" | "cer"}`, values as fractions; drawn in this order. An optional
            `"chance"` draws a line at the accuracy of guessing.
        path (`str` or `Path`): Where to write the PNG; its folder is created if needed.

    Returns:
        `Path`: `path`.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: The history has none of the curves, or a metric is not known.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'Drawing needs matplotlib, which is not installed. Install it with: pip install "hf-ssl[demo]"'
        ) from error

    charts = _group_by_chart(arms)
    drawn = [curve for curve in curves if any(curve.key in entry for entry in history)]
    if not drawn:
        raise ValueError(f"Expected a history with at least one of {[curve.key for curve in curves]}, got none.")
    colours = _arm_colours(arms)
    # A figure without pyplot: nothing global, no window, whatever backend the caller uses.
    figure = Figure(figsize=(max(12.0, 4.2 * len(charts)), 8.4), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    heights = (1, 1.15) if charts else (1,)
    rows: np.ndarray = figure.subfigures(len(heights), 1, height_ratios=heights, hspace=0.06, squeeze=False)
    upper, *lower = rows[:, 0]
    upper.suptitle("Pre-training: learning from sound alone", fontsize=15, fontweight="bold")
    for axes, curve in zip(upper.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        _draw_curve(axes, history, curve)
    for part in lower:
        part.suptitle("What it is good for", fontsize=15, fontweight="bold")
        all_axes = part.subplots(1, len(charts), squeeze=False)[0]
        for axes, ((task, metric), results) in zip(all_axes, charts.items(), strict=True):
            _draw_bars(axes, task, metric, results, colours)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
    return path


def _group_by_chart(arms: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    charts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for arm in arms:
        if arm["metric"] not in METRIC_LABELS:
            raise ValueError(f"Expected a metric of {list(METRIC_LABELS)}, got {arm['metric']!r}.")
        charts.setdefault((arm["task"], arm["metric"]), []).append(arm)
    return charts


def _arm_colours(arms: Sequence[dict[str, Any]]) -> dict[str, str]:
    names = list(dict.fromkeys(arm["arm"] for arm in arms))
    return {name: ARM_COLOURS[index % len(ARM_COLOURS)] for index, name in enumerate(names)}


def _draw_curve(axes: Axes, history: Sequence[dict[str, Any]], curve: Curve) -> None:
    axes.plot(*_steps_and_values(history, curve.key), color=curve.colour, linewidth=2)
    if curve.reference is not None:
        steps, values = _steps_and_values(history, curve.reference)
        axes.plot(steps, values, color="black", linestyle="--", linewidth=1.2, label=curve.reference_label)
        axes.legend(loc="lower left", frameon=False)
    axes.set_title(curve.title, fontsize=12)
    axes.set_xlabel("Training step")
    axes.locator_params(axis="x", integer=True)
    axes.set_ylabel(curve.label)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.margins(x=0.02)
    axes.spines[["top", "right"]].set_visible(False)


def _steps_and_values(history: Sequence[dict[str, Any]], key: str) -> tuple[list[int], list[float]]:
    entries = [entry for entry in history if key in entry]
    return [entry["step"] for entry in entries], [entry[key] for entry in entries]


def _draw_bars(axes: Axes, task: str, metric: str, results: Sequence[dict[str, Any]], colours: dict[str, str]) -> None:
    percentages = [100 * result["test"] for result in results]
    names = [result["arm"] for result in results]
    positions = range(len(results))
    bars = axes.bar(positions, percentages, width=0.68, color=[colours[name] for name in names])
    axes.bar_label(bars, labels=[f"{value:.1f}" for value in percentages], padding=3, fontsize=12, fontweight="bold")
    axes.set_xticks(positions, [_wrap(name) for name in names], fontsize=10)
    axes.set_title(TASK_TITLES.get(task, f"Which {task} is it?"), fontsize=12)
    axes.set_ylabel(METRIC_LABELS[metric])
    axes.set_ylim(0, 1.12 * max(100.0 if metric == "accuracy" else 1.0, *percentages))
    axes.spines[["top", "right"]].set_visible(False)
    chances = [100 * result["chance"] for result in results if "chance" in result]
    if chances:
        axes.axhline(max(chances), color="black", linestyle=":", linewidth=1.5, label=f"guessing: {max(chances):.1f}")
        axes.legend(loc="upper left", frameon=False)


def _wrap(name: str, width: int = 13) -> str:
    """Breaks a label into lines so that neighbours do not overlap."""
    return "\n".join(textwrap.wrap(name, width))
