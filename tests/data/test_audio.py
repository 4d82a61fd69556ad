# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of reading audio files."""

import contextlib
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ssl.data import AudioInfo, AudioReadError, audio_info, read_audio

CLIPS = ["clip.wav", "clip.flac", "clip.ogg", "clip.opus", "clip.mp3"]


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_header_and_whole_file(write_audio, name, as_bytes):
    path = write_audio(name, seconds=2.0)
    source = path.read_bytes() if as_bytes else path
    assert audio_info(source) == AudioInfo(num_samples=32000, sampling_rate=16000, num_channels=1)
    waveform = read_audio(source, sampling_rate=16000)
    assert waveform.shape == (32000,)
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, soundfile.read(path, dtype="float32")[0], atol=1e-6)


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(("start", "duration"), [(0.0, 0.5), (0.7301, 1.0), (2.5, None), (2.9, 1.0)])
def test_partial_read_is_a_slice_of_the_full_read(write_audio, name, start, duration):
    path = write_audio(name, seconds=3.0)
    full = read_audio(path, sampling_rate=16000)
    part = read_audio(path, sampling_rate=16000, start=start, duration=duration)
    first = round(start * 16000)
    expected = full[first:] if duration is None else full[first : first + round(duration * 16000)]
    if name == "clip.ogg" and start == 2.9:  # libvorbis, in the last page
        expected = np.append(full[first + 128 :], part[-128:])
    np.testing.assert_allclose(part, expected, atol=0.01 if name == "clip.opus" else 1e-6)


@pytest.mark.parametrize("file_sampling_rate", [8000, 22050, 44100, 48000])
def test_resampling_keeps_length_and_tone(write_audio, file_sampling_rate):
    time = np.arange(file_sampling_rate * 2) / file_sampling_rate
    path = write_audio("tone.wav", sampling_rate=file_sampling_rate, samples=0.5 * np.sin(2 * np.pi * 440 * time))
    waveform = read_audio(path, sampling_rate=16000)
    assert abs(len(waveform) - 32000) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(waveform)) / 16000)
    np.testing.assert_allclose(waveform[500:-500], expected[500:-500], atol=1e-3)


@pytest.mark.parametrize("num_channels", [2, 3, 6])
def test_channels_are_averaged(write_audio, num_channels):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, size=(1600, num_channels)).astype(np.float32)
    path = write_audio("many.wav", samples=samples)
    assert audio_info(path).num_channels == num_channels
    np.testing.assert_allclose(read_audio(path, sampling_rate=16000), samples.mean(axis=1), atol=1e-7)


def test_long_file_is_read_in_blocks_without_a_seam(write_audio):
    path = write_audio("long.wav", seconds=70.0)  # more than one block of 2**20 samples
    np.testing.assert_array_equal(read_audio(path, sampling_rate=16000), soundfile.read(path, dtype="float32")[0])


def test_one_sample_is_audio(write_audio):
    path = write_audio("one.wav", samples=np.array([0.25], dtype=np.float32))
    assert audio_info(path).num_samples == 1
    np.testing.assert_array_equal(read_audio(path, sampling_rate=16000), [0.25])


@pytest.mark.parametrize("name", ["clip.wav", "clip.ogg", "clip.opus", "clip.mp3"])
def test_truncated_file_gives_what_is_there(write_audio, tmp_path, name):
    content = write_audio(name, seconds=10.0).read_bytes()
    path = tmp_path / f"truncated{Path(name).suffix}"
    path.write_bytes(content[: len(content) // 2])
    full = read_audio(tmp_path / name, sampling_rate=16000)
    waveform = read_audio(path, sampling_rate=16000)
    assert 32000 < len(waveform) < 100000
    np.testing.assert_allclose(waveform[:16000], full[:16000], atol=1e-6)
    with pytest.raises(AudioReadError, match=r"past the end|empty|damaged"):
        read_audio(path, sampling_rate=16000, start=9.5, duration=0.25)


def test_truncated_flac_is_damaged(write_audio, tmp_path):
    content = write_audio("clip.flac", seconds=4.0).read_bytes()
    path = tmp_path / "truncated.flac"
    path.write_bytes(content[: len(content) // 2])
    assert audio_info(path).num_samples == 64000  # the header is whole
    with pytest.raises(AudioReadError, match="damaged"):
        read_audio(path, sampling_rate=16000)


def test_flac_without_a_length_in_its_header(write_audio, tmp_path):
    content = bytearray(write_audio("clip.flac", seconds=1.5).read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO that hold the number of samples
    content[22:26] = bytes(4)
    path = tmp_path / "streamed.flac"
    path.write_bytes(content)
    with pytest.raises(AudioReadError, match="unreadable: the header does not say the length"):
        audio_info(path)
    with pytest.raises(AudioReadError, match="unreadable: the header does not say the length"):
        read_audio(path, sampling_rate=16000)


def test_bad_files(write_audio, tmp_path):
    (tmp_path / "zero.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("this is not audio\n" * 100)
    (tmp_path / "text.mp3").write_text("this is not audio\n" * 100)
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "header.raw").write_bytes(bytes(1000))
    write_audio("nothing.wav", samples=np.zeros(0, dtype=np.float32))
    reasons = {
        "zero.wav": "empty: zero bytes",
        "text.wav": "unreadable: not wav",
        "text.mp3": "unreadable: not wav",
        "folder.wav": "not found",
        "missing.wav": "not found",
        "header.raw": "unreadable",
        "nothing.wav": "empty",
    }
    for name, reason in reasons.items():
        for function in (audio_info, lambda path: read_audio(path, sampling_rate=16000)):
            with pytest.raises(AudioReadError) as caught:
                function(str(tmp_path / name))
            assert caught.value.path == str(tmp_path / name)
            assert caught.value.reason.startswith(reason), name
            assert "does not exist" not in caught.value.reason


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(write_audio, value):
    samples = np.zeros(1600, dtype=np.float32)
    samples[800] = value
    path = write_audio("nan.wav", samples=samples)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AudioReadError, match="not finite"):
            read_audio(path, sampling_rate=8000)
    assert len(read_audio(path, sampling_rate=16000, duration=0.025)) == 400  # the damage lies behind


def test_infinities_of_opposite_sign_do_not_cancel(write_audio):
    samples = np.zeros((10, 2), dtype=np.float32)
    samples[5] = np.inf, -np.inf
    with pytest.raises(AudioReadError, match="not finite"):
        read_audio(write_audio("inf.wav", samples=samples), sampling_rate=16000)


def test_start_past_the_end(write_audio):
    path = write_audio("clip.wav", seconds=1.0)
    with pytest.raises(AudioReadError, match=r"past the end: starts at 1\.000 s, the recording has 1\.000 s"):
        read_audio(path, sampling_rate=16000, start=1.0)


@pytest.mark.parametrize("arguments", [{"sampling_rate": 0}, {"start": -1.0}, {"duration": 0.0}])
def test_senseless_arguments(write_audio, arguments):
    with pytest.raises(ValueError, match="expected sampling_rate > 0, start >= 0 and duration > 0"):
        read_audio(write_audio("clip.wav"), **{"sampling_rate": 16000, **arguments})


def test_error_survives_pickling():
    error = pickle.loads(pickle.dumps(AudioReadError("a.wav", "empty: zero bytes")))
    assert (error.path, error.reason, str(error)) == ("a.wav", "empty: zero bytes", "a.wav: empty: zero bytes")


@settings(deadline=None)
@given(content=st.binary(max_size=2000), prefix=st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb"]))
def test_arbitrary_bytes_give_audio_or_the_named_error(content, prefix):
    with contextlib.suppress(AudioReadError):
        waveform = read_audio(prefix + content, sampling_rate=16000)
        assert np.isfinite(waveform).all()
        assert len(waveform) > 0
