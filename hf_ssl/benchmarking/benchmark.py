# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Runs training steps of a recipe's model and measures them."""

from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForPreTraining, PreTrainedModel

from ..models.self_distillation import SelfDistillationModel
from ..planning.flops import count_flops
from ..planning.recipes import PlannedRecipe, load_recipe
from ..planning.synthetic import make_batch
from ..results import provenance
from .gemm import gemm_flops_per_second
from .memory import peak_memory
from .phases import Stopwatch, watch

_WARM_UP = 2
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure.

    Args:
        recipe: YAML recipe of a pre-training script.
        settings: Keys that win over the recipe's.
        items: Clips, images or blocks of a batch; the recipe's batch of a device if `None`.
        seconds: Length of clips; the recipe's longest if `None`.
        precision: `"float32"`, or `"bfloat16"` under autocast; the recipe's if `None`.
        device: `"cpu"` or `"cuda"`; a GPU if there is one, if `None`.
        rounds: Steps that count, after two that do not.
        compile: Whether the model is compiled; stages are then not told apart.
    """

    recipe: str
    settings: dict[str, str] = field(default_factory=dict)
    items: int | None = None
    seconds: float | None = None
    precision: str | None = None
    device: str | None = None
    rounds: int = 5
    compile: bool = False


@dataclass(frozen=True)
class Benchmark:
    """What was measured; medians over rounds.

    Attributes:
        recipe, model_type, device, precision: What, where and how.
        num_parameters: Of the student with its heads; the teacher's do not count.
        items, amount, unit: The batch, and how many seconds of audio, images or tokens it is.
        step_seconds: Whole steps, without any stopwatch in them.
        phases: Seconds of the parts of a step, from steps of their own.
        flops: Floating-point operations of a step, by formula.
        peak_flops_per_second: Of matrix products of the same precision, in the same run.
        peak_bytes: Highest memory.
        where: Version, commit, machine.
    """

    recipe: str
    model_type: str
    device: str
    precision: str
    num_parameters: int
    items: int
    amount: float
    unit: str
    step_seconds: list[float]
    phases: dict[str, float]
    flops: int
    peak_flops_per_second: float
    peak_bytes: int
    where: dict[str, Any]

    @property
    def seconds(self) -> float:
        """Of a step."""
        return median(self.step_seconds)

    @property
    def amount_per_second(self) -> float:
        """Seconds of audio, images or tokens per second."""
        return self.amount / self.seconds

    @property
    def utilisation(self) -> float:
        """Share of the speed of matrix products."""
        return self.flops / self.seconds / self.peak_flops_per_second


def run_benchmark(config: BenchmarkConfig) -> Benchmark:
    """Measures a recipe's training step on noise of the longest length.

    Raises:
        ValueError: The recipe or a setting cannot be used.
    """
    if config.rounds < 1:
        raise ValueError(f"Expected --rounds of at least 1, got {config.rounds}.")
    recipe = load_recipe(config.recipe, config.settings)
    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    precision = config.precision or ("bfloat16" if recipe.half_precision else "float32")
    items = config.items or recipe.items_per_device
    batch = _make_batch(recipe, config, items, device)
    step = TrainingStep(recipe, device, precision)
    with count_flops() as counter:
        step(batch)
    if config.compile:
        step.compile()
    with peak_memory(device) as peak:
        seconds = [step.time(batch) for _ in range(_WARM_UP + config.rounds)][_WARM_UP:]
    phases = {} if config.compile else step.phases(batch, config.rounds)
    length = recipe.longest_item if config.seconds is None else config.seconds
    return Benchmark(
        recipe=config.recipe,
        model_type=recipe.config.model_type,
        device=device,
        precision=precision,
        num_parameters=step.num_parameters,
        items=items,
        amount=items * length,
        unit=recipe.unit,
        step_seconds=seconds,
        phases=phases,
        flops=counter.get_total_flops(),
        peak_flops_per_second=gemm_flops_per_second(device, _DTYPES[precision]),
        peak_bytes=peak.bytes,
        where=provenance() | {"torch": torch.__version__},
    )


class TrainingStep:
    """A new model of a recipe with its optimizer; a call is one update, and gives its loss.

    Args:
        recipe: Which model.
        device, precision: Where and how.
    """

    def __init__(self, recipe: PlannedRecipe, device: str, precision: str) -> None:
        torch.manual_seed(0)
        self.device = device
        self.autocast = torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16")
        self.model: PreTrainedModel = AutoModelForPreTraining.from_config(recipe.config).to(device).train()
        if recipe.checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.forward: Any = self.model
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.num_parameters = sum(parameter.numel() for parameter in trained)
        self.optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)

    def compile(self) -> None:
        self.forward = torch.compile(self.model)

    def __call__(self, batch: dict[str, torch.Tensor], stopwatch: Stopwatch | None = None) -> torch.Tensor:
        stopwatch = stopwatch or Stopwatch(self.device)
        with self.autocast:
            loss = self.forward(**batch).loss
        with stopwatch.phase("backward"):
            loss.backward()
        with stopwatch.phase("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()
        if isinstance(self.model, SelfDistillationModel):
            with stopwatch.phase("teacher's update"):
                self.model.update_teacher()
        return loss.detach()

    def time(self, batch: dict[str, torch.Tensor]) -> float:
        """Seconds of one step."""
        stopwatch = Stopwatch(self.device)
        with stopwatch.phase("step"):
            self(batch)
        return stopwatch.seconds["step"]

    def phases(self, batch: dict[str, torch.Tensor], rounds: int) -> dict[str, float]:
        """Medians of the phases over steps with a stopwatch; what no phase has is `loss and the rest`."""
        measured: list[dict[str, float]] = []
        for _ in range(rounds):
            stopwatch = Stopwatch(self.device)
            started = stopwatch.now()
            with watch(self.model, stopwatch):
                self(batch, stopwatch)
            seconds = stopwatch.seconds
            measured.append(seconds | {"loss and the rest": stopwatch.now() - started - sum(seconds.values())})
        return {name: median(one.get(name, 0.0) for one in measured) for name in measured[0]}


def _make_batch(recipe: PlannedRecipe, config: BenchmarkConfig, items: int, device: str) -> dict[str, torch.Tensor]:
    if config.seconds is not None:
        if recipe.unit != "seconds":
            raise ValueError(f"--seconds is for recipes of speech; {config.recipe} counts {recipe.unit}.")
        recipe = replace(recipe, longest_item=config.seconds)
    return {name: tensor.to(device) for name, tensor in make_batch(recipe, recipe.config, items).items()}
