# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A folder in which a tenth of the files is broken: the run trains on the rest and lists every broken file once."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from training_helpers import QUICK, load_script

RATE = 16_000


def write_good(folder: Path, count: int) -> None:
    generator = np.random.default_rng(0)
    for index in range(count):
        seconds = generator.uniform(0.4, 0.9)
        soundfile.write(folder / f"good_{index:03d}.wav", 0.1 * generator.standard_normal(int(RATE * seconds)), RATE)


def write_truncated(path: Path) -> None:
    """A FLAC file whose end is missing."""
    soundfile.write(path, 0.1 * np.random.default_rng(1).standard_normal(RATE), RATE)
    path.write_bytes(path.read_bytes()[:600])


def write_nan(path: Path) -> None:
    soundfile.write(path, np.full(RATE, np.nan, dtype=np.float32), RATE, subtype="FLOAT")


def write_three_hours(path: Path) -> None:
    """Silence that is cut into windows: nothing is wrong with it."""
    with soundfile.SoundFile(path, "w", samplerate=8_000, channels=1) as file:
        for _ in range(180):
            file.write(np.zeros(60 * 8_000))


def write_stereo(path: Path) -> None:
    """Mixed to mono and resampled: nothing is wrong with it either."""
    soundfile.write(path, 0.1 * np.random.default_rng(2).standard_normal((44_100 // 2, 2)), 44_100)


BROKEN = {
    "truncated.flac": write_truncated,
    "empty.wav": lambda path: path.write_bytes(b""),
    "wrong_extension.flac": lambda path: path.write_bytes(b"ID3\x04\x00\x00\x00\x00\x00\x00 no audio at all"),
    "not_audio.wav": lambda path: path.write_text("a letter, not a recording"),
    "one_sample.wav": lambda path: soundfile.write(path, np.zeros(1), RATE),
    "nan.wav": write_nan,
}
UNUSUAL = {"three_hours.flac": write_three_hours, "stereo.wav": write_stereo}


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_tenth_of_the_files_is_broken(count: int, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    num_broken = count // 10
    write_good(folder, count - num_broken - len(UNUSUAL))
    for name, write in UNUSUAL.items():
        write(folder / name)
    kinds = list(BROKEN)
    expected = [f"{index:03d}_{kinds[index % len(kinds)]}" for index in range(num_broken)]
    for index, name in enumerate(expected):
        BROKEN[kinds[index % len(kinds)]](folder / name)

    output_dir = tmp_path / "out"
    arguments = ["--data", str(folder), "--output_dir", str(output_dir), "--model_size", "tiny", *QUICK]
    arguments += ["--min_seconds", "0.3", "--max_seconds", "60", "--max_steps", "2", "--save_strategy", "no"]
    trainer = load_script("pretrain_speech").main([*arguments, "--batch_seconds", "60"])
    dataset = trainer.train_dataset
    assert all(np.isfinite(dataset[index]["input_values"]).all() for index in range(len(dataset)))  # the whole epoch

    # 180 windows of a minute each from the three hours; what is broken behind its header counts until it is decoded
    usable = count - num_broken - 1 + 180
    assert usable <= len(dataset) <= usable + num_broken
    listed = [json.loads(line) for line in (output_dir / "_skipped_files.jsonl").read_text().splitlines()]
    assert Counter(Path(entry["file"]).name for entry in listed) == Counter(expected)
    assert all(entry["reason"] for entry in listed)
    reasons = {kind: {e["reason"] for e in listed if e["file"].endswith(kind)} for kind in kinds}
    assert "too short" in next(iter(reasons["one_sample.wav"]))
    assert "not finite" in next(iter(reasons["nan.wav"]))
    assert trainer.state.global_step == 2
    assert f"{num_broken} file(s) skipped" in dataset.skipped.summary()
