# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of listing the files of a command line."""

import os
from pathlib import Path

import pytest

from hf_ssl.inference import Failures, list_inputs


def names(paths: list[Path]) -> list[str]:
    failures = Failures()
    files = list_inputs([str(path) for path in paths], failures)
    assert not failures.reasons
    assert all(os.path.isfile(file.path) for file in files)
    return sorted(Path(file.name).as_posix() for file in files)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a/x.wav", "a/x.flac", "b/x.wav", "b/deep/x.wav", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"RIFF")
    return tmp_path


def test_sub_folders_are_kept(tree):
    assert names([tree]) == ["a/x.flac", "a/x.wav", "b/deep/x.wav", "b/x.wav"]
    assert names([tree / "b"]) == ["deep/x.wav", "x.wav"]


def test_same_names_in_several_folders_stay_apart(tree):
    assert names([tree / "a", tree / "b"]) == ["a/x.flac", "a/x.wav", "b/deep/x.wav", "b/x.wav"]
    assert names([tree / "a/x.wav", tree / "b/x.wav"]) == ["a/x.wav", "b/x.wav"]
    assert names([tree / "b", tree / "b/deep/x.wav"]) == ["deep/x.wav", "x.wav"]


def test_file_named_twice_is_read_once(tree):
    assert names([tree / "a/x.wav", tree / "b" / ".." / "a" / "x.wav"]) == ["x.wav"]


def test_paths_stay_as_the_user_wrote_them(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert [file.path for file in list_inputs(["a/x.wav", "b"], Failures())] == [
        "a/x.wav",
        os.path.join("b", "deep", "x.wav"),
        os.path.join("b", "x.wav"),
    ]


def test_empty_folder_is_a_failure(tmp_path, capsys):
    failures = Failures()
    assert list_inputs([str(tmp_path)], failures) == []
    assert "no audio in this folder" in failures.reasons[str(tmp_path)]
    assert str(tmp_path) in capsys.readouterr().err
    with pytest.raises(ValueError, match="1 input"):
        failures.check()


def test_nothing_failed():
    Failures().check()
