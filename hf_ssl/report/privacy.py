# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Keeps paths of the user's machine off the page: it may be shown to others."""

import re
from pathlib import PurePath, PureWindowsPath

# A slash (or C:\\) that does not follow a word, the folders, and the last name, which is kept.
_PATH = re.compile(
    r"""(?<![\w./:])(?:file://)?(?:~?/|[A-Za-z]:[\\/]|\\\\)(?:[^\s/\\'"`<>|]+[\\/])+([^\s/\\'"`<>|,;:)\]]*)"""
)


def without_paths(text: str) -> str:
    """A text in which absolute paths are cut down to their last name: `…/name`."""
    return _PATH.sub(lambda match: f"…/{match[1]}", text)


def last_name(path: str) -> str:
    """The name of a file or folder without the folders above it, of any system."""
    return PureWindowsPath(path).name if "\\" in path else PurePath(path).name or path


def arm_name(arm: str) -> str:
    """An arm of a measurement, which is called by its folder if it has no name: `folders/name, untrained`."""
    return ", ".join([last_name(part) for part in arm.split(", ")])
