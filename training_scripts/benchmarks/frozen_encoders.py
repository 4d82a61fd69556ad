#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What are frozen encoders good for? Small heads over a weighted sum of layers, the same for every encoder.

    python training_scripts/benchmarks/frozen_encoders.py --arm best-rq=RUN1 --arm best-rq=RUN2 --arm wav2vec2=RUN3 \
        --recognise READ transcription --classify DIGITS label --results results.jsonl

Folders of one arm are its seeds. Every arm is accompanied by the untrained twin of its first folder, and log-mel
frames without a network are there too. Task folders have train/, validation/ and test/ with a metadata.csv each.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, set_seed

import hf_ssl  # noqa: F401  (registers the classes)
from hf_ssl.data import SkippedFiles, load_audio_sources, read_audio
from hf_ssl.evaluation.layer_features import extract_layer_features, log_mel_frames
from hf_ssl.evaluation.weighted_sum import Clips, HeadResult, classify, recognise

SAMPLING_RATE = 16_000
LOG_MEL = "log-mel, no network"


class Task(NamedTuple):
    """A labelled data set, read into memory, and what is to be done with it."""

    name: str
    is_recognition: bool
    waveforms: list[list[np.ndarray]]
    labels: list[list[str]]


class Encoder(NamedTuple):
    """A network to compare, or log-mel frames where `folder` is `None`."""

    arm: str
    folder: str | None
    is_trained: bool
    seed: int


def main(argv: Sequence[str] | None = None) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", action="append", required=True, metavar="NAME=FOLDER", help="may be repeated")
    parser.add_argument("--classify", nargs=2, action="append", default=[], metavar=("FOLDER", "COLUMN"))
    parser.add_argument("--recognise", nargs=2, action="append", default=[], metavar=("FOLDER", "COLUMN"))
    parser.add_argument("--results", metavar="FILE", help="JSON lines to append to")
    arguments = parser.parse_args(argv)
    tasks = [read_task(folder, column, is_recognition=True) for folder, column in arguments.recognise]
    tasks += [read_task(folder, column, is_recognition=False) for folder, column in arguments.classify]

    results = []
    for encoder in list_encoders(arguments.arm):
        for task in tasks:
            result = {
                "arm": encoder.arm,
                "seed": encoder.seed,
                "task": task.name,
                "metric": "character error rate" if task.is_recognition else "accuracy",
                **asdict(evaluate(encoder, task)),
            }
            print(f"{encoder.arm:<28} seed {encoder.seed}  {task.name:<28} {result['test']:6.1%}", flush=True)
            results.append(result)
            if arguments.results:
                with open(arguments.results, "a", encoding="utf-8") as file:
                    file.write(json.dumps(result) + "\n")
    print_table(results)
    return results


def list_encoders(arms: Sequence[str]) -> list[Encoder]:
    """All folders, an untrained twin per arm, and log-mel."""
    encoders: list[Encoder] = []
    for arm in arms:
        name, separator, folder = arm.partition("=")
        if not separator:
            raise ValueError(f"Expected --arm NAME=FOLDER, got {arm!r}.")
        seed = sum(encoder.arm == name for encoder in encoders)
        encoders.append(Encoder(name, folder, is_trained=True, seed=seed))
        if seed == 0:
            encoders.append(Encoder(f"{name}, untrained", folder, is_trained=False, seed=0))
    return [*encoders, Encoder(LOG_MEL, None, is_trained=False, seed=0)]


def read_task(folder: str, column: str, *, is_recognition: bool) -> Task:
    """Reads the clips of all three splits."""
    waveforms, labels = [], []
    for split in ("train", "validation", "test"):
        table = load_audio_sources(
            [folder],
            min_seconds=None,
            max_seconds=None,
            skipped=SkippedFiles(),
            split=split,
            columns=(column,),
            sampling_rate=SAMPLING_RATE,
        )
        waveforms.append([read_audio(row["path"], sampling_rate=SAMPLING_RATE) for row in table])
        labels.append([str(label) for label in table[column]])
    return Task(f"{Path(folder).name} {column}", is_recognition, waveforms, labels)


def evaluate(encoder: Encoder, task: Task) -> HeadResult:
    """Trains the task's head on the encoder's frames."""
    clips = [Clips(frames, labels) for frames, labels in zip(encode(encoder, task), task.labels, strict=True)]
    return (recognise if task.is_recognition else classify)(*clips, seed=encoder.seed)


def encode(encoder: Encoder, task: Task) -> list[list[torch.Tensor]]:
    """Frames of all layers of the task's clips, by split."""
    if encoder.folder is None:
        return [log_mel_frames(split) for split in task.waveforms]
    set_seed(encoder.seed)
    if encoder.is_trained:
        model = AutoModel.from_pretrained(encoder.folder)
    else:
        model = AutoModel.from_config(AutoConfig.from_pretrained(encoder.folder))
    feature_extractor = AutoFeatureExtractor.from_pretrained(encoder.folder)
    return [extract_layer_features(model, feature_extractor, split) for split in task.waveforms]


def print_table(results: Sequence[dict[str, Any]]) -> None:
    """Mean over seeds, with the smallest and the largest, for every arm and task."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for result in results:
        values[result["arm"], result["task"]].append(result["test"])
    for task in dict.fromkeys(result["task"] for result in results):
        print(f"\n{task}")
        for (arm, name), numbers in values.items():
            if name == task:
                spread = f"  ({min(numbers):.1%} to {max(numbers):.1%}, {len(numbers)} seeds)" if numbers[1:] else ""
                print(f"  {arm:<28} {np.mean(numbers):6.1%}{spread}")


if __name__ == "__main__":
    main()
