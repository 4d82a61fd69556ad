# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Measured figures on a model's card: tables for readers, and `model-index` for the Hub."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from huggingface_hub import EvalResult

from .card_record import without_paths
from .evaluation.health_table import COLUMNS, cells_of
from .health_results import HealthResult
from .own_results import OWN_ARM, ComparedLine, told_settings
from .run_metrics import RUN_METRICS, RUN_SPLITS, split_and_metric

_METRIC_TYPES = {
    "accuracy": "accuracy",
    "macro-F1": "f1",
    "mean average precision": "mean_average_precision",
    "character error rate": "cer",
    "word error rate": "wer",
    "equal error rate": "eer",
}
# `user/name`, `user/name:config`; no list of several.
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


@dataclass(frozen=True)
class Probe:
    """A figure of a probe, over the runs of an arm: `values` are shares; `on_hub` if `data` is a name on the Hub;
    `settings` in words, where they are not as usual."""

    arm: str
    is_own: bool
    task: str
    data: str
    column: str
    method: str
    metric: str
    values: tuple[float, ...]
    on_hub: bool = False
    settings: str = ""

    @property
    def measured(self) -> str:
        """On what."""
        return f"{self.data}, {self.column}" + (f" ({self.settings})" if self.settings else "")

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))


def probes_of(lines: Sequence[ComparedLine]) -> list[Probe]:
    """The probes of a model, and beside each the other arms of the same measurement.

    Args:
        lines: From [`~hf_ssl.own_results.compared_probes`].
    """
    groups: dict[tuple, list[float]] = {}
    for line, is_own in lines:
        key = tuple(str(line[name]) for name in ("task", "data", "column", "method", "metric"))
        arm = OWN_ARM if is_own else without_paths(line["arm"])
        on_hub = bool(line.get("data_on_hub", False))  # of older lines it is not known
        groups.setdefault((*key, is_own, arm, on_hub, told_settings(line)), []).append(float(line["test"]))
    return [
        Probe(
            arm, is_own, task, data if on_hub else short_name(data), column, method, metric, tuple(values), on_hub,
            settings,
        )
        for (task, data, column, method, metric, is_own, arm, on_hub, settings), values in groups.items()
    ]  # fmt: skip


def probe_table(probes: Sequence[Probe]) -> str:
    """A table in Markdown: a block of lines per measurement, this model first."""
    rows = ["| task, data, column | method, metric | | test | runs |", "|---|---|---|---|---|"]
    for measurement in dict.fromkeys(map(_measurement, probes)):
        of_it = [probe for probe in probes if _measurement(probe) == measurement]
        for probe in sorted(of_it, key=lambda probe: not probe.is_own):
            spread = f" ({min(probe.values):.1%} to {max(probe.values):.1%})" if len(set(probe.values)) > 1 else ""
            rows.append(
                f"| {probe.task}, {probe.measured} | {probe.method}, {probe.metric} | {probe.arm} "
                f"| {probe.mean:.1%}{spread} | {len(probe.values)} |"
            )
    return "\n".join(rows)


def health_table(results: Sequence[HealthResult]) -> str:
    """A table in Markdown: the last layers of this model and of what was measured on the same items."""
    rows = [f"| data | | {' | '.join(COLUMNS)} |", "|---|---|" + "---|" * len(COLUMNS)]
    for result in results:
        arm = OWN_ARM if result.is_own else without_paths(result.arm)
        cells = cells_of(len(result.layers) - 1, result.layers[-1])
        settings = f" ({result.settings})" if result.settings else ""
        measured = f"{short_name(result.data)}, {result.num_items} items{settings}"
        rows.append(f"| {measured} | {arm} | {' | '.join(cells)} |")
    return "\n".join(rows)


def probe_results(probes: Sequence[Probe], modality: str) -> list[EvalResult]:
    """This model's probes for `model-index`; those of other arms are in the table only.

    Results of one task, data set, configuration and split become one there, whose name is that of the first: so the
    metric's name says the column and the settings, and local data have their name as the configuration too.

    Args:
        probes: From [`probes_of`].
        modality: `"audio"`, `"image"` or `"text"`, for the Hub's names of tasks.
    """
    return [
        EvalResult(
            task_type=_task_type(probe.task, modality),
            task_name=f"probe of frozen features: {probe.task}",
            **(_dataset(probe.data) if probe.on_hub else _dataset(None) | {"dataset_config": probe.data}),
            dataset_name=probe.data,
            dataset_split="test",
            metric_type=_METRIC_TYPES.get(probe.metric, probe.metric),
            metric_name=_metric_name(probe),
            metric_value=round(probe.mean, 4),
        )
        for probe in probes
        if probe.is_own
    ]


def _metric_name(probe: Probe) -> str:
    details = [probe.method, f"{len(probe.values)} runs", *filter(None, [probe.settings])]
    return f"{probe.metric} of {probe.column} ({', '.join(details)})"


def run_results(figures: Mapping[str, float], task_type: str, dataset_name: str) -> list[EvalResult]:
    """The run's own evaluations for `model-index`.

    Args:
        figures: By the names of the log, `test_wer` for example.
        task_type: The Hub's name of the task.
        dataset_name: What the user calls the data: `user/name` is on the Hub, and `user/name:config`.
    """
    return list(_run_results(figures, task_type, dataset_name))


def _run_results(figures: Mapping[str, float], task_type: str, dataset_name: str) -> Iterator[EvalResult]:
    dataset = _dataset(dataset_name if _HUB_NAME.fullmatch(dataset_name) else None)
    for name, value in figures.items():
        if (parts := split_and_metric(name)) is not None:
            split, metric = RUN_SPLITS[parts[0]], RUN_METRICS[parts[1]]
            yield EvalResult(
                task_type=task_type,
                **dataset,
                dataset_name=dataset_name,
                dataset_split=split,
                metric_type=metric.hub_type,
                metric_name=f"{metric.label}, {split}",
                metric_value=round(float(value), 4),
            )


def _dataset(hub_name: str | None) -> dict[str, Any]:
    """Where data are, as `model-index` says it: a name on the Hub with its configuration, or `local`."""
    if hub_name is None:
        return {"dataset_type": "local"}
    name, _, config = hub_name.partition(":")
    return {"dataset_type": name, "dataset_config": config or None}


def short_name(data: str) -> str:
    """A data set's name on the Hub as it is, a folder's without its path."""
    is_path = os.path.exists(data) or os.path.isabs(data) or data.startswith(("~", "."))
    return os.path.basename(os.path.abspath(os.path.expanduser(data))) if is_path else data


def _measurement(probe: Probe) -> tuple[str, ...]:
    return (probe.task, probe.measured, probe.method, probe.metric)


def _task_type(task: str, modality: str) -> str:
    match task:
        case "recognition":
            return "automatic-speech-recognition"
        case "frames":
            return "audio-frame-classification"
        case "verification":
            return "speaker-verification"
    return f"{modality}-classification"
