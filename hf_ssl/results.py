# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Append-only files of measured figures, one JSON object per line, each with what it takes to measure it again.

Commands that measure append to such a file (`--results FILE`). Reports, cards of runs, and those tables of the
project's pages that stand between `results` or `replication` marks are made of them.

A line with `transcribed` was typed in later, from the page named there: its figures are as exact as they stood on that
page, and its commit is the one that brought them there. Where nobody wrote the command down, it is `null`.
"""

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import IO, Any

import torch

from . import __version__
from .shared_files import lock


def append_result(
    path: str | os.PathLike[str], result: Mapping[str, Any], *, command: Sequence[str], device: str | None = None
) -> dict[str, Any]:
    """Adds a figure to a results file, with version, commit, machine and command. Several processes may do so at once.

    Args:
        path: The file; made if it does not exist.
        result: What was measured: `what` says which kind of thing, the other fields belong to it.
        command: What was typed, in words.
        device: Where it was computed, such as `"cpu"`; a GPU if there is one, if `None`.

    Returns:
        The line that was written.

    Raises:
        ValueError: `what` is missing, or the line is no JSON (NaN and infinity are none).
    """
    if not isinstance(result.get("what"), str):
        raise ValueError(f"Expected a result that says what it is in `what`, got {dict(result)!r}.")
    line = {**result, **provenance(device), "command": shlex.join(command)}
    text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
    with open(path, "a+b") as file:
        lock(file)
        # Behind half a line of a process that was killed, which stays for `read_results` to name.
        file.write((("" if _ends_a_line(file) else "\n") + text).encode("utf-8"))
    return line


def read_results(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a results file, oldest first.

    Raises:
        ValueError: The file does not exist, or a line is not a JSON object with `what`; it is named.
    """
    if not Path(path).is_file():
        raise ValueError(f"Expected a file of results (JSON lines), but there is no {path}.")
    with open(path, encoding="utf-8") as file:
        lock(file, shared=True)
        lines = file.readlines()
    results = []
    for number, line in enumerate(lines, start=1):
        try:
            result = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"Line {number} of {path} is no JSON: {error}.") from error
        if not isinstance(result, dict) or not isinstance(result.get("what"), str):
            raise ValueError(f"Expected an object with `what` in line {number} of {path}, got {line[:80]!r}.")
        results.append(result)
    return results


def provenance(device: str | None = None) -> dict[str, Any]:
    """Version, commit (`None` outside of a checkout, `+` behind it where files were changed) and machine.

    Args:
        device: Where it was computed; see [`describe_machine`].
    """
    return {"version": __version__, "commit": _commit(), "machine": describe_machine(device)}


def chosen_settings(config: Any) -> dict[str, Any]:
    """Those fields of a dataclass that have a default, and another value: what tells a measurement from the usual
    one, for the field `settings` of its line."""
    with_default = {field.name: field.default for field in fields(config) if field.default is not MISSING}
    return {name: vars(config)[name] for name, default in with_default.items() if vars(config)[name] != default}


def describe_machine(device: str | None = None) -> str:
    """Such as `"NVIDIA H100"`, `"2 x NVIDIA A40"` or `"CPU (x86_64), 1 thread"`.

    Args:
        device: What of the machine computed: `"cpu"` though there is a GPU; a GPU if there is one, if `None`.
    """
    if torch.cuda.is_available() and device != "cpu":
        count = torch.cuda.device_count()
        return f"{count} x {torch.cuda.get_device_name()}" if count > 1 else torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"CPU ({platform.machine()}), {threads} thread{'s' if threads > 1 else ''}"


def cpu_model() -> str:
    """Such as `"AMD EPYC 9R14"`, which tells CPUs apart that are one machine to `describe_machine`."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _ends_a_line(file: IO[bytes]) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


@cache
def _commit() -> str | None:
    """The commit of the package's checkout, as the process first saw it.

    A repository that a virtual environment merely lies in does not count."""
    package = Path(__file__).parent
    try:
        git = ["git", "-C", str(package)]
        tracked = subprocess.run([*git, "ls-files", "--error-unmatch", "__init__.py"], capture_output=True, text=True)
        if tracked.returncode:
            return None
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "."], capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+" if changed.returncode else "")
