# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Seconds of a training step by phase."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from ..models.self_distillation import SelfDistillationModel


class Stopwatch:
    """Adds up seconds by phase. Of phases within a phase only the outer one counts, so that they add up.

    Args:
        device: Of the model: on a GPU every reading waits for what was begun before.
    """

    def __init__(self, device: str) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._open: list[tuple[str, float]] = []

    def now(self) -> float:
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def begin(self, phase: str) -> None:
        self._open.append((phase, self.now()))

    def end(self) -> None:
        phase, started = self._open.pop()
        if not self._open:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + self.now() - started

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self.begin(name)
        try:
            yield
        finally:
            self.end()


@contextmanager
def watch(model: PreTrainedModel, stopwatch: Stopwatch) -> Iterator[None]:
    """Times the stages of a model's forward pass while the context is open.

    A stage is a direct child of the encoder or of the model around it, under its own name, such as `local_encoder`,
    `trunk` and `decoder`; `teacher` is all of `teacher_targets`.
    """
    handles = []
    for name, stage in _stages(model):
        handles.append(stage.register_forward_pre_hook(_beginner(stopwatch, name)))
        handles.append(stage.register_forward_hook(lambda *_: stopwatch.end(), always_call=True))
    watched: Any = model
    has_teacher = isinstance(model, SelfDistillationModel)
    if has_teacher:
        watched.teacher_targets = _timed(watched.teacher_targets, stopwatch)
    try:
        yield
    finally:
        if has_teacher:
            del watched.teacher_targets  # the class's own again
        for handle in handles:
            handle.remove()


def _timed(method: Callable[..., Any], stopwatch: Stopwatch) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        with stopwatch.phase("teacher"):
            return method(*args, **kwargs)

    return timed


def _beginner(stopwatch: Stopwatch, name: str) -> Callable[..., None]:
    return lambda *_: stopwatch.begin(name)


def _stages(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module]]:
    """Children of the encoder, and of the model the encoder is in; the teacher's are within `teacher`."""
    encoder = model.base_model
    yield from encoder.named_children()
    for name, child in model.named_children():
        if child is not encoder and "teacher" not in name:
            yield name, child
