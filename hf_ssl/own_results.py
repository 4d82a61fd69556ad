# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Which lines of a shared results file tell of a model, and which others stand beside them.

Results files are append-only and know many models. A card or a page is on one of them: it shows the measurements that
this model took part in, with the other arms of these measurements, and nothing else.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .results import read_results

Line = Mapping[str, Any]

# What the model itself is called beside the others.
OWN_ARM = "this model"


class ComparedLine(NamedTuple):
    """A line of a measurement that the model took part in; `is_own` if it is the model's."""

    line: Line
    is_own: bool


class ResultsOfModel(NamedTuple):
    """What a results file has on a model: lines of `hf-ssl probe` and of `hf-ssl health`."""

    probes: list[ComparedLine]
    health: list[ComparedLine]


def results_of_model(
    path: str | os.PathLike[str], folder: str | os.PathLike[str], names: Sequence[str] = ()
) -> ResultsOfModel:
    """The lines that tell of a run, and what they compare with.

    Args:
        path: The results file.
        folder: The run's.
        names: What else the model is called in the file, such as its name on the Hub.

    Raises:
        ValueError: The file is damaged, or has nothing on the model.
    """
    lines, all_names = read_results(path), [os.fspath(folder), *names]
    found = ResultsOfModel(compared_probes(lines, all_names), compared_health(lines, all_names))
    if not found.probes and not found.health:
        raise ValueError(
            f"{path} has no probe or health of {folder}. If the model has another name there, say so "
            "(--model_name NAME)."
        )
    return found


def compared_probes(lines: Sequence[Line], names: Sequence[str]) -> list[ComparedLine]:
    """The probes of a model, and of the other arms in the same measurements: the same task, data and so on.

    Args:
        lines: From [`~hf_ssl.results.read_results`]. Of the same measurement told twice, the later line counts.
        names: What `model` may be in the lines of this model: its folder, its name on the Hub.

    Raises:
        ValueError: A line of a probe lacks a field.
    """
    return _compared(lines, names, _PROBE)


def compared_health(lines: Sequence[Line], names: Sequence[str]) -> list[ComparedLine]:
    """The same of measures of health. They depend on the number of items, which must be equal too."""
    return _compared(lines, names, _HEALTH)


class _Kind(NamedTuple):
    """A kind of lines: fields that tell measurements, and the repetitions of one, apart; the field of the figures."""

    what: str
    measurement: Sequence[str]
    repetition: Sequence[str]
    figures: str


_PROBE = _Kind("probe", ("task", "data", "column", "method", "metric"), ("number", "seed"), "test")
_HEALTH = _Kind("health", ("data", "num_items"), (), "layers")


def _compared(lines: Sequence[Line], names: Sequence[str], kind: _Kind) -> list[ComparedLine]:
    own = {os.path.realpath(name) for name in names} | set(names)
    latest: dict[tuple[Any, ...], ComparedLine] = {}
    measured = set()
    for line in (line for line in lines if line["what"] == kind.what):
        missing = {"arm", "model", *kind.measurement, *kind.repetition, kind.figures} - line.keys()
        if missing:
            raise ValueError(
                f"Expected the field {min(missing)!r} in the line of a {kind.what}, got {dict(line)!r:.200}."
            )
        is_own = _is_own(line, own)
        measurement = tuple(str(line[name]) for name in kind.measurement)
        arm = OWN_ARM if is_own else (str(line["arm"]), str(line["model"]))
        repetition = tuple(str(line[name]) for name in kind.repetition)
        latest[measurement, arm, repetition] = ComparedLine(line, is_own)
        if is_own:
            measured.add(measurement)
    return [compared for (measurement, *_), compared in latest.items() if measurement in measured]


def _is_own(line: Line, own: set[str]) -> bool:
    """Whether it is of the model, and not of its twin with random weights."""
    model, arm = line["model"], str(line["arm"])
    if not isinstance(model, str) or arm.endswith(", untrained"):
        return False
    return model in own or os.path.realpath(model) in own
