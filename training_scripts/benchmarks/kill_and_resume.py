#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Kills pre-training at random moments, goes on from its folder, and compares it with a run that nobody killed.

    OMP_NUM_THREADS=1 python training_scripts/benchmarks/kill_and_resume.py --output_dir FOLDER --kills 25

For six of the eight model types (not data2vec's for text and images): a run with two workers, accumulation over two
batches (of seconds, for speech), everything random switched on, and a checkpoint after every update. It is killed by
SIGKILL again and again, also while it writes a checkpoint, and resumed by `--resume_from_checkpoint last`, until it is
done. Its losses must be those of the run that was not killed, to the last bit. On Linux; the runs are forked, which
saves the imports.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from PIL import Image

from hf_ssl.training.checkpoints import read_record

SPEECH = ("data2vec2-audio", "best-rq", "data2vec-audio", "data2vec-aqc")
MODEL_TYPES = (*SPEECH, "data2vec2-vision", "data2vec2-text")
SCRIPTS = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, int]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", required=True, metavar="FOLDER")
    parser.add_argument("--kills", type=int, default=25, help="per model type (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="updates of a run (default: %(default)s)")
    parser.add_argument("--model_types", nargs="+", default=MODEL_TYPES, choices=MODEL_TYPES)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    arguments = parser.parse_args(argv)
    folder = Path(arguments.output_dir)
    torch.set_num_threads(1)  # threads do not survive a fork

    counts = {}
    for model_type in arguments.model_types:
        run = make_run(model_type, folder, arguments.steps)
        started = time.monotonic()
        train(run, folder / model_type / "whole", kill_after=None)
        seconds = time.monotonic() - started
        expected = losses(folder / model_type / "whole")
        generator = random.Random(arguments.seed)
        counts[model_type] = {"runs": 0, "kills": 0, "half-written": 0, "different": 0}
        while counts[model_type]["kills"] < arguments.kills:
            output_dir = folder / model_type / f"killed_{counts[model_type]['runs']}"
            killed, half_written = train_with_kills(run, output_dir, generator, seconds)
            counts[model_type]["runs"] += 1
            counts[model_type]["kills"] += killed
            counts[model_type]["half-written"] += half_written
            counts[model_type]["different"] += losses(output_dir) != expected
            print(f"{model_type}: {counts[model_type]}", flush=True)
    return counts


class Run(NamedTuple):
    """A script of pre-training, by its name, and its flags but for the output folder."""

    script: str
    flags: list[str]


def make_run(model_type: str, folder: Path, num_steps: int) -> Run:
    """A run in which all that can be random is."""
    flags = [
        *("--model_size", "tiny", "--gradient_accumulation_steps", "2", "--dataloader_num_workers", "2"),
        *("--max_steps", str(num_steps), "--save_steps", "1", "--save_total_limit", "2", "--logging_steps", "1"),
        *("--use_cpu", "--report_to", "none", "--disable_tqdm", "true"),
    ]
    dropouts = {"layerdrop": 0.2, "hidden_dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}
    if model_type == "data2vec2-vision":
        dropouts = {"drop_path_rates": [0.1, 0.2], "hidden_dropout": 0.1, "attention_dropout": 0.1}
        data = ["--data", str(write_images(folder / "images")), "--per_device_train_batch_size", "4"]
        return Run("pretrain_vision", [*flags, *data, "--config_overrides", json.dumps(dropouts)])
    if model_type == "data2vec2-text":
        data = ["--data", str(write_texts(folder / "texts")), "--per_device_train_batch_size", "2"]
        tokens = ["--train_tokenizer", "300", "--block_size", "64"]
        return Run("pretrain_text", [*flags, *data, *tokens, "--config_overrides", json.dumps(dropouts)])
    data = ["--data", str(write_noise(folder / "recordings")), "--min_seconds", "0.3", "--max_seconds", "1.0"]
    augmentation = ["--white_noise_prob", "0.8", "--gain_prob", "0.5"] if model_type == "data2vec-aqc" else []
    speech = ["--model_type", model_type, "--batch_seconds", "3", "--config_overrides", json.dumps(dropouts)]
    return Run("pretrain_speech", [*flags, *speech, *data, *augmentation])


def write_images(folder: Path, count: int = 24) -> Path:
    """Images of noise, larger than their crops."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for index in range(count):
        pixels = generator.integers(0, 256, size=(40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    return folder


def write_texts(folder: Path, count: int = 4) -> Path:
    """Files of lines of invented words."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(list("abcdefghij"), size=5)) for _ in range(200)]
    for index in range(count):
        lines = [" ".join(generator.choice(words, size=12)) for _ in range(300)]
        (folder / f"{index}.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_noise(folder: Path, count: int = 24) -> Path:
    """Recordings of half a second to two seconds, some of which are cropped at random."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for index in range(count):
        samples = 0.1 * generator.standard_normal(int(generator.uniform(8_000, 32_000)))
        soundfile.write(folder / f"{index:02d}.wav", samples, 16_000)
    return folder


def train_with_kills(run: Run, output_dir: Path, generator: random.Random, seconds: float) -> tuple[int, int]:
    """Trains until done; returns how often it was killed, and how often that left a half-written checkpoint."""
    kills = half_written = 0
    while True:
        if train(run, output_dir, kill_after=generator.uniform(0.0, 0.4 * seconds)):
            return kills, half_written
        kills += 1
        half_written += any(read_record(checkpoint) is None for checkpoint in output_dir.glob("checkpoint-*"))


def is_resumable(output_dir: Path) -> bool:
    """Whether a run came as far as its first checkpoint."""
    return any(read_record(checkpoint) is not None for checkpoint in output_dir.glob("checkpoint-*"))


def train(run: Run, output_dir: Path, kill_after: float | None) -> bool:
    """Begins or goes on in a fork, and kills it after so many seconds; returns whether it finished."""
    resume = ["--resume_from_checkpoint", "last"] if is_resumable(output_dir) else []
    arguments = [*run.flags, "--output_dir", str(output_dir), *resume]
    process = multiprocessing.get_context("fork").Process(target=run_pretraining, args=(run.script, arguments))
    process.start()
    process.join(kill_after)
    if process.is_alive():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"Pre-training failed with exit status {process.exitcode}: see above.")
    return process.exitcode == 0


def run_pretraining(script: str, arguments: Sequence[str]) -> None:
    spec = importlib.util.spec_from_file_location(script, SCRIPTS / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(arguments)


def losses(output_dir: Path) -> list[float]:
    """All that was logged of the loss."""
    history = json.loads((output_dir / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


if __name__ == "__main__":
    main()
