# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the tests of training share: generated recordings, and the training scripts as modules."""

import csv
import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import numpy as np
import soundfile
from PIL import Image

SCRIPTS = Path(__file__).parents[1] / "training_scripts"
TRANSCRIPTS = ("one two", "Three.", "two, one", "three one")

# What every run of a test has in common: no accelerator, no reports, no DataLoader workers.
QUICK = ["--use_cpu", "--report_to", "none", "--disable_tqdm", "true", "--dataloader_num_workers", "0"]


def write_recordings(folder: Path, count: int = 12, seed: int = 0, sampling_rate: int = 16000) -> Path:
    """Tones in noise of 0.4 to 1.2 s; the tone says which of the four transcripts belongs to it."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for index in range(count):
        time = np.arange(int(sampling_rate * generator.uniform(0.4, 1.2))) / sampling_rate
        tone = 0.3 * np.sin(2 * np.pi * 200 * (index % 4 + 1) * time)
        noise = 0.05 * generator.standard_normal(len(time))
        soundfile.write(folder / f"{index:02d}.wav", (tone + noise).astype(np.float32), sampling_rate)
    return folder


def write_shards(folder: Path, num_shards: int, clips_per_shard: int) -> Path:
    """Parquet files of noise of 0.5 to 1.4 s, for streaming."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for shard in range(num_shards):
        audio = []
        for number in range(clips_per_shard):
            buffer = io.BytesIO()
            samples = generator.uniform(-0.5, 0.5, size=generator.integers(8000, 22_400))
            soundfile.write(buffer, samples, 16_000, format="FLAC")
            audio.append({"bytes": buffer.getvalue(), "path": f"{shard}-{number}.flac"})
        datasets.Dataset.from_dict({"audio": audio}).to_parquet(str(folder / f"train-{shard}.parquet"))
    return folder


def write_metadata(folder: Path) -> Path:
    """A metadata.csv with transcripts, one label, and several labels for the recordings of a folder."""
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "transcription", "label", "tags"])
        for index, path in enumerate(sorted(folder.glob("*.wav"))):
            tags = ("low;odd", "low", "high; odd", "high")[index % 4]
            writer.writerow([path.name, TRANSCRIPTS[index % 4], "low" if index % 4 < 2 else "high", tags])
    return folder


def write_images(folder: Path, count: int = 4, seed: int = 0, size: tuple[int, int] = (40, 48)) -> Path:
    """`count` images of noise for each of two labels, the sub-folders "dark" and "light"."""
    generator = np.random.default_rng(seed)
    for label, mean in (("dark", 60), ("light", 190)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = np.clip(generator.normal(mean, 20, (*size, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{index}.png")
    return folder


def load_script(name: str) -> ModuleType:
    """Imports a training script, which is no part of the package."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
