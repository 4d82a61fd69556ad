# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The table of `hf-ssl plan`: every figure with where it comes from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from .measuring import Measurement
from .memory import GIB, Batches, Memory, Parameters, count_parameters, fit_batches, memory_of
from .recipes import PlannedRecipe

# Share of the operations' peak that training reaches, and the peak of an A100 in bfloat16; both can be set.
UTILISATION = 0.3
PEAK_TFLOPS = 312.0
# Share of a device's memory that is left to the CUDA context, communication and fragmentation.
RESERVE = 0.1


class Row(NamedTuple):
    """A figure, and whether it is read, counted, measured, extrapolated or assumed, and from what."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Devices:
    """What is planned for.

    Attributes:
        number: GPUs.
        memory: GiB of each.
        sharded: Whether model and optimizer are sharded over them (FSDP2).
        peak_tflops: Operations per second at most, in 10^12.
        utilisation: Share of these that training is assumed to reach.
    """

    number: int
    memory: float
    sharded: bool = False
    peak_tflops: float = PEAK_TFLOPS
    utilisation: float = UTILISATION

    def __post_init__(self) -> None:
        has_sizes = 0 < self.memory < inf and 0 < self.peak_tflops < inf
        if self.number < 1 or not has_sizes or not 0 < self.utilisation <= 1:
            raise ValueError(
                "Expected at least one GPU with a positive memory and peak and a utilisation of more than 0 and at "
                f"most 1, got {self}."
            )


@dataclass(frozen=True)
class Plan:
    """All that the table is made of."""

    recipe: PlannedRecipe
    devices: Devices
    parameters: Parameters
    memory: Memory
    measurement: Measurement
    batches: Batches
    data: Sequence[float] = ()


def make_plan(recipe: PlannedRecipe, devices: Devices, measurement: Measurement, data: Sequence[float] = ()) -> Plan:
    """Puts a plan together.

    Args:
        recipe: What is to be trained.
        devices: On what.
        measurement: Of the recipe's model.
        data: Hours of audio, images or tokens, to say how often training sees them.

    Raises:
        ValueError: An amount of data is not positive, or not even one item fits into a device.
    """
    check_data(data)
    parameters = count_parameters(recipe.config)
    memory = memory_of(parameters, num_devices=devices.number, sharded=devices.sharded)
    batches = fit_batches(
        devices.memory * (1 - RESERVE) * GIB,
        memory,
        measurement,
        num_devices=devices.number,
        items=recipe.global_batch.items,
        amount=recipe.global_batch.amount,
        longest=recipe.longest_item,
    )
    return Plan(recipe, devices, parameters, memory, measurement, batches, data)


def check_data(data: Sequence[float]) -> None:
    """Raises `ValueError` at amounts of data that are not positive numbers."""
    if not all(0 < amount < inf for amount in data):
        raise ValueError(f"Expected --data with hours of audio, images or tokens above 0, got {list(data)}.")


def table(plan: Plan) -> list[Row]:
    """The rows of the table."""
    return [*_model_rows(plan), *_memory_rows(plan), *_batch_rows(plan), *_time_rows(plan)]


def format_table(rows: Sequence[Row]) -> str:
    """Rows as text, in columns."""
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{row.name:<{widths[0]}}  {row.value:>{widths[1]}}  {row.source}" for row in rows)


def _model_rows(plan: Plan) -> Iterator[Row]:
    yield Row("model", plan.recipe.config.model_type, "read: recipe")
    yield Row("trained parameters", f"{plan.parameters.trained / 1e6:,.1f} M", "counted")
    yield Row("teacher's values", f"{plan.parameters.teacher / 1e6:,.1f} M", "counted")
    yield Row("other stored values", f"{plan.parameters.other / 1e6:,.1f} M", "counted")


def _memory_rows(plan: Plan) -> Iterator[Row]:
    memory, recipe, measurement = plan.memory, plan.recipe, plan.measurement
    share = f", a share of 1/{plan.devices.number} (FSDP2)" if plan.devices.sharded else ""
    yield Row("memory: weights", _gib(memory.weights), f"counted: 4 bytes each{share}")
    yield Row("memory: teacher", _gib(memory.teacher), f"counted: 4 bytes each{share}")
    yield Row("memory: gradients", _gib(memory.gradients), f"counted: 4 bytes each{share}")
    yield Row("memory: AdamW", _gib(memory.optimizer), f"counted: 8 bytes each{share}")
    yield Row("memory: DDP's buckets", _gib(memory.buckets), "counted: 4 bytes each, with several GPUs and no FSDP")
    source = _activation_source(plan)
    yield Row("memory: copies of weights", _gib(measurement.fixed_bytes), source)
    yield Row(f"memory: activations, {_item(recipe)}", _gib(measurement.bytes_per_item), source)
    activations = measurement.activation_bytes(recipe.items_per_device)
    batch = f"{recipe.items_per_device} x {_item(recipe)}"
    yield Row(f"memory: activations, recipe's {batch}", _gib(activations), "extrapolated: number of items")
    needed, has = memory.total + activations, plan.devices.memory * (1 - RESERVE) * GIB
    verdict = "fits" if needed <= has else "does NOT fit"
    yield Row(
        "memory: total, recipe's batch",
        _gib(needed),
        f"sum; {verdict} into {_gib(has)} ({plan.devices.memory:g} GiB less {RESERVE:.0%} assumed for CUDA and gaps)",
    )


def _activation_source(plan: Plan) -> str:
    depths, precision = plan.measurement.depths, "bfloat16 autocast" if plan.recipe.half_precision else "float32"
    measured = f"tensors kept for backward on {plan.measurement.device}, {precision}, 1 and 2 items"
    if "CPU" in plan.measurement.device:
        measured += " (a GPU's fused attention keeps less, its waveform encoder half as much again)"
    if len(depths) == 1:
        return f"measured here: {measured}"
    return f"extrapolated: {measured}, {depths[0]} and {depths[1]} of {plan.measurement.num_layers} layers"


def _batch_rows(plan: Plan) -> Iterator[Row]:
    recipe, batches, number = plan.recipe, plan.batches, plan.devices.number
    wanted = recipe.global_batch
    unit = recipe.unit
    yield Row("global batch", f"{wanted.items:,} items, {wanted.amount:,.0f} {unit}", f"read: {wanted.source}")
    yield Row(f"most items per GPU ({_item(recipe)})", f"{batches.most_items:,}", "extrapolated: memory, see above")
    reached = batches.items * number * batches.accumulation
    note = "" if reached == wanted.items else f"; {reached} and not {wanted.items}, which {number} GPUs cannot share"
    yield Row(
        "suggested: per_device_train_batch_size x GPUs x accumulation",
        f"{batches.items} x {number} x {batches.accumulation}",
        f"follows: fewest accumulation steps{note}",
    )
    if unit == "seconds":
        reached_amount = batches.amount * number * batches.amount_accumulation
        note = (
            "" if reached_amount <= 1.01 * wanted.amount else f"; {reached_amount:,.0f} s: the longest clip must fit"
        )
        yield Row(
            "or: batch_seconds x GPUs x accumulation",
            f"{batches.amount:.1f} x {number} x {batches.amount_accumulation}",
            f"follows: fewest accumulation steps{note}",
        )


def _time_rows(plan: Plan) -> Iterator[Row]:
    recipe, devices, measurement = plan.recipe, plan.devices, plan.measurement
    amount = recipe.global_batch.amount
    total = amount * recipe.max_steps
    per_hour = 3600 if recipe.unit == "seconds" else 1
    unit = "hours" if recipe.unit == "seconds" else recipe.unit
    yield Row("steps", f"{recipe.max_steps:,}", "read: recipe")
    yield Row("data seen", f"{total / per_hour:,.0f} {unit}", "counted: steps x global batch")
    for available in plan.data:
        epochs = total / per_hour / available
        yield Row(f"  of {available:,.0f} {unit}", f"{epochs:,.2f} epochs", "counted")
    flops = measurement.flops_per_item * amount / recipe.longest_item
    yield Row("operations per step", f"{flops / 1e12:,.2f} x 10^12", _flops_source(plan))
    speed = measurement.flops_per_second
    yield Row(
        "time on one device like this one",
        _duration(recipe.max_steps * flops / speed),
        f"extrapolated: {speed / 1e9:,.0f} x 10^9 operations/s, as in steps of 1 item on {measurement.device}",
    )
    assumed = devices.number * devices.peak_tflops * 1e12 * devices.utilisation
    yield Row(
        f"time on {devices.number} GPU(s)",
        _duration(recipe.max_steps * flops / assumed),
        f"extrapolated: {devices.peak_tflops:g} x 10^12 operations/s each, of which {devices.utilisation:.0%} are "
        "reached (both assumed); data and communication keep up",
    )


def _flops_source(plan: Plan) -> str:
    longest = f"as if all were of the longest length ({plan.recipe.longest_item:g} {plan.recipe.unit})"
    depths = plan.measurement.depths
    layers = "" if len(depths) == 1 else f", {depths[0]} and {depths[1]} of {plan.measurement.num_layers} layers"
    return f"extrapolated: matrix products counted in a step here{layers}, {longest}"


def _item(recipe: PlannedRecipe) -> str:
    """Name of an item of the longest length."""
    return "image" if recipe.unit == "images" else f"{recipe.longest_item:g} {recipe.unit}"


def _gib(number: float) -> str:
    return f"{number / GIB:,.3f} GiB"


def _duration(seconds: float) -> str:
    if seconds < 7200:
        return f"{seconds / 60:,.1f} minutes"
    return f"{seconds / 3600:,.1f} hours" if seconds < 100 * 3600 else f"{seconds / 86400:,.1f} days"
