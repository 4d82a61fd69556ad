# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Audio in small blocks, of files and of raw samples."""

import io
import time

import numpy as np
import pytest
import soxr

from hf_ssl.data import AudioReadError, read_audio
from hf_ssl.inference import file_blocks, paced, pcm_blocks


def test_blocks_of_a_file_are_short_and_all_of_it(write_audio):
    path = write_audio("a.flac", seconds=0.51, sampling_rate=8000)
    blocks = list(file_blocks(path, sampling_rate=16000))
    assert {len(block) for block in blocks[:-1]} == {320}
    np.testing.assert_allclose(np.concatenate(blocks), read_audio(path, sampling_rate=16000), atol=2e-5)


def test_raw_samples():
    samples = np.array([0, 1, -1, 32767, -32768, 256] * 200, dtype="<i2")
    blocks = list(pcm_blocks(io.BytesIO(samples.tobytes()), stream_sampling_rate=16000, sampling_rate=16000))
    assert [len(block) for block in blocks] == [320, 320, 320, 240]
    assert blocks[0].dtype == np.float32
    np.testing.assert_array_equal(np.concatenate(blocks) * 32768, samples)


@pytest.mark.parametrize("sampling_rate", [8000, 44100])
def test_raw_samples_of_another_rate_are_resampled(sampling_rate):
    samples = (3000 * np.random.default_rng(0).standard_normal(sampling_rate)).astype("<i2")
    stream = io.BytesIO(samples.tobytes())
    blocks = list(pcm_blocks(stream, stream_sampling_rate=sampling_rate, sampling_rate=16000))
    assert len(blocks) > 5  # soxr gives bursts of about 0.1 s
    expected = soxr.resample(samples.astype(np.float32) / 32768, sampling_rate, 16000, quality="HQ")
    np.testing.assert_allclose(np.concatenate(blocks), expected, atol=2e-5)


def test_half_a_sample_is_told_after_all_others():
    blocks = pcm_blocks(io.BytesIO(b"\x00\x01" * 400 + b"\x00"), stream_sampling_rate=16000, sampling_rate=16000)
    assert [len(next(blocks)), len(next(blocks))] == [320, 80]
    with pytest.raises(AudioReadError, match="in the middle of a sample: expected signed 16-bit"):
        next(blocks)


def test_no_samples():
    with pytest.raises(AudioReadError, match="standard input: empty"):
        next(pcm_blocks(io.BytesIO(b""), stream_sampling_rate=8000, sampling_rate=16000))


def test_paced_blocks_come_when_they_have_sounded():
    begin = time.monotonic()
    times = [time.monotonic() - begin for _ in paced([np.zeros(80)] * 4, sampling_rate=1000)]
    assert all(moment >= 0.08 * number for number, moment in enumerate(times, start=1))
