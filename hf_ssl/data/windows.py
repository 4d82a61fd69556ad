# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Which part of a recording becomes a clip: bounds on its length, and equal windows of long recordings."""

from itertools import pairwise
from math import inf
from typing import NamedTuple


def equal_windows(num_samples: int, max_samples: int, min_samples: int = 1) -> list[tuple[int, int]]:
    """Cuts a recording into windows of equal length (to the sample) that cover it exactly once.

    Equal windows leave no short rest at the end. Where no number of windows satisfies both bounds (11 s with at least
    8 and at most 10), the windows are longer than `max_samples`: nothing is lost, and the reader crops them.

    Args:
        num_samples (`int`): Length of the recording, positive.
        max_samples (`int`): Longest window, positive.
        min_samples (`int`): Shortest window, positive.

    Returns:
        `list[tuple[int, int]]`: First sample and number of samples of each window, in order.
    """
    if min(num_samples, max_samples, min_samples) < 1:
        raise ValueError(
            "expected positive num_samples, max_samples and min_samples, got "
            f"{num_samples}, {max_samples} and {min_samples}"
        )
    fewest_windows = -(-num_samples // max_samples)
    most_windows = max(num_samples // min_samples, 1)
    num_windows = min(fewest_windows, most_windows)
    bounds = [index * num_samples // num_windows for index in range(num_windows + 1)]
    return [(first, last - first) for first, last in pairwise(bounds)]


class ClipLimits(NamedTuple):
    """Bounds on the length of a clip.

    Attributes:
        min_seconds (`float`, *optional*): Shorter recordings are left out.
        max_seconds (`float`, *optional*): Longer recordings are cut into windows, or left out.
        cut_long (`bool`): Whether longer recordings are cut: not where a label or a transcript speaks of the whole.
    """

    min_seconds: float | None
    max_seconds: float | None
    cut_long: bool

    def check(self) -> None:
        """Raises `ValueError` if the bounds are not positive, not finite, or contradict each other."""
        for name, seconds in (("min_seconds", self.min_seconds), ("max_seconds", self.max_seconds)):
            if seconds is not None and not 0 < seconds < inf:
                raise ValueError(f"expected {name} to be positive (or None for no bound), got {seconds}")
        if self.min_seconds and self.max_seconds and self.min_seconds > self.max_seconds:
            raise ValueError(f"expected min_seconds <= max_seconds, got {self.min_seconds} > {self.max_seconds}")

    def reason_to_skip(self, num_samples: int, sampling_rate: int) -> str | None:
        """Why a recording of `num_samples` cannot be used; `None` if it can."""
        seconds = num_samples / sampling_rate
        if self.min_seconds is not None and seconds < self.min_seconds:
            return f"too short: {seconds:.3f} s, at least {self.min_seconds:g} s are needed"
        if self.max_seconds is not None and seconds > self.max_seconds and not self.cut_long:
            return f"too long: {seconds:.3f} s, at most {self.max_seconds:g} s are allowed for labelled clips"
        return None

    def windows(self, num_samples: int, sampling_rate: int) -> list[tuple[float, float]]:
        """Start and duration in seconds of the clips of a recording; one clip unless it is longer than allowed."""
        max_samples = num_samples if self.max_seconds is None else max(int(self.max_seconds * sampling_rate), 1)
        min_samples = 1 if self.min_seconds is None else max(round(self.min_seconds * sampling_rate), 1)
        windows = equal_windows(num_samples, max_samples, min_samples)
        return [(first / sampling_rate, length / sampling_rate) for first, length in windows]
