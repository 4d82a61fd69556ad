# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checks of items before a collator makes a batch of them. In the workers they cost the training nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

Feature = Mapping[str, Any]
# Seeds of torch and of numpy's generators.
SEED_LIMIT = 2**63


def check_items(features: Sequence[Feature], *names: str) -> None:
    """
    Raises:
        ValueError: There is no item, or one lacks a field.
    """
    if len(features) == 0:
        raise ValueError("expected at least one feature")
    for feature in features:
        for name in names:
            if name not in feature:
                raise ValueError(f"expected `{name}` in every feature, got only {sorted(feature)}")


def as_array(name: str, values: Any) -> np.ndarray:
    """What an item holds as an array.

    Raises:
        ValueError: It is no array, as lists of unequal length in a list.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"expected `{name}` to be numbers, got {type(values).__name__}: {error}") from None


def waveforms_of(features: Sequence[Feature]) -> list[np.ndarray]:
    """The waveforms of a batch, float32.

    Raises:
        ValueError: An item has none in `input_values`, or one that is not mono, not of floating numbers, empty, or not
            finite.
    """
    check_items(features, "input_values")
    return [_waveform(feature["input_values"]) for feature in features]


def _waveform(values: Any) -> np.ndarray:
    waveform = as_array("input_values", values)
    if waveform.ndim != 1 or len(waveform) == 0 or waveform.dtype.kind != "f":
        raise ValueError(
            "expected `input_values` to be a mono waveform of shape (num_samples,) and of a floating type, as "
            f"`hf_ssl.data.read_audio` gives, got shape {waveform.shape} and type {waveform.dtype}"
        )
    with np.errstate(over="ignore"):
        waveform = waveform.astype(np.float32, copy=False)
    if not np.isfinite(waveform).all():
        raise ValueError(
            f"`input_values` of {len(waveform)} samples has {int((~np.isfinite(waveform)).sum())} that are NaN or "
            "infinite in float32: leave such clips out; `AudioDataset` does"
        )
    return waveform


def integers_of(name: str, values: Any) -> list[int]:
    """A list of integers, such as token ids.

    Raises:
        ValueError: These are no integers in a row.
    """
    array = as_array(name, values)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise ValueError(f"expected `{name}` to be integers in a row, got shape {array.shape} and type {array.dtype}")
    return [int(value) for value in array]


def check_range(name: str, values: Sequence[int], limit: int, advice: str) -> None:
    """
    Raises:
        ValueError: An integer is not from 0 to `limit` - 1.
    """
    outside = sorted({value for value in values if not 0 <= value < limit})
    if outside:
        raise ValueError(f"expected `{name}` from 0 to {limit - 1}, got {outside[:10]}. {advice}")


def seeds_of(features: Sequence[Feature]) -> list[int]:
    """The seeds of a batch, of which masks and augmentation are drawn.

    Raises:
        ValueError: An item has no integer `seed` from 0 to 2**63 - 1.
    """
    check_items(features, "seed")
    for feature in features:
        seed = feature["seed"]
        is_integer = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
        if not is_integer or not 0 <= seed < SEED_LIMIT:
            raise ValueError(f"expected `seed` to be an integer from 0 to 2**63 - 1, got {seed!r}")
    return [int(feature["seed"]) for feature in features]
