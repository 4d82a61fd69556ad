# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Lines over the steps of training, as SVG with the values in it for the script that shows them under the pointer."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from .charts import Limit
from .markup import Markup, element
from .numbers import format_number, format_share, format_ticks, nice_ticks

WIDTH, HEIGHT = 360.0, 176.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 10.0, 24.0
_MOST_POINTS = 400
_FEWEST_TO_SMOOTH = 24
# Total way of a line as a multiple of its range, from which on it is too rough to read.
_ROUGH = 3.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A line: `points` of steps and values, of which those that are not finite are gaps."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Scale:
    """From values to pixels; `is_log` if by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high = (math.log10(self.low), math.log10(self.high)) if self.is_log else (self.low, self.high)
        position = math.log10(max(value, self.low)) if self.is_log else value
        return self.start + (self.end - self.start) * (position - low) / (high - low)


def line_chart(title: str, series: Sequence[Series], *, is_share: bool = False, limit: Limit | None = None) -> Markup:
    """An SVG of lines over steps.

    Args:
        title: For those who do not see it.
        series: At least one. The first is drawn strongest.
        is_share: Values are shares, shown as percentages.
        limit: Drawn as a dashed line.
    """
    thinned = [Series(line.name, _thin(line.points)) for line in series]
    finite = [point for line in thinned for point in line.points if math.isfinite(point[1])]
    if not finite:
        return element("p", "No value of this figure is a finite number.", class_="caption")
    steps, values = zip(*finite, strict=True)
    across = Scale(*_widened(min(steps), max(steps)), LEFT, WIDTH - RIGHT)
    up = _vertical(values, is_share, limit)
    show = format_share if is_share else format_number
    lines = [_line(line, across, up, number) for number, line in reversed(list(enumerate(thinned)))]
    return element(
        "svg",
        element("title", title),
        _grid(across, up, is_share),
        _limit(limit, up),
        lines,
        element("g", class_="hover"),
        class_="chart",
        viewbox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        data_series=_data(thinned, across, up, show),
    )


def _widened(low: float, high: float) -> tuple[float, float]:
    """A range that is not empty."""
    if low < high:
        return low, high
    margin = abs(low) * 0.1 or 1.0
    return low - margin, high + margin


def _vertical(values: Sequence[float], is_share: bool, limit: Limit | None) -> Scale:
    start, end = HEIGHT - BOTTOM, TOP
    low, high = min(values), max(values)
    ordered = sorted(values)
    typical = ordered[int(0.95 * (len(ordered) - 1))]
    if low > 0 and high > 20 * typical:  # a spike would flatten all the rest
        return Scale(low / 1.2, high * 1.2, start, end, is_log=True)
    if is_share and low >= 0 and high <= 1:
        return Scale(0.0, 1.0 if high > 0.5 else _widened(0.0, high * 1.15)[1], start, end)
    # The guard's line and zero are shown where they are near.
    if limit is not None:
        near = (limit.value, 0.0) if limit.is_floor else (limit.value,)
        low, high = min(low, *near), max(high, *near)
    elif 0 < low < 0.35 * high:
        low = 0.0
    low, high = _widened(low, high)
    margin = 0.06 * (high - low)
    return Scale(low if low == 0 else low - margin, high + margin, start, end)


def _ticks(scale: Scale) -> list[float]:
    if not scale.is_log:
        return nice_ticks(scale.low, scale.high, 4)
    exponents = range(math.ceil(math.log10(scale.low)), math.floor(math.log10(scale.high)) + 1)
    ticks = [10.0**exponent for exponent in exponents]
    return ticks[:: max(1, len(ticks) // 4)] or [scale.low * 1.2, scale.high / 1.2]


def _grid(across: Scale, up: Scale, is_share: bool) -> Markup:
    marks = [element("text", "step", class_="tick", x=LEFT - 7, y=HEIGHT - 6, text_anchor="end")]
    heights = _ticks(up)
    labels = [format_number(value) for value in heights] if up.is_log else format_ticks(heights, is_share)
    for value, label in zip(heights, labels, strict=True):
        y = up(value)
        marks.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y))
        marks.append(element("text", label, class_="tick", x=LEFT - 7, y=y + 3.5, text_anchor="end"))
    ticks = [value for value in nice_ticks(across.low, across.high, 4) if value == int(value)]
    for value in ticks:
        x = across(value)
        anchor = "end" if x > WIDTH - RIGHT - 14 else "middle"
        marks.append(element("text", f"{value:,.0f}", class_="tick", x=x, y=HEIGHT - 6, text_anchor=anchor))
    return element("g", marks)


def _limit(limit: Limit | None, up: Scale) -> Markup | None:
    if limit is None or not up.low <= limit.value <= up.high:
        return None
    y = up(limit.value)
    label = f"guard: {'below' if limit.is_floor else 'above'} {limit.value:g}"
    above = y - 5 if y > TOP + 14 else y + 13
    return element(
        "g",
        element("line", class_="limit", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y),
        element("text", label, class_="tick", x=WIDTH - RIGHT, y=above, text_anchor="end"),
    )


def _line(line: Series, across: Scale, up: Scale, number: int) -> Markup:
    pixels = [(across(step), up(value)) if math.isfinite(value) else None for step, value in line.points]
    values = [value for _, value in line.points if math.isfinite(value)]
    is_rough = len(values) == len(line.points) >= _FEWEST_TO_SMOOTH and _roughness(values) > _ROUGH
    if not is_rough:
        return element("g", _paths(pixels, "line"), _dots(pixels), class_=f"series s{number}")
    smooth = [(across(step), up(value)) for step, value in smoothed(line.points)]
    return element("g", _paths(pixels, "line raw"), _paths(smooth, "line"), class_=f"series s{number}")


def _roughness(values: Sequence[float]) -> float:
    way = sum(abs(right - left) for left, right in pairwise(values))
    return way / ((max(values) - min(values)) or 1.0)


def smoothed(points: Sequence[Point]) -> list[Point]:
    """A moving average over a twelfth of the points, narrower at both ends."""
    half = max(1, len(points) // 24)
    averages = []
    for index, (step, _) in enumerate(points):
        reach = min(half, index, len(points) - 1 - index)
        window = [value for _, value in points[index - reach : index + reach + 1]]
        averages.append((step, sum(window) / len(window)))
    return averages


def _paths(pixels: Sequence[Point | None], class_: str) -> list[Markup]:
    paths = []
    for is_gap, part in groupby(pixels, key=lambda pixel: pixel is None):
        if not is_gap:
            path = "L".join(f"{pixel[0]:.1f} {pixel[1]:.1f}" for pixel in part if pixel is not None)
            paths.append(element("path", class_=class_, d=f"M{path}"))
    return paths


def _dots(pixels: Sequence[Point | None]) -> list[Markup]:
    """Values that stand alone and would not be seen as a line."""
    padded = [None, *pixels, None]
    return [
        element("circle", class_="dot", cx=pixel[0], cy=pixel[1], r=2.5)
        for before, pixel, after in zip(padded, padded[1:], padded[2:], strict=False)
        if pixel is not None and before is None and after is None
    ]


def _thin(points: Sequence[Point]) -> list[Point]:
    """At most `_MOST_POINTS`: means of neighbours, at the last step of each."""
    size = math.ceil(len(points) / _MOST_POINTS)
    if size <= 1:
        return list(points)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _data(series: Sequence[Series], across: Scale, up: Scale, show: Callable[[float], str]) -> str:
    """For the script: of every line its name and, of every point, the step, its place and its value as text."""
    lines = [
        {
            "name": line.name if len(series) > 1 else "",
            "points": [
                [step, round(across(step), 1), round(up(value), 1), show(value)]
                for step, value in line.points
                if math.isfinite(value)
            ],
        }
        for line in series
    ]
    return json.dumps(lines, ensure_ascii=False, separators=(",", ":"))
