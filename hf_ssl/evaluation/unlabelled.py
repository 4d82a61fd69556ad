# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Items without labels, to look at what encoders make of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import datasets
import numpy as np

from ..data.images import load_images
from ..data.skipped import SkippedFiles
from ..data.sources import load_audio_sources
from ..data.text import iterate_texts, load_text_sources
from .encoders import Modality
from .items import Item, Text, clips_of, pictures_of


@dataclass(frozen=True)
class UnlabelledConfig:
    """Where items come from.

    Args:
        source: What the pre-training scripts take as `--data`: a folder, a file, or a data set on the Hub.
        split: Which split, where there are several.
        max_items: How many at most: clips and images evenly from the whole, texts from the beginning of the stream.
        text_column, image_column: Where texts are, and images of parquet files and Hub data sets.
        min_seconds, max_seconds: Shorter recordings are left out, longer ones cut into windows.
    """

    source: str
    split: str = "train"
    max_items: int = 128
    text_column: str = "text"
    image_column: str = "image"
    min_seconds: float | None = 0.5
    max_seconds: float | None = 20.0


class UnlabelledItems(NamedTuple):
    """`items`: at least one; `notes`: what a reader of figures must know of them."""

    items: Sequence[Item]
    notes: list[str]


def load_unlabelled(config: UnlabelledConfig, modality: Modality) -> UnlabelledItems:
    """Lists items; nothing is decoded.

    Raises:
        ValueError: There is no such source or split, or nothing in it.
    """
    if config.max_items < 2:
        raise ValueError(f"Expected at least 2 items (--max_items) to compare, got {config.max_items}.")
    skipped = SkippedFiles()
    match modality:
        case "speech":
            table = load_audio_sources(
                [config.source],
                min_seconds=config.min_seconds,
                max_seconds=config.max_seconds,
                skipped=skipped,
                split=config.split,
            )
            assert isinstance(table, datasets.Dataset)  # not streamed
            found, items = len(table), _clips(table, config.max_items)
        case "images":
            table = load_images([config.source], split=config.split, image_column=config.image_column)
            found, items = len(table), pictures_of(_spread(table, config.max_items))
        case "text":
            stream = load_text_sources([config.source], split=config.split, text_column=config.text_column)
            items = [Text(text) for text in islice(iterate_texts(stream, config.text_column), config.max_items)]
            found = len(items)
    if not items:
        raise ValueError(f"There is nothing in {config.source} to represent.")
    notes = [f"{len(items)} of {found}, spread evenly"] if found > len(items) else []
    return UnlabelledItems(items, notes + ([skipped.summary()] if skipped.count else []))


def _clips(table: datasets.Dataset, count: int) -> Sequence[Item]:
    return clips_of(_spread(table, count))


def _spread(table: datasets.Dataset, count: int) -> datasets.Dataset:
    """So many rows, from the first to the last at equal distances."""
    return table.select(spread_rows(len(table), count))


def spread_rows(num_rows: int, count: int) -> list[int]:
    """Numbers of `count` rows at most, from the first to the last at equal distances."""
    return np.unique(np.linspace(0, num_rows - 1, min(count, num_rows)).round().astype(int)).tolist()
