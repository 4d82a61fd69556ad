# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Numbers for people: short, with their unit."""

import math
from collections.abc import Sequence
from itertools import pairwise

_MINUS = "\N{MINUS SIGN}"


def format_number(value: float) -> str:
    """About three digits: `0.0123`, `4.57`, `1,234`, `2.5e-04`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinite" if value > 0 else f"{_MINUS}infinite"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3 or size >= 1e7:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("-", _MINUS)
    decimals = max(0, 2 - math.floor(math.log10(size))) if size < 100 else 0
    return f"{value:,.{decimals}f}".replace("-", _MINUS)


def format_share(value: float) -> str:
    """A percentage with at most one decimal."""
    if not math.isfinite(value):
        return format_number(value)
    return f"{100 * value:.{0 if abs(value) >= 0.9995 or value == 0 else 1}f} %".replace("-", _MINUS)


def format_count(value: float) -> str:
    """A large count: `1.8 million`, `940 thousand`."""
    for size, name in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.0f}"


def format_duration(seconds: float) -> str:
    """The two largest units: `3 h 12 min`, `2 min 5 s`, `12 s`."""
    if not 0 <= seconds < 1e10:
        return "unknown"
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if days >= 1:
        return f"{int(days)} d {int(hours % 24)} h"
    if hours >= 1:
        return f"{int(hours)} h {int(minutes % 60)} min"
    if minutes >= 1:
        return f"{int(minutes)} min {int(seconds % 60)} s"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def format_ticks(ticks: Sequence[float], is_share: bool = False) -> list[str]:
    """Numbers of an axis, all with as many decimals as their distance needs."""
    factor, unit = (100.0, " %") if is_share else (1.0, "")
    scaled = [factor * tick for tick in ticks]
    largest = max(map(abs, scaled), default=0.0)
    if len(ticks) < 2 or largest >= 1e6 or largest < 1e-4:
        return [format_share(tick) if is_share else format_number(tick) for tick in ticks]
    step = min(right - left for left, right in pairwise(scaled))
    decimals = next(places for places in range(12) if abs(round(step, places) - step) < 0.01 * step)
    return [f"{value:,.{decimals if value else 0}f}{unit}".replace("-", _MINUS) for value in scaled]


def nice_ticks(low: float, high: float, most: int = 4) -> list[float]:
    """At most `most` + 1 round numbers from `low` to `high`, both finite, which need not be among them."""
    if not low < high:
        return [low]
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]
