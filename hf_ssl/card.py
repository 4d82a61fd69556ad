# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The card of a model that was trained here: what the run knows, what was measured, what its user says; no more."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData, constants
from transformers import PreTrainedModel, TrainerState
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from . import __version__
from .card_curves import PICTURE_NAME, course_table, draw_course
from .card_methods import method_of
from .card_record import LOCAL_FOLDER, CardRecord, modality_of, read_record, told_model
from .card_results import Probe, health_table, probe_results, probe_table, probes_of, run_results
from .card_use import use_section
from .health_results import HealthResult, health_results
from .own_results import ResultsOfModel, results_of_model
from .run_metrics import RUN_SPLITS

# Tells a card that nobody has touched from one that is somebody's own.
CARD_MARK = "<!-- Written by hf_ssl after training. Delete this line, or the next push writes the card anew. -->"

_SPEEDS = ("audio_seconds_per_second", "images_per_second", "tokens_per_second", "train_samples_per_second")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        model_class: Name of the class.
        model_type: The configuration's.
        modality: `"audio"`, `"image"` or `"text"`.
        steps, epochs: Updates taken, passes over the data.
        log: The trainer's, oldest entry first.
        started_from: Name on the Hub, `LOCAL_FOLDER`, or `None` for random weights or where it is not known.
        record: What else the run wrote down, if it did.
        has_picture: Whether the picture of the log is in the run's folder.
    """

    model_class: str
    model_type: str
    modality: str
    steps: int
    epochs: float
    log: Sequence[Mapping[str, Any]]
    started_from: str | None = None
    record: CardRecord | None = None
    has_picture: bool = False


@dataclass(frozen=True)
class CardWords:
    """What only the user knows.

    Args:
        name: Title of the card.
        metadata: Fields of `ModelCardData`, such as `license`, `language` and `datasets`.
        dataset_license: Of the data.
    """

    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    dataset_license: str | None = None


def training_card(
    model: PreTrainedModel,
    state: TrainerState,
    *,
    name: str,
    started_from: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    record: CardRecord | None = None,
    has_picture: bool = False,
) -> str:
    """The card of a model that was just trained: only what the run itself knows and measured.

    Args:
        model: The trained model.
        state: The trainer's, with its log.
        name: Title of the card.
        started_from: The model that training began with: a name on the Hub, or a folder, whose path is not told.
        metadata: What only the user knows, such as `license` and `language`: fields of `ModelCardData`.
        record: What the run wrote down of itself.
        has_picture: Whether [`~hf_ssl.card_curves.draw_course`] has drawn the log beside the card.
    """
    run = Run(
        model_class=type(model).__name__,
        model_type=model.config.model_type,
        modality=modality_of(model.main_input_name),
        steps=state.global_step,
        epochs=state.epoch or 0.0,
        log=state.log_history,
        started_from=told_model(started_from),
        record=record,
        has_picture=has_picture,
    )
    return make_card(run, CardWords(name, metadata or {}))


def write_card(
    folder: str, words: CardWords, *, results: str | None = None, names: Sequence[str] = (), write: bool = False
) -> str:
    """`hf-ssl card`: the card of a finished run, with the probes and health of a results file.

    Args:
        folder: The run's.
        words: What only the user knows.
        results: Results file, as of `hf-ssl probe --results` and `hf-ssl health --results`.
        names: What the model is called in it, besides the folder.
        write: Whether README.md and its picture are written; nothing is otherwise.

    Raises:
        ValueError: The folder has no run, or the results none of its figures.
        FileExistsError: Somebody wrote or edited README.md.
    """
    run, path = read_run(folder), Path(folder, "README.md")
    found = results_of_model(results, folder, names) if results is not None else ResultsOfModel([], [])
    probes, health = probes_of(found.probes), health_results(found.health)
    if not write:
        return make_card(run, words, probes, health)
    if path.is_file() and CARD_MARK not in path.read_text(encoding="utf-8"):
        raise FileExistsError(f"Somebody wrote or edited {path}: move it away first, or print the card instead.")
    text = make_card(replace(run, has_picture=draw_course(run.log, folder)), words, probes, health)
    path.write_text(text, encoding="utf-8")
    return text


def read_run(folder: str) -> Run:
    """A finished run in its folder.

    Raises:
        ValueError: There is no model or no log, or they are broken.
    """
    if not any(Path(folder, name).is_file() for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)):
        raise ValueError(f"Expected a finished run, but {folder} has no weights ({SAFE_WEIGHTS_NAME}).")
    config, state = _read_json(folder, "config.json"), _read_json(folder, "trainer_state.json")
    record = read_record(folder)
    return Run(
        model_class=(config.get("architectures") or ["unknown"])[0],
        model_type=config.get("model_type", "unknown"),
        modality=_modality_of_type(config.get("model_type", "")) if record is None else record.modality,
        steps=state.get("global_step", 0),
        epochs=state.get("epoch") or 0.0,
        log=[*state.get("log_history", []), *_later_figures(folder)],
        started_from=None if record is None else record.started_from,
        record=record,
        has_picture=Path(folder, PICTURE_NAME).is_file(),
    )


def make_card(run: Run, words: CardWords, probes: Sequence[Probe] = (), health: Sequence[HealthResult] = ()) -> str:
    """The card of a run, header and text."""
    figures = last_figures(run.log)
    given = dict(words.metadata)
    given_tags = given.pop("tags", [])
    tags = [run.model_type, "hf_ssl", *([given_tags] if isinstance(given_tags, str) else given_tags)]
    on_hub = run.started_from if run.started_from != LOCAL_FOLDER else None
    data_name = ", ".join(_listed(given.get("datasets"))) or "data that the run does not name"
    results = [*run_results(figures, _task_type(run), data_name), *probe_results(probes, run.modality)]
    header = ModelCardData(
        library_name="transformers",
        tags=tags,
        base_model=on_hub,
        eval_results=results or None,
        model_name=words.name if results else None,
        **given,
    )
    text = "\n\n".join(_sections(run, words, figures, probes, health))
    return f"---\n{header.to_yaml()}\n---\n\n{CARD_MARK}\n\n{text}\n"


def last_figures(log: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The training loss, and the figures of evaluation and of health, that were logged last."""
    figures: dict[str, float] = {}
    for entry in log:
        kept = {key: value for key, value in entry.items() if key == "loss" or key.startswith(_FIGURES)}
        figures |= {key: value for key, value in kept.items() if not key.endswith(("runtime", "per_second"))}
    return figures


_FIGURES = (*(f"{split}_" for split in RUN_SPLITS), "health/")


def _sections(
    run: Run,
    words: CardWords,
    figures: Mapping[str, float],
    probes: Sequence[Probe],
    health: Sequence[HealthResult],
) -> Iterator[str]:
    method = method_of(run.model_type)
    yield f"# {words.name}"
    yield _introduction(run)
    if method is not None:
        paper = f"[arXiv:{method.paper}](https://arxiv.org/abs/{method.paper})"
        yield f"## Method\n\n{method.name} ({paper}): {method.summary}"
    yield f"## Data\n\n{_data(words)}"
    yield f"## Training\n\n{_training(run)}"
    picture = f"![Curves of the run]({PICTURE_NAME})" if run.has_picture else ""
    course = "\n\n".join(part for part in (course_table(run.log), picture) if part)
    yield f"## Figures of the run\n\n{_table(figures)}" + (f"\n\nOn the way:\n\n{course}" if course else "")
    if probes:
        yield f"## Probes of frozen features\n\n{_PROBES}\n\n{probe_table(probes)}"
    if health:
        yield f"## Health of frozen features\n\n{_HEALTH}\n\n{health_table(health)}"
    yield f"## Limits\n\n{_limits(words)}"
    yield f"## Use\n\n{use_section(run.model_class, run.model_type, run.modality)}"
    if method is not None:
        yield f"## Citation\n\n```bibtex\n{method.citation}\n```"


def _introduction(run: Run) -> str:
    version = __version__ if run.record is None else run.record.versions["hf_ssl"]
    origin = ""
    if run.started_from is not None:
        is_local = run.started_from == LOCAL_FOLDER
        name = LOCAL_FOLDER if is_local else f"[{run.started_from}]({constants.ENDPOINT}/{run.started_from})"
        origin = f" It started from {name}."
    return (
        f"`{run.model_class}`, trained with `hf_ssl` {version}: {run.steps} updates, {run.epochs:.2f} epochs.{origin}"
    )


def _data(words: CardWords) -> str:
    said = {
        "Data": ", ".join(_listed(words.metadata.get("datasets"))),
        "Licence of the data": words.dataset_license or "",
        "Language": ", ".join(_listed(words.metadata.get("language"))),
    }
    lines = [f"- {what}: {value}" for what, value in said.items() if value]
    missing = [what.lower() for what, value in said.items() if not value]
    if missing:
        lines.append(f"- Not said by whoever trained it: {', '.join(missing)}.")
    return "\n".join(lines)


def _training(run: Run) -> str:
    record, seconds = run.record, _last(run.log, "train_runtime")
    rows: dict[str, Any] = {"updates": run.steps, "epochs": f"{run.epochs:.2f}"}
    if record is not None:
        rows |= {"trainable parameters": f"{record.num_parameters:,}", "precision": record.precision}
        rows |= {"machine": record.machine, "processes": record.num_processes}
        rows |= record.arguments
    since = ", since it was resumed" if record is not None and record.was_resumed else ""
    if seconds is not None:
        rows[f"seconds{since}"] = f"{seconds:.0f}"
    speed = next((name for name in _SPEEDS if _last(run.log, name) is not None), None)
    if speed is not None:
        rows[f"{speed.replace('_', ' ').removeprefix('train ')} (last logged)"] = f"{_last(run.log, speed):.1f}"
    if record is not None:
        rows |= {f"version of {name}": version for name, version in record.versions.items()}
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])
    command = [] if record is None else ["What was typed (folders without their path):", f"```\n{record.command}\n```"]
    return "\n\n".join([*command, table])


_PROBES = (
    "Heads on frozen features, the same for every arm; everything is chosen on validation, and the test is used once "
    "per run."
)


_HEALTH = (
    "Measures of the last layer without labels (`hf-ssl health`). They compare models of one method and size, on the "
    "same items, and are no accuracy."
)


def _limits(words: CardWords) -> str:
    lines = [
        "- The figures on this card are all that was measured; what else the model is good for, or not, is not known.",
        "- A model takes over the biases of its data.",
    ]
    if "license" not in words.metadata:
        lines.append("- No licence was given: ask whoever published the model before you use it.")
    return "\n".join(lines)


def _task_type(run: Run) -> str:
    if run.model_class.endswith("ForCTC"):
        return "automatic-speech-recognition"
    if run.model_class.endswith("ForXVector"):
        return "speaker-verification"
    return f"{run.modality}-classification"


def _table(figures: Mapping[str, float]) -> str:
    rows = [f"| {name} | {value:.4g} |" for name, value in figures.items()]
    return "\n".join(["| figure | last value |", "|---|---|", *rows]) if rows else "No figures were logged."


def _last(log: Sequence[Mapping[str, Any]], name: str) -> float | None:
    return next((entry[name] for entry in reversed(log) if name in entry), None)


def _listed(value: str | Sequence[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _later_figures(folder: str) -> Iterator[dict[str, float]]:
    """Figures of evaluations after training, which the trainer's state was saved before."""
    for name in (f"{split}_results.json" for split in RUN_SPLITS):
        if Path(folder, name).is_file():
            yield {key: value for key, value in _read_json(folder, name).items() if key != "epoch"}


def _modality_of_type(model_type: str) -> str:
    """Of runs that did not write it down: this package's types say it at their end."""
    endings = {"vision": "image", "text": "text"}
    return endings.get(model_type.rpartition("-")[2], "audio")


def _read_json(folder: str, name: str) -> dict[str, Any]:
    path = os.path.join(folder, name)
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"Expected a finished run in {folder}, but its {name} cannot be read: {error}.") from error
    if not isinstance(values, dict):
        raise ValueError(f"Expected an object in {path}, got {type(values).__name__}.")
    return values
