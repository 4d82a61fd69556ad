#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Unit costs of large speech data: bytes and decoding by format, features, tables, batches, checkpoints.

    python training_scripts/benchmarks/unit_costs.py
    python training_scripts/benchmarks/unit_costs.py --data RECORDINGS --hours 1000 100000 10000000

Processor time, not elapsed time, of one core, so that other work on the machine matters little; only what is written
to disk is timed by the clock. Recordings are read from memory. Without --data they are generated: harmonics and noise
that come and go like syllables. What is printed below "measured" is; what is below "extrapolated" is a product of it.
"""

import argparse
import io
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import soundfile
import torch
from transformers import AutoModelForPreTraining, Wav2Vec2FeatureExtractor

import hf_ssl  # noqa: F401  (registers the classes)
from hf_ssl import BestRqFeatureExtractor
from hf_ssl.data.audio import audio_info, read_audio
from hf_ssl.data.collators_pretraining import DataCollatorForBestRq, DataCollatorForData2Vec2Audio
from hf_ssl.data.duration_batches import DurationBatchSampler
from hf_ssl.data.skipped import SkippedFiles
from hf_ssl.data.sound_files import SoundFiles
from hf_ssl.planning.memory import count_parameters
from hf_ssl.training.model_sizes import best_rq_config, data2vec2_audio_config

SAMPLING_RATE = 16_000
CLIP_SECONDS = 12.0
# Names of libsndfile's formats and encodings. 16 bits where there is a choice.
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}


class FormatCost(NamedTuple):
    """Of a file format: megabytes of an hour, and core-seconds to decode it and to read a file's header."""

    megabytes_per_hour: float
    decoding_per_hour: float
    header_per_file: float


class TableCost(NamedTuple):
    """Bytes in memory per clip: of the table, of the batches of seconds (at most, while an epoch begins); and
    core-seconds to make these for a million clips."""

    table_bytes: float
    sampler_bytes: float
    sampler_seconds_per_million: float


class CheckpointCost(NamedTuple):
    """Bytes per trained parameter with teacher and optimizer, and bytes per second with which they reach the disk."""

    bytes_per_parameter: float
    bytes_per_second: float


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=[], metavar="FOLDER", help="recordings to encode in each format")
    parser.add_argument("--clips", type=int, default=20, help="clips to measure with (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=200_000, help="of the table (default: %(default)s)")
    parser.add_argument("--hours", type=float, nargs="+", default=[1e3, 1e5, 1e7], help="sizes of data to extrapolate")
    parser.add_argument("--format", choices=list(FORMATS), default="flac", help="that the data are in")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument(
        "--gpu_speed", type=float, default=400.0, help="seconds of audio per second that a GPU takes, see hf-ssl plan"
    )
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    clips = read_clips(arguments.data, arguments.clips) if arguments.data else make_clips(arguments.clips)
    results = {
        "formats": {name: format_cost(clips, *how) for name, how in FORMATS.items()},
        "features": feature_costs(clips),
        "table": table_cost(arguments.rows),
        "checkpoint": checkpoint_cost(),
    }
    print_measured(results, clips, arguments.rows)
    print_extrapolated(results, arguments)
    return results


def make_clips(number: int) -> list[np.ndarray]:
    """Harmonics in noise, with pauses, as of speech."""
    generator = np.random.default_rng(0)
    seconds = np.arange(int(CLIP_SECONDS * SAMPLING_RATE)) / SAMPLING_RATE
    clips = []
    for _ in range(number):
        pitch = generator.uniform(90, 250)
        voice = sum(np.sin(2 * np.pi * pitch * k * seconds + k) / k for k in range(1, 20))
        syllables = np.clip(np.sin(2 * np.pi * generator.uniform(2, 4) * seconds) + 0.3, 0, 1)
        noise = generator.standard_normal(len(seconds))
        clips.append((0.1 * syllables * (voice + 0.2 * noise) + 0.002 * noise).astype(np.float32))
    return clips


def read_clips(folders: Sequence[str], number: int) -> list[np.ndarray]:
    """The first `CLIP_SECONDS` of recordings, evenly spaced among all."""
    paths = SoundFiles(folders, sampling_rate=SAMPLING_RATE, skipped=SkippedFiles()).paths
    chosen = paths[:: max(1, len(paths) // number)]
    return [read_audio(path, sampling_rate=SAMPLING_RATE, duration=CLIP_SECONDS) for path in islice(chosen, number)]


def core_seconds(function: Callable[[], Any]) -> float:
    """Processor time of a call."""
    started = time.process_time()
    function()
    return time.process_time() - started


def hours_of(clips: Sequence[np.ndarray]) -> float:
    return sum(map(len, clips)) / SAMPLING_RATE / 3600


def format_cost(clips: Sequence[np.ndarray], container: str, encoding: str) -> FormatCost:
    encoded = []
    for clip in clips:
        buffer = io.BytesIO()
        soundfile.write(buffer, clip, SAMPLING_RATE, format=container, subtype=encoding)
        encoded.append(buffer.getvalue())
    decoding = core_seconds(lambda: [read_audio(content, sampling_rate=SAMPLING_RATE) for content in encoded])
    header = core_seconds(lambda: [audio_info(content) for content in encoded for _ in range(10)])
    return FormatCost(
        sum(map(len, encoded)) / 1e6 / hours_of(clips), decoding / hours_of(clips), header / 10 / len(encoded)
    )


def feature_costs(clips: Sequence[np.ndarray]) -> dict[str, float]:
    """Core-seconds per hour to make batches of waveforms and of log-mel features, with masks; without the features,
    which a GPU may compute, too."""
    items = [{"input_values": clip, "seed": seed} for seed, clip in enumerate(clips)]
    waveforms = DataCollatorForData2Vec2Audio(
        Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True), data2vec2_audio_config("base")
    )
    features, unmade = (
        DataCollatorForBestRq(BestRqFeatureExtractor(), best_rq_config("base"), features_on_device=on_device)
        for on_device in (False, True)
    )
    collators = {
        "waveforms (data2vec)": waveforms,
        "log-mel (best-rq)": features,
        "log-mel left to the device": unmade,
    }
    costs = {}
    for name, collate in collators.items():
        collate(items)  # not counted: what new memory costs
        costs[name] = core_seconds(lambda collate=collate: collate(items)) / hours_of(clips)
    return costs


def table_cost(num_rows: int) -> TableCost:
    lengths = np.random.default_rng(0).gamma(4.0, 3.0, num_rows).clip(1.0, 20.0)
    paths = [f"/data/speech/train/speaker-{row % 5000:05d}/recording-{row:09d}.flac" for row in range(num_rows)]
    table = datasets.Dataset.from_dict({"path": paths, "start": np.zeros(num_rows), "duration": lengths})
    tracemalloc.start()
    started = time.process_time()
    sampler = DurationBatchSampler(lengths, batch_seconds=100.0, batches_per_update=8, seed=0)
    batches = list(sampler)
    seconds = time.process_time() - started
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del batches
    return TableCost(table.data.nbytes / num_rows, most_bytes / num_rows, seconds / num_rows * 1e6)


def checkpoint_cost() -> CheckpointCost:
    """A small model with its teacher and the optimizer's state, written and flushed."""
    model = AutoModelForPreTraining.from_config(data2vec2_audio_config("small"))
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        model.save_pretrained(folder)
        torch.save(optimizer.state_dict(), Path(folder) / "optimizer.pt")
        files = [path for path in Path(folder).iterdir() if path.is_file()]
        for path in files:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        seconds = time.perf_counter() - started
        total = sum(path.stat().st_size for path in files)
    return CheckpointCost(total / trained, total / seconds)


def print_measured(results: dict[str, Any], clips: Sequence[np.ndarray], num_rows: int) -> None:
    print(f"measured: {len(clips)} clips, {hours_of(clips) * 60:.1f} minutes; a table of {num_rows:,} clips")
    for name, cost in results["formats"].items():
        print(
            f"  {name:<5} {cost.megabytes_per_hour:7.1f} MB/h   {cost.decoding_per_hour:6.2f} core-seconds/h to decode"
            f"   {cost.header_per_file * 1e6:7.1f} core-microseconds per header"
        )
    for name, seconds in results["features"].items():
        print(f"  {name:<27} {seconds:6.2f} core-seconds/h to make batches")
    table, checkpoint = results["table"], results["checkpoint"]
    print(
        f"  table {table.table_bytes:.0f} bytes/clip   batches of seconds {table.sampler_bytes:.0f} bytes/clip and "
        f"{table.sampler_seconds_per_million:.1f} core-seconds per million clips"
    )
    print(
        f"  checkpoint {checkpoint.bytes_per_parameter:.1f} bytes per trained parameter, written at "
        f"{checkpoint.bytes_per_second / 1e6:.0f} MB/s"
    )


def print_extrapolated(results: dict[str, Any], arguments: argparse.Namespace) -> None:
    cost, table = results["formats"][arguments.format], results["table"]
    busiest = max(results["features"].values())
    cores = arguments.gpu_speed * (cost.decoding_per_hour + busiest) / 3600
    network = arguments.gpus * arguments.gpu_speed * cost.megabytes_per_hour / 3600
    print(
        f"extrapolated: {arguments.format}, clips of {CLIP_SECONDS:g} s, {arguments.gpus} GPUs that each take "
        f"{arguments.gpu_speed:g} s of audio per second (assumed)"
    )
    print(f"  {cores:.2f} cores per GPU to decode and to make batches; {network:.1f} MB/s of reading in all")
    print("         hours            clips     storage   headers, 1 core       table     batches       epoch")
    for hours in arguments.hours:
        clips = hours * 3600 / CLIP_SECONDS
        epoch = hours / (arguments.gpus * arguments.gpu_speed)
        print(
            f"  {hours:>12,.0f} {clips:>16,.0f} {hours * cost.megabytes_per_hour / 1e6:>8,.2f} TB"
            f" {clips * cost.header_per_file / 60:>13,.2f} min {clips * table.table_bytes / 1e9:>8,.2f} GB"
            f" {clips * table.sampler_bytes / 1e9:>8,.2f} GB {epoch:>9,.1f} h"
        )
    print("  checkpoints:")
    for name, config in (
        ("data2vec 2.0 base", data2vec2_audio_config("base")),
        ("data2vec 2.0 large", data2vec2_audio_config("large")),
        ("best-rq base", best_rq_config("base")),
    ):
        parameters = count_parameters(config)
        size = 4 * (3 * parameters.trained + parameters.teacher + parameters.other)
        seconds = size / results["checkpoint"].bytes_per_second
        print(f"  {name:<20} {size / 1e9:6.2f} GB (counted), {seconds:6.1f} s at the speed measured")


if __name__ == "__main__":
    main()
