# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Callbacks of pre-training, usable with any `transformers.Trainer`."""

from typing import Any

from accelerate.optimizer import AcceleratedOptimizer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from ..models.modeling_data2vec2 import Data2Vec2PreTrainingObjective

logger = logging.get_logger(__name__)


class TeacherUpdateCallback(TrainerCallback):
    """Moves the teacher after every optimizer step that was really taken.

    The schedule follows the number of steps in the `Trainer`'s state, which a resumed run restores and a new run over
    an old model starts at zero.
    """

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Data2Vec2PreTrainingObjective | None = None,
        optimizer: Any = None,
        **kwargs,
    ) -> None:
        # Float16 training skips steps whose gradients overflowed; the student has not moved then.
        if isinstance(optimizer, AcceleratedOptimizer) and optimizer.step_was_skipped:
            return
        assert model is not None
        model.update_teacher(step=state.global_step)


class CollapseGuardCallback(TrainerCallback):
    """Speaks up when targets or predictions have lost their variance, while the loss may look fine.

    The floors of `target_std` and `prediction_std` are the published ones. `between_utterance_share` catches targets
    that depend on the position in time alone, to which those are blind.

    Args:
        first_step: Nothing is said before this optimizer step (5,000 in the original): early in training low variance
            is normal.
        stop: Stop the training instead of warning.
    """

    FLOORS = {"target_std": 0.1, "prediction_std": 0.01, "between_utterance_share": 0.02}

    def __init__(self, first_step: int = 5000, stop: bool = False):
        self.first_step = first_step
        self.stop = stop

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs,
    ) -> None:
        if state.global_step < self.first_step:
            return
        for name, floor in self.FLOORS.items():
            if (logs or {}).get(name, floor) < floor:
                logger.warning(
                    f"Step {state.global_step}: `{name}` has fallen to {(logs or {})[name]:.4f}, below {floor}. The "
                    "representation has collapsed: what is learned from here on is worth nothing. Lower the learning "
                    "rate, raise `ema_decay`, or average fewer layers (`average_top_k_layers`), and start again."
                )
                control.should_training_stop = control.should_training_stop or self.stop
