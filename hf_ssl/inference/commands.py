# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What `hf-ssl transcribe` and `hf-ssl features` do with their arguments. Nothing is written before all is checked."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from transformers import Wav2Vec2CTCTokenizer

from .ctc_decoding import CTCDecoder, GreedyDecoder
from .features import extract_features
from .inputs import Failures, InputFile, list_inputs
from .language_model import DEFAULT_BEAM_WIDTH, BeamSearchDecoder, make_beam_search_decoder
from .loading import load_ctc_model, load_encoder
from .transcribing import transcribe
from .transcript_formats import check_format, write_transcripts


def run_transcribe(arguments: argparse.Namespace) -> None:
    """`hf-ssl transcribe`; raises `ValueError` if anything could not be used, after doing all that could."""
    failures = Failures()
    files = _list_files(arguments, failures)
    check_format(arguments.format, timestamps=arguments.timestamps, num_files=len(files))
    loaded, tokenizer = load_ctc_model(arguments.model, device=arguments.device, dtype=arguments.dtype)
    transcripts = transcribe(
        files,
        loaded,
        _decoder(arguments, tokenizer),
        batch_size=arguments.batch_size,
        window_seconds=arguments.window_seconds,
        overlap_seconds=arguments.overlap_seconds,
        failures=failures,
    )
    with _open_output(arguments.output) as output:
        write_transcripts(
            transcripts, output, kind=arguments.format, timestamps=arguments.timestamps, with_path=len(files) > 1
        )
    failures.check()


def run_features(arguments: argparse.Namespace) -> None:
    """`hf-ssl features`; raises `ValueError` if anything could not be used, after doing all that could."""
    failures = Failures()
    layer = _layer(arguments.layer)
    files = _list_files(arguments, failures)
    loaded = load_encoder(arguments.model, device=arguments.device, dtype=arguments.dtype)
    num_written = extract_features(
        files,
        loaded,
        arguments.out,
        layer=layer,
        kind=arguments.format,
        batch_size=arguments.batch_size,
        window_seconds=arguments.window_seconds,
        overlap_seconds=arguments.overlap_seconds,
        failures=failures,
    )
    print(f"Wrote the features of {num_written} file(s) to {arguments.out}.")
    failures.check()


def _list_files(arguments: argparse.Namespace, failures: Failures) -> list[InputFile]:
    if arguments.batch_size < 1:
        raise ValueError(f"expected --batch_size of at least 1, got {arguments.batch_size}")
    files = list_inputs(arguments.files, failures)
    if not files:
        failures.check()
    return files


def _layer(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected --layer to be a number or all, got {text!r}") from None


def _decoder(arguments: argparse.Namespace, tokenizer: Wav2Vec2CTCTokenizer) -> CTCDecoder:
    if arguments.language_model is None and arguments.beam_width is None:
        return GreedyDecoder(tokenizer)
    decoder = make_beam_search_decoder(
        tokenizer,
        arguments.language_model,
        language_model_weight=arguments.language_model_weight,
        word_bonus=arguments.word_bonus,
    )
    beam_width = DEFAULT_BEAM_WIDTH if arguments.beam_width is None else arguments.beam_width
    return BeamSearchDecoder(tokenizer, decoder, beam_width)


@contextlib.contextmanager
def _open_output(path: str | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    if os.path.exists(path):
        raise ValueError(f"{path} exists: remove it, or give --output another name")
    try:
        file = open(path, "x", encoding="utf-8", newline="")  # noqa: SIM115  # closed below
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from error
    with file:
        yield file
