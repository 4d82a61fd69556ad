# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The table of a replication in Markdown, as far as it is filled."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .cells import BUDGET_NAMES, Filled
from .plan import NO_SHARES, Plan

# What the last log of a pre-training says of collapse, of data2vec's family, of BEST-RQ and of data2vec-aqc.
_COLLAPSE = ("between_utterance_share", "codebook_usage", "collision_share")


class Column(NamedTuple):
    """A task, what reads the features, and the metric."""

    task: str
    reader: str
    metric: str


def columns(plan: Plan, filled: Filled) -> list[Column]:
    """What has been measured, in the plan's order."""
    found: dict[Column, None] = {}
    for task in plan.tasks:
        for (_, name), figures in filled.figures.items():
            if name == task:
                found |= dict.fromkeys(Column(task, figure["reader"], figure["metric"]) for figure in figures)
    return list(found)


def markdown_table(plan: Plan, filled: Filled) -> str:
    """A row per method and budget: seeds, updates, time and collapse of pre-training, and for every task the mean over
    seeds on test with the smallest and the largest. A dash stands where nothing has been measured. A figure of fewer
    seeds than the row's says so."""
    header = columns(plan, filled)
    logged = [name for name in _COLLAPSE if any(name in line.get("last", {}) for line in filled.pretraining.values())]
    titles = ["method", "budget", "seeds", "updates", f"pre-training, {plan.clock} minutes"]
    titles += [f"{name} at the end" for name in logged]
    titles += [f"{column.task}: {column.metric} ({column.reader.replace('_', ' ')})" for column in header]
    rows = [titles, ["---"] * len(titles)]
    for method, budget in _rows(plan):
        figures = [_figures(filled, method, budget, column) for column in header]
        trained = [line for cell, line in filled.pretraining.items() if (cell.method, cell.budget) == (method, budget)]
        minutes = [line[f"{plan.clock}_seconds"] / 60 for line in trained]
        seeds = max((len(values) for values in figures), default=0)
        steps = ", ".join(str(steps) for steps in sorted({line["steps"] for line in trained}))
        time = f"{np.mean(minutes):.1f}" if minutes else "-"
        collapse = [_last(trained, name) for name in logged]
        row = [method, BUDGET_NAMES.get(budget, ""), str(seeds), steps or "-", time, *collapse]
        told = [_told(values, column.metric, seeds) for values, column in zip(figures, header, strict=True)]
        rows.append([*row, *told])
    return markdown_rows(rows)


def markdown_rows(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as Markdown; the second is the line below the header."""
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def mean_and_spread(values: Sequence[float], template: str = "{:.1%}", remark: str = "") -> str:
    """The mean, and where they differ the smallest and the largest; a dash if there is none.

    Args:
        values: Shares, if there is no other template.
        template: How one is written: in per cent.
        remark: Stands behind the mean too.
    """
    if not values:
        return "-"
    write = template.format
    spread = f"{write(min(values))} to {write(max(values))}" if min(values) < max(values) else ""
    remarks = "; ".join(filter(None, (spread, remark)))
    return write(np.mean(values)) + (f" ({remarks})" if remarks else "")


def _told(values: Sequence[float], metric: str, seeds: int) -> str:
    """What stands in a cell of a row of so many seeds."""
    remark = "" if len(values) == seeds else f"{len(values)} seed{'s' if len(values) > 1 else ''}"
    return mean_and_spread(values, "{:.3f}" if metric in NO_SHARES else "{:.1%}", remark)


def _last(trained: Sequence[Mapping[str, Any]], name: str) -> str:
    """The mean over seeds of a figure at the end of pre-training."""
    values = [line["last"][name] for line in trained if name in line.get("last", {})]
    return f"{np.mean(values):.2f}" if values else "-"


def _rows(plan: Plan) -> Iterator[tuple[str, str]]:
    for name, method in plan.methods.items():
        yield name, "none" if method.script is None else "steps"
        if method.script is not None and plan.time_of not in (None, name):
            yield name, "time"


def _figures(filled: Filled, method: str, budget: str, column: Column) -> list[float]:
    """Test figures of all seeds."""
    return [
        figure["test"]
        for (cell, task), figures in filled.figures.items()
        for figure in _of(figures, column)
        if (cell.method, cell.budget, task) == (method, budget, column.task)
    ]


def _of(figures: Sequence[Mapping[str, Any]], column: Column) -> list[Mapping[str, Any]]:
    return [figure for figure in figures if (figure["reader"], figure["metric"]) == (column.reader, column.metric)]
