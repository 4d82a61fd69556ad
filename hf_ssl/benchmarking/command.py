# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl benchmark`."""

import argparse

import torch

from ..planning.recipes import parse_settings
from ..training.allocator import keep_freed_memory
from .benchmark import BenchmarkConfig, run_benchmark
from .inference import compare_with_transformers, format_inference
from .table import format_benchmark, format_comparison, read_benchmark, write_benchmark


def run_command(arguments: argparse.Namespace) -> None:
    """Measures, prints, and writes the figures if asked to."""
    other = None if arguments.compare is None else read_benchmark(arguments.compare)
    if not torch.cuda.is_available():
        keep_freed_memory()  # as the training scripts do
    config = BenchmarkConfig(
        recipe=arguments.recipe,
        settings=parse_settings(arguments.set),
        items=arguments.items,
        seconds=arguments.seconds,
        precision=arguments.precision,
        device=arguments.device,
        rounds=arguments.rounds,
        compile=arguments.compile,
    )
    if arguments.against == "transformers":
        print(format_inference(compare_with_transformers(config)))
        return
    benchmark = run_benchmark(config)
    print(format_benchmark(benchmark))
    if arguments.output is not None:
        write_benchmark(benchmark, arguments.output)
    if other is not None:
        print(format_comparison(benchmark, other))
