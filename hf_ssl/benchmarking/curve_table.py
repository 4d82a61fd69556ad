# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Curves of costs as a table, as sentences that say what follows, and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from .benchmark import Benchmark
from .curve import Curve
from .place import describe_place
from .table import describe_batch, unit_of

_NOTEWORTHY = 0.05  # less than this is not told apart from chance
_MIB = 2**20


def format_curve(curve: Curve) -> str:
    """A row per value, and sentences."""
    first = curve.points[0]
    each = describe_batch(first) if curve.quantity != "items" else f"from {describe_batch(first)} on"
    unit = _unit(first)
    header = (curve.quantity, "step s", f"{unit_of(first)}/s", f"ms/{unit}", "GiB", f"MiB/{unit}", "attention")
    rows = [header, *(_row(value, point) for value, point in zip(curve.values, curve.points, strict=True))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    table = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(
        [
            f"{first.recipe}: {first.model_type}, {first.num_parameters / 1e6:.2f} M parameters, {each}, "
            f"{first.precision} on {describe_place(first.where)}; every value in a process of its own",
            "",
            *table,
            "",
            f"GiB: highest memory{_of_process(first)}; MiB/{unit}: what of it is the batch's; attention: share of its "
            "products in the operations, by formula.",
            *sentences(curve),
        ]
    )


def _of_process(point: Benchmark) -> str:
    return " of the process, program included" if point.device == "cpu" else ""


def _unit(point: Benchmark) -> str:
    return {"seconds": "s", "images": "image", "tokens": "token"}[point.unit]


def _named_unit(point: Benchmark) -> str:
    return {"seconds": "second of audio", "images": "image", "tokens": "token"}[point.unit]


def _row(value: float, point: Benchmark) -> tuple[str, ...]:
    return (
        f"{value:g}",
        f"{point.seconds:.4f}",
        f"{point.amount_per_second:.1f}",
        f"{1000 / point.amount_per_second:.2f}",
        f"{point.peak_bytes / 2**30:.2f}",
        f"{point.batch_bytes / point.amount / _MIB:.3g}",
        f"{attention_share(point):.1%}",
    )


def attention_share(point: Benchmark) -> float:
    """Of attention's products in the operations."""
    return point.attention_flops / point.flops


def sentences(curve: Curve) -> list[str]:
    """What follows from the figures."""
    lines = [] if curve.stopped is None else [curve.stopped]
    if len(curve.points) < 2:
        return lines
    lines.append(_say_throughput(curve) if curve.quantity == "items" else _say_growth(curve))
    return [*lines, _say_memory(curve)]


def _say_throughput(curve: Curve) -> str:
    best = max(point.amount_per_second for point in curve.points)
    enough = next(
        value
        for value, point in zip(curve.values, curve.points, strict=True)
        if point.amount_per_second >= (1 - _NOTEWORTHY) * best
    )
    return (
        f"Throughput: {enough:g} items reach {1 - _NOTEWORTHY:.0%} of the highest that was measured, {best:.1f} "
        f"{unit_of(curve.points[0])} per second."
    )


def _say_growth(curve: Curve) -> str:
    """Where time per amount begins to grow with the length, and what part attention's products have in it."""
    first, last = curve.points[0], curve.points[-1]
    unit, named = _unit(first), _named_unit(first)
    cheapest = min(range(len(curve.points)), key=lambda index: 1 / curve.points[index].amount_per_second)
    begins = growth_begins(curve.points)
    if begins is None:
        growth = f"Time per {named} does not grow by more than {_NOTEWORTHY:.0%} up to {curve.values[-1]:g} {unit}"
        far = len(curve.points) - 1
    else:
        growth = (
            f"Time per {named} begins to grow with the length at {curve.values[begins]:g} {unit}: from there on it is "
            f"more than {_NOTEWORTHY:.0%} above the least, at {curve.values[cheapest]:g} {unit}"
        )
        far = begins
    more = (last.flops / last.amount) / (first.flops / first.amount) - 1
    return (
        f"{growth}; attention's products, which grow with its square, are {attention_share(curve.points[far]):.1%} of "
        f"the operations there and {attention_share(first):.1%} at {curve.values[0]:g} {unit}. By formula operations "
        f"per {named} grow by {more:.1%} from {curve.values[0]:g} to {curve.values[-1]:g} {unit}."
    )


def growth_begins(points: Sequence[Benchmark]) -> int | None:
    """The first value from which on even the fastest round costs noteworthily more per amount than the cheapest value
    does; `None` if there is none."""
    least = min(point.seconds / point.amount for point in points)
    begins = None
    for index in reversed(range(len(points))):
        if min(points[index].step_seconds) / points[index].amount <= (1 + _NOTEWORTHY) * least:
            break
        begins = index
    return None if begins == 0 else begins


def _say_memory(curve: Curve) -> str:
    """Of a further amount: differences do not depend on what is there without a batch."""
    points, values = curve.points, curve.values
    further = [_per_amount(left, right) for left, right in pairwise(points)]
    return (
        f"Memory: from {values[0]:g} to {values[-1]:g} {curve.quantity} a further {_named_unit(points[0])} takes "
        f"{_per_amount(points[0], points[-1]):.3g} MiB ({min(further):.3g} to {max(further):.3g} between neighbours)."
    )


def _per_amount(left: Benchmark, right: Benchmark) -> float:
    return (right.peak_bytes - left.peak_bytes) / (right.amount - left.amount) / _MIB


def write_curve(curve: Curve, path: str) -> None:
    """Writes all figures as JSON: `points` are those of single benchmarks."""
    Path(path).write_text(json.dumps(asdict(curve), indent=2) + "\n", encoding="utf-8")
