# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Texts with a label each, from folders, and data sets on the Hub."""

from pathlib import Path

import datasets

# Builders of `datasets` by the ending of files that they read.
TABLE_BUILDERS = {".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


def load_labelled_texts(source: str, *, split: str, text_column: str, label_column: str) -> datasets.Dataset:
    """A table of texts and labels.

    Args:
        source: A folder with a table (.csv, .jsonl, .json, .parquet) of the split's name, `train.csv`, or with such
            tables in a sub-folder of that name; or a data set on the Hub (`name` or `name:config`).
        split: Which split.
        text_column: Column with the text.
        label_column: Column with the label.

    Returns:
        A table with these two columns.

    Raises:
        ValueError: There is no such split or column, or a row has no text or no label.
    """
    table = _load(source, split)
    for column in (text_column, label_column):
        if column not in table.column_names:
            raise ValueError(f"{source} has no column {column!r}; its columns are {table.column_names}.")
    table = table.select_columns([text_column, label_column])
    for row, (text, label) in enumerate(zip(table[text_column], table[label_column], strict=True)):
        if not isinstance(text, str) or not text.strip() or label is None:
            raise ValueError(
                f"{source}, split {split!r}, row {row}: expected a text and a label, got {text!r:.80} and {label!r}: "
                "leave such rows out."
            )
    return table


def _load(source: str, split: str) -> datasets.Dataset:
    path = Path(source).expanduser()
    if not path.is_dir():
        name, _, config = source.partition(":")
        return datasets.load_dataset(name, config or None, split=split)
    files = [path / f"{split}{suffix}" for suffix in TABLE_BUILDERS]
    found = sorted([file for file in files if file.is_file()] or _tables_below(path / split))
    if not found:
        return datasets.load_dataset(str(path), split=split)
    suffixes = {file.suffix.lower() for file in found}
    if len(suffixes) > 1:
        raise ValueError(f"Expected tables of one kind for the split {split!r} of {source}, got {sorted(suffixes)}.")
    return datasets.load_dataset(
        TABLE_BUILDERS[suffixes.pop()], data_files=[str(file) for file in found], split="train"
    )


def _tables_below(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.suffix.lower() in TABLE_BUILDERS]
