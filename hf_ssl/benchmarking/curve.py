# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a step costs for one value after the other of the batch's size or of the items' length.

Every value is measured in a process of its own: on a CPU the allocator keeps what was freed, so that the highest
memory of a process never falls; on a GPU its cache would hold blocks of other sizes.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from itertools import pairwise
from multiprocessing import get_context
from typing import Any, NamedTuple

import torch

from ..host_memory import available_bytes
from ..planning.recipes import load_recipe
from ..planning.synthetic import make_batch
from .benchmark import Benchmark, BenchmarkConfig, run_benchmark, with_length
from .memory import is_out_of_memory

QUANTITIES = ("items", "seconds", "tokens")
_GIB = 2**30


class Sweep(NamedTuple):
    """Values, rising, of `items`, `seconds` or `tokens`."""

    quantity: str
    values: list[float]


@dataclass(frozen=True)
class Curve:
    """What was measured.

    Attributes:
        quantity: "items", "seconds" or "tokens".
        values: Those that were measured.
        points: What came out.
        stopped: Why the next value, and those after it, were not; `None` if all were.
    """

    quantity: str
    values: list[float] = field(default_factory=list)
    points: list[Benchmark] = field(default_factory=list)
    stopped: str | None = None


def parse_sweep(text: str) -> Sweep:
    """Reads `items=1,2,4`, `seconds=2,5.5` or `tokens=64,128`.

    Raises:
        ValueError: It is none of these, or the values do not rise.
    """
    quantity, _, listed = text.partition("=")
    try:
        values = [float(value) for value in listed.split(",")]
    except ValueError:
        values = []
    if quantity not in QUANTITIES or not values or not all(math.isfinite(value) for value in values):
        raise ValueError(f"Expected --curve items=1,2,4, seconds=2,5,10 or tokens=64,128, got {text!r}.")
    if min(values) <= 0 or any(left >= right for left, right in pairwise(values)):
        raise ValueError(f"Expected --curve with rising values above 0, got {text!r}.")
    if quantity != "seconds":
        if any(value != int(value) for value in values):
            raise ValueError(f"Expected --curve with whole numbers of {quantity}, got {text!r}.")
        values = [int(value) for value in values]
    return Sweep(quantity, values)


def measure_in_process(config: BenchmarkConfig) -> Benchmark:
    """`run_benchmark` in a new process.

    Raises:
        MemoryError: The memory did not do, or the system ended the process, which is what it does then.
        ValueError: As of `run_benchmark`.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_measure, config, torch.get_num_threads()).result()
        except BrokenProcessPool as error:
            raise MemoryError(
                "the system ended the process, as it does with those that take too much memory"
            ) from error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryError(str(error).splitlines()[0]) from error


def _measure(config: BenchmarkConfig, num_threads: int) -> Benchmark:
    torch.set_num_threads(num_threads)
    return run_benchmark(config)


def run_curve(
    config: BenchmarkConfig, sweep: Sweep, measure: Callable[[BenchmarkConfig], Benchmark] = measure_in_process
) -> Curve:
    """Measures one value after the other until one does not fit into memory.

    Args:
        config: What else to measure with.
        sweep: The values.
        measure: How to measure one of them.

    Raises:
        ValueError: The recipe has no such quantity, or not even the first value fits.
    """
    _check(config, sweep)
    curve = Curve(sweep.quantity)
    for value in sweep.values:
        reason = _no_room(curve, value)
        if reason is None:
            try:
                point = measure(_at(replace(config, phases=False), sweep.quantity, value))
            except MemoryError as error:
                reason = f"it does not fit into memory: {error}"
        if reason is not None:
            stopped = f"Stopped at {_named(value, sweep.quantity)}: {reason}."
            if not curve.points:
                raise ValueError(stopped)
            return replace(curve, stopped=stopped)
        curve.values.append(value)
        curve.points.append(point)
    return curve


def _at(config: BenchmarkConfig, quantity: str, value: float) -> BenchmarkConfig:
    changed: dict[str, Any] = {quantity: value}
    return replace(config, **changed)


def _named(value: float, quantity: str) -> str:
    return f"{value:g} {'s' if quantity == 'seconds' else quantity}"


def _check(config: BenchmarkConfig, sweep: Sweep) -> None:
    """Finds what is wrong before minutes are spent on the values before it."""
    if config.data and sweep.quantity != "items":
        raise ValueError(
            f"Real items have the lengths that they have: leave --data out for a curve of {sweep.quantity}."
        )
    if config.workers is not None:
        raise ValueError("The loader is measured with one batch size: leave --curve out.")
    if sweep.quantity == "items":
        return
    recipe = load_recipe(config.recipe, config.settings)
    for value in (sweep.values[0], sweep.values[-1]):  # the model may have a shortest and a longest input
        wanted = with_length(recipe, _at(config, sweep.quantity, value))
        make_batch(wanted, wanted.config, 1)


def _no_room(curve: Curve, value: float) -> str | None:
    """Why a value is not worth trying on a CPU: the system may end other programs when memory runs out."""
    available = available_bytes()
    if not curve.points or curve.points[-1].device != "cpu" or available is None:
        return None
    expected = expected_bytes(curve.values, curve.points, value)
    if expected <= available:
        return None
    return (
        f"by the values before, about {expected / _GIB:.1f} GiB are expected, and {available / _GIB:.1f} GiB are "
        "available"
    )


def expected_bytes(values: Sequence[float], points: Sequence[Benchmark], value: float) -> float:
    """Memory of a further value: the batch's part goes on as between the last two, at least in proportion to the value
    and at most with its square."""
    power = 1.0
    if len(points) > 1 and points[-2].batch_bytes > 0 and points[-1].batch_bytes > 0:
        power = math.log(points[-1].batch_bytes / points[-2].batch_bytes) / math.log(values[-1] / values[-2])
    last = points[-1]
    return last.rest_bytes + last.batch_bytes * (value / values[-1]) ** min(2.0, max(1.0, power))
