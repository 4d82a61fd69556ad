#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Padding, filler of the student, and speed of batches of seconds (also of a stream), of clips of similar length, and
of clips at random.

    python training_scripts/benchmarks/batches.py --data RECORDINGS --batch_seconds 60 --rounds 20

Whole training steps of a small model, without reading audio (noise of the recordings' lengths): one batch of each kind
per round. Speed is seconds of audio without padding per second of computing, over all rounds. The student's filler is
what a student without padding would save: masked copies have unequal numbers of visible frames, and all but the
longest of a batch are filled up with frames that nobody attends to.
"""

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from hf_ssl import Data2Vec2AudioForPreTraining
from hf_ssl.data import LengthGroupedSampler, SkippedFiles, load_audio_sources
from hf_ssl.data.duration_batches import DurationBatchSampler
from hf_ssl.data.streamed_batches import batches_of_similar_length
from hf_ssl.training.model_sizes import data2vec2_audio_config

SAMPLING_RATE = 16_000
WARM_UP = 2  # rounds that are not counted


class Result(NamedTuple):
    """Shares of padding and of the student's filler over an epoch, seconds of a batch with padding, and speed."""

    padding: float
    filler: float
    mean_seconds: float
    most_seconds: float
    speed: float


def main(argv: Sequence[str] | None = None) -> dict[str, Result]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--batch_seconds", type=float, default=60.0)
    parser.add_argument("--max_seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--model_size", default="small", choices=("tiny", "small", "base"))
    arguments = parser.parse_args(argv)
    table = load_audio_sources(
        arguments.data, min_seconds=0.5, max_seconds=arguments.max_seconds, skipped=SkippedFiles()
    )
    lengths = np.minimum(np.asarray(table["duration"][:]), arguments.max_seconds)
    batches = make_batches(lengths, arguments.batch_seconds)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Data2Vec2AudioForPreTraining(data2vec2_audio_config(arguments.model_size)).to(device).train()  # type: ignore[arg-type]
    fillers = {kind: student_filler(model, epoch, lengths) for kind, epoch in batches.items()}
    speeds = measure_speeds(model, batches, lengths, arguments.rounds)
    results = {kind: summarise(batches[kind], lengths, fillers[kind], speeds[kind]) for kind in batches}
    print(f"{len(lengths)} clips, {lengths.sum() / 3600:.2f} hours, {arguments.rounds} rounds, {arguments.model_size}")
    for kind, result in results.items():
        print(
            f"  {kind:<28} padding {result.padding:6.1%}   student's filler {result.filler:6.1%}   "
            f"batches of {result.mean_seconds:5.1f} s, at most {result.most_seconds:5.1f} s   "
            f"{result.speed:6.1f} s of audio per second"
        )
    return results


def make_batches(lengths: np.ndarray, batch_seconds: float) -> dict[str, list[list[int]]]:
    """An epoch of each kind. Batches of clips have as many as there are in `batch_seconds` on average."""
    of_seconds = list(DurationBatchSampler(lengths, batch_seconds=batch_seconds, batches_per_update=1, seed=0))
    num_clips = max(1, round(len(lengths) / len(of_seconds)))
    similar = list(LengthGroupedSampler(lengths.tolist(), batch_size=num_clips, seed=0))
    random = np.random.default_rng(0).permutation(len(lengths)).tolist()
    streamed = batches_of_similar_length(
        np.random.default_rng(1).permutation(len(lengths)).tolist(),
        lengths.__getitem__,
        batch_seconds=batch_seconds,
        generator=np.random.default_rng(0),
    )
    return {"seconds": of_seconds, "seconds, streamed": list(streamed)} | {
        name: [order[start : start + num_clips] for start in range(0, len(order), num_clips)]
        for name, order in (
            (f"{num_clips} clips of similar length", similar),
            (f"{num_clips} clips at random", random),
        )
    }


def student_filler(model: Data2Vec2AudioForPreTraining, epoch: list[list[int]], lengths: np.ndarray) -> float:
    """Share of frames in the student's batches, with masks as configured, that only fill up the batch."""
    real, all_frames = 0, 0
    for batch in epoch:
        num_samples = torch.from_numpy((lengths[batch] * SAMPLING_RATE).astype(int))
        num_frames = model._get_feat_extract_output_lengths(num_samples)
        masks = model.draw_masks(num_frames.tolist(), int(num_frames.max())).long()
        visible = num_frames.unsqueeze(-1) - masks.sum(dim=-1)
        real += int(visible.sum())
        all_frames += int(visible.max()) * visible.numel()
    return 1 - real / all_frames


def measure_speeds(
    model: Data2Vec2AudioForPreTraining, batches: dict[str, list[list[int]]], lengths: np.ndarray, num_rounds: int
) -> dict[str, float]:
    """Seconds of audio per second of training, one batch of each kind after the other."""
    audio, seconds = dict.fromkeys(batches, 0.0), dict.fromkeys(batches, 0.0)
    generator = np.random.default_rng(1)
    drawn = {kind: generator.choice(len(epoch), size=WARM_UP + num_rounds) for kind, epoch in batches.items()}
    for number in range(WARM_UP + num_rounds):
        for kind, epoch in batches.items():
            clips = lengths[epoch[drawn[kind][number]]]
            duration = time_step(model, clips)
            if number >= WARM_UP:
                audio[kind] += clips.sum()
                seconds[kind] += duration
    return {kind: audio[kind] / seconds[kind] for kind in batches}


def time_step(model: Data2Vec2AudioForPreTraining, clips: np.ndarray) -> float:
    """Seconds of forward, backward and the teacher's update, on noise."""
    device = model.device
    num_samples = (clips * SAMPLING_RATE).astype(int)
    steps = torch.arange(num_samples.max())
    attention_mask = (steps < torch.from_numpy(num_samples).unsqueeze(-1)).long().to(device)
    waveforms = torch.randn(attention_mask.shape).to(device) * attention_mask
    started = time.perf_counter()
    model(waveforms, attention_mask=attention_mask).loss.backward()
    model.zero_grad()
    model.update_teacher()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def summarise(epoch: list[list[int]], lengths: np.ndarray, filler: float, speed: float) -> Result:
    padded = [len(batch) * lengths[batch].max() for batch in epoch]
    return Result(1 - lengths.sum() / sum(padded), filler, float(np.mean(padded)), max(padded), speed)


if __name__ == "__main__":
    main()
