# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A short measured run: bytes of activations, floating-point operations and seconds of real training steps."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForPreTraining, PreTrainedConfig, PreTrainedModel

from ..devices import usable_device
from ..models.self_distillation import SelfDistillationModel
from ..training.activation_checkpointing import enable_activation_checkpointing
from ..training.running import override_config
from .recipes import PlannedRecipe
from .step_flops import StepFlops
from .synthetic import make_batch

_TIMED_STEPS = 2


@dataclass(frozen=True)
class Measurement:
    """What training takes, from which any batch follows.

    Attributes:
        fixed_bytes: Kept for the backward pass whatever the batch: copies of weights in half precision.
        bytes_per_item: Activations that one item of the longest length keeps for the backward pass.
        flops_per_item: Floating-point operations of a training step on one such item: forward, teacher, backward,
            and what activation checkpointing computes again, because that takes its time.
        measured_flops: Those of the step that was timed,
        measured_seconds: and how long it took, with optimizer and update of the teacher.
        device: Where.
        depths: Numbers of layers that were measured, of
        num_layers: as many.
    """

    fixed_bytes: float
    bytes_per_item: float
    flops_per_item: float
    measured_flops: float
    measured_seconds: float
    device: str
    depths: tuple[int, ...]
    num_layers: int

    @property
    def flops_per_second(self) -> float:
        """Speed of the step that was timed."""
        return self.measured_flops / self.measured_seconds

    def activation_bytes(self, num_items: float) -> float:
        """Bytes that a batch of items of the longest length keeps for the backward pass."""
        return self.fixed_bytes + num_items * self.bytes_per_item


@dataclass(frozen=True)
class _Step:
    """One item's step, and the bytes that one and two items keep."""

    bytes_of_one: int
    bytes_of_two: int
    flops: int
    seconds: float


class SavedBytes(AbstractContextManager):
    """Counts the bytes that autograd keeps for the backward pass, each storage once.

    Tensors that exist anyway, such as parameters, do not count.

    Args:
        existing: These.
    """

    def __init__(self, existing: list[torch.Tensor]) -> None:
        self._existing = {tensor.untyped_storage().data_ptr() for tensor in existing}
        self._sizes: dict[int, int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)

    @property
    def total(self) -> int:
        """Bytes so far."""
        return sum(self._sizes.values())

    def _pack(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._existing:
            self._sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    def __enter__(self) -> "SavedBytes":
        self._hooks.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._hooks.__exit__(*exception)


def measure(recipe: PlannedRecipe, *, whole_model: bool = False, device: str | None = None) -> Measurement:
    """Takes real steps of the recipe's model on noise of the longest length.

    Memory and operations are linear in the number of items and, but for what is outside of them, of layers. So models
    of one and of two layers are measured, with one and two items each, which any machine can do; or with
    `whole_model` the model itself.

    Args:
        recipe: The recipe.
        whole_model: Whether to measure all layers.
        device: Where; a GPU if there is one.

    Raises:
        ValueError: There is no such device.
    """
    device = usable_device(device)
    depth = _depth(recipe.config)
    if whole_model or depth <= 2:
        step = _measure_step(recipe, recipe.config, device)
        return _as_measurement(step, step, depth, (depth,), device)
    shallow, deeper = (_measure_step(recipe, _with_depth(recipe.config, layers), device) for layers in (1, 2))
    return _as_measurement(shallow, deeper, depth, (1, 2), device)


def _as_measurement(
    shallow: _Step, deeper: _Step, num_layers: int, depths: tuple[int, ...], device: str
) -> Measurement:
    """Linear in the layers, from the step with `depths[0]` and that with `depths[-1]` of them."""

    def at_full_depth(quantity: Callable[[_Step], float]) -> float:
        return quantity(deeper) + (num_layers - depths[-1]) * (quantity(deeper) - quantity(shallow))

    return Measurement(
        fixed_bytes=at_full_depth(lambda step: 2 * step.bytes_of_one - step.bytes_of_two),
        bytes_per_item=at_full_depth(lambda step: step.bytes_of_two - step.bytes_of_one),
        flops_per_item=at_full_depth(lambda step: step.flops),
        measured_flops=deeper.flops,
        measured_seconds=deeper.seconds,
        device=torch.cuda.get_device_name() if device == "cuda" else f"this CPU, {torch.get_num_threads()} thread(s)",
        depths=depths,
        num_layers=num_layers,
    )


def _depth(config: PreTrainedConfig) -> int:
    """Layers, with those of data2vec 2.0's prenet, which are of the same make."""
    fields = config.to_dict()
    return fields["num_hidden_layers"] + fields.get("num_prenet_layers", 0)


def _with_depth(config: PreTrainedConfig, num_layers: int) -> PreTrainedConfig:
    """The same model with fewer layers, none of which is dropped: memory must do for all of them."""
    fields = config.to_dict()
    wanted = {
        "num_hidden_layers": num_layers,
        "num_prenet_layers": 0,
        "layerdrop": 0.0,
        "prenet_layerdrop": 0.0,
        "average_top_k_layers": min(num_layers, fields.get("average_top_k_layers", num_layers)),
    }
    return override_config(config, {name: value for name, value in wanted.items() if name in fields})


def _measure_step(recipe: PlannedRecipe, config: PreTrainedConfig, device: str) -> _Step:
    torch.manual_seed(0)
    model = AutoModelForPreTraining.from_config(config).to(device).train()
    if recipe.checkpointing:
        enable_activation_checkpointing(model)
    one, two = (_to(make_batch(recipe, config, num_items), device) for num_items in (1, 2))
    bytes_of_one, bytes_of_two = (_count_bytes(recipe, model, batch, device) for batch in (one, two))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    with StepFlops(model) as counter:
        _train_step(recipe, model, optimizer, one, device)
    seconds = [_time_step(recipe, model, optimizer, one, device) for _ in range(_TIMED_STEPS)]
    return _Step(bytes_of_one, bytes_of_two, counter.flops, median(seconds))


def _to(batch: dict[str, torch.Tensor], device: str) -> dict[str, torch.Tensor]:
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _count_bytes(recipe: PlannedRecipe, model: PreTrainedModel, batch: dict[str, torch.Tensor], device: str) -> int:
    with SavedBytes([*model.parameters(), *model.buffers()]) as saved, _precision(recipe, device):
        loss = model(**batch).loss
    del loss
    return saved.total


def _precision(recipe: PlannedRecipe, device: str) -> torch.autocast:
    return torch.autocast(device, dtype=torch.bfloat16, enabled=recipe.half_precision)


def _train_step(
    recipe: PlannedRecipe,
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, torch.Tensor],
    device: str,
) -> None:
    with _precision(recipe, device):
        loss = model(**batch).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if isinstance(model, SelfDistillationModel):
        model.update_teacher()


def _time_step(
    recipe: PlannedRecipe,
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, torch.Tensor],
    device: str,
) -> float:
    started = time.perf_counter()
    _train_step(recipe, model, optimizer, batch, device)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
