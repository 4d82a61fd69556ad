# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Memory of a device in training, by part, and the batch that fits into it."""

import math
from dataclasses import dataclass

import torch
from transformers import AutoModelForPreTraining, PreTrainedConfig

from .measuring import Measurement

GIB = 2**30
_BYTES = 4  # of a number in float32, which weights, gradients and the optimizer's averages are in


@dataclass(frozen=True)
class Parameters:
    """Numbers of values in a model: trained, of the teacher, and of what else is stored and never trained."""

    trained: int
    teacher: int
    other: int


def count_parameters(config: PreTrainedConfig) -> Parameters:
    """Counts them without making the model."""
    with torch.device("meta"):
        model = AutoModelForPreTraining.from_config(config)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    tensors = model.state_dict().items()
    teacher = sum(tensor.numel() for name, tensor in tensors if name.startswith("teacher."))
    return Parameters(trained, teacher, sum(tensor.numel() for _, tensor in tensors) - trained - teacher)


@dataclass(frozen=True)
class Memory:
    """Bytes on one device that do not depend on the batch.

    Attributes:
        weights: In float32, with what is stored and never trained.
        teacher: In float32.
        gradients: In float32.
        optimizer: AdamW's two averages.
        buckets: In which DistributedDataParallel exchanges gradients.
    """

    weights: float
    teacher: float
    gradients: float
    optimizer: float
    buckets: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.teacher + self.gradients + self.optimizer + self.buckets


def memory_of(parameters: Parameters, *, num_devices: int, sharded: bool) -> Memory:
    """What every device holds: everything (DDP), or with `sharded` its share (FSDP2)."""
    shares = num_devices if sharded else 1
    return Memory(
        weights=_BYTES * (parameters.trained + parameters.other) / shares,
        teacher=_BYTES * parameters.teacher / shares,
        gradients=_BYTES * parameters.trained / shares,
        optimizer=2 * _BYTES * parameters.trained / shares,
        buckets=0 if sharded or num_devices == 1 else _BYTES * parameters.trained,
    )


@dataclass(frozen=True)
class Batches:
    """How to reach a global batch.

    Attributes:
        most_items: Items of the longest length that fit into a device's memory.
        items: For each device.
        accumulation: Batches per update.
        amount: For each device in seconds, images or tokens, where batches are of so many.
        amount_accumulation: Batches of that amount per update.
    """

    most_items: int
    items: int
    accumulation: int
    amount: float
    amount_accumulation: int


def fit_batches(
    usable: float,
    memory: Memory,
    measurement: Measurement,
    *,
    num_devices: int,
    items: int,
    amount: float,
    longest: float,
) -> Batches:
    """The fewest accumulation steps with which a global batch fits.

    Args:
        usable: Bytes of a device that training may fill.
        memory: What is there whatever the batch.
        measurement: Of activations.
        num_devices: How many share the batch.
        items, amount: The global batch: items, and seconds, images or tokens.
        longest: Seconds, images or tokens of the longest item.

    Raises:
        ValueError: Not even one item fits.
    """
    free = usable - memory.total - measurement.fixed_bytes
    most = int(free // measurement.bytes_per_item)
    if most < 1:
        raise ValueError(_no_room(usable, memory, measurement, longest))
    per_device = math.ceil(items / num_devices)
    accumulation = math.ceil(per_device / most)
    # At least the longest clip must fit into a batch of seconds.
    amount_per_device = amount / num_devices
    amount_accumulation = max(1, math.ceil(amount_per_device / (most * longest)))
    return Batches(
        most_items=most,
        items=math.ceil(per_device / accumulation),
        accumulation=accumulation,
        amount=max(amount_per_device / amount_accumulation, longest),
        amount_accumulation=amount_accumulation,
    )


def _no_room(usable: float, memory: Memory, measurement: Measurement, longest: float) -> str:
    one = measurement.activation_bytes(1)
    if memory.total > usable:
        return (
            f"Weights, teacher, gradients and optimizer take {memory.total / GIB:.2f} GiB of a device that has "
            f"{usable / GIB:.2f} GiB for training. More accumulation does not help, because none of it depends on the "
            "batch. Shard it over devices: plan with --fsdp, train with training_scripts/accelerate/fsdp2.yaml."
        )
    return (
        f"Weights, teacher, gradients and optimizer take {memory.total / GIB:.2f} GiB and one item of the longest "
        f"length ({longest:g}) {one / GIB:.2f} GiB, but a device has {usable / GIB:.2f} GiB for training. Take "
        "shorter items (--set max_seconds=... or block_size), --set activation_checkpointing=true, or --fsdp. "
        "Accumulation helps only where at least one item fits."
    )
