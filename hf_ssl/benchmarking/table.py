# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Benchmarks as text and as JSON."""

import json
from dataclasses import asdict, fields
from pathlib import Path

from .benchmark import Benchmark


def format_benchmark(benchmark: Benchmark) -> str:
    """A line per phase, and what the step comes to."""
    one = benchmark
    slowest, fastest = max(one.step_seconds), min(one.step_seconds)
    unit = "s of audio" if one.unit == "seconds" else one.unit
    lines = [
        f"{one.recipe}: {one.model_type}, {one.num_parameters / 1e6:.2f} M parameters, {one.items} items "
        f"({one.amount:g} {unit}), {one.precision} on {one.where['machine']}",
        "",
    ]
    total = sum(one.phases.values())
    lines += [f"  {name:<24} {seconds:9.4f} s  {seconds / total:6.1%}" for name, seconds in one.phases.items()]
    if one.phases:
        lines += [f"  {'sum of the phases':<24} {total:9.4f} s", ""]
    return "\n".join(
        [
            *lines,
            f"step                       {one.seconds:9.4f} s  ({fastest:.4f} to {slowest:.4f}, "
            f"{len(one.step_seconds)} rounds)",
            f"throughput                 {one.amount_per_second:9.1f} {unit} per second",
            f"operations                 {one.flops / 1e12:9.3f} x 10^12 per step, {one.utilisation:.1%} of matrix "
            f"products at {one.peak_flops_per_second / 1e9:,.0f} x 10^9/s",
            f"memory                     {one.peak_bytes / 2**30:9.2f} GiB at most",
        ]
    )


def format_comparison(benchmark: Benchmark, other: Benchmark) -> str:
    """How many times as fast the first is as the second, and what differs otherwise."""
    different = [
        f"{name}: {getattr(other, name)} before, {getattr(benchmark, name)} now"
        for name in ("recipe", "device", "precision", "items", "amount", "num_parameters")
        if getattr(other, name) != getattr(benchmark, name)
    ]
    lines = [
        f"step {other.seconds / benchmark.seconds:.2f} times as fast, memory "
        f"{benchmark.peak_bytes / max(1, other.peak_bytes):.2f} times as much as in {other.where['commit']} "
        f"({other.where['machine']})",
        *(f"  not the same: {line}" for line in different),
    ]
    for name in benchmark.phases.keys() & other.phases.keys():
        if benchmark.phases[name] > 0:
            lines.append(f"  {name:<24} {other.phases[name] / benchmark.phases[name]:6.2f} times as fast")
    return "\n".join(lines)


def write_benchmark(benchmark: Benchmark, path: str) -> None:
    """Writes all figures as JSON."""
    Path(path).write_text(json.dumps(asdict(benchmark), indent=2) + "\n", encoding="utf-8")


def read_benchmark(path: str) -> Benchmark:
    """Reads them.

    Raises:
        ValueError: The file is missing or no benchmark.
    """
    if not Path(path).is_file():
        raise ValueError(f"Expected a file that `hf-ssl benchmark --output` wrote, but there is no {path}.")
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}.") from error
    names = {entry.name for entry in fields(Benchmark)}
    if not isinstance(given, dict) or set(given) != names:
        raise ValueError(
            f"{path} was not written by `hf-ssl benchmark --output`: expected {', '.join(sorted(names))}."
        )
    return Benchmark(**given)
