# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Reading audio with soundfile and resampling it with soxr.

`datasets` decodes audio through torchcodec only, whose wheel needs CUDA libraries; soundfile needs nothing, and reads
a part of a file without decoding the rest.
"""

import io
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg", ".opus", ".mp3")

# Files are decoded in blocks, so that a header that announces more than the file holds cannot exhaust the memory.
_BLOCK_SAMPLES = 1 << 20
# libsndfile answers with the largest 64-bit integer where a header does not say the length (FLAC written to a pipe);
# soundfile cannot read such files.
_UNKNOWN_NUM_SAMPLES = 1 << 62


class AudioReadError(ValueError):
    """Audio that cannot be used.

    Attributes:
        path (`str`): The file, or a description of the bytes that were given.
        reason (`str`): Why, in plain words: `"<kind>: <detail>"` or `"<kind>"`.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class AudioInfo(NamedTuple):
    """What the header of an audio file says.

    Attributes:
        num_samples (`int`): Samples per channel, at the file's own sampling rate.
        sampling_rate (`int`): Samples per second.
        num_channels (`int`): Number of channels.
    """

    num_samples: int
    sampling_rate: int
    num_channels: int


def audio_info(source: str | os.PathLike | bytes) -> AudioInfo:
    """Reads the header of a file (or of an encoded file's bytes) without decoding it.

    Args:
        source (`str`, `os.PathLike` or `bytes`): A path, or the content of an audio file.

    Raises:
        AudioReadError: If the source is missing, empty, or not audio.
    """
    with _open(source) as sound_file:
        if sound_file.frames == 0:
            raise AudioReadError(_describe(source), "empty: no samples")
        return AudioInfo(sound_file.frames, sound_file.samplerate, sound_file.channels)


def read_audio(
    source: str | os.PathLike | bytes, *, sampling_rate: int, start: float = 0.0, duration: float | None = None
) -> np.ndarray:
    """Reads a part of a recording: channels averaged, resampled (soxr HQ).

    Only the part asked for is decoded. A recording that ends before `start + duration` gives what there is. For lossy
    formats a part differs from the same part of the whole: an Opus decoder needs a moment to settle (differences below
    0.01), and libvorbis is 128 samples off in the last page of a file.

    Args:
        source (`str`, `os.PathLike` or `bytes`): A path, or the content of an audio file.
        sampling_rate (`int`): Samples per second of the result.
        start (`float`): Where to begin, in seconds.
        duration (`float`, *optional*): How much to read, in seconds; to the end if not given.

    Returns:
        `np.ndarray` of shape `(num_samples,)`, float32, mono, at `sampling_rate`.

    Raises:
        AudioReadError: If the source is missing, empty, not audio or damaged, if `start` lies past its end, or if it
            holds NaN or infinite samples.
        ValueError: If `sampling_rate`, `start` or `duration` make no sense.
    """
    if sampling_rate <= 0 or start < 0 or (duration is not None and duration <= 0):
        raise ValueError(
            "expected sampling_rate > 0, start >= 0 and duration > 0 (or None), got "
            f"sampling_rate={sampling_rate}, start={start}, duration={duration}"
        )
    path = _describe(source)
    with _open(source) as sound_file:
        file_sampling_rate = sound_file.samplerate
        _seek(sound_file, path, start)
        num_samples = None if duration is None else max(round(duration * file_sampling_rate), 1)
        samples = _read_samples(sound_file, path, num_samples)
    if len(samples) == 0:
        raise AudioReadError(path, f"empty: no samples from {start:.3f} s on")
    if not np.isfinite(samples).all():
        raise AudioReadError(path, "not finite: NaN or infinite samples")
    return _resample(samples.mean(axis=1), path, file_sampling_rate, sampling_rate)


def stream_audio(source: str | os.PathLike | bytes, *, sampling_rate: int) -> Iterator[np.ndarray]:
    """A recording in blocks, one after the other the same as `read_audio` gives at once.

    The file is decoded from its beginning to its end, without seeking, and the resampler carries on over the blocks,
    so that there are no seams; about a minute of audio is held at a time.

    Yields:
        `np.ndarray` of shape `(num_samples,)`, float32, mono, at `sampling_rate`; not empty.

    Raises:
        AudioReadError: If the source is missing, empty, not audio, damaged, or not finite; before the block concerned.
    """
    path = _describe(source)
    with _open(source) as sound_file:
        resampler = soxr.ResampleStream(sound_file.samplerate, sampling_rate, 1, dtype="float32", quality="HQ")
        is_last, is_empty = False, True
        while not is_last:
            samples = _read_samples(sound_file, path, _BLOCK_SAMPLES)
            is_last = len(samples) < _BLOCK_SAMPLES
            if not np.isfinite(samples).all():
                raise AudioReadError(path, "not finite: NaN or infinite samples")
            block = samples.mean(axis=1)
            if sound_file.samplerate != sampling_rate:
                block = resampler.resample_chunk(block, last=is_last)
            if len(block):
                is_empty = False
                yield block
    if is_empty:
        raise AudioReadError(path, "empty: no samples")


def _describe(source: str | os.PathLike | bytes) -> str:
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else os.fspath(source)


def _open(source: str | os.PathLike | bytes) -> soundfile.SoundFile:
    path = _describe(source)
    if not isinstance(source, bytes) and not os.path.isfile(source):
        raise AudioReadError(path, "not found: no such file")
    if (len(source) if isinstance(source, bytes) else os.path.getsize(source)) == 0:
        raise AudioReadError(path, "empty: zero bytes")
    try:
        sound_file = soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else path)
    except soundfile.LibsndfileError as error:
        # error_string, not str(error): for an mp3 that is not one libsndfile claims that the file does not exist.
        detail = "" if "does not exist" in error.error_string else f" ({error.error_string.rstrip('.')})"
        reason = f"unreadable: not wav, flac, ogg, opus or mp3 audio, or its header is damaged{detail}"
        raise AudioReadError(path, reason) from error
    except (TypeError, OSError) as error:  # a header-less .raw file; no permission
        raise AudioReadError(path, f"unreadable: {error}") from error
    if sound_file.frames >= _UNKNOWN_NUM_SAMPLES:
        sound_file.close()
        raise AudioReadError(path, "unreadable: the header does not say the length (written to a pipe?); re-encode it")
    return sound_file


def _seek(sound_file: soundfile.SoundFile, path: str, start: float) -> None:
    first_sample = round(start * sound_file.samplerate)
    if first_sample == 0:
        return
    if first_sample >= sound_file.frames:
        seconds = sound_file.frames / sound_file.samplerate
        raise AudioReadError(path, f"past the end: starts at {start:.3f} s, the recording has {seconds:.3f} s")
    try:
        sound_file.seek(first_sample)
    except soundfile.LibsndfileError as error:
        raise AudioReadError(path, f"damaged: {error.error_string} (seeking {start:.3f} s)") from error


def _read_samples(sound_file: soundfile.SoundFile, path: str, num_samples: int | None) -> np.ndarray:
    """Up to `num_samples` from the current position, `(num_samples, num_channels)`; all if `None`."""
    blocks = [np.zeros((0, sound_file.channels), dtype=np.float32)]
    remaining = _UNKNOWN_NUM_SAMPLES if num_samples is None else num_samples
    try:
        while remaining > 0:
            blocks.append(sound_file.read(min(remaining, _BLOCK_SAMPLES), dtype="float32", always_2d=True))
            remaining -= len(blocks[-1])
            if len(blocks[-1]) == 0:
                break
    except soundfile.LibsndfileError as error:
        raise AudioReadError(path, f"damaged: {error.error_string.rstrip('.')}") from error
    return np.concatenate(blocks)


def _resample(waveform: np.ndarray, path: str, file_sampling_rate: int, sampling_rate: int) -> np.ndarray:
    if file_sampling_rate == sampling_rate:
        return waveform
    resampled = soxr.resample(waveform, file_sampling_rate, sampling_rate, quality="HQ")
    if len(resampled) == 0:
        raise AudioReadError(path, f"empty: no samples left at {sampling_rate} Hz")
    return resampled
