# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What tables of options, our field -> the original's option of the same meaning, are read with in both directions."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig

from ..models.waveforms import WaveformGeometry
from .problems import Problems, one_line

ConfigType = TypeVar("ConfigType", bound=PreTrainedConfig)

# In the original's order of application.
TARGET_LAYER_NORMS = ("batch", "instance", "layer")
TARGET_NORMS = ("layer", "instance")
# Modalities, of which a model has one; and the student of a fine-tuned model, which is looked at by itself.
_MODALITIES = ("audio", "image", "text")
_STUDENTS = ("w2v_args", "pretrained_model_args")


def section(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A named part of a configuration; a `ValueError` if there is none."""
    found = options.get(name)
    if not isinstance(found, Mapping):
        raise ValueError(f"The checkpoint's configuration has no section {name!r}, but {found!r:.80} in its place.")
    return dict(found)


def named_fields(options: dict[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Our fields, with the values of the options that `fields` names."""
    return {ours: options[original] for ours, original in fields.items()}


def named_options(values: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The original's options, with the values of our fields."""
    return {original: copy.copy(values[ours]) for ours, original in fields.items()}


def list_unsupported(options: dict[str, Any], neutral: Mapping[str, Any], problems: Problems) -> None:
    """Adds options that have another value than the `neutral` one to the problems."""
    problems.unsupported_options += [
        f"{name} = {options[name]!r}" for name, value in neutral.items() if options.get(name, value) != value
    ]


def list_missing(options: dict[str, Any], names: Iterable[str], problems: Problems) -> None:
    """Adds names that the options lack to the problems, once."""
    problems.missing_options += [
        name for name in names if name not in options and name not in problems.missing_options
    ]


def make_config(
    config_class: type[ConfigType], fields: dict[str, Any] | None, problems: Problems
) -> ConfigType | None:
    """The configuration of these fields; `None`, and `problems`, if there is no such model, or no fields."""
    if fields is None:
        return None
    try:
        return config_class(**fields)
    except (StrictDataclassError, TypeError, ValueError, ArithmeticError) as error:
        problems.options.append(f"The checkpoint's options make no model: {one_line(error)}")
        return None


def ignored_options(options: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Options that are not among the `known` ones, nested ones too, for people to read. The original's loader drops
    what it does not know, as from a fork or from another version."""
    found: list[str] = []
    for name, value in options.items():
        if name in _STUDENTS or (name in _MODALITIES and name not in known):
            continue
        if name not in known:
            found.append(f"{name!r}: {value!r:.80}")
        elif isinstance(value, Mapping) and isinstance(known[name], Mapping):
            found += ignored_options(value, known[name])
    return found


def other_fields(config: PreTrainedConfig, needed: Mapping[str, Any]) -> list[str]:
    """Fields that have other values than `needed`, for people to read."""
    values = config.to_dict()
    return [
        f"{name} = {as_list(values[name])!r} (it would have to be {value!r})"
        for name, value in needed.items()
        if as_list(values[name]) != value
    ]


def conv_spec(config: WaveformGeometry) -> str:
    """The layers of a waveform encoder as the original writes them."""
    return str(list(zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)))


def as_list(value: Any) -> Any:
    """Tuples and lists of a configuration as lists, so that they can be compared."""
    return list(value) if isinstance(value, tuple) else value
