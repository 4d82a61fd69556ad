# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl probe`: what do the frozen features of encoders know? The same code for every encoder, ours or not."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..output_files import check_writable, make_folder
from ..results import append_result, chosen_settings
from ..weights import WEIGHTS_FIELD, weights_sha256
from .baselines import baseline_of
from .encoders import FrozenEncoder, Representer, load_frozen_encoder
from .probe_data import DataConfig, ProbeData, ProbeTask, load_probe_data
from .probe_encoder import probe_encoder
from .probe_table import by_layer_table, results_table
from .probe_tasks import Method, methods_of, without_features

_MODALITIES_OF_TASKS = {"recognition": ("speech",), "frames": ("speech",), "verification": ("speech",)}


class Arm(NamedTuple):
    """One of the networks to compare; those of the same name are its seeds of pre-training."""

    name: str
    model: str


@dataclass(frozen=True)
class ProbeConfig:
    """What to probe, and how.

    Args:
        arms: Models to compare, from [`parse_arms`].
        task: `"classification"`, `"multilabel"`, `"recognition"`, `"frames"` or `"verification"`.
        data: Where the labelled items come from.
        untrained: Whether each model is accompanied by a twin with random weights.
        methods: See [`methods_of`].
        num_seeds: Heads to train for each model, where a head is trained.
        num_epochs: Of these heads; their own number if `None`.
        by_layer: Print figures of every layer too.
        cache, results: Folder for features and file for JSON lines, if wanted.
        batch_size, device: Of the encoders.
        command: What was typed, for the results.
    """

    arms: Sequence[Arm]
    task: ProbeTask
    data: DataConfig
    untrained: bool = False
    methods: Sequence[Method] | None = None
    num_seeds: int = 1
    num_epochs: int | None = None
    by_layer: bool = False
    cache: str | None = None
    results: str | None = None
    batch_size: int = 8
    device: str | None = None
    command: Sequence[str] = ()


class Candidate(NamedTuple):
    """What is measured next: `number` counts the models of an arm; `weights` as of [`weights_sha256`], if it has
    learned any."""

    arm: str
    model: str | None
    number: int
    encoder: Representer
    weights: str | None = None


def parse_arms(models: Sequence[str], named: Sequence[str]) -> list[Arm]:
    """Arms of models, each one of its own, and of `NAME=MODEL`.

    Raises:
        ValueError: There is none, or one has no name.
    """
    arms = [Arm(model, model) for model in models]
    for argument in named:
        name, separator, model = argument.partition("=")
        if not (separator and name and model):
            raise ValueError(f"Expected --arm NAME=MODEL, got {argument!r}.")
        arms.append(Arm(name, model))
    if not arms:
        raise ValueError("Expected at least one model to probe: MODEL, or --arm NAME=MODEL.")
    return arms


def run_probe(config: ProbeConfig) -> list[dict[str, Any]]:
    """Probes all arms and prints a table.

    Returns:
        One dictionary per figure: the arm, the model, the [`Figure`] and the data; the same lines that are appended
        to `config.results`.

    Raises:
        ValueError: A model, the data or a setting cannot be used.
    """
    _check(config)
    first = _load(config, config.arms[0])
    allowed = _MODALITIES_OF_TASKS.get(config.task, (first.modality,))
    if first.modality not in allowed:
        raise ValueError(
            f"--task {config.task} is for {' and '.join(allowed)}; {config.arms[0].model} is for {first.modality}."
        )
    data = load_probe_data(config.data, first.modality, config.task)
    print(describe(config, data), flush=True)
    results = []
    for candidate in _candidates(config, first, data):
        for result in _measure(config, candidate, data):
            results.append(result)
            if config.results is not None:
                append_result(config.results, result, command=config.command)
            print(f"  {candidate.arm}: {result['method']}, {result['metric']} {result['test']:.1%}", flush=True)
    print(results_table(results, without_features(config.task, data)))
    if config.by_layer:
        print(by_layer_table(results))
    return results


def _check(config: ProbeConfig) -> None:
    """Finds what is wrong before anything is opened or encoded."""
    if config.num_seeds < 1:
        raise ValueError(f"Expected --seeds of at least 1, got {config.num_seeds}.")
    if config.num_epochs is not None and config.num_epochs < 1:
        raise ValueError(f"Expected --epochs of at least 1, got {config.num_epochs}.")
    if config.task == "verification" and (config.num_seeds > 1 or config.num_epochs is not None):
        raise ValueError("--task verification trains nothing: leave --seeds and --epochs out.")
    methods_of(config.task, config.methods)
    check_writable(config.results, "--results")
    if config.cache is not None:
        make_folder(config.cache, "--cache")


def describe(config: ProbeConfig, data: ProbeData) -> str:
    """One line on the data, and one for each thing to know of them."""
    sizes = ", ".join(
        f"{len(split.labels)} {purpose}"
        for split, purpose in zip(data[:3], ("to learn from", "to choose by", "to test"), strict=True)
    )
    title = f"{config.task} of {config.data.source}, column {config.data.column!r}: {sizes}"
    return "\n".join([title, *(f"  {note}" for note in data.notes)])


def _candidates(config: ProbeConfig, first: FrozenEncoder, data: ProbeData) -> Iterator[Candidate]:
    """Encoders one at a time, each behind its arm, then the baseline."""
    counts: dict[str, int] = {}
    for arm in config.arms:
        number = counts[arm.name] = counts.get(arm.name, -1) + 1
        encoder = first if arm is config.arms[0] else _load(config, arm)
        if encoder.modality != first.modality:
            raise ValueError(f"Expected models of {first.modality} only, but {arm.model} is for {encoder.modality}.")
        yield Candidate(arm.name, arm.model, number, encoder, weights_sha256(arm.model))
        if config.untrained:
            yield Candidate(f"{arm.name}, untrained", arm.model, number, _load(config, arm, untrained_seed=number))
    name, baseline = baseline_of(first.modality, data.train.items)
    yield Candidate(name, None, 0, baseline)


def _load(config: ProbeConfig, arm: Arm, untrained_seed: int | None = None) -> FrozenEncoder:
    return load_frozen_encoder(
        arm.model, untrained_seed=untrained_seed, batch_size=config.batch_size, device=config.device
    )


def _measure(config: ProbeConfig, candidate: Candidate, data: ProbeData) -> Iterator[dict[str, Any]]:
    # Other seeds for other models of an arm, so that an arm's spread is that of pre-training and heads together.
    seeds = [candidate.number * config.num_seeds + seed for seed in range(config.num_seeds)]
    figures = probe_encoder(
        config.task,
        candidate.encoder,
        data,
        seeds=seeds,
        methods=config.methods,
        num_epochs=config.num_epochs,
        cache=None if config.cache is None else Path(config.cache),
    )
    for figure in figures:
        yield {
            "what": "probe",
            "arm": candidate.arm,
            "model": candidate.model,
            WEIGHTS_FIELD: candidate.weights,
            "number": candidate.number,
            "task": config.task,
            "data": config.data.source,
            "column": config.data.column,
            "data_on_hub": config.data.on_hub,
            "settings": _settings(config),
            "notes": data.notes,
            **asdict(figure),
        }


def _settings(config: ProbeConfig) -> dict[str, Any]:
    """What figures depend on beside task, data and method, where it is not as usual."""
    return chosen_settings(config.data) | ({} if config.num_epochs is None else {"epochs": config.num_epochs})
