# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the training scripts share: logging, configurations, data sets, resuming."""

import difflib
import logging
import os
from dataclasses import dataclass
from typing import Any, TypeVar

import datasets
import transformers
from transformers import PreTrainedConfig, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from ..data.dataset import AudioDataset, StreamedAudioDataset
from ..data.skipped import SkippedFiles
from ..data.sources import load_audio_sources
from .arguments import SpeechDataArguments

logger = logging.getLogger(__name__)

ConfigType = TypeVar("ConfigType", bound=PreTrainedConfig)

SKIPPED_FILES_NAME = "skipped_files.jsonl"


def set_up_logging(training_args: TrainingArguments) -> None:
    """Notices of the main process, warnings of the others, each once."""
    is_main = training_args.process_index == 0
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logging.getLogger("hf_ssl").setLevel(logging.INFO if is_main else logging.ERROR)
    if not is_main:
        transformers.utils.logging.set_verbosity_error()
        datasets.utils.logging.disable_progress_bar()


def override_config(config: ConfigType, overrides: dict[str, Any]) -> ConfigType:
    """A validated copy of a configuration with some fields changed.

    Raises:
        ValueError: The configuration has no such field.
    """
    fields = config.to_dict()
    for name in overrides:
        if name not in fields:
            matches = difflib.get_close_matches(name, list(fields), n=1)
            hint = f"; did you mean {matches[0]!r}?" if matches else ""
            raise ValueError(f"{type(config).__name__} has no field {name!r} to override{hint}")
    return type(config).from_dict(fields | overrides)


@dataclass(frozen=True)
class Reading:
    """What loading clips and decoding them have in common.

    Args:
        sampling_rate: Samples per second of the clips.
        skipped: Takes the recordings that cannot be used.
        columns: Columns to read with the audio, such as the transcript.
    """

    sampling_rate: int
    skipped: SkippedFiles
    columns: tuple[str, ...] = ()


def open_skipped_files(training_args: TrainingArguments) -> SkippedFiles:
    """The list of recordings that the run cannot use, `skipped_files.jsonl` beside its checkpoints."""
    assert training_args.output_dir is not None
    return SkippedFiles(os.path.join(training_args.output_dir, SKIPPED_FILES_NAME))


def load_train_table(
    data_args: SpeechDataArguments, reading: Reading, streaming: bool = False
) -> datasets.Dataset | datasets.IterableDataset:
    """The clips of `--data`, not yet decoded."""
    return load_audio_sources(
        data_args.data,
        min_seconds=data_args.min_seconds,
        max_seconds=data_args.max_seconds,
        skipped=reading.skipped,
        split=data_args.split,
        streaming=streaming,
        columns=reading.columns,
        sampling_rate=reading.sampling_rate,
    )


def load_eval_table(data_args: SpeechDataArguments, reading: Reading) -> datasets.Dataset | None:
    """The clips of `--eval_data`, not yet decoded; `None` without it."""
    if not data_args.eval_data:
        return None
    return load_audio_sources(
        data_args.eval_data,
        min_seconds=data_args.min_seconds,
        max_seconds=data_args.max_seconds,
        skipped=reading.skipped,
        split=data_args.eval_split,
        columns=reading.columns,
        sampling_rate=reading.sampling_rate,
    )


def make_train_dataset(
    table: datasets.Dataset | datasets.IterableDataset,
    data_args: SpeechDataArguments,
    training_args: TrainingArguments,
    reading: Reading,
) -> AudioDataset | StreamedAudioDataset:
    """The clips of a table, decoded and cropped as training reads them."""
    dataset_class = AudioDataset if isinstance(table, datasets.Dataset) else StreamedAudioDataset
    return dataset_class(
        table,
        sampling_rate=reading.sampling_rate,
        max_seconds=data_args.max_seconds,
        min_seconds=data_args.min_seconds,
        seed=training_args.seed if training_args.data_seed is None else training_args.data_seed,
        skipped=reading.skipped,
        columns=reading.columns,
    )


def make_eval_dataset(
    table: datasets.Dataset | None, data_args: SpeechDataArguments, reading: Reading
) -> AudioDataset | None:
    """The clips of a table, the same (and with the same masks) at every evaluation; `None` without a table."""
    if table is None:
        return None
    return AudioDataset(
        table,
        sampling_rate=reading.sampling_rate,
        max_seconds=data_args.max_seconds,
        min_seconds=data_args.min_seconds,
        seed=0,
        skipped=reading.skipped,
        random_crop=False,
        columns=reading.columns,
    )


def checkpoint_to_resume(training_args: TrainingArguments) -> str | None:
    """The checkpoint that `--resume_from_checkpoint` names; `last` is the newest in the output folder.

    Raises:
        ValueError: There is none.
    """
    checkpoint = training_args.resume_from_checkpoint
    if checkpoint is None:
        return None
    assert training_args.output_dir is not None
    if checkpoint == "last":
        found = get_last_checkpoint(training_args.output_dir) if os.path.isdir(training_args.output_dir) else None
        if found is None:
            raise ValueError(f"--resume_from_checkpoint last: {training_args.output_dir} has no checkpoint.")
        return found
    if not os.path.isdir(checkpoint):
        raise ValueError(f"--resume_from_checkpoint expects a checkpoint's folder or `last`, got {checkpoint!r}.")
    return checkpoint
