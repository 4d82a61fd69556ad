# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Benchmarks as text and as JSON."""

import json
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from .benchmark import Benchmark
from .loader import LoaderSpeed
from .place import describe_place

_CONDITIONS = (
    "recipe",
    "model_type",
    "settings",
    "device",
    "precision",
    "compile",
    "attention",
    "items",
    "amount",
    "unit",
    "num_parameters",
    "flops",
    "data",
)
_PLACE = ("machine", "cpu", "torch", "transformers", "allocator")


def format_benchmark(benchmark: Benchmark) -> str:
    """A line per phase, and what the step comes to."""
    one = benchmark
    slowest, fastest = max(one.step_seconds), min(one.step_seconds)
    unit = unit_of(one)
    memory = f"{one.peak_bytes / 2**30:9.2f} GiB at most"
    if one.rest_bytes:
        memory += f", of which the batch {one.batch_bytes / 2**30:.2f}"
    lines = [
        f"{one.recipe}: {one.model_type}, {one.num_parameters / 1e6:.2f} M parameters, {describe_batch(one)}, "
        f"{one.precision} on {describe_place(one.where)}",
        "",
        *_phase_lines(one),
        f"step                       {one.seconds:9.4f} s  ({fastest:.4f} to {slowest:.4f}, "
        f"{len(one.step_seconds)} {'batches' if one.data else 'rounds'})",
        f"throughput                 {one.amount_per_second:9.1f} {unit} per second",
        f"operations                 {one.flops / 1e12:9.3f} x 10^12 that a step needs: MFU {one.utilisation:.1%} of "
        f"matrix products at {one.peak_flops_per_second / 1e9:,.0f} x 10^9/s",
        f"memory                     {memory}",
    ]
    if one.data:
        lines.append(f"padding                    {one.padding:9.1%} of the batches")
    return "\n".join([*lines, *_loader_lines(one)])


def unit_of(benchmark: Benchmark) -> str:
    """What its throughput is counted in."""
    return "s of audio" if benchmark.unit == "seconds" else benchmark.unit


def describe_batch(benchmark: Benchmark) -> str:
    """Items and amount; of real batches, which differ, the mean."""
    about, source = ("about ", ", real data") if benchmark.data else ("", ", noise")
    return f"{about}{benchmark.items:g} items ({benchmark.amount:g} {unit_of(benchmark)}{source})"


def _phase_lines(one: Benchmark) -> list[str]:
    if not one.phases:
        return []
    total = sum(one.phases.values())
    lines = [f"  {name:<24} {seconds:9.4f} s  {seconds / total:6.1%}" for name, seconds in one.phases.items()]
    lines.append(f"  {'sum of the phases':<24} {total:9.4f} s")
    if "data" in one.phases:
        lines.append(
            "  `data` is loading a batch in the main process, without workers, which otherwise do it beside the step; "
            "the step below is without it."
        )
    return [*lines, ""]


def _loader_lines(one: Benchmark) -> list[str]:
    loader = one.loader
    if loader is None:
        return []
    unit, items = unit_of(one), "" if one.unit == "images" else f"{loader.items_per_second:.1f} items, "
    workers = f"{loader.workers} worker{'' if loader.workers == 1 else 's'}"
    if loader.used_workers < loader.workers:
        workers += f" ({loader.workers - loader.used_workers} without a file to read)"
    lines = [
        f"loader, {workers}: "
        f"{items}{loader.amount_per_second:.1f} {unit} per second "
        f"({loader.batches} batches in {loader.seconds:.1f} s, nothing else running)",
        f"loader / step: {loader.amount_per_second / one.amount_per_second:.2f} times what the model consumes",
    ]
    if one.device == "cpu":
        lines.append("  (on a CPU both share the cores: training gets less of either)")
    return ["", *lines]


def format_comparison(benchmark: Benchmark, other: Benchmark) -> str:
    """How many times as fast the first is as the second, and what differs otherwise."""
    lines = [
        f"step {other.seconds / benchmark.seconds:.2f} times as fast, memory "
        f"{benchmark.peak_bytes / max(1, other.peak_bytes):.2f} times as much as in {other.where['commit']} "
        f"({other.where['machine']})",
        *(f"  not the same: {line}" for line in differences(benchmark, other)),
    ]
    for name in benchmark.phases:
        if name in other.phases and benchmark.phases[name] > 0:
            lines.append(f"  {name:<24} {other.phases[name] / benchmark.phases[name]:6.2f} times as fast")
    return "\n".join(lines)


def differences(benchmark: Benchmark, other: Benchmark) -> list[str]:
    """What makes the second other work than the first, or the same on another machine, a line each.
    What a file of an earlier version does not say is named as unknown."""
    now, before = _conditions(benchmark), _conditions(other)
    return [
        f"{name}: {'unknown' if before[name] is None else before[name]} before, {value} now"
        for name, value in now.items()
        if before[name] != value
    ]


def _conditions(one: Benchmark) -> dict[str, Any]:
    """All that should be the same where steps are compared."""
    return {name: getattr(one, name) for name in _CONDITIONS} | {
        "rounds": len(one.step_seconds),
        **{name: one.where.get(name) for name in _PLACE},
    }


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
    needed = {entry.name for entry in fields(Benchmark) if entry.default is entry.default_factory is MISSING}
    if not isinstance(given, dict) or not needed <= set(given) <= names:
        raise ValueError(
            f"{path} was not written by `hf-ssl benchmark --output` for one batch: expected "
            f"{', '.join(sorted(needed))}."
        )
    loader = given.get("loader")
    return Benchmark(**given | {"loader": None if loader is None else LoaderSpeed(**loader)})
