# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the data loader delivers by itself, while nothing is trained."""

import time
from dataclasses import dataclass
from itertools import islice

from .batches import num_items
from .real_data import TrainingData

_PREFETCHED = 2  # batches of each worker, torch's default
_SECONDS = 5.0


@dataclass(frozen=True)
class LoaderSpeed:
    """What came in some seconds.

    Attributes:
        workers: Processes; 0 for the main one alone.
        used_workers: Those that had something to read: of text, no more than there are files.
        batches, items, amount: How many batches, items, and seconds of audio, images or tokens (without padding).
        seconds: In how long.
    """

    workers: int
    used_workers: int
    batches: int
    items: int
    amount: float
    seconds: float

    @property
    def items_per_second(self) -> float:
        return self.items / self.seconds

    @property
    def amount_per_second(self) -> float:
        """Seconds of audio, images or tokens per second."""
        return self.amount / self.seconds


def measure_loader(data: TrainingData, workers: int, device: str, seconds: float | None = None) -> LoaderSpeed:
    """Takes batches as fast as they come, after those that workers begin with.

    Args:
        data: Of a recipe.
        workers: Processes that load; 0 for none.
        device: Of training, for which a GPU's batches are put into pinned memory.
        seconds: For how long at least, 5 if `None`; also at least as many batches as workers prepare ahead.

    Raises:
        ValueError: The number of workers is negative.
    """
    if workers < 0:
        raise ValueError(f"Expected --workers of 0 or more, got {workers}.")
    batches = iter(data.loader(workers, device))
    seconds = _SECONDS if seconds is None else seconds
    ahead = max(1, workers) * _PREFETCHED
    for _ in islice(batches, ahead):
        pass
    number, items, amount = 0, 0, 0.0
    started = time.perf_counter()
    while number < ahead or time.perf_counter() - started < seconds:
        batch = next(batches)
        number, items, amount = number + 1, items + num_items(batch), amount + data.amounts(batch)[0]
    elapsed = time.perf_counter() - started
    used = workers if data.most_workers is None else min(workers, data.most_workers)
    return LoaderSpeed(workers, used, number, items, amount, elapsed)
