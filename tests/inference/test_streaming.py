# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl transcribe --stream`: the same words as of the whole recording, as they come, and what is refused."""

import io
import re
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_helpers import STREAM_STATISTICS, save_best_rq

from hf_ssl import BestRqFeatureExtractor
from hf_ssl.cli import main
from hf_ssl.data import AudioReadError, read_audio
from hf_ssl.inference import (
    Failures,
    GreedyDecoder,
    StreamingTranscriber,
    file_blocks,
    list_inputs,
    load_ctc_model,
    stream_command,
    transcribe,
)

STREAMABLE = BestRqFeatureExtractor(top_db=None, **STREAM_STATISTICS)


def feed(transcriber, samples, cuts=()):
    """All words of a recording that is given in pieces."""
    words = [word for block in np.split(samples, sorted(cuts)) for word in transcriber.add(block)]
    return words + transcriber.finish()


def whole(loaded, tokenizer, path):
    (transcript,) = transcribe(
        list_inputs([str(path)], Failures()), loaded, GreedyDecoder(tokenizer), failures=Failures()
    )
    return transcript.words


@pytest.fixture(scope="module")
def opened(streaming_recogniser):
    return load_ctc_model(str(streaming_recogniser), device="cpu")


@settings(deadline=None, max_examples=15)
@given(num_samples=st.integers(480, 24_000), cuts=st.lists(st.integers(0, 24_000), max_size=20))
def test_words_are_those_of_the_whole_recording(opened, tmp_path_factory, num_samples, cuts):
    samples = 0.1 * np.random.default_rng(num_samples).standard_normal(num_samples).astype(np.float32)
    inputs = STREAMABLE(samples, return_tensors="pt")
    with torch.no_grad():
        logits = opened[0].model(**inputs).logits[0]
    decoder = GreedyDecoder(opened[1])
    decoder.add(logits)
    expected = [(word.text, word.first_frame, word.end_frame) for word in decoder.finish().words]
    transcriber = StreamingTranscriber(*opened)
    for _ in range(2):  # the second stream begins anew
        words = feed(transcriber, samples, [min(cut, num_samples) for cut in cuts])
        assert [(word.text, round(word.start / 0.04), round(word.end / 0.04)) for word in words] == expected
    assert transcriber.num_samples == 2 * num_samples


@pytest.mark.parametrize(
    "config",
    [
        {"chunk_size": 1},
        {"chunk_size": 8, "left_context_chunks": 2},
        {"chunk_size": 8, "conv_norm": "batch"},
        {"chunk_size": 4, "encoder_type": "transformer"},
        {"chunk_size": 4, "left_context_chunks": 0, "symmetric_positions": True},
    ],
    ids=str,
)
def test_convolutions_that_look_ahead_and_other_encoders(tmp_path, write_audio, config):
    opened = load_ctc_model(str(save_best_rq(tmp_path / "model", STREAMABLE, **config)), device="cpu")
    path = write_audio("a.wav", seconds=1.5)
    expected = whole(*opened, path)
    assert len(expected) > 1
    assert feed(StreamingTranscriber(*opened), read_audio(path, sampling_rate=16000), [5000, 5001]) == expected


def test_words_come_when_they_are_complete(opened, write_audio):
    """No later than the chunk in which their delimiter is heard, and the look-ahead of its last mel frame."""
    path = write_audio("a.wav", seconds=3.0)
    transcriber, heard, num_samples = StreamingTranscriber(*opened), [], 0
    for block in file_blocks(path, sampling_rate=16000):
        num_samples += len(block)
        heard += [(word, num_samples / 16000) for word in transcriber.add(block)]
    assert len(heard) > 3
    following = [word for word, _ in heard[1:]]
    latency = transcriber.chunk_length + transcriber.look_ahead
    assert latency == pytest.approx(0.16 + 0.0125)
    for (word, moment), next_word in zip(heard[:-1], following, strict=True):
        assert word.end <= moment <= next_word.start + latency + 0.02  # a block


def test_figures(opened):
    transcriber = StreamingTranscriber(*opened)
    assert len(transcriber.chunk_seconds) == 0
    feed(transcriber, np.zeros(16000, dtype=np.float32), [100, 12_000])
    assert transcriber.num_samples == 16000
    assert len(transcriber.chunk_seconds) == 101 // 16
    assert 0 < transcriber.chunk_seconds.longest <= transcriber.computing_seconds
    text = stream_command.report(transcriber)
    assert re.search(r"1\.00 s of audio, \d+\.\d\d s of computing: real-time factor \d", text)
    assert re.search(r"p50 [\d.]+, p90 [\d.]+, p99 [\d.]+, max [\d.]+ ms \(6 chunks\)", text)
    assert "160 ms, and 12.5 ms of look-ahead" in text


def test_memory_does_not_grow(opened):
    transcriber = StreamingTranscriber(*opened)
    transcriber.add(np.zeros(3000, dtype=np.float32))
    sizes = []
    for _ in range(30):
        transcriber.add(np.zeros(2560, dtype=np.float32))  # a chunk
        held = [transcriber._features, *transcriber.cache.subsampling, *sum(transcriber.cache.layers, ())]
        sizes.append(sum(tensor.untyped_storage().nbytes() for tensor in held if tensor is not None))
    assert len(set(sizes[10:])) == 1


@pytest.fixture
def streamed(streaming_recogniser, capsys):
    """`streamed(*arguments)` runs the command; returns its output."""

    def run(*arguments: str, status: int = 0):
        assert main(["transcribe", str(streaming_recogniser), "--device", "cpu", "--stream", *arguments]) == status
        return capsys.readouterr()

    return run


@pytest.fixture
def standard_input(monkeypatch):
    """Puts bytes on the standard input."""

    def set_bytes(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return set_bytes


def test_command(streamed, opened, write_audio, capsys):
    path = write_audio("a.flac", seconds=2.0, sampling_rate=8000)
    output = streamed(str(path))
    expected = whole(*opened, path)
    assert output.out == " ".join(word.text for word in expected) + "\n"
    assert "2.00 s of audio" in output.err
    assert main(["transcribe", str(opened[0].model.config.name_or_path), str(path)]) == 0
    assert capsys.readouterr().out == output.out
    rows = [line.split("\t") for line in streamed(str(path), "--timestamps").out.splitlines()]
    assert rows == [[f"{word.start:.3f}", f"{word.end:.3f}", word.text] for word in expected]


def test_each_word_is_written_at_once(opened, write_audio):
    class Recorder(io.StringIO):
        flushed: list[str] = []

        def flush(self):
            self.flushed.append(self.getvalue())

    output, path = Recorder(), write_audio("a.wav", seconds=2.0)
    blocks = file_blocks(path, sampling_rate=16000)
    stream_command.transcribe_stream(blocks, StreamingTranscriber(*opened), output, timestamps=False)
    words = output.getvalue().split()
    assert output.flushed[:-1] == [" ".join(words[:number]) for number in range(1, len(words) + 1)]


def test_standard_input(streamed, standard_input, write_audio):
    samples = np.random.default_rng(0).integers(-3000, 3000, 20_000, dtype=np.int16)
    path = write_audio("a.wav", samples=(samples / 32768).astype(np.float32))
    standard_input(samples.astype("<i2").tobytes())
    assert streamed("-").out == streamed(str(path)).out
    standard_input(samples.astype("<i2").tobytes())
    assert "2.50 s of audio" in streamed("-", "--sampling_rate", "8000").err


def test_audio_that_fails_on_the_way_keeps_what_was_heard(streamed, standard_input, write_audio):
    samples = np.random.default_rng(0).integers(-3000, 3000, 20_000, dtype=np.int16).astype("<i2").tobytes()
    standard_input(samples)
    expected = streamed("-").out
    standard_input(samples + b"\x00")
    output = streamed("-", status=1)
    assert output.out == expected
    assert "1.25 s of audio" in output.err
    assert "hf-ssl transcribe: standard input: ended in the middle of a sample" in output.err
    standard_input(b"")
    assert "standard input: empty: no samples" in streamed("-", status=1).err


def test_interrupt_ends_with_what_was_heard(streamed, opened, write_audio, monkeypatch):
    path = write_audio("a.wav", seconds=2.0)

    def interrupted(path, *, sampling_rate):
        blocks = file_blocks(path, sampling_rate=sampling_rate)
        yield from (next(blocks) for _ in range(50))
        raise KeyboardInterrupt

    monkeypatch.setattr(stream_command, "file_blocks", interrupted)
    output = streamed(str(path))
    assert output.out.split() == [
        word.text for word in feed(StreamingTranscriber(*opened), read_audio(path, sampling_rate=16000)[:16000])
    ]
    assert "Interrupted" in output.err
    assert "1.00 s of audio" in output.err


def test_real_time_takes_as_long_as_it_sounds(streamed, write_audio, monkeypatch):
    waited = []
    monkeypatch.setattr("hf_ssl.inference.live_audio.time.sleep", waited.append)
    monkeypatch.setattr("hf_ssl.inference.live_audio.time.monotonic", lambda: 0.0)  # a clock that only sleep moves
    path = write_audio("a.wav", seconds=1.0)
    output = streamed(str(path), "--realtime")
    assert waited == pytest.approx([0.02 * number for number in range(1, 51)])
    assert output.out == streamed(str(path)).out


def test_terminal_is_no_microphone(streamed, monkeypatch):
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO()))
    assert "which is a terminal. Pipe it in, for example: arecord" in streamed("-", status=1).err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.wav", "--batch_size", "2"], "--batch_size has no use with --stream"),
        (["a.wav", "--window_seconds", "20"], "--window_seconds has no use"),
        (["a.wav", "--beam_width", "5"], "--beam_width has no use"),
        (["a.wav", "--language_model", "words.arpa"], "--language_model has no use"),
        (["a.wav", "--format", "jsonl"], "--format has no use"),
        (["a.wav", "--output", "out.txt"], "--output has no use"),
        (["a.wav", "b.wav"], "expected one file, or -, with --stream, got 2"),
        (["a.wav", "--sampling_rate", "8000"], "--sampling_rate is for raw samples"),
        (["-", "--realtime"], "--realtime is for files"),
        (["-", "--sampling_rate", "0"], "--sampling_rate of at least 1, got 0"),
        (["none.wav"], "none.wav: not found"),
    ],
)
def test_senseless_arguments(streamed, arguments, message):
    output = streamed(*arguments, status=1)
    assert message in output.err
    assert output.out == ""


@pytest.mark.parametrize("options", [["--realtime"], ["--sampling_rate", "8000"]])
def test_options_of_streams_need_one(streaming_recogniser, write_audio, capsys, options):
    assert main(["transcribe", str(streaming_recogniser), str(write_audio("a.wav")), *options]) == 1
    assert f"{options[0]}: without effect unless --stream is given too" in capsys.readouterr().err


def refusal(folder, path, capsys) -> str:
    assert main(["transcribe", str(folder), "--device", "cpu", "--stream", str(path)]) == 1
    return capsys.readouterr().err


def test_models_that_are_not_for_streams(recogniser, tmp_path, write_audio, capsys):
    path = write_audio("a.wav")
    assert "expected a BEST-RQ recogniser (BestRqForCTC), got a Data2Vec2AudioForCTC" in refusal(
        recogniser, path, capsys
    )
    unchunked = refusal(save_best_rq(tmp_path / "whole", STREAMABLE), path, capsys)
    assert "a stream needs `chunk_size`, the frames (of 40 ms) per chunk" in unchunked
    assert "ctc_best_rq_streaming.yaml" in unchunked
    utterance = refusal(save_best_rq(tmp_path / "utterance", BestRqFeatureExtractor(), chunk_size=4), path, capsys)
    assert "`top_db=80.0` and `normalization='utterance'`" in utterance
    assert "feature_statistics.py --streaming_model" in utterance


def test_endless_past_is_told(tmp_path, write_audio, capsys):
    folder = save_best_rq(tmp_path / "model", STREAMABLE, chunk_size=4)
    assert main(["transcribe", str(folder), "--device", "cpu", "--stream", str(write_audio("a.wav"))]) == 0
    assert "`left_context_chunks` is not set" in capsys.readouterr().err


def test_errors_of_reading_are_returned_not_swallowed(opened):
    def failing():
        yield np.zeros(500, dtype=np.float32)
        raise AudioReadError("x.wav", "damaged")

    failure = stream_command.transcribe_stream(
        failing(), StreamingTranscriber(*opened), io.StringIO(), timestamps=True
    )
    assert str(failure) == "x.wav: damaged"
