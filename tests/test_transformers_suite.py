# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The harness of transformers' model tests: what it unpacks, when it downloads, and what it does without an index."""

import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import transformers_suite
from transformers_suite import PACKAGE, STUBS, SuiteUnavailableError, fetch_suite, load_suite_module, unpack_suite


def write_archive(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


class Download:
    """A stand-in for the package index that counts how often it is asked."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        self.calls = 0

    def __call__(self, version: str, folder: Path) -> Path:
        self.calls += 1
        return write_archive(folder / f"transformers-{version}.tar.gz", self.files)


SUITE_FILES = {"transformers-1.0/tests/test_modeling_common.py": "found = True\n"}


def test_unpack_takes_only_the_tests_and_adds_stubs(tmp_path: Path) -> None:
    elsewhere = {"transformers-1.0/src/module.py": "", "transformers-1.0/tests/../../escaped.py": ""}
    archive = write_archive(tmp_path / "archive.tar.gz", SUITE_FILES | elsewhere)
    unpack_suite(archive, tmp_path / "suite")

    written = {path.relative_to(tmp_path / "suite").as_posix() for path in tmp_path.rglob("*.py")}
    assert written == {"test_modeling_common.py", *STUBS}


def test_unpack_keeps_a_file_that_a_later_source_distribution_has(tmp_path: Path) -> None:
    real = {"transformers-1.0/tests/__init__.py": "real = True\n"}
    unpack_suite(write_archive(tmp_path / "archive.tar.gz", real), tmp_path / "suite")
    assert (tmp_path / "suite" / "__init__.py").read_text() == "real = True\n"


def test_archive_without_tests_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    download = Download({"transformers-1.0/README.md": ""})
    with pytest.raises(SuiteUnavailableError, match=r"no files in tests/"):
        fetch_suite("1.0", tmp_path, download)
    assert not (tmp_path / "transformers-1.0").exists()


def test_concurrent_fetches_download_once(tmp_path: Path) -> None:
    download = Download(SUITE_FILES)
    with ThreadPoolExecutor(4) as executor:
        folders = list(executor.map(lambda _: fetch_suite("1.0", tmp_path, download), range(8)))

    assert download.calls == 1
    assert set(folders) == {tmp_path / "transformers-1.0"}
    assert (folders[0] / PACKAGE / "test_modeling_common.py").read_text() == "found = True\n"


@pytest.mark.parametrize(("required", "outcome"), [("0", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_without_an_index_tests_skip_unless_required(
    required: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(transformers_suite.REQUIRE_SUITE_VARIABLE, required)
    monkeypatch.setattr(transformers_suite, "_make_importable", lambda: "the index cannot be reached")
    with pytest.raises(outcome, match="the index cannot be reached"):
        load_suite_module("test_modeling_common")


def test_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(SuiteUnavailableError, match="Run the tests once where pip can reach a package index"):
        transformers_suite.download_source_distribution("0.0.0", tmp_path)
