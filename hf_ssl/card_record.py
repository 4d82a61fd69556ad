# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a training run knows of itself for its card: `run.json`, which goes to the Hub with the model (unlike the
events of `training/run_record.py`).

Of paths on this machine only the last part is told, and no access token.
"""

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel, TrainingArguments

from . import __version__
from .results import describe_machine

CARD_RECORD_NAME = "run.json"
# Instead of the path of a folder.
LOCAL_FOLDER = "a model in a local folder"

_TOLD_ARGUMENTS = (
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "weight_decay",
    "max_grad_norm",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "seed",
)
_ROOT = r"(?:~?/|[A-Za-z]:\\)"
# At the beginning of a word or behind a sign: not in the middle of `name/name` or of an address. Between quotes a path
# may have blanks.
_ABSOLUTE_PATH = re.compile(rf"""(?<="){_ROOT}[^"]*(?=")|(?<='){_ROOT}[^']*(?=')|(?<![\w.:/~-]){_ROOT}[^\s"',;]*""")
# A word that is a path, which may have blanks, as a whole or behind its `--name=`.
_WORD_OF_PATH = re.compile(rf"((?:[^=\s/\\]*=)*)({_ROOT}.*)", re.DOTALL)


@dataclass(frozen=True)
class CardRecord:
    """A run of a training script.

    Attributes:
        command (`str`): What was typed, without folders and tokens.
        started_from (`str`, *optional*): The model that training began with: a name on the Hub, or `LOCAL_FOLDER`.
        machine (`str`): That of the main process.
        num_processes (`int`): How many trained together.
        precision (`str`): `"bfloat16"`, `"float16"` or `"float32"`.
        was_resumed (`bool`): Whether it went on from a checkpoint: seconds and speed are those since then.
        arguments (`Mapping[str, Any]`): The most important `TrainingArguments`.
        num_parameters (`int`): Trainable ones.
        modality (`str`): `"audio"`, `"image"` or `"text"`: what the model reads.
        versions (`Mapping[str, str]`): Of this package, torch and transformers.
    """

    command: str
    started_from: str | None
    machine: str
    num_processes: int
    precision: str
    was_resumed: bool
    arguments: Mapping[str, Any]
    num_parameters: int
    modality: str
    versions: Mapping[str, str]


def record_run(
    args: TrainingArguments, model: PreTrainedModel, command: Sequence[str], started_from: str | None
) -> CardRecord:
    """The record of a run.

    Args:
        args: Its arguments.
        model: The one that was trained.
        command: What was typed: the program and its arguments.
        started_from: The model that training began with, name or folder; `None` for random weights.
    """
    told = args.to_dict()
    batch_seconds = told.get("batch_seconds")
    return CardRecord(
        command=told_command(command),
        started_from=told_model(started_from),
        machine=describe_machine(),
        num_processes=args.world_size,
        precision="bfloat16" if args.bf16 else "float16" if args.fp16 else "float32",
        was_resumed=args.resume_from_checkpoint is not None,
        arguments={name: told[name] for name in _TOLD_ARGUMENTS}
        | ({} if batch_seconds is None else {"batch_seconds": batch_seconds}),
        num_parameters=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        modality=modality_of(model.main_input_name),
        versions={"hf_ssl": __version__, "torch": torch.__version__, "transformers": transformers.__version__},
    )


def write_record(folder: str | os.PathLike[str], record: CardRecord) -> None:
    """Writes `run.json`."""
    text = json.dumps(asdict(record), indent=2, ensure_ascii=False)
    Path(folder, CARD_RECORD_NAME).write_text(text + "\n", encoding="utf-8")


def read_record(folder: str | os.PathLike[str]) -> CardRecord | None:
    """The record in a folder; `None` if there is none, as of runs of older versions.

    Raises:
        ValueError: It is broken.
    """
    path = Path(folder, CARD_RECORD_NAME)
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return CardRecord(**{field.name: values[field.name] for field in fields(CardRecord)})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"Expected the record of a run in {path}, got something else: {error!r}.") from error


def modality_of(main_input_name: str) -> str:
    """`"audio"`, `"image"` or `"text"`: what a model with such an input reads."""
    match main_input_name:
        case "pixel_values":
            return "image"
        case "input_ids":
            return "text"
    return "audio"


def told_model(started_from: str | None) -> str | None:
    """A name on the Hub as it is, a folder's without its path."""
    return LOCAL_FOLDER if started_from is not None and os.path.isdir(started_from) else started_from


def told_command(command: Sequence[str]) -> str:
    """A command without absolute paths, of which the last part stays, and without an access token."""
    words = []
    is_token = False
    for word in [os.path.basename(command[0]), *command[1:]]:
        is_flag_of_token = word.split("=")[0].lstrip("-").replace("-", "_") in ("hub_token", "token")
        if not (is_token or is_flag_of_token):
            words.append(_word_without_paths(word))
        is_token = is_flag_of_token and "=" not in word
    return shlex.join(words)


def without_paths(text: str) -> str:
    """A text in which only the last part of every absolute path is left."""
    return _ABSOLUTE_PATH.sub(lambda match: _last_part(match.group()), text)


def _word_without_paths(word: str) -> str:
    """The same of a word of a command, whose path may have blanks."""
    match = _WORD_OF_PATH.fullmatch(word)
    return without_paths(word) if match is None else match[1] + _last_part(match[2])


def _last_part(path: str) -> str:
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] or "/"
