# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Guards: each knows one way in which pre-training goes wrong, names it in plain words, and warns or stops.

They are callbacks of any `transformers.Trainer`. Those that read figures from the log find them in the logs of
[`~hf_ssl.training.PreTrainingTrainer`] and its kin, and keep silent about what a log does not have. They look at what
is logged anyway, and read nothing back from the device between logs; but [`NonFiniteGradientCallback`] has to know
before each optimizer step.
"""

import math
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from ..models.modeling_best_rq import BestRqForPreTraining
from ..models.self_distillation import SelfDistillationModel
from ..models.teacher import ema_decay, local_part
from .arguments import PreTrainingArguments
from .callbacks import any_process

logger = logging.get_logger(__name__)

Logs = dict[str, float] | None


class UnhealthyTrainingError(RuntimeError):
    """A guard that was told to stop found something wrong."""


class HealthGuardCallback(TrainerCallback):
    """What guards have in common: they warn, with the remedy the first time, or stop.

    Args:
        stop: Stop the training by an error instead of warning: it ends as a run that failed, nothing is pushed, and
            its checkpoints stay as they are.
    """

    def __init__(self, stop: bool = False):
        self.stop = stop
        self._named: set[str] = set()

    def report(self, step: int, symptom: str, remedy: str, name: str = "") -> None:
        """Warns or stops.

        Args:
            step: Optimizer steps taken.
            symptom: What is wrong, in plain words.
            remedy: What it means and what to do; left out when the same is found again.
            name: Tells apart what one guard may find.

        Raises:
            UnhealthyTrainingError: If the guard is to stop.
        """
        if self.stop:
            raise UnhealthyTrainingError(f"Step {step}: {symptom} {remedy}")
        logger.warning(f"Step {step}: {symptom}" if name in self._named else f"Step {step}: {symptom} {remedy}")
        self._named.add(name)


class NonFiniteGradientCallback(HealthGuardCallback):
    """Leaves out steps whose gradient is not finite, and says so each time, instead of ruining the weights.

    Float16 training has this in its loss scaler; bfloat16 and float32 training has not.

    The learning rate's schedule and the teacher's go on meanwhile.

    Args:
        most: Steps in a row to leave out before it is an error, or a warning with the remedy.
        stop: Whether it is an error.
    """

    def __init__(self, most: int = 10, stop: bool = True):
        super().__init__(stop)
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
        step = state.global_step + 1
        self.count += 1
        logger.warning(f"Step {step} is left out: its gradient is not finite.")
        optimizer.zero_grad()  # without gradients the optimizer changes nothing
        if self.count > self.most:
            self.report(
                step,
                f"{self.count} steps in a row had a gradient that is not finite (NaN or infinite).",
                "Lower the learning rate, clip the gradient (`max_grad_norm`), or train in float32.",
            )


class NonFiniteLossCallback(HealthGuardCallback):
    """Speaks up at the first log after a loss that was NaN or infinite.

    The loss in the log does not show it: transformers puts the mean of the others in its place
    (`logging_nan_inf_filter`). It is found in `nonfinite_loss_share`.
    """

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Logs = None,
        **kwargs,
    ) -> None:
        logs = logs or {}
        share = logs.get("nonfinite_loss_share", float(not math.isfinite(logs.get("loss", 0.0))))
        if share > 0:
            self.report(
                state.global_step,
                f"the loss was NaN or infinite in {share:.0%} of the batches since the last log.",
                "If it began suddenly, go back to the last checkpoint with a lower learning rate or a longer warm-up; "
                "if now and then, look for broken values in the data; with fp16 take bf16 or float32.",
            )


class CollapseGuardCallback(HealthGuardCallback):
    """Speaks up when targets or predictions have lost their variance, while the loss may look fine.

    The floors of `target_std` and `prediction_std` are the published ones. `between_utterance_share` catches targets
    that depend on the position in time alone, to which those are blind.

    Args:
        first_step: Nothing is said before this optimizer step: early in training low variance is normal. 5,000, as in
            the original, or a tenth of a shorter run, but not before 100, if absent.
        stop: See [`HealthGuardCallback`].
    """

    FLOORS = {"target_std": 0.1, "prediction_std": 0.01, "between_utterance_share": 0.02}

    def __init__(self, first_step: int | None = None, stop: bool = False):
        super().__init__(stop)
        self.first_step = first_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Logs = None,
        **kwargs,
    ) -> None:
        if state.global_step < _first_step(self.first_step, state):
            return
        for name, floor in self.FLOORS.items():
            value = (logs or {}).get(name, floor)
            if value < floor:
                self.report(
                    state.global_step,
                    f"`{name}` has fallen to {value:.4f}, below {floor}.",
                    "The representation has collapsed: what is learned from here on is worth nothing. Lower the "
                    "learning rate, raise `ema_decay`, give the teacher a local encoder of its own "
                    '(`teacher_scope="model"`), or average fewer layers (`average_top_k_layers`), and start again.',
                    name=name,
                )


class ConvolutionRankGuardCallback(HealthGuardCallback):
    """Speaks up when the convolutions give all frames nearly the same features, while loss and variance of targets
    look fine (fairseq issue 5239): the layers above then make patterns of the position in time.

    BEST-RQ's dropout between its convolutions (`subsampling_dropout`) looks like features of high rank: where it is
    on, only a collapse behind it is seen. The other families have none there.

    Args:
        first_step: As of [`CollapseGuardCallback`]. Early in data2vec 2.0 the features come close to one direction
            and part again: 87 at first, 6 after 65 steps of a run of 160.
        stop: See [`HealthGuardCallback`].
    """

    # 1 if all frames have the same features. Trained networks of ours had 11 to 35 and new ones 13 to 330; the lowest
    # by the way were 5.7, in 160 steps of data2vec 2.0, and 2.8, after 100 steps at a high learning rate.
    SMALLEST_RANK = 2.0

    def __init__(self, first_step: int | None = None, stop: bool = False):
        super().__init__(stop)
        self.first_step = first_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Logs = None,
        **kwargs,
    ) -> None:
        rank = (logs or {}).get("convolution_rank", self.SMALLEST_RANK)
        if rank < self.SMALLEST_RANK and state.global_step >= _first_step(self.first_step, state):
            self.report(
                state.global_step,
                f"the convolutions give nearly the same features everywhere (`convolution_rank` {rank:.2f}).",
                "Nothing of the input reaches the layers above, whatever the loss says. Are the inputs more than "
                "silence, and normalised? Do the strides suit the sampling rate? Otherwise lower the learning rate, "
                "lengthen the warm-up, and start again.",
            )


class CodebookGuardCallback(HealthGuardCallback):
    """Speaks up when a random-projection quantizer gives almost all frames the same few codes, while the loss may look
    fine: few codes are easy to predict, and nothing is learned from them.

    Codes do not depend on what is learned, so the first batches tell. The measure is `target_entropy` as a share of
    `log(codebook_size)`, that of a codebook whose codes are all equally frequent. On log-mel features of read speech
    and of spoken digits it was .46 to .78 normalised and .02 to .30 not normalised, with codebooks of 64, 1024 and
    8192.

    Args:
        check_steps: Optimizer steps at which to ask for a log, so that a warning does not wait for `logging_steps`.
        stop: See [`HealthGuardCallback`].
    """

    SMALLEST_SHARE = 1 / 3
    # Some seconds of audio. Fewer codes cannot be different enough.
    FEWEST_CODES = 200

    def __init__(self, check_steps: tuple[int, ...] = (10, 100), stop: bool = False):
        super().__init__(stop)
        self.check_steps = check_steps

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **kwargs,
    ) -> None:
        if isinstance(model, BestRqForPreTraining) and state.global_step in self.check_steps:
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Logs = None,
        model: PreTrainedModel | None = None,
        **kwargs,
    ) -> None:
        if not isinstance(model, BestRqForPreTraining) or (logs or {}).get("codes_counted", 0) < self.FEWEST_CODES:
            return
        assert logs is not None
        if logs["target_entropy"] < self.SMALLEST_SHARE * math.log(model.config.codebook_size):
            self.report(
                state.global_step,
                f"the codebook is badly used. Its {model.config.codebook_size} codes are as good as "
                f"{logs['codebook_perplexity']:.0f} that are equally frequent, so that there is little to learn.",
                "Are the features normalised? Look at `normalization` in preprocessor_config.json: it should be "
                '"utterance", or "dataset" with a `mean` and `std` of these very data '
                "(training_scripts/feature_statistics.py). Are the recordings more than silence?",
            )


class QuantizerGuardCallback(HealthGuardCallback):
    """Speaks up when data2vec-aqc's quantizer gives almost all frames the same code, while the loss falls: negatives
    with the code of their positive are left out, so that nothing is left to tell it from.

    It happens within tens of updates if the learning rate is too high, and so is looked for from the first log on.
    """

    MOST_COLLISIONS = 0.5

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Logs = None,
        **kwargs,
    ) -> None:
        share = (logs or {}).get("collision_share", 0.0)
        if share > self.MOST_COLLISIONS:
            self.report(
                state.global_step,
                f"{share:.0%} of the negatives have the very code of their positive.",
                "The quantizer has collapsed, and the contrastive losses teach nothing any more. Lower the learning "
                "rate, raise `diversity_loss_weight`, and start again.",
            )


class TeacherGuardCallback(HealthGuardCallback):
    """Speaks up when the teacher stands still while the student moves.

    A teacher that nothing updates at all is an error of the model itself, within a few steps and with any trainer
    (`EMATeacher.assert_updated`). This catches updates that change nothing.

    Args:
        steps: Optimizer steps, of this run or since it was resumed, after which both are compared with what they were.
            100, or a tenth of a shorter run if absent.
        stop: See [`HealthGuardCallback`].
    """

    def __init__(self, steps: int | None = None, stop: bool = False):
        super().__init__(stop)
        self.steps = steps
        self._check_step = 0
        self._before: tuple[torch.Tensor, torch.Tensor] | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **kwargs,
    ) -> None:
        if isinstance(model, SelfDistillationModel) and _is_to_move(model, state.global_step + 1):
            steps = max(1, min(100, state.max_steps // 10)) if self.steps is None else self.steps
            self._check_step = state.global_step + steps
            self._before = _sample(model.teacher), _sample_student(model)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        if self._before is not None and state.global_step == self._check_step:
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Logs = None,
        model: PreTrainedModel | None = None,
        **kwargs,
    ) -> None:
        # Other logs may come before the teacher has followed this step.
        if self._before is None or "loss" not in (logs or {}) or state.global_step < self._check_step:
            return
        assert isinstance(model, SelfDistillationModel)
        teacher, student = self._before
        if any_process(not torch.equal(teacher, _sample(model.teacher)), args):
            self._before = None  # it moves
        elif any_process(not torch.equal(student, _sample_student(model)), args):
            self.report(
                state.global_step,
                "the student has moved, but the teacher's weights are what they were when this run began.",
                "Its targets will never get better. `update_teacher()` must follow every optimizer step, with the "
                "model that is trained and not a copy: hf_ssl.training.TeacherUpdateCallback does that. For a frozen "
                "teacher set `ema_decay` and `ema_end_decay` to 1.",
            )


def _is_to_move(model: SelfDistillationModel, step: int) -> bool:
    """Whether the schedule moves the teacher at a step: one that ends at 1 freezes it."""
    config = model.config
    return ema_decay(step, config.ema_decay, config.ema_end_decay, anneal_steps=config.ema_anneal_end_step) < 1


def _sample_student(model: SelfDistillationModel) -> torch.Tensor:
    return torch.cat([_sample(module) for module in model._student_stages().values()])


def _sample(module: nn.Module, most: int = 64) -> torch.Tensor:
    """A copy of some values of every parameter (of this process's shard of it), on its device."""
    values = [local_part(parameter).detach().flatten() for parameter in module.parameters()]
    return torch.cat([value[:: max(1, len(value) // most)][:most] for value in values])


class StandstillGuardCallback(HealthGuardCallback):
    """Speaks up when the loss has moved nowhere since the run began.

    The logged losses are cut into four stretches of time. The loss has moved if the means of two stretches differ by
    more than six times their standard error and by more than a thousandth. The noise is that from one log to the
    next (the median, so that a fall between two logs is no noise). A fall counts, and so does a rise: data2vec 2.0's
    loss falls quickly and rises again when its teacher has learned something. Once it has moved, all is well.

    Args:
        steps: Optimizer steps within which the loss must move. If absent, the warm-up and a tenth of the run more, at
            least 100 and at most 2,000. At least 12 losses must have been logged.
        stop: See [`HealthGuardCallback`].
    """

    FEWEST_LOGS = 12
    NUM_STRETCHES = 4
    STANDARD_ERRORS = 6.0
    SMALLEST_CHANGE = 1e-3

    def __init__(self, steps: int | None = None, stop: bool = False):
        super().__init__(stop)
        self.steps = steps
        self._has_moved = False

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Logs = None,
        **kwargs,
    ) -> None:
        if self._has_moved or "loss" not in (logs or {}) or state.global_step < self._first_step(args, state):
            return
        losses = torch.tensor([entry["loss"] for entry in state.log_history if "loss" in entry], dtype=torch.float64)
        if len(losses) < self.FEWEST_LOGS:
            return
        self._has_moved = self.has_moved(losses)
        if not self._has_moved:
            self.report(
                state.global_step,
                f"the loss has not moved since the run began (mean {losses.mean():.4g}).",
                "Is the learning rate zero or far too low, or the warm-up too long? Are parameters frozen, or steps "
                "left out? Are the inputs all alike? (A trained model that goes on with data it knows may rightly "
                "stand still.)",
            )

    def has_moved(self, losses: torch.Tensor) -> bool:
        """Whether losses `(num_logs,)`, in order of time, are more than noise about one value."""
        noise = (losses.diff().abs().median() / 0.954).item()  # the median of |a - b| is 0.954 standard deviations
        stretches = losses.chunk(self.NUM_STRETCHES)
        means = torch.stack([stretch.mean() for stretch in stretches])
        standard_error = noise / math.sqrt(min(len(stretch) for stretch in stretches))
        least = max(self.STANDARD_ERRORS * standard_error, self.SMALLEST_CHANGE * abs(losses.mean().item()))
        return (means.max() - means.min()).item() > least

    def _first_step(self, args: TrainingArguments, state: TrainerState) -> int:
        if self.steps is not None:
            return self.steps
        return args.get_warmup_steps(state.max_steps) + min(2000, max(100, state.max_steps // 10))


def _first_step(chosen: int | None, state: TrainerState) -> int:
    """Where to begin to look for collapse: not before a new model has begun to predict anything."""
    return min(5000, max(100, state.max_steps // 10)) if chosen is None else chosen


def health_guards(args: PreTrainingArguments) -> list[TrainerCallback]:
    """All guards, as `--health_guard` and the flags beside it say; each keeps silent about what a model has not."""
    if args.health_guard == "off":
        return [NonFiniteGradientCallback(stop=False)]  # to leave such a step out is no guard but protection
    stop = args.health_guard == "stop"
    return [
        NonFiniteGradientCallback(stop=stop),
        NonFiniteLossCallback(stop),
        CollapseGuardCallback(args.health_collapse_steps, stop),
        ConvolutionRankGuardCallback(args.health_collapse_steps, stop),
        CodebookGuardCallback(stop=stop),
        QuantizerGuardCallback(stop),
        TeacherGuardCallback(args.health_teacher_steps, stop),
        StandstillGuardCallback(args.health_loss_steps, stop),
    ]
