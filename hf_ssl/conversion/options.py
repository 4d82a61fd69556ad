# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What tables of options, our field -> the original's option of the same meaning, are read with in both directions."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from ..models.waveforms import WaveformGeometry
from .problems import Problems


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


def conv_spec(config: WaveformGeometry) -> str:
    """The layers of a waveform encoder as the original writes them."""
    return str(list(zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)))


def as_list(value: Any) -> Any:
    """Tuples and lists of a configuration as lists, so that they can be compared."""
    return list(value) if isinstance(value, tuple) else value
