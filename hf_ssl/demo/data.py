# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The demo's recordings: the synthetic corpus, or a person's own."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np

from ..data import SkippedFiles, load_audio_sources
from ..training.finetuning import TranscriptNormalizer, drop_empty_transcripts
from .corpus import CorpusConfig, synthesise_corpus

SAMPLING_RATE = 16_000
MIN_SECONDS = 0.3
MAX_SECONDS = 10.0
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class LabelledSplits:
    """Clips with a label or a transcript in `column`: to learn from, to choose on, and to be tested on once."""

    task: str
    column: str
    train: datasets.Dataset
    validation: datasets.Dataset
    test: datasets.Dataset


@dataclass(frozen=True)
class DemoData:
    """`recordings`: what is pre-trained on, without labels. `transcribed`: for recognition, if there are transcripts.
    `probes`: classification tasks, as many as there are labels."""

    recordings: datasets.Dataset
    transcribed: LabelledSplits | None
    probes: list[LabelledSplits]


def synthetic_data(folder: Path, num_hours: float, seed: int, skipped: SkippedFiles) -> DemoData:
    """Synthetic speech. Words and transcripts are tested on voices that pre-training never heard."""
    synthesise_corpus(folder, CorpusConfig(num_hours=num_hours, seed=seed))
    columns = ("transcription", "word", "voice")
    names = (*SPLITS, "test_seen_voices")
    splits = {name: _load(folder, name, columns, skipped) for name in names}
    single = {name: table.filter(_is_one_word, input_columns="transcription") for name, table in splits.items()}
    # a part is enough to tell voices apart, and linear classifiers on all clips would take minutes
    voices = splits["train"].train_test_split(train_size=0.3, test_size=0.1, seed=seed)
    return DemoData(
        recordings=splits["train"],
        transcribed=LabelledSplits("ctc", "transcription", *(splits[name] for name in SPLITS)),
        probes=[
            LabelledSplits("words", "word", *(single[name] for name in SPLITS)),
            LabelledSplits("voices", "voice", voices["train"], voices["test"], splits["test_seen_voices"]),
        ],
    )


def own_data(
    folder: Path, text_column: str, label_columns: tuple[str, ...], seed: int, skipped: SkippedFiles
) -> DemoData:
    """A person's recordings: `folder/{train,validation,test}` or one folder, which is divided at random; labels and
    transcripts from the columns of `metadata.csv`, as far as it has them.

    Raises:
        ValueError: There are no recordings, or a label column that was asked for is missing.
    """
    found = _metadata_columns(folder)
    missing = [column for column in label_columns if column not in found]
    if missing:
        raise ValueError(f"{folder} has no column {missing[0]!r}; its metadata.csv has {found or 'not been found'}.")
    if not (folder / "test").is_dir() and (label_columns or text_column in found):
        print("There is no test/ folder: a part is held out at random for testing, but is pre-trained on, unlabelled.")
    recordings = load_audio_sources(
        [str(folder)], min_seconds=MIN_SECONDS, max_seconds=MAX_SECONDS, skipped=skipped, sampling_rate=SAMPLING_RATE
    )
    return DemoData(
        recordings=recordings,
        transcribed=_transcribed(folder, text_column, seed, skipped) if text_column in found else None,
        probes=[_labelled(folder, column, column, seed, skipped) for column in label_columns],
    )


def total_seconds(table: datasets.Dataset) -> float:
    return float(np.sum(table["duration"][:]))


def _transcribed(folder: Path, column: str, seed: int, skipped: SkippedFiles) -> LabelledSplits:
    """Clips whose transcripts have something to recognise. Found out before pre-training, not after it."""
    splits = _labelled(folder, "ctc", column, seed, skipped)
    tables = [
        drop_empty_transcripts(table, column, TranscriptNormalizer(), skipped)
        for table in (splits.train, splits.validation, splits.test)
    ]
    return LabelledSplits("ctc", column, *tables)


def _labelled(folder: Path, task: str, column: str, seed: int, skipped: SkippedFiles) -> LabelledSplits:
    """Splits of a labelled folder: its own, or else random ones."""
    if (folder / "test").is_dir():
        train = _load(folder, "train", (column,), skipped)
        test = _load(folder, "test", (column,), skipped)
    else:
        divided = _load(folder, "train", (column,), skipped).train_test_split(test_size=0.2, seed=seed)
        train, test = divided["train"], divided["test"]
    if (folder / "validation").is_dir():
        return LabelledSplits(task, column, train, _load(folder, "validation", (column,), skipped), test)
    divided = train.train_test_split(test_size=0.15, seed=seed)
    return LabelledSplits(task, column, divided["train"], divided["test"], test)


def _load(folder: Path, split: str, columns: tuple[str, ...], skipped: SkippedFiles) -> datasets.Dataset:
    return load_audio_sources(
        [str(folder)],
        min_seconds=MIN_SECONDS,
        max_seconds=MAX_SECONDS,
        skipped=skipped,
        split=split,
        columns=columns,
        sampling_rate=SAMPLING_RATE,
    )


def _metadata_columns(folder: Path) -> list[str]:
    for metadata in (folder / "train" / "metadata.csv", folder / "metadata.csv"):
        if metadata.is_file():
            with open(metadata, encoding="utf-8", newline="") as file:
                return next(csv.reader(file), [])
    return []


def _is_one_word(text: str) -> bool:
    return " " not in text
