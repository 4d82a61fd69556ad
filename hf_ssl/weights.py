# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Where a model's weights are, and a fingerprint of them: figures that carry it are known not to be of a model that
was trained into the same folder since."""

import hashlib
import json
import os
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_INDEX_NAME, WEIGHTS_NAME

# As in the lines of results files.
WEIGHTS_FIELD = "weights_sha256"
# Of a SHA-256's 64. Two models of a results file do not agree in them by chance.
_NUM_DIGITS = 16
# In the order in which `from_pretrained` looks for them: the file of all weights, or the index of several.
_NAMES = ((SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME), (WEIGHTS_NAME, WEIGHTS_INDEX_NAME))


def weights_sha256(model: str | os.PathLike[str]) -> str | None:
    """The first 16 digits of the SHA-256 of a model's file of weights (which the Hub shows too, and `sha256sum`), and
    where there are several files, of their digests in the order of their names, a line each.

    Args:
        model: A folder, or the name of a model on the Hub that was opened before.

    Returns:
        The digits; `None` where there are no weights.

    Raises:
        ValueError: See [`weight_files`].
    """
    digests = [file_sha256(path) for path in weight_files(model)]
    if len(digests) > 1:
        digests = [hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()]
    return digests[0][:_NUM_DIGITS] if digests else None


def weight_files(model: str | os.PathLike[str]) -> list[Path]:
    """The files that `from_pretrained` takes a model's weights from: one, or those of an index in the order of their
    names; none if there are none.

    Args:
        model: A folder, or the name of a model on the Hub, of which the files in the cache are told.

    Raises:
        ValueError: An index is damaged, or names a file that is not there.
    """
    for whole, index in _NAMES:
        if (path := _located(model, whole)) is not None:
            return [path]
        if (path := _located(model, index)) is not None:
            return [_shard(model, name, index) for name in sorted(_names_in(path))]
    return []


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file of any size, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _located(model: str | os.PathLike[str], name: str) -> Path | None:
    """A file of a folder, or of the cache of what was fetched from the Hub."""
    if os.path.isdir(model):
        path = Path(model, name)
        return path if path.is_file() else None
    found = try_to_load_from_cache(os.fspath(model), name)
    return Path(found) if isinstance(found, str) else None


def _names_in(index: Path) -> set[str]:
    try:
        return {str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"Expected an index of files of weights in {index}, but it is damaged: {error!r}.") from error


def _shard(model: str | os.PathLike[str], name: str, index: str) -> Path:
    path = _located(model, name) if os.path.basename(name) == name else None
    if path is None:
        raise ValueError(f"{index} of {os.fspath(model)} names the file {name!r}, which is not beside it.")
    return path
