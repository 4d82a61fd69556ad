#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The baseline of the study in model_cards/best-rq.md: transformers' own `Wav2Vec2ForPreTraining`, on the same data.

    python training_scripts/benchmarks/pretrain_wav2vec2.py training_scripts/benchmarks/wav2vec2_cpu.yaml \
        --data RECORDINGS --output_dir MODEL

Takes the flags of pretrain_speech.py for data and training, but for those that it refuses. Masks, negatives, the loss
per masked frame and the falling temperature are those of transformers' example
`run_wav2vec2_pretraining_no_trainer.py`, whose temperature is fitted to the number of updates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForPreTraining,
    set_seed,
)

from hf_ssl.data.collators_pretraining import IGNORED_LABEL
from hf_ssl.models.masking import draw_mask_indices
from hf_ssl.models.waveforms import count_frames
from hf_ssl.training.arguments import (
    PreTrainingArguments,
    SpeechPreTrainingDataArguments,
    parse_arguments,
    parse_overrides,
    refuse_flags,
)
from hf_ssl.training.running import (
    Reading,
    checkpoint_to_resume,
    load_train_table,
    make_train_dataset,
    open_skipped_files,
    report_run,
    run_script,
    save_run,
    set_up_logging,
)
from hf_ssl.training.trainer import PreTrainingTrainer


@dataclass
class Wav2Vec2Arguments:
    """The baseline's model and the temperature of its quantizer."""

    config_overrides: dict | str | None = field(
        default=None, metadata={"help": "Fields of Wav2Vec2Config, as JSON, other than those of the base model."}
    )
    max_gumbel_temperature: float = field(default=2.0, metadata={"help": "At the first update."})
    min_gumbel_temperature: float = field(default=0.5, metadata={"help": "Reached at half of the updates."})


def main(argv: Sequence[str] | None = None) -> PreTrainingTrainer:
    model_args, data_args, training_args = parse_arguments(
        Wav2Vec2Arguments, SpeechPreTrainingDataArguments, PreTrainingArguments, argv=argv
    )
    refuse_flags(
        {
            "eval_data": data_args.eval_data,
            "log_mel_on_device": data_args.log_mel_on_device,
            "pad_to_multiple_of_seconds": training_args.pad_to_multiple_of_seconds,
            "push_to_hub": training_args.push_to_hub,
        }
    )
    set_up_logging(training_args)
    set_seed(training_args.seed)
    # The pre-norm variant with layer norms in the waveform encoder: the only one that transformers' example supports.
    config = Wav2Vec2Config(
        do_stable_layer_norm=True, feat_extract_norm="layer", **parse_overrides(model_args.config_overrides)
    )
    feature_extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    reading = Reading(feature_extractor.sampling_rate, open_skipped_files(training_args))
    table = load_train_table(data_args, reading, data_args.streaming)
    trainer = Wav2Vec2Trainer(
        model=Wav2Vec2ForPreTraining(config),
        args=training_args,
        data_collator=DataCollatorForWav2Vec2(feature_extractor, config),
        train_dataset=make_train_dataset(table, data_args, training_args, reading),
        processing_class=feature_extractor,
        callbacks=[
            GumbelTemperatureCallback(model_args.max_gumbel_temperature, model_args.min_gumbel_temperature),
        ],
        sampling_rate=feature_extractor.sampling_rate,
    )
    save_run(trainer, trainer.train(resume_from_checkpoint=checkpoint_to_resume(training_args)))
    report_run(trainer)
    return trainer


class Wav2Vec2Trainer(PreTrainingTrainer):
    """Divides the loss, which transformers sums over masked frames, by their number in the global batch."""

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        count = (inputs.pop("labels") != IGNORED_LABEL).sum() if num_items_in_batch is None else num_items_in_batch
        inputs.pop("labels", None)
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
        return (loss / count, outputs) if return_outputs else loss / count

    def step_metrics(self, outputs: Any) -> dict[str, torch.Tensor]:
        """The quantizer's perplexity."""
        return {"codevector_perplexity": outputs.codevector_perplexity.detach()}


class GumbelTemperatureCallback(TrainerCallback):
    """Lets the temperature of the quantizer fall exponentially, to its end at half of the updates."""

    def __init__(self, highest: float, lowest: float):
        self.highest = highest
        self.lowest = lowest

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, *, model, **kwargs
    ) -> None:
        progress = min(1.0, state.global_step / max(1, state.max_steps // 2))
        model.set_gumbel_temperature(self.highest * (self.lowest / self.highest) ** progress)


class DataCollatorForWav2Vec2:
    """Waveforms, masks and negatives, each item's from its seed alone.

    Args:
        feature_extractor: Pads and normalises.
        config: The model's.
    """

    def __init__(self, feature_extractor: Wav2Vec2FeatureExtractor, config: Wav2Vec2Config):
        self.feature_extractor = feature_extractor
        self.config = config

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """
        Args:
            features: Items with `input_values`, `(num_samples,)`, and `seed`.

        Returns:
            What `Wav2Vec2ForPreTraining.forward` takes, and `labels`, 0 at masked frames and -100 elsewhere.
        """
        waveforms = [np.asarray(feature["input_values"], dtype=np.float32) for feature in features]
        batch = self.feature_extractor(waveforms, sampling_rate=16_000, padding=True, return_tensors="pt")
        lengths = [self._num_frames(len(waveform)) for waveform in waveforms]
        generators = [np.random.default_rng(int(feature["seed"])) for feature in features]
        masks = draw_mask_indices(
            lengths,
            self._num_frames(batch["input_values"].shape[1]),
            mask_prob=self.config.mask_time_prob,
            mask_length=self.config.mask_time_length,
            min_masks=2,
            generators=generators,
        )
        return {
            "input_values": batch["input_values"],
            "attention_mask": batch["attention_mask"],
            "mask_time_indices": masks,
            "sampled_negative_indices": self._draw_negatives(masks, generators),
            "labels": torch.where(masks, 0, IGNORED_LABEL),
        }

    def _num_frames(self, num_samples: int) -> int:
        return count_frames(num_samples, self.config.conv_kernel, self.config.conv_stride)

    def _draw_negatives(self, masks: torch.Tensor, generators: list[np.random.Generator]) -> torch.Tensor:
        """Other masked frames of the same utterance: `(batch_size, sequence_length, num_negatives)`, indices into the
        flattened batch."""
        batch_size, sequence_length = masks.shape
        negatives = torch.zeros(batch_size, sequence_length, self.config.num_negatives, dtype=torch.long)
        for row, generator in enumerate(generators):
            masked = masks[row].nonzero().squeeze(-1)
            drawn = generator.integers(0, len(masked) - 1, size=(len(masked), self.config.num_negatives))
            drawn += drawn >= np.arange(len(masked))[:, None]  # never the frame itself
            negatives[row, masked] = masked[torch.from_numpy(drawn)] + row * sequence_length
        return negatives


if __name__ == "__main__":
    run_script(main)
