# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Beam search with an n-gram language model, by pyctcdecode and KenLM (extra `[lm]`)."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import Wav2Vec2CTCTokenizer

from .ctc_decoding import Decoding, Word, silent_ids

if TYPE_CHECKING:
    from pyctcdecode import BeamSearchDecoderCTC

LANGUAGE_MODEL_EXTENSIONS = (".arpa", ".bin", ".binary")
DEFAULT_BEAM_WIDTH = 100
# pyctcdecode 0.5.0, the last, forbids numpy 2 in its metadata and runs with it: no resolver can install the two.
INSTALL_HINT = 'pip install "hf-ssl[lm]" && pip install --no-deps pyctcdecode==0.5.0'

# Pieces that are searched at once: the time of a search grows faster than its length.
_MAX_FRAMES = 3000
_LOWEST_LOG_PROB = -1e4


def make_beam_search_decoder(
    tokenizer: Wav2Vec2CTCTokenizer,
    language_model: str | os.PathLike | None = None,
    *,
    language_model_weight: float = 0.5,
    word_bonus: float = 1.5,
) -> "BeamSearchDecoderCTC":
    """A pyctcdecode decoder for a model's tokens.

    It also fits transformers' `Wav2Vec2ProcessorWithLM(feature_extractor, tokenizer, decoder)` and
    `pipeline("automatic-speech-recognition", ..., decoder=decoder)` (both deprecated by transformers).

    Args:
        tokenizer (`Wav2Vec2CTCTokenizer`): The model's.
        language_model (`str` or `os.PathLike`, *optional*):
            An n-gram model over words, spelt as the tokenizer spells them: .arpa, or KenLM's .bin. A .bin does not
            list its words; with .arpa, beginnings of words that it does not know are held to be less likely.
        language_model_weight (`float`): Weight of its log probabilities beside the acoustic ones (alpha).
        word_bonus (`float`): Added for every word, since a language model prefers few words (beta).

    Raises:
        ImportError: The extra `[lm]` is not installed.
        ValueError: The file is missing, or is no language model.
    """
    pyctcdecode = _import_pyctcdecode(needs_language_model=language_model is not None)
    labels = _labels(tokenizer)
    if language_model is None:
        return pyctcdecode.build_ctcdecoder(labels)
    path = _check_language_model(language_model)
    try:
        return pyctcdecode.build_ctcdecoder(
            labels,
            kenlm_model_path=path,
            unigrams=_read_words(path) if path.endswith(".arpa") else None,
            alpha=language_model_weight,
            beta=word_bonus,
        )
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path} is no n-gram language model that KenLM can read: {error}") from error


class BeamSearchDecoder:
    """Beam search over the pieces of recordings.

    Recordings of more than a minute are cut in the middle of the longest pause of the last half minute, and only the
    best hypothesis of a piece (with the language model's state) goes on to the next. A minute of logits is held.

    Args:
        tokenizer (`Wav2Vec2CTCTokenizer`): The model's.
        decoder (`BeamSearchDecoderCTC`): From [`make_beam_search_decoder`].
        beam_width (`int`): Hypotheses that are kept from frame to frame.
    """

    def __init__(
        self,
        tokenizer: Wav2Vec2CTCTokenizer,
        decoder: "BeamSearchDecoderCTC",
        beam_width: int = DEFAULT_BEAM_WIDTH,
    ) -> None:
        if beam_width < 1:
            raise ValueError(f"expected a beam width of at least 1, got {beam_width}")
        self.decoder = decoder
        self.beam_width = beam_width
        self._silent_ids = silent_ids(tokenizer)
        self._blank_id = tokenizer.pad_token_id
        self._pause_ids = [tokenizer.pad_token_id, tokenizer.word_delimiter_token_id]
        self._begin()

    def _begin(self) -> None:
        self._held: np.ndarray | None = None
        self._num_done = 0
        self._state: Any = None
        self._words: list[Word] = []

    def add(self, logits: torch.Tensor) -> None:
        """Takes the next frames of the recording, `(num_frames, vocab_size)`."""
        log_probs = self._log_probs(logits)
        self._held = log_probs if self._held is None else np.concatenate([self._held, log_probs])
        while len(self._held) > _MAX_FRAMES:
            cut = middle_of_longest_run(
                np.isin(self._held[:_MAX_FRAMES].argmax(-1), self._pause_ids), first=_MAX_FRAMES // 2
            )
            self._decode(self._held[:cut])
            self._held = self._held[cut:]

    def finish(self) -> Decoding:
        """Returns what was recognised since the last `finish`, and begins a new recording."""
        if self._held is not None and len(self._held):
            self._decode(self._held)
        words = self._words
        self._begin()
        return Decoding(" ".join(word.text for word in words), words)

    def _log_probs(self, logits: torch.Tensor) -> np.ndarray:
        """As in greedy decoding, special tokens that stand for no text count as blanks."""
        log_probs = logits.float().log_softmax(-1)
        blank = log_probs[:, self._silent_ids].logsumexp(-1)
        log_probs[:, self._silent_ids] = _LOWEST_LOG_PROB
        log_probs[:, self._blank_id] = blank
        return log_probs.numpy()

    def _decode(self, log_probs: np.ndarray) -> None:
        beams = self.decoder.decode_beams(log_probs, beam_width=self.beam_width, lm_start_state=self._state)
        _, self._state, word_frames, *_ = beams[0]
        for text, (first_frame, end_frame) in word_frames:
            self._words.append(Word(text, self._num_done + first_frame, self._num_done + end_frame))
        self._num_done += len(log_probs)


def middle_of_longest_run(is_pause: np.ndarray, first: int) -> int:
    """The middle of the longest run of `True` at or behind `first`; the end of the array if there is none.

    Args:
        is_pause (`np.ndarray` of shape `(num_frames,)`): Whether a frame belongs to a pause.
        first (`int`): Where to begin to look, at least 1.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_pause[first:], [False]]).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    if len(begins) == 0:
        return len(is_pause)
    longest = int(np.argmax(ends - begins))
    return first + int(begins[longest] + ends[longest]) // 2


def _import_pyctcdecode(needs_language_model: bool) -> Any:
    try:
        if needs_language_model:
            import kenlm  # noqa: F401  # pyctcdecode itself only warns when it is missing
        import pyctcdecode
    except ImportError as error:
        raise ImportError(
            f"beam search needs the extra [lm], pyctcdecode and KenLM ({error}); install them with: {INSTALL_HINT}"
        ) from error
    return pyctcdecode


def _labels(tokenizer: Wav2Vec2CTCTokenizer) -> list[str]:
    """What each logit stands for, in pyctcdecode's spelling: blank "", space " "."""
    labels = tokenizer.convert_ids_to_tokens(list(range(tokenizer.vocab_size)))
    names = {tokenizer.pad_token: "", tokenizer.word_delimiter_token: " ", tokenizer.unk_token: "<unk>"}
    return [names.get(label, label) for label in labels]


def _check_language_model(language_model: str | os.PathLike) -> str:
    path = os.fspath(language_model)
    if not os.path.isfile(path):
        raise ValueError(f"no such language model: {path}")
    if not path.endswith(LANGUAGE_MODEL_EXTENSIONS):
        raise ValueError(f"expected a language model in one of {LANGUAGE_MODEL_EXTENSIONS}, got {path}")
    return path


def _read_words(path: str) -> list[str]:
    """The words of an .arpa file. (pyctcdecode's own reader leaves out words without a back-off weight.)"""
    words = []
    in_unigrams = False
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("\\"):
                if in_unigrams:
                    break
                in_unigrams = line.strip() == "\\1-grams:"
            elif in_unigrams and line.strip():
                words.append(line.split()[1])
    words = [word for word in words if word not in ("<s>", "</s>", "<unk>")]
    if not words:
        raise ValueError(f"{path} lists no words: expected an .arpa file with a section \\1-grams:")
    return words
