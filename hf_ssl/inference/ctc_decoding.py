# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""From the logits of connectionist temporal classification to words with times: the likeliest token of every frame."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import torch
from transformers import Wav2Vec2CTCTokenizer


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

    Args:
        tokenizer (`Wav2Vec2CTCTokenizer`): The model's.
    """

    def __init__(self, tokenizer: Wav2Vec2CTCTokenizer) -> None:
        self.stream = StreamingGreedyDecoder(tokenizer)
        self._words: list[Word] = []

    def add(self, logits: torch.Tensor) -> None:
        """Takes the next frames of the recording, `(num_frames, vocab_size)`."""
        self._words += self.stream.add(logits)

    def finish(self) -> Decoding:
        """Returns what was recognised since the last `finish`, and begins a new recording."""
        words = self._words + self.stream.finish()
        self._words = []
        return Decoding(" ".join(word.text for word in words), words)


class StreamingGreedyDecoder:
    """[`GreedyDecoder`] that gives each word once it is complete, that is when the next word delimiter has come.

    Holds the letters of one word.

    Args:
        tokenizer (`Wav2Vec2CTCTokenizer`): The model's.
        silent (`Iterable[int]`, *optional*): Tokens that stand for no text; see [`silent_ids`] if absent.
    """

    def __init__(self, tokenizer: Wav2Vec2CTCTokenizer, silent: Iterable[int] | None = None) -> None:
        self.tokenizer = tokenizer
        self._silent_ids = frozenset(silent_ids(tokenizer) if silent is None else silent)
        self._begin()

    def _begin(self) -> None:
        self._num_frames = 0
        self._last_id: int | None = None  # of the frame before; None after what stands for no letter
        self._begin_word()

    def _begin_word(self) -> None:
        self._letter_ids: list[int] = []
        self._first_frame, self._end_frame = 0, 0

    def add(self, logits: torch.Tensor) -> list[Word]:
        """Takes the next frames of the stream, `(num_frames, vocab_size)`; returns the words that they complete."""
        words = []
        for token_id in logits.argmax(-1).tolist():
            if token_id == self.tokenizer.word_delimiter_token_id:
                words += self._complete_word()
            self._add_frame(token_id)
        return words

    def finish(self) -> list[Word]:
        """Returns the last word, if there is one, and begins a new stream."""
        words = self._complete_word()
        self._begin()
        return words

    def _add_frame(self, token_id: int) -> None:
        is_letter = token_id not in self._silent_ids and token_id != self.tokenizer.word_delimiter_token_id
        if is_letter and token_id != self._last_id:
            if not self._letter_ids:
                self._first_frame = self._num_frames
            self._letter_ids.append(token_id)
        self._num_frames += 1
        if is_letter:
            self._end_frame = self._num_frames
        self._last_id = token_id if is_letter else None

    def _complete_word(self) -> list[Word]:
        if not self._letter_ids:
            return []
        text = "".join(self.tokenizer.convert_ids_to_tokens(self._letter_ids))
        word = Word(text.lower() if self.tokenizer.do_lower_case else text, self._first_frame, self._end_frame)
        self._begin_word()
        return [word]


def silent_ids(tokenizer: Wav2Vec2CTCTokenizer) -> list[int]:
    """Ids of the special tokens that stand for no text, the blank among them."""
    return [index for index in tokenizer.all_special_ids if index != tokenizer.word_delimiter_token_id]
