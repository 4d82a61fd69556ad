# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The files that weights are in, and their fingerprint."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from transformers import BertConfig, BertModel, set_seed

from hf_ssl.weights import weight_files, weights_sha256


def save_model(folder: Path, seed: int = 0, **given: str) -> Path:
    set_seed(seed)
    config = BertConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(folder, **given)
    return folder


def test_the_fingerprint_is_the_beginning_of_the_file_s_sha256(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    (path,) = weight_files(folder)
    assert path == folder / "model.safetensors"
    assert weights_sha256(folder) == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    # Neither where the folder is nor what else is in it matters.
    (folder / "adapter.safetensors").write_bytes(b"x")
    (folder / "config.json").write_text("{}")
    folder.rename(tmp_path / "moved")
    assert weights_sha256(str(tmp_path / "moved")) == weights_sha256(save_model(tmp_path / "again"))
    assert weights_sha256(tmp_path / "moved") != weights_sha256(save_model(tmp_path / "other", seed=1))


def test_every_file_of_several_counts(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", max_shard_size="5KB")
    files = weight_files(folder)
    assert len(files) > 2
    assert files == sorted(folder.glob("model-*-of-*.safetensors"))
    before = weights_sha256(folder)
    assert before == weights_sha256(save_model(tmp_path / "again", max_shard_size="5KB"))
    # Left over from an earlier model, and not in the index.
    (folder / "model-00099-of-00099.safetensors").write_bytes(b"x")
    assert weights_sha256(folder) == before
    files[-1].write_bytes(files[-1].read_bytes()[:-1] + b"\x01")
    assert weights_sha256(folder) != before


def test_pickles_count_where_there_are_no_safetensors(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    first = weights_sha256(tmp_path)
    assert first is not None
    torch.save({"weight": torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    assert weights_sha256(tmp_path) != first
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]


def test_of_a_model_on_the_hub_the_files_in_the_cache_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert weights_sha256("you/model") is None
    cached = tmp_path / "models--you--model"
    save_model(cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    assert weights_sha256("you/model") == weights_sha256(save_model(tmp_path / "local"))


def test_a_folder_without_weights_has_no_fingerprint(tmp_path: Path) -> None:
    assert weights_sha256(tmp_path) is None


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "an index of files of weights in .*index.json, but it is damaged"),
        ("[]", "it is damaged"),
        ('{"weight_map": 3}', "it is damaged"),
        (json.dumps({"weight_map": {"a": "none.safetensors"}}), "names the file 'none.safetensors', which is not be"),
        (json.dumps({"weight_map": {"a": "../secret"}}), "names the file '../secret', which is not beside it"),
    ],
)
def test_a_damaged_index_is_named(tmp_path: Path, index: str, message: str) -> None:
    (tmp_path / "secret").write_text("not here")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ValueError, match=message):
        weights_sha256(folder)
