# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The list of files that a run could not use."""

import json
import os
from collections import Counter


class SkippedFiles:
    """Collects the files that were left out of a run, each with its reason: nothing is dropped silently.

    With a `path`, every entry is also appended to that file as one JSON line `{"file": ..., "reason": ...}`. Several
    processes (DataLoader workers, ranks) may hold the same `path`: each line is one append, and `count` and
    `by_reason` read what all of them wrote, a file that several of them met counting once. Entries that an earlier
    run left in the file are kept, so that a resumed run does not list them again. Without a `path`, a DataLoader
    worker's entries stay in the worker.

    Args:
        path (`str`, *optional*): The JSON-lines file; its folder is created.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        self._reasons: dict[str, str] = {}
        self._num_bytes_read = 0
        self._torn_line = False
        if path is not None:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)

    def add(self, file: str, reason: str) -> None:
        """Notes that `file` was left out. The first reason for a file stays.

        Args:
            file (`str`): The file, or what names the clip where there is no file.
            reason (`str`): `"<kind>: <detail>"` or `"<kind>"`; `by_reason` counts kinds.
        """
        self._read_new_lines()
        if file in self._reasons:
            return
        self._reasons[file] = reason
        if self.path is not None:
            line = json.dumps({"file": file, "reason": reason}, ensure_ascii=False)
            _append_line(self.path, "\n" + line if self._torn_line else line)

    @property
    def count(self) -> int:
        """Number of files left out."""
        self._read_new_lines()
        return len(self._reasons)

    @property
    def files(self) -> dict[str, str]:
        """The files left out and their reasons."""
        self._read_new_lines()
        return dict(self._reasons)

    def by_reason(self) -> dict[str, int]:
        """Number of files left out by kind of reason, the most frequent first."""
        self._read_new_lines()
        return dict(Counter(reason.split(":")[0] for reason in self._reasons.values()).most_common())

    def summary(self) -> str:
        """One line for the log."""
        if self.count == 0:
            return "no file was skipped"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.by_reason().items())
        return f"{self.count} file(s) skipped ({reasons})" + (f", listed in {self.path}" if self.path else "")

    def _read_new_lines(self) -> None:
        """Takes over what other processes (or an earlier run) appended since the last look."""
        if self.path is None or not os.path.exists(self.path):
            return
        with open(self.path, "rb") as file:
            file.seek(self._num_bytes_read)
            content = file.read()
        # A process killed while it wrote leaves the beginning of a line; the next line must not join it.
        complete = content[: content.rfind(b"\n") + 1]
        self._torn_line = len(complete) < len(content)
        self._num_bytes_read += len(complete)
        for line in complete.splitlines():
            entry = _parse_line(line)
            if entry is not None:
                self._reasons.setdefault(*entry)


def _append_line(path: str, line: str) -> None:
    # One write of one O_APPEND descriptor: lines of several processes do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode("utf-8", errors="backslashreplace") + b"\n")
    finally:
        os.close(descriptor)


def _parse_line(line: bytes) -> tuple[str, str] | None:
    try:
        entry = json.loads(line)
        return entry["file"], entry["reason"]
    except (ValueError, KeyError, TypeError):  # the torn line of a killed process
        return None
