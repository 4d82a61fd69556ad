# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl health`: how encoders use their space, layer by layer, on data without labels."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

from ..output_files import check_writable
from ..results import append_result, chosen_settings
from ..weights import WEIGHTS_FIELD, weights_sha256
from .codebooks import CodebookHealth, load_quantizing_model, measure_codebook
from .encoders import FrozenEncoder, load_frozen_encoder
from .health_table import health_table, in_words
from .items import Item
from .representation_health import FeatureMoments, RepresentationHealth
from .unlabelled import UnlabelledConfig, load_unlabelled


@dataclass(frozen=True)
class HealthConfig:
    """What to measure.

    Args:
        models: Folders, or names on the Hub.
        data: Where items come from.
        untrained: Whether each model is accompanied by a twin with random weights.
        by_layer: Print all layers instead of the last one.
        results: File for JSON lines, if wanted.
        batch_size, device: Of the encoders.
        command: What was typed, for the results.
    """

    models: Sequence[str]
    data: UnlabelledConfig
    untrained: bool = False
    by_layer: bool = False
    results: str | None = None
    batch_size: int = 8
    device: str | None = None
    command: Sequence[str] = ()


@dataclass(frozen=True)
class ModelHealth:
    """Measures of one network.

    Attributes:
        arm (`str`): Its name in tables.
        model (`str`): Folder, or name on the Hub.
        layers (`list[RepresentationHealth]`): From the input of the first layer to the output of the last.
        codebook (`CodebookHealth`, *optional*): If it has a quantizer.
        weights (`str`, *optional*): As of [`~hf_ssl.weights.weights_sha256`], if it has learned any.
    """

    arm: str
    model: str
    layers: list[RepresentationHealth]
    codebook: CodebookHealth | None = None
    weights: str | None = None


def run_health(config: HealthConfig) -> list[ModelHealth]:
    """Measures all models on the same items and prints a table and what it means.

    Raises:
        ValueError: A model, the data or a setting cannot be used.
    """
    check_writable(config.results, "--results")
    first = _load(config, config.models[0])
    data = load_unlabelled(config.data, first.modality)
    print("\n  ".join([f"Health on {len(data.items)} items of {config.data.source}", *data.notes]), flush=True)
    measured = []
    for health in _measure_all(config, first, data.items):
        measured.append(health)
        _append(config, health)
    print(health_table(measured, by_layer=config.by_layer))
    print(in_words(measured))
    return measured


def measure_layers(encoder: FrozenEncoder, items: Sequence[Item]) -> list[RepresentationHealth]:
    """Measures of every layer, from the input of the first to the output of the last.

    Raises:
        ValueError: There is no item, or one cannot be used.
    """
    layers: list[FeatureMoments] = []
    for states in encoder.hidden_states(items):
        layers = layers or [FeatureMoments(states.shape[-1]) for _ in states]
        for moments, frames in zip(layers, states, strict=True):
            moments.add(frames)
    if not layers:
        raise ValueError("Expected at least one item to measure, got none.")
    return [moments.health() for moments in layers]


def _measure_all(config: HealthConfig, first: FrozenEncoder, items: Sequence[Item]) -> Iterator[ModelHealth]:
    """One network at a time, each behind its twin without training."""
    for number, model in enumerate(config.models):
        encoder = first if number == 0 else _load(config, model)
        if encoder.modality != first.modality:
            raise ValueError(f"Expected models of {first.modality} only, but {model} is for {encoder.modality}.")
        weights = weights_sha256(model)
        quantizing = load_quantizing_model(model, encoder.model.device)
        codebook = None if quantizing is None else measure_codebook(quantizing, encoder, items)
        yield ModelHealth(model, model, measure_layers(encoder, items), codebook, weights)
        if config.untrained:
            twin = _load(config, model, untrained_seed=0)
            yield ModelHealth(f"{model}, untrained", model, measure_layers(twin, items))


def _load(config: HealthConfig, model: str, untrained_seed: int | None = None) -> FrozenEncoder:
    return load_frozen_encoder(
        model, untrained_seed=untrained_seed, batch_size=config.batch_size, device=config.device
    )


def _append(config: HealthConfig, health: ModelHealth) -> None:
    if config.results is None:
        return
    result: dict[str, Any] = {
        "what": "health",
        "arm": health.arm,
        "model": health.model,
        WEIGHTS_FIELD: health.weights,
        "data": config.data.source,
        "num_items": health.layers[-1].num_items,
        "settings": {name: value for name, value in chosen_settings(config.data).items() if name != "max_items"},
        "layers": [_figures(layer) for layer in health.layers],
        "codebook": None if health.codebook is None else health.codebook._asdict(),
    }
    append_result(config.results, result, command=config.command)


def _figures(layer: RepresentationHealth) -> dict[str, float | None]:
    """By name; `None` for a measure that is not defined, which JSON has no number for."""
    return {name: None if isnan(value) else value for name, value in asdict(layer).items()}
