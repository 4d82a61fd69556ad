# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What an encoder is shown: clips, images and texts, read when they are needed (or read already) and told apart by a
fingerprint."""

import hashlib
import os
from typing import Any, NamedTuple, TypeAlias

import datasets
import numpy as np
from PIL import Image

from ..data.audio import read_audio
from ..data.images import ImageReadError, read_image
from ..data.sources import audio_source


class Clip(NamedTuple):
    """A recording or a part of one: a path or the content of a file; `start` and `duration` in seconds."""

    source: str | bytes
    start: float
    duration: float

    def read(self, sampling_rate: int) -> np.ndarray:
        """`(num_samples,)`, see [`read_audio`]."""
        return read_audio(self.source, sampling_rate=sampling_rate, start=self.start, duration=self.duration)

    @property
    def name(self) -> str:
        return _name(self.source)

    def fingerprint(self) -> str:
        return f"clip {_fingerprint(self.source)} {self.start} {self.duration}"


class Picture(NamedTuple):
    """An image: a path or the content of a file."""

    source: str | bytes

    def read(self) -> Image.Image:
        """RGB, see [`read_image`].

        Raises:
            ValueError: It cannot be decoded.
        """
        is_path = isinstance(self.source, str)
        try:
            return read_image({"path": self.source, "bytes": None} if is_path else {"bytes": self.source})
        except ImageReadError as error:
            raise ValueError(f"{self.name}: {error.reason}") from error

    @property
    def name(self) -> str:
        return _name(self.source)

    def fingerprint(self) -> str:
        return f"image {_fingerprint(self.source)}"


class Text(NamedTuple):
    """A text."""

    text: str

    @property
    def name(self) -> str:
        return repr(f"{self.text:.40}")

    def fingerprint(self) -> str:
        return f"text {self.text}"


class LoadedClip(NamedTuple):
    """A clip that a data set of training has read: `(num_samples,)`, at the model's sampling rate."""

    samples: np.ndarray
    sampling_rate: int

    def read(self, sampling_rate: int) -> np.ndarray:
        """`(num_samples,)`.

        Raises:
            ValueError: It was read at another rate.
        """
        if sampling_rate != self.sampling_rate:
            raise ValueError(f"Expected a clip at {sampling_rate} Hz, got one at {self.sampling_rate} Hz.")
        return self.samples

    @property
    def name(self) -> str:
        return f"<{len(self.samples)} samples>"

    def fingerprint(self) -> str:
        return f"clip {_fingerprint(self.samples.tobytes())} {self.sampling_rate}"


class LoadedPicture(NamedTuple):
    """An image that a data set of training has read, and cropped."""

    image: Image.Image

    def read(self) -> Image.Image:
        return self.image

    @property
    def name(self) -> str:
        return f"<image of {self.image.width} x {self.image.height}>"

    def fingerprint(self) -> str:
        return f"image {_fingerprint(self.image.tobytes())}"


class TokenBlock(NamedTuple):
    """Tokens as a data set of training packs them, those that open and close texts among them."""

    input_ids: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"<{len(self.input_ids)} tokens>"

    def fingerprint(self) -> str:
        return f"tokens {self.input_ids}"


Item: TypeAlias = Clip | Picture | Text | LoadedClip | LoadedPicture | TokenBlock


def clips_of(table: datasets.Dataset) -> list[Clip]:
    """The rows of a table of [`load_audio_sources`]."""
    if "path" in table.column_names:
        return [
            Clip(*values) for values in zip(table["path"][:], table["start"][:], table["duration"][:], strict=True)
        ]
    return [Clip(_content(row["audio"]), row["start"], row["duration"]) for row in table]


def pictures_of(table: datasets.Dataset) -> list[Picture]:
    """The rows of a table of [`load_images`]."""
    return [Picture(_content(source)) for source in table["image"]]


def _content(value: dict[str, Any]) -> str | bytes:
    source = audio_source(value)
    if source is None:
        raise ValueError("A row of the data has neither a file's content nor a path: leave such rows out.")
    return source


def _name(source: str | bytes) -> str:
    return source if isinstance(source, str) else f"<{len(source)} bytes>"


def _fingerprint(source: str | bytes) -> str:
    """Of a file: where it is, how long, and when it was written; reading all of it would take as long as encoding."""
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=16).hexdigest()
    status = os.stat(source)
    return f"{os.path.abspath(source)} {status.st_size} {status.st_mtime_ns}"
