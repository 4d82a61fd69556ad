# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What planning needs to know of a pre-training recipe."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import ceil, inf
from pathlib import Path
from typing import Any, NamedTuple

from transformers import (
    AutoConfig,
    Data2VecAudioConfig,
    Data2VecTextConfig,
    Data2VecVisionConfig,
    PreTrainedConfig,
)

from ..data.augmentation import AugmentationArguments
from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.configuration_data2vec_pretraining import (
    Data2VecAudioPreTrainingConfig,
    Data2VecTextPreTrainingConfig,
    Data2VecVisionPreTrainingConfig,
    as_pretraining_config,
)
from ..training.activation_checkpointing import checkpoints_activations, with_installed_names
from ..training.arguments import (
    ModelArguments,
    PreTrainingArguments,
    SpeechPreTrainingDataArguments,
    parse_arguments,
    read_recipe,
)
from ..training.image_arguments import ImageModelArguments, ImagePreTrainingArguments, ImagePreTrainingDataArguments
from ..training.model_sizes import (
    best_rq_config,
    data2vec2_audio_config,
    data2vec2_text_config,
    data2vec2_vision_config,
    data2vec_aqc_config,
    data2vec_audio_config,
    data2vec_text_config,
    data2vec_vision_config,
)
from ..training.running import override_config
from ..training.text_arguments import TextDataArguments, TextModelArguments, TextPreTrainingArguments

SPEECH = (ModelArguments, SpeechPreTrainingDataArguments, AugmentationArguments, PreTrainingArguments)
IMAGES = (ImageModelArguments, ImagePreTrainingDataArguments, ImagePreTrainingArguments)
TEXT = (TextModelArguments, TextDataArguments, TextPreTrainingArguments)

_KINDS: tuple[tuple[type, ...], ...] = (SPEECH, IMAGES, TEXT)

# Recipes say their global batch in the comment at their top, which the tests of the recipes hold them to.
_GLOBAL_AMOUNT = re.compile(r"Global batch: (?:about )?([\d,]+) (?:s of audio|images|tokens)")
_GLOBAL_ITEMS = re.compile(r"must stay ([\d,]+)")


class RecipeArguments(NamedTuple):
    """What a pre-training script reads from its command line; `augmentation` is speech's alone."""

    model: Any
    data: Any
    augmentation: AugmentationArguments | None
    training: Any


@dataclass(frozen=True)
class GlobalBatch:
    """An update's batch over all devices.

    Attributes:
        items: Clips, images or blocks of tokens.
        amount: The same in seconds, images or tokens.
        source: Where these were read.
    """

    items: int
    amount: float
    source: str


@dataclass(frozen=True)
class PlannedRecipe:
    """What planning needs to know of a recipe.

    Attributes:
        config: The model.
        unit: What batches are counted in: "seconds", "images" or "tokens".
        longest_item: The longest clip in seconds, with what it is padded to in a batch; tokens of a block; or 1 image.
        global_batch: An update's batch.
        items_per_device: Items of the longest length in the recipe's batch on a device.
        accumulation: The recipe's batches per update and device.
        max_steps: Updates.
        half_precision: Whether it computes in bfloat16 or float16 (weights stay in float32).
        checkpointing: Whether activations are computed again in the backward pass.
        augmented: Whether waveforms are augmented, so that data2vec-aqc's student has a view of its own.
        max_grad_norm: To which the gradient is clipped; if 0, its norm is only computed, as the Trainer does for its
            logs; if `None`, not even that.
    """

    config: PreTrainedConfig
    unit: str
    longest_item: float
    global_batch: GlobalBatch
    items_per_device: int
    accumulation: int
    max_steps: int
    half_precision: bool
    checkpointing: bool
    augmented: bool
    max_grad_norm: float | None = 0.0


def load_recipe(path: str, settings: dict[str, str], global_items: int | None = None) -> PlannedRecipe:
    """Reads a recipe of one of the pre-training scripts.

    Args:
        path: The YAML file.
        settings: Keys that win over the recipe's, such as `{"model_name_or_path": "MODEL"}`.
        global_items: The global batch in clips, images or blocks; by default what the recipe's comment says.

    Raises:
        ValueError: There is no such file, a key is unknown, or the recipe does not say how many steps it takes.
    """
    arguments = read_arguments(path, settings)
    return plan_recipe(path, arguments, global_items)


def read_arguments(path: str, settings: dict[str, str], data: Sequence[str] = ()) -> RecipeArguments:
    """The arguments that a pre-training script would have.

    Args:
        path: The YAML file.
        settings: Keys that win over the recipe's.
        data: The script's `--data`. Without it, what the script needs of data (also noises, and a tokenizer) is
            filled in by names of nothing.

    Raises:
        ValueError: There is no such file, a key is unknown, or, with `data`, something else that is needed is missing.
    """
    settings = with_installed_names(settings)
    recipe = read_recipe(path) | settings
    kind = _kind_of(path, recipe)
    flags = ["--output_dir", ".", "--use_cpu", "true", "--report_to", "none"]
    flags += ["--data", *data] if data else _placeholders(kind, recipe)
    flags += [f"--{key}={value}" for key, value in settings.items()]
    model_args, data_args, *augmentation, training_args = parse_arguments(*kind, argv=[path, *flags])
    return RecipeArguments(model_args, data_args, augmentation[0] if augmentation else None, training_args)


def plan_recipe(path: str, arguments: RecipeArguments, global_items: int | None = None) -> PlannedRecipe:
    """What planning needs to know of a recipe whose arguments were read; see [`load_recipe`]."""
    model_args, data_args, augmentation, training_args = arguments
    if global_items is not None and global_items < 1:
        raise ValueError(f"Expected --global_batch of at least 1, got {global_items}.")
    if training_args.max_steps <= 0:
        raise ValueError(f"{path} does not say how many steps it takes: add --set max_steps=N.")
    config = _make_config(model_args)
    unit, longest = _unit_and_longest(config, data_args, training_args)
    _check_sizes(path, unit, longest, training_args)
    items_per_device = training_args.per_device_train_batch_size
    if training_args.batch_seconds is not None:
        items_per_device = max(1, int(training_args.batch_seconds / longest))
    own_items = items_per_device * training_args.gradient_accumulation_steps
    text = Path(path).read_text(encoding="utf-8")
    return PlannedRecipe(
        config=config,
        unit=unit,
        longest_item=longest,
        global_batch=_global_batch(text, longest, own_items, global_items),
        items_per_device=items_per_device,
        accumulation=training_args.gradient_accumulation_steps,
        max_steps=training_args.max_steps,
        half_precision=training_args.bf16 or training_args.fp16,
        checkpointing=checkpoints_activations(training_args),
        augmented=augmentation is not None and augmentation.is_active,
        max_grad_norm=training_args.max_grad_norm,
    )


def _check_sizes(path: str, unit: str, longest: float, training_args: Any) -> None:
    if not 0 < longest < inf:
        raise ValueError(f"Expected a longest item of more than 0 {unit}, got {longest:g}: see {path} and --set.")
    sizes = {
        "per_device_train_batch_size": training_args.per_device_train_batch_size,
        "gradient_accumulation_steps": training_args.gradient_accumulation_steps,
    }
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"Expected {name} of at least 1, got {size}: see {path} and --set.")


def _kind_of(path: str, recipe: Mapping[str, Any]) -> tuple[type, ...]:
    """The arguments of the script that a recipe is for: the one that knows all of its keys."""
    unknown = {kind: set(recipe) - {field.name for type_ in kind for field in fields(type_)} for kind in _KINDS}
    fitting = [kind for kind in _KINDS if not unknown[kind]]
    if len(fitting) > 1:
        raise ValueError(
            f"{path} could be for speech, images or text. Add a key that only one of the scripts has: min_seconds "
            "(speech), crop_scale (images) or block_size (text)."
        )
    # If none fits, reading the recipe as the nearest one names the keys that are wrong.
    return fitting[0] if fitting else min(_KINDS, key=lambda kind: len(unknown[kind]))


def _placeholders(kind: tuple[type, ...], recipe: Mapping[str, Any]) -> list[str]:
    """Flags that the scripts ask for and planning has no use for."""
    flags = ["--data", "NONE"]
    if kind is TEXT and not {"tokenizer", "train_tokenizer", "model_name_or_path"}.intersection(recipe):
        flags += ["--tokenizer", "roberta-base"]  # of as many tokens as named sizes have
    if kind is SPEECH and "noise_data" not in recipe:
        flags += ["--noise_data", "NONE"]
    return flags


def _global_batch(recipe: str, longest: float, own_items: int, given: int | None) -> GlobalBatch:
    comment = " ".join(line.lstrip("# ") for line in recipe.splitlines() if line.startswith("#"))
    items, amount = _GLOBAL_ITEMS.search(comment), _GLOBAL_AMOUNT.search(comment)
    if items is None or amount is None:
        number = own_items if given is None else given
        source = "the recipe's batch on one device, no comment says another" if given is None else "--global_batch"
        return GlobalBatch(number, number * longest, source)
    number, total = _as_int(items[1]), float(_as_int(amount[1]))
    if given is None:
        return GlobalBatch(number, total, "the recipe's comment")
    return GlobalBatch(given, given * total / number, "--global_batch, of the mean length in the recipe's comment")


def _as_int(text: str) -> int:
    return int(text.replace(",", ""))


def _unit_and_longest(config: PreTrainedConfig, data_args: Any, training_args: Any) -> tuple[str, float]:
    if isinstance(config, Data2Vec2TextConfig | Data2VecTextPreTrainingConfig):
        return "tokens", float(data_args.block_size)
    if isinstance(config, Data2Vec2VisionConfig | Data2VecVisionPreTrainingConfig):
        return "images", 1.0
    if data_args.max_seconds is None:
        raise ValueError("Without a longest clip no batch can be planned: add --set max_seconds=SECONDS.")
    multiple = training_args.pad_to_multiple_of_seconds
    return "seconds", data_args.max_seconds if multiple is None else _round_up(data_args.max_seconds, multiple)


def _round_up(seconds: float, multiple: float) -> float:
    return multiple * ceil(round(seconds / multiple, 6))  # 2.1 / 0.7 is a little above 3


def _make_config(model_args: Any) -> PreTrainedConfig:
    """The configuration of a named size, of a file or of a saved model, with the overrides."""
    if isinstance(model_args, TextModelArguments):
        config = _text_config(model_args)
    elif model_args.model_size is not None:
        config = _config_of_size(model_args.model_type, model_args.model_size)
    elif model_args.config is not None:
        config = _config_of_file(model_args.model_type, model_args.config)
    else:
        config = AutoConfig.from_pretrained(model_args.model_name_or_path)
    return override_config(_pretraining_config(config), model_args.overrides)


def _pretraining_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Of transformers' own configurations, which saved models' are read as, those of pre-training."""
    match config:
        case Data2VecAudioConfig():
            return as_pretraining_config(config, Data2VecAudioPreTrainingConfig)
        case Data2VecTextConfig():
            return as_pretraining_config(config, Data2VecTextPreTrainingConfig)
        case Data2VecVisionConfig():
            return as_pretraining_config(config, Data2VecVisionPreTrainingConfig, use_mask_token=True)
    return config


def _text_config(model_args: TextModelArguments) -> PreTrainedConfig:
    if model_args.model_name_or_path is not None:
        return AutoConfig.from_pretrained(model_args.model_name_or_path)
    if model_args.model_size is None:
        assert model_args.config is not None
        return _config_of_file(model_args.model_type, model_args.config)
    vocabulary = {} if model_args.train_tokenizer is None else {"vocab_size": model_args.train_tokenizer}
    config_of_size = data2vec2_text_config if model_args.model_type == "data2vec2-text" else data2vec_text_config
    return config_of_size(model_args.model_size, **vocabulary)


def _config_of_size(model_type: str, size: str) -> PreTrainedConfig:
    match model_type:
        case "data2vec2-audio":
            return data2vec2_audio_config(size)
        case "data2vec2-vision":
            return data2vec2_vision_config(size)
        case "data2vec-audio":
            return data2vec_audio_config(size)
        case "data2vec-vision":
            return data2vec_vision_config(size)
        case "data2vec-aqc":
            return data2vec_aqc_config(size)
        case "best-rq":
            return best_rq_config(size)
    raise ValueError(f"No named sizes for models of type {model_type!r}.")


def _config_of_file(model_type: str, path: str) -> PreTrainedConfig:
    values = json.loads(Path(path).read_text(encoding="utf-8"))
    model_type = values.pop("model_type", model_type)
    match model_type:
        case "data2vec-audio":
            return Data2VecAudioPreTrainingConfig(**values)
        case "data2vec-text":
            return Data2VecTextPreTrainingConfig(**values)
        case "data2vec-vision":
            return Data2VecVisionPreTrainingConfig(**values)
    return AutoConfig.for_model(model_type, **values)


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """`["key=value", ...]` as a mapping.

    Raises:
        ValueError: One has no `=`.
    """
    for setting in settings:
        if "=" not in setting:
            raise ValueError(f"--set expects KEY=VALUE, got {setting!r}.")
    return dict(setting.split("=", 1) for setting in settings)
