# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A line per model over its layers, named at its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from .line_chart import Scale
from .markup import Markup, element
from .numbers import format_share, format_ticks, nice_ticks

WIDTH, HEIGHT = 560.0, 250.0
LEFT, TOP, BOTTOM = 46.0, 12.0, 26.0
LABELS = 170.0
_LABEL_HEIGHT = 15.0
_LONGEST_LABEL = 26


@dataclass(frozen=True)
class Layers:
    """A line: of each run of `name` its values by layer; `number` chooses the colour."""

    name: str
    number: int
    runs: Sequence[Sequence[float]]

    @property
    def means(self) -> list[float]:
        """Over runs, of the layers that all of them have."""
        return [sum(values) / len(values) for values in zip(*self.runs, strict=False)]


def layer_chart(title: str, lines: Sequence[Layers]) -> Markup:
    """An SVG of shares over layers; with several runs the smallest and the largest as a band."""
    values = [value for line in lines for run in line.runs for value in run]
    num_layers = max(len(line.means) for line in lines)
    low, high = min(0.0, *values), max(values)
    across = Scale(0, max(1, num_layers - 1), LEFT, WIDTH - LABELS)
    up = Scale(low, high * 1.05 or 1.0, HEIGHT - BOTTOM, TOP)
    return element(
        "svg",
        element("title", title),
        _grid(across, up, num_layers),
        [_line(line, across, up) for line in lines],
        _labels(lines, across, up),
        class_="chart",
        viewbox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
    )


def _grid(across: Scale, up: Scale, num_layers: int) -> Markup:
    marks = []
    ticks = nice_ticks(up.low, up.high, 4)
    for value, label in zip(ticks, format_ticks(ticks, is_share=True), strict=True):
        y = up(value)
        marks.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - LABELS, y1=y, y2=y))
        marks.append(element("text", label, class_="tick", x=LEFT - 7, y=y + 3.5, text_anchor="end"))
    for layer in range(0, num_layers, max(1, num_layers // 8)):
        marks.append(element("text", f"{layer}", class_="tick", x=across(layer), y=HEIGHT - 7, text_anchor="middle"))
    return element("g", marks)


def _line(line: Layers, across: Scale, up: Scale) -> Markup:
    points = [(across(layer), up(value)) for layer, value in enumerate(line.means)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dots = [
        element(
            "circle",
            element("title", f"{line.name}, layer {layer}: {format_share(value)}"),
            class_="dot",
            cx=x,
            cy=y,
            r=3,
        )
        for layer, ((x, y), value) in enumerate(zip(points, line.means, strict=True))
    ]
    return element(
        "g", _band(line, across, up), element("path", class_="line", d=path), dots, class_=f"series s{line.number}"
    )


def _band(line: Layers, across: Scale, up: Scale) -> Markup | None:
    if len(line.runs) < 2:
        return None
    layers = list(zip(*line.runs, strict=False))
    top = [f"{across(layer):.1f} {up(max(values)):.1f}" for layer, values in enumerate(layers)]
    bottom = [f"{across(layer):.1f} {up(min(values)):.1f}" for layer, values in enumerate(layers)]
    return element("path", class_="band", d="M" + "L".join([*top, *bottom[::-1]]) + "Z")


def _labels(lines: Sequence[Layers], across: Scale, up: Scale) -> Markup:
    """Names at the ends of their lines, moved apart where they would overlap."""
    wanted = sorted((up(line.means[-1]), index) for index, line in enumerate(lines))
    places: list[float] = []
    for y, _ in wanted:
        places.append(max(y, places[-1] + _LABEL_HEIGHT) if places else y)
    overflow = max(0.0, places[-1] - (HEIGHT - BOTTOM))
    labels: list[Markup] = []
    for place, (wanted_y, index) in zip(places, wanted, strict=True):
        line = lines[index]
        name = line.name if len(line.name) <= _LONGEST_LABEL else f"{line.name[: _LONGEST_LABEL - 1]}…"
        y, left = place - overflow, WIDTH - LABELS + 14
        end = across(len(line.means) - 1) + 6
        leader = element(
            "path", class_=f"leader s{line.number}", d=f"M{end:.1f} {wanted_y:.1f}L{left - 4:.1f} {y:.1f}"
        )
        labels += [leader, element("text", name, class_=f"name s{line.number}", x=left, y=y + 4)]
    return element("g", labels)
