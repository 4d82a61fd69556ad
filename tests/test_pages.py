# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Commands, names of files, imports and links on every page fit the code. Nothing is run, as test_guides.py does."""

import argparse
import ast
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pages import LINK, ROOT, blocks, mentions, our_commands, read
from training_helpers import SCRIPTS, load_script

from hf_ssl.cli import main as hf_ssl
from hf_ssl.training import arguments

PAGES = [ROOT / "README.md", *sorted((ROOT / "model_cards").glob("*.md")), *sorted(SCRIPTS.rglob("*.md"))]
# A mention may leave out what it is not about, and have a word in capitals for a number.
INCOMPLETE = re.compile(r"the following arguments are required|invalid (\w+ value|choice): '[A-Z]+'")
PATH = re.compile(r"(?<![\w/.])(?:training_scripts|model_cards|hf_ssl|tests)/[\w./*-]*\w")
FILE = re.compile(r"[a-z][a-z0-9_/]*\.(?:py|yaml)")
PLACEHOLDERS = ("NAME", "RECIPE")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


class FlagsParsedError(Exception):
    """Flags were read; what would be done with them is not."""


class FlagsRefusedError(Exception):
    """Flags were not understood; `known` are those that would have been."""

    def __init__(self, message: str, known: set[str]) -> None:
        super().__init__(message)
        self.known = known


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parse_args, parse_arguments = argparse.ArgumentParser.parse_args, arguments.parse_arguments

    def parse_flags(self: argparse.ArgumentParser, *args: Any) -> NoReturn:
        parse_args(self, *args)
        raise FlagsParsedError

    def parse_training(*types: Any, argv: Sequence[str]) -> NoReturn:
        trains = any(field.name == "use_cpu" for type_ in types for field in dataclasses.fields(type_))
        parse_arguments(*types, argv=[*argv, *(["--use_cpu", "--report_to", "none"] if trains else [])])
        raise FlagsParsedError

    def exit_(self: argparse.ArgumentParser, status: int = 0, message: str = "") -> NoReturn:
        raise FlagsRefusedError(message, set(self._option_string_actions))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_flags)
    monkeypatch.setattr(argparse.ArgumentParser, "exit", exit_)
    monkeypatch.setattr(arguments, "parse_arguments", parse_training)
    monkeypatch.syspath_prepend(SCRIPTS / "benchmarks")
    (tmp_path / "training_scripts").symlink_to(SCRIPTS)
    monkeypatch.chdir(tmp_path)


def parse(command: Sequence[str]) -> None:
    """Raises `FlagsRefusedError`, or what the dataclasses of a script raise, at flags that cannot be."""
    program, *flags = command
    main = hf_ssl
    if program != "hf-ssl":
        main = load_script(program.removeprefix("training_scripts/").removesuffix(".py")).main
    with pytest.raises(FlagsParsedError):
        main(flags)


def parse_mention(command: Sequence[str]) -> None:
    """The same for a command that may be incomplete: of a script without flags, nothing but that it is there."""
    if command[0] != "hf-ssl" and len(command) == 1:
        assert Path(command[0]).is_file()
        return
    try:
        parse(command)
    except FlagsRefusedError as refusal:
        if not INCOMPLETE.search(str(refusal)):
            raise
        unknown = {word.split("=")[0] for word in command if word.startswith("--")} - refusal.known
        if unknown:
            raise FlagsRefusedError(f"unknown: {unknown}", refusal.known) from refusal


@every_page
def test_commands_in_blocks_have_flags_that_there_are(page: Path) -> None:
    for language, code in blocks(page):
        if language in ("", "bash"):
            for command in our_commands(code):
                parse(command)


@every_page
def test_commands_in_the_text_have_flags_that_there_are(page: Path) -> None:
    for mention in mentions(page):
        if "hf-ssl" in mention.split() or "training_scripts/" in mention:
            for command in our_commands(mention):
                parse_mention(command)


@every_page
def test_files_that_are_named_are_there(page: Path) -> None:
    for name in PATH.findall(read(page)):
        assert any(part in name for part in PLACEHOLDERS) or any(ROOT.glob(name)), name
    for name in filter(FILE.fullmatch, mentions(page)):
        folders = ("training_scripts", "hf_ssl", "tests")
        assert (ROOT / name).is_file() or any(any((ROOT / folder).glob(f"**/{name}")) for folder in folders), name


@every_page
def test_imports_in_blocks_work(page: Path) -> None:
    for language, code in blocks(page):
        if language == "python":
            imports = [node for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(imports, type_ignores=[]), str(page), "exec"), {})


@every_page
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(read(page)):
        assert (page.parent / target).exists(), target


def test_commands_are_found_and_wrong_ones_refused() -> None:
    """The other tests would pass over what they do not find."""
    code = (
        "A=1 arecord -c 1 | hf-ssl transcribe M --stream - [--timestamps] > out  # so\npip install x && hf-ssl demo\n"
    )
    code += "accelerate launch training_scripts/pretrain_speech.py \\\n    --data 'D\nE'"
    assert list(our_commands(code)) == [
        ["hf-ssl", "transcribe", "M", "--stream", "-", "--timestamps"],
        ["hf-ssl", "demo"],
        ["training_scripts/pretrain_speech.py", "--data", "D\nE"],
    ]
    assert len([command for _, code in blocks(ROOT / "README.md") for command in our_commands(code)]) > 25
    for words in ("hf-ssl fly", "hf-ssl export M O --sped 1", "training_scripts/pretrain_speech.py --dta D"):
        for check in (parse, parse_mention):
            with pytest.raises(FlagsRefusedError):
                check(words.split())
    with pytest.raises(ValueError, match="does not exist"):
        parse(["training_scripts/pretrain_speech.py", "training_scripts/recipes/none.yaml", "--data", "D"])
    with pytest.raises(FlagsRefusedError, match="required"):
        parse(["hf-ssl", "probe", "M"])
    parse_mention(["hf-ssl", "plan", "RECIPE", "--gpus", "N", "--gpu-memory", "GB"])
    with pytest.raises(FlagsRefusedError, match="--sped"):
        parse_mention(["hf-ssl", "probe", "M", "--sped", "1"])
