# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Callbacks of pre-training, usable with any `transformers.Trainer`. Those that watch it are in `health.py`."""

import signal
import sys
import threading
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from ..host_memory import memory_limits
from ..models.self_distillation import SelfDistillationModel
from .allocator import give_back_freed_memory

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


class FreedMemoryCallback(TrainerCallback):
    """On CPUs gives freed tensors' memory back to the system whenever it has little left.

    It is kept otherwise ([`~hf_ssl.training.allocator.keep_freed_memory`]). Looks after every update, at the memory of
    the machine and of the control groups that the process is in.

    Args:
        share (`float`, *optional*, defaults to 0.1): How much of all memory is little.
    """

    def __init__(self, share: float = 0.1) -> None:
        self.share = share
        self._has_told = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        short = [limit for limit in memory_limits() if limit.left < self.share * limit.total]
        if not short or not give_back_freed_memory() or self._has_told:
            return
        self._has_told = True
        logger.warning(
            f"Memory is short ({short[0].left / 2**30:.1f} of {short[0].total / 2**30:.1f} GiB left): that of freed "
            "tensors is given back whenever it is so, and updates are slower then."
        )


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
        self.is_requested = any_process(self.is_requested, args)
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


def any_process(value: bool, args: TrainingArguments) -> bool:
    """Whether `value` is true in any process. All must call it."""
    if args.world_size == 1:
        return value
    number = torch.tensor(int(value), device=args.device)
    torch.distributed.all_reduce(number, op=torch.distributed.ReduceOp.MAX)
    return bool(number)
