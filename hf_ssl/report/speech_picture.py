# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A spectrogram, what was hidden of it, and rows of what a model makes of each frame, on one axis of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from .line_chart import Scale
from .markup import Markup, element
from .numbers import nice_ticks
from .pictures import data_uri
from .spectrogram import spectrogram_pixels

WIDTH, LEFT, RIGHT = 1120.0, 122.0, 12.0
_SPECTROGRAM_HEIGHT, _MASK_HEIGHT, _SIMILARITY_HEIGHT, _CODE_HEIGHT = 150.0, 10.0, 92.0, 26.0
_GAP = 14.0
# Of colours far apart, for codes that follow each other in number: the golden angle.
_GOLDEN_ANGLE = 137.508


@dataclass(frozen=True)
class SimilarityRow:
    """Of some frames the similarity of their prediction with their own target and, on average, with others'."""

    frames: Sequence[int]
    own: Sequence[float]
    others: Sequence[float]
    height: float = _SIMILARITY_HEIGHT


@dataclass(frozen=True)
class CodeRow:
    """Of some frames a code each, drawn in colour, and whether it is right, where that is a question."""

    name: str
    frames: Sequence[int]
    codes: Sequence[int]
    hits: Sequence[bool] | None = None
    height: float = _CODE_HEIGHT


Row = SimilarityRow | CodeRow


def speech_picture(
    waveform: np.ndarray, sampling_rate: int, hidden: torch.Tensor, rows: Sequence[Row], seconds_per_frame: float
) -> Markup:
    """The picture as SVG.

    Args:
        waveform: `(num_samples,)`.
        sampling_rate: Samples per second.
        hidden: Which frames were hidden, `(num_frames,)`, bool.
        rows: Drawn below each other.
        seconds_per_frame: From one frame to the next.
    """
    seconds = len(waveform) / sampling_rate
    across = Scale(0.0, seconds, LEFT, WIDTH - RIGHT)
    parts: list[Markup] = [_spectrogram(waveform, sampling_rate), *_hidden(hidden, across, seconds_per_frame)]
    top = _SPECTROGRAM_HEIGHT + 6 + _MASK_HEIGHT + _GAP
    for row in rows:
        parts.append(_row(row, top, across, seconds_per_frame))
        top += row.height + _GAP
    parts.append(_time_axis(across, seconds, top))
    height = top + 16
    svg = element(
        "svg",
        element("title", "Spectrogram, hidden frames and predictions"),
        parts,
        viewbox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
    )
    return element("div", svg, class_="sample", tabindex="0")


def _spectrogram(waveform: np.ndarray, sampling_rate: int) -> Markup:
    pixels = spectrogram_pixels(waveform, sampling_rate)
    image = element(
        "image",
        href=data_uri(pixels),
        x=LEFT,
        y=0.0,
        width=WIDTH - LEFT - RIGHT,
        height=_SPECTROGRAM_HEIGHT,
        preserveaspectratio="none",
    )
    return element("g", _name("Spectrogram", "80 mel bands", _SPECTROGRAM_HEIGHT / 2), image)


def _name(name: str, detail: str, middle: float) -> Markup:
    return element(
        "g",
        element("text", name, class_="row", x=0.0, y=middle + (-2 if detail else 4)),
        element("text", detail, class_="tick", x=0.0, y=middle + 13) if detail else None,
    )


def _hidden(hidden: torch.Tensor, across: Scale, seconds_per_frame: float) -> list[Markup]:
    """Shades over the hidden spans, and a bar under them."""
    top = _SPECTROGRAM_HEIGHT + 6
    parts = [_name("Hidden", "", top + _MASK_HEIGHT / 2)]
    for is_hidden, frames in groupby(range(len(hidden)), key=lambda frame: bool(hidden[frame])):
        span = list(frames)
        if is_hidden:
            x, width = _place(span[0], len(span), across, seconds_per_frame)
            parts.append(element("rect", class_="shade", x=x, y=0.0, width=width, height=_SPECTROGRAM_HEIGHT))
            parts.append(element("rect", class_="hidden", x=x, y=top, width=width, height=_MASK_HEIGHT))
    return parts


def _place(frame: int, count: int, across: Scale, seconds_per_frame: float) -> tuple[float, float]:
    """Left edge and width of some frames, not beyond the recording."""
    start = min(across(frame * seconds_per_frame), across.end)
    end = min(across((frame + count) * seconds_per_frame), across.end)
    return start, end - start


def _row(row: Row, top: float, across: Scale, seconds_per_frame: float) -> Markup:
    match row:
        case SimilarityRow():
            return _similarities(row, top, across, seconds_per_frame)
        case CodeRow():
            return _codes(row, top, across, seconds_per_frame)


def _similarities(row: SimilarityRow, top: float, across: Scale, seconds_per_frame: float) -> Markup:
    low = min(0.0, *row.own, *row.others)
    up = Scale(low, 1.0, top + row.height, top)
    parts = [_name("Similarity", "with the target", top + row.height / 2 - 4)]
    for value in (0.0, 0.5, 1.0):
        y = up(value)
        parts.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y))
        parts.append(element("text", f"{value:g}", class_="tick", x=LEFT - 7, y=y + 4, text_anchor="end"))
    for frame, value in zip(row.frames, row.own, strict=True):
        x, width = _place(frame, 1, across, seconds_per_frame)
        y, height = min(up(value), up(0.0)), abs(up(value) - up(0.0))
        tip = element("title", f"{frame * seconds_per_frame:.2f} s: {value:.2f}")
        parts.append(element("rect", tip, class_="bar", x=x, y=y, width=max(width - 0.6, 0.4), height=height))
    return element("g", parts, _others(row, up, across, seconds_per_frame))


def _others(row: SimilarityRow, up: Scale, across: Scale, seconds_per_frame: float) -> list[Markup]:
    """A line over each span of neighbouring frames."""
    values = dict(zip(row.frames, row.others, strict=False))
    lines = []
    for _, span in groupby(values, key=lambda frame: frame - list(values).index(frame)):
        frames = list(span)
        corners = []
        for frame in frames:
            x, width = _place(frame, 1, across, seconds_per_frame)
            corners += [f"{x:.1f} {up(values[frame]):.1f}", f"{x + width:.1f} {up(values[frame]):.1f}"]
        lines.append(element("path", class_="others", d="M" + "L".join(corners)))
    return lines


def _codes(row: CodeRow, top: float, across: Scale, seconds_per_frame: float) -> Markup:
    height = row.height - (6 if row.hits is not None else 0)
    parts = [_name(row.name, "", top + height / 2)]
    for index, (frame, code) in enumerate(zip(row.frames, row.codes, strict=True)):
        x, width = _place(frame, 1, across, seconds_per_frame)
        tip = element("title", f"{frame * seconds_per_frame:.2f} s: code {code}")
        parts.append(element("rect", tip, fill=_colour(code), x=x, y=top, width=width, height=height))
        if row.hits is not None and row.hits[index]:
            parts.append(element("rect", class_="hit", x=x, y=top + height + 2, width=width, height=4.0))
    return element("g", parts)


def _colour(code: int) -> str:
    """Of a code: hues far apart, at one of three lightnesses."""
    return f"hsl({code * _GOLDEN_ANGLE % 360:.0f} 62% {(48, 62, 36)[code % 3]}%)"


def _time_axis(across: Scale, seconds: float, top: float) -> Markup:
    ticks = nice_ticks(0.0, seconds, 8)
    texts = [
        element("text", f"{value:g} s", class_="tick", x=across(value), y=top + 6, text_anchor="middle")
        for value in ticks
    ]
    return element("g", texts)
