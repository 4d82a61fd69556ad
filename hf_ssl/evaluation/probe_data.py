# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Labelled splits to probe encoders with: from what a person names on the command line to items and labels."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import datasets
import numpy as np

from ..data.images import load_images
from ..data.labelled_texts import TABLE_BUILDERS, load_labelled_texts
from ..data.skipped import SkippedFiles
from ..data.sources import load_audio_sources
from .encoders import Modality
from .items import Clip, Item, Text, clips_of, pictures_of
from .segments import segments_of
from .weighted_sum import split_labels

ProbeTask = Literal["classification", "multilabel", "recognition", "frames", "verification"]

# A fifth of training becomes validation where there is none.
_VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class DataConfig:
    """Where labelled items come from.

    Args:
        source: A folder with a part for each split, or a data set on the Hub (`name` or `name:config`).
        column: Column with the label, the labels (`;` between), the transcript, the segments or the speaker.
        splits: Names of the splits to learn from, to choose on and to be tested on once.
        text_column, image_column: Where texts are, and images of parquet files and Hub data sets.
        min_seconds, max_seconds: Leave shorter and longer recordings out.
    """

    source: str
    column: str
    splits: tuple[str, str, str] = ("train", "validation", "test")
    text_column: str = "text"
    image_column: str = "image"
    min_seconds: float | None = None
    max_seconds: float | None = None

    @property
    def on_hub(self) -> bool:
        """Whether the source is no folder here."""
        return not Path(self.source).expanduser().is_dir()


class LabelledItems(NamedTuple):
    """The items of one split and their labels."""

    items: Sequence[Item]
    labels: list[str]

    def select(self, rows: Sequence[int]) -> "LabelledItems":
        return LabelledItems([self.items[row] for row in rows], [self.labels[row] for row in rows])


def clips_in(split: LabelledItems) -> list[Clip]:
    """The items of a split of speech.

    Raises:
        ValueError: They are no clips.
    """
    clips = [item for item in split.items if isinstance(item, Clip)]
    if len(clips) != len(split.items):
        raise ValueError("Expected clips of speech, got images or texts.")
    return clips


class ProbeData(NamedTuple):
    """What to learn from, to choose on, and to be tested on once. `notes`: what a reader of figures must know."""

    train: LabelledItems
    validation: LabelledItems
    test: LabelledItems
    notes: list[str]


def load_probe_data(config: DataConfig, modality: Modality, task: ProbeTask) -> ProbeData:
    """Lists the items of all splits; nothing is decoded. Without a validation split, a part of training becomes it.

    Raises:
        ValueError: A split or column is missing, or the labels do not fit the task.
    """
    train_name, validation_name, test_name = config.splits
    present = available_splits(config.source)
    for name in (train_name, test_name):
        if name not in present:
            raise ValueError(
                f"{config.source} has no split {name!r}, only {present}. A probe needs one to learn from and one to "
                "be tested on: name them (--splits TRAIN VALIDATION TEST)."
            )
    skipped = SkippedFiles()
    train, test = (_load_split(config, modality, name, skipped) for name in (train_name, test_name))
    notes = []
    if validation_name in present:
        validation = _load_split(config, modality, validation_name, skipped)
    else:
        train, validation = carve_validation(train, task)
        notes.append(f"no split {validation_name!r}: {len(validation.labels)} of {train_name!r} choose instead")
    if skipped.count:
        notes.append(skipped.summary())
    data = ProbeData(train, validation, test, notes)
    check_labels(data, task)
    return data


def available_splits(source: str) -> list[str]:
    """Names of the splits of a folder (its sub-folders, and its tables without their ending) or a Hub data set.

    Raises:
        ValueError: There is no such folder or data set.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        names = {entry.name for entry in path.iterdir() if entry.is_dir()}
        names |= {entry.stem for entry in path.iterdir() if entry.suffix.lower() in TABLE_BUILDERS}
        if not any(path.rglob("*.parquet")):
            return sorted(names)
        source = str(path)
    name, _, config = source.partition(":")
    try:
        return datasets.get_dataset_split_names(name, config or None)
    except (ConnectionError, FileNotFoundError, ValueError) as error:
        raise ValueError(f"{source} is neither a folder here nor a data set that could be loaded: {error}") from error


def _load_split(config: DataConfig, modality: Modality, split: str, skipped: SkippedFiles) -> LabelledItems:
    items: Sequence[Item]
    match modality:
        case "speech":
            table = load_audio_sources(
                [config.source],
                min_seconds=config.min_seconds,
                max_seconds=config.max_seconds,
                skipped=skipped,
                split=split,
                columns=(config.column,),
            )
            assert isinstance(table, datasets.Dataset)  # not streamed
            items, labels = clips_of(table), _names(table, config.column)
        case "images":
            table = load_images(
                [config.source], split=split, image_column=config.image_column, label_column=config.column
            )
            items, labels = pictures_of(table), _names(table, "label")
        case "text":
            table = load_labelled_texts(
                config.source, split=split, text_column=config.text_column, label_column=config.column
            )
            items, labels = [Text(text) for text in table[config.text_column]], _names(table, config.column)
    return LabelledItems(items, labels)


def _names(table: datasets.Dataset, column: str) -> list[str]:
    """Labels as names, whatever they are in the table; of several labels, with `;` between."""
    feature, values = table.features[column], table[column][:]
    if isinstance(feature, datasets.ClassLabel):
        return feature.int2str(values)
    return [_name(value) for value in values]


def _name(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return json.dumps(value)  # segments
    return ";".join(map(str, value)) if isinstance(value, list) else str(value)


def carve_validation(train: LabelledItems, task: ProbeTask) -> tuple[LabelledItems, LabelledItems]:
    """A fifth of training for validation, the same every time: of each class, of all speakers, or of all items. Of
    several labels per item none is taken from training altogether, for which validation may become smaller."""
    labels = np.asarray(train.labels)
    generator = np.random.default_rng(0)
    match task:
        case "classification":
            groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
            held_out = np.concatenate([_fifth(generator.permutation(group)) for group in groups])
        case "verification":  # speakers as a whole, so that those of validation are strangers as those of test are
            held_out = np.flatnonzero(np.isin(labels, _fifth(generator.permutation(np.unique(labels)), at_least=2)))
        case "multilabel":
            held_out = _dispensable_fifth(generator.permutation(len(labels)), train.labels)
        case _:
            held_out = _fifth(generator.permutation(len(labels)))
    is_held_out = np.isin(np.arange(len(labels)), held_out)
    return train.select(np.flatnonzero(~is_held_out).tolist()), train.select(np.flatnonzero(is_held_out).tolist())


def _fifth(shuffled: np.ndarray, at_least: int = 1) -> np.ndarray:
    count = max(at_least, round(_VALIDATION_SHARE * len(shuffled)))
    return shuffled[: min(count, len(shuffled) - 1)]


def _dispensable_fifth(shuffled: np.ndarray, fields: Sequence[str]) -> np.ndarray:
    """The first items in this order without which every label still occurs, a fifth of all at most."""
    names = [set(split_labels(field)) for field in fields]
    carriers = Counter(name for of_item in names for name in of_item)
    wanted = len(_fifth(shuffled))
    held_out: list[int] = []
    for row in shuffled.tolist():
        if len(held_out) < wanted and all(carriers[name] > 1 for name in names[row]):
            carriers.subtract(names[row])
            held_out.append(row)
    return np.array(held_out, dtype=np.int64)


def check_labels(data: ProbeData, task: ProbeTask) -> None:
    """Raises `ValueError` if labels do not fit the task, before any encoder runs."""
    named = {"training": data.train, "validation": data.validation, "test": data.test}
    for name, split in named.items():
        if not split.labels:
            raise ValueError(f"Nothing is left for {name}: give more data, or a split for it (--splits).")
        if task == "verification" and name != "training":
            _check_speakers(name, split.labels)
        if task == "frames":
            _check_segments(name, split)
        if task == "recognition" and not all(map(str.strip, split.labels)):
            raise ValueError(f"The {name} split has empty transcripts: leave such clips out.")
    if task == "classification" and len(set(data.train.labels)) < 2:
        raise ValueError(
            f"Expected at least two classes to tell apart, got only {data.train.labels[0]!r} in training: is it the "
            "right column?"
        )
    if task == "multilabel":
        _check_several_labels(named)


def _check_several_labels(named: dict[str, LabelledItems]) -> None:
    labels = {name: set().union(*map(split_labels, split.labels)) for name, split in named.items()}
    for name, found in labels.items():
        if not found:
            raise ValueError(f"No item of {name} has a label: give it some, or another split for it (--splits).")
        unknown = sorted(found - labels["training"])
        if unknown:
            raise ValueError(
                f"Labels of {name} that training lacks cannot be learned: {', '.join(unknown[:20])}. Take them out of "
                "the column, or put items that have them into training."
            )


def _check_segments(name: str, split: LabelledItems) -> None:
    """Reads all of them, so that a fault is found before an encoder runs."""
    labels = {
        segment.label
        for clip, field in zip(clips_in(split), split.labels, strict=True)
        for segment in segments_of(clip, field)
    }
    if not labels or (name == "training" and len(labels) < 2):
        raise ValueError(
            f"Expected segments of at least two classes in training and of one elsewhere, got {sorted(labels)} in "
            f"{name}."
        )


def _check_speakers(name: str, speakers: list[str]) -> None:
    counts = Counter(speakers)
    if len(counts) < 2 or max(counts.values()) < 2:
        raise ValueError(
            f"Verification needs several clips of several speakers; {name} has {len(speakers)} clips of "
            f"{len(counts)} speakers. Is it the right column?"
        )
