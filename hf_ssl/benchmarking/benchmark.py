# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Runs training steps of a recipe's model and measures them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from math import inf
from statistics import mean, median
from typing import Any

import torch
from transformers import AutoModelForPreTraining, PreTrainedModel

from ..devices import usable_device
from ..models.self_distillation import SelfDistillationModel
from ..planning.recipes import PlannedRecipe, plan_recipe, read_arguments
from ..planning.step_flops import StepFlops
from ..training.activation_checkpointing import enable_activation_checkpointing
from .batches import Batches, noise_batches, real_batches
from .gemm import gemm_flops_per_second
from .loader import LoaderSpeed, measure_loader
from .memory import held_bytes, peak_memory
from .phases import Stopwatch, watch
from .place import settle
from .real_data import Batch, TrainingData, open_training_data

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_BYTES_PER_PARAMETER = 12  # a gradient and AdamW's two averages, in float32


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure.

    Args:
        recipe: YAML recipe of a pre-training script.
        settings: Keys that win over the recipe's.
        items: Clips, images or blocks of a batch; the recipe's batch of a device if `None`.
        seconds: Length of clips, with `data` of the longest; the recipe's longest if `None`.
        tokens: Length of blocks; the recipe's if `None`.
        precision: `"float32"`, or `"bfloat16"` under autocast; the recipe's if `None`.
        device: `"cpu"` or `"cuda"`; a GPU if there is one, if `None`.
        rounds: Steps that count, after two that do not.
        compile: Whether the model is compiled; stages are then not told apart.
        phases: Whether to take as many steps again, with a stopwatch in them.
        data: What the recipe's script takes as `--data`: real batches; noise of the longest length if empty.
        workers: Also measure how fast the data loader is with so many processes; not if `None`.
    """

    recipe: str
    settings: dict[str, str] = field(default_factory=dict)
    items: int | None = None
    seconds: float | None = None
    tokens: int | None = None
    precision: str | None = None
    device: str | None = None
    rounds: int = 5
    compile: bool = False
    phases: bool = True
    data: tuple[str, ...] = ()
    workers: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """What was measured: medians over rounds, means where every round has a batch of its own.

    Attributes:
        recipe, model_type, device, precision: What, where and how.
        num_parameters: Of the student with its heads; the teacher's do not count.
        items, amount, unit: The batch, and how many seconds of audio, images or tokens it is, without padding.
        step_seconds: Whole steps, without any stopwatch in them.
        phases: Seconds of the parts of a step, from steps of their own; of real data also of loading a batch.
        flops: Floating-point operations that a step needs, by formula: of student, teacher and backward pass, without
            what is only computed again because it was not kept (see `planning/step_flops.py`).
        peak_flops_per_second: Of matrix products of the same precision, in the same run.
        peak_bytes: Highest memory.
        where: Version, commit, machine, versions of libraries, allocator (see [`~hf_ssl.benchmarking.place.settle`]).
        attention_flops: Of `flops`, those of attention's products.
        rest_bytes: Memory without a batch: on a CPU the program, and weights, gradients and the optimizer's averages.
        data: Where real batches came from; empty for noise.
        padding: Share of padding in the batches.
        loader: How fast the data loader is, if it was measured.
        settings: Keys that won over the recipe's; `None` in files of versions that did not write it, as below.
        compile: Whether the model was compiled.
        attention: The model's implementation of attention.
    """

    recipe: str
    model_type: str
    device: str
    precision: str
    num_parameters: int
    items: float
    amount: float
    unit: str
    step_seconds: list[float]
    phases: dict[str, float]
    flops: int
    peak_flops_per_second: float
    peak_bytes: int
    where: dict[str, Any]
    # With defaults, so that files of earlier versions can be read.
    attention_flops: int = 0
    rest_bytes: int = 0
    data: list[str] = field(default_factory=list)
    padding: float = 0.0
    loader: LoaderSpeed | None = None
    settings: dict[str, str] | None = None
    compile: bool | None = None
    attention: str | None = None

    @property
    def seconds(self) -> float:
        """Of a step."""
        return _typical(self.step_seconds, bool(self.data))

    @property
    def amount_per_second(self) -> float:
        """Seconds of audio, images or tokens per second."""
        return self.amount / self.seconds

    @property
    def utilisation(self) -> float:
        """Model FLOPs utilisation (MFU): the operations that a step needs, per second, as a share of what matrix
        products reach."""
        return self.flops / self.seconds / self.peak_flops_per_second

    @property
    def batch_bytes(self) -> int:
        """What the batch takes of the highest memory."""
        return max(0, self.peak_bytes - self.rest_bytes)


def _typical(seconds: Sequence[float], different: bool) -> float:
    """Of the same work again and again the median; of different work the mean, so that it adds up."""
    return mean(seconds) if different else median(seconds)


def run_benchmark(config: BenchmarkConfig) -> Benchmark:
    """Measures a recipe's training step, on noise of the longest length or on real data.

    Raises:
        ValueError: The recipe, a setting, the device or the data cannot be used.
        torch.OutOfMemoryError: It does not fit into the GPU.
    """
    _check(config)
    device = usable_device(config.device)
    where = settle(device)
    recipe, data = _prepare(config)
    batches = _make_batches(recipe, data, config, device)
    precision = config.precision or ("bfloat16" if recipe.half_precision else "float32")
    step = TrainingStep(recipe, device, precision, None if data is None else data.on_device)
    rest_bytes = held_bytes(device) + _BYTES_PER_PARAMETER * step.num_parameters
    flops, of_attention = step.count(batches.distinct)
    if config.compile:
        step.compile()
    with peak_memory(device) as peak:
        for batch in batches.warm_up:
            step.time(batch)
        seconds = [step.time(batch) for batch in batches.counted]
    return Benchmark(
        recipe=config.recipe,
        model_type=recipe.config.model_type,
        device=device,
        precision=precision,
        num_parameters=step.num_parameters,
        items=batches.items,
        amount=batches.amount,
        unit=recipe.unit,
        step_seconds=seconds,
        phases=_phases(step, batches) if config.phases and not config.compile else {},
        flops=flops,
        peak_flops_per_second=gemm_flops_per_second(device, _DTYPES[precision]),
        peak_bytes=peak.bytes,
        where=where,
        attention_flops=of_attention,
        rest_bytes=rest_bytes,
        data=list(config.data),
        padding=batches.padding,
        loader=None if data is None or config.workers is None else measure_loader(data, config.workers, device),
        settings=config.settings,
        compile=config.compile,
        attention=step.model.config._attn_implementation,
    )


def _check(config: BenchmarkConfig) -> None:
    check_counts(config)
    if config.precision not in (None, *_DTYPES):
        raise ValueError(f"Expected --precision {' or '.join(_DTYPES)}, got {config.precision}.")
    if config.workers is not None and (config.workers < 0 or not config.data):
        raise ValueError("The loader needs real data, --data, and --workers of 0 or more.")


def check_counts(config: BenchmarkConfig) -> None:
    """Raises `ValueError` at numbers of rounds or items that measure nothing."""
    if config.rounds < 1:
        raise ValueError(f"Expected --rounds of at least 1, got {config.rounds}.")
    if config.items is not None and config.items < 1:
        raise ValueError(f"Expected --items of at least 1, got {config.items}.")


def _prepare(config: BenchmarkConfig) -> tuple[PlannedRecipe, TrainingData | None]:
    """The recipe with the length that is asked for, and its data if they are to be real."""
    arguments = read_arguments(config.recipe, config.settings, config.data)
    recipe = with_length(plan_recipe(config.recipe, arguments), config)
    if not config.data:
        if getattr(arguments.data, "log_mel_on_device", False):
            raise ValueError("log_mel_on_device needs real data, --data: noise comes as features.")
        return recipe, None
    data = open_training_data(recipe, arguments, config.data, config.items)
    return replace(recipe, config=data.config), data


def with_length(recipe: PlannedRecipe, config: BenchmarkConfig) -> PlannedRecipe:
    """With the length of clips or blocks that is asked for, if any.

    Raises:
        ValueError: Its items have no such length.
    """
    for flag, unit, kind, length in (
        ("--seconds", "seconds", "speech", config.seconds),
        ("--tokens", "tokens", "text", config.tokens),
    ):
        if length is None:
            continue
        if recipe.unit != unit:
            raise ValueError(f"{flag} is for recipes of {kind}; {config.recipe} counts {recipe.unit}.")
        if not 0 < length < inf:
            raise ValueError(f"Expected {flag} above 0, got {length:g}.")
        recipe = replace(recipe, longest_item=float(length))
    return recipe


def _make_batches(recipe: PlannedRecipe, data: TrainingData | None, config: BenchmarkConfig, device: str) -> Batches:
    if data is not None:
        return real_batches(data, config.rounds, device)
    return noise_batches(recipe, config.items or recipe.items_per_device, config.rounds, device)


def _phases(step: "TrainingStep", batches: Batches) -> dict[str, float]:
    """Of loading, if batches are loaded, and of the step."""
    different = bool(batches.loading_seconds)
    loading = {"data": mean(batches.loading_seconds)} if different else {}
    measured = [step.phases(batch) for batch in batches.counted]
    return loading | {name: _typical([one.get(name, 0.0) for one in measured], different) for name in measured[0]}


class TrainingStep:
    """A new model of a recipe with its optimizer; a call is one update as the Trainer makes it, with the gradient
    clipped, and gives its loss. The Trainer's logging, checks and schedules are not in it.

    Args:
        recipe: Which model.
        device, precision: Where and how.
        on_device: What is done to a batch on the device before the model takes it, such as log-mel features.
    """

    def __init__(
        self, recipe: PlannedRecipe, device: str, precision: str, on_device: Callable[[Batch], Batch] | None = None
    ) -> None:
        torch.manual_seed(0)
        self.device = device
        self.on_device = on_device
        self.autocast = torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16")
        self.model: PreTrainedModel = AutoModelForPreTraining.from_config(recipe.config).to(device).train()
        self.checkpointing = recipe.checkpointing
        if self.checkpointing:
            enable_activation_checkpointing(self.model)
        self.forward: Any = self.model
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.num_parameters = sum(parameter.numel() for parameter in trained)
        self.optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
        self.max_grad_norm = None if recipe.max_grad_norm is None else recipe.max_grad_norm or inf
        self.num_updates = 0

    def compile(self) -> None:
        self.forward = torch.compile(self.model)

    def __call__(self, batch: Batch, stopwatch: Stopwatch | None = None) -> torch.Tensor:
        stopwatch = stopwatch or Stopwatch(self.device)
        if self.on_device is not None:
            with stopwatch.phase("features"):
                batch = self.on_device(batch)
        with self.autocast:
            loss = self.forward(**batch).loss
        with stopwatch.phase("backward"):
            loss.backward()
        with stopwatch.phase("optimizer"):
            if self.max_grad_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.num_updates += 1
        if isinstance(self.model, SelfDistillationModel):
            with stopwatch.phase("teacher's update"):
                self.model.update_teacher(self.num_updates)
        return loss.detach()

    def time(self, batch: Batch) -> float:
        """Seconds of one step."""
        stopwatch = Stopwatch(self.device)
        with stopwatch.phase("step"):
            self(batch)
        return stopwatch.seconds["step"]

    def phases(self, batch: Batch) -> dict[str, float]:
        """Seconds of a step by phase; what no phase has is `loss and the rest`."""
        stopwatch = Stopwatch(self.device)
        started = stopwatch.now()
        with watch(self.model, stopwatch):
            self(batch, stopwatch)
        seconds = stopwatch.seconds
        return seconds | {"loss and the rest": stopwatch.now() - started - sum(seconds.values())}

    def count(self, batches: Sequence[Batch]) -> tuple[int, int]:
        """Floating-point operations that a step needs, and those of attention's products, by formula; means."""
        whole, of_attention = [], []
        for batch in batches:
            with StepFlops(self.model) as counter, self._repeating_in(counter):
                self(batch)
            whole.append(counter.flops)
            of_attention.append(counter.attention_flops)
        return round(mean(whole)), round(mean(of_attention))

    @contextmanager
    def _repeating_in(self, counter: StepFlops) -> Iterator[None]:
        """Tells a counter which layers activation checkpointing computes again: without it, the step may need more
        memory than there is."""
        if not self.checkpointing:
            yield
            return
        enable_activation_checkpointing(self.model, context_fn=lambda: (nullcontext(), counter.repetition()))
        try:
            yield
        finally:
            enable_activation_checkpointing(self.model)
