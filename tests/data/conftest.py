# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Generated recordings for the tests of the data layer."""

from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile

AudioWriter = Callable[..., Path]

# libsndfile's names of format and subtype.
FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


def chirp(num_samples: int, num_channels: int = 1, seed: int = 0) -> np.ndarray:
    """`(num_samples, num_channels)`, float32, within -0.5 and 0.5, no two parts alike."""
    time = np.arange(num_samples)[:, None] / 16000
    phase = np.random.default_rng(seed).uniform(0, 6, size=num_channels)
    noise = np.random.default_rng(seed + 1).uniform(-0.1, 0.1, size=(num_samples, num_channels))
    return (0.4 * np.sin(2 * np.pi * (100 + 20 * time) * time + phase) + noise).astype(np.float32)


@pytest.fixture(autouse=True)
def local_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps what `datasets` prepares from the tests' files out of the user's cache, and keeps it quick."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    # After a pass over shuffled shards `datasets` sleeps 5 s, for downloads to end; there are none here.
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.01)


@pytest.fixture
def write_audio(tmp_path: Path) -> AudioWriter:
    """Writes a generated recording; the extension says the format."""

    def write(
        name: str,
        seconds: float = 1.0,
        sampling_rate: int = 16000,
        num_channels: int = 1,
        seed: int = 0,
        samples: np.ndarray | None = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind, subtype = FORMATS[path.suffix]
        if subtype not in soundfile.available_subtypes(kind):
            pytest.skip(f"this libsndfile does not write {kind}/{subtype}")
        if samples is None:
            samples = chirp(round(seconds * sampling_rate), num_channels, seed)
        else:
            subtype = "FLOAT" if path.suffix == ".wav" else subtype
        soundfile.write(path, samples, sampling_rate, format=kind, subtype=subtype)
        return path

    return write
