# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fills the cells of a replication's table, one process per training, so that it can be stopped and continued."""

import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..evaluation.baselines import baseline_of
from ..evaluation.encoders import Representer, load_frozen_encoder
from ..evaluation.probe_data import DataConfig, ProbeData, load_probe_data
from ..evaluation.probe_encoder import TASKS_OF_FRAMES, probe_encoder
from ..results import append_result
from ..shared_files import claimed
from .budgets import num_steps, total_time_steps
from .cells import (
    BUDGET_NAMES,
    Budget,
    Cell,
    Filled,
    NotFilledError,
    cells,
    is_measurable,
    pretraining_mark,
    read_filled,
    task_mark,
)
from .finetuned import KeptFigures, figures_of_best, figures_of_run, read_json
from .plan import Plan, Task, fingerprint
from .sources import check_sources

logger = logging.getLogger(__name__)

RESULTS_NAME = "results.jsonl"


class ScriptRunner:
    """Runs training scripts in processes of their own.

    Args:
        scripts: The folder they are in; recipes are relative to it.
    """

    def __init__(self, scripts: Path) -> None:
        self.scripts = scripts

    def __call__(self, script: str, recipe: str | None, flags: Mapping[str, Any], log: Path) -> dict[str, float]:
        """Runs one to its end.

        Args:
            script, recipe: Relative to the folder of scripts.
            flags: Lists give several values, mappings JSON, `true` the word `True`; see `command_line`.
            log: Takes what it prints.

        Returns:
            `wall_seconds` and `cpu_seconds` that it took, data loading and the start of the program included.

        Raises:
            RuntimeError: It failed; has the end of what it printed.
        """
        command = [sys.executable, str(self.scripts / script)]
        command += ([str(self.scripts / recipe)] if recipe is not None else []) + command_line(flags)
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        with open(log, "w", encoding="utf-8") as file:
            # The script takes the claim on its cell over, and holds it if this process is killed.
            status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, close_fds=False).returncode
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if status:
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            raise RuntimeError(f"{script} ended with status {status}; all it printed is in {log}:\n{tail}")
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"wall_seconds": round(wall, 1), "cpu_seconds": round(cpu, 1)}


def command_line(flags: Mapping[str, Any]) -> list[str]:
    """Flags as words; one whose value is `None` is left out."""
    words: list[str] = []
    for name, value in flags.items():
        if value is None:
            continue
        if isinstance(value, dict):
            words.append(f"--{name}={json.dumps(value)}")
        elif isinstance(value, list | tuple):
            words += [f"--{name}", *map(str, value)]
        else:
            words += [f"--{name}", str(value)]
    return words


class Replication:
    """A plan and the folder in which its table is filled.

    Args:
        plan: What to compare.
        folder: Takes models, logs, features, `results.jsonl`, and empty files that say what a process is at.
        run_script: Runs a training script.
        command: What was typed, for the results.
    """

    def __init__(self, plan: Plan, folder: Path, run_script: ScriptRunner, command: Sequence[str]) -> None:
        self.plan = plan
        self.folder = folder
        self.run_script = run_script
        self.command = command
        self.results = folder / RESULTS_NAME
        folder.mkdir(parents=True, exist_ok=True)

    def filled(self) -> Filled:
        return read_filled(self.plan, self.results)

    def fill(
        self,
        *,
        methods: Sequence[str] = (),
        tasks: Sequence[str] = (),
        seeds: Sequence[int] = (),
        budgets: Sequence[Budget] = (),
        minutes: float | None = None,
    ) -> Iterator[None]:
        """Fills what is empty; yields after each training and each figure.

        What cannot be filled now (see `NotFilledError`) is left out; what another process is filling too.

        Args:
            methods, tasks, seeds, budgets: Only these; all if none is given.
            minutes: Begin nothing after so many minutes.

        Raises:
            NotFilledError: At the end: something was left out; all of it is named.
            ValueError: Something is wrong with the plan, or its data are missing.
            RuntimeError: A script failed. What was filled stays.
        """
        deadline = None if minutes is None else time.monotonic() + 60 * minutes
        jobs = list(self._jobs(methods, tasks, seeds, budgets))
        filled = self.filled()
        check_sources(self.plan, (job for job in jobs if not _is_filled(filled, *job)))
        reasons: dict[str, None] = {}
        for cell, task in jobs:
            try:
                if not self._fill_one(cell, task):
                    continue
            except NotFilledError as error:
                logger.warning(f"Left out: {error}")
                reasons[str(error)] = None
                continue
            yield
            if deadline is not None and time.monotonic() > deadline:
                logger.info("The time is up; the same command goes on where this one ends.")
                return
        if reasons:
            raise NotFilledError("Not everything could be filled:\n" + "\n".join(reasons))

    def _jobs(
        self, methods: Sequence[str], tasks: Sequence[str], seeds: Sequence[int], budgets: Sequence[Budget]
    ) -> Iterator[tuple[Cell, Task | None]]:
        """The pre-training (no task) and the measurements of all chosen cells, whether they are filled or not."""
        for cell in cells(self.plan):
            chosen = ((cell.method, methods), (cell.seed, seeds), (cell.budget, budgets))
            if any(these and one not in these for one, these in chosen):
                continue
            if cell.budget != "none":
                yield cell, None
            for name, task in self.plan.tasks.items():
                if (not tasks or name in tasks) and is_measurable(self.plan.methods[cell.method], task):
                    yield cell, task

    def _fill_one(self, cell: Cell, task: Task | None) -> bool:
        """Pre-trains a cell (no task) or measures it, if that is open and nobody else is at it; whether it was so."""
        if not self._is_open(cell, task):
            return False
        what = f"{_name(cell)}: {'pre-training' if task is None else task.name}"
        with claimed(self._claim(cell, task)) as is_ours:
            if not is_ours:
                logger.info(f"{what}: another process is at it")
            if not is_ours or not self._is_open(cell, task):  # it may just have ended
                return False
            logger.info(what)
            if task is None:
                self._pretrain(cell)
            else:
                self._measure(cell, task)
        return True

    def _is_open(self, cell: Cell, task: Task | None) -> bool:
        """Whether something is not filled, and what is measured has been pre-trained."""
        filled = self.filled()
        is_ready = task is None or cell.budget == "none" or cell in filled.pretraining
        return is_ready and not _is_filled(filled, cell, task)

    def _claim(self, cell: Cell, task: Task | None) -> Path:
        marks = pretraining_mark(self.plan, cell), None if task is None else (task.name, task_mark(task))
        return self.folder / "claims" / fingerprint(cell, *marks)

    def model_folder(self, cell: Cell) -> Path:
        """Where the cell's model is; with random weights, the model of the first seed whose network it has."""
        untrained = self.plan.methods[cell.method].untrained
        if untrained is not None:
            cell = Cell(untrained, "steps", self.plan.seeds[0])
        return self.folder / f"{cell.method}-{cell.budget}-{cell.seed}-{pretraining_mark(self.plan, cell)}"

    def _pretrain(self, cell: Cell) -> None:
        method, plan = self.plan.methods[cell.method], self.plan
        assert method.script is not None
        steps, output = num_steps(plan, cell, self.filled().pretraining), self.model_folder(cell)
        logger.info(f"{steps} updates")
        output.mkdir(parents=True, exist_ok=True)
        flags = {
            **plan.pretraining, **method.flags, "data": list(plan.data), "max_steps": steps, "seed": cell.seed,
            "output_dir": str(output),
        }  # fmt: skip
        seconds = self.run_script(method.script, method.recipe, flags, output / "_log.txt")
        last = _last_figures(output)
        self._append(cell, {"what": "pretraining", "steps": steps, **seconds, "last": last})

    def _measure(self, cell: Cell, task: Task) -> None:
        for figure in self._probe(cell, task) if task.probe is not None else self._finetune(cell, task):
            self._append(cell, {"what": "replication", "task": task.name, "task_mark": task_mark(task), **figure})

    def _probe(self, cell: Cell, task: Task) -> list[dict[str, Any]]:
        assert task.probe is not None
        assert task.column is not None
        assert task.data is not None
        data = load_probe_data(DataConfig(task.data, task.column), self.plan.modality, task.probe)
        figures = probe_encoder(
            task.probe,
            self._encoder(cell, data),
            data,
            seeds=[cell.seed],
            methods=task.readers,
            cache=None if task.probe in TASKS_OF_FRAMES else self.folder / "features",  # frames fill disks
        )
        return [asdict(figure) | {"seed": cell.seed} for figure in figures]

    def _trained_model(self, cell: Cell) -> Path:
        """The folder of the cell's model; with random weights, of any seed's model whose network it has.

        Raises:
            NotFilledError: It is not here.
        """
        method = self.plan.methods[cell.method].untrained
        folders = [self.model_folder(cell)]
        if method is not None:
            folders = [self.model_folder(Cell(method, "steps", seed)) for seed in (cell.seed, *self.plan.seeds)]
        for folder in folders:
            if (folder / "config.json").is_file():
                return folder
        raise NotFilledError(f"{_name(cell)} has the network of a model that is not pre-trained yet: run that first.")

    def _encoder(self, cell: Cell, data: ProbeData) -> Representer:
        method = self.plan.methods[cell.method]
        if method.without_network:
            return baseline_of(self.plan.modality, data.train.items)[1]
        return load_frozen_encoder(
            str(self._trained_model(cell)), untrained_seed=None if method.untrained is None else cell.seed
        )

    def _finetune(self, cell: Cell, task: Task) -> list[dict[str, Any]]:
        """Fine-tunes at every learning rate; the figures of the one that is best on validation."""
        return [figures_of_best({rate: self._finetune_at(cell, task, rate) for rate in self._rates(cell, task)}, task)]

    def _rates(self, cell: Cell, task: Task) -> Sequence[float]:
        method = self.plan.methods[cell.method]
        if not method.total_time:
            return (task.untrained_learning_rates if method.untrained is not None else ()) or task.learning_rates
        other = Cell(self.plan.with_equal_updates(method), "none", cell.seed)
        figures = self.filled().figures.get((other, task.name))
        if not figures:
            raise NotFilledError(f"The learning rate for {_name(cell)} is not known yet: run {_name(other)} first.")
        return [figures[0]["chosen"]["learning_rate"]]

    def _finetune_at(self, cell: Cell, task: Task, rate: float) -> dict[str, Any]:
        """The figures at one learning rate. They stay in the run's folder: a further rate costs only itself."""
        assert task.script is not None
        flags = self._finetuning_flags(cell, task) | {"learning_rate": rate, "seed": cell.seed}
        model = self._trained_model(cell)
        # The folder is named after that of the first seed's model, whichever has the network of random weights.
        name = fingerprint(task.script, task.recipe, task.metric, self.model_folder(cell).name, flags)
        output = self.folder / "fine-tuned" / name
        random_weights = self.plan.methods[cell.method].untrained is not None
        kept = KeptFigures(output / "_figures.json", model, random_weights=random_weights)
        if (figures := kept.read()) is None:
            output.mkdir(parents=True, exist_ok=True)
            flags |= {"model_name_or_path": str(model), "output_dir": str(output)}
            seconds = self.run_script(task.script, task.recipe, flags, output / "_log.txt")
            figures = figures_of_run(output, task, seconds)
            kept.write(figures)
        return figures

    def _finetuning_flags(self, cell: Cell, task: Task) -> dict[str, Any]:
        """What the script gets beside model, learning rate, seed and folder."""
        method = self.plan.methods[cell.method]
        if method.untrained is None:
            return dict(task.flags)
        flags = {**(task.flags if task.untrained_flags is None else task.untrained_flags), "from_scratch": True}
        if method.total_time:
            flags["max_steps"] = total_time_steps(self.plan, cell, task, self.filled())
        return flags

    def _append(self, cell: Cell, figures: Mapping[str, Any]) -> None:
        """Adds a line; what `measure` calls method is the reader of a method's features here."""
        reader = {"reader": figures["method"]} if "method" in figures else {}
        line = {**figures, **reader, **cell._asdict(), "pretraining_mark": pretraining_mark(self.plan, cell)}
        append_result(self.results, line, command=self.command)


def _is_filled(filled: Filled, cell: Cell, task: Task | None) -> bool:
    return cell in filled.pretraining if task is None else (cell, task.name) in filled.figures


def _last_figures(folder: Path) -> dict[str, float]:
    """The last value of everything that the training logged."""
    history = read_json(folder / "trainer_state.json")["log_history"]
    merged: dict[str, float] = {}
    for entry in history:
        merged |= {name: value for name, value in entry.items() if isinstance(value, int | float)}
    return {name: value for name, value in merged.items() if value == value and abs(value) != float("inf")}


def _name(cell: Cell) -> str:
    return f"{cell.method} ({BUDGET_NAMES.get(cell.budget, 'no training')}), seed {cell.seed}"
