# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of cutting recordings into windows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ssl.data import ClipLimits, equal_windows

lengths = st.integers(min_value=1, max_value=10**7)


@settings(deadline=None)
@given(num_samples=lengths, max_samples=st.integers(1000, 10**6), min_samples=st.integers(1, 2000))
def test_windows_cover_the_recording_exactly_once(num_samples, max_samples, min_samples):
    windows = equal_windows(num_samples, max_samples, min_samples)
    position = 0
    for first, length in windows:
        assert first == position
        position += length
    assert position == num_samples
    sizes = [length for _, length in windows]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(min_samples, num_samples)
    if 2 * min_samples <= max_samples:  # then both bounds can be kept
        assert max(sizes) <= max_samples


def test_bounds_that_exclude_each_other_lose_nothing():
    assert equal_windows(11, 10, 8) == [(0, 11)]
    assert equal_windows(17, 10, 8) == [(0, 8), (8, 9)]


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_windows_need_positive_lengths(arguments):
    with pytest.raises(ValueError, match="expected positive"):
        equal_windows(*arguments)


@settings(deadline=None)
@given(num_samples=lengths, rate=st.sampled_from([8000, 11025, 16000, 44100]), max_seconds=st.floats(0.5, 60))
def test_seconds_give_the_samples_back(num_samples, rate, max_seconds):
    windows = ClipLimits(None, max_seconds, cut_long=True).windows(num_samples, rate)
    position = 0
    for start, duration in windows:
        assert round(start * rate) == position
        assert duration <= max_seconds or len(windows) == 1
        position += round(duration * rate)
    assert position == num_samples


def test_reasons():
    limits = ClipLimits(1.0, 2.0, cut_long=False)
    assert limits.reason_to_skip(16000, 16000) is None
    assert limits.reason_to_skip(32000, 16000) is None
    assert limits.reason_to_skip(15999, 16000).startswith("too short: 1.000 s")
    assert limits.reason_to_skip(48000, 16000).startswith("too long: 3.000 s")
    assert limits._replace(cut_long=True).reason_to_skip(48000, 16000) is None


@pytest.mark.parametrize("bounds", [(0.0, None), (None, -1.0), (2.0, 1.0), (float("nan"), None), (None, float("inf"))])
def test_senseless_limits(bounds):
    with pytest.raises(ValueError, match="expected m"):
        ClipLimits(*bounds, cut_long=True).check()
