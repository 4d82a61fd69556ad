# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The cells of a replication's table: which there are, and which are filled.

A cell is filled if the results file has its line. The line carries a fingerprint of the settings that made it, so that
a changed plan leaves no figure of the old one in the table.
"""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..results import read_results
from .plan import Method, Plan, Task, fingerprint

Budget = Literal["steps", "time", "none"]


class Cell(NamedTuple):
    """One pre-training, or none: `budget` is `"none"` for random weights and features without a network."""

    method: str
    budget: Budget
    seed: int


class Filled(NamedTuple):
    """What a results file knows of a plan.

    Attributes:
        pretraining: The line of each pre-trained cell.
        figures: The lines of each measured cell and task.
    """

    pretraining: dict[Cell, dict[str, Any]]
    figures: dict[tuple[Cell, str], list[dict[str, Any]]]


def cells(plan: Plan) -> Iterator[Cell]:
    """All cells, seed by seed, so that the table fills evenly; what others are derived from comes first."""
    pretrained = [name for name, method in plan.methods.items() if method.script is not None]
    for seed in plan.seeds:
        yield from (Cell(name, "steps", seed) for name in pretrained)
        yield from (Cell(name, "none", seed) for name in plan.methods if name not in pretrained)
        if plan.time_of is not None:
            yield from (Cell(name, "time", seed) for name in pretrained if name != plan.time_of)


def read_filled(plan: Plan, path: Path) -> Filled:
    """The cells that a results file has figures of, made with the settings of this plan."""
    lines = read_results(path) if path.is_file() else []
    marks = {cell: pretraining_mark(plan, cell) for cell in cells(plan)}
    pretraining: dict[Cell, dict[str, Any]] = {}
    figures: dict[tuple[Cell, str], list[dict[str, Any]]] = {}
    for line in lines:
        if line["what"] not in ("pretraining", "replication"):
            continue
        cell = Cell(line["method"], line["budget"], line["seed"])
        if marks.get(cell) != line["pretraining_mark"]:
            continue
        if line["what"] == "pretraining":
            pretraining[cell] = line
        elif line["task"] in plan.tasks and line["task_mark"] == task_mark(plan.tasks[line["task"]]):
            figures.setdefault((cell, line["task"]), []).append(line)
    return Filled(pretraining, figures)


def pretraining_mark(plan: Plan, cell: Cell) -> str:
    """Changes with what makes a cell's model."""
    method = plan.methods[cell.method]
    budget = (plan.steps, plan.time_of, plan.clock) if cell.budget == "time" else (plan.steps,)
    if method.untrained is not None:
        return fingerprint("untrained", _training(plan, plan.methods[method.untrained]))
    return fingerprint(_training(plan, method), budget)


def task_mark(task: Task) -> str:
    """Changes with what makes a task's figures; not where a field is added that the task leaves as it is."""
    return fingerprint({entry.name: vars(task)[entry.name] for entry in fields(task) if _is_set(task, entry)})


def is_measurable(method: Method, task: Task) -> bool:
    """Whether a method can have a figure in a task: without a network there is nothing to fine-tune, and the time of
    fine-tuning says nothing about probes."""
    return not method.without_network if task.probe is None else not method.total_time


def _is_set(task: Task, entry: Field) -> bool:
    default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
    return vars(task)[entry.name] != default


def _training(plan: Plan, method: Method) -> tuple[Any, ...]:
    return method.script, method.recipe, dict(method.flags), dict(plan.pretraining), list(plan.data)
