#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Do latency and memory of a stream stay constant? Noise through log-mel, encoder and decoding, minute by minute.

    python training_scripts/benchmarks/streaming.py [MODEL] --minutes 60 --plot stream.png

Without a MODEL, an untrained BEST-RQ recogniser of the size `small` (5.6 M parameters) with chunks of 640 ms that see
eight chunks before. Audio comes in blocks of 20 ms, as fast as it is read; nothing that grows with the stream is kept
but the printed rows.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import psutil
import torch

from hf_ssl import BestRqFeatureExtractor, BestRqForCTC
from hf_ssl.inference import StreamingTranscriber, load_ctc_model
from hf_ssl.inference.latency import LatencyHistogram
from hf_ssl.inference.live_audio import BLOCK_SECONDS
from hf_ssl.training.finetuning import build_vocabulary, make_processor
from hf_ssl.training.model_sizes import best_rq_config

HEADER = "minute  median ms  p99 ms  max ms  real-time factor  cache KiB  process MiB"


class Minute(NamedTuple):
    """What a minute of the stream took: milliseconds of computing per chunk, and memory at its end."""

    number: int
    median: float
    p99: float
    longest: float
    real_time_factor: float
    cache_kibibytes: float
    process_mebibytes: float

    def __str__(self) -> str:
        return (
            f"{self.number:>6}  {self.median:>9.2f}  {self.p99:>6.2f}  {self.longest:>6.1f}  "
            f"{self.real_time_factor:>16.4f}  {self.cache_kibibytes:>9.1f}  {self.process_mebibytes:>11.1f}"
        )


def main(argv: Sequence[str] | None = None) -> list[Minute]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a streaming recogniser instead of an untrained one")
    parser.add_argument("--minutes", type=int, default=60, help="of the stream (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    parser.add_argument("--plot", metavar="FILE", help="also draw the curve, as PNG (needs matplotlib)")
    arguments = parser.parse_args(argv)
    if arguments.minutes < 1 or arguments.threads < 1:
        parser.error(f"--minutes and --threads must be at least 1, got {arguments.minutes} and {arguments.threads}")
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        transcriber = StreamingTranscriber(*load_ctc_model(arguments.model or save_untrained(folder), device="cpu"))
    print(HEADER)
    rows = []
    for minute in stream_minutes(transcriber, arguments.minutes):
        print(minute, flush=True)
        rows.append(minute)
    print_summary(rows)
    if arguments.plot:
        plot(rows, arguments.plot)
    return rows


def save_untrained(folder: str) -> str:
    """Writes a recogniser whose features are normalised by the statistics of noise."""
    vocabulary = build_vocabulary(["abcdefghijklmnopqrstuvwxyz"])
    torch.manual_seed(0)
    config = best_rq_config(
        "small", vocab_size=len(vocabulary), conv_causal=True, chunk_size=16, left_context_chunks=8
    )
    BestRqForCTC(config).save_pretrained(folder)
    feature_extractor = BestRqFeatureExtractor(normalization="dataset", mean=[-20.0] * 80, std=[6.0] * 80, top_db=None)
    make_processor(feature_extractor, vocabulary).save_pretrained(folder)
    return folder


def stream_minutes(transcriber: StreamingTranscriber, num_minutes: int) -> Iterator[Minute]:
    """Feeds noise whose loudness changes from second to second."""
    process, generator = psutil.Process(), np.random.default_rng(0)
    block_samples = round(BLOCK_SECONDS * transcriber.sampling_rate)
    blocks_per_second = round(1 / BLOCK_SECONDS)
    for number in range(1, num_minutes + 1):
        transcriber.chunk_seconds, computed_before = LatencyHistogram(), transcriber.computing_seconds
        for _ in range(60):
            loudness = generator.uniform(0.001, 0.2)
            for _ in range(blocks_per_second):
                transcriber.add((loudness * generator.standard_normal(block_samples)).astype(np.float32))
        times = transcriber.chunk_seconds
        yield Minute(
            number,
            1000 * times.percentile(50),
            1000 * times.percentile(99),
            1000 * times.longest,
            (transcriber.computing_seconds - computed_before) / 60,
            cache_bytes(transcriber) / 1024,
            process.memory_info().rss / 2**20,
        )


def cache_bytes(transcriber: StreamingTranscriber) -> int:
    """Bytes that the model remembers of the stream."""
    cache = transcriber.cache
    if cache is None:
        return 0
    tensors = [*cache.subsampling, *(tensor for layer in cache.layers for tensor in layer if tensor is not None)]
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def print_summary(rows: Sequence[Minute]) -> None:
    """The first minutes against the last: a sixth of the stream each, ten minutes of an hour."""
    count = max(len(rows) // 6, 1)
    first, last = rows[:count], rows[-count:]
    for name, value in (("median", lambda row: row.median), ("p99", lambda row: row.p99)):
        before, after = statistics.median(map(value, first)), statistics.median(map(value, last))
        print(f"{name} ms, first {count} min: {before:.2f}, last {count} min: {after:.2f}, ratio {after / before:.3f}")
    print(f"cache KiB, after minute 1: {rows[0].cache_kibibytes:.1f}, at the end: {rows[-1].cache_kibibytes:.1f}")
    grown = rows[-1].process_mebibytes - rows[0].process_mebibytes
    print(f"process MiB, after minute 1: {rows[0].process_mebibytes:.1f}, since then: {grown:+.1f}")


def plot(rows: Sequence[Minute], path: str) -> None:
    """Latency and memory over the stream."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (upper, lower) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 5), layout="constrained")
    minutes = [row.number for row in rows]
    upper.plot(minutes, [row.median for row in rows], label="median")
    upper.plot(minutes, [row.p99 for row in rows], label="99th percentile")
    upper.set(ylabel="computing per chunk (ms)", ylim=(0, None))
    upper.legend()
    lower.plot(minutes, [row.process_mebibytes for row in rows], label="process (MiB)")
    lower.plot(minutes, [row.cache_kibibytes for row in rows], label="cache (KiB)")
    lower.set(xlabel="minute of the stream", ylabel="memory", ylim=(0, None))
    lower.legend()
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
