# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a run leaves behind about itself: when it began or went on, on what, with which settings, what it warned of and
how it ended. Read by [`hf_ssl.report`]."""

import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from datetime import datetime, timezone
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .. import __version__
from .activation_checkpointing import installed_name

# The underscore keeps it from being pushed to the Hub: warnings may name files of the user's.
RUN_RECORD_NAME = "_run_record.jsonl"
# Settings with words as values that are written down; of the others only numbers are: words may be paths or tokens.
_WORDS = (
    "lr_scheduler_type",
    "optim",
    "eval_strategy",
    "save_strategy",
    "train_sampling_strategy",
    "health_guard",
)
_OF_NO_INTEREST = ("local_rank", "use_cpu", "disable_tqdm", "ddp_timeout")


class RunRecordCallback(TrainerCallback):
    """Writes down in `_run_record.jsonl`, a JSON object per line, that a run began or went on, and that it ended."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        if state.is_world_process_zero:
            append_event(
                args,
                "begin" if state.global_step == 0 else "resume",
                step=state.global_step,
                max_steps=state.max_steps,
                environment=environment(args),
                settings=changed_settings(args),
            )

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        if state.is_world_process_zero:
            append_event(args, "end", step=state.global_step)


@contextmanager
def recorded_warnings(args: TrainingArguments) -> Iterator[None]:
    """Writes down this package's warnings, those of the guards among them, and the error that a run ends with."""
    if args.process_index != 0:
        yield
        return
    handler = _RecordHandler(args)
    package_logger = logging.getLogger("hf_ssl")
    package_logger.addHandler(handler)
    try:
        yield
    except BaseException as error:
        append_event(args, "error", message=f"{type(error).__name__}: {error}")
        raise
    finally:
        package_logger.removeHandler(handler)


class _RecordHandler(logging.Handler):
    def __init__(self, args: TrainingArguments) -> None:
        super().__init__(logging.WARNING)
        self.args = args

    def emit(self, record: logging.LogRecord) -> None:
        append_event(self.args, "warning", message=record.getMessage())


def append_event(args: TrainingArguments, what: str, **details: Any) -> None:
    """Appends a line to the record; a folder that cannot be written to is an error of the checkpoint and not of this.

    Args:
        args: Say where.
        what: `"begin"`, `"resume"`, `"warning"`, `"error"` or `"end"`.
        **details: What else there is to say; values of JSON.
    """
    event = {"what": what, "time": datetime.now(timezone.utc).isoformat(timespec="seconds"), **details}
    try:
        folder = Path(args.output_dir or ".")
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / RUN_RECORD_NAME, "a", encoding="utf-8") as file:
            file.write(json.dumps(event, ensure_ascii=False) + "\n")
    except OSError as error:
        # Not by the logger of this package: its handler would come back here.
        logging.getLogger("transformers").warning(f"{RUN_RECORD_NAME} cannot be written: {error}")


def environment(args: TrainingArguments) -> dict[str, Any]:
    """On what a run computes: nothing that names the machine or its user."""
    libraries = ("torch", "transformers", "accelerate", "datasets", "safetensors", "numpy")
    is_gpu = args.device.type == "cuda"
    return {
        "hf_ssl": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
        "system": f"{platform.system()}, {platform.machine()}",
        "device": torch.cuda.get_device_name(args.device) if is_gpu else args.device.type,
        "processes": args.world_size,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "precision": "bfloat16" if args.bf16 else "float16" if args.fp16 else "float32",
    }


def changed_settings(args: TrainingArguments) -> dict[str, Any]:
    """Settings of training that are not the defaults of their class: all numbers, and words from a fixed set."""
    changed = {}
    for field in fields(args):
        if field.name != installed_name(field.name):
            continue  # an old name, which repeats what the new one says
        value = vars(args)[field.name]
        value = value.value if isinstance(value, Enum) else value
        default = field.default.value if isinstance(field.default, Enum) else field.default
        if field.name == "activation_checkpointing":
            default = False  # which transformers makes of its default, None
        if value == default or field.name in _OF_NO_INTEREST or (default is MISSING and value in (None, [], {})):
            continue
        if field.name in _WORDS or _is_numeric(value):
            changed[field.name] = value
    return changed


def _is_numeric(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (
        isinstance(value, list) and bool(value) and all(isinstance(item, int | float) for item in value)
    )
