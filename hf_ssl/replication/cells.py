# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The cells of a replication's table: which there are, and which are filled.

A cell is filled if the results file has its line. The line carries a fingerprint of the settings that made it, so that
a changed plan leaves no figure of the old one in the table.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..results import read_results
from .plan import Method, Plan, Task, fingerprint

Budget = Literal["steps", "time", "none"]
# What tables, charts and logs call the budgets of pre-training.
BUDGET_NAMES = {"steps": "equal updates", "time": "equal time"}


class Cell(NamedTuple):
    """One pre-training, or none: `budget` is `"none"` for random weights and features without a network."""

    method: str
    budget: Budget
    seed: int


class NotFilledError(ValueError):
    """A cell cannot be filled now; others need not wait for it."""


class Filled(NamedTuple):
    """What a results file knows of a plan.

    Attributes:
        pretraining: The line of each pre-trained cell.
        figures: The lines of each measured cell and task, one per reader and metric.
    """

    pretraining: dict[Cell, dict[str, Any]]
    figures: dict[tuple[Cell, str], list[dict[str, Any]]]


def cells(plan: Plan) -> Iterator[Cell]:
    """All cells, seed by seed, so that the table fills evenly; what others are derived from comes first."""
    pretrained = [name for name, method in plan.methods.items() if method.script is not None]
    # With total_time the learning rate comes from the same random weights without it.
    others = [name for name in plan.methods if name not in pretrained]
    untrained = sorted(others, key=lambda name: plan.methods[name].total_time)
    for seed in plan.seeds:
        yield from (Cell(name, "steps", seed) for name in pretrained)
        yield from (Cell(name, "none", seed) for name in untrained)
        if plan.time_of is not None:
            yield from (Cell(name, "time", seed) for name in pretrained if name != plan.time_of)


def read_filled(plan: Plan, path: Path) -> Filled:
    """The cells that a results file has figures of, made with the settings of this plan.

    Of the same thing told twice the later line counts, and figures of a pre-trained cell only behind the line of that
    pre-training: those before it are of another model.
    """
    marks = {cell: pretraining_mark(plan, cell) for cell in cells(plan)}
    pretraining: dict[Cell, dict[str, Any]] = {}
    figures: dict[Cell, dict[tuple[str, str, str], dict[str, Any]]] = {}
    for line in read_results(path) if path.is_file() else []:
        if line["what"] not in ("pretraining", "replication"):
            continue
        cell = Cell(line["method"], line["budget"], line["seed"])
        if marks.get(cell) != line["pretraining_mark"]:
            continue
        if line["what"] == "pretraining":
            if pretraining.get(cell) != line:
                figures.pop(cell, None)
            pretraining[cell] = line
        elif (cell in pretraining or cell.budget == "none") and _is_figure_of(plan, line):
            figures.setdefault(cell, {})[line["task"], line["reader"], line["metric"]] = line
    return Filled(pretraining, _by_task(figures))


def pretraining_mark(plan: Plan, cell: Cell) -> str:
    """Changes with what makes a cell's model, and what determines how long it is trained."""
    method = plan.methods[cell.method]
    settings = _training(plan, method)
    if method.untrained is not None:
        network = _training(plan, plan.methods[method.untrained])
        timed = (plan.steps, plan.clock, plan.seeds[0], "total_time") if method.total_time else ()
        return fingerprint("untrained", network, *timed)
    if cell.budget == "time":
        assert plan.time_of is not None
        time_of = _training(plan, plan.methods[plan.time_of])
        return fingerprint(settings, (plan.steps, plan.clock, plan.seeds[0], time_of))
    return fingerprint(settings, (plan.steps,))


def task_mark(task: Task) -> str:
    """Changes with what makes a task's figures; not where a field is added that the task leaves as it is."""
    return fingerprint({entry.name: vars(task)[entry.name] for entry in fields(task) if _is_set(task, entry)})


def is_measurable(method: Method, task: Task) -> bool:
    """Whether a method can have a figure in a task: without a network there is nothing to fine-tune, and the time of
    fine-tuning says nothing about probes."""
    return not method.without_network if task.probe is None else not method.total_time


def _by_task(
    figures: Mapping[Cell, Mapping[tuple[str, str, str], dict[str, Any]]],
) -> dict[tuple[Cell, str], list[dict[str, Any]]]:
    grouped: dict[tuple[Cell, str], list[dict[str, Any]]] = {}
    for cell, lines in figures.items():
        for (task, _, _), line in lines.items():
            grouped.setdefault((cell, task), []).append(line)
    return grouped


def _is_figure_of(plan: Plan, line: Mapping[str, Any]) -> bool:
    return line["task"] in plan.tasks and line["task_mark"] == task_mark(plan.tasks[line["task"]])


def _is_set(task: Task, entry: Field) -> bool:
    default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
    return vars(task)[entry.name] != default


def _training(plan: Plan, method: Method) -> tuple[Any, ...]:
    return method.script, method.recipe, dict(method.flags), dict(plan.pretraining), list(plan.data)
