# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The vocabulary of fine-tuned fairseq models (`dict.ltr.txt`, or pickled in the checkpoint) <-> tokenizers."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import Wav2Vec2CTCTokenizer

# What fairseq puts before the symbols of the file, in its order. The first is the blank of its CTC.
SPECIAL_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>")
WORD_BOUNDARY = "|"


class FairseqDictionary:
    """Symbols and their counts in the order of the model's outputs.

    It also stands in for `fairseq.data.dictionary.Dictionary` while a checkpoint is unpickled, and so trusts nothing:
    of what it is given it keeps lists of strings and of numbers after checking them, and there is nothing to call.

    Args:
        symbols: One for each output of the model, the four special ones first.
        counts: How often each occurred in the transcripts.

    Raises:
        ValueError: They are not what a dictionary can hold.
    """

    # what an unpickled one has that was given no state
    symbols: tuple[str, ...] = SPECIAL_SYMBOLS
    counts: tuple[int, ...] = (1, 1, 1, 1)

    def __init__(self, symbols: Sequence[str], counts: Sequence[int]):
        self._fill(list(symbols), list(counts))

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise ValueError(f"the pickled dictionary of fairseq has the state {type(state).__name__}")
        symbols, counts = state.get("symbols"), state.get("count")
        if not isinstance(symbols, list) or not isinstance(counts, list):
            raise ValueError("the pickled dictionary of fairseq has no lists `symbols` and `count`")
        self._fill(symbols, counts)

    def _fill(self, symbols: list[Any], counts: list[Any]) -> None:
        if len(symbols) != len(counts):
            raise ValueError(f"the dictionary has {len(symbols)} symbols but {len(counts)} counts")
        if not all(type(symbol) is str and symbol for symbol in symbols):
            raise ValueError("the dictionary has symbols that are no text")
        if not all(type(count) is int for count in counts):
            raise ValueError("the dictionary has counts that are no integers")
        first = tuple(symbols[: len(SPECIAL_SYMBOLS)])
        if first != SPECIAL_SYMBOLS:
            raise ValueError(
                f"the dictionary must begin with {SPECIAL_SYMBOLS}, of which the first is the blank, but "
                f"begins with {first}"
            )
        repeated = sorted(symbol for symbol, times in Counter(symbols).items() if times > 1)
        if repeated:
            raise ValueError(f"the dictionary has symbols more than once: {repeated}")
        self.symbols, self.counts = tuple(symbols), tuple(counts)


def read_dictionary(path: str | os.PathLike) -> FairseqDictionary:
    """Reads fairseq's `dict.ltr.txt`: a symbol, a space and a count per line. The special symbols are not in it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no dictionary file at {os.fspath(path)!r}.")
    try:
        lines = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        entries = [_entry(number, line) for number, line in enumerate(lines, start=1)]
        entries = [*((symbol, 1) for symbol in SPECIAL_SYMBOLS), *entries]
        return FairseqDictionary([symbol for symbol, _ in entries], [count for _, count in entries])
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)!r} is no dictionary of fairseq: {error}.") from None


def _entry(number: int, line: str) -> tuple[str, int]:
    symbol, _, count = line.rstrip().rpartition(" ")
    if not symbol or not count.isdecimal():
        raise ValueError(f"expected a symbol, a space and a count in line {number}, found {line[:80]!r}")
    return symbol, int(count)


def write_dictionary(dictionary: FairseqDictionary, path: Path) -> None:
    """Writes the file that [`read_dictionary`] and fairseq read."""
    first = len(SPECIAL_SYMBOLS)
    pairs = zip(dictionary.symbols[first:], dictionary.counts[first:], strict=True)
    path.write_text("".join(f"{symbol} {count}\n" for symbol, count in pairs), encoding="utf-8")


def make_tokenizer(dictionary: FairseqDictionary) -> Wav2Vec2CTCTokenizer:
    """A tokenizer whose numbers are the model's outputs.

    As in every wav2vec 2.0 converted before, the names of numbers 0 and 1 are exchanged: fairseq's blank is `<s>`, but
    transformers (and pyctcdecode, by its name) takes `<pad>` for the blank. No weight moves.

    Raises:
        ValueError: There is no word boundary `|`.
    """
    if WORD_BOUNDARY not in dictionary.symbols:
        raise ValueError(
            f"The dictionary has no word boundary {WORD_BOUNDARY!r}. Models of letters can be converted; those of "
            "phonemes or word pieces have no tokenizer here."
        )
    numbers = {symbol: number for number, symbol in enumerate(_exchanged(dictionary.symbols))}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vocab.json"
        file.write_text(json.dumps(numbers, ensure_ascii=False), encoding="utf-8")
        return Wav2Vec2CTCTokenizer(str(file), word_delimiter_token=WORD_BOUNDARY)


def dictionary_of(tokenizer: Wav2Vec2CTCTokenizer, vocab_size: int) -> FairseqDictionary:
    """The way back from [`make_tokenizer`]; counts, which a tokenizer does not know, are 1.

    Raises:
        ValueError: Its numbers are not 0, 1, 2, ... up to `vocab_size`, or its special tokens are not fairseq's.
    """
    numbers = tokenizer.get_vocab()
    if sorted(numbers.values()) != list(range(vocab_size)):
        raise ValueError(
            f"The tokenizer has the numbers {sorted(numbers.values())}, but the model has {vocab_size} outputs: "
            "fairseq needs a symbol for each of 0, 1, 2, ...."
        )
    symbols = _exchanged(sorted(numbers, key=lambda symbol: numbers[symbol]))
    if tokenizer.pad_token_id != 0 or tokenizer.word_delimiter_token != WORD_BOUNDARY:
        raise ValueError(
            "fairseq's blank is number 0 and its word boundary '|', but the tokenizer has the blank (pad token) "
            f"{tokenizer.pad_token_id} and the word boundary {tokenizer.word_delimiter_token!r}."
        )
    return FairseqDictionary(symbols, [1] * len(symbols))


def _exchanged(symbols: Sequence[str]) -> list[str]:
    """`<s>` for `<pad>` and the reverse."""
    names = {"<s>": "<pad>", "<pad>": "<s>"}
    return [names.get(symbol, symbol) for symbol in symbols]
