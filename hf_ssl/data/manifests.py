# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Finding the recordings that a folder, a metadata file or a manifest names. Nothing here opens audio."""

import csv
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .audio import AUDIO_EXTENSIONS
from .skipped import SkippedFiles

logger = logging.getLogger(__name__)

AUDIO_COLUMNS = ("path", "file_name", "audio", "audio_filepath")
MANIFEST_EXTENSIONS = (".tsv", ".csv", ".jsonl", ".json")
METADATA_NAMES = ("metadata.csv", "metadata.jsonl")
# `offset` is NeMo's name. With one of them a line names a part of a recording, `duration` seconds of it.
_START_COLUMNS = ("start", "offset")
_SPLIT_NAMES = ("train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation")


class ListedRecording(NamedTuple):
    """A recording, or a part of one, that a source names.

    Attributes:
        path (`str`): Absolute path.
        start (`float`): First second of the part.
        duration (`float`, *optional*): Seconds; to the end of the recording if `None`.
        values (`dict[str, Any]`): The further columns that were asked for.
    """

    path: str
    start: float
    duration: float | None
    values: dict[str, Any]


def list_folder(
    folder: str, *, split: str, columns: Sequence[str], skipped: SkippedFiles
) -> list[ListedRecording] | None:
    """Lists a folder: by its metadata file where there is one, otherwise all audio below it, sorted.

    A subfolder with the name of the split (`train`) holds that split, as in the `audiofolder` layout. Otherwise the
    whole folder is read, unless it is divided into other splits.

    Returns:
        `list[ListedRecording]`, or `None` if there is neither metadata nor audio.

    Raises:
        ValueError: If the folder is divided into splits and lacks this one, or if columns are asked for and there is
            no metadata file, or not with these columns.
    """
    folder = _split_folder(folder, split)
    for name in METADATA_NAMES:
        metadata = os.path.join(folder, name)
        if os.path.isfile(metadata):
            listed = list_manifest(metadata, columns=columns, skipped=skipped)
            _warn_of_unlisted(folder, metadata, listed)
            return listed
    paths = find_audio(folder)
    if not paths:
        return None
    if columns:
        raise ValueError(
            f"columns {list(columns)} were asked for, but {folder} has no metadata.csv or metadata.jsonl to take them "
            "from; add one with a `file_name` column, or give a manifest"
        )
    return [ListedRecording(path, 0.0, None, {}) for path in paths]


def find_audio(folder: str) -> list[str]:
    """Absolute paths of all audio files below a folder, sorted; links to folders are followed, each folder once."""
    found: list[str] = []
    visited: set[str] = set()
    for parent, folders, files in os.walk(os.path.abspath(folder), followlinks=True):
        real_parent = os.path.realpath(parent)
        if real_parent in visited:
            folders.clear()
            continue
        visited.add(real_parent)
        folders.sort()
        found.extend(os.path.join(parent, name) for name in files if name.lower().endswith(AUDIO_EXTENSIONS))
    return sorted(found)


def list_manifest(manifest: str, *, columns: Sequence[str], skipped: SkippedFiles) -> list[ListedRecording]:
    """Lists a .tsv, .csv, .jsonl or .json manifest with an audio column (one of `AUDIO_COLUMNS`), in its order.

    Relative paths are relative to the manifest's folder. A column `start` (or `offset`) with `duration`, both in
    seconds, names a part of a recording; `duration` alone is only information, the audio's header counts. .tsv fields
    are taken as they are (quotation marks are characters), .csv fields may be quoted. The manifest of fairseq (.tsv,
    first line the root folder, then `relative_path<TAB>num_samples`) is understood too.

    Lines without a value for a column that was asked for go to `skipped`.

    Raises:
        ValueError: If there is no audio column, or not the columns asked for, or a line that cannot be understood.
    """
    rows = list(_READERS[Path(manifest).suffix.lower()](manifest))
    if not rows:
        raise ValueError(f"{manifest} lists no recordings")
    audio_column = _check_columns(manifest, rows, columns)
    folder = os.path.dirname(os.path.abspath(manifest))
    listed = []
    for number, row in enumerate(rows):
        missing = [name for name in (audio_column, *columns) if is_blank(row.get(name))]
        if missing:
            name = row.get(audio_column) or f"{manifest} row {number + 1}"
            skipped.add(
                os.path.normpath(os.path.join(folder, str(name))), f"no {missing[0]}: the manifest has no value"
            )
            continue
        path = os.path.normpath(os.path.join(folder, str(row[audio_column])))
        start, duration = _segment(manifest, row)
        listed.append(ListedRecording(path, start, duration, {name: row[name] for name in columns}))
    return listed


def is_blank(value: object) -> bool:
    """Whether a column's value is missing: nothing, or white space. An empty list (no label applies) is a value."""
    return value is None or (isinstance(value, str) and not value.strip())


def _split_folder(folder: str, split: str) -> str:
    subfolders = {entry.name for entry in os.scandir(folder) if entry.is_dir()}
    if split in subfolders:
        return os.path.join(folder, split)
    other_splits = sorted(subfolders.intersection(_SPLIT_NAMES))
    if other_splits and not any(os.path.isfile(os.path.join(folder, name)) for name in METADATA_NAMES):
        raise ValueError(f"{folder} has no split {split!r}, only {other_splits}; name one of them, or give its folder")
    return folder


def _warn_of_unlisted(folder: str, metadata: str, listed: list[ListedRecording]) -> None:
    unlisted = set(find_audio(folder)).difference(recording.path for recording in listed)
    if unlisted:
        logger.warning(f"{len(unlisted)} audio file(s) below {folder} are not used: {metadata} does not list them")


def _check_columns(manifest: str, rows: list[dict[str, Any]], columns: Sequence[str]) -> str:
    """Returns the audio column. JSON lines need not all have the same keys: a column exists if any line has it."""
    present = list(dict.fromkeys(name for row in rows for name in row))
    audio_columns = [name for name in AUDIO_COLUMNS if name in present]
    if not audio_columns:
        raise ValueError(f"{manifest} needs one of the columns {list(AUDIO_COLUMNS)} for the audio, it has {present}")
    unknown = [name for name in columns if name not in present]
    if unknown:
        raise ValueError(f"{manifest} has no column {unknown[0]!r}; its columns are {present}")
    return audio_columns[0]


def _segment(manifest: str, row: dict[str, Any]) -> tuple[float, float | None]:
    start_column = next((name for name in _START_COLUMNS if not is_blank(row.get(name))), None)
    if start_column is None:
        return 0.0, None
    try:
        start = float(row[start_column])
        duration = None if is_blank(row.get("duration")) else float(row["duration"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{manifest}: `{start_column}` and `duration` must be seconds, got {row}") from error
    if start < 0 or (duration is not None and duration <= 0):
        raise ValueError(f"{manifest}: expected {start_column} >= 0 and duration > 0 (seconds), got {row}")
    return start, duration


def _read_tsv(manifest: str) -> Iterator[dict[str, Any]]:
    with open(manifest, encoding="utf-8-sig", newline="") as file:
        first_line = file.readline().rstrip("\r\n")
        if "\t" not in first_line and first_line not in AUDIO_COLUMNS:
            yield from _read_fairseq(manifest, first_line, file)
            return
        names = first_line.split("\t")
        for line in file:
            if line.strip():
                yield dict(zip(names, line.rstrip("\r\n").split("\t"), strict=False))


def _read_fairseq(manifest: str, root: str, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    root = os.path.join(os.path.dirname(os.path.abspath(manifest)), root)
    if not os.path.isdir(root):
        raise ValueError(
            f"{manifest}: expected a header line with one of the columns {list(AUDIO_COLUMNS)}, separated by tabs, or "
            f"an existing folder (fairseq's format), got the first line {os.path.basename(root)!r}"
        )
    for line in lines:
        if line.strip():
            yield {"path": os.path.join(root, line.rstrip("\r\n").split("\t")[0])}


def _read_csv(manifest: str) -> Iterator[dict[str, Any]]:
    with open(manifest, encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            # DictReader puts surplus fields under the key None: an unquoted comma, and all columns behind it shifted.
            if None in row:
                raise ValueError(f"{manifest}: more fields than columns in the row {row}; quote fields with commas")
            yield row


def _read_json_lines(manifest: str) -> Iterator[dict[str, Any]]:
    with open(manifest, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _parse_object(manifest, number, line)


def _parse_object(manifest: str, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{manifest}, line {number}: expected a JSON object, got {line.strip()[:80]!r}") from error
    if not isinstance(row, dict):
        raise ValueError(f"{manifest}, line {number}: expected a JSON object, got {line.strip()[:80]!r}")
    return row


def _read_json(manifest: str) -> Iterator[dict[str, Any]]:
    """A list of objects, or (as NeMo writes it) one object per line."""
    with open(manifest, encoding="utf-8-sig") as file:
        content = file.read()
    if not content.lstrip().startswith("["):
        yield from _read_json_lines(manifest)
        return
    for number, row in enumerate(json.loads(content), start=1):
        if not isinstance(row, dict):
            raise ValueError(f"{manifest}, entry {number}: expected a JSON object, got {row!r}")
        yield row


_READERS: dict[str, Callable[[str], Iterator[dict[str, Any]]]] = {
    ".tsv": _read_tsv,
    ".csv": _read_csv,
    ".jsonl": _read_json_lines,
    ".json": _read_json,
}
