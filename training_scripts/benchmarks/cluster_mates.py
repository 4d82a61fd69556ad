#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the clustering of data2vec-aqc weakens, by what is clustered at once and by the size of the batch.

    python cluster_mates.py --data RECORDINGS [--model MODEL]

Prints, for batches of clips of 4 s, how many negatives are in their positive's cluster, how many of those have a
negative similarity (which the original's multiplication strengthens), and how many negatives have the very code of
their positive (without one in the batch the original weakens nothing).
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModelForPreTraining, Wav2Vec2FeatureExtractor

from hf_ssl import Data2VecAqcForPreTraining
from hf_ssl.data import SkippedFiles, load_audio_sources, read_audio
from hf_ssl.models.contrast import same_as_own
from hf_ssl.models.cross_contrast import QuantizedView
from hf_ssl.training.model_sizes import data2vec_aqc_config

SECONDS = 4.0


def main(argv: Sequence[str] | None = None) -> list[dict[str, float | str]]:
    """Prints, and returns, one row per scope and batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="FOLDER")
    parser.add_argument("--model", help="pre-training folder of data2vec-aqc (default: small, untrained)")
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[2, 8, 24])
    arguments = parser.parse_args(argv)

    torch.manual_seed(0)
    if arguments.model is None:
        model = AutoModelForPreTraining.from_config(data2vec_aqc_config("small"))
    else:
        model = AutoModelForPreTraining.from_pretrained(arguments.model)
    model.eval()
    waveforms = read_clips(arguments.data, max(arguments.batch_sizes))
    rows = []
    for scope in ("utterance", "batch"):
        for batch_size in arguments.batch_sizes:
            rows.append(measure(model, scope, waveforms[:batch_size]))
            print(", ".join(f"{name} {_rounded(value)}" for name, value in rows[-1].items()))
    return rows


def _rounded(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def read_clips(folder: str, count: int) -> list[np.ndarray]:
    table = load_audio_sources(
        [folder], min_seconds=SECONDS, max_seconds=None, skipped=SkippedFiles(), sampling_rate=16_000
    )
    return [
        read_audio(row["path"], sampling_rate=16_000, start=row["start"], duration=SECONDS)
        for row in table.select(range(count))
    ]


def measure(model: Data2VecAqcForPreTraining, scope: str, waveforms: Sequence[np.ndarray]) -> dict[str, float | str]:
    """One forward pass without weakening, to see what would be weakened."""
    model.config.cluster_scope, model.config.scale_factor, model.config.num_kmeans_iterations = scope, 1.0, 100
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    inputs = extractor(list(waveforms), sampling_rate=16_000, return_tensors="pt", padding=True)
    views: list[QuantizedView] = []
    make_view = model.contrast._view

    def record(*view_arguments) -> QuantizedView:
        views.append(make_view(*view_arguments))
        return views[-1]

    model.contrast._view = record  # type: ignore[method-assign]
    try:
        with torch.no_grad():
            outputs = model(**inputs)
    finally:
        model.contrast._view = make_view  # type: ignore[method-assign]
    logits = outputs.student_logits[..., 1:]
    mates = same_as_own(views[0].labels, views[0].negatives) & outputs.slot_mask.unsqueeze(-1) & ~logits.isneginf()
    return {
        "scope": scope,
        "batch_size": len(waveforms),
        "cluster_mate_share": outputs.cluster_mate_share.item(),
        "mates_below_zero": (logits[mates] < 0).float().mean().item(),
        "collision_share": outputs.collision_share.item(),
    }


if __name__ == "__main__":
    main()
