# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of transcripts: windows against one pass, batches against single files, formats, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from other_device import OTHER, move, other_device
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from hf_ssl.cli import main
from hf_ssl.data import read_audio
from hf_ssl.inference import Failures, GreedyDecoder, InputFile, list_inputs, load_ctc_model, transcribe
from hf_ssl.inference.ctc_decoding import Decoding
from hf_ssl.inference.transcribing import TimedWord
from hf_ssl.inference.transcript_formats import _subtitles


class KeepLogits:
    """Decodes nothing: keeps what it is given."""

    def __init__(self) -> None:
        self.pieces: list[torch.Tensor] = []
        self.recordings: list[torch.Tensor] = []

    def add(self, logits: torch.Tensor) -> None:
        self.pieces.append(logits)

    def finish(self) -> Decoding:
        self.recordings.append(torch.cat(self.pieces))
        self.pieces = []
        return Decoding(f"recording {len(self.recordings)}", [])


def inputs(*paths: Path) -> list[InputFile]:
    return list_inputs([str(path) for path in paths], Failures())


def one_pass(loaded, path: Path) -> torch.Tensor:
    """Logits as the documentation of transformers says to get them."""
    waveform = read_audio(path, sampling_rate=16000)
    features = loaded.feature_extractor(waveform, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        return loaded.model(features.input_values).logits[0]


def test_windows_are_one_pass_over_the_file(loaded_recogniser, write_audio):
    path = write_audio("long.wav", seconds=1.3)
    keep = KeepLogits()
    options = {"window_seconds": 0.4, "overlap_seconds": 0.08, "failures": Failures()}
    (transcript,) = transcribe(inputs(path), loaded_recogniser, keep, **options)
    assert transcript.seconds == 1.3
    expected = one_pass(loaded_recogniser, path)
    assert keep.recordings[0].shape == expected.shape
    torch.testing.assert_close(keep.recordings[0], expected, atol=5e-5, rtol=0)


def test_short_files_are_one_pass_whatever_the_batch(loaded_recogniser, write_audio):
    seconds = (0.5, 0.2, 0.9, 0.05)
    paths = [write_audio(f"{index}.wav", seconds=length, seed=index) for index, length in enumerate(seconds)]
    keep = KeepLogits()
    transcripts = list(transcribe(inputs(*paths), loaded_recogniser, keep, batch_size=3, failures=Failures()))
    assert [transcript.path for transcript in transcripts] == [str(path) for path in paths]  # as they were given
    by_length = sorted(range(4), key=lambda index: seconds[index])  # as they were encoded
    assert [transcript.text for transcript in transcripts] == [
        f"recording {by_length.index(index) + 1}" for index in range(4)
    ]
    for logits, index in zip(keep.recordings, by_length, strict=True):
        torch.testing.assert_close(logits, one_pass(loaded_recogniser, paths[index]), atol=1e-5, rtol=0)


def test_another_device(recogniser, write_audio):
    loaded, _ = load_ctc_model(str(recogniser), device="cpu")
    paths = [write_audio(f"{index}.wav", seconds=seconds) for index, seconds in enumerate((0.5, 1.3))]
    expected = [one_pass(loaded, path) for path in paths]
    keep = KeepLogits()
    with other_device():
        move(loaded.model)
        options = {"window_seconds": 0.4, "overlap_seconds": 0.08, "batch_size": 2}
        list(transcribe(inputs(*paths), loaded, keep, failures=Failures(), **options))
    assert loaded.model.device == OTHER
    for logits, wanted in zip(keep.recordings, expected, strict=True):
        torch.testing.assert_close(logits, wanted, atol=5e-5, rtol=0)


def test_other_rates_and_channels(loaded_recogniser, write_audio):
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 4000).astype(np.float32)
    mono = write_audio("mono.wav", samples=waveform, sampling_rate=8000)
    stereo = write_audio("stereo.wav", samples=np.stack([waveform, waveform], axis=1), sampling_rate=8000)
    decoder = GreedyDecoder(load_ctc_model(str(loaded_recogniser.model.config.name_or_path), device="cpu")[1])
    first, second = transcribe(inputs(mono, stereo), loaded_recogniser, decoder, failures=Failures())
    assert first.seconds == second.seconds == 0.5
    assert first.text == second.text
    assert first.text


@pytest.fixture
def transcribed(recogniser, write_audio, tmp_path, capsys):
    """`transcribed(*options)` runs the command over two files in a folder; returns its output."""
    write_audio("audio/a.wav", seconds=0.3)
    write_audio("audio/deep/b.flac", seconds=0.6, seed=1)

    def run(*options: str) -> str:
        assert main(["transcribe", str(recogniser), str(tmp_path / "audio"), *options]) == 0
        return capsys.readouterr().out

    return run


def test_text(transcribed, tmp_path):
    lines = transcribed().splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        str(tmp_path / "audio/a.wav"),
        str(tmp_path / "audio/deep/b.flac"),
    ]
    assert all(line.partition(": ")[2] for line in lines)


def test_json_lines_with_times(transcribed):
    entries = [json.loads(line) for line in transcribed("--format", "jsonl", "--timestamps").splitlines()]
    assert [entry["seconds"] for entry in entries] == [0.3, 0.6]
    for entry in entries:
        assert " ".join(word["word"] for word in entry["words"]) == entry["text"]
        times = [time for word in entry["words"] for time in (word["start"], word["end"])]
        assert times == sorted(times)
        assert 0 <= times[0] < times[-1] <= entry["seconds"]
    assert "words" not in json.loads(transcribed("--format", "jsonl").splitlines()[0])


def test_tables(transcribed):
    header, *rows = transcribed("--format", "tsv").splitlines()
    assert header == "file\ttext"
    assert len(rows) == 2
    header, *rows = transcribed("--format", "tsv", "--timestamps").splitlines()
    assert header == "file\tstart\tend\tword"
    assert all(float(row.split("\t")[1]) < float(row.split("\t")[2]) for row in rows)


def test_output_file(transcribed, tmp_path):
    assert transcribed("--output", str(tmp_path / "out.txt")) == ""
    assert (tmp_path / "out.txt").read_text() == transcribed()


def test_subtitles_of_one_file(recogniser, write_audio, capsys):
    assert main(["transcribe", str(recogniser), str(write_audio("a.wav")), "--format", "srt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1"
    assert lines[1].startswith("00:00:00,")
    assert " --> 00:00:00," in lines[1]


def test_subtitles_end_at_pauses_and_stay_short():
    words = [TimedWord("one", 0.5, 0.8), TimedWord("two", 0.9, 1.25), TimedWord("three", 3721.5, 3722.0)]
    assert "".join(_subtitles(words)) == (
        "1\n00:00:00,500 --> 00:00:01,250\none two\n\n2\n01:02:01,500 --> 01:02:02,000\nthree\n\n"
    )
    many = [TimedWord("word", 0.1 * index, 0.1 * index + 0.05) for index in range(100)]
    texts = "".join(_subtitles(many)).split("\n")[2::4]
    assert sum(len(text.split()) for text in texts) == 100
    assert max(map(len, texts)) <= 84
    slow = [TimedWord("word", index * 0.9, index * 0.9 + 0.5) for index in range(20)]
    assert all(len(text.split()) <= 7 for text in "".join(_subtitles(slow)).split("\n")[2::4])


def test_models_of_transformers(tmp_path, encoders, write_audio, capsys):
    folder = encoders["wav2vec2"]
    config = Wav2Vec2Config.from_pretrained(folder, vocab_size=31, pad_token_id=0)
    Wav2Vec2ForCTC(config).save_pretrained(tmp_path / "model")
    for name in ("vocab.json", "tokenizer_config.json", "processor_config.json"):
        (tmp_path / "model" / name).write_text((folder / name).read_text())
    assert main(["transcribe", str(tmp_path / "model"), str(write_audio("a.wav"))]) == 0
    assert capsys.readouterr().out.strip()


def test_bad_files_are_named_and_the_rest_goes_on(recogniser, write_audio, tmp_path, capsys):
    good = write_audio("good.wav")
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "empty").mkdir()
    nan = np.zeros(20_000, dtype=np.float32)
    nan[19_000] = np.nan
    paths = [
        write_audio("short.wav", samples=np.ones(43, dtype=np.float32)),
        tmp_path / "none.wav",
        tmp_path / "text.wav",
        tmp_path / "empty",
        write_audio("nan.wav", samples=nan),
        good,
        write_audio("nan_in_windows.wav", samples=np.concatenate([nan, nan])),
    ]
    assert (
        main(["transcribe", str(recogniser), *map(str, paths), "--window_seconds", "2", "--overlap_seconds", "0.1"])
        == 1
    )
    output = capsys.readouterr()
    assert output.out.startswith(f"{good}: ")
    assert len(output.out.splitlines()) == 1
    reasons = {
        "short.wav": "too short: 43 samples at 16000 Hz, the model needs at least 44",
        "none.wav": "not found",
        "text.wav": "unreadable",
        "empty": "no audio in this folder",
        "nan.wav": "not finite",
        "nan_in_windows.wav": "not finite",
    }
    for name, reason in reasons.items():
        assert f"{tmp_path / name}: {reason}" in output.err
    assert "hf-ssl transcribe: 6 input(s) could not be used" in output.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "text", "--timestamps"], "--format text has no timestamps"),
        (["--batch_size", "0"], "expected --batch_size of at least 1"),
        (["--window_seconds", "1", "--overlap_seconds", "0.5"], "less than half of the window"),
        (["--device", "abacus"], "one that torch can use here (cpu"),
        (["--output", "."], "exists"),
        (["--output", "no/such/folder/out.txt"], "cannot write"),
    ],
)
def test_senseless_options(recogniser, write_audio, capsys, options, message):
    assert main(["transcribe", str(recogniser), str(write_audio("a.wav")), *options]) == 1
    output = capsys.readouterr()
    assert message in output.err
    assert not output.out


def test_nothing_is_written_before_the_options_are_checked(recogniser, write_audio, tmp_path):
    options = ["--output", str(tmp_path / "out.tsv"), "--format", "tsv", "--window_seconds", "0"]
    assert main(["transcribe", str(recogniser), str(write_audio("a.wav")), *options]) == 1
    assert not (tmp_path / "out.tsv").exists()


def test_subtitles_of_several_files_are_refused(recogniser, write_audio, capsys):
    paths = [str(write_audio("a.wav")), str(write_audio("b.wav"))]
    assert main(["transcribe", str(recogniser), *paths, "--format", "srt"]) == 1
    assert "one recording, got 2 files" in capsys.readouterr().err


def test_pretrained_model_cannot_recognise(pretrained, write_audio, capsys):
    assert main(["transcribe", str(pretrained), str(write_audio("a.wav"))]) == 1
    output = capsys.readouterr()
    assert "no weights for ['lm_head.bias', 'lm_head.weight']" in output.err
    assert "must be fine-tuned" in output.err
    assert not output.out


def test_model_without_a_tokenizer(loaded_recogniser, write_audio, tmp_path, capsys):
    loaded_recogniser.model.save_pretrained(tmp_path / "model")
    loaded_recogniser.feature_extractor.save_pretrained(tmp_path / "model")
    assert main(["transcribe", str(tmp_path / "model"), str(write_audio("a.wav"))]) == 1
    assert "tokenizer of" in capsys.readouterr().err


def test_tokenizer_of_another_model(recogniser, loaded_recogniser, write_audio, tmp_path, capsys):
    loaded_recogniser.model.save_pretrained(tmp_path / "model")
    for name in ("tokenizer_config.json", "processor_config.json"):
        (tmp_path / "model" / name).write_text((recogniser / name).read_text())
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", "a"]
    (tmp_path / "model" / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    assert main(["transcribe", str(tmp_path / "model"), str(write_audio("a.wav"))]) == 1
    assert "does not belong to the model" in capsys.readouterr().err


def test_no_such_model(write_audio, capsys):
    assert main(["transcribe", "no/such/model/here", str(write_audio("a.wav"))]) == 1
    assert "'no/such/model/here'" in capsys.readouterr().err
