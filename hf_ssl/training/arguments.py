# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Command lines of the training scripts: flags, or a YAML recipe whose values the flags override."""

import difflib
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml
from transformers import HfArgumentParser, TrainingArguments

from .activation_checkpointing import flags_with_installed_names, with_installed_names

# One of each of these is to be given. A flag for one therefore takes the place of another one in a recipe.
ALTERNATIVES = (
    ("model_size", "config", "model_name_or_path"),
    ("tokenizer", "train_tokenizer", "model_name_or_path"),
)


@dataclass
class ModelArguments:
    """Which model to pre-train: exactly one of `model_size`, `config` and `model_name_or_path`."""

    model_type: Literal["data2vec2-audio", "data2vec-audio", "data2vec-aqc", "best-rq"] = field(
        default="data2vec2-audio",
        metadata={"help": "Kind of model: data2vec2-audio, data2vec-audio, data2vec-aqc or best-rq."},
    )
    model_size: Literal["tiny", "small", "base", "large"] | None = field(
        default=None,
        metadata={
            "help": "A new model: tiny (tests), small (laptop), base or large (both as published; data2vec-audio "
            "has no large, best-rq neither, but a recipe)."
        },
    )
    config: str | None = field(default=None, metadata={"help": "A new model: JSON file with its configuration."})
    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Continue with this pre-trained model (folder or name on the Hub), with a fresh schedule."},
    )
    config_overrides: dict | str | None = field(
        default=None,
        metadata={"help": "Fields of the configuration to change, as JSON: '{\"num_masks\": 4}'."},
    )
    preprocessor: str | None = field(
        default=None,
        metadata={
            "help": "A new model's feature extractor: folder with preprocessor_config.json, such as that of "
            "feature_statistics.py. If absent, one that normalises each utterance by itself."
        },
    )
    reset_teacher: bool = field(
        default=False,
        metadata={"help": "With --model_name_or_path: make the teacher a copy of the student instead of as saved."},
    )

    def __post_init__(self) -> None:
        self.config_overrides = parse_overrides(self.config_overrides)
        choices = {
            "--model_size": self.model_size,
            "--config": self.config,
            "--model_name_or_path": self.model_name_or_path,
        }
        given = [f"{flag} {value}" for flag, value in choices.items() if value is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none of them"
            raise ValueError(f"Expected exactly one of {', '.join(choices)}, got {got}.")
        if self.reset_teacher and self.model_name_or_path is None:
            raise ValueError("--reset_teacher is for --model_name_or_path: a new model's teacher is a copy anyway.")
        if self.reset_teacher and self.model_type == "best-rq":
            raise ValueError(f"--reset_teacher is for models with a teacher, which {self.model_type!r} has not.")
        if self.preprocessor is not None and self.model_name_or_path is not None:
            raise ValueError(
                "--preprocessor is for new models: a model of --model_name_or_path keeps the feature extractor that "
                "it was trained with."
            )

    @property
    def overrides(self) -> dict[str, Any]:
        """`config_overrides` as a mapping."""
        return parse_overrides(self.config_overrides)


@dataclass
class SpeechDataArguments:
    """Which recordings to use."""

    data: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Folders of wav, flac, ogg, opus or mp3 files, folders with metadata.csv, tsv or jsonl manifests, "
            "parquet files, or data sets on the Hub (`name` or `name:config`)."
        },
    )
    eval_data: list[str] = field(
        default_factory=list, metadata={"help": "The same for evaluation; none takes place without it."}
    )
    split: str = field(default="train", metadata={"help": "Split of --data, where it has several."})
    eval_split: str = field(default="validation", metadata={"help": "Split of --eval_data, where it has several."})
    min_seconds: float | None = field(default=None, metadata={"help": "Leave shorter recordings out."})
    max_seconds: float | None = field(
        default=None,
        metadata={"help": "Leave longer recordings out: a transcript or a label speaks of the whole recording."},
    )

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("Expected --data with at least one folder, manifest or data set, got none.")
        check_eval_split(self.eval_data, self.eval_split)


@dataclass
class SpeechPreTrainingDataArguments(SpeechDataArguments):
    """`SpeechDataArguments` with the published bounds on the length of clips."""

    min_seconds: float | None = field(default=2.0, metadata={"help": "Leave shorter recordings out."})
    max_seconds: float | None = field(
        default=20.0, metadata={"help": "Longest clip. Longer recordings are cut into equal windows."}
    )
    streaming: bool = field(
        default=False, metadata={"help": "Stream parquet files and Hub data sets instead of downloading them first."}
    )
    log_mel_on_device: bool = field(
        default=False,
        metadata={
            "help": "BEST-RQ: compute log-mel features on the device of training instead of in the workers, where "
            "they take longer than reading flac."
        },
    )


@dataclass
class FineTuningDataArguments(SpeechDataArguments):
    """`SpeechDataArguments` with a last test, and with how much of the data to learn from."""

    test_split: str | None = field(
        default=None,
        metadata={"help": "Split of --eval_data to evaluate once, after training. Choose settings by --eval_split."},
    )
    train_minutes: float | None = field(
        default=None,
        metadata={"help": "Learn from so many minutes of --data only: clips at random, the same ones in every run."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train_minutes is not None and self.train_minutes <= 0:
            raise ValueError(f"Expected --train_minutes above 0, got {self.train_minutes}.")
        if self.test_split is not None and not self.eval_data:
            raise ValueError("--test_split is a split of --eval_data: give that too.")


@dataclass
class AudioTrainingArguments(TrainingArguments):
    """`TrainingArguments` with the defaults that training on audio needs.

    Items are waveforms without a column of their own in `forward`, batches are of clips of similar length, and audio
    is decoded in workers.
    """

    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Must stay False: the collator needs what the model does not take."}
    )
    batch_seconds: float | None = field(
        default=None,
        metadata={
            "help": "Seconds of audio per device and step, padding included, instead of per_device_train_batch_size "
            "clips: clips of similar length, as many as fit. Of streamed data too."
        },
    )
    pad_to_multiple_of_seconds: float | None = field(
        default=None,
        metadata={
            "help": "Pad every batch of audio up to a multiple of so many seconds instead of to its longest clip: few "
            "lengths, for --torch_compile. What is added is padding like any other: no loss, counted in padding_share."
        },
    )
    train_sampling_strategy: str = field(
        default="group_by_length", metadata={"help": "group_by_length (little padding), random or sequential."}
    )
    dataloader_num_workers: int = field(default=2, metadata={"help": "Processes that decode audio."})
    label_names: list[str] | None = field(
        default_factory=lambda: ["labels"], metadata={"help": "The key that the loss is normalised by."}
    )
    adam_beta2: float = field(default=0.98, metadata={"help": "Beta2 of AdamW."})
    logging_steps: float = field(default=50, metadata={"help": "Log every so many updates."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints to keep."})
    # transformers' default is False with activation checkpointing, where a dropped layer (LayerDrop) then stops DDP.
    ddp_find_unused_parameters: bool | None = field(
        default=True,
        metadata={"help": "Set to false only with reentrant checkpointing, and without LayerDrop."},
    )
    tri_stage_phases: list[float] | None = field(
        default=None,
        metadata={
            "help": "Shares of the updates in which the learning rate rises, stays, and falls, such as 0.1 0.4 0.5; "
            "takes the place of --lr_scheduler_type."
        },
    )
    tri_stage_final_scale: float = field(
        default=0.05, metadata={"help": "Where the tri-stage schedule ends, as a share of the learning rate."}
    )

    def __post_init__(self) -> None:
        if self.output_dir is None:
            raise ValueError("Expected --output_dir, the folder for the model and its checkpoints, got none.")
        if self.remove_unused_columns:
            raise ValueError("remove_unused_columns must stay False: the collators need what the model does not take.")
        super().__post_init__()
        self._check_processes()
        phases = self.tri_stage_phases
        if phases is not None and (len(phases) != 3 or min(phases) < 0 or not math.isclose(sum(phases), 1)):
            raise ValueError(f"--tri_stage_phases must be three shares that add up to 1, got {phases}.")
        if not 0 < self.tri_stage_final_scale <= 1:
            raise ValueError(f"--tri_stage_final_scale must be in (0, 1], got {self.tri_stage_final_scale}.")
        if self.pad_to_multiple_of_seconds is not None and not 0 < self.pad_to_multiple_of_seconds < math.inf:
            raise ValueError(f"--pad_to_multiple_of_seconds must be above 0, got {self.pad_to_multiple_of_seconds}.")

    def _check_processes(self) -> None:
        """Processes of a launcher that do not find each other would overwrite each other's models."""
        launched = int(os.environ.get("WORLD_SIZE", "1"))
        if launched > 1 and self.world_size == 1:
            raise ValueError(
                f"{launched} processes were launched, but this one takes itself for the only one: without a GPU give "
                "--use_cpu too."
            )

    def pad_to_multiple_of(self, sampling_rate: int) -> int | None:
        """Samples of which the length of a padded batch is a multiple; `None` if it is that of the longest clip."""
        seconds = self.pad_to_multiple_of_seconds
        return None if seconds is None else max(1, round(seconds * sampling_rate))

    def __getstate__(self) -> dict[str, Any]:
        """Without the access token: the trainer pickles its arguments into `training_args.bin`, and pushes that."""
        return self.__dict__ | {"hub_token": None}


@dataclass
class PreTrainingArguments(AudioTrainingArguments):
    """`AudioTrainingArguments` with the published optimizer of data2vec 2.0."""

    prediction_loss_only: bool = field(
        default=True, metadata={"help": "Evaluate the loss only: predictions would fill the memory."}
    )
    learning_rate: float = field(default=7.5e-4, metadata={"help": "Highest learning rate."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Schedule after the warm-up."})
    warmup_steps: float = field(default=0.02, metadata={"help": "Updates of warm-up, or their share if below 1."})
    adam_epsilon: float = field(default=1e-6, metadata={"help": "Epsilon of AdamW."})
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay of AdamW."})
    health_guard: Literal["warn", "stop", "off"] = field(
        default="warn",
        metadata={
            "help": "What to do about collapse, a dead codebook, a teacher or a loss that stands still, NaN: warn, "
            "stop with an error, or off."
        },
    )
    health_collapse_steps: int | None = field(
        default=None,
        metadata={"help": "Look for collapse from this update on; 5,000, or a tenth of a shorter run, if absent."},
    )
    health_teacher_steps: int | None = field(
        default=None,
        metadata={"help": "The teacher must move in so many updates; 100 or a tenth of a shorter run if absent."},
    )
    health_loss_steps: int | None = field(
        default=None,
        metadata={
            "help": "The loss must move in so many updates; if absent, warm-up and a tenth of the run, at least 100 "
            "and at most 2,000."
        },
    )
    health_measures_steps: int | None = field(
        default=None,
        metadata={
            "help": "Measure rank, collapse, isotropy and shares of the variance of the last layer on 32 fixed items "
            "(of the evaluation data, if any) every so many updates; never if absent."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "health_collapse_steps",
            "health_teacher_steps",
            "health_loss_steps",
            "health_measures_steps",
        ):
            steps = vars(self)[name]
            if steps is not None and steps < 1:
                raise ValueError(f"--{name} must be 1 or more, got {steps}.")
        if self.health_guard not in ("warn", "stop", "off"):
            raise ValueError(f"--health_guard must be warn, stop or off, got {self.health_guard!r}.")


def parse_overrides(overrides: dict | str | None) -> dict[str, Any]:
    """Fields of a configuration, from a JSON object (a flag) or a mapping (a recipe)."""
    if overrides is None:
        return {}
    if isinstance(overrides, str):
        try:
            overrides = json.loads(overrides)
        except ValueError as error:
            raise ValueError(f"--config_overrides must be a JSON object, got {overrides!r}: {error}.") from error
    if not isinstance(overrides, dict):
        raise ValueError(f"config_overrides must map fields to values, got {overrides!r}.")
    return overrides


def parse_arguments(*dataclass_types: type, argv: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Reads a command line: flags, or a YAML recipe as the first argument and flags, which win over it.

    A recipe maps flags' names to values. For alternatives, of which one is to be given, a flag also wins over another
    alternative in the recipe: `recipe.yaml --model_name_or_path DIR` drops the recipe's `model_size`.

    Args:
        *dataclass_types: The dataclasses to fill, such as `ModelArguments`.
        argv: The command line without the program; `sys.argv[1:]` if absent.

    Returns:
        One instance of each dataclass.

    Raises:
        ValueError: The recipe has unknown keys (they are named, with the nearest valid ones), or is not a mapping.
        SystemExit: A flag is unknown or has a value of the wrong type; the message says so.
    """
    flags = flags_with_installed_names(sys.argv[1:] if argv is None else argv)
    parser = _Parser(list[Any](dataclass_types), allow_abbrev=False)
    if flags and Path(flags[0]).suffix in (".yaml", ".yml"):
        recipe = read_recipe(flags.pop(0))
        _check_keys(recipe, parser.names())
        recipe = {key: value for key, value in recipe.items() if key not in _displaced_by(flags)}
        parser.set_defaults(**{key: None for key, value in recipe.items() if value is None})
        flags = [part for key, value in recipe.items() for part in _as_flag(key, value)] + flags
    unknown = parser.parse_known_args(flags)[1]
    if unknown:
        name = unknown[0].lstrip("-").split("=")[0]
        parser.error(f"unknown argument {unknown[0]!r}{_suggest(name, parser.names())}")
    return tuple(parser.parse_args_into_dataclasses(args=flags, look_for_args_file=False))


def check_eval_split(eval_data: Sequence[str], eval_split: str) -> None:
    """Raises `ValueError` if a split was given of no data."""
    if eval_split != "validation" and not eval_data:
        raise ValueError(f"--eval_split {eval_split} is a split of --eval_data: give that too.")


def refuse_flags(without_use: Mapping[str, Any]) -> None:
    """For scripts that parse flags that they have no use for.

    Args:
        without_use: Their values by name; one that counts as true was given.

    Raises:
        ValueError: One was given.
    """
    given = [f"--{name}" for name, value in without_use.items() if value]
    if given:
        raise ValueError(f"This script has no use for {', '.join(given)}: leave out what would have no effect.")


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Reads a YAML recipe: a mapping of flags' names to values.

    Raises:
        ValueError: There is no such file, it is no mapping, or gives a setting twice, under an old and a new name.
    """
    if not Path(path).is_file():
        raise ValueError(f"The recipe {path} does not exist.")
    recipe = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if not isinstance(recipe, dict):
        raise ValueError(f"The recipe {path} must map names of flags to values, got {type(recipe).__name__}.")
    return with_installed_names(recipe)


class _Parser(HfArgumentParser):
    def names(self) -> list[str]:
        """Names of all arguments, as keys of a recipe."""
        return sorted({action.dest for action in self._actions if action.dest != "help"})

    def error(self, message: str) -> NoReturn:
        """One line instead of the hundreds of flags of `TrainingArguments`."""
        self.exit(2, f"{self.prog}: error: {message} (--help lists all flags)\n")


def _check_keys(recipe: dict[str, Any], valid: list[str]) -> None:
    unknown = [key for key in recipe if key not in valid]
    if unknown:
        hints = "; ".join(f"{key!r}{_suggest(str(key), valid)}" for key in unknown)
        raise ValueError(f"Unknown key in the recipe: {hints}. Valid keys are: {', '.join(valid)}.")


def _suggest(name: str, valid: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(valid), n=1)
    return f", did you mean {matches[0]!r}?" if matches else ""


def _displaced_by(flags: list[str]) -> set[str]:
    """Keys of a recipe that must give way because a flag names an alternative to them."""
    named = {flag.lstrip("-").split("=")[0].replace("-", "_") for flag in flags if flag.startswith("--")}
    return {key for group in ALTERNATIVES if named.intersection(group) for key in group}


def _as_flag(key: str, value: Any) -> list[str]:
    """A recipe's entry as a flag, so that both are checked and converted in the same way."""
    if value is None:
        return []
    if isinstance(value, list):
        return [f"--{key}", *map(str, value)] if value else []
    if isinstance(value, dict):
        return [f"--{key}={json.dumps(value)}"]
    return [f"--{key}={value}"]
