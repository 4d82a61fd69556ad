# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Segments of a clip, from a cell or a file beside the clip, and the frames that they label."""

import json
from pathlib import Path

import numpy as np
import pytest

from hf_ssl.evaluation.items import Clip
from hf_ssl.evaluation.segments import Segment, label_frames, segments_of

CLIP = Clip("folder/clip.wav", 0.0, 2.0)
SEGMENTS = [Segment(0.0, 0.5, "a"), Segment(0.5, 0.9, "b"), Segment(1.2, 2.0, "a")]


@pytest.mark.parametrize("as_objects", [False, True])
def test_json_in_any_order(as_objects: bool) -> None:
    rows = [segment._asdict() if as_objects else list(segment) for segment in reversed(SEGMENTS)]
    assert segments_of(CLIP, json.dumps(rows)) == SEGMENTS


def test_a_table_beside_the_recording(tmp_path: Path) -> None:
    lines = ["start,end,label", *(f"{start},{end},{label}" for start, end, label in SEGMENTS)]
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "clip.csv").write_text("\n".join(lines) + "\n")
    clip = Clip(str(tmp_path / "clip.wav"), 0.0, 2.0)
    assert segments_of(clip, "labels/clip.csv") == SEGMENTS
    (tmp_path / "other.csv").write_text("begin,end,label\n0,1,a\n")
    with pytest.raises(ValueError, match="Expected the columns start, end, label"):
        segments_of(clip, "other.csv")


def test_numbers_may_be_labels() -> None:
    assert segments_of(CLIP, "[[0, 1, 7]]") == [Segment(0.0, 1.0, "7")]


def test_a_clip_without_segments() -> None:
    assert segments_of(CLIP, "[]") == []
    assert label_frames([], np.array([0.1, 0.2])) == [None, None]


def test_frames_have_the_label_at_their_centre() -> None:
    centres = np.array([0.0, 0.49, 0.5, 0.89, 0.9, 1.0, 1.2, 1.99, 2.0])
    assert label_frames(SEGMENTS, centres) == ["a", "a", "b", "b", None, None, "a", "a", None]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("[[0, 1, 2", "Expected segments as JSON"),
        ("[[0, 1]]", r"expected segments \[start, end, label\] in seconds, got \[0, 1\]"),
        ('[["zero", 1, "a"]]', r"in seconds, got \['zero', 1, 'a'\]"),
        ('[{"start": 0, "end": 1}]', "in seconds, got"),
        ("[5]", "in seconds, got 5"),
        ('[[1, 1, "a"]]', "expected 0 <= start < end and a label"),
        ('[[-1, 1, "a"]]', "expected 0 <= start < end and a label"),
        ('[[0, 1, " "]]', "expected 0 <= start < end and a label"),
        ("[[0, 1, null]]", "expected 0 <= start < end and a label"),
        ('[[0, NaN, "a"]]', "expected 0 <= start < end and a label"),
        ('[[0, 1, "a"], [0.5, 1.5, "b"]]', "begins before"),
        ('[[16000, 32000, "a"]]', "has 2.000 s, but its last segment begins at 16000.0 s"),
        ("clip.txt", "or the name of a .csv file beside folder/clip.wav, got 'clip.txt'"),
        ("nowhere.csv", "or the name of a .csv file beside"),
    ],
)
def test_faults_are_named(field: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segments_of(CLIP, field)


def test_a_clip_without_a_file_has_nothing_beside_it() -> None:
    with pytest.raises(ValueError, match=r"is no file that 'clip\.csv' could lie beside"):
        segments_of(Clip(b"content", 0.0, 1.0), "clip.csv")
