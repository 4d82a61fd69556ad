# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A recording to show."""

from typing import NamedTuple

import numpy as np

from ..data.audio import AudioReadError, read_audio
from ..data.skipped import SkippedFiles
from ..data.sources import audio_source, load_audio_sources
from .privacy import last_name
from .samples import SampleSource, check_index

LONGEST_SECONDS = 8.0


class SampleClip(NamedTuple):
    """The beginning of a recording: samples `(num_samples,)`, and a name without folders."""

    waveform: np.ndarray
    name: str


def read_clip(source: SampleSource, sampling_rate: int) -> SampleClip:
    """The first eight seconds of a recording.

    Raises:
        ValueError: There is none, or it cannot be read.
    """
    table = load_audio_sources(
        source.data,
        min_seconds=None,
        max_seconds=None,
        skipped=SkippedFiles(),
        split=source.split_name,
        sampling_rate=sampling_rate,
    )
    check_index(source.index, len(table))
    row = table[source.index]
    audio = row["path"] if row.get("path") else audio_source(row["audio"])
    if audio is None:
        raise ValueError(f"Item {source.index} of the data has no audio.")
    try:
        waveform = read_audio(
            audio,
            sampling_rate=sampling_rate,
            start=row["start"],
            duration=min(row["duration"], LONGEST_SECONDS),
        )
    except AudioReadError as error:
        raise ValueError(f"The sample cannot be read: {error}") from error
    return SampleClip(waveform, last_name(audio) if isinstance(audio, str) else f"item {source.index}")
