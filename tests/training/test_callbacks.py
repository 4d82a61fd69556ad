# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import torch
from accelerate.optimizer import AcceleratedOptimizer
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_ssl import Data2Vec2AudioForPreTraining
from hf_ssl.training import TeacherUpdateCallback
from hf_ssl.training.model_sizes import data2vec2_audio_config


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
