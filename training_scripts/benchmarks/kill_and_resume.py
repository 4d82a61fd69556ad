#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Kills pre-training at random moments, goes on from its folder, and compares it with a run that nobody killed.

    OMP_NUM_THREADS=1 python training_scripts/benchmarks/kill_and_resume.py --output_dir FOLDER --kills 25

For every model type: a run with two workers, accumulation over two batches of seconds, everything random switched on,
and a checkpoint after every update. It is killed by SIGKILL again and again, also while it writes a checkpoint, and
resumed by `--resume_from_checkpoint last`, until it is done. Its losses must be those of the run that was not killed,
to the last bit. On Linux; the runs are forked, which saves the imports.
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

import numpy as np
import soundfile
import torch

from hf_ssl.training.checkpoints import read_record

MODEL_TYPES = ("data2vec2-audio", "best-rq")
PRETRAIN = Path(__file__).parents[1] / "pretrain_speech.py"


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, int]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", required=True, metavar="FOLDER")
    parser.add_argument("--kills", type=int, default=25, help="per model type (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="updates of a run (default: %(default)s)")
    parser.add_argument("--model_types", nargs="+", default=MODEL_TYPES, choices=MODEL_TYPES)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    arguments = parser.parse_args(argv)
    folder = Path(arguments.output_dir)
    recordings = write_noise(folder / "recordings")
    torch.set_num_threads(1)  # threads do not survive a fork

    counts = {}
    for model_type in arguments.model_types:
        flags = make_flags(model_type, recordings, arguments.steps)
        started = time.monotonic()
        train([*flags, "--output_dir", str(folder / model_type / "whole")], kill_after=None)
        seconds = time.monotonic() - started
        expected = losses(folder / model_type / "whole")
        generator = random.Random(arguments.seed)
        counts[model_type] = {"runs": 0, "kills": 0, "half-written": 0, "different": 0}
        while counts[model_type]["kills"] < arguments.kills:
            output_dir = folder / model_type / f"killed_{counts[model_type]['runs']}"
            killed, half_written = train_with_kills(flags, output_dir, generator, seconds)
            counts[model_type]["runs"] += 1
            counts[model_type]["kills"] += killed
            counts[model_type]["half-written"] += half_written
            counts[model_type]["different"] += losses(output_dir) != expected
            print(f"{model_type}: {counts[model_type]}", flush=True)
    return counts


def make_flags(model_type: str, recordings: Path, num_steps: int) -> list[str]:
    """The command line of a run in which all that can be random is."""
    overrides = {"layerdrop": 0.2, "hidden_dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}
    return [
        *("--model_type", model_type, "--model_size", "tiny", "--config_overrides", json.dumps(overrides)),
        *("--data", str(recordings), "--min_seconds", "0.3", "--max_seconds", "1.0", "--batch_seconds", "3"),
        *("--gradient_accumulation_steps", "2", "--dataloader_num_workers", "2", "--max_steps", str(num_steps)),
        *("--save_steps", "1", "--save_total_limit", "2", "--logging_steps", "1", "--use_cpu", "--report_to", "none"),
        *("--disable_tqdm", "true"),
    ]


def write_noise(folder: Path, count: int = 24) -> Path:
    """Recordings of half a second to two seconds, some of which are cropped at random."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for index in range(count):
        samples = 0.1 * generator.standard_normal(int(generator.uniform(8_000, 32_000)))
        soundfile.write(folder / f"{index:02d}.wav", samples, 16_000)
    return folder


def train_with_kills(
    flags: Sequence[str], output_dir: Path, generator: random.Random, seconds: float
) -> tuple[int, int]:
    """Trains until done; returns how often it was killed, and how often that left a half-written checkpoint."""
    kills = half_written = 0
    while True:
        resume = ["--resume_from_checkpoint", "last"] if is_resumable(output_dir) else []
        arguments = [*flags, "--output_dir", str(output_dir), *resume]
        if train(arguments, kill_after=generator.uniform(0.0, 0.4 * seconds)):
            return kills, half_written
        kills += 1
        half_written += any(read_record(checkpoint) is None for checkpoint in output_dir.glob("checkpoint-*"))


def is_resumable(output_dir: Path) -> bool:
    """Whether a run came as far as its first checkpoint."""
    return any(read_record(checkpoint) is not None for checkpoint in output_dir.glob("checkpoint-*"))


def train(arguments: Sequence[str], kill_after: float | None) -> bool:
    """Runs pre-training in a fork, and kills it after so many seconds; returns whether it finished."""
    process = multiprocessing.get_context("fork").Process(target=run_pretraining, args=(arguments,))
    process.start()
    process.join(kill_after)
    if process.is_alive():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"Pre-training failed with exit status {process.exitcode}: see above.")
    return process.exitcode == 0


def run_pretraining(arguments: Sequence[str]) -> None:
    spec = importlib.util.spec_from_file_location("pretrain_speech", PRETRAIN)
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
