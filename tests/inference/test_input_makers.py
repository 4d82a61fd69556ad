# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Log-mel inputs of files: the plain model call for one window, the whole recording's statistics for many."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from inference_helpers import STREAM_STATISTICS, save_best_rq
from transformers import AutoModelForCTC, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from hf_ssl import BestRqFeatureExtractor
from hf_ssl.cli import main
from hf_ssl.data import audio as audio_module
from hf_ssl.data import read_audio
from hf_ssl.inference import Failures, extract_features, list_inputs, load_ctc_model, load_encoder, transcribe
from hf_ssl.inference.ctc_decoding import Decoding

EXTRACTORS = {
    "utterance": BestRqFeatureExtractor(),
    "utterance, all values": BestRqFeatureExtractor(top_db=None),
    "recipe": BestRqFeatureExtractor(normalization="recipe", top_db=20.0),
    "dataset": BestRqFeatureExtractor(**STREAM_STATISTICS, top_db=25.0),
    "stream": BestRqFeatureExtractor(**STREAM_STATISTICS, top_db=None),
    "none": BestRqFeatureExtractor(normalization="none", top_db=30.0),
}


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
        return Decoding("", [])


def logits_of_files(loaded, *paths: Path, **options) -> list[torch.Tensor]:
    keep, failures = KeepLogits(), Failures()
    list(transcribe(list_inputs([str(path) for path in paths], failures), loaded, keep, failures=failures, **options))
    assert not failures.reasons
    return keep.recordings


def plain_call(loaded, path: Path) -> torch.Tensor:
    """Logits as the documentation of transformers says to get them."""
    waveform = read_audio(path, sampling_rate=16000)
    inputs = loaded.feature_extractor(waveform, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        return loaded.model(**inputs).logits[0]


@pytest.mark.parametrize("kind", EXTRACTORS)
def test_features_of_long_files_are_those_of_the_whole(tmp_path, write_audio, monkeypatch, kind):
    monkeypatch.setattr(audio_module, "_BLOCK_SAMPLES", 3000)
    inputs = load_ctc_model(str(save_best_rq(tmp_path / "model", EXTRACTORS[kind])), device="cpu")[0].inputs
    path = str(write_audio("a.wav", seconds=1.234))
    at_once, streamed = (inputs.open(path, is_long=is_long) for is_long in (False, True))
    assert streamed[:2] == at_once[:2] == (19744, 124)
    whole = np.concatenate(list(at_once.blocks))
    blocks = list(streamed.blocks)
    assert len(blocks) > 5
    assert whole.shape == (124, 80)
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=2e-5, rtol=1e-5)
    expected = EXTRACTORS[kind](read_audio(path, sampling_rate=16000), return_tensors="np")["input_features"][0]
    np.testing.assert_array_equal(whole, expected)


@pytest.mark.parametrize(
    "config", [{}, {"pad_start": True}, {"convolve_padding": True}, {"chunk_size": 5}, {"encoder_type": "transformer"}]
)
def test_short_files_are_the_plain_call_whatever_the_batch(tmp_path, write_audio, config):
    loaded, _ = load_ctc_model(str(save_best_rq(tmp_path / "model", EXTRACTORS["utterance"], **config)), device="cpu")
    paths = [write_audio(f"{name}.wav", seconds=length) for name, length in enumerate((0.5, 0.2, 0.9, 0.055))]
    by_length = [paths[index] for index in (3, 1, 0, 2)]
    for logits, path in zip(logits_of_files(loaded, *paths, batch_size=3), by_length, strict=True):
        torch.testing.assert_close(logits, plain_call(loaded, path), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("config", [{}, {"pad_start": True}])
def test_windows_have_the_frames_of_one_pass(tmp_path, write_audio, config):
    """A frame sees two layers of seven frames of attention and six of convolution before its chunk, less than 32."""
    folder = save_best_rq(
        tmp_path / "model", EXTRACTORS["utterance"], chunk_size=4, left_context_chunks=1, conv_causal=True, **config
    )
    loaded, _ = load_ctc_model(str(folder), device="cpu")
    path = write_audio("long.wav", seconds=4.321)
    (logits,) = logits_of_files(loaded, path, window_seconds=3.2, overlap_seconds=1.28)
    expected = plain_call(loaded, path)
    assert logits.shape == expected.shape
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)


def test_hidden_states_of_files(tmp_path, write_audio, monkeypatch):
    monkeypatch.setattr(audio_module, "_BLOCK_SAMPLES", 3000)
    loaded = load_encoder(str(save_best_rq(tmp_path / "model", EXTRACTORS["utterance"])), device="cpu")
    path = write_audio("a.wav", seconds=1.0)
    options = {"layer": None, "failures": Failures()}
    extract_features(list_inputs([str(path)], Failures()), loaded, tmp_path / "one", **options)
    options |= {"window_seconds": 0.5, "overlap_seconds": 0.1}
    extract_features(list_inputs([str(path)], Failures()), loaded, tmp_path / "many", **options)
    inputs = loaded.feature_extractor(read_audio(path, sampling_rate=16000), return_tensors="pt")
    with torch.no_grad():
        expected = torch.stack(loaded.model(**inputs, output_hidden_states=True).hidden_states, dim=2)[0].numpy()
    features = np.load(tmp_path / "one" / "a.wav.npy")
    np.testing.assert_allclose(features, expected, atol=2e-5)
    windows = np.load(tmp_path / "many" / "a.wav.npy")
    assert windows.shape == expected.shape == (25, 3, 32)
    np.testing.assert_allclose(windows[:, 0], expected[:, 0], atol=2e-4)  # convolutions alone: the same features
    (entry,) = map(json.loads, (tmp_path / "one" / "index.jsonl").read_text().splitlines())
    assert (entry["frames"], entry["frame_rate"], entry["seconds"]) == (25, 25.0, 1.0)


def test_too_short_and_damaged_files_are_named(streaming_recogniser, write_audio, capsys):
    nan = np.zeros(40_000, dtype=np.float32)
    nan[39_000] = np.nan
    paths = [
        write_audio("short.wav", samples=np.ones(479, dtype=np.float32)),
        write_audio("nan.wav", samples=nan),
        write_audio("good.wav", samples=np.ones(480, dtype=np.float32)),
    ]
    options = ["--window_seconds", "2", "--overlap_seconds", "0.1", "--device", "cpu"]
    assert main(["transcribe", str(streaming_recogniser), *map(str, paths), *options]) == 1
    output = capsys.readouterr()
    assert "short.wav: too short: 479 samples at 16000 Hz, the model needs at least 480 (0.030 s)" in output.err
    assert "nan.wav: not finite" in output.err
    assert output.out.startswith(str(paths[2]))
    assert "2 input(s)" in output.err


def test_windows_shorter_than_a_chunk(streaming_recogniser, write_audio, capsys):
    options = ["--window_seconds", "0.1", "--overlap_seconds", "0"]
    assert main(["transcribe", str(streaming_recogniser), str(write_audio("a.wav")), *options]) == 1
    assert "0 frames in chunks of 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("feature_extractor", "message"),
    [
        (BestRqFeatureExtractor(feature_size=40), r"\(40 mel bins, one mel frame per 160 samples\) does not fit"),
        (BestRqFeatureExtractor(hop_length=200), r"one mel frame per 200 samples\) does not fit the BestRqConfig"),
        (Wav2Vec2FeatureExtractor(), "reads waveforms by strided convolutions.*'best-rq'"),
        (WhisperFeatureExtractor(), "BestRqFeatureExtractor.*got a WhisperFeatureExtractor"),
    ],
)
def test_feature_extractor_of_another_model(streaming_recogniser, tmp_path, feature_extractor, message):
    AutoModelForCTC.from_pretrained(streaming_recogniser).save_pretrained(tmp_path / "model")
    feature_extractor.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        load_encoder(str(tmp_path / "model"))
