# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the training scripts share: logging, configurations, data sets, resuming."""

import difflib
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import datasets
import numpy as np
import torch
import transformers
from transformers import PreTrainedConfig, TrainingArguments
from transformers.trainer_utils import TrainOutput

from ..card_record import record_run, write_record
from ..data.dataset import AudioDataset, StreamedAudioDataset
from ..data.images import ImageDataset
from ..data.skipped import SkippedFiles
from ..data.sources import load_audio_sources
from ..hub import explain_hub_error
from ..report import write_report
from ..run_metrics import RUN_SPLITS
from .allocator import keep_freed_memory
from .arguments import FineTuningDataArguments, SpeechDataArguments
from .checkpoints import last_complete_checkpoint
from .health import UnhealthyTrainingError
from .trainer import AudioTrainer

logger = logging.getLogger(__name__)

ConfigType = TypeVar("ConfigType", bound=PreTrainedConfig)

# Names that begin with an underscore are not pushed to the Hub: this one tells where the user keeps recordings.
SKIPPED_FILES_NAME = "_skipped_files.jsonl"


class PushError(RuntimeError):
    """The trained model is saved, but did not reach the Hub."""


def run_script(main: Callable[[Sequence[str]], object]) -> None:
    """Runs a training script on the command line; what the Hub refuses, and what a guard stops, ends it with one line.

    Without a GPU, the process keeps the memory of tensors for the next ones: see
    [`~hf_ssl.training.allocator.keep_freed_memory`]. One of several processes leaves their group when it is done: gloo
    may abort one that exits without that, and torchrun then kills the one that still saves the model.
    """
    _show_logs(is_main=os.environ.get("RANK", "0") == "0")  # of torchrun
    if not torch.cuda.is_available() and keep_freed_memory():
        logger.info("The memory of freed tensors is kept for the next ones until little is left: the process grows.")
    try:
        main(sys.argv[1:])
    except Exception as error:
        explained = isinstance(error, (PushError, UnhealthyTrainingError))
        explanation = str(error) if explained else explain_hub_error(error)
        if explanation is None:
            raise
        sys.exit(f"{os.path.basename(sys.argv[0])}: error: {explanation}")
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def set_up_logging(training_args: TrainingArguments) -> None:
    """Notices of the main process, warnings of the others, each once."""
    is_main = training_args.process_index == 0
    _show_logs(is_main)
    if not is_main:
        transformers.utils.logging.set_verbosity_error()
        datasets.utils.logging.disable_progress_bar()


def _show_logs(is_main: bool) -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logging.getLogger("hf_ssl").setLevel(logging.INFO if is_main else logging.ERROR)


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
    """The list of recordings that the run cannot use, `_skipped_files.jsonl` beside its checkpoints."""
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


def load_labelled_table(data_args: FineTuningDataArguments, reading: Reading) -> datasets.Dataset:
    """The clips of `--data` to learn from, not yet decoded: all, or `--train_minutes` of them."""
    table = load_train_table(data_args, reading)
    assert isinstance(table, datasets.Dataset)
    return table if data_args.train_minutes is None else take_minutes(table, data_args.train_minutes)


def take_minutes(table: datasets.Dataset, minutes: float) -> datasets.Dataset:
    """Clips at random, always the same ones of a table, until the next would exceed the minutes; in their old order.

    Raises:
        ValueError: The table has fewer minutes, or its first clip by chance is longer.
    """
    durations = np.asarray(table["duration"])
    if durations.sum() < 60 * minutes:
        raise ValueError(f"Expected at least {minutes:g} minutes of --data, got {durations.sum() / 60:.1f}.")
    order = np.random.default_rng(0).permutation(len(durations))
    rows = np.sort(order[durations[order].cumsum() <= 60 * minutes])
    if not len(rows):
        raise ValueError(f"--train_minutes {minutes:g} is less than one clip.")
    logger.info(f"Learning from {len(rows)} of {len(durations)} clips: {durations[rows].sum() / 60:.1f} minutes.")
    return table.select(rows.tolist())


def load_eval_table(data_args: SpeechDataArguments, reading: Reading) -> datasets.Dataset | None:
    """The clips of `--eval_data`, not yet decoded; `None` without it."""
    return _load_split(data_args, reading, data_args.eval_split) if data_args.eval_data else None


def load_test_table(data_args: FineTuningDataArguments, reading: Reading) -> datasets.Dataset | None:
    """The clips of `--test_split`, not yet decoded; `None` without it."""
    return None if data_args.test_split is None else _load_split(data_args, reading, data_args.test_split)


def _load_split(data_args: SpeechDataArguments, reading: Reading, split: str) -> datasets.Dataset:
    return load_audio_sources(
        data_args.eval_data,
        min_seconds=data_args.min_seconds,
        max_seconds=data_args.max_seconds,
        skipped=reading.skipped,
        split=split,
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
    """The checkpoint that `--resume_from_checkpoint` names; `last` is the newest whole one in the output folder.

    Raises:
        ValueError: There is none.
    """
    checkpoint = training_args.resume_from_checkpoint
    if checkpoint is None:
        return None
    assert training_args.output_dir is not None
    if checkpoint == "last":
        return last_complete_checkpoint(training_args.output_dir)
    if not os.path.isdir(checkpoint):
        raise ValueError(f"--resume_from_checkpoint expects a checkpoint's folder or `last`, got {checkpoint!r}.")
    return checkpoint


def save_run(trainer: AudioTrainer, result: TrainOutput, started_from: str | None = None) -> None:
    """Saves the model, the trainer's state, the figures of training and what the model's card says of the run. Nothing
    is pushed yet.

    Args:
        trainer: The one that trained.
        result: What it returned.
        started_from: The model that training began with; `None` for random weights.
    """
    trainer.wait_for_pushes()
    # An external call would push at once, without the state and the figures, and lose them if the Hub refuses.
    trainer.save_model(_internal_call=True)
    trainer.save_state()
    _remove_earlier_figures(trainer)
    trainer.save_metrics("train", result.metrics)
    if trainer.is_world_process_zero():
        assert trainer.args.output_dir is not None
        model = trainer.accelerator.unwrap_model(trainer.model)
        trainer.card_record = record_run(trainer.args, model, sys.argv, started_from)
        write_record(trainer.args.output_dir, trainer.card_record)


def _remove_earlier_figures(trainer: AudioTrainer) -> None:
    """Those of an earlier model in the same folder, which is gone: cards and reports would show them as this one's."""
    if not trainer.is_world_process_zero():
        return
    folder = Path(str(trainer.args.output_dir))
    names = [f"{split}_results.json" for split in (*RUN_SPLITS, "all")]
    names += [f"_{split}_transcripts.tsv" for split in RUN_SPLITS]
    earlier = [name for name in names if (folder / name).is_file()]
    for name in earlier:
        (folder / name).unlink()
    if earlier:
        logger.info(f"Removed the figures of the earlier model in {folder}: {', '.join(earlier)}.")


def evaluate_run(trainer: AudioTrainer, test_dataset: AudioDataset | ImageDataset | None) -> None:
    """Evaluates after training, on the data that settings are chosen by and on those of the test; saves and prints."""
    for name, dataset in (("eval", trainer.eval_dataset), ("test", test_dataset)):
        if dataset is not None:
            metrics = trainer.evaluate(dataset, metric_key_prefix=name)
            trainer.save_metrics(name, metrics)
            trainer.log_metrics(name, metrics)


def report_run(trainer: AudioTrainer) -> None:
    """Writes a page on the run, `_report.html`, beside the model, and says where; a run does not fail by it."""
    if not trainer.is_world_process_zero():
        return
    folder = str(trainer.args.output_dir)
    try:
        path = write_report(folder)
    except Exception as error:
        logger.warning(f"The report on the run could not be written ({type(error).__name__}: {error}).")
        return
    logger.info(f"Report: {path} ({shlex.join(['hf-ssl', 'report', folder])} --data ... shows a sample too)")


def push_run(trainer: AudioTrainer, started_from: str | None) -> None:
    """With `--push_to_hub`, the last thing of a run: pushes the model and what else is in its folder.

    Args:
        started_from: The model that training began with, for the card; `None` for random weights.

    Raises:
        PushError: It failed; says where the model is and how to push it.
    """
    if not trainer.args.push_to_hub:
        return
    try:
        trainer.push_to_hub(finetuned_from=started_from)
    except Exception as error:
        reason = explain_hub_error(error) or f"{type(error).__name__}: {error}"
        raise PushError(
            f"The model is trained and saved in {trainer.args.output_dir}, but it was not pushed to "
            f"{trainer.hub_model_id}. {reason} Push it with: {_push_command(trainer)}"
        ) from error
    logger.info(f"The model is on the Hub: {trainer.hub_model_id}.")


def _push_command(trainer: AudioTrainer) -> str:
    """What pushes the folder of a run, leaving out what the trainer leaves out."""
    revision = trainer.args.hub_revision
    command = ["hf", "upload", str(trainer.hub_model_id), str(trainer.args.output_dir), "."]
    command += ["--exclude", "checkpoint-*", "--exclude", "_*"]
    return shlex.join(command + (["--revision", revision] if revision is not None else []))
