# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""From the logits of connectionist temporal classification to words with times: the likeliest token of every frame."""

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from transformers import Wav2Vec2CTCTokenizer

_MAX_FRAMES = 3000  # a minute


class Word(NamedTuple):
    """A recognised word.

    Attributes:
        text (`str`): The word.
        first_frame, end_frame (`int`): Its frames, the end exclusive. CTC models say when they recognise a letter, not
            when it sounds: times are good to some tens of milliseconds.
    """

    text: str
    first_frame: int
    end_frame: int


class Decoding(NamedTuple):
    """What was recognised in a recording.

    Attributes:
        text (`str`): The transcript.
        words (`list[Word]`): Its words, in order.
    """

    text: str
    words: list[Word]


class CTCDecoder(Protocol):
    """Decodes one recording after the other, each given in consecutive pieces."""

    def add(self, logits: torch.Tensor) -> None:
        """Takes the next frames of the recording, `(num_frames, vocab_size)`."""

    def finish(self) -> Decoding:
        """Returns what was recognised since the last `finish`, and begins a new recording."""


class GreedyDecoder:
    """The likeliest token of every frame; repeats are merged, then blanks dropped.

    Special tokens other than blank and word delimiter (`<s>`, `</s>`, `<unk>`) count as blanks. Dropping them with
    `tokenizer.batch_decode(..., skip_special_tokens=True)` would drop the blanks before repeats are merged, so that
    doubled letters became single ones ("hello" -> "helo"); without `skip_special_tokens`, as in transformers'
    recognition pipeline, `<s>` would stand in the text. Repeated spaces are one.

    Long recordings are decoded piece by piece, cut behind a word: about a minute of tokens is held.

    Args:
        tokenizer (`Wav2Vec2CTCTokenizer`): The model's.
    """

    def __init__(self, tokenizer: Wav2Vec2CTCTokenizer) -> None:
        self.tokenizer = tokenizer
        self._silent_ids = np.array(silent_ids(tokenizer))
        self._begin()

    def _begin(self) -> None:
        self._held = np.zeros(0, dtype=np.int64)
        self._num_done = 0
        self._words: list[Word] = []

    def add(self, logits: torch.Tensor) -> None:
        """Takes the next frames of the recording, `(num_frames, vocab_size)`."""
        token_ids = logits.argmax(-1).numpy()
        token_ids[np.isin(token_ids, self._silent_ids)] = self.tokenizer.pad_token_id
        self._held = np.concatenate([self._held, token_ids])
        if len(self._held) > _MAX_FRAMES:
            delimiters = np.flatnonzero(self._held == self.tokenizer.word_delimiter_token_id)
            self._decode(int(delimiters[-1]) + 1 if len(delimiters) else 0)

    def finish(self) -> Decoding:
        """Returns what was recognised since the last `finish`, and begins a new recording."""
        self._decode(len(self._held))
        words = self._words
        self._begin()
        return Decoding(" ".join(word.text for word in words), words)

    def _decode(self, num_frames: int) -> None:
        """Decodes the first frames of those that are held."""
        decoded: Any = self.tokenizer.decode(self._held[:num_frames], output_word_offsets=True)
        for offsets in decoded.word_offsets:
            text = offsets["word"].lower() if self.tokenizer.do_lower_case else offsets["word"]
            first_frame, end_frame = int(offsets["start_offset"]), int(offsets["end_offset"])
            self._words.append(Word(text, self._num_done + first_frame, self._num_done + end_frame))
        self._held = self._held[num_frames:]
        self._num_done += num_frames


def silent_ids(tokenizer: Wav2Vec2CTCTokenizer) -> list[int]:
    """Ids of the special tokens that stand for no text, the blank among them."""
    return [index for index in tokenizer.all_special_ids if index != tokenizer.word_delimiter_token_id]
