# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The course of a run: what was logged, as a table of a few updates and as a picture of all."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

PICTURE_NAME = "curves.png"

_NUM_COLUMNS = 6
_CHARTS_PER_ROW = 4
_NOT_SHOWN = ("epoch", "step", "total_flos", "codes_counted", "visible_share", "num_input_tokens_seen")


def course_table(log: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a row per figure of training, a column per update; values are those of that log, or a dash.

    Args:
        log: The trainer's, oldest entry first.

    Returns:
        The table; an empty string if fewer than two updates were logged.
    """
    entries = _entries(log)
    if len(entries) < 2:
        return ""
    chosen = [entries[row] for row in np.unique(np.linspace(0, len(entries) - 1, _NUM_COLUMNS).round().astype(int))]
    names = _names(chosen)
    lines = [
        "| after so many updates | " + " | ".join(f"{entry['step']:,}" for entry in chosen) + " |",
        "|---" * (len(chosen) + 1) + "|",
        *("| " + " | ".join([name, *(_value(entry.get(name)) for entry in chosen)]) + " |" for name in names),
    ]
    return "\n".join(lines)


def draw_course(log: Sequence[Mapping[str, Any]], folder: str | Path) -> bool:
    """Draws a small chart per figure of training into `curves.png`, unless fewer than two updates were logged, or
    matplotlib is not installed (it is in the extra [demo]).

    Args:
        log: The trainer's, oldest entry first.
        folder: Takes the picture.

    Returns:
        Whether there is a picture.
    """
    entries = _entries(log)
    if len(entries) < 2 or find_spec("matplotlib") is None:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = _names(entries)
    width = min(_CHARTS_PER_ROW, len(names))
    height = -(-len(names) // width)
    figure = Figure(figsize=(3 * width, 2.1 * height), layout="constrained")
    FigureCanvasAgg(figure)
    charts = list(figure.subplots(height, width, squeeze=False).flat)
    for chart, name in zip(charts, names, strict=False):
        points = [(entry["step"], entry[name]) for entry in entries if isinstance(entry.get(name), int | float)]
        chart.plot(*zip(*points, strict=True), color="#0072B2", linewidth=1.2)
        chart.set_title(name, fontsize=9)
        chart.tick_params(labelsize=7)
        chart.grid(alpha=0.25)
        chart.spines[["top", "right"]].set_visible(False)
    for chart in charts[len(names) :]:
        chart.set_visible(False)
    figure.supxlabel("updates", fontsize=8)
    figure.savefig(Path(folder, PICTURE_NAME), dpi=110)
    return True


def _entries(log: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [entry for entry in log if "loss" in entry and "step" in entry]


def _names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of the figures to show: the loss, then the others in the order in which they were logged first."""
    names = dict.fromkeys(name for entry in entries for name in entry if _is_shown(name))
    return sorted(names, key=lambda name: name != "loss")


def _is_shown(name: str) -> bool:
    return name not in _NOT_SHOWN and not name.endswith("_per_second")


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "-"
