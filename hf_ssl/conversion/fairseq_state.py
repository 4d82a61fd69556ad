# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the ways back to the fairseq toolkit have in common: loading a folder, and the entries of a checkpoint."""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging

from .options import section
from .problems import Problems, one_line
from .record import RECORD_NAME, FairseqRecord

logger = logging.get_logger(__name__)

Model = TypeVar("Model", bound=PreTrainedModel)

COMMON = {"_name": None, "seed": 1, "fp16": False}


def check_origin(record: FairseqRecord | None, name: str) -> None:
    """A folder may have been fine-tuned in place: what it remembers of the pre-trained original is no use then."""
    if record is not None and section(record.config, "model").get("_name", name) != name:
        raise ValueError(
            f"{RECORD_NAME} in the folder belongs to another kind of model, not to `{name}`. Delete it, and the "
            "checkpoint is made of the folder's configuration alone."
        )


def load_folder(model_class: type[Model], folder: Path) -> Model:
    """The folder's model; an incomplete folder is an error instead of getting random weights."""
    try:
        loaded: Any = model_class.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{os.fspath(folder)!r} cannot be loaded: {one_line(error)}") from None
    model, info = loaded
    missing, unexpected = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    if missing or unexpected:
        raise ValueError(
            f"{os.fspath(folder)!r} does not hold the model of its config.json. Weights that are missing: "
            f"{missing or 'none'}; not known: {unexpected or 'none'}."
        )
    return model


def check_fields(
    unsupported: Sequence[str], differences: Sequence[str], effect: str = "results on padded batches"
) -> None:
    """An error if there are fields that the original does not have, a warning if it will compute something else.

    Args:
        unsupported: The fields, for people to read.
        differences: What the original computes differently.
        effect: On what.
    """
    if unsupported:
        raise ValueError(
            f"The original has no option for what this model's configuration says: {'; '.join(unsupported)}."
        )
    for difference in differences:
        logger.warning(f"The weights are the same, but {effect} will differ: {difference}.")


def recorded_fields(
    read_fields: Callable[[Mapping[str, Any], Problems], dict[str, Any] | None], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields of the configuration that a folder had when it was converted."""
    problems = Problems()
    fields = read_fields(options, problems)
    problems.raise_if_any(RECORD_NAME)
    return fields or {}


def with_teacher(
    student: dict[str, torch.Tensor],
    teacher: dict[str, torch.Tensor],
    num_updates: int,
    record: FairseqRecord | None,
) -> dict[str, Any]:
    """`model` of a pre-training checkpoint: student, heads and, in `_ema`, the teacher; without a teacher if the
    original had none and the model was not trained since.

    Args:
        student: Weights of student and heads, under the original's names.
        teacher: Weights of the teacher.
        num_updates: Of the teacher.
        record: What the folder remembers of its original, if it has one.
    """
    student, teacher = recorded_dtypes(student, teacher, record)
    if record is None or record.has_teacher or num_updates != record.num_updates:
        return {**student, "_ema": teacher}
    return dict(student)


def changed_options(recorded: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The original's options, except those that our configuration had otherwise `before`, when it was converted."""
    options = copy.deepcopy(dict(recorded))
    for name, value in now.items():
        if isinstance(value, Mapping) and isinstance(recorded.get(name), Mapping):
            options[name] = changed_options(recorded[name], before[name], value)
        elif value != before.get(name):
            options[name] = value
    return options


def recorded_dtypes(
    student: dict[str, torch.Tensor], teacher: dict[str, torch.Tensor], record: FairseqRecord | None
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights in the data types of the original if these hold all values, as they do unless it was trained further."""
    kinds = {"float16": torch.float16, "bfloat16": torch.bfloat16}
    dtypes = {} if record is None else {name: kinds[kind] for name, kind in record.dtypes.items()}
    cast = {name: tensor.to(dtypes.get(name, tensor.dtype)) for name, tensor in student.items()}
    cast_teacher = {name: tensor.to(dtypes.get(f"_ema.{name}", tensor.dtype)) for name, tensor in teacher.items()}
    is_exact = all(
        torch.equal(tensor.to(original.dtype), original)
        for weights, originals in ((cast, student), (cast_teacher, teacher))
        for tensor, original in zip(weights.values(), originals.values(), strict=True)
    )
    return (cast, cast_teacher) if is_exact else (student, teacher)


def make_state(
    cfg: dict[str, Any], weights: dict[str, Any], num_updates: int, record: FairseqRecord | None, criterion: str
) -> dict[str, Any]:
    """The whole file. fairseq expects every one of these entries."""
    entries: dict[str, Any] = {
        "args": None,
        "criterion": None,
        "optimizer_history": [],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 1}},
        "last_optimizer_state": None,
    }
    if record is not None:
        entries = copy.deepcopy(record.other)
    history = entries.get("optimizer_history") or [
        {"criterion_name": criterion, "optimizer_name": "FairseqAdam", "lr_scheduler_state": {"best": None}}
    ]
    if record is None or num_updates != record.num_updates:
        entries["optimizer_history"] = [*history[:-1], history[-1] | {"num_updates": num_updates}]
    return {"cfg": cfg, "model": weights, **entries}
