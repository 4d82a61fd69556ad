# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a run left in its folder. Nothing in it is trusted: no pickle is opened, and what is damaged is named."""

import csv
import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..training.checkpoints import COMPLETE_NAME
from ..training.run_record import RUN_RECORD_NAME

STATE_NAME = "trainer_state.json"
SKIPPED_FILES_NAME = "_skipped_files.jsonl"
_LARGEST_STEP = 2**53
_LARGEST_JSON = 200_000_000  # bytes
_LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


@dataclass(frozen=True)
class LogEntry:
    """What was logged at a step: `figures` by name, of which some may be NaN or infinite."""

    step: int
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """A run's folder, read.

    Attributes:
        folder: The folder.
        model_folder: Where the model is: the folder, or its newest checkpoint.
        log: What was logged, in order.
        state: The rest of the trainer's state.
        config, preprocessor: As in the files of the model, empty without them.
        results: Figures by the name of the file: `"train"`, `"eval"`, `"test"`.
        skipped: Reasons by file.
        events: Lines of the run record since the run began, in order.
        has_record: Whether there is a run record.
        checkpoints: Steps of the checkpoints and whether each is marked as whole.
        transcripts: Pairs of reference and hypothesis by the name of the evaluation.
        parameters: Number of parameters by the first part of their names.
        problems: What could not be read, for people.
    """

    folder: Path
    model_folder: Path
    log: list[LogEntry]
    state: dict[str, Any]
    config: dict[str, Any]
    preprocessor: dict[str, Any]
    results: dict[str, dict[str, float]]
    skipped: dict[str, str]
    events: list[dict[str, Any]]
    has_record: bool
    checkpoints: dict[int, bool]
    transcripts: dict[str, list[tuple[str, str]]]
    parameters: dict[str, int]
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The folder's own name, without those above it."""
        return self.folder.resolve().name

    def last(self, figure: str) -> float | None:
        """The last value of a figure of the log."""
        values = [entry.figures[figure] for entry in self.log if figure in entry.figures]
        return values[-1] if values else None

    def first(self, figure: str) -> float | None:
        """The first value of a figure of the log."""
        return next((entry.figures[figure] for entry in self.log if figure in entry.figures), None)


def read_run(folder: str | Path) -> Run:
    """Reads a run's folder.

    Raises:
        ValueError: It is no folder of a run: neither it nor a checkpoint in it has a `trainer_state.json` to read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"Expected the folder of a training run (--output_dir), but there is no folder {folder}.")
    problems: list[str] = []
    checkpoints = dict(sorted(_checkpoints(folder)))
    state, model_folder = _read_state(folder, checkpoints, problems)
    return Run(
        folder=folder,
        model_folder=model_folder,
        log=_log(state.pop("log_history", []), problems),
        state=state,
        config=_read_object(model_folder / "config.json", problems),
        preprocessor=_read_preprocessor(model_folder, problems),
        results=_read_results(folder, problems),
        skipped={
            str(entry["file"]): str(entry["reason"])
            for entry in _read_lines(folder / SKIPPED_FILES_NAME, problems)
            if "file" in entry and "reason" in entry
        },
        events=_newest_run(_read_lines(folder / RUN_RECORD_NAME, problems)),
        has_record=(folder / RUN_RECORD_NAME).is_file(),
        checkpoints={step: (path / COMPLETE_NAME).is_file() for step, path in checkpoints.items()},
        transcripts=_read_transcripts(folder, problems),
        parameters=_count_parameters(model_folder, problems),
        problems=problems,
    )


def _checkpoints(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.glob("checkpoint-*"):
        step = path.name.removeprefix("checkpoint-")
        if step.isdecimal() and step.isascii() and len(step) < 16 and path.is_dir():
            yield int(step), path


def _read_state(folder: Path, checkpoints: dict[int, Path], problems: list[str]) -> tuple[dict[str, Any], Path]:
    """The state of the folder or, of a run that has not ended, that of its newest checkpoint that can be read."""
    for place in (folder, *(path for _, path in sorted(checkpoints.items(), reverse=True))):
        if not (place / STATE_NAME).is_file():
            continue
        state = _read_object(place / STATE_NAME, problems)
        if state:
            if place != folder:
                problems.append(
                    f"This run has not ended, or lost its {STATE_NAME}: what follows is from {place.name}."
                )
            return state, place
    found = "; ".join(problems) or f"It has no {STATE_NAME}, and neither has a checkpoint in it"
    raise ValueError(f"{folder} cannot be reported on. {found}. Expected the --output_dir of a training run.")


def _log(history: Any, problems: list[str]) -> list[LogEntry]:
    if not isinstance(history, list):
        problems.append(f"`log_history` in {STATE_NAME} is no list.")
        return []
    entries = []
    for entry in history:
        step = entry.get("step") if isinstance(entry, dict) else None
        if isinstance(step, int) and 0 <= step <= _LARGEST_STEP:
            entries.append(LogEntry(step, _figures(entry)))
    if len(entries) < len(history):
        problems.append(f"{len(history) - len(entries)} entries of `log_history` have no step and are left out.")
    if not any(entry.figures for entry in entries):
        problems.append("Nothing was logged in this run: there are no curves.")
    return entries


def _figures(entry: Mapping[Any, Any]) -> dict[str, float]:
    return {
        str(name): _as_float(value)
        for name, value in entry.items()
        if name != "step" and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf if value > 0 else -math.inf


def _read_json(path: Path, problems: list[str]) -> Any:
    """What is in a JSON file; `None`, and a problem, if it cannot be read."""
    try:
        if path.stat().st_size > _LARGEST_JSON:
            problems.append(f"{path.name} has more than {_LARGEST_JSON} bytes and is not read.")
            return None
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problems.append(f"{path.name} is damaged ({reason})")
        return None


def _read_object(path: Path, problems: list[str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = _read_json(path, problems)
    if isinstance(value, dict):
        return value
    if value is not None:
        problems.append(f"{path.name} is damaged (expected an object, got a {type(value).__name__})")
    return {}


def _read_preprocessor(folder: Path, problems: list[str]) -> dict[str, Any]:
    """Of speech and images, also where a tokenizer is saved with it."""
    preprocessor = _read_object(folder / "preprocessor_config.json", problems)
    inner = _read_object(folder / "processor_config.json", problems).get("feature_extractor", {})
    return preprocessor or (inner if isinstance(inner, dict) else {})


def _read_results(folder: Path, problems: list[str]) -> dict[str, dict[str, float]]:
    found = sorted(folder.glob("*_results.json"))
    names = {path.name.removesuffix("_results.json"): path for path in found}
    return {name: _figures(_read_object(path, problems)) for name, path in names.items() if name != "all"}


def _read_lines(path: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    """Objects of a file of JSON lines. A line that a killed process left half-written is no problem worth telling."""
    if not path.is_file():
        return
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        problems.append(f"{path.name} cannot be read ({error.strerror})")
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield entry


def _newest_run(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those of earlier runs with the same folder: from the last that began anew."""
    newest: list[dict[str, Any]] = []
    for event in events:
        newest = [event] if event.get("what") == "begin" else [*newest, event]
    return newest


def _read_transcripts(folder: Path, problems: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Tables that training to recognise speech writes: a reference and a hypothesis per line."""
    transcripts = {}
    for path in sorted(folder.glob("_*_transcripts.tsv")):
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t"))[1:]
        pairs = [(row[0], row[1]) for row in rows if len(row) == 2]
        if len(pairs) < len(rows):
            problems.append(f"{path.name}: {len(rows) - len(pairs)} lines have not two columns and are left out.")
        transcripts[path.name.removeprefix("_").removesuffix("_transcripts.tsv")] = pairs
    return transcripts


def _count_parameters(folder: Path, problems: list[str]) -> dict[str, int]:
    """From the headers of the files of weights, which are not read themselves."""
    counts: dict[str, int] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        try:
            header = _safetensors_header(path)
            for name, tensor in header.items():
                part = name.split(".")[0]
                if name != "__metadata__":
                    counts[part] = counts.get(part, 0) + math.prod(tensor["shape"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError, struct.error, RecursionError) as error:
            problems.append(f"{path.name} is damaged ({type(error).__name__})")
    return counts


def _safetensors_header(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > _LARGEST_HEADER:
            raise ValueError("its header is too large")
        return json.loads(file.read(size))
