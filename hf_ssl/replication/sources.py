# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Whether a replication's data are there, asked before hours of training and not after them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets

from .cells import Cell
from .plan import Plan, Task


def check_sources(plan: Plan, jobs: Iterable[tuple[Cell, Task | None]]) -> None:
    """Checks that the data of some pre-trainings (no task) and measurements exist.

    Raises:
        ValueError: Some are neither here nor, as far as can be asked, on the Hub; all are named.
    """
    users: dict[str, str] = {}
    for cell, task in jobs:
        wanted = _of_pretraining(plan, cell) if task is None else _of_task(task)
        users |= dict.fromkeys(wanted, "pre-training" if task is None else f"the task {task.name!r}")
    missing = [f"{source} (for {user})" for source, user in users.items() if _is_missing(source)]
    if missing:
        raise ValueError(
            f"Some of the plan's data do not exist: {', '.join(missing)}. Run in the folder that has them, or "
            "say where they are with --folder NAME=PATH."
        )


def _of_pretraining(plan: Plan, cell: Cell) -> list[str]:
    flags = {**plan.pretraining, **plan.methods[cell.method].flags}
    return [*plan.data, *_named_in(flags)]


def _of_task(task: Task) -> list[str]:
    found = [task.data] if task.data is not None else []
    return [*found, *_named_in(task.flags), *_named_in(task.untrained_flags or {})]


def _named_in(flags: Mapping[str, Any]) -> Iterator[str]:
    """What flags of scripts name: `data`, `eval_data`, `test_file` and their like."""
    for name, value in flags.items():
        if value is not None and (name == "data" or name.endswith(("_data", "_file"))):
            values: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
            yield from map(str, values)


def _is_missing(source: str) -> bool:
    if Path(source).expanduser().exists():
        return False
    if source.startswith(("/", "~", ".")) or source.count("/") > 1:  # cannot be a name on the Hub
        return True
    name, _, config = source.partition(":")
    try:
        datasets.get_dataset_split_names(name, config or None)
    except FileNotFoundError:
        return True
    except (ConnectionError, ValueError):  # the Hub cannot be asked, or has several configurations
        return False
    return False
