# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Files that figures are to go to, looked at before minutes or hours are spent on the figures."""

import os
from pathlib import Path


def check_writable(path: str | os.PathLike[str] | None, flag: str) -> None:
    """Nothing is written, and nothing checked if there is no path.

    Args:
        path: The file, which may exist.
        flag: What gave it, such as `--output`, for the message.

    Raises:
        ValueError: It is a folder, its folder is missing, or one of them may not be written to.
    """
    if path is None:
        return
    file, folder = Path(path), Path(path).parent
    if file.is_dir():
        raise ValueError(f"Expected {flag} to name a file, but {path} is a folder: name a file in it.")
    if not folder.is_dir():
        raise ValueError(f"Cannot write {flag} {path}: there is no folder {folder}. Make it, or name another.")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise ValueError(f"Cannot write {flag} {path}: permission is denied. Name a file that may be written.")


def make_folder(path: str | os.PathLike[str], flag: str) -> None:
    """Makes a folder that work is going to write to, if it does not exist.

    Args:
        path: The folder.
        flag: What gave it, for the message.

    Raises:
        ValueError: It cannot be made, or may not be written to.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"Cannot make the folder {flag} {path}: {error.strerror}. Name another.") from error
    if not os.access(path, os.W_OK):
        raise ValueError(f"Cannot write into {flag} {path}: permission is denied. Name another.")
