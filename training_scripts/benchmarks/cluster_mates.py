#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the clustering of data2vec-aqc weakens, by what is clustered at once and by the size of the batch.

    python cluster_mates.py --data RECORDINGS [--model MODEL]

Prints, for batches of clips of 4 s, how many negatives are in their positive's cluster, how many of those have a
negative similarity (which the original's multiplication strengthens), and how many negatives have the very code of
their positive (without one in the batch the original weakens nothing). Then, for k-means of an utterance with fewer
iterations: of how many pairs of a frame and a negative it says otherwise than after 100 whether they are mates.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import AutoModelForPreTraining, Wav2Vec2FeatureExtractor

from hf_ssl import Data2VecAqcForPreTraining
from hf_ssl.data import SkippedFiles, load_audio_sources, read_audio
from hf_ssl.models.contrast import same_as_own
from hf_ssl.models.cross_contrast import QuantizedView
from hf_ssl.training.model_sizes import data2vec_aqc_config

SECONDS = 4.0
MANY_ITERATIONS = 100  # as the original
FEWER_ITERATIONS = (5, 10, 20, 50)


class Observed(NamedTuple):
    """What a forward pass has of negatives, each `(batch_size, num_slots, num_negatives)`.

    `is_mate`: whether one is in its positive's cluster; `is_negative`: whether there is one, with another code than
    the positive; `logits`: of the student.
    """

    is_mate: torch.Tensor
    is_negative: torch.Tensor
    logits: torch.Tensor
    cluster_mate_share: float
    collision_share: float


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
            show(rows[-1])
    rows += measure_iterations(model, waveforms)
    for row in rows[-len(FEWER_ITERATIONS) :]:
        show(row)
    return rows


def show(row: dict[str, float | str]) -> None:
    print(", ".join(f"{name} {_rounded(value)}" for name, value in row.items()))


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
    """What would be weakened in a batch."""
    observed = observe(model, waveforms, scope=scope)
    mates = observed.logits[observed.is_mate & observed.is_negative]
    return {
        "scope": scope,
        "batch_size": len(waveforms),
        "cluster_mate_share": observed.cluster_mate_share,
        "mates_below_zero": (mates < 0).float().mean().item(),
        "collision_share": observed.collision_share,
    }


def measure_iterations(
    model: Data2VecAqcForPreTraining, waveforms: Sequence[np.ndarray]
) -> list[dict[str, float | str]]:
    """How many pairs are judged otherwise than after many iterations, of all and of those that then are mates."""
    settled = observe(model, waveforms)
    rows: list[dict[str, float | str]] = []
    for iterations in FEWER_ITERATIONS:
        early = observe(model, waveforms, iterations=iterations)
        differs = (early.is_mate != settled.is_mate) & settled.is_negative
        lost = differs & settled.is_mate
        rows.append(
            {
                "iterations": iterations,
                "batch_size": len(waveforms),
                "judged_otherwise": (differs.sum() / settled.is_negative.sum()).item(),
                "mates_missed": (lost.sum() / (settled.is_mate & settled.is_negative).sum()).item(),
            }
        )
    return rows


def observe(
    model: Data2VecAqcForPreTraining,
    waveforms: Sequence[np.ndarray],
    *,
    scope: str = "utterance",
    iterations: int = MANY_ITERATIONS,
) -> Observed:
    """One forward pass, with the same draws whenever it is called, and without weakening, to see what would be."""
    config = model.config
    config.cluster_scope, config.scale_factor, config.num_kmeans_iterations = scope, 1.0, iterations
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    inputs = extractor(list(waveforms), sampling_rate=16_000, return_tensors="pt", padding=True)
    views: list[QuantizedView] = []
    make_view = model.contrast._view

    def record(*view_arguments) -> QuantizedView:
        views.append(make_view(*view_arguments))
        return views[-1]

    model.contrast._view = record  # type: ignore[method-assign]
    try:
        torch.manual_seed(0)
        with torch.no_grad():
            outputs = model(**inputs)
    finally:
        model.contrast._view = make_view  # type: ignore[method-assign]
    logits = outputs.student_logits[..., 1:]
    return Observed(
        same_as_own(views[0].labels, views[0].negatives),
        outputs.slot_mask.unsqueeze(-1) & ~logits.isneginf(),
        logits,
        outputs.cluster_mate_share.item(),
        outputs.collision_share.item(),
    )


if __name__ == "__main__":
    main()
