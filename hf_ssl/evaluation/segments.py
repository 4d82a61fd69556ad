# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Labels of parts of a clip (phones, words, who speaks), from a table to the frames of an encoder."""

import csv
import json
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .items import Clip

SEGMENT_COLUMNS = ("start", "end", "label")


class Segment(NamedTuple):
    """`label` from `start` to before `end`, in seconds from the beginning of the clip."""

    start: float
    end: float
    label: str


def segments_of(clip: Clip, field: str) -> list[Segment]:
    """The segments that a table gives for a clip.

    Args:
        clip: The clip.
        field: JSON, a list of `[start, end, label]` or of objects with these keys; or the path of a .csv file with
            these columns, relative to the folder of the recording.

    Returns:
        Segments in the order of time. Between them there may be gaps, whose frames have no label.

    Raises:
        ValueError: They are neither, lie outside of the clip, or overlap.
    """
    rows = _parse(field) if field.lstrip().startswith("[") else _read(clip, field)
    segments = sorted(_segment(clip, row) for row in rows)
    for earlier, later in pairwise(segments):
        if later.start < earlier.end - 1e-6:
            raise ValueError(
                f"{clip.name}: expected segments one after the other, but {later} begins before {earlier} ends."
            )
    if segments and segments[-1].start >= clip.duration:
        raise ValueError(
            f"{clip.name} has {clip.duration:.3f} s, but its last segment begins at {segments[-1].start} s: expected "
            "times in seconds from the beginning of the clip."
        )
    return segments


def label_frames(segments: Sequence[Segment], centres: np.ndarray) -> list[str | None]:
    """The label of the segment that every frame's centre lies in, `None` where there is none.

    Args:
        segments: In the order of time.
        centres: `(num_frames,)`, seconds from the beginning of the clip.
    """
    if not segments:
        return [None] * len(centres)
    numbers = np.searchsorted([segment.start for segment in segments], centres, side="right") - 1
    return [
        segments[number].label if number >= 0 and centre < segments[number].end else None
        for number, centre in zip(numbers.tolist(), centres.tolist(), strict=True)
    ]


def _parse(field: str) -> list[Any]:
    try:
        return json.loads(field)
    except ValueError as error:
        raise ValueError(
            f"Expected segments as JSON, [[start, end, label], ...], got {field:.80}: {error}."
        ) from error


def _read(clip: Clip, name: str) -> list[Any]:
    if isinstance(clip.source, bytes):
        raise ValueError(
            f"{clip.name} is no file that {name!r:.80} could lie beside: give segments as JSON, [[start, end, label], "
            "...]."
        )
    path = Path(clip.source).parent / name
    if path.suffix.lower() != ".csv" or not path.is_file():
        raise ValueError(
            f"Expected segments as JSON, [[start, end, label], ...], or the name of a .csv file beside {clip.source}, "
            f"got {name!r:.80}."
        )
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if rows and not set(SEGMENT_COLUMNS) <= set(rows[0]):
        raise ValueError(f"Expected the columns {', '.join(SEGMENT_COLUMNS)} in {path}, got {', '.join(rows[0])}.")
    return rows


def _segment(clip: Clip, row: Any) -> Segment:
    try:
        start, end, label = [row[name] for name in SEGMENT_COLUMNS] if isinstance(row, dict) else row
        segment = Segment(float(start), float(end), "" if label is None else str(label).strip())
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{clip.name}: expected segments [start, end, label] in seconds, got {row!r}.") from error
    if not (0 <= segment.start < segment.end < inf and segment.label):
        raise ValueError(f"{clip.name}: expected 0 <= start < end and a label, got {row!r}.")
    return segment
