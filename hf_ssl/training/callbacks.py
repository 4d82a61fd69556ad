# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Callbacks of pre-training, usable with any `transformers.Trainer`."""

import math
import signal
import sys
import threading
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from ..models.modeling_best_rq import BestRqForPreTraining
from ..models.self_distillation import SelfDistillationModel

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
        model: SelfDistillationModel | None = None,
        optimizer: Any = None,
        **kwargs,
    ) -> None:
        # Float16 training skips steps whose gradients overflowed; the student has not moved then.
        if isinstance(optimizer, AcceleratedOptimizer) and optimizer.step_was_skipped:
            return
        assert model is not None
        model.update_teacher(step=state.global_step)


class TerminationCallback(TrainerCallback):
    """On SIGTERM, by which a scheduler ends a job, saves a checkpoint after the current step and exits.

    The exit status is 143, as of a program that SIGTERM ended. A second SIGTERM ends it at once. All processes stop
    after the same step, whichever got the signal first.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self._previous_handler: Any = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        if threading.current_thread() is threading.main_thread():  # others may not
            self._previous_handler = signal.signal(signal.SIGTERM, self._request)

    def _request(self, signal_number: int, frame: Any) -> None:
        logger.warning("SIGTERM: saving a checkpoint after this step.")
        self.is_requested = True
        signal.signal(signal.SIGTERM, self._previous_handler)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        if args.world_size > 1:
            self.is_requested = _any_process(self.is_requested, args.device)
        if self.is_requested:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        if self.is_requested:
            logger.warning(
                f"Saved checkpoint-{state.global_step} in {args.output_dir}. --resume_from_checkpoint last goes on."
            )
            sys.exit(128 + signal.SIGTERM)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        if self._previous_handler is not None:
            signal.signal(signal.SIGTERM, self._previous_handler)


def _any_process(value: bool, device: torch.device) -> bool:
    """Whether `value` is true in any process."""
    number = torch.tensor(int(value), device=device)
    torch.distributed.all_reduce(number, op=torch.distributed.ReduceOp.MAX)
    return bool(number)


class NonFiniteGradientCallback(TrainerCallback):
    """Leaves out steps whose gradient is not finite, and says so each time, instead of ruining the weights.

    Float16 training has this in its loss scaler; bfloat16 and float32 training has not.

    The learning rate's schedule and the teacher's go on meanwhile.

    Args:
        most: Steps in a row to leave out before the training stops with an error.
    """

    def __init__(self, most: int = 10):
        self.most = most
        self.count = 0

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        optimizer: Any = None,
        **kwargs,
    ) -> None:
        assert model is not None
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        if args.fp16 or not gradients or torch.isfinite(nn.utils.get_total_norm(gradients)):
            self.count = 0
            return
        self.count += 1
        if self.count > self.most:
            raise FloatingPointError(
                f"{self.count} steps in a row had a gradient that is not finite, up to step {state.global_step + 1}. "
                "Lower the learning rate, clip the gradient (`max_grad_norm`), or train in float32."
            )
        logger.warning(f"Step {state.global_step + 1} is left out: its gradient is not finite.")
        optimizer.zero_grad()  # without gradients the optimizer changes nothing


class CollapseGuardCallback(TrainerCallback):
    """Speaks up when targets or predictions have lost their variance, while the loss may look fine.

    The floors of `target_std` and `prediction_std` are the published ones. `between_utterance_share` catches targets
    that depend on the position in time alone, to which those are blind.

    Args:
        first_step: Nothing is said before this optimizer step: early in training low variance is normal. 5,000, as in
            the original, or a tenth of a shorter run if absent.
        stop: Stop the training instead of warning.
    """

    FLOORS = {"target_std": 0.1, "prediction_std": 0.01, "between_utterance_share": 0.02}

    def __init__(self, first_step: int | None = None, stop: bool = False):
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
        first_step = min(5000, state.max_steps // 10) if self.first_step is None else self.first_step
        if state.global_step < first_step:
            return
        for name, floor in self.FLOORS.items():
            if (logs or {}).get(name, floor) < floor:
                logger.warning(
                    f"Step {state.global_step}: `{name}` has fallen to {(logs or {})[name]:.4f}, below {floor}. The "
                    "representation has collapsed: what is learned from here on is worth nothing. Lower the learning "
                    "rate, raise `ema_decay`, give the teacher a local encoder of its own "
                    '(`teacher_scope="model"`), or average fewer layers (`average_top_k_layers`), and start again.'
                )
                control.should_training_stop = control.should_training_stop or self.stop


class CodebookGuardCallback(TrainerCallback):
    """Speaks up when a random-projection quantizer gives almost all frames the same few codes, while the loss may look
    fine: few codes are easy to predict, and nothing is learned from them.

    Codes do not depend on what is learned, so the first batches tell. The measure is `target_entropy` as a share of
    `log(codebook_size)`, that of a codebook whose codes are all equally frequent. On log-mel features of read speech
    and of spoken digits it was .46 to .78 normalised and .02 to .30 not normalised, with codebooks of 64, 1024 and
    8192.

    Args:
        check_steps: Optimizer steps at which to ask for a log, so that a warning does not wait for `logging_steps`.
        stop: Stop the training instead of warning.
    """

    SMALLEST_SHARE = 1 / 3
    # Some seconds of audio. Fewer codes cannot be different enough.
    FEWEST_CODES = 200

    def __init__(self, check_steps: tuple[int, ...] = (10, 100), stop: bool = False):
        self.check_steps = check_steps
        self.stop = stop

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        control.should_log = control.should_log or state.global_step in self.check_steps

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        model: BestRqForPreTraining | None = None,
        **kwargs,
    ) -> None:
        if (logs or {}).get("codes_counted", 0) < self.FEWEST_CODES:
            return
        assert logs is not None
        assert model is not None
        if logs["target_entropy"] < self.SMALLEST_SHARE * math.log(model.config.codebook_size):
            logger.warning(
                f"Step {state.global_step}: the codebook is badly used. Its {model.config.codebook_size} codes are as "
                f"good as {logs['codebook_perplexity']:.0f} that are equally frequent, so that there is little to "
                "learn. Are the features normalised? Look at `normalization` in preprocessor_config.json: it should "
                'be "utterance", or "dataset" with a `mean` and `std` of these very data '
                "(training_scripts/feature_statistics.py). Are the recordings more than silence?"
            )
            control.should_training_stop = control.should_training_stop or self.stop
