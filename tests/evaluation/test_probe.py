# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl probe` from the command line, on every modality and task."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hf_ssl import __version__
from hf_ssl.cli import main
from hf_ssl.evaluation import probe_encoder
from hf_ssl.evaluation.encoders import load_frozen_encoder
from hf_ssl.evaluation.features import extract_features
from hf_ssl.evaluation.probe_data import DataConfig, load_probe_data
from hf_ssl.evaluation.probe_encoder import gib_of_frames
from hf_ssl.weights import weights_sha256


@pytest.fixture(autouse=True)
def _needs_scikit_learn() -> None:
    pytest.importorskip("sklearn", reason='scikit-learn is not installed: pip install "hf-ssl[probe]"')


def probe(folder: Path, *arguments: Any) -> list[dict[str, Any]]:
    """The results that the command writes."""
    epochs = () if "verification" in arguments else ("--epochs", "2")
    assert main(["probe", *map(str, arguments), *epochs, "--results", str(folder / "r.jsonl")]) == 0
    return [json.loads(line) for line in (folder / "r.jsonl").read_text(encoding="utf-8").splitlines()]


def runs_of(results: Sequence[dict[str, Any]], method: str) -> list[tuple]:
    return [(run["arm"], run["number"], run["seed"]) for run in results if run["method"] == method]


def test_classification_of_speech_by_several_models(
    wav2vec2: Path, whisper: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--task", "classification", "--data", recordings, "--column", "label")
    arms = ("--arm", f"ours={wav2vec2}", "--arm", f"ours={wav2vec2}", "--arm", f"theirs={whisper}")
    results = probe(tmp_path, *data, *arms, "--seeds", 2, "--untrained", "--by_layer", "--cache", tmp_path / "cache")
    pairs = [("ours", 0), ("ours, untrained", 0), ("ours", 1), ("ours, untrained", 1)]
    pairs += [("theirs", 0), ("theirs, untrained", 0), ("log-mel, no network", 0)]
    assert runs_of(results, "linear") == runs_of(results, "neighbours") == [(*pair, None) for pair in pairs]
    assert runs_of(results, "weighted_sum") == [(*pair, 2 * pair[1] + seed) for pair in pairs for seed in (0, 1)]
    # The label is the pitch of a tone, which log-mel shows.
    assert [run["test"] for run in results if run["model"] is None and run["method"] == "linear"] == [1.0]
    same = [run["test"] for run in results if run["arm"] == "ours" and run["method"] == "linear"]
    assert same[0] == same[1]
    for run in results:
        assert (run["what"], run["task"], run["column"], run["version"]) == (
            "probe", "classification", "label", __version__,
        )  # fmt: skip
        assert run["command"].startswith("hf-ssl probe --task classification")
        assert (run["data_on_hub"], run["notes"], run["settings"]) == (False, [], {"epochs": 2})
        has_learned = run["model"] is not None and not run["arm"].endswith(", untrained")
        assert run["weights_sha256"] == (weights_sha256(run["model"]) if has_learned else None)
        assert len(run["by_layer"]) == {"ours": 3, "theirs": 2}.get(run["arm"].split(",")[0], 1)
    printed = capsys.readouterr().out
    assert "8 to learn from, 8 to choose by, 8 to test" in printed
    assert "4 runs)" in printed
    assert "always 'low'" in printed
    assert "By layer" in printed


def test_classification_of_images(vit: Path, images: Path, tmp_path: Path) -> None:
    results = probe(tmp_path, vit, "--task", "classification", "--data", images, "--column", "label")
    assert {run["arm"] for run in results} == {str(vit), "pixels, no network"}
    # The label is how light an image is.
    pixels = {run["method"]: run["test"] for run in results if run["model"] is None}
    assert pixels["linear"] == pixels["neighbours"] == 1.0


def test_lines_tell_the_settings_that_figures_depend_on(wav2vec2: Path, recordings: Path, tmp_path: Path) -> None:
    data = ("--task", "classification", "--data", recordings, "--column", "label", "--methods", "linear")
    results = probe(tmp_path, wav2vec2, *data, "--max_seconds", 30, "--splits", "test", "validation", "train")
    for run in results:
        assert run["settings"] == {"max_seconds": 30.0, "splits": ["test", "validation", "train"], "epochs": 2}


def test_classification_of_texts_without_validation(
    roberta: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = probe(tmp_path, roberta, "--task", "classification", "--data", texts, "--column", "label")
    assert {run["arm"] for run in results} == {str(roberta), "TF-IDF, no network"}
    assert [run["test"] for run in results if run["model"] is None and run["method"] == "linear"] == [1.0]
    assert "no split 'validation': 4 of 'train' choose instead" in capsys.readouterr().out


def test_several_labels(wav2vec2: Path, recordings: Path, tmp_path: Path) -> None:
    results = probe(tmp_path, wav2vec2, "--task", "multilabel", "--data", recordings, "--column", "tags")
    assert {run["metric"] for run in results} == {"mean average precision"}
    assert {run["method"] for run in results} == {"weighted_sum", "linear"}
    for run in results:
        assert 0 < run["test"] <= 1
        assert len(run["by_layer"]) == (1 if run["model"] is None else 3)
        if run["method"] == "linear":  # figures of layers on validation, the best of which was chosen
            assert run["by_layer"][run["chosen"]["layer"]] == max(run["by_layer"]) == run["validation"]


def test_recognition(wav2vec2: Path, recordings: Path, tmp_path: Path) -> None:
    data = ("--task", "recognition", "--data", recordings, "--column", "transcription")
    results = probe(tmp_path, wav2vec2, *data, "--cache", tmp_path / "cache")
    assert {run["metric"] for run in results} == {"character error rate", "word error rate"}
    assert probe(tmp_path, wav2vec2, *data, "--cache", tmp_path / "cache")[: len(results)] == results


def test_recognition_by_layer_if_it_is_asked_for(
    wav2vec2: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--task", "recognition", "--data", recordings, "--column", "transcription", "--methods", "single_layer")
    results = probe(tmp_path, wav2vec2, *data, "--by_layer")
    assert {run["method"] for run in results} == {"single_layer"}
    (characters,) = (run for run in results if run["model"] and run["metric"] == "character error rate")
    assert len(characters["by_layer"]) == 3
    assert characters["by_layer"][characters["chosen"]["layer"]] == min(characters["by_layer"])
    printed = capsys.readouterr().out
    assert "single_layer, character error rate: " in printed
    assert "single_layer, word error rate: " not in printed


@pytest.mark.parametrize(
    ("task", "method", "message"),
    [
        ("multilabel", "neighbours", "has no method neighbours (--methods), only weighted_sum, linear"),
        ("recognition", "linear", "has no method linear (--methods), only weighted_sum, single_layer"),
        ("verification", "linear", "has no method linear (--methods), a single one: leave --methods out"),
        ("classification", "single_layer", "has no method single_layer (--methods), only weighted_sum, linear, nei"),
    ],
)
def test_methods_that_a_task_has_not_are_refused(
    recordings: Path, task: str, method: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["probe", "no model", "--task", task, "--data", str(recordings), "--column", "label"]
    assert main([*command, "--methods", method]) == 1
    assert message in capsys.readouterr().err


def test_clips_that_are_too_long_are_left_out_for_all_arms(
    whisper: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(recordings / "train" / "00.wav", 0.1 * np.ones(31 * 16_000), 16_000)
    data = ("--task", "classification", "--data", recordings, "--column", "label", "--methods", "neighbours")
    assert main(["probe", *map(str, (whisper, *data))]) == 1
    assert "reads 30 s at most: leave longer clips out (--max_seconds 30)" in capsys.readouterr().err
    results = probe(tmp_path, whisper, *data, "--max_seconds", 30)
    assert [run["notes"] for run in results] == [["1 file(s) skipped (1 too long)"]] * 2
    printed = capsys.readouterr().out
    assert "7 to learn from, 8 to choose by, 8 to test" in printed
    assert "1 file(s) skipped (1 too long)" in printed


def test_memory_of_all_frames_is_told_before_they_are_kept(
    wav2vec2: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder = load_frozen_encoder(str(wav2vec2))
    data = load_probe_data(DataConfig(str(recordings), "transcription"), "speech", "recognition")
    kept = [extract_features(encoder, split.items, all_frames=True) for split in data[:3]]
    gib = sum(frames.nbytes for features in kept for frames in features.frames) / 2**30
    assert gib_of_frames(encoder, data) == pytest.approx(gib, rel=0.1)

    arguments = (wav2vec2, "--task", "recognition", "--data", recordings, "--column", "transcription")
    probe(tmp_path, *arguments)
    assert "GiB" not in caplog.text
    monkeypatch.setattr(probe_encoder, "MUCH_GIB", 0.0)
    probe(tmp_path, *arguments)
    assert "--task recognition keeps every frame of every layer: about 0.0 GiB of memory" in caplog.text


def test_verification(wav2vec2: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--task", "verification", "--data", recordings, "--column", "label")
    results = probe(tmp_path, wav2vec2, *data)
    assert [(run["method"], run["metric"]) for run in results] == [("cosine", "equal error rate")] * 2
    assert results[1]["test"] < 0.4  # log-mel
    assert results[0]["chosen"]["trials"] == 28
    assert "lower is better" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--column", "pitch"), "has no column 'pitch'"),
        (("--column", "label", "--splits", "train", "validation", "exam"), "has no split 'exam', only"),
        (("--column", "label", "--seeds", "0"), "--seeds of at least 1"),
        (("--column", "label", "--epochs", "0"), "--epochs of at least 1"),
        (("--column", "label", "--batch_size", "0"), "--batch_size of at least 1"),
        (("--column", "label", "--device", "gpu9"), "got 'gpu9'"),
        (("--column", "label", "--results", "no/such/folder/r.jsonl"), "there is no folder no/such/folder"),
        (("--column", "label", "--cache", __file__), "Cannot make the folder --cache"),
        (("--column", "label", "--arm", "nameless"), "Expected --arm NAME=MODEL, got 'nameless'"),
    ],
)
def test_bad_settings_are_named_at_once(
    wav2vec2: Path, recordings: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    command = ["probe", str(wav2vec2), "--task", "classification", "--data", str(recordings), *arguments]
    assert main(command) == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""  # nothing was encoded for it


def test_models_of_different_kinds_are_refused(
    wav2vec2: Path, vit: Path, images: Path, recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(recordings), "--column", "label"]
    assert main(["probe", str(wav2vec2), str(vit), "--task", "verification", *data]) == 1
    assert "Expected models of speech only" in capsys.readouterr().err
    assert main(["probe", str(vit), "--task", "recognition", "--data", str(images), "--column", "label"]) == 1
    assert "--task recognition is for speech" in capsys.readouterr().err
    assert main(["probe", "--task", "verification", *data]) == 1
    assert "at least one model" in capsys.readouterr().err
