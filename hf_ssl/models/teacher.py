# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The exponential-moving-average teacher of the data2vec family, and the targets that are made of its layers."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn import functional as F
from transformers import PreTrainedConfig

from .input_checks import can_ask

# How often the student may change before a teacher that was not updated is an error. More than one, because an
# optimizer may legitimately touch a parameter in several in-place operations between two forwards.
MAX_STALE_STEPS = 4

# Every how many checks the count of these steps is asked for where asking makes the host wait for a device. An update
# starts the count again, so that without long accumulation it is never asked for.
CHECKS_PER_QUESTION = 16

HALF_PRECISION = (torch.float16, torch.bfloat16)


def ema_decay(step: int, start: float, end: float, anneal_steps: int) -> float:
    """Decay of the teacher after optimizer step `step` (data2vec, section 3.1: linear from tau_0 to tau_e).

    Args:
        step: Number of optimizer steps taken, this one included: the originals compute the decay after the step.
        start: Decay at step 0.
        end: Decay from step `anneal_steps` on.
        anneal_steps: Number of steps of the linear rise.
    """
    if step >= anneal_steps:
        return end
    return end - (end - start) * (1 - step / anneal_steps)


class EMATeacher(nn.Module):
    """Averaged copy of some of a student's modules.

    Its parameters never require a gradient, it never leaves evaluation mode, and it keeps its own precision when the
    student is cast to half precision: an average with a decay of 0.99999 does not move in bfloat16. It is part of the
    model's state dict, so that it is saved, resumed and sharded with the student.

    Args:
        student: Modules to copy, by the name they get here.
    """

    num_updates: torch.Tensor

    def __init__(self, student: Mapping[str, nn.Module]):
        super().__init__()
        for name, module in student.items():
            # With the student's configurations: what is set later, such as the kind of attention, holds for both.
            self.add_module(name, copy.deepcopy(module, _configurations(module)))
        # also where the student is made in half precision, as by `from_config(config, dtype=torch.bfloat16)`
        super()._apply(lambda tensor: tensor.float() if tensor.dtype in HALF_PRECISION else tensor)
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.long))
        self._start_counting(None)
        self.freeze()

    def freeze(self) -> None:
        """Restores the two things that loading or a careless call may have changed: no gradient, evaluation mode."""
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> "EMATeacher":
        """Stays in evaluation mode whatever `mode` is: `model.train()` must not wake the teacher's dropout."""
        self.freeze()
        return self

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "EMATeacher":
        """Moves with the model, but is not cast to half precision with it."""

        def keep_precision(tensor: torch.Tensor) -> torch.Tensor:
            applied = fn(tensor)
            is_half = applied.dtype in HALF_PRECISION
            return tensor.to(applied.device) if is_half and applied.dtype != tensor.dtype else applied

        return super()._apply(keep_precision, recurse)

    @torch.no_grad()
    def copy_from(self, student: Mapping[str, nn.Module]) -> None:
        """Makes the teacher equal to the student and starts counting updates afresh."""
        for name, module in student.items():
            self.get_submodule(name).load_state_dict(module.state_dict())  # with the buffers, such as fixed scales
        self.num_updates.zero_()
        self._start_counting(None)

    @torch.no_grad()
    def update(self, student: Mapping[str, nn.Module], decay: float) -> None:
        """`teacher = decay * teacher + (1 - decay) * student` (data2vec, section 3.1).

        Deviation: the original copies parameters that require no gradient instead of averaging them. Those do not
        change, so the average is equal to them too, unless a checkpoint says otherwise.
        """
        if decay < 1:  # a schedule that ends at 1 freezes the teacher
            pairs = [_local_pair(mine, theirs) for mine, theirs in self._pairs(student)]
            averages = [mine for mine, _ in pairs]
            current = [theirs.to(mine.dtype) for mine, theirs in pairs]
            torch._foreach_lerp_(averages, current, 1 - decay)
        self.num_updates += 1
        self._start_counting(self._student_values(student))

    def _start_counting(self, values: torch.Tensor | None) -> None:
        """How often the student was optimised without an update is counted on the device, from its `values` on."""
        self._seen_values = values
        self._stale_steps: torch.Tensor | int = 0
        self._unanswered_checks = 0

    def assert_updated(self, student: Mapping[str, nn.Module]) -> None:
        """Raises if the student has been trained for some steps while the teacher was left behind.

        Called at every training forward. It compares a few values of the student with those of the forward before; on
        a GPU its answer is read every `CHECKS_PER_QUESTION` calls.
        """
        values = self._student_values(student)
        if values.is_meta:  # a model without weights is not trained
            return
        if self._seen_values is not None:
            self._stale_steps = self._stale_steps + _differ(self._seen_values, values)
        self._seen_values = values
        self._unanswered_checks += 1
        if not can_ask(values) and self._unanswered_checks < CHECKS_PER_QUESTION:
            return
        self._unanswered_checks, self._stale_steps = 0, int(self._stale_steps)
        if self._stale_steps >= MAX_STALE_STEPS:
            raise RuntimeError(
                f"The student has been optimised {self._stale_steps} times since its teacher was last updated, so the "
                "targets no longer follow the student. Call `model.update_teacher()` after every `optimizer.step()`, "
                "or add `hf_ssl.training.TeacherUpdateCallback()` to the `callbacks` of your `Trainer` "
                "(`hf_ssl.training.SelfDistillationTrainer` has it). For a frozen teacher set `config.ema_decay = "
                "config.ema_end_decay = 1.0` and update all the same."
            )

    def _student_values(self, student: Mapping[str, nn.Module]) -> torch.Tensor:
        """Some values of the first parameter that is trained; a frozen one would never tell of a step, nor would one
        that is sharded (FSDP2) and of which this process has nothing.

        Values and not torch's version counter, which fused optimizers (the `Trainer`'s default) leave as it is.
        """
        parameters = (parameter for module in student.values() for parameter in module.parameters())
        trained = (local_part(parameter) for parameter in parameters if parameter.requires_grad)
        values = next((part for part in trained if part.numel() > 0), torch.empty(0))
        return values.detach().flatten()[:16].clone()

    def _pairs(self, student: Mapping[str, nn.Module]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [
            pair
            for name, module in student.items()
            for pair in zip(self.get_submodule(name).parameters(), module.parameters(), strict=True)
        ]


def _differ(before: torch.Tensor, now: torch.Tensor) -> torch.Tensor | bool:
    """Whether values changed, or are others altogether; a scalar on the device."""
    return before.shape != now.shape or (before.to(now) != now).any()


def _configurations(module: nn.Module) -> dict[int, PreTrainedConfig]:
    """Those of a module and its parts, by identity, as `copy.deepcopy` takes what it is not to copy."""
    found = [vars(part).get("config") for part in module.modules()]
    return {id(config): config for config in found if isinstance(config, PreTrainedConfig)}


def local_part(tensor: torch.Tensor) -> torch.Tensor:
    """This process's shard of a parameter that is sharded (FSDP2), without communication; else the parameter."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _local_pair(mine: torch.Tensor, theirs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Local parts of a teacher's and a student's parameter, which must be of the same elements."""
    placements = [tensor.placements if isinstance(tensor, DTensor) else None for tensor in (mine, theirs)]
    if placements[0] != placements[1]:
        raise ValueError(
            "Teacher and student must be sharded alike, but a parameter is placed as "
            f"{placements[0]} in the teacher and as {placements[1]} in the student. Shard the same modules of both."
        )
    return local_part(mine), local_part(theirs)


class LayerOutputs:
    """What layers give beside their hidden states, one tensor each.

    No list: whoever casts or moves a layer's arguments (FSDP2, accelerate's hooks) makes new lists, and what a layer
    appends to them is lost.
    """

    def __init__(self) -> None:
        self.tensors: list[torch.Tensor] = []

    def append(self, tensor: torch.Tensor) -> None:
        self.tensors.append(tensor)


def average_layers(
    layer_outputs: Sequence[torch.Tensor],
    *,
    top_k: int,
    layer_norms: Sequence[str],
    target_norms: Sequence[str],
    frame_mask: torch.Tensor | None,
) -> torch.Tensor:
    """Makes targets of the teacher's layers: normalise each of the last `top_k`, average, normalise the average
    (data2vec, section 3.2).

    Args:
        layer_outputs: Each of shape `(batch_size, sequence_length, hidden_size)`.
        top_k: How many of the last layers to average.
        layer_norms: Normalisations of each layer, in order: `"batch"`, `"instance"`, `"layer"`.
        target_norms: Normalisations of the average, in order.
        frame_mask: `(batch_size, sequence_length)`, `True` at the frames that statistics over time may see; `None`
            for all of them.

    Returns:
        Targets in float32, `(batch_size, sequence_length, hidden_size)`.
    """
    total = torch.zeros((), device=layer_outputs[-1].device)
    for layer_output in layer_outputs[-top_k:]:
        total = total + _normalize(layer_output.float(), layer_norms, frame_mask)
    return _normalize(total / min(top_k, len(layer_outputs)), target_norms, frame_mask)


def _normalize(hidden_states: torch.Tensor, norms: Sequence[str], frame_mask: torch.Tensor | None) -> torch.Tensor:
    for norm in norms:
        if norm == "layer":
            hidden_states = F.layer_norm(hidden_states, hidden_states.shape[-1:])
        else:
            dims = (1,) if norm == "instance" else (0, 1)
            hidden_states = _normalize_over_time(hidden_states, dims, frame_mask)
    return hidden_states


def _normalize_over_time(
    hidden_states: torch.Tensor, dims: tuple[int, ...], frame_mask: torch.Tensor | None, eps: float = 1e-5
) -> torch.Tensor:
    """Instance (`dims=(1,)`) or batch (`dims=(0, 1)`) norm without parameters; statistics of real frames only.

    Written out because `F.instance_norm` knows no mask and refuses a sequence of one frame.
    """
    if frame_mask is None:
        variance, mean = torch.var_mean(hidden_states, dim=dims, correction=0, keepdim=True)
    else:
        weights = frame_mask.unsqueeze(-1).to(hidden_states.dtype)
        count = weights.sum(dim=dims, keepdim=True).clamp_min(1)
        mean = (hidden_states * weights).sum(dim=dims, keepdim=True) / count
        variance = ((hidden_states - mean).square() * weights).sum(dim=dims, keepdim=True) / count
    return (hidden_states - mean) * torch.rsqrt(variance + eps)
