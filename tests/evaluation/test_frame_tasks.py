# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Classifiers of frames find what is there and when, for encoders of every stride."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from transformers import set_seed

from hf_ssl import BestRqFeatureExtractor, BestRqModel
from hf_ssl.cli import main
from hf_ssl.evaluation import frame_tasks
from hf_ssl.evaluation.baselines import LogMel
from hf_ssl.evaluation.encoders import SpeechEncoder, load_frozen_encoder
from hf_ssl.evaluation.features import extract_features
from hf_ssl.evaluation.frame_tasks import LabelledFrames, classify_frames, labelled_frames
from hf_ssl.evaluation.items import Clip, Text
from hf_ssl.evaluation.probe_data import LabelledItems
from hf_ssl.training.model_sizes import best_rq_config

RATE = 16_000
PITCHES = {"low": 300, "high": 2500}


def write_segments(folder: Path, count: int, seed: int) -> Path:
    """Tones of two pitches, with silence between that has no label; metadata.csv says where they are."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "segments"])
        for index in range(count):
            samples, segments = [], []
            for label in generator.permutation(["low", "high", "low", "high"]):
                start = sum(map(len, samples)) / RATE
                time = np.arange(int(RATE * generator.uniform(0.15, 0.3))) / RATE
                samples += [np.sin(2 * np.pi * PITCHES[label] * time), np.zeros(RATE // 10)]
                segments.append([start, start + len(time) / RATE, label])
            waveform = 0.3 * np.concatenate(samples)
            soundfile.write(folder / f"{index}.wav", waveform + 0.01 * generator.standard_normal(len(waveform)), RATE)
            writer.writerow([f"{index}.wav", json.dumps(segments)])
    return folder


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    for seed, split in enumerate(("train", "validation", "test")):
        write_segments(tmp_path / "segments" / split, count=6, seed=seed)
    return tmp_path / "segments"


@pytest.fixture(params=[False, True])
def best_rq(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    set_seed(0)
    BestRqModel(best_rq_config("tiny", pad_start=request.param)).save_pretrained(tmp_path / "best_rq")
    BestRqFeatureExtractor().save_pretrained(tmp_path / "best_rq")
    return tmp_path / "best_rq"


def clip_with_a_tone(path: Path, start: float, end: float, seconds: float = 1.5) -> Clip:
    time = np.arange(int(RATE * seconds)) / RATE
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time) * (time >= start) * (time < end)
    soundfile.write(path, tone + 1e-3 * np.random.default_rng(0).standard_normal(len(time)), RATE, subtype="FLOAT")
    return Clip(str(path), 0.0, seconds)


def assert_times_are_those_of_the_tone(encoder: SpeechEncoder | LogMel, folder: Path) -> None:
    """The frames that a tone changes most, before any layer mixes frames, are those whose centre it covers."""
    start, end = 0.6, 1.0
    with_tone, without = clip_with_a_tone(folder / "1.wav", start, end), clip_with_a_tone(folder / "0.wav", 9, 9)
    loud, quiet = (next(encoder.represent([clip])).frames[0].float() for clip in (with_tone, without))
    change = (loud - quiet).norm(dim=-1)
    times = encoder.frame_times(len(change), with_tone.duration)
    assert len(times) == len(change)
    step = times[1] - times[0]
    changed = times[(change > 0.5 * change.max()).numpy()]
    assert changed.min() == pytest.approx(start, abs=1.5 * step)
    assert changed.max() == pytest.approx(end, abs=1.5 * step)


def test_times_of_log_mel(tmp_path: Path) -> None:
    assert_times_are_those_of_the_tone(LogMel(), tmp_path)


def test_times_of_wav2vec2(wav2vec2: Path) -> None:
    encoder = load_frozen_encoder(str(wav2vec2))
    assert isinstance(encoder, SpeechEncoder)
    # A frame every 20 ms, of 25 ms.
    np.testing.assert_allclose(encoder.frame_times(3, 1.0), [0.0125, 0.0325, 0.0525])


def test_times_of_whisper(whisper: Path) -> None:
    encoder = load_frozen_encoder(str(whisper))
    assert isinstance(encoder, SpeechEncoder)
    np.testing.assert_allclose(encoder.frame_times(3, 1.0), [0.0, 0.02, 0.04])


def test_times_of_best_rq(best_rq: Path) -> None:
    encoder = load_frozen_encoder(str(best_rq))
    assert isinstance(encoder, SpeechEncoder)
    first = (3 / 2 - (3 if encoder.model.config.pad_start else 0)) * 0.01  # of 101 mel frames, filled up to 104
    np.testing.assert_allclose(encoder.frame_times(2, 1.0), [first, first + 0.04])


def probe(folder: Path, *arguments: Any) -> list[dict[str, Any]]:
    results = folder / "results.jsonl"
    assert main(["probe", *map(str, arguments), "--task", "frames", "--results", str(results)]) == 0
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


def test_probing_of_frames(
    wav2vec2: Path, whisper: Path, segments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", segments, "--column", "segments", "--epochs", 8)
    results = probe(tmp_path, wav2vec2, whisper, *data, "--by_layer", "--seeds", 2)
    assert len(results) == 3 * 2 * 2 * 2  # arms, seeds, methods, metrics
    log_mel = [run["test"] for run in results if run["model"] is None]
    assert min(log_mel) > 0.95  # the pitch is plain in them
    for run in results:
        assert (run["task"], run["what"]) == ("frames", "probe")
        assert 0 <= run["test"] <= 1
        assert len(run["by_layer"]) == {str(wav2vec2): 3, str(whisper): 2}.get(run["arm"], 1)
        assert ("layer" in run["chosen"]) == (run["method"] == "linear")
    printed = capsys.readouterr().out
    assert "weighted_sum: macro-F1 on test, higher is better" in printed
    assert printed.count("always '") == 2  # of both methods' accuracies, and of no F1


def test_frames_between_segments_are_left_out(tmp_path: Path) -> None:
    clip = clip_with_a_tone(tmp_path / "clip.wav", 0.6, 1.0)
    encoder = LogMel()
    features = extract_features(encoder, [clip], all_frames=True)
    split = LabelledItems([clip], ['[[0.6, 1.0, "tone"]]'])
    frames = labelled_frames(features, split, encoder.frame_times)
    assert frames.labels == ["tone"] * 20
    assert torch.equal(frames.frames, features.frames[0][:, 30:50])
    with pytest.raises(ValueError, match="No frame lies in a segment"):
        labelled_frames(features, LabelledItems([clip], ["[]"]), encoder.frame_times)
    with pytest.raises(ValueError, match="Expected clips of speech"):
        labelled_frames(features, LabelledItems([Text("a")], ["[]"]), encoder.frame_times)


def noisy_frames(count: int, seed: int, labels: tuple[str, ...] = ("a", "b", "c")) -> LabelledFrames:
    """Noise; layer 1 also has the class as the largest of the first channels."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn(3, count, 8, generator=generator)
    numbers = torch.arange(count) % len(labels)
    frames[1, torch.arange(count), numbers] += 4
    return LabelledFrames(frames.half(), [labels[number] for number in numbers])


def test_classifier_finds_the_layer_that_knows() -> None:
    splits = [noisy_frames(2000, seed) for seed in range(3)]
    result = classify_frames(*splits, seed=0)
    assert result.head.test > 0.85
    assert result.macro_f1 == pytest.approx(result.head.test, abs=0.02)
    assert result.head.layer_weights[1] == max(result.head.layer_weights)
    of_noise = classify_frames(*(split.layer(0) for split in splits), seed=0, num_epochs=3)
    assert of_noise.head.test < 0.45
    assert result == classify_frames(*splits, seed=0)


def test_classes_that_training_lacks_are_errors() -> None:
    train, validation, test = (noisy_frames(60, seed) for seed in range(3))
    result = classify_frames(train, validation, LabelledFrames(test.frames, ["other"] * 60), seed=0, num_epochs=1)
    assert (result.head.test, result.macro_f1) == (0.0, 0.0)


def test_too_many_training_frames_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_tasks, "MOST_TRAINING_FRAMES", 4)
    thinned = frame_tasks._thinned(noisy_frames(10, 0))
    assert thinned.labels == ["a", "a", "a", "a"]  # of 0, 3, 6, 9
    assert torch.equal(thinned.frames, noisy_frames(10, 0).frames[:, [0, 3, 6, 9]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--column", "file_name"), "or the name of a .csv file beside"),
        (
            ("--column", "segments", "--methods", "neighbours"),
            "The task frames has no method neighbours (--methods), only weighted_sum, linear.",
        ),
    ],
)
def test_what_cannot_be_probed(
    wav2vec2: Path, segments: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", str(wav2vec2), "--task", "frames", "--data", str(segments), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_single_class_is_refused(wav2vec2: Path, segments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = segments / "train" / "metadata.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("high", "low"), encoding="utf-8")
    command = ["probe", str(wav2vec2), "--task", "frames", "--data", str(segments), "--column", "segments"]
    assert main(command) == 1
    assert "got ['low'] in training" in capsys.readouterr().err
