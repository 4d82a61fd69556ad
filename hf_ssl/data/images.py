# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tables of images (folders, parquet files, data sets on the Hub), and the data set that decodes them on access."""

import io
import os
from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from PIL import Image, ImageOps

from .dataset import MAX_REPLACEMENTS, item_seed
from .skipped import SkippedFiles

# Makes of an image, and of a source of randomness, what a model is trained on.
ImageTransform = Callable[[Image.Image, np.random.Generator], Image.Image]

# What PIL raises at files that are no images, are damaged, or are absurdly large.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


class ImageReadError(ValueError):
    """An image cannot be read.

    Attributes:
        reason: `"<kind>: <detail>"`, for `SkippedFiles`.
    """

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def load_images(
    sources: Sequence[str], *, split: str, image_column: str = "image", label_column: str | None = None
) -> datasets.Dataset:
    """The images of several sources in one table, not yet decoded.

    Args:
        sources: Folders (nested; with `metadata.csv` or `.jsonl`, whose `file_name` says which image, or with one
            sub-folder per label; with `train`, `validation`, `test` above, or without), parquet files, or data sets on
            the Hub (`name` or `name:config`).
        split: The split of each source.
        image_column: Column with the image in parquet files and data sets.
        label_column: Column with the label, a name or a number; none is kept if absent.

    Returns:
        A table with `image` (undecoded) and, of a class label's numbers their names, `label`.

    Raises:
        ValueError: A source has no such split or column.
    """
    return datasets.concatenate_datasets(
        [_select(_load(source, split), source, image_column, label_column) for source in sources]
    )


def _load(source: str, split: str) -> datasets.Dataset:
    if os.path.isdir(source):
        return datasets.load_dataset("imagefolder", data_dir=source, split=split)
    if source.endswith(".parquet"):
        return datasets.load_dataset("parquet", data_files={split: source}, split=split)
    name, _, config = source.partition(":")
    return datasets.load_dataset(name, config or None, split=split)


def _select(table: datasets.Dataset, source: str, image_column: str, label_column: str | None) -> datasets.Dataset:
    wanted = [image_column] if label_column is None else [image_column, label_column]
    for column in wanted:
        if column not in table.column_names:
            raise ValueError(f"{source} has no column {column!r}; it has {', '.join(table.column_names)}.")
    if not len(table):
        raise ValueError(f"{source} has no images in this split.")
    table = table.select_columns(wanted).cast_column(image_column, datasets.Image(decode=False))
    names = ["image"] if label_column is None else ["image", "label"]
    table = table.rename_columns({old: new for old, new in zip(wanted, names, strict=True) if old != new})
    if label_column is None or not isinstance(table.features["label"], datasets.ClassLabel):
        return table
    label_names = table.features["label"].int2str(table["label"][:])
    return table.remove_columns("label").add_column("label", label_names)


def read_image(source: dict[str, Any]) -> Image.Image:
    """Decodes an image to RGB, upright as its EXIF says.

    Args:
        source: `bytes` of the encoded file, or its `path`.

    Raises:
        ImageReadError: It cannot be decoded.
    """
    try:
        file = source["path"] if source["bytes"] is None else io.BytesIO(source["bytes"])
        with Image.open(file) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except _DECODING_ERRORS as error:
        raise ImageReadError(f"cannot be decoded: {type(error).__name__}: {error}") from error


class ImageDataset(torch.utils.data.Dataset):
    """Images of a table, decoded on access.

    An item is `{"image": ..., "is_cropped": ..., "seed": ..., "label": ...}`: `image`, a `PIL.Image` in RGB after
    `transform`; `is_cropped`, whether there is a `transform`; `seed`, an int below 2**63 for whatever else is drawn
    for this item in this epoch, such as masks; `label` if the table has it.

    An image that cannot be decoded goes to `skipped`, and another row, drawn from the item's seed, takes its place.

    Args:
        table: From `load_images`.
        seed: The run's seed, not negative.
        skipped: Takes the images that fail.
        transform: A random crop for training; its randomness is a function of seed, epoch and index alone. Without
            it, images stay whole.
    """

    def __init__(
        self, table: datasets.Dataset, *, seed: int, skipped: SkippedFiles, transform: ImageTransform | None = None
    ):
        self.table = table
        self.seed = seed
        self.skipped = skipped
        self.transform = transform
        # In shared memory, so that DataLoader workers that outlive an epoch see the next one.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.table)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that items are drawn for, in DataLoader workers that already run too."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"expected an index from 0 to {len(self) - 1}, got {index}")
        seed = item_seed(self.seed, int(self._epoch), index)
        generator = np.random.default_rng(seed)
        row_index = index
        for _ in range(MAX_REPLACEMENTS + 1):
            row = self.table[row_index]
            try:
                image = read_image(row["image"])
            except ImageReadError as error:
                self.skipped.add(row["image"]["path"] or f"row {row_index}", error.reason)
                row_index = int(generator.integers(len(self)))
                continue
            image = image if self.transform is None else self.transform(image, generator)
            return {**row, "image": image, "is_cropped": self.transform is not None, "seed": seed}
        raise RuntimeError(
            f"{MAX_REPLACEMENTS + 1} images in a row could not be read, starting with row {index}: "
            f"{self.skipped.summary()}. Check that the files are still there and are whole"
        )
