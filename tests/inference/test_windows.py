# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of windows: no frame is lost, doubled or shifted, whatever the lengths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, Wav2Vec2Config

from hf_ssl.inference import FrameGeometry, WindowSize, cut_windows, plan_windows

GEOMETRY = FrameGeometry(stride=16, receptive_field=44)
convolutions = st.lists(st.tuples(st.integers(1, 10), st.integers(1, 5)), min_size=1, max_size=7)
sizes = st.tuples(st.integers(1, 200), st.integers(0, 99)).filter(lambda size: size[0] > 2 * size[1])


@settings(deadline=None)
@given(layers=convolutions, num_samples=st.integers(1, 10**6))
def test_geometry_counts_frames_as_the_convolutions_do(layers, num_samples):
    kernels, strides = zip(*layers, strict=True)
    config = Wav2Vec2Config(
        conv_kernel=kernels, conv_stride=strides, conv_dim=[4] * len(layers), num_feat_extract_layers=len(layers)
    )
    expected = num_samples
    for kernel, stride in layers:
        expected = (expected - kernel) // stride + 1 if expected >= kernel else 0
    assert FrameGeometry.of(config).num_frames(num_samples) == expected


def test_geometry_of_the_published_models():
    geometry = FrameGeometry.of(Wav2Vec2Config())
    assert geometry == (320, 400)
    assert [geometry.num_frames(n) for n in (0, 399, 400, 719, 720)] == [0, 0, 1, 1, 2]
    assert geometry.num_steps(2) == 720


def test_geometry_needs_convolutions():
    with pytest.raises(ValueError, match=r"reads waveforms.*'bert'"):
        FrameGeometry.of(BertConfig())


@settings(deadline=None, max_examples=300)
@given(num_samples=st.integers(0, 40_000), size=sizes, alignment=st.integers(1, 9))
def test_kept_frames_are_all_frames_once(num_samples, size, alignment):
    size = WindowSize(size[0] * alignment, size[1] * alignment, alignment)
    num_frames = GEOMETRY.num_frames(num_samples)
    windows = plan_windows(num_samples, GEOMETRY, size)
    kept = []
    for window in windows:
        assert window.first_step % (GEOMETRY.stride * alignment) == 0
        first_frame = window.first_step // GEOMETRY.stride
        frames = range(first_frame, first_frame + GEOMETRY.num_frames(window.num_steps))
        kept += frames[window.first_kept : window.first_kept + window.num_kept]
        assert window.first_kept >= size.overlap or first_frame == 0
        assert len(frames) - window.first_kept - window.num_kept >= size.overlap or window.is_last
        assert window.first_step + window.num_steps <= num_samples
    assert kept == list(range(num_frames))
    assert [window.is_last for window in windows] == [False] * (len(windows) - 1) + [True] * bool(windows)
    *others, last = [window.num_steps for window in windows] or [0]
    assert set(others) <= {GEOMETRY.num_steps(size.window)}
    if others:
        assert 0 <= others[0] - last < GEOMETRY.stride * alignment  # equally long, without alignment


def test_short_recording_is_one_window_with_all_its_samples():
    (window,) = plan_windows(44 + 16 * 9 + 7, GEOMETRY, WindowSize(10, 2))
    assert window == (0, 44 + 16 * 9 + 7, 0, 10, True)


@settings(deadline=None)
@given(num_samples=st.integers(44, 5000), size=sizes, cuts=st.lists(st.integers(1, 4999), unique=True))
def test_windows_are_cut_from_blocks_of_any_length(num_samples, size, cuts):
    waveform = np.arange(num_samples, dtype=np.float32)
    windows = plan_windows(num_samples, GEOMETRY, WindowSize(*size))
    pieces = list(cut_windows(np.split(waveform, sorted(cut for cut in cuts if cut < num_samples)), windows))
    assert len(pieces) == len(windows)
    for window, piece in zip(windows, pieces, strict=True):
        np.testing.assert_array_equal(piece, waveform[window.first_step :][: window.num_steps])


def test_stream_that_ends_too_early_is_told():
    windows = plan_windows(1000, GEOMETRY, WindowSize(10, 2))
    with pytest.raises(ValueError, match="too early"):
        list(cut_windows([np.zeros(900, dtype=np.float32)], windows))


def test_window_size_in_seconds():
    assert WindowSize.of_seconds(FrameGeometry(320, 400), 16000, 30.0, 3.0) == (1499, 150, 1)
    assert WindowSize.of_seconds(FrameGeometry(4, 4), 100, 30.0, 3.0, alignment=16) == (736, 80, 16)


@pytest.mark.parametrize(
    "seconds", [(0, 0), (-1, 0), (10, 5), (10, -1), (float("nan"), 0), (10, float("nan")), (float("inf"), 0)]
)
def test_senseless_window_sizes(seconds):
    with pytest.raises(ValueError, match="less than half of the window"):
        WindowSize.of_seconds(FrameGeometry(320, 400), 16000, *seconds)


def test_window_of_no_frame():
    with pytest.raises(ValueError, match="nothing is left"):
        WindowSize.of_seconds(FrameGeometry(320, 400), 16000, 0.02, 0.0)
    with pytest.raises(ValueError, match="0 frames in chunks of 16"):
        WindowSize.of_seconds(FrameGeometry(4, 4), 100, 0.63, 0.0, alignment=16)
