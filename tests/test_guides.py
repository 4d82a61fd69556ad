# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Code blocks of pages run, in a folder that has what their names in capitals stand for, and cut down to seconds (see
page_runs.py): those of each guide of training_scripts/guides one after the other, as they are there; of README and the
cards each by itself."""

import re
import shlex
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
from page_runs import prepare, run, run_here
from pages import ROOT, blocks, commands
from training_helpers import SCRIPTS

GUIDES = [page for page in sorted((SCRIPTS / "guides").glob("*.md")) if blocks(page)]
PAGES = [ROOT / "README.md", *sorted((ROOT / "model_cards").glob("*.md"))]
OF_NO_PROGRAM = ("bibtex",)
# Commands that are not run, by their beginning or a part of it, and why.
NOT_RUN = {
    "python3 -m venv": "installs; .ci/run runs the test command and tests/demo the demo",
    "pip install": "installs",
    "hf upload": "writes to the Hub",
    "glue_rte.yaml": "takes its data from the Hub",
    "TEXT_CHECKPOINT.pt": "tests/conversion/test_text.py runs it, on a checkpoint with the original's byte pairs",
}


def blocks_by_name() -> dict[str, tuple[str, str]]:
    """Language and code of the blocks of README and cards, by page and number."""
    return {
        f"{page.stem}-{number}": block
        for page in PAGES
        for number, block in enumerate(blocks(page), start=1)
        if block[0] not in OF_NO_PROGRAM
    }


BLOCKS = blocks_by_name()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def folder(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it for each page or block, as the current folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    monkeypatch.syspath_prepend(SCRIPTS / "benchmarks")
    copy = tmp_path / "here"
    shutil.copytree(prepared, copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_code_block_of_a_guide_runs(page: Path, folder: Path) -> None:
    pytest.importorskip("sklearn")
    for language, code in blocks(page):
        match language:
            case "bash":
                for command in commands(code):
                    run(command)
            case "python":
                exec(compile(code, str(page), "exec"), {"__name__": "guide"})
            case _:
                pytest.fail(f"{page.name} has a block of {language or 'no language'}: it is not tested")


@pytest.mark.parametrize("name", BLOCKS)
def test_every_code_block_of_readme_and_cards_runs(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    language, code = BLOCKS[name]
    match language:
        case "python":
            run_python(code, name)
        case "":
            made: set[str] = set()
            for command in commands(code):
                if reason_not_to_run(command) is None:
                    run_here(command, made, monkeypatch)
        case _:
            pytest.fail(f"{name} is a block of {language}: it is not tested")


def run_python(code: str, name: str) -> None:
    """What such a block uses without saying where it comes from is given."""
    if "microphone" in code:
        shutil.rmtree("MODEL")
        shutil.copytree("STREAMING", "MODEL")
    microphone = np.zeros((3, 4000), dtype=np.float32)
    exec(compile(code, name, "exec"), {"__name__": "page", "microphone": microphone})


def reason_not_to_run(command: list[str]) -> str | None:
    text = shlex.join(command)
    return next((NOT_RUN[part] for part in NOT_RUN if re.search(rf"(^|[ /]){re.escape(part)}", text)), None)


def test_what_is_not_run_is_on_the_pages() -> None:
    """Or nobody would notice that nothing is run any more."""
    found = [command for language, code in BLOCKS.values() if language == "" for command in commands(code)]
    reasons = [reason_not_to_run(command) for command in found]
    assert set(reasons) == {None, *NOT_RUN.values()}
    assert reasons.count(None) > 35
