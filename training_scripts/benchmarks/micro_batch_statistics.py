#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""How far data2vec-aqc's gradient depends on the micro-batches that a global batch is split into.

    python training_scripts/benchmarks/micro_batch_statistics.py --data RECORDINGS

Relative difference |g - g'| / |g| of all gradients between one batch and the same clips in 2 (or two processes) and in
4 micro-batches, each weighted by its number of predicted frames, as the Trainer does. The contrastive losses draw
Gumbel noise, negatives and first cluster centres, so that two passes over one batch differ too: that is the measure
for what they add. Without contrastive losses nothing is drawn. Masks are those of the clips.
"""

import argparse
from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from transformers import Wav2Vec2FeatureExtractor

from hf_ssl import Data2VecAqcForPreTraining
from hf_ssl.data.audio import read_audio
from hf_ssl.data.collators_augmented import DataCollatorForData2VecAqc
from hf_ssl.data.skipped import SkippedFiles
from hf_ssl.data.sound_files import SoundFiles
from hf_ssl.training.model_sizes import data2vec_aqc_config

SAMPLING_RATE = 16_000
NO_CONTRAST = {"student_contrastive_weight": 0.0, "teacher_contrastive_weight": 0.0}
SETTINGS = {
    "regression alone": NO_CONTRAST | {"diversity_loss_weight": 0.0, "features_penalty_weight": 0.0},
    "regression, diversity, penalty": NO_CONTRAST,
    "all": {},
    "all, clusters of the batch": {"cluster_scope": "batch"},
}


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--clips", type=int, default=8, help="a multiple of 4 (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="longest clip (default: %(default)s)")
    parser.add_argument("--model_size", default="small", choices=("tiny", "small", "base"))
    arguments = parser.parse_args(argv)
    if arguments.clips < 4 or arguments.clips % 4:
        raise ValueError(f"--clips must be a multiple of 4, got {arguments.clips}.")
    clips = read_clips(arguments.data, arguments.clips, arguments.seconds)
    results = {name: compare(clips, arguments.model_size, overrides) for name, overrides in SETTINGS.items()}
    print(f"{len(clips)} clips, {sum(map(len, clips)) / SAMPLING_RATE:.1f} s, {arguments.model_size}, untrained")
    for name, differences in results.items():
        print(f"  {name:<32}" + "   ".join(f"{arm} {value:.2e}" for arm, value in differences.items()))
    return results


def read_clips(folders: Sequence[str], number: int, seconds: float) -> list[np.ndarray]:
    paths = SoundFiles(folders, sampling_rate=SAMPLING_RATE, skipped=SkippedFiles()).paths
    if len(paths) < number:
        raise ValueError(f"Expected at least {number} recordings, got {len(paths)}.")
    chosen = islice(paths[:: len(paths) // number], number)
    return [read_audio(path, sampling_rate=SAMPLING_RATE, duration=seconds) for path in chosen]


def compare(clips: list[np.ndarray], model_size: str, overrides: dict[str, float | str]) -> dict[str, float]:
    torch.manual_seed(0)
    config = data2vec_aqc_config(model_size, hidden_dropout=0.0, attention_dropout=0.0, layerdrop=0.0, **overrides)
    model = Data2VecAqcForPreTraining(config).train()
    feature_extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    collator = DataCollatorForData2VecAqc(feature_extractor, config)
    whole = gradient(model, collator, clips, 1, seed=1)
    arms = {"once more": (1, 2), "2 parts": (2, 1), "4 parts": (4, 1)}
    return {
        name: ((gradient(model, collator, clips, parts, seed) - whole).norm() / whole.norm()).item()
        for name, (parts, seed) in arms.items()
    }


def gradient(
    model: Data2VecAqcForPreTraining,
    collator: DataCollatorForData2VecAqc,
    clips: list[np.ndarray],
    num_parts: int,
    seed: int,
) -> torch.Tensor:
    """All gradients of a global batch in one vector."""
    torch.manual_seed(seed)
    model.zero_grad()
    items = [{"input_values": clip, "seed": number} for number, clip in enumerate(clips)]
    size = len(items) // num_parts
    batches = [collator(items[first : first + size]) for first in range(0, len(items), size)]
    num_predicted = sum((batch["labels"] != -100).sum() for batch in batches)
    for batch in batches:
        model(**batch, num_items_in_batch=num_predicted).loss.backward()
    return torch.cat([tensor.grad.flatten() for tensor in model.parameters() if tensor.grad is not None])


if __name__ == "__main__":
    main()
