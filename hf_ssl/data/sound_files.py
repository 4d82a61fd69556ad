# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Folders of sounds, noises or impulse responses, from which parts are drawn."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .audio import AUDIO_EXTENSIONS, AudioReadError, audio_info, read_audio
from .skipped import SkippedFiles

# How many files in a row may turn out to be damaged when they are decoded.
_MAX_ATTEMPTS = 10


class SoundFiles:
    """The audio files of some folders, in a fixed order, whatever the file system's is.

    What is drawn does not depend on the item it is for: if the folders are those of the training recordings, an item
    gets its own recording as often as any other.

    Args:
        folders: Folders; nested ones count.
        sampling_rate: Samples per second of what is drawn.
        skipped: Takes files that cannot be used.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: There is no usable file.
    """

    def __init__(self, folders: Sequence[str | os.PathLike], *, sampling_rate: int, skipped: SkippedFiles):
        self.sampling_rate = sampling_rate
        self.skipped = skipped
        self.paths: list[str] = []
        self.seconds: list[float] = []
        for folder in folders:
            if not Path(folder).is_dir():
                raise FileNotFoundError(f"There is no folder {os.fspath(folder)!r} of sounds.")
            for path in sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in AUDIO_EXTENSIONS):
                self._add(str(path))
        if not self.paths:
            listed = ", ".join(repr(os.fspath(folder)) for folder in folders)
            raise ValueError(f"There is no usable {', '.join(AUDIO_EXTENSIONS)} file in {listed}.")

    def _add(self, path: str) -> None:
        try:
            info = audio_info(path)
        except AudioReadError as error:
            self.skipped.add(path, error.reason)
            return
        self.paths.append(path)
        self.seconds.append(info.num_samples / info.sampling_rate)

    def draw(self, num_samples: int, generator: np.random.Generator) -> np.ndarray:
        """A random part of a random file, repeated if the file is shorter; `(num_samples,)`, float32."""
        duration = num_samples / self.sampling_rate
        sound = self._read(generator, duration)
        return np.resize(sound, num_samples)  # repeats what is too short

    def draw_whole(self, generator: np.random.Generator) -> np.ndarray:
        """A random file; `(samples_of_the_file,)`, float32."""
        return self._read(generator, None)

    def _read(self, generator: np.random.Generator, duration: float | None) -> np.ndarray:
        """A file, or a part of it of at most `duration` seconds. Damaged ones are replaced, a pure function of the
        generator too."""
        for _ in range(_MAX_ATTEMPTS):
            index, position = int(generator.integers(len(self.paths))), generator.random()
            start = 0.0 if duration is None else position * max(0.0, self.seconds[index] - duration)
            try:
                return read_audio(self.paths[index], sampling_rate=self.sampling_rate, start=start, duration=duration)
            except AudioReadError as error:
                self.skipped.add(self.paths[index], error.reason)
        raise RuntimeError(
            f"{_MAX_ATTEMPTS} sounds in a row could not be read: {self.skipped.summary()}. Check that the files are "
            "still there and are whole."
        )
