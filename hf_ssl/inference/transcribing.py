# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Transcripts of audio files of any length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

import torch
from tqdm import tqdm

from .batching import EncodedWindow, Forward, Recording, encode_files, in_groups
from .ctc_decoding import CTCDecoder, Decoding, Word
from .inputs import Failures, InputFile
from .loading import LoadedModel, check_frames, probe_frames


class TimedWord(NamedTuple):
    """A recognised word and its time in the recording.

    Attributes:
        text (`str`): The word.
        start, end (`float`): Seconds.
    """

    text: str
    start: float
    end: float


class Transcript(NamedTuple):
    """What was recognised in a file.

    Attributes:
        path (`str`): The file.
        seconds (`float`): Its length.
        text (`str`): All that was recognised.
        words (`list[TimedWord]`): Its words with their times.
    """

    path: str
    seconds: float
    text: str
    words: list[TimedWord]


def transcribe(
    files: Sequence[InputFile],
    loaded: LoadedModel,
    decoder: CTCDecoder,
    *,
    batch_size: int = 8,
    window_seconds: float = 30.0,
    overlap_seconds: float = 3.0,
    failures: Failures,
) -> Iterator[Transcript]:
    """Transcribes files in their order, with a progress bar on stderr.

    Recordings longer than a window are encoded in overlapping windows; the frames of all windows, without their
    overlap, are decoded as one recording, so that words are neither lost nor doubled at the seams.

    Args:
        files: From [`list_inputs`].
        loaded: From [`load_ctc_model`].
        decoder: A [`GreedyDecoder`] or [`BeamSearchDecoder`].
        batch_size: Windows that the model sees at once.
        window_seconds: Length of a window.
        overlap_seconds: Part of it at either end that is only context.
        failures: Gets the files that cannot be used; the others go on.

    Raises:
        ValueError: The windows make no sense, or the model changes the frame rate; before anything is transcribed.
    """
    forward = _logits(loaded)
    size = loaded.window_size(window_seconds, overlap_seconds)
    encode = partial(encode_files, loaded=loaded, forward=forward, size=size, batch_size=batch_size, failures=failures)
    return _transcribe_groups(in_groups(files, batch_size), encode, decoder, loaded)


def _transcribe_groups(
    groups: Iterable[list[InputFile]],
    encode: Callable[..., Iterator[EncodedWindow]],
    decoder: CTCDecoder,
    loaded: LoadedModel,
) -> Iterator[Transcript]:
    with tqdm(desc="transcribe", unit="s", unit_scale=True, disable=None) as progress:
        for group in groups:
            done: dict[InputFile, Transcript] = {}
            for recording, windows in groupby(encode(group, progress=progress), key=lambda item: item.recording):
                is_complete = False
                for _, window, logits in windows:
                    decoder.add(logits)
                    is_complete = window.is_last
                decoding = decoder.finish()
                if is_complete:  # otherwise reading failed on the way
                    done[recording.file] = _transcript(recording, decoding, loaded)
            yield from (done[file] for file in group if file in done)


def _logits(loaded: LoadedModel) -> Forward:
    def forward(inputs: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        return loaded.model(inputs, attention_mask=attention_mask).logits

    with torch.inference_mode():
        check_frames(forward(probe_frames(loaded), None), loaded.model)
    return forward


def _transcript(recording: Recording, decoding: Decoding, loaded: LoadedModel) -> Transcript:
    seconds = recording.num_samples / loaded.inputs.sampling_rate
    return Transcript(
        recording.file.path, seconds, decoding.text, timed_words(decoding.words, loaded.seconds_per_frame)
    )


def timed_words(words: Iterable[Word], seconds_per_frame: float) -> list[TimedWord]:
    """From frames to seconds."""
    return [
        TimedWord(word.text, word.first_frame * seconds_per_frame, word.end_frame * seconds_per_frame)
        for word in words
    ]
