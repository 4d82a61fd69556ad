# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The demo's training runs: pre-training, and recognition with and without it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCTC, PreTrainedModel, Trainer, TrainerCallback, set_seed
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..data import AudioDataset, DataCollatorForCTC, SkippedFiles
from ..data.collators import SpeechFeatureExtractor
from ..training.arguments import PreTrainingArguments
from ..training.finetuning import (
    CTCTrainer,
    FineTuningArguments,
    NormalizingCTCCollator,
    TranscriptNormalizer,
    Transcripts,
    build_vocabulary,
    make_processor,
)
from ..training.health import health_guards
from .data import MAX_SECONDS, SAMPLING_RATE, LabelledSplits
from .families import DemoFamily


@dataclass(frozen=True)
class PreTrained:
    """`folder`: the model. `history`: the trainer's log. `seconds`: wall time; `step_seconds`: of a usual step."""

    folder: Path
    history: list[dict[str, Any]]
    seconds: float
    step_seconds: float
    num_steps: int


def pretrain(
    model: PreTrainedModel,
    family: DemoFamily,
    feature_extractor: SpeechFeatureExtractor,
    recordings: datasets.Dataset,
    folder: Path,
    *,
    num_steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    skipped: SkippedFiles,
) -> PreTrained:
    """Pre-trains `model` with the same trainer and collator as `training_scripts/pretrain_speech.py`."""
    set_seed(seed)
    args = PreTrainingArguments(
        output_dir=str(folder),
        max_steps=num_steps,
        per_device_train_batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=0.2,  # a shorter one lets a student run ahead of its teacher's first, random targets
        logging_steps=max(1, num_steps // 60),
        **_shared_arguments(seed),
    )
    trainer = family.trainer(
        model=model,
        args=args,
        train_dataset=_dataset(recordings, seed, skipped),
        data_collator=family.collator(feature_extractor, model.config),
        processing_class=feature_extractor,
        callbacks=health_guards(args),
        sampling_rate=SAMPLING_RATE,
    )
    seconds, step_seconds = train_and_time(trainer, family.bar_figures)
    trainer.save_model()
    trainer.save_state()
    return PreTrained(folder, trainer.state.log_history, seconds, step_seconds, num_steps)


@dataclass(frozen=True)
class CTCResult:
    """What fine-tuning at one learning rate led to; error rates are shares."""

    learning_rate: float
    validation_cer: float
    test_wer: float
    test_cer: float
    seconds: float
    step_seconds: float
    num_steps: int
    references: list[str]
    hypotheses: list[str]
    folder: Path


@dataclass(frozen=True)
class CTCTask:
    """Recognition from few transcripts: everything that all arms share."""

    family: DemoFamily
    splits: LabelledSplits
    labelled: datasets.Dataset
    feature_extractor: SpeechFeatureExtractor
    batch_size: int
    seed: int
    skipped: SkippedFiles

    def finetune(
        self, pretrained: Path, folder: Path, *, from_scratch: bool, learning_rate: float, num_steps: int
    ) -> CTCResult:
        """Trains one arm and scores it on validation (to choose the learning rate on) and on test."""
        set_seed(self.seed)
        normalizer = TranscriptNormalizer()
        processor = make_processor(self.feature_extractor, self._vocabulary(normalizer))
        transcripts = Transcripts(processor.tokenizer)
        trainer = CTCTrainer(
            model=self._model(pretrained, from_scratch, len(processor.tokenizer)),
            args=FineTuningArguments(
                output_dir=str(folder),
                max_steps=num_steps,
                per_device_train_batch_size=self.batch_size,
                per_device_eval_batch_size=32,
                learning_rate=learning_rate,
                head_learning_rate_scale=10.0,  # at the encoder's rate it alone would take hundreds of steps to move
                tri_stage_phases=[0.1, 0.5, 0.4],
                logging_steps=max(1, num_steps // 10),
                **_shared_arguments(self.seed),
            ),
            train_dataset=_dataset(self.labelled, self.seed, self.skipped, (self.splits.column,)),
            data_collator=NormalizingCTCCollator(
                DataCollatorForCTC(processor, text_column=self.splits.column), normalizer
            ),
            processing_class=processor,
            compute_metrics=transcripts.metrics,
        )
        seconds, step_seconds = train_and_time(trainer, ("loss",))
        trainer.save_model()
        validation = trainer.predict(self._evaluation(self.splits.validation), metric_key_prefix="validation")
        test = trainer.predict(self._evaluation(self.splits.test))
        metrics = (validation.metrics or {}) | (test.metrics or {})
        return CTCResult(
            learning_rate=learning_rate,
            validation_cer=metrics["validation_cer"],
            test_wer=metrics["test_wer"],
            test_cer=metrics["test_cer"],
            seconds=seconds,
            step_seconds=step_seconds,
            num_steps=num_steps,
            references=transcripts.references(np.asarray(test.label_ids)),
            hypotheses=transcripts.hypotheses(np.asarray(test.predictions)),
            folder=folder,
        )

    def _model(self, pretrained: Path, from_scratch: bool, vocab_size: int) -> PreTrainedModel:
        config = AutoConfig.from_pretrained(
            pretrained, vocab_size=vocab_size, ctc_zero_infinity=True, **self.family.finetuning_fields
        )
        if from_scratch:
            return AutoModelForCTC.from_config(config)
        model = AutoModelForCTC.from_pretrained(pretrained, config=config)
        if self.family.freeze_feature_encoder:
            model.freeze_feature_encoder()
        return model

    def _vocabulary(self, normalizer: TranscriptNormalizer) -> dict[str, int]:
        """The alphabet of all splits, so that no test clip has to be left out for a rare character."""
        tables = (self.splits.train, self.splits.validation, self.splits.test)
        return build_vocabulary(normalizer(text) for table in tables for text in table[self.splits.column])

    def _evaluation(self, table: datasets.Dataset) -> AudioDataset:
        return _dataset(table, self.seed, self.skipped, (self.splits.column,))


def _dataset(table: datasets.Dataset, seed: int, skipped: SkippedFiles, columns: tuple[str, ...] = ()) -> AudioDataset:
    return AudioDataset(
        table,
        sampling_rate=SAMPLING_RATE,
        max_seconds=MAX_SECONDS,
        min_seconds=None,
        seed=seed,
        skipped=skipped,
        columns=columns,
    )


class ProgressBarCallback(ProgressCallback):
    """A progress bar with the newest figures behind it, and nothing else: no lines of log, no bar for evaluation."""

    def __init__(self, figures: Sequence[str]) -> None:
        super().__init__()
        self.figures = figures

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.training_bar is not None:
            figures = {name.replace("_", " "): f"{logs[name]:.2f}" for name in self.figures if name in (logs or {})}
            self.training_bar.set_postfix(figures, refresh=False)

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **kwargs):
        pass


class StepClock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, args, state, control, **kwargs):
        self.times.append(time.perf_counter())

    @property
    def step_seconds(self) -> float:
        """Median duration of a step, without the first ones, which are slow."""
        return float(np.median(np.diff(self.times[len(self.times) // 3 :])))


def train_and_time(trainer: Trainer, figures: Sequence[str]) -> tuple[float, float]:
    """Trains with a progress bar that shows `figures` of the log.

    Returns:
        The wall time and that of a usual step, in seconds.
    """
    clock = StepClock()
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)  # which stands in for the bar where libraries are told to be quiet
    trainer.add_callback(ProgressBarCallback(figures))
    trainer.add_callback(clock)
    started = time.perf_counter()
    trainer.train()
    return time.perf_counter() - started, clock.step_seconds


def _shared_arguments(seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": has_fast_bfloat16(),
        "dataloader_num_workers": 0,  # on two cores a worker takes from the model what it gives
        "save_strategy": "no",
        "report_to": "none",
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def has_fast_bfloat16() -> bool:
    """Whether matrix products in bfloat16 are faster than in float32: a recent GPU, or a CPU with units for them."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
