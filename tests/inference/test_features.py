# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of features: the same as transformers' hidden states, in three formats, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from hf_ssl.cli import main
from hf_ssl.data import AudioReadError, read_audio
from hf_ssl.inference import Failures, extract_features, list_inputs
from hf_ssl.inference import input_makers as input_makers_module

FAMILIES = ["data2vec2", "wav2vec2", "hubert"]


def one_pass(loaded, path: Path) -> np.ndarray:
    """All hidden states of one pass, `(num_frames, num_layers + 1, hidden_size)`."""
    waveform = read_audio(path, sampling_rate=16000)
    inputs = loaded.feature_extractor(waveform, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        hidden_states = loaded.model(inputs.input_values, output_hidden_states=True).hidden_states
    return torch.stack(hidden_states, dim=2)[0].numpy()


def read_index(folder: Path) -> dict[str, dict]:
    lines = (folder / "index.jsonl").read_text().splitlines()
    return {Path(json.loads(line)["source"]).name: json.loads(line) for line in lines}


def extract(loaded, paths: list[Path], out: Path, layer: int | None = -1, **options) -> dict[str, dict]:
    files = list_inputs([str(path) for path in paths], Failures())
    failures = Failures()
    num_written = extract_features(files, loaded, out, layer=layer, failures=failures, **options)
    assert not failures.reasons
    assert num_written == len(files)
    assert not list(out.rglob("*.part"))
    return read_index(out)


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_are_transformers_hidden_states(loaded_encoders, write_audio, tmp_path, family):
    loaded = loaded_encoders[family]
    lengths = (0.5, 0.2, 0.5, 0.1)
    paths = [write_audio(f"{index}.wav", seconds=length, seed=index) for index, length in enumerate(lengths)]
    index = extract(loaded, paths, tmp_path / "out", layer=None, batch_size=3)
    for path in paths:
        features = np.load(tmp_path / "out" / index[path.name]["output"])
        np.testing.assert_allclose(features, one_pass(loaded, path), atol=2e-5)


@pytest.mark.parametrize("layer", [0, 1, 2, -1])
def test_layers_are_numbered_as_in_transformers(loaded_encoders, write_audio, tmp_path, layer):
    loaded = loaded_encoders["data2vec2"]
    path = write_audio("a.wav")
    index = extract(loaded, [path], tmp_path / "out", layer=layer)
    expected = one_pass(loaded, path)[:, layer]
    np.testing.assert_allclose(np.load(tmp_path / "out" / "a.wav.npy"), expected, atol=1e-5)
    assert index["a.wav"] == {
        "source": str(path),
        "output": "a.wav.npy",
        "frames": len(expected),
        "frame_rate": 1000.0,
        "seconds": 0.5,
        "layer": 2 if layer == -1 else layer,
        "model": loaded.model.config.name_or_path,
    }


@pytest.mark.parametrize("family", ["data2vec2", "wav2vec2"])
def test_windows_agree_with_one_pass(loaded_encoders, write_audio, tmp_path, family):
    loaded = loaded_encoders[family]
    path = write_audio("long.wav", seconds=1.7)
    extract(loaded, [path], tmp_path / "out", layer=None, window_seconds=0.4, overlap_seconds=0.1, batch_size=2)
    features = np.load(tmp_path / "out" / "long.wav.npy")
    expected = one_pass(loaded, path)
    assert features.shape == expected.shape
    # The input of the first layer depends on its neighbourhood only, and is the same; attention sees the whole window.
    np.testing.assert_allclose(features[:, 0], expected[:, 0], atol=2e-5)
    if family == "data2vec2":  # its attention falls off with the distance
        np.testing.assert_allclose(features, expected, atol=5e-5)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    num_samples=st.integers(44, 12_000),
    window=st.floats(0.02, 0.3),
    overlap=st.floats(0, 0.4),
    batch_size=st.integers(1, 4),
)
def test_frames_are_those_of_one_pass_for_any_length(
    loaded_encoders, write_audio, tmp_path_factory, num_samples, window, overlap, batch_size
):
    loaded = loaded_encoders["hubert"]
    path = write_audio("a.wav", samples=np.random.default_rng(0).standard_normal(num_samples).astype(np.float32) / 9)
    out = tmp_path_factory.mktemp("out")
    options = {"window_seconds": window, "overlap_seconds": window * overlap, "batch_size": batch_size}
    index = extract(loaded, [path], out, **options)
    expected = int(loaded.model._get_feat_extract_output_lengths(torch.tensor(num_samples)))
    assert index["a.wav"]["frames"] == len(np.load(out / "a.wav.npy")) == expected


@pytest.mark.parametrize("layer", [1, None])
def test_formats_hold_the_same(loaded_encoders, write_audio, tmp_path, layer):
    path = write_audio("a.wav", seconds=0.7)
    for kind in ("npy", "safetensors", "parquet"):
        options = {"kind": kind, "window_seconds": 0.3, "overlap_seconds": 0.05}
        extract(loaded_encoders["data2vec2"], [path], tmp_path / kind, layer, **options)
    expected = np.load(tmp_path / "npy" / "a.wav.npy")
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(load_file(tmp_path / "safetensors" / "a.wav.safetensors")["hidden_states"], expected)
    table = pyarrow.parquet.read_table(tmp_path / "parquet" / "a.wav.parquet")
    assert table.column_names == (["layer_1"] if layer == 1 else ["layer_0", "layer_1", "layer_2"])
    columns = [np.stack(column.to_numpy()) for column in table.columns]
    np.testing.assert_array_equal(columns[0] if layer == 1 else np.stack(columns, axis=1), expected)
    file = pyarrow.parquet.ParquetFile(tmp_path / "parquet" / "a.wav.parquet")
    assert file.num_row_groups > 1  # written window by window


@pytest.mark.parametrize(("dtype", "stored"), [("bfloat16", np.float32), ("float16", np.float16)])
@pytest.mark.parametrize("kind", ["npy", "safetensors", "parquet"])
def test_half_precision(encoders, write_audio, tmp_path, dtype, stored, kind):
    arguments = [str(encoders["wav2vec2"]), str(write_audio("a.wav")), "--layer", "1", "--out", str(tmp_path / "out")]
    assert main(["features", *arguments, "--dtype", dtype, "--format", kind, "--device", "cpu"]) == 0
    path = tmp_path / "out" / f"a.wav.{kind}"
    if kind == "npy":
        features = np.load(path)
    elif kind == "safetensors":
        features = load_file(path)["hidden_states"]
    else:
        features = np.stack(pyarrow.parquet.read_table(path)["layer_1"].to_numpy())
    assert features.dtype == stored
    assert features.shape == (498, 16)
    assert np.isfinite(features).all()


def test_command_keeps_sub_folders_and_goes_on(encoders, write_audio, tmp_path, capsys):
    for name in ("audio/a/x.wav", "audio/b/x.wav", "audio/b/x.flac"):
        write_audio(name)
    (tmp_path / "audio" / "bad.wav").write_text("not audio")
    out = tmp_path / "out"
    assert (
        main(["features", str(encoders["hubert"]), str(tmp_path / "audio"), "--layer", "all", "--out", str(out)]) == 1
    )
    output = capsys.readouterr()
    assert "bad.wav: unreadable" in output.err
    assert "1 input(s) could not be used" in output.err
    assert "features of 3 file(s)" in output.out
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert found == ["a/x.wav.npy", "b/x.flac.npy", "b/x.wav.npy", "index.jsonl"]
    assert np.load(out / "a/x.wav.npy").shape == (498, 3, 16)


def test_file_that_fails_on_the_way_leaves_nothing(loaded_encoders, write_audio, tmp_path, monkeypatch):
    paths = [write_audio("good.wav", seconds=0.2), write_audio("changed.wav", seconds=1.0)]

    def stream_that_fails(path, *, sampling_rate):
        yield np.zeros(10_000, dtype=np.float32)
        raise AudioReadError(path, "damaged: in the second pass")

    monkeypatch.setattr(input_makers_module, "stream_audio", stream_that_fails)
    failures = Failures()
    files = list_inputs([str(path) for path in paths], failures)
    options = {"layer": 1, "window_seconds": 0.3, "overlap_seconds": 0.0, "batch_size": 1, "failures": failures}
    assert extract_features(files, loaded_encoders["data2vec2"], tmp_path / "out", **options) == 1
    assert list(read_index(tmp_path / "out")) == ["good.wav"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good.wav.npy", "index.jsonl"]
    assert failures.reasons == {str(paths[1]): "damaged: in the second pass"}


@pytest.mark.parametrize("layer", ["3", "-2"])
def test_no_such_layer(encoders, write_audio, tmp_path, capsys, layer):
    arguments = [str(encoders["wav2vec2"]), str(write_audio("a.wav")), "--out", str(tmp_path / "out")]
    assert main(["features", *arguments, f"--layer={layer}"]) == 1
    assert (
        f"expected a layer from 0 (input of the first) to 2, -1 (the last) or all, got {layer}"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_layer_is_a_number(encoders, write_audio, tmp_path, capsys):
    arguments = [str(encoders["wav2vec2"]), str(write_audio("a.wav")), "--out", str(tmp_path / "out")]
    assert main(["features", *arguments, "--layer", "top"]) == 1
    assert "expected --layer to be a number or all, got 'top'" in capsys.readouterr().err


def test_folder_with_files_is_not_touched(encoders, write_audio, tmp_path, capsys):
    path = write_audio("a.wav")
    assert main(["features", str(encoders["hubert"]), str(path), "--layer", "1", "--out", str(tmp_path)]) == 1
    assert "expected a new or empty folder" in capsys.readouterr().err
    assert [found.name for found in tmp_path.iterdir()] == ["a.wav"]


def test_nothing_to_read(encoders, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    arguments = [str(encoders["hubert"]), str(tmp_path / "empty"), "--layer", "1", "--out", str(tmp_path / "out")]
    assert main(["features", *arguments]) == 1
    assert "no audio in this folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_pretrained_folder_gives_features_of_its_encoder(pretrained, write_audio, tmp_path):
    arguments = [str(pretrained), str(write_audio("a.wav")), "--layer", "-1", "--out", str(tmp_path / "out")]
    assert main(["features", *arguments, "--device", "cpu"]) == 0
    assert np.load(tmp_path / "out" / "a.wav.npy").shape == (498, 16)
