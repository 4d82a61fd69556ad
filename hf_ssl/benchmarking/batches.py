# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The batches that steps are measured on: noise of the longest length, or a recipe's training data."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean

from ..planning.recipes import PlannedRecipe
from ..planning.synthetic import make_batch
from .real_data import Batch, TrainingData

_WARM_UP = 2


@dataclass(frozen=True)
class Batches:
    """What steps are taken on.

    Attributes:
        warm_up: Of steps that do not count.
        counted: Of those that do.
        distinct: Those of `counted` that differ from one another.
        items: Clips, images or blocks of a batch; the mean of batches that differ.
        amount: Seconds of audio, images or tokens of a batch without padding; the mean.
        padding: Share of it.
        loading_seconds: Of the batches that count, in this process; none of noise.
    """

    warm_up: Sequence[Batch]
    counted: Sequence[Batch]
    distinct: Sequence[Batch]
    items: float
    amount: float
    padding: float = 0.0
    loading_seconds: Sequence[float] = field(default_factory=tuple)


def noise_batches(recipe: PlannedRecipe, items: int, rounds: int, device: str) -> Batches:
    """The same batch of the longest length again and again."""
    batch = _to(make_batch(recipe, recipe.config, items), device)
    return Batches([batch] * _WARM_UP, [batch] * rounds, [batch], items, items * recipe.longest_item)


def real_batches(data: TrainingData, rounds: int, device: str) -> Batches:
    """Batches as training begins with them; the first, which has the longest clip, is for warming up.

    Raises:
        ValueError: The files are there, but cannot be decoded.
    """
    loaded, seconds = _load(data, 1 + rounds, device)
    amounts = [data.amounts(batch) for batch in loaded[1:]]
    first, *counted = (_to(batch, device) for batch in loaded)
    return Batches(
        warm_up=[first] * _WARM_UP,
        counted=counted,
        distinct=counted,
        items=mean(num_items(batch) for batch in counted),
        amount=mean(amount for amount, _ in amounts),
        padding=1 - sum(amount for amount, _ in amounts) / sum(padded for _, padded in amounts),
        loading_seconds=seconds[1:],
    )


def _load(data: TrainingData, number: int, device: str) -> tuple[list[Batch], list[float]]:
    """Batches, and how long each took in this process."""
    loaded: list[Batch] = []
    seconds: list[float] = []
    batches = iter(data.loader(0, device))
    for _ in range(number):
        started = time.perf_counter()
        try:
            loaded.append(next(batches))
        except RuntimeError as error:  # of the data sets, when nothing is left to take in place of what is broken
            raise ValueError(f"The data cannot be loaded, are they of the recipe's kind? {error}.") from error
        seconds.append(time.perf_counter() - started)
    return loaded, seconds


def num_items(batch: Batch) -> int:
    """Clips, images or blocks of a batch."""
    return len(next(iter(batch.values())))


def _to(batch: Batch, device: str) -> Batch:
    return {name: tensor.to(device) for name, tensor in batch.items()}
