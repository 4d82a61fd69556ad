# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_ssl import Data2Vec2AudioForPreTraining
from hf_ssl.training import CollapseGuardCallback, NonFiniteGradientCallback, TeacherUpdateCallback, callbacks
from hf_ssl.training.model_sizes import data2vec2_audio_config

HEALTHY = {"target_std": 0.5, "prediction_std": 0.3, "between_utterance_share": 0.4}


@pytest.fixture
def warnings_of_guard(monkeypatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(callbacks.logger, "warning", messages.append)
    return messages


def log(guard: CollapseGuardCallback, logs: dict[str, float], step: int, max_steps: int = 100_000) -> TrainerControl:
    control = TrainerControl()
    guard.on_log(
        TrainingArguments("unused", use_cpu=True), TrainerState(global_step=step, max_steps=max_steps), control, logs
    )
    return control


@pytest.mark.parametrize("name", ["target_std", "prediction_std", "between_utterance_share"])
def test_guard_names_what_collapsed(warnings_of_guard, name):
    log(CollapseGuardCallback(first_step=10), HEALTHY | {name: 0.001}, step=10)
    assert len(warnings_of_guard) == 1
    assert f"`{name}` has fallen to 0.0010" in warnings_of_guard[0]


def test_guard_keeps_quiet_about_health_and_about_beginnings(warnings_of_guard):
    log(CollapseGuardCallback(first_step=10), HEALTHY, step=10)
    log(CollapseGuardCallback(first_step=10), {"eval_loss": 1.0}, step=10)
    log(CollapseGuardCallback(first_step=10), HEALTHY | {"target_std": 0.001}, step=9)
    assert warnings_of_guard == []


def test_guard_begins_earlier_in_short_runs(warnings_of_guard):
    collapsed = HEALTHY | {"target_std": 0.001}
    log(CollapseGuardCallback(), collapsed, step=4999)
    log(CollapseGuardCallback(), collapsed, step=99, max_steps=1000)
    assert warnings_of_guard == []
    log(CollapseGuardCallback(), collapsed, step=5000)
    log(CollapseGuardCallback(), collapsed, step=100, max_steps=1000)
    assert len(warnings_of_guard) == 2


def test_guard_stops_only_if_asked(warnings_of_guard):
    collapsed = HEALTHY | {"target_std": 0.001}
    assert not log(CollapseGuardCallback(first_step=0), collapsed, step=1).should_training_stop
    assert log(CollapseGuardCallback(first_step=0, stop=True), collapsed, step=1).should_training_stop
    assert not log(CollapseGuardCallback(first_step=0, stop=True), HEALTHY, step=1).should_training_stop


class SkippedStep(AcceleratedOptimizer):
    """An optimizer whose last step was skipped because float16 gradients overflowed."""

    def __init__(self):
        self._is_overflow = True
        self._accelerate_step_called = False

    @property
    def step_was_skipped(self) -> bool:
        return True


def test_teacher_waits_when_the_step_was_skipped():
    model = Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny"))
    state, control = TrainerState(global_step=3), TrainerControl()
    arguments = TrainingArguments("unused", use_cpu=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    TeacherUpdateCallback().on_step_end(arguments, state, control, model=model, optimizer=SkippedStep())
    assert int(model.teacher.num_updates) == 0
    TeacherUpdateCallback().on_step_end(arguments, state, control, model=model, optimizer=optimizer)
    assert int(model.teacher.num_updates) == 1


class TestNonFiniteGradient:
    """Steps whose gradient is not finite."""

    def step(self, callback: NonFiniteGradientCallback, gradient: float) -> torch.nn.Linear:
        model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.ones_(model.weight)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
        model.weight.grad = torch.full((1, 1), gradient)
        arguments = TrainingArguments("unused", use_cpu=True)
        callback.on_pre_optimizer_step(
            arguments, TrainerState(global_step=6), TrainerControl(), model=model, optimizer=optimizer
        )
        optimizer.step()
        return model

    @pytest.mark.parametrize("gradient", [float("nan"), float("inf")])
    def test_changes_nothing_and_is_told(self, warnings_of_guard, gradient):
        model = self.step(NonFiniteGradientCallback(), gradient)
        assert model.weight.item() == 1.0
        assert warnings_of_guard == ["Step 7 is left out: its gradient is not finite."]

    def test_finite_ones_are_taken_in_silence(self, warnings_of_guard):
        assert self.step(NonFiniteGradientCallback(), 1.0).weight.item() < 1.0
        assert warnings_of_guard == []

    def test_too_many_in_a_row_are_an_error(self, warnings_of_guard):
        callback = NonFiniteGradientCallback(most=2)
        for gradient in (float("nan"), float("nan"), 1.0, float("nan"), float("nan")):
            self.step(callback, gradient)
        with pytest.raises(FloatingPointError, match="3 steps in a row"):
            self.step(callback, float("nan"))
