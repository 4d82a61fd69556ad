# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What `hf-ssl transcribe --stream` does: words on the standard output as they come, figures on stderr at the end."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

import numpy as np

from ..data.audio import AudioReadError, audio_info
from .live_audio import file_blocks, paced, pcm_blocks
from .loading import load_ctc_model
from .streaming import StreamingTranscriber
from .transcribing import TimedWord

STANDARD_INPUT = "-"


def run_stream(arguments: argparse.Namespace) -> None:
    """`hf-ssl transcribe --stream`; Ctrl-C ends it with what was heard.

    Raises:
        ValueError: Options or model are not for streams, or the audio could not be read to its end.
    """
    source = _check_arguments(arguments)
    loaded, tokenizer = load_ctc_model(arguments.model, device=arguments.device, dtype=arguments.dtype)
    transcriber = StreamingTranscriber(loaded, tokenizer)
    if transcriber.model.config.left_context_chunks is None:
        print(
            "The model's `left_context_chunks` is not set: each chunk sees all before it, and time and memory grow "
            "with the stream.",
            file=sys.stderr,
        )
    blocks = _open_blocks(arguments, source, transcriber.sampling_rate)
    failure = transcribe_stream(blocks, transcriber, sys.stdout, timestamps=arguments.timestamps)
    print(report(transcriber), file=sys.stderr)
    if failure is not None:
        raise failure


def transcribe_stream(
    blocks: Iterable[np.ndarray], transcriber: StreamingTranscriber, output: TextIO, *, timestamps: bool
) -> AudioReadError | None:
    """Writes the words of a stream, each when it is complete, until it ends, fails or is interrupted (Ctrl-C).

    Returns:
        What failed, after all that was heard until then has been written.
    """
    failure = None
    writer = _WordWriter(output, timestamps)
    try:
        for block in blocks:
            writer.write(transcriber.add(block))
    except KeyboardInterrupt:
        print("\nInterrupted; this is what was heard.", file=sys.stderr)
    except AudioReadError as error:
        failure = error
    writer.write(transcriber.finish())
    writer.end()
    return failure


def report(transcriber: StreamingTranscriber) -> str:
    """Real-time factor and latencies, in words."""
    seconds = transcriber.num_samples / transcriber.sampling_rate
    computing, times = transcriber.computing_seconds, transcriber.chunk_seconds
    factor = f"real-time factor {computing / seconds:.3f}" if seconds else "nothing heard"
    chunk, ahead = 1000 * transcriber.chunk_length, 1000 * transcriber.look_ahead
    lines = [f"{seconds:.2f} s of audio, {computing:.2f} s of computing: {factor}"]
    if len(times):
        percentiles = ", ".join(f"p{percent} {1000 * times.percentile(percent):.1f}" for percent in (50, 90, 99))
        lines.append(f"computing per chunk: {percentiles}, max {1000 * times.longest:.1f} ms ({len(times)} chunks)")
    lines.append(f"before that a chunk must be heard: {chunk:g} ms, and {ahead:g} ms of look-ahead")
    return "\n".join(lines)


def _check_arguments(arguments: argparse.Namespace) -> str:
    """The one file, which looks like audio, or `-`."""
    for name, default in arguments.not_for_streams.items():
        if vars(arguments)[name] != default:
            raise ValueError(f"--{name} has no use with --stream: leave it out")
    if len(arguments.files) != 1:
        raise ValueError(f"expected one file, or -, with --stream, got {len(arguments.files)}")
    (source,) = arguments.files
    if source != STANDARD_INPUT:
        if arguments.sampling_rate is not None:
            raise ValueError("--sampling_rate is for raw samples on the standard input (-): files say theirs")
        audio_info(source)
        return source
    if arguments.realtime:
        raise ValueError("--realtime is for files: the standard input (-) comes at its own pace")
    if arguments.sampling_rate is not None and arguments.sampling_rate < 1:
        raise ValueError(f"expected --sampling_rate of at least 1, got {arguments.sampling_rate}")
    if sys.stdin.isatty():
        raise ValueError(
            "expected raw audio on the standard input (-), which is a terminal. Pipe it in, for example: "
            "arecord -t raw -f S16_LE -r 16000 -c 1 | hf-ssl transcribe MODEL --stream -"
        )
    return source


def _open_blocks(arguments: argparse.Namespace, source: str, sampling_rate: int) -> Iterator[np.ndarray]:
    if source == STANDARD_INPUT:
        stream_sampling_rate = arguments.sampling_rate or sampling_rate
        return pcm_blocks(sys.stdin.buffer, stream_sampling_rate=stream_sampling_rate, sampling_rate=sampling_rate)
    blocks = file_blocks(source, sampling_rate=sampling_rate)
    return paced(blocks, sampling_rate=sampling_rate) if arguments.realtime else blocks


class _WordWriter:
    """Words on one line or, with their times, a line per word: start, end (seconds) and word, separated by tabs."""

    def __init__(self, output: TextIO, timestamps: bool) -> None:
        self._output = output
        self._timestamps = timestamps
        self._separator = ""

    def write(self, words: Iterable[TimedWord]) -> None:
        for word in words:
            if self._timestamps:
                print(f"{word.start:.3f}\t{word.end:.3f}\t{word.text}", file=self._output, flush=True)
            else:
                print(self._separator + word.text, end="", file=self._output, flush=True)
                self._separator = " "

    def end(self) -> None:
        if not self._timestamps:
            print(file=self._output, flush=True)
