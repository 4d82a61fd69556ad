# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Files that several processes read and write at the same time.

Locks are those of `flock`: they end with the process that holds them, however it ends. Windows has none, and nobody
waits for anybody there.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl


def lock(file: IO, *, shared: bool = False) -> None:
    """Waits until nobody else has locked an open file, and locks it until it is closed; readers may share a lock."""
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Gives whether nobody else has claimed the file, without waiting; if so, it is claimed in the block.

    Processes that are started in the block with `close_fds=False` keep the claim up if this one is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        if sys.platform == "win32":
            yield True
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_ours = False
        else:
            is_ours = True
            os.set_inheritable(file.fileno(), True)
        yield is_ours


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to, whose file takes its place at the end: nobody reads half of it, and if
    writing fails the old file stays."""
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
