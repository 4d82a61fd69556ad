# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Percentiles of computing times, in memory that does not grow with their number."""

import math

import numpy as np

_SHORTEST = 1e-6  # seconds
_GROWTH = 1.01  # from one bin to the next
_NUM_BINS = 2500  # up to 18 hours


class LatencyHistogram:
    """Counts times in bins that are 1 % wide: percentiles are exact to that, from a microsecond on."""

    def __init__(self) -> None:
        self._counts = np.zeros(_NUM_BINS, dtype=np.int64)
        self.longest = 0.0

    def __len__(self) -> int:
        """How many times were added."""
        return int(self._counts.sum())

    def add(self, seconds: float) -> None:
        """Adds a time."""
        index = math.log(max(seconds, _SHORTEST) / _SHORTEST) / math.log(_GROWTH)
        self._counts[min(int(index), _NUM_BINS - 1)] += 1
        self.longest = max(self.longest, seconds)

    def percentile(self, percent: float) -> float:
        """The time, in seconds, that `percent` of all times do not exceed; NaN if there are none."""
        if len(self) == 0:
            return math.nan
        rank = math.ceil(percent / 100 * len(self))
        index = int(np.searchsorted(self._counts.cumsum(), max(rank, 1)))
        return min(_SHORTEST * _GROWTH ** (index + 1), self.longest)
