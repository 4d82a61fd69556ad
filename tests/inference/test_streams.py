# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of recordings as streams."""

import numpy as np
import pytest

from hf_ssl.data import AudioReadError, read_audio, stream_audio
from hf_ssl.data import audio as audio_module
from hf_ssl.inference import read_for_pipeline
from hf_ssl.inference.streams import waveform_statistics


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("sampling_rate", [16000, 8000, 44100])
def test_stream_is_the_whole_file(write_audio, monkeypatch, name, sampling_rate):
    monkeypatch.setattr(audio_module, "_BLOCK_SAMPLES", 1000)
    path = write_audio(name, seconds=0.8, sampling_rate=sampling_rate)
    blocks = list(stream_audio(path, sampling_rate=16000))
    assert len(blocks) > 5
    assert all(block.dtype == np.float32 and len(block) for block in blocks)
    np.testing.assert_allclose(np.concatenate(blocks), read_audio(path, sampling_rate=16000), atol=2e-5)


@pytest.mark.parametrize("num_samples", [999, 1000, 1001, 2000])
def test_blocks_at_the_end_of_a_file(write_audio, monkeypatch, num_samples):
    monkeypatch.setattr(audio_module, "_BLOCK_SAMPLES", 1000)
    samples = np.random.default_rng(0).uniform(-1, 1, (num_samples, 2)).astype(np.float32)
    path = write_audio("stereo.wav", samples=samples)
    streamed = np.concatenate(list(stream_audio(path, sampling_rate=16000)))
    np.testing.assert_array_equal(streamed, samples.mean(axis=1))


def test_statistics_are_those_of_the_whole_file(write_audio, monkeypatch):
    monkeypatch.setattr(audio_module, "_BLOCK_SAMPLES", 1000)
    path = write_audio("a.wav", seconds=0.5)
    waveform = read_audio(path, sampling_rate=16000)
    statistics = waveform_statistics(path, sampling_rate=16000)
    assert statistics.num_samples == 8000
    assert statistics.mean == pytest.approx(waveform.mean(dtype=np.float64), rel=1e-9)
    assert statistics.variance == pytest.approx(waveform.var(dtype=np.float64), rel=1e-9)
    normalized = statistics.normalize(waveform)
    assert normalized.dtype == np.float32
    assert normalized.mean() == pytest.approx(0, abs=1e-5)
    assert normalized.std() == pytest.approx(1, abs=1e-4)


def test_silence_is_no_division_by_zero(write_audio):
    path = write_audio("silence.wav", samples=np.full(1000, 0.3, dtype=np.float32))
    statistics = waveform_statistics(path, sampling_rate=16000)
    assert np.abs(statistics.normalize(read_audio(path, sampling_rate=16000))).max() < 1e-3


def test_not_finite_far_into_the_file(write_audio, monkeypatch):
    monkeypatch.setattr(audio_module, "_BLOCK_SAMPLES", 1000)
    samples = np.zeros(5000, dtype=np.float32)
    samples[4321] = np.nan
    with pytest.raises(AudioReadError, match="not finite"):
        waveform_statistics(write_audio("nan.wav", samples=samples), sampling_rate=16000)


def test_missing_file():
    with pytest.raises(AudioReadError, match="no such file"):
        next(stream_audio("none.wav", sampling_rate=16000))


def test_read_for_pipeline(write_audio):
    path = write_audio("a.flac", seconds=0.5, sampling_rate=8000)
    audio = read_for_pipeline(path, sampling_rate=16000)
    assert audio["sampling_rate"] == 16000
    np.testing.assert_array_equal(audio["raw"], read_audio(path, sampling_rate=16000))
    np.testing.assert_array_equal(read_for_pipeline(path.read_bytes(), sampling_rate=16000)["raw"], audio["raw"])
