# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`fairseq.json` of a converted folder: what the original checkpoint held and our files have no place for, so that
the way back (`hf-ssl convert --to fairseq`) gives the same checkpoint."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .fairseq_checkpoint import FairseqCheckpoint, read_num_updates
from .fairseq_dictionary import FairseqDictionary

RECORD_NAME = "fairseq.json"
_FORMAT = 1
_NOTHING = object()


class FairseqRecord(NamedTuple):
    """What a folder remembers of the checkpoint that it was made of.

    Attributes:
        config: `cfg`.
        other: Further entries of the file, such as `extra_state`.
        left_out: Parts of the file that were not kept, because they are no plain data: the optimizer's state, counters
            of the data loader with tuples in them, objects.
        dtypes: Weights that were not in float32: the original's name (the teacher's behind `_ema.`) -> `"float16"`.
        has_teacher: Whether the file had an EMA teacher.
        dictionary: Symbols and counts of a fine-tuned model.
    """

    config: dict[str, Any]
    other: dict[str, Any]
    left_out: list[str]
    dtypes: dict[str, str]
    has_teacher: bool
    dictionary: FairseqDictionary | None

    @property
    def num_updates(self) -> int:
        """Optimizer steps of the original."""
        return read_num_updates(self.other.get("optimizer_history"))


def make_record(checkpoint: FairseqCheckpoint, dictionary: FairseqDictionary | None) -> FairseqRecord:
    """The record of a checkpoint. The optimizer's state is never kept: it is of no use but to the original trainer."""
    left_out: list[str] = []
    config = _plain_part(checkpoint.config, "cfg", left_out)
    other = {}
    for name, entry in checkpoint.other.items():
        if name == "last_optimizer_state" and entry is not None:
            left_out.append(name)
            entry = None
        if name == "task_state" and isinstance(entry, dict):  # the dictionary has a place of its own
            entry = {key: value for key, value in entry.items() if not isinstance(value, FairseqDictionary)}
        kept = _plain_part(entry, name, left_out)
        other[name] = None if kept is _NOTHING else kept
    weights = checkpoint.model | {f"_ema.{name}": tensor for name, tensor in (checkpoint.teacher or {}).items()}
    dtypes = {
        name: str(tensor.dtype).removeprefix("torch.")
        for name, tensor in weights.items()
        if tensor.dtype != torch.float32
    }
    return FairseqRecord(config, other, left_out, dtypes, checkpoint.teacher is not None, dictionary)


def _plain_part(value: Any, name: str, left_out: list[str]) -> Any:
    """What JSON gives back as it was; the names of all else are added to `left_out`."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if type(value) is list:
        parts = [_plain_part(entry, f"{name}[{index}]", left_out) for index, entry in enumerate(value)]
        return [part for part in parts if part is not _NOTHING]
    if isinstance(value, dict) and all(type(key) is str for key in value):
        named = {key: _plain_part(entry, f"{name}.{key}", left_out) for key, entry in value.items()}
        return {key: part for key, part in named.items() if part is not _NOTHING}
    left_out.append(name)
    return _NOTHING


def write_record(record: FairseqRecord, folder: Path) -> None:
    """Writes `fairseq.json`."""
    dictionary = record.dictionary
    content = record._asdict() | {
        "format": _FORMAT,
        "dictionary": None
        if dictionary is None
        else {"symbols": list(dictionary.symbols), "counts": list(dictionary.counts)},
    }
    (folder / RECORD_NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_record(folder: Path) -> FairseqRecord | None:
    """The record of a converted folder; `None` for a model that was trained here, or saved elsewhere since.

    Raises:
        ValueError: The file is no record.
    """
    path = folder / RECORD_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise ValueError(f"expected format {_FORMAT}")
        symbols = content.pop("dictionary")
        dictionary = None if symbols is None else FairseqDictionary(symbols["symbols"], symbols["counts"])
        record = FairseqRecord(dictionary=dictionary, **content)
        _check_types(record)
        return record
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is no record of a fairseq checkpoint ({error}). Without the file, the checkpoint is "
            "made of the folder's configuration alone."
        ) from None


def _check_types(record: FairseqRecord) -> None:
    expected = {"config": dict, "other": dict, "left_out": list, "dtypes": dict, "has_teacher": bool}
    for name, kind in expected.items():
        if not isinstance(record._asdict()[name], kind):
            raise ValueError(f"`{name}` is no {kind.__name__}")
    if not all(kind in ("float16", "bfloat16") for kind in record.dtypes.values()):
        raise ValueError(f"`dtypes` names others than float16 and bfloat16: {record.dtypes}")
    read_num_updates(record.other.get("optimizer_history"))
