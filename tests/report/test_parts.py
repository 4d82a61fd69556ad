# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Markup, numbers, paths: what all of the page is made of."""

import math

import pytest
from report_helpers import HOSTILE

from hf_ssl.report.markup import Markup, element, fragment
from hf_ssl.report.numbers import format_count, format_duration, format_number, format_share, format_ticks, nice_ticks
from hf_ssl.report.privacy import last_name, without_paths


def test_texts_and_attributes_are_escaped():
    made = element("p", HOSTILE, title=HOSTILE, class_="a", data_step=3)
    assert "<script" not in made
    assert made.count("<") == 2
    assert made.count('"') == 6
    assert made.startswith("<p title=")
    assert 'class="a" data-step="3"' in made


def test_elements_are_not_escaped_again():
    assert element("p", ["a & b", None, [element("b", "<")]]) == "<p>a &amp; b<b>&lt;</b></p>"
    assert isinstance(fragment("a"), Markup)
    assert element("details", open=True, hidden=False) == "<details open></details>"
    assert element("img", src="x") == '<img src="x">'


def test_names_of_elements_are_checked():
    with pytest.raises(ValueError, match="name of an element"):
        element("p onload=x")


def test_characters_that_a_page_may_not_contain():
    assert (
        element("p", "a\x00b\ud800").encode() == "<p>a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}</p>".encode()
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (3.84159, "3.84"),
        (0.01234, "0.0123"),
        (1234.5, "1,234"),
        (2.5e-7, "2.5e\N{MINUS SIGN}7"),
        (-0.5, "\N{MINUS SIGN}0.500"),
        (math.nan, "NaN"),
        (-math.inf, "\N{MINUS SIGN}infinite"),
    ],
)
def test_numbers(value, shown):
    assert format_number(value) == shown


def test_shares_counts_and_durations():
    assert [format_share(value) for value in (0.0, 0.318, 1.0, 1.03)] == ["0 %", "31.8 %", "100 %", "103 %"]
    assert format_share(math.nan) == "NaN"
    assert [format_count(value) for value in (12, 26_100, 1.26e6)] == ["12", "26.1 thousand", "1.26 million"]
    assert [format_duration(value) for value in (4.2, 75, 4160, 2e5)] == [
        "4.2 s",
        "1 min 15 s",
        "1 h 9 min",
        "2 d 7 h",
    ]
    assert format_duration(math.nan) == "unknown"


def test_ticks_are_round_and_told_apart():
    assert nice_ticks(0.0, 1.0) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert nice_ticks(3.0, 3.0) == [3.0]
    for low, high in ((0.0, 0.0105), (1.6, 4.6), (-3e-5, 8e-5), (0.0, 7e5)):
        ticks = nice_ticks(low, high)
        assert 2 <= len(ticks) <= 6
        assert low - 1e-9 <= ticks[0] < ticks[-1] <= high * (1 + 1e-9)
        assert len(set(format_ticks(ticks))) == len(ticks)
    assert format_ticks([0.0, 0.25], is_share=True) == ["0 %", "25 %"]
    assert format_ticks([0.0, 5e-4, 1e-3]) == ["0", "0.0005", "0.0010"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/ada/voices/a.wav: no audio", "…/a.wav: no audio"),
        ("Saved checkpoint-3 in /home/ada/out.", "Saved checkpoint-3 in …/out."),
        ("unreadable: ~/x/y.flac", "unreadable: …/y.flac"),
        (r"C:\Users\ada\a.wav is empty", "…/a.wav is empty"),
        ("3 s / s, and/or 1/2, https://example.com/a/b", "3 s / s, and/or 1/2, https://example.com/a/b"),
    ],
)
def test_paths_are_cut_to_their_last_name(text, left):
    assert without_paths(text) == left


def test_last_names():
    assert [last_name(path) for path in ("/a/b/c.wav", r"C:\a\b.wav", "b.wav")] == ["c.wav", "b.wav", "b.wav"]
