# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Our encoders beside transformers' own of equal size: seconds of a forward pass without gradients."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from transformers import (
    AutoModel,
    Data2VecAudioConfig,
    ParakeetEncoderConfig,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    ViTConfig,
)

from ..devices import usable_device
from ..models.configuration_best_rq import BestRqConfig
from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from ..planning.recipes import PlannedRecipe, load_recipe
from ..planning.synthetic import make_batch
from ..results import append_result
from .benchmark import BenchmarkConfig, check_counts, with_length
from .memory import is_out_of_memory
from .phases import Stopwatch
from .place import describe_place, settle

_WARM_UP = 2
_SIZE_FIELDS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
_WAVEFORM_FIELDS = ("conv_dim", "conv_kernel", "conv_stride")
_PLACE = ("cpu", "torch", "transformers", "allocator")
_CONFORMER_FIELDS = ("num_mel_bins", "conv_kernel_size", "hidden_act")
_TRANSFORMERS_OWN = ("data2vec-audio", "data2vec-text", "data2vec-vision")


class Inference(NamedTuple):
    """Seconds of each round of one encoder, under one implementation of attention, in one precision, on one batch."""

    name: str
    attention: str
    num_parameters: int
    precision: str
    items: int
    amount: float
    unit: str
    seconds: list[float]
    device: str


def compare_with_transformers(config: BenchmarkConfig, sizes: Sequence[int] = ()) -> list[Inference]:
    """Runs both encoders in turn, with eager attention and with sdpa.

    Args:
        config: What to measure; its precision may also be `"both"`.
        sizes: Items of the batches; `config`'s if empty.

    Returns:
        Ours and theirs by turns: by size, precision and attention. If a batch does not fit into memory, what
        was measured before it.

    Raises:
        ValueError: A setting cannot be used, transformers has no encoder of this kind, or the smallest batch does not
            fit.
    """
    check_counts(config)
    recipe = with_length(load_recipe(config.recipe, config.settings), config)
    device = usable_device(config.device)
    settle(device)
    models = [(attention, _models(recipe.config, attention, device)) for attention in ("eager", "sdpa")]
    measured: list[Inference] = []
    for items in sizes or [config.items or recipe.items_per_device]:
        try:
            inputs = _inputs(recipe, items, device)
            for precision in _precisions(config, recipe):
                measured += _run_in_turn(models, inputs, _Setting(device, precision, config.rounds, items, recipe))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if not measured:
                raise ValueError(
                    f"{items} items do not fit into memory ({str(error).splitlines()[0]}). Take fewer --items, or "
                    "shorter ones."
                ) from error
            return measured
    return measured


def _precisions(config: BenchmarkConfig, recipe: PlannedRecipe) -> list[str]:
    if config.precision == "both":
        return ["float32", "bfloat16"]
    return [config.precision or ("bfloat16" if recipe.half_precision else "float32")]


class _Setting(NamedTuple):
    device: str
    precision: str
    rounds: int
    items: int
    recipe: PlannedRecipe


def _run_in_turn(
    models: Sequence[tuple[str, Sequence[tuple[str, PreTrainedModel]]]],
    inputs: dict[str, torch.Tensor],
    setting: _Setting,
) -> list[Inference]:
    device, precision, rounds, items, recipe = setting
    arms = [
        (
            Inference(
                name,
                attention,
                _num_parameters(model),
                precision,
                items,
                items * recipe.longest_item,
                recipe.unit,
                [],
                device,
            ),
            model,
        )
        for attention, pair in models
        for name, model in pair
    ]
    half = precision == "bfloat16"
    with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=half):
        for number in range(_WARM_UP + rounds):
            for arm, model in arms:
                stopwatch = Stopwatch(device)
                with stopwatch.phase("forward"):
                    model(**inputs)
                if number >= _WARM_UP:
                    arm.seconds.append(stopwatch.seconds["forward"])
    return [arm for arm, _ in arms]


def format_inference(arms: list[Inference]) -> str:
    """A line per encoder and batch, and how many times as fast ours is. The seconds of one item are its latency."""
    unit = "s of audio" if arms[0].unit == "seconds" else arms[0].unit
    lines = [
        f"Encoders without gradients, in turn; noise of the longest length; {describe_place(settle(arms[0].device))}:"
    ]
    for ours, theirs in _pairs(arms):
        lines += ["", f"{_describe(ours, unit)}:"]
        for arm in (ours, theirs):
            seconds = median(arm.seconds)
            lines.append(
                f"  {arm.name:<24} {arm.num_parameters / 1e6:8.2f} M  {seconds:8.4f} s  "
                f"{arm.amount / seconds:10.1f} {unit} per second"
            )
        ratios = _ratios(ours, theirs)
        lines.append(f"  ours {median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})")
    return "\n".join(lines)


def _describe(arm: Inference, unit: str) -> str:
    batch = "one item, latency" if arm.items == 1 else f"{arm.items} items"
    amount = "" if arm.unit == "images" else f" ({arm.amount:g} {unit})"
    return f"{batch}{amount}, {arm.precision}, {arm.attention}"


def write_inference(arms: list[Inference], path: str) -> None:
    """Writes all figures as JSON."""
    text = json.dumps({"where": settle(arms[0].device), "arms": [arm._asdict() for arm in arms]})
    Path(path).write_text(text + "\n", encoding="utf-8")


def append_inference(arms: list[Inference], path: str, recipe: str, command: Sequence[str]) -> None:
    """Adds a line per encoder and batch to a results file."""
    device = arms[0].device
    where = {name: value for name, value in settle(device).items() if name in _PLACE}
    for ours, theirs in _pairs(arms):
        ratios = _ratios(ours, theirs)
        result = {
            "what": "encoder beside transformers",
            "recipe": Path(recipe).stem,
            "baseline": theirs.name,
            "items": ours.items,
            "length": ours.amount / ours.items,
            "precision": ours.precision,
            "attention": ours.attention,
            "times_as_fast": median(ratios),
            "least": min(ratios),
            "most": max(ratios),
            "measured": ours._asdict(),
            "against": theirs._asdict(),
            **where,
        }
        append_result(path, result, command=command, device=device)


def _pairs(arms: list[Inference]) -> Iterator[tuple[Inference, Inference]]:
    """Ours and theirs."""
    return zip(arms[::2], arms[1::2], strict=True)


def _ratios(ours: Inference, theirs: Inference) -> list[float]:
    """Of every round: how many times as fast ours was."""
    return [slow / fast for fast, slow in zip(ours.seconds, theirs.seconds, strict=True)]


def _models(config: PreTrainedConfig, attention: str, device: str) -> list[tuple[str, PreTrainedModel]]:
    pair: list[tuple[str, PreTrainedModel]] = []
    for one in (config, counterpart(config)):
        model = AutoModel.from_config(one, attn_implementation=attention).to(device).eval()
        pair.append((type(model).__name__, model))
    return pair


def counterpart(config: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of transformers' encoder of the same size.

    That of BEST-RQ's Conformer is Parakeet's: as many layers, width, heads and kernel, one frame per as many mel
    frames; how it gets there, with more channels and a ReLU, and its batch norm are its own.

    Raises:
        ValueError: There is none, or the encoder is transformers' own.
    """
    fields: dict[str, Any] = config.to_dict()
    if config.model_type in _TRANSFORMERS_OWN:
        raise ValueError(
            f"What a recipe of {config.model_type} trains is transformers' own encoder: there is no other to set "
            "beside it. Leave --against out to measure its training."
        )
    size = {name: fields[name] for name in _SIZE_FIELDS}
    size["num_hidden_layers"] += fields.get("num_prenet_layers", 0)
    match config:
        case Data2Vec2AudioConfig() | Data2VecAqcConfig():
            return Data2VecAudioConfig(**size, **{name: fields[name] for name in _WAVEFORM_FIELDS})
        case Data2Vec2VisionConfig():
            return ViTConfig(**size, image_size=fields["image_size"], patch_size=fields["patch_size"])
        case Data2Vec2TextConfig():
            return RobertaConfig(**size, vocab_size=fields["vocab_size"], max_position_embeddings=514)
        case BestRqConfig(encoder_type="conformer"):
            conformer = {name: fields[name] for name in _CONFORMER_FIELDS}
            return ParakeetEncoderConfig(**size, **conformer, subsampling_factor=config.stack_size)
        case BestRqConfig():
            raise ValueError(
                "transformers has an encoder to set beside BEST-RQ's Conformer, none beside its plain layers."
            )
    raise ValueError(f"transformers has no encoder to set beside one of type {config.model_type!r}.")


def _inputs(recipe: PlannedRecipe, items: int, device: str) -> dict[str, torch.Tensor]:
    """What the encoders take of a batch of the pre-training."""
    batch = make_batch(recipe, recipe.config, items)
    names = [name for name in ("input_values", "input_features", "pixel_values", "input_ids") if name in batch]
    return {name: batch[name].to(device) for name in names}


def _num_parameters(model: PreTrainedModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
