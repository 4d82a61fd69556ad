# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""GPT-2's byte-pair encoding with a fairseq dictionary (RoBERTa's tokens) -> a tokenizer with the same numbers."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from transformers import RobertaTokenizer

from .fairseq_dictionary import SPECIAL_SYMBOLS, FairseqDictionary

ENCODER_FILE = "encoder.json"
MERGES_FILE = "vocab.bpe"
MASK = "<mask>"
# In GPT-2's vocabulary, but never made of text.
END_OF_TEXT = "<|endoftext|>"


class BytePairEncoding(NamedTuple):
    """GPT-2's files.

    Attributes:
        encoder: Numbers of the tokens, which are bytes written as printable characters.
        merges: Pairs of tokens that become one, the most frequent first.
    """

    encoder: dict[str, int]
    merges: list[tuple[str, str]]


def read_byte_pair_encoding(folder: str | os.PathLike) -> BytePairEncoding:
    """Reads `encoder.json` and `vocab.bpe` from a folder.

    Raises:
        FileNotFoundError: One of them is not there.
        ValueError: One of them is something else, or they do not belong together.
    """
    for name in (ENCODER_FILE, MERGES_FILE):
        if not (Path(folder) / name).is_file():
            raise FileNotFoundError(
                f"There is no {name} in {os.fspath(folder)!r}: expected a folder with GPT-2's {ENCODER_FILE} and "
                f"{MERGES_FILE}."
            )
    encoding = BytePairEncoding(_read_encoder(Path(folder) / ENCODER_FILE), _read_merges(Path(folder) / MERGES_FILE))
    unknown = [token for pair in encoding.merges for token in (*pair, "".join(pair)) if token not in encoding.encoder]
    if unknown:
        raise ValueError(
            f"{MERGES_FILE} in {os.fspath(folder)!r} merges tokens that {ENCODER_FILE} does not have: "
            f"{_shorten(unknown)}."
        )
    return encoding


def _read_encoder(path: Path) -> dict[str, int]:
    try:
        encoder = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)!r} is no JSON: {error}.") from None
    is_encoder = isinstance(encoder, dict) and all(type(number) is int for number in encoder.values())
    if not is_encoder or len(set(encoder.values())) != len(encoder):
        raise ValueError(f"{os.fspath(path)!r} must map tokens to numbers, each number once.")
    return encoder


def _read_merges(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{os.fspath(path)!r} is no text in UTF-8: {error}.") from None
    merges = []
    for number, line in enumerate(lines, start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        first, _, second = line.partition(" ")
        if not first or not second or " " in second:
            raise ValueError(f"{os.fspath(path)!r} must have two tokens in line {number}, found {line[:80]!r}.")
        merges.append((first, second))
    return merges


def make_roberta_tokenizer(
    dictionary: FairseqDictionary, encoding: BytePairEncoding, *, vocab_size: int, model_max_length: int
) -> RobertaTokenizer:
    """A tokenizer that gives the numbers that fairseq gives: text to GPT-2's tokens, and these to their places in the
    dictionary, whose symbols are GPT-2's numbers.

    A text that contains the characters of a special token, such as `<s>`, gets that token here, as everywhere in
    transformers; the original would encode the characters.

    Args:
        dictionary: fairseq's `dict.txt`.
        encoding: GPT-2's files.
        vocab_size: Tokens of the model: the dictionary, and `<mask>`, which fairseq's tasks add.
        model_max_length: Longest text of the model.

    Raises:
        ValueError: The three do not belong together, or tokens are missing in the dictionary.
    """
    vocabulary = _vocabulary(dictionary, encoding)
    if MASK not in vocabulary:
        vocabulary[MASK] = len(vocabulary)
    if len(vocabulary) != vocab_size:
        raise ValueError(
            f"The dictionary has {len(dictionary.symbols)} symbols, the four special ones included, which is "
            f"{len(vocabulary)} with {MASK}, but the model has {vocab_size} tokens. Is it its dictionary?"
        )
    missing = [token for token in encoding.encoder if token not in vocabulary and token != END_OF_TEXT]
    if missing:
        raise ValueError(
            f"{len(missing)} tokens of {ENCODER_FILE} are not in the dictionary: {_shorten(missing)}. The original "
            "reads them as <unk> wherever they come up, which a tokenizer of transformers cannot do. Dictionaries "
            "made with `--srcdict` of GPT-2's have all of them."
        )
    merges: Any = encoding.merges  # its annotation knows lines only, but it takes pairs
    return RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=model_max_length)


def _vocabulary(dictionary: FairseqDictionary, encoding: BytePairEncoding) -> dict[str, int]:
    """Tokens by their place in the dictionary. Symbols that are no number of GPT-2 (`madeupword0000`) stay."""
    tokens = {str(number): token for token, number in encoding.encoder.items()}
    names = [tokens.get(symbol, symbol) for symbol in dictionary.symbols[len(SPECIAL_SYMBOLS) :]]
    vocabulary = {name: number for number, name in enumerate((*SPECIAL_SYMBOLS, *names))}
    if len(vocabulary) != len(dictionary.symbols):
        raise ValueError("The dictionary and the tokens have names in common: some of its symbols would be the same.")
    if not any(symbol in tokens for symbol in dictionary.symbols):
        raise ValueError(
            f"No symbol of the dictionary is a number of {ENCODER_FILE}: is it the dict.txt of text encoded with it?"
        )
    return vocabulary


def _shorten(names: Iterable[str], limit: int = 10) -> str:
    names = list(dict.fromkeys(names))
    shown = ", ".join(map(repr, names[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
