# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Which lines of a shared results file tell of a model, and which others stand beside them.

Results files are append-only and know many models. A card or a page is on one of them: it shows the measurements that
this model took part in, with the other arms of these measurements, and nothing else.

Lines name the folder of a model, and a model that is trained anew may be in the same folder. Where they also have a
fingerprint of its weights (`weights_sha256`; older lines have none), only figures of one model are shown as an arm's:
of the model itself those of the weights that are in its folder now, of others those of the weights that were measured
last.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .results import read_results
from .weights import WEIGHTS_FIELD, weights_sha256

logger = logging.getLogger(__name__)

Line = Mapping[str, Any]

# What the model itself is called beside the others.
OWN_ARM = "this model"


class ComparedLine(NamedTuple):
    """A line of a measurement that the model took part in; `is_own` if it is the model's."""

    line: Line
    is_own: bool


class ResultsOfModel(NamedTuple):
    """What a results file has on a model: lines of `hf-ssl probe` and of `hf-ssl health`. `notes` say what of it was
    left out, or could not be checked."""

    probes: list[ComparedLine]
    health: list[ComparedLine]
    notes: tuple[str, ...] = ()


def results_of_model(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    names: Sequence[str] = (),
    *,
    model_folder: str | os.PathLike[str] | None = None,
) -> ResultsOfModel:
    """The lines that tell of a run, and what they compare with. What is left out is also logged.

    Args:
        path: The results file.
        folder: The run's.
        names: What else the model is called in the file, such as its name on the Hub.
        model_folder: Where the run's weights are, if not in its folder.

    Raises:
        ValueError: The file is damaged, or has nothing on the model as it is now.
    """
    lines, all_names = read_results(path), [os.fspath(folder), *names]
    kept, notes = _of_present_weights(lines, all_names, folder if model_folder is None else model_folder)
    found = ResultsOfModel(compared_probes(kept, all_names), compared_health(kept, all_names), tuple(notes))
    if not found.probes and not found.health:
        if notes:
            raise ValueError(f"{path} has no probe or health of the model that is in {folder} now. {notes[0]}")
        raise ValueError(
            f"{path} has no probe or health of {folder}. If the model has another name there, say so "
            "(--model_name NAME)."
        )
    for note in notes:
        logger.warning(note)
    return found


def compared_probes(lines: Sequence[Line], names: Sequence[str]) -> list[ComparedLine]:
    """The probes of a model, and of the other arms in the same measurements: the same task, data, settings and so on.

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


def told_settings(line: Line) -> str:
    """What was set otherwise than usual in a measurement, such as `"max_seconds 30, epochs 5"`. Of older lines it is
    not known: they count as measured with the usual settings.

    Raises:
        ValueError: The line's `settings` are none.
    """
    settings = line.get("settings", {})
    if not isinstance(settings, dict):
        raise ValueError(f"Expected settings by name in `settings` of a line of results, got {settings!r:.200}.")
    return ", ".join(f"{name} {_told(value)}" for name, value in sorted(settings.items()))


def _told(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_told, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


class _Kind(NamedTuple):
    """A kind of lines: fields that tell measurements, and the repetitions of one, apart; the field of the figures."""

    what: str
    measurement: Sequence[str]
    repetition: Sequence[str]
    figures: str


_PROBE = _Kind("probe", ("task", "data", "column", "method", "metric"), ("number", "seed"), "test")
_HEALTH = _Kind("health", ("data", "num_items"), (), "layers")


def _compared(lines: Sequence[Line], names: Sequence[str], kind: _Kind) -> list[ComparedLine]:
    own = _all_names(names)
    latest: dict[tuple[Any, ...], ComparedLine] = {}
    measured = set()
    for line in (line for line in lines if line["what"] == kind.what):
        missing = {"arm", "model", *kind.measurement, *kind.repetition, kind.figures} - line.keys()
        if missing:
            raise ValueError(
                f"Expected the field {min(missing)!r} in the line of a {kind.what}, got {dict(line)!r:.200}."
            )
        is_own = _is_own(line, own)
        measurement = (*(str(line[name]) for name in kind.measurement), told_settings(line))
        arm = OWN_ARM if is_own else (str(line["arm"]), str(line["model"]))
        repetition = tuple(str(line[name]) for name in kind.repetition)
        latest[measurement, arm, repetition] = ComparedLine(line, is_own)
        if is_own:
            measured.add(measurement)
    return [compared for (measurement, *_), compared in latest.items() if measurement in measured]


def _of_present_weights(
    lines: Sequence[Line], names: Sequence[str], folder: str | os.PathLike[str]
) -> tuple[list[Line], list[str]]:
    """Without the lines that are of earlier weights of their models, and what there is to say of the model's own."""
    own = _all_names(names)
    with_weights = [line for line in lines if _weights(line) is not None]
    counted = {str(line.get("model")): _weights(line) for line in with_weights}  # the last one of each model
    own_lines = [line for line in with_weights if _is_own(line, own)]
    # Gigabytes are not read for nothing.
    present = weights_sha256(folder) if own_lines else None
    notes = []
    if own_lines and present is None:
        notes.append(
            f"{folder} has no weights: it cannot be checked whether the figures of its probes and health are of the "
            "model that it had last."
        )
    else:
        counted |= {str(line["model"]): present for line in own_lines}
        num_outdated = sum(_weights(line) != present for line in own_lines)
        notes += [_left_out(num_outdated, folder)] if num_outdated else []
    return [line for line in lines if _weights(line) in (None, counted.get(str(line.get("model"))))], notes


def _left_out(count: int, folder: str | os.PathLike[str]) -> str:
    lines, are = ("lines", "are") if count > 1 else ("line", "is")
    return (
        f"{count} {lines} of probes and health {are} left out: measured on other weights than {folder} has now, as "
        f"before it was trained anew. For figures of those that it has now, measure again (hf-ssl probe {folder}, "
        f"hf-ssl health {folder}, with --results FILE)."
    )


def _weights(line: Line) -> str | None:
    """The fingerprint of a line of a probe or of health, if it has one.

    Raises:
        ValueError: It is none.
    """
    weights = line.get(WEIGHTS_FIELD) if line["what"] in (_PROBE.what, _HEALTH.what) else None
    if weights is not None and not isinstance(weights, str):
        raise ValueError(f"Expected digits in `{WEIGHTS_FIELD}` of a line of results, got {weights!r:.200}.")
    return weights


def _all_names(names: Sequence[str]) -> set[str]:
    return {os.path.realpath(name) for name in names} | set(names)


def _is_own(line: Line, own: set[str]) -> bool:
    """Whether it is of the model, and not of its twin with random weights."""
    model, arm = line.get("model"), str(line.get("arm"))
    if not isinstance(model, str) or arm.endswith(", untrained"):
        return False
    return model in own or os.path.realpath(model) in own
