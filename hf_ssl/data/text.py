# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Plain text: from files and Hub data sets to a stream of documents, and from these to blocks of equal length."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from .dataset import item_seed

TextUnit = Literal["line", "paragraph", "document"]

# Builders of `datasets` by the ending of files that they read.
_BUILDERS = {".txt": "text", ".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
# Texts that are tokenised at once.
_TOKENIZED_AT_ONCE = 200
_SHUFFLE_STREAM = 1


def load_text_sources(
    sources: Sequence[str], *, split: str = "train", text_column: str = "text", text_unit: TextUnit = "line"
) -> datasets.IterableDataset:
    """Streams the documents of one or more sources, in their order. Nothing is read yet.

    A source is a .txt, .jsonl, .json, .csv or .parquet file; a folder with such files at any depth, in the subfolder
    of the split if there is one; or a data set on the Hub (`name` or `name:config`).

    Args:
        sources: At least one; they are streamed one after the other.
        split: Which split, where a source has several.
        text_column: Column with the text, where there are columns.
        text_unit: What a document is in .txt files: a line, a paragraph (until an empty line) or the whole file.

    Returns:
        A stream with the column `text_column`.

    Raises:
        ValueError: A source does not exist, has no text or no such column.
    """
    if isinstance(sources, str) or not sources:
        raise ValueError(f"Expected a list of at least one file, folder or Hub data set, got {sources!r}.")
    tables = [table for source in sources for table in _load_source(source, split, text_column, text_unit)]
    for table in tables:
        if text_column not in (table.column_names or [text_column]):
            raise ValueError(f"The data have no column {text_column!r}; their columns are {table.column_names}.")
    return datasets.concatenate_datasets([table.select_columns(text_column) for table in tables])


def _load_source(source: str, split: str, text_column: str, text_unit: TextUnit) -> list[datasets.IterableDataset]:
    path = Path(source)
    if path.is_dir():
        folder = path / split if (path / split).is_dir() else path
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _BUILDERS)
        if not files:
            raise ValueError(f"The folder {source!r} has no {', '.join(_BUILDERS)} files.")
        return [_load_file(file, text_column, text_unit) for file in files]
    if path.is_file():
        return [_load_file(path, text_column, text_unit)]
    if path.suffix in _BUILDERS or path.is_absolute():
        raise ValueError(f"There is no file or folder {source!r}.")
    name, _, config = source.partition(":")
    return [datasets.load_dataset(name, config or None, split=split, streaming=True)]


def _load_file(path: Path, text_column: str, text_unit: TextUnit) -> datasets.IterableDataset:
    builder = _BUILDERS.get(path.suffix.lower())
    if builder is None:
        raise ValueError(f"Expected a {', '.join(_BUILDERS)} file, got {str(path)!r}.")
    options = {"sample_by": text_unit} if builder == "text" else {}
    table = datasets.load_dataset(builder, data_files=str(path), split="train", streaming=True, **options)
    return table.rename_column("text", text_column) if builder == "text" and text_column != "text" else table


def iterate_texts(table: datasets.IterableDataset, text_column: str = "text") -> Iterator[str]:
    """The texts of a stream, without those of white space only.

    Raises:
        ValueError: A text is no text.
    """
    for row in table:
        text = row[text_column]
        if text is not None and not isinstance(text, str):
            raise ValueError(f"Expected texts in the column {text_column!r}, got {text!r:.80}.")
        if text is not None and text.strip():
            yield text


class PackedTextDataset(torch.utils.data.IterableDataset):
    """Documents as blocks of equal length: their tokens one after the other, each document closed by the end token,
    cut regardless of where documents end, and every block opened by the begin token (`sample_break_mode: none` of
    fairseq, the published setting).

    Documents are packed in their order, so that a block is running text, and blocks are shuffled. Items are
    `{"input_ids": list[int], "seed": int}`; the seed, from which the block's masks are drawn, depends on the run's
    seed, the pass over the data and the tokens. The last block of a pass may be shorter.

    DataLoader workers share the files of the stream among them; surplus workers get nothing.

    Args:
        table: From [`load_text_sources`].
        tokenizer: Needs a begin (or classifier) and an end (or separator) token.
        block_size: Tokens per block, the begin token included.
        seed: The run's seed, not negative.
        text_column: Column with the text.
        shuffle_buffer_size: Blocks that are held to draw the next one from; 0 keeps their order.
        endless: Begin anew whenever the data end. The `Trainer` does not know how long a stream is: only in one that
            does not end it finds the place again where a run was stopped.
    """

    def __init__(
        self,
        table: datasets.IterableDataset,
        tokenizer: PreTrainedTokenizerBase,
        *,
        block_size: int,
        seed: int,
        text_column: str = "text",
        shuffle_buffer_size: int = 2000,
        endless: bool = False,
    ) -> None:
        if block_size < 2:
            raise ValueError(f"Expected blocks of at least 2 tokens, got block_size={block_size}.")
        self.table = table
        self.tokenizer = tokenizer
        self.begin_id, self.end_id = block_token_ids(tokenizer)
        self.block_size = block_size
        self.seed = seed
        self.text_column = text_column
        self.shuffle_buffer_size = shuffle_buffer_size
        self.endless = endless

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for data_pass in count():
            num_items = 0
            for item in self._items(data_pass):
                num_items += 1
                yield item
            if num_items == 0 and torch.utils.data.get_worker_info() is None:
                raise RuntimeError("The data have no text: all documents are empty.")
            if num_items == 0 or not self.endless:
                return

    def _items(self, data_pass: int) -> Iterator[dict[str, Any]]:
        blocks: Iterable[list[int]] = self._blocks()
        if self.shuffle_buffer_size > 0:
            generator = np.random.default_rng([self.seed, data_pass, _SHUFFLE_STREAM])
            blocks = _shuffle(blocks, self.shuffle_buffer_size, generator)
        for block in blocks:
            digest = hashlib.blake2b(np.asarray(block, dtype=np.int64).tobytes(), digest_size=8).digest()
            yield {"input_ids": block, "seed": item_seed(self.seed, data_pass, int.from_bytes(digest, "big"))}

    def _blocks(self) -> Iterator[list[int]]:
        texts, pending = iterate_texts(self.table, self.text_column), []
        content = self.block_size - 1
        while batch := list(islice(texts, _TOKENIZED_AT_ONCE)):
            for ids in self._tokenize(batch):
                pending += [*ids, self.end_id]
            for first in range(0, len(pending) - content + 1, content):
                yield [self.begin_id, *pending[first : first + content]]
            del pending[: len(pending) // content * content]
        if pending:
            yield [self.begin_id, *pending]

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        encoded = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
        return encoded["input_ids"]


def block_token_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """The tokens that open and close texts.

    Raises:
        ValueError: The tokenizer has none, or no padding token.
    """
    begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    if begin is None or end is None or tokenizer.pad_token_id is None:
        raise ValueError(
            "The tokenizer must have a begin (or classifier), an end (or separator) and a padding token, but has "
            f"{tokenizer.special_tokens_map}. Set them, or take a tokenizer such as RoBERTa's."
        )
    return begin, end


def _shuffle(blocks: Iterable[list[int]], size: int, generator: np.random.Generator) -> Iterator[list[int]]:
    """Every block takes the place of a random one of the buffer, which is given; what is left comes at the end."""
    buffer: list[list[int]] = []
    for block in blocks:
        if len(buffer) < size:
            buffer.append(block)
            continue
        place = int(generator.integers(size))
        given, buffer[place] = buffer[place], block
        yield given
    for place in generator.permutation(len(buffer)):
        yield buffer[place]
