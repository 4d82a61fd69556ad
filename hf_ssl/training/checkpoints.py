# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Which checkpoints are whole: those in which `complete.json`, written last, names every file and its size."""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

logger = logging.getLogger(__name__)

COMPLETE_NAME = "complete.json"


class CheckpointError(OSError):
    """A checkpoint could not be written."""


@contextmanager
def explain_failed_write(checkpoint: str | os.PathLike) -> Iterator[None]:
    """Says of whatever goes wrong in writing a checkpoint what it means for the run.

    Raises:
        CheckpointError: Something did, such as a full disk, of which torch and safetensors say little.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        free = shutil.disk_usage(Path(checkpoint).parent).free / 1e9
        raise CheckpointError(
            f"{checkpoint} could not be written ({type(error).__name__}: {error}); {free:.2f} GB are free there. It "
            "is not marked as whole, and earlier checkpoints are as they were: make room (or keep fewer, with "
            "--save_total_limit 1), and go on with --resume_from_checkpoint last."
        ) from error


def mark_complete(checkpoint: str | os.PathLike, batches: dict[str, Any]) -> None:
    """Writes down that a checkpoint is whole, after all its files have reached the disk.

    Args:
        checkpoint: Its folder.
        batches: What must be the same for the run to go on with the same data, see [`check_same_batches`].
    """
    folder = Path(checkpoint)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != COMPLETE_NAME)
    for path in files:
        _flush(path)
    record = {"files": {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}, **batches}
    unfinished = folder / f"{COMPLETE_NAME}.tmp"
    unfinished.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    _flush(unfinished)
    unfinished.replace(folder / COMPLETE_NAME)


def mark_incomplete(checkpoint: str | os.PathLike) -> None:
    """Takes the mark away, before a run that went on from an earlier checkpoint writes this one again."""
    (Path(checkpoint) / COMPLETE_NAME).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def read_record(checkpoint: str | os.PathLike) -> dict[str, Any] | None:
    """What `mark_complete` wrote; `None` if it did not, or if files are missing or have another size."""
    folder = Path(checkpoint)
    try:
        record = json.loads((folder / COMPLETE_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    sizes = {name: (folder / name).stat().st_size for name in record["files"] if (folder / name).is_file()}
    return record if sizes == record["files"] else None


def last_complete_checkpoint(output_dir: str | os.PathLike) -> str:
    """The newest checkpoint of a run that is whole; says which newer ones are not.

    Raises:
        ValueError: There is none.
    """
    found = sorted(_checkpoints(output_dir), reverse=True)
    incomplete: list[str] = []
    for _, path in found:
        if read_record(path) is not None:
            if incomplete:
                logger.warning(
                    f"Going on from {path}: {', '.join(incomplete)} is not whole. The run ended while writing it."
                )
            return str(path)
        incomplete.append(path.name)
    if incomplete:
        raise ValueError(
            f"No checkpoint in {output_dir} is whole: {', '.join(incomplete)} has no {COMPLETE_NAME}, or files of "
            "other sizes than that says. If another program wrote it, name the folder instead of `last`."
        )
    raise ValueError(f"--resume_from_checkpoint last: {output_dir} has no checkpoint.")


def delete_old_checkpoints(output_dir: str | os.PathLike, limit: int | None, *, step: int, best: str | None) -> None:
    """Keeps the newest `limit` checkpoints up to that of `step`, which has just been written, and the best one.

    transformers' own rotation would count a half-written checkpoint of a later step, left by a run that was killed, as
    the newest, and delete the whole one.
    """
    if limit is None or limit <= 0:
        return
    candidates = [path for number, path in sorted(_checkpoints(output_dir)) if number <= step]
    kept = {candidates[-1]} | ({Path(best)} if best is not None else set())
    num_surplus = len(candidates) - max(limit, len(kept))
    for path in [path for path in candidates if path not in kept][: max(0, num_surplus)]:
        shutil.rmtree(path)


def _checkpoints(output_dir: str | os.PathLike) -> list[tuple[int, Path]]:
    """Steps and folders of a run's checkpoints."""
    steps = ((path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-"), path) for path in Path(output_dir).glob("*-*"))
    return [(int(step), path) for step, path in steps if step.isdigit() and path.is_dir()]


def check_same_batches(checkpoint: str | os.PathLike, batches: dict[str, Any]) -> None:
    """Checks that a run goes on with the same global batches.

    Args:
        checkpoint: The checkpoint it goes on from. One of another program, without a record, is not checked.
        batches: `batch_seconds` and `batches_per_update` of the run that is to go on, `pad_to_multiple_of` (seconds)
            if it has one, and of streamed data `stream_processes` and `stream_workers`; empty where batches have a
            number of clips.

    Raises:
        ValueError: They differ.
    """
    record = read_record(checkpoint)
    if record is None:
        return
    names = ("batch_seconds", "batches_per_update", "pad_to_multiple_of", "stream_processes", "stream_workers")
    before = {name: record[name] for name in names if name in record}
    if before != batches:
        raise ValueError(
            f"{checkpoint} was written by a run with {before or 'batches of clips'}, and this one has "
            f"{batches or 'batches of clips'}: it would not go on with the same data. batches_per_update is the "
            "number of processes times --gradient_accumulation_steps: change the latter when the former changes. "
            "Streamed data go on with as many processes and --dataloader_num_workers only."
        )
