# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl benchmark`."""

import argparse
import os

from ..output_files import check_writable
from ..planning.recipes import parse_settings
from .benchmark import BenchmarkConfig, run_benchmark
from .curve import Sweep, parse_sweep, run_curve
from .curve_table import format_curve, write_curve
from .inference import append_inference, compare_with_transformers, format_inference, write_inference
from .memory import is_out_of_memory
from .table import format_benchmark, format_comparison, read_benchmark, write_benchmark

_WORKERS = 8


def run_command(arguments: argparse.Namespace) -> None:
    """Measures, prints, and writes the figures if asked to."""
    sweep = None if arguments.curve is None else parse_sweep(arguments.curve)
    _check(arguments, sweep)
    check_writable(arguments.output, "--output")
    check_writable(arguments.results, "--results")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it would warn in every worker
    config = BenchmarkConfig(
        recipe=arguments.recipe,
        settings=parse_settings(arguments.set),
        items=arguments.items,
        seconds=arguments.seconds,
        tokens=arguments.tokens,
        precision=arguments.precision,
        device=arguments.device,
        rounds=arguments.rounds,
        compile=arguments.compile,
        data=tuple(arguments.data),
        workers=_workers(arguments),
    )
    if arguments.against == "transformers":
        _run_inference(config, sweep, arguments)
    elif sweep is not None:
        _run_curve(config, sweep, arguments.output)
    else:
        _run_benchmark(config, arguments.output, arguments.compare)


def _workers(arguments: argparse.Namespace) -> int | None:
    if not arguments.loader:
        return None
    return _WORKERS if arguments.workers is None else arguments.workers


def _check(arguments: argparse.Namespace, sweep: Sweep | None) -> None:
    """Raises at flags that do not go together, one of which would otherwise have no effect."""
    if arguments.loader and not arguments.data:
        raise ValueError("--loader needs --data: noise is not loaded.")
    if arguments.workers is not None and not arguments.loader:
        raise ValueError("--workers is for --loader: steps are measured on batches that are loaded before.")
    if arguments.precision == "both" and arguments.against is None:
        raise ValueError("--precision both is for --against transformers; measure training once with either.")
    if arguments.results is not None and arguments.against is None:
        raise ValueError("--results is for --against transformers; figures of training go to --output.")
    if arguments.compare is not None and (sweep is not None or arguments.against is not None):
        raise ValueError("--compare is for a single batch: leave --curve and --against out.")
    if sweep is not None:
        given = vars(arguments)[sweep.quantity]
        if given is not None:
            raise ValueError(f"Give --{sweep.quantity} or --curve {sweep.quantity}=..., not both.")
    if arguments.against is not None:
        if arguments.data:
            raise ValueError("--against transformers takes noise of the longest length: leave --data out.")
        if arguments.compile:
            raise ValueError("--against transformers compares encoders as they are: leave --compile out.")
        if sweep is not None and sweep.quantity != "items":
            raise ValueError(f"--against transformers takes --curve items=..., not {sweep.quantity}.")


def _run_inference(config: BenchmarkConfig, sweep: Sweep | None, arguments: argparse.Namespace) -> None:
    sizes = [] if sweep is None else [int(value) for value in sweep.values]
    arms = compare_with_transformers(config, sizes)
    print(format_inference(arms))
    if sizes and arms[-1].items != sizes[-1]:
        print(f"Stopped after {arms[-1].items} items: more do not fit into memory.")
    if arguments.output is not None:
        write_inference(arms, arguments.output)
    if arguments.results is not None:
        append_inference(arms, arguments.results, config.recipe, ["hf-ssl", *arguments.argv])


def _run_curve(config: BenchmarkConfig, sweep: Sweep, output: str | None) -> None:
    curve = run_curve(config, sweep)
    print(format_curve(curve))
    if output is not None:
        write_curve(curve, output)


def _run_benchmark(config: BenchmarkConfig, output: str | None, compare: str | None) -> None:
    other = None if compare is None else read_benchmark(compare)
    try:
        benchmark = run_benchmark(config)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ValueError(_no_room(config, error)) from error
    print(format_benchmark(benchmark))
    if output is not None:
        write_benchmark(benchmark, output)
    if other is not None:
        print(format_comparison(benchmark, other))


def _no_room(config: BenchmarkConfig, error: Exception) -> str:
    items = "The recipe's batch" if config.items is None else f"A batch of {config.items} items"
    return (
        f"{items} does not fit into memory ({str(error).splitlines()[0]}). Take fewer --items or shorter ones "
        "(--seconds, --tokens), --set activation_checkpointing=true or --precision bfloat16; --curve items=1,2,4 "
        "finds the largest batch that fits."
    )
