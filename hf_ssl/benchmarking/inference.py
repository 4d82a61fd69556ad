# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Our encoders beside transformers' own of equal size: seconds of a forward pass without gradients."""

from statistics import median
from typing import Any, NamedTuple

import torch
from transformers import (
    AutoModel,
    Data2VecAudioConfig,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    ViTConfig,
)

from ..planning.recipes import PlannedRecipe, load_recipe
from ..planning.synthetic import make_batch
from .benchmark import BenchmarkConfig
from .phases import Stopwatch

_WARM_UP = 2
_SIZE_FIELDS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
_WAVEFORM_FIELDS = ("conv_dim", "conv_kernel", "conv_stride")


class Inference(NamedTuple):
    """Seconds of each round of one encoder under one implementation of attention."""

    name: str
    attention: str
    num_parameters: int
    seconds: list[float]


def compare_with_transformers(config: BenchmarkConfig) -> list[Inference]:
    """Runs both encoders in turn, with eager attention and with sdpa.

    Raises:
        ValueError: transformers has no encoder of this kind.
    """
    recipe = load_recipe(config.recipe, config.settings)
    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    half = (config.precision or ("bfloat16" if recipe.half_precision else "float32")) == "bfloat16"
    inputs = _inputs(recipe, config.items or recipe.items_per_device, device)
    arms = [
        (Inference(name, attention, _num_parameters(model), []), model)
        for attention in ("eager", "sdpa")
        for name, model in _models(recipe.config, attention, device)
    ]
    with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=half):
        for number in range(_WARM_UP + config.rounds):
            for arm, model in arms:
                stopwatch = Stopwatch(device)
                with stopwatch.phase("forward"):
                    model(**inputs)
                if number >= _WARM_UP:
                    arm.seconds.append(stopwatch.seconds["forward"])
    return [arm for arm, _ in arms]


def format_inference(arms: list[Inference]) -> str:
    """A line per encoder, and how many times as fast ours is."""
    lines = ["Encoders without gradients, in turn:"]
    for arm in arms:
        lines.append(
            f"  {arm.name:<24} {arm.attention:<6} {arm.num_parameters / 1e6:8.2f} M  {median(arm.seconds):8.4f} s"
        )
    for ours, theirs in zip(arms[::2], arms[1::2], strict=True):
        ratios = [slow / fast for fast, slow in zip(ours.seconds, theirs.seconds, strict=True)]
        lines.append(
            f"  {ours.attention}: ours {median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    return "\n".join(lines)


def _models(config: PreTrainedConfig, attention: str, device: str) -> list[tuple[str, PreTrainedModel]]:
    pair: list[tuple[str, PreTrainedModel]] = []
    for one in (config, counterpart(config)):
        model = AutoModel.from_config(one, attn_implementation=attention).to(device).eval()
        pair.append((type(model).__name__, model))
    return pair


def counterpart(config: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of transformers' encoder of the same size.

    Raises:
        ValueError: There is none.
    """
    fields: dict[str, Any] = config.to_dict()
    size = {name: fields[name] for name in _SIZE_FIELDS}
    match config.model_type:
        case "data2vec2-audio" | "data2vec-aqc" | "data2vec-audio":
            return Data2VecAudioConfig(**size, **{name: fields[name] for name in _WAVEFORM_FIELDS})
        case "data2vec2-vision" | "data2vec-vision":
            return ViTConfig(**size, image_size=fields["image_size"], patch_size=fields["patch_size"])
        case "data2vec2-text" | "data2vec-text":
            return RobertaConfig(**size, vocab_size=fields["vocab_size"], max_position_embeddings=514)
    raise ValueError(f"transformers has no encoder to set beside one of type {config.model_type!r}.")


def _inputs(recipe: PlannedRecipe, items: int, device: str) -> dict[str, torch.Tensor]:
    """What the encoders take of a batch of the pre-training."""
    batch = make_batch(recipe, recipe.config, items)
    names = [name for name in ("input_values", "pixel_values", "input_ids") if name in batch]
    return {name: batch[name].to(device) for name in names}


def _num_parameters(model: PreTrainedModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
