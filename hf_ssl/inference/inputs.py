# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The files that a command was given: listing them, naming their outputs, and reporting those that failed."""

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from tqdm import tqdm

from ..data.audio import AUDIO_EXTENSIONS
from ..data.manifests import find_audio


class InputFile(NamedTuple):
    """A file to read.

    Attributes:
        path (`str`): As the user wrote it, or below the folder that the user gave.
        name (`str`): Relative path of what is made of it, unique among all inputs; the extension is kept, so that
            `x.wav` and `x.flac` differ.
    """

    path: str
    name: str


class Failures:
    """Files that could not be used; each is told on stderr when it fails."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def add(self, path: str, reason: str) -> None:
        """Tells that a file cannot be used, and why."""
        self.reasons[path] = reason
        tqdm.write(f"{path}: {reason}", file=sys.stderr)

    def check(self) -> None:
        """Raises `ValueError` if any file failed."""
        if self.reasons:
            raise ValueError(f"{len(self.reasons)} input(s) could not be used; the reasons are above")


def list_inputs(paths: Sequence[str], failures: Failures) -> list[InputFile]:
    """The files of the command line, and all audio below its folders, each once.

    Names are relative to the folder that all inputs have in common: `a/x.wav` and `b/x.wav` stay apart.
    """
    found: dict[str, str] = {}
    for path in paths:
        if not os.path.isdir(path):
            found.setdefault(os.path.abspath(path), path)
            continue
        audio = find_audio(path)
        if not audio:
            failures.add(path, f"no audio in this folder or below it ({', '.join(AUDIO_EXTENSIONS)})")
        for absolute in audio:
            found.setdefault(absolute, os.path.join(path, os.path.relpath(absolute, path)))
    if not found:
        return []
    folders = [path if os.path.isdir(path) else os.path.dirname(os.path.abspath(path)) for path in paths]
    root = os.path.commonpath([os.path.abspath(folder) for folder in folders])
    return [InputFile(path, os.path.relpath(absolute, root)) for absolute, path in found.items()]
