# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a replication compares, read from a YAML file.

```yaml
data: [RECORDINGS/train]       # the unlabelled pool
steps: 1000                    # of every method's first budget
seeds: [1, 2, 3]
time_of: data2vec2             # second budget: what the steps of this method took
clock: cpu                     # or wall
pretraining: {max_seconds: 5}  # flags of all methods' scripts
methods:
  data2vec2: {script: pretrain_speech.py, recipe: recipes/data2vec2_audio_cpu_hour.yaml, flags: {}}
  random: {untrained: data2vec2}
  random, total time: {untrained: data2vec2, total_time: true}
  log-mel: {without_network: true}
tasks:
  digits: {probe: classification, data: DIGITS, column: label, readers: [weighted_sum, linear]}
  reading:
    script: finetune_ctc.py
    flags: {data: READ, eval_data: READ, test_split: test, max_steps: 300}
    metric: cer
    learning_rates: [5.0e-4, 1.0e-3]  # YAML reads 5e-4 as text
```
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from ..devices import check_accelerator
from ..evaluation.encoders import Modality
from ..evaluation.probe_data import ProbeTask
from ..evaluation.probe_tasks import Method as Reader
from ..evaluation.probe_tasks import methods_of

Clock = Literal["cpu", "wall"]

# Metrics of fine-tuning that are better if they are lower.
ERROR_RATES = ("cer", "wer", "eer", "loss")

# Metrics that are not written in per cent.
NO_SHARES = ("loss", "matthews_correlation", "pearsonr", "spearmanr")

# Said, and not only left out, because recipes may say otherwise.
_NOT_CPU = {"use_cpu": False}


@dataclass(frozen=True)
class Method:
    """One way to get features.

    Args:
        name: In the table.
        script: Pre-trains, of the folder of training scripts.
        recipe: For it, of the same folder.
        flags: For it, which win over the recipe and over those of all methods.
        untrained: Instead of a script: the method whose network this is, with random weights.
        total_time: Whether such a network is fine-tuned for as many updates as take the time of pre-training and
            fine-tuning together, at the learning rate that was best for the same network and `max_steps`; no probes.
        without_network: Instead of a script: log-mel statistics, pixels or TF-IDF; probes only.
    """

    name: str
    script: str | None = None
    recipe: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    untrained: str | None = None
    total_time: bool = False
    without_network: bool = False

    def __post_init__(self) -> None:
        if self.total_time and self.untrained is None:
            raise ValueError(f"total_time of the method {self.name!r} needs untrained.")
        kinds = [self.script is not None, self.untrained is not None, self.without_network]
        if sum(kinds) != 1:
            raise ValueError(f"Expected one of script, untrained and without_network for the method {self.name!r}.")


@dataclass(frozen=True)
class Task:
    """One thing to measure of a method's features.

    Args:
        name: In the table.
        probe: The task of `hf-ssl probe`, with
        data, column: a folder with splits or a data set on the Hub, and where the labels are; or
        script: a fine-tuning script, of the folder of training scripts.
        readers: The methods of a probe; see [`~hf_ssl.evaluation.probe_tasks.methods_of`].
        recipe, flags: Of the script; flags name its data.
        metric: Of the script's results, without `eval_` and `test_`.
        learning_rates: Of fine-tuning; the best on validation counts.
        untrained_learning_rates: For networks with random weights, if other ones suit them.
        untrained_flags: For these, instead of `flags`.
    """

    name: str
    probe: ProbeTask | None = None
    data: str | None = None
    column: str | None = None
    script: str | None = None
    readers: Sequence[Reader] | None = None
    recipe: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    learning_rates: Sequence[float] = ()
    untrained_learning_rates: Sequence[float] = ()
    untrained_flags: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.probe is None) == (self.script is None):
            raise ValueError(f"Expected either probe or script for the task {self.name!r}.")
        if self.probe is not None and (self.data is None or self.column is None):
            raise ValueError(f"Expected data and column for the probe {self.name!r}.")
        if self.probe is not None:
            methods_of(self.probe, self.readers, f"readers of {self.name!r}")
        if self.script is not None and (self.metric is None or not self.learning_rates):
            raise ValueError(f"Expected metric and learning_rates for fine-tuning in the task {self.name!r}.")
        for name in ("learning_rates", "untrained_learning_rates"):
            if vars(self)[name]:  # what is not set stays as it is: see `task_mark`
                object.__setattr__(self, name, _numbers(vars(self)[name], f"{name} of the task {self.name!r}"))


@dataclass(frozen=True)
class Plan:
    """The table to fill; see the module's docstring.

    Args:
        data: The unlabelled pool.
        modality: Of data and models: `"speech"`, `"images"` or `"text"`.
        steps: Updates of the first budget.
        seeds: Of pre-training, and of heads and fine-tuning with it.
        time_of: The method whose time, for `steps`, the second budget gives to all; no second budget if `None`.
        clock: What time is: `"cpu"`, seconds of processors, which other jobs on the machine hardly change, or
            `"wall"`, which a GPU needs.
        pretraining: Flags of all methods' scripts.
        methods, tasks: What to compare, and by what.
    """

    data: Sequence[str]
    steps: int
    seeds: Sequence[int]
    methods: Mapping[str, Method]
    tasks: Mapping[str, Task]
    modality: Modality = "speech"
    time_of: str | None = None
    clock: Clock = "cpu"
    pretraining: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.seeds:
            raise ValueError(f"Expected steps of at least 1 and a seed, got {self.steps} and {list(self.seeds)}.")
        if self.clock not in ("cpu", "wall"):
            raise ValueError(f"Expected the clock cpu or wall, got {self.clock!r}.")
        pretrained = [name for name, method in self.methods.items() if method.script is not None]
        for name in (self.time_of, *(method.untrained for method in self.methods.values())):
            if name is not None and name not in pretrained:
                raise ValueError(f"{name!r} is no method with a script; those are {', '.join(pretrained)}.")
        if any(method.total_time for method in self.methods.values()):
            self._check_total_time()

    def _check_total_time(self) -> None:
        for task in self.tasks.values():
            if task.script is not None and "max_steps" not in task.flags:
                raise ValueError(f"total_time needs max_steps among the flags of the task {task.name!r}.")
        for method in self.methods.values():
            if method.total_time:
                self.with_equal_updates(method)

    def with_equal_updates(self, method: Method) -> str:
        """The method of the same random weights whose fine-tuning has `max_steps`.

        Raises:
            ValueError: There is none.
        """
        for name, other in self.methods.items():
            if other.untrained == method.untrained and not other.total_time:
                return name
        raise ValueError(
            f"The method {method.name!r} has total_time: expected another method with untrained: {method.untrained} "
            "and without total_time, which finds the learning rate."
        )


def read_plan(
    path: str | Path, *, data: Sequence[str] = (), folders: Mapping[str, str] | None = None, gpu: bool = False
) -> Plan:
    """Reads a plan.

    Args:
        path: YAML file.
        data: The unlabelled pool, instead of the plan's.
        folders: What stands for the first part of paths in the plan: `{"DIGITS": "/data/digits"}`.
        gpu: See [`on_gpu`].

    Raises:
        ValueError: The file is missing, has unknown or missing fields, or no path that begins with one of `folders`;
            or there is no accelerator for `gpu`.
    """
    if not Path(path).is_file():
        raise ValueError(f"The plan {path} does not exist.")
    given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if not isinstance(given, dict):
        raise ValueError(f"The plan {path} must map names to values, got {type(given).__name__}.")
    names = folders or {}
    begun = _first_parts([given, list(data)])
    for name in names:
        if name not in begun:
            raise ValueError(f"No path in the plan {path} begins with {name!r}, for which a folder was given.")
    given = _in_folders(given | ({"data": list(data)} if data else {}), names)
    methods = {name: _make(Method, value, name) for name, value in given.pop("methods", {}).items()}
    tasks = {name: _make(Task, value, name) for name, value in given.pop("tasks", {}).items()}
    plan = _make(Plan, {**given, "methods": methods, "tasks": tasks}, None)
    return on_gpu(plan) if gpu else plan


def on_gpu(plan: Plan) -> Plan:
    """The same table with all trainings on an accelerator and by the clock on the wall, whatever plan and recipes say.
    Its figures have marks of their own: it is another table than that of CPUs.

    Raises:
        ValueError: torch sees no accelerator.
    """
    check_accelerator("--gpu")
    methods = {
        name: replace(method, flags={**method.flags, **(_NOT_CPU if "use_cpu" in method.flags else {})})
        for name, method in plan.methods.items()
    }
    tasks = {name: _on_gpu(task) if task.script is not None else task for name, task in plan.tasks.items()}
    return replace(plan, methods=methods, tasks=tasks, pretraining={**plan.pretraining, **_NOT_CPU}, clock="wall")


def _on_gpu(task: Task) -> Task:
    untrained = None if task.untrained_flags is None else {**task.untrained_flags, **_NOT_CPU}
    return replace(task, flags={**task.flags, **_NOT_CPU}, untrained_flags=untrained)


def fingerprint(*settings: Any) -> str:
    """Changes with the settings: eight hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _numbers(values: Sequence[Any], what: str) -> list[float]:
    """YAML reads `5e-4`, without a dot, as text."""
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected a list of numbers as {what}, got {values!r}.") from error


def _make(of: Any, given: Any, name: str | None) -> Any:
    """A dataclass from a mapping, with errors that name the field."""
    what = of.__name__.lower() if name is None else f"{of.__name__.lower()} {name!r}"
    if not isinstance(given, dict):
        raise ValueError(f"Expected fields of the {what}, got {given!r}.")
    known = {entry.name for entry in fields(of)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"Unknown fields of the {what}: {', '.join(unknown)}. Known are {', '.join(sorted(known))}.")
    try:
        return of(**given) if name is None else of(name=name, **given)
    except TypeError as error:
        raise ValueError(f"The {what} is incomplete: {error}.") from error


def _first_parts(value: Any) -> set[str]:
    """The first parts of all texts in a plan."""
    if isinstance(value, dict):
        return _first_parts(list(value.values()))
    if isinstance(value, list):
        return set().union(*map(_first_parts, value))
    return {value.partition("/")[0]} if isinstance(value, str) else set()


def _in_folders(value: Any, folders: Mapping[str, str]) -> Any:
    """A plan with the first parts of its paths replaced, wherever they are."""
    if isinstance(value, dict):
        return {key: _in_folders(item, folders) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_folders(item, folders) for item in value]
    if not isinstance(value, str):
        return value
    first, separator, rest = value.partition("/")
    return f"{folders[first]}{separator}{rest}" if first in folders else value
