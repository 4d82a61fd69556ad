# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The thin layer over `transformers.Trainer` that pre-training needs."""

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import Trainer

from ..data.dataset import AudioDataset, LengthGroupedSampler
from ..models.modeling_data2vec2 import Data2Vec2ForPreTrainingOutput
from ..models.teacher import ema_decay
from .callbacks import TeacherUpdateCallback
from .monitoring import between_utterance_share, feature_std


class PreTrainingTrainer(Trainer):
    """`Trainer` whose batches are grouped by length and whose logs have the figures of the objective.

    Args:
        sampling_rate: Samples per second of `input_values`, for `audio_seconds_per_second` in the logs.
        *args, **kwargs: As for `transformers.Trainer`.
    """

    _audio_samples: Any

    def __init__(self, *args, sampling_rate: int = 16_000, **kwargs):
        super().__init__(*args, **kwargs)
        self.sampling_rate = sampling_rate
        self._reset_meters()

    def step_metrics(self, outputs: Any) -> dict[str, torch.Tensor]:
        """Figures of one forward pass, averaged until the next log; NaN means that there is none this time."""
        return {}

    def _get_train_sampler(self, train_dataset=None) -> torch.utils.data.Sampler | None:
        """Groups by length as a pure function of seed and epoch, which transformers' own sampler is not."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if not isinstance(dataset, AudioDataset) or self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return LengthGroupedSampler(dataset.lengths, batch_size=self.args.train_batch_size, seed=seed)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """No weight decay on vectors, scalars and ALiBi's scales, as in the originals."""
        shapes = {name: parameter.dim() for name, parameter in model.named_parameters()}
        names = super().get_decay_parameter_names(model)
        return [name for name in names if shapes[name] > 1 and "attention_bias" not in name]

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if model.training:
            self._record(inputs, outputs)
        return (loss, outputs) if return_outputs else loss

    @torch.no_grad()
    def _record(self, inputs: Mapping[str, torch.Tensor], outputs: Any) -> None:
        self._audio_samples += inputs["attention_mask"].sum()
        for name, value in self.step_metrics(outputs).items():
            is_number = ~torch.isnan(value)
            self._sums[name] = self._sums[name] + torch.where(is_number, value, 0.0).double()
            self._counts[name] = self._counts[name] + is_number.double()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._sums:
            logs |= self._read_meters()
        super().log(logs, start_time)

    def _read_meters(self) -> dict[str, float]:
        """Averages over all processes since the last log."""
        names = sorted(self._sums)
        seconds = time.perf_counter() - self._meters_since
        meters = torch.stack(
            [self._sums[name] for name in names]
            + [self._counts[name] for name in names]
            + [self._audio_samples.double() / self.sampling_rate / seconds]
        )
        totals = self.accelerator.reduce(meters, reduction="sum").tolist()
        sums, counts = totals[: len(names)], totals[len(names) : -1]
        figures = {name: total / n for name, total, n in zip(names, sums, counts, strict=True) if n > 0}
        self._reset_meters()
        return figures | {"audio_seconds_per_second": totals[-1]}

    def _reset_meters(self) -> None:
        self._sums: dict[str, Any] = defaultdict(float)
        self._counts: dict[str, Any] = defaultdict(float)
        self._audio_samples = 0
        self._meters_since = time.perf_counter()


class SelfDistillationTrainer(PreTrainingTrainer):
    """Trainer of the data2vec family: updates the teacher, and watches targets and predictions."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.add_callback(TeacherUpdateCallback())

    def step_metrics(self, outputs: Data2Vec2ForPreTrainingOutput) -> dict[str, torch.Tensor]:
        """Standard deviations as published, variance between utterances, and how much was masked and encoded."""
        assert outputs.prediction_mask is not None
        assert outputs.mask_time_indices is not None
        assert outputs.predictions is not None
        assert outputs.targets is not None
        num_masks = outputs.prediction_mask.shape[1]
        targets = outputs.targets.unsqueeze(1).expand(-1, num_masks, -1, -1)[outputs.prediction_mask]
        masked = outputs.mask_time_indices.float()
        real = torch.ones_like(masked) if outputs.frame_mask is None else outputs.frame_mask.unsqueeze(1).float()
        masked_share = masked.sum() / (real.sum() * (num_masks if outputs.frame_mask is not None else 1))
        return {
            "target_std": feature_std(targets),
            "prediction_std": feature_std(outputs.predictions),
            "between_utterance_share": between_utterance_share(outputs.targets, outputs.frame_mask),
            "masked_share": masked_share,
            "visible_share": 1 - masked_share,
        }

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            config = self.accelerator.unwrap_model(self.model).config
            logs["ema_decay"] = ema_decay(
                self.state.global_step,
                config.ema_decay,
                config.ema_end_decay,
                anneal_steps=config.ema_anneal_end_step,
            )
        super().log(logs, start_time)
