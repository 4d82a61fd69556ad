# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import os
from pathlib import Path

import pytest

from hf_ssl.output_files import check_writable, make_folder


def test_files_that_can_be_written_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("{}")
    for path in (None, tmp_path / "new.json", tmp_path / "old.json", os.devnull):
        check_writable(path, "--output")
    assert [file.name for file in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "{}"


def test_files_that_cannot_be_written_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path, "--output to name a file, but .* is a folder"),
        (tmp_path / "none" / "new.json", "--output .* there is no folder .*none. Make it"),
        (tmp_path / "file" / "new.json", "--output .* there is no folder"),
    ):
        with pytest.raises(ValueError, match=message):
            check_writable(path, "--output")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the superuser may write everywhere
    for name in ("file", "new.json"):
        with pytest.raises(ValueError, match="permission is denied"):
            check_writable(tmp_path / name, "--output")


def test_folders_are_made_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "a" / "b", "--cache")
    make_folder(tmp_path / "a" / "b", "--cache")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(ValueError, match=r"Cannot make the folder --cache .*file"):
            make_folder(path, "--cache")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="Cannot write into --cache"):
        make_folder(tmp_path / "a", "--cache")
