# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Figures of fine-tuning: what a run left in its folder, whether they are of the model that is there now, and which
learning rate was best."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..shared_files import written_whole
from ..weights import file_sha256, weight_files
from .cells import NotFilledError
from .plan import ERROR_RATES, Task


class KeptFigures:
    """The figures of a fine-tuning that has ended, in a file that says which model they are of.

    Args:
        path: The file.
        model: The folder of the model that was fine-tuned.
        random_weights: Whether only its network was, so that its weights do not matter.
    """

    def __init__(self, path: Path, model: Path, *, random_weights: bool) -> None:
        self.path = path
        self.parts = [model / "config.json", *(() if random_weights else weight_files(model))]

    def read(self) -> dict[str, Any] | None:
        """The figures; `None` if there are none, or they are of another model."""
        if not self.path.is_file():
            return None
        figures = read_json(self.path)
        digest = figures.pop("model", None)
        if digest is None:  # of a version that did not tell the model: they count if they came after it
            is_of_model = self.path.stat().st_mtime >= max(part.stat().st_mtime for part in self.parts)
        else:
            is_of_model = digest == self._digest()
        return figures if is_of_model else None

    def write(self, figures: Mapping[str, Any]) -> None:
        with written_whole(self.path) as beside:
            beside.write_text(json.dumps({**figures, "model": self._digest()}), encoding="utf-8")

    def _digest(self) -> str:
        return " ".join(map(file_sha256, self.parts))


def figures_of_run(folder: Path, task: Task, seconds: Mapping[str, float]) -> dict[str, Any]:
    """The task's metric, and what the run took.

    Raises:
        ValueError: The script measured no such metric, or nothing on validation or test.
    """
    validation, test = (_metric(folder, split, task) for split in ("eval", "test"))
    training = read_json(folder / "train_results.json")["train_runtime"]
    share = min(1.0, training / seconds["wall_seconds"])
    steps = read_json(folder / "trainer_state.json")["global_step"]
    return {"validation": validation, "test": test, "steps": steps, "training_share": round(share, 3), **seconds}


def figures_of_best(runs: Mapping[float, Mapping[str, Any]], task: Task) -> dict[str, Any]:
    """Of the runs at several learning rates the figures of the one that is best on validation; what is no number is
    worse than any number.

    Raises:
        NotFilledError: None is a number.
    """
    sign = 1 if task.metric in ERROR_RATES else -1
    finite = [rate for rate, run in runs.items() if math.isfinite(run["validation"])]
    chosen = min(finite, key=lambda rate: sign * runs[rate]["validation"], default=None)
    if chosen is None or not math.isfinite(runs[chosen]["test"]):
        rates = ", ".join(map(str, runs))
        raise NotFilledError(f"{task.metric} of the task {task.name!r} is no number at the learning rates {rates}.")
    tried = {str(rate): run["validation"] if rate in finite else None for rate, run in runs.items()}
    return {
        "method": "fine-tuning", "metric": task.metric, **runs[chosen], "chosen": {"learning_rate": chosen},
        "tried": tried,
    }  # fmt: skip


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _metric(folder: Path, split: str, task: Task) -> float:
    path = folder / f"{split}_results.json"
    if not path.is_file():
        what = {"eval": "validation", "test": "test"}[split]
        raise ValueError(
            f"{task.script} measured nothing on {what}: there is no {path}. The flags of the task {task.name!r} must "
            f"name data for {what}."
        )
    measured = {name.removeprefix(f"{split}_"): value for name, value in read_json(path).items()}
    if task.metric not in measured:
        raise ValueError(
            f"{task.script} does not measure {task.metric!r}, the metric of the task {task.name!r}. In {path} there "
            f"are {', '.join(sorted(measured))}."
        )
    return measured[task.metric]
