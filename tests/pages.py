# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Pages of Markdown: their blocks of code, and the commands in them."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hf_ssl.results_tables import Pivot, pivot_table

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TABLE = re.compile(r"^<!-- results: (.*) -->$", re.MULTILINE)
_MENTION = re.compile(r"`([^`]+)`")
_OPTIONAL = re.compile(r"\[(--[^]]+)\]")
_SCRIPT = re.compile(r"training_scripts/[\w/]+\.py")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def tables_of(results: Sequence[Mapping[str, Any]], what: str, pages: Sequence[str]) -> list[str]:
    """The tables of that kind of lines on our pages, as they would be of other results, of any CPU."""
    comments = [comment for page in pages for comment in _TABLE.findall(read(ROOT / page))]
    pivots = [Pivot(**json.loads(comment)) for comment in comments]
    wheres = [{name: value for name, value in pivot.where.items() if name != "cpu"} for pivot in pivots]
    chosen = [replace(pivot, where=where) for pivot, where in zip(pivots, wheres, strict=True)]
    return [pivot_table(results, pivot) for pivot in chosen if pivot.where.get("what") == what]


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language, or nothing, and code."""
    return _BLOCK.findall(read(page))


def mentions(page: Path) -> list[str]:
    """What is set as code within the text."""
    return [" ".join(mention.split()) for mention in _MENTION.findall(_BLOCK.sub("", read(page)))]


def commands(code: str) -> list[list[str]]:
    """The commands of a shell's block, in words."""
    found, text = [], ""
    for line in code.replace("\\\n", " ").splitlines():
        text += line + "\n"
        try:
            words = shlex.split(text, comments=True)
        except ValueError:  # a quotation goes on in the next line
            continue
        found, text = [*found, *([words] if words else [])], ""
    if text:
        raise ValueError(f"A quotation has no end: {text}")
    return found


def our_commands(code: str) -> Iterator[list[str]]:
    """Of the commands, also behind a pipe, those of `hf-ssl` and of training scripts, from that word on. What is in
    brackets, as one may leave it out, is there."""
    for command in commands(_OPTIONAL.sub(r"\1", code)):
        ours: list[str] | None = None
        for word in [*command, "|"]:
            if word in ("|", "&&", ">"):
                if ours is not None:
                    yield ours
                ours = None
            elif ours is not None:
                ours.append(word)
            elif word == "hf-ssl" or _SCRIPT.fullmatch(word):
                ours = [word]
