# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""How many updates a cell gets."""

from collections.abc import Mapping
from typing import Any

from .cells import Cell, Filled, NotFilledError
from .plan import Plan, Task


def num_steps(plan: Plan, cell: Cell, pretraining: Mapping[Cell, Mapping[str, Any]]) -> int:
    """Updates of a cell: the plan's, or as many as take the time of the method that sets it.

    What an update of either method takes is measured in the cells of equal updates of the first seed, so that all
    seeds of a method get the same number.

    Raises:
        NotFilledError: These have not been run yet.
    """
    if cell.budget == "steps":
        return plan.steps
    assert plan.time_of is not None
    seconds = []
    for method in (plan.time_of, cell.method):
        measured = pretraining.get(Cell(method, "steps", plan.seeds[0]))
        if measured is None:
            raise NotFilledError(
                f"What an update takes is not known yet: run the cell {method}, equal updates, first."
            )
        seconds.append(measured[f"{plan.clock}_seconds"] / measured["steps"])
    return max(1, round(plan.steps * seconds[0] / seconds[1]))


def total_time_steps(plan: Plan, cell: Cell, task: Task, filled: Filled) -> int:
    """Updates of fine-tuning random weights that take the time of pre-training and fine-tuning together.

    What both take is measured in the first seed's cell of the method whose network it is. Only the training itself of
    a fine-tuning counts: its share of the program's wall-clock time.

    Raises:
        NotFilledError: That cell has not been run yet.
    """
    method = plan.methods[cell.method].untrained
    assert method is not None
    trained = Cell(method, "steps", plan.seeds[0])
    pretraining, figures = filled.pretraining.get(trained), filled.figures.get((trained, task.name))
    if pretraining is None or not figures:
        raise NotFilledError(f"What {task.name} takes is not known yet: run it for {method}, equal updates, first.")
    figure, steps = figures[0], task.flags["max_steps"]
    clock = f"{plan.clock}_seconds"
    per_step = figure[clock] * figure["training_share"] / steps
    return steps + round(pretraining[clock] / per_step)
