#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""How long is a training step of BEST-RQ, and of transformers' wav2vec 2.0 of the same size? Side by side, in one run.

    python training_scripts/benchmarks/step_time.py BEST_RQ_FOLDER WAV2VEC2_FOLDER --rounds 10

The folders are those of a study's runs (configuration, preprocessor). Forward, backward and AdamW on noise of the same
length, features computed within the step; one step of each per round, after two that are not counted.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForPreTraining, set_seed

import hf_ssl  # noqa: F401  (registers the classes)
from hf_ssl.data.collators_pretraining import DataCollatorForBestRq
from hf_ssl.training.allocator import keep_freed_memory

WARM_UP = 2


def main(argv: Sequence[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("best_rq", metavar="BEST_RQ_FOLDER")
    parser.add_argument("wav2vec2", metavar="WAV2VEC2_FOLDER")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a clip (default: %(default)s)")
    arguments = parser.parse_args(argv)
    keeps = keep_freed_memory()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, freed memory kept: {keeps}")
    set_seed(0)
    steps = {name: TrainingStep(folder) for name, folder in vars(arguments).items() if isinstance(folder, str)}
    generator = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(WARM_UP + arguments.rounds):
        clips = generator.standard_normal((arguments.batch_size, int(16_000 * arguments.seconds)), dtype=np.float32)
        items = [{"input_values": clip, "seed": number} for clip in clips]
        for name, step in steps.items():
            started = time.perf_counter()
            step(items)
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - started)
    ratios = np.array(times["wav2vec2"]) / np.array(times["best_rq"])
    for name, seconds in times.items():
        print(
            f"{name:<10} {steps[name].num_parameters / 1e6:.2f} M parameters, median step {np.median(seconds):.3f} s"
        )
    print(f"median ratio {np.median(ratios):.1f}, from {ratios.min():.1f} to {ratios.max():.1f}, {len(ratios)} rounds")
    return float(np.median(ratios))


class TrainingStep:
    """A model with its collator and optimizer; a call is one update."""

    def __init__(self, folder: str):
        config = AutoConfig.from_pretrained(folder)
        feature_extractor = AutoFeatureExtractor.from_pretrained(folder)
        self.model = AutoModelForPreTraining.from_config(config).train()
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.num_parameters = sum(parameter.numel() for parameter in trained)
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4)
        is_best_rq = config.model_type == "best-rq"
        self.collator = (
            DataCollatorForBestRq(feature_extractor, config)
            if is_best_rq
            else _baseline_collator(feature_extractor, config)
        )

    def __call__(self, items: list[dict[str, Any]]) -> None:
        batch = self.collator(items)
        self.model(**{name: value for name, value in batch.items() if self._takes(name)}).loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _takes(self, name: str) -> bool:
        return name != "labels" or self.model.config.model_type == "best-rq"


def _baseline_collator(feature_extractor: Any, config: Any) -> Any:
    """That of pretrain_wav2vec2.py, which lies beside this file."""
    from pretrain_wav2vec2 import DataCollatorForWav2Vec2

    return DataCollatorForWav2Vec2(feature_extractor, config)


if __name__ == "__main__":
    main()
