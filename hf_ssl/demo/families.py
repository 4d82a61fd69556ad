# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the demo needs to know of a family of models; a new one is one more entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedConfig, Wav2Vec2FeatureExtractor

from .. import BestRqFeatureExtractor
from ..data.collators import SpeechFeatureExtractor
from ..data.collators_pretraining import DataCollatorForBestRq, DataCollatorForData2Vec2Audio
from ..training import (
    BestRqTrainer,
    PreTrainingTrainer,
    SelfDistillationTrainer,
)
from ..training.model_sizes import best_rq_config, data2vec2_audio_config
from ..training.running import override_config
from .data import SAMPLING_RATE
from .plots import BLUE, GREEN, PURPLE, Curve

Figures = dict[str, Any]
"""One entry of the trainer's log."""


@dataclass(frozen=True)
class LearningRates:
    """Learning rates of the demo's arms.

    Args:
        pretraining: Of pre-training.
        finetuning: Of fine-tuning the pre-trained network.
        untrained: The network without pre-training is fine-tuned at each of these and keeps what does best on
            validation.
    """

    pretraining: float
    finetuning: float
    untrained: tuple[float, ...]


@dataclass(frozen=True)
class DemoFamily:
    """A family of models in the demo.

    Args:
        model_type: The configuration's; what `--model_type` says.
        name: For people.
        idea: What pre-training does, in half a sentence.
        make_feature_extractor: Makes what turns waveforms into the model's inputs.
        make_config: From the number of pre-training steps to the configuration of a network that learns something in
            minutes on a CPU.
        trainer, collator: The classes that pre-train it.
        learning_rates: Of the synthetic corpus and the default minutes.
        finetuning_fields: Fields of the configuration that recognition changes, with and without pre-training.
        freeze_feature_encoder: Whether fine-tuning leaves the convolutions as pre-trained.
        bar_figures: Which figures of the log the progress bar shows.
        curves: Which figures are drawn.
        summarise: From the first and the last entry of the log to what there is to say about pre-training.
    """

    model_type: str
    name: str
    idea: str
    make_feature_extractor: Callable[[], SpeechFeatureExtractor]
    make_config: Callable[[int], PreTrainedConfig]
    trainer: type[PreTrainingTrainer]
    collator: Callable[[Any, Any], Callable[..., Any]]
    learning_rates: LearningRates
    finetuning_fields: dict[str, Any]
    freeze_feature_encoder: bool
    bar_figures: tuple[str, ...]
    curves: tuple[Curve, ...]
    summarise: Callable[[Figures, Figures], str]


# The `small` size again smaller, so that it sees a few thousand batches in minutes.
DATA2VEC2_AUDIO_FIELDS = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "conv_dim": [64, 128, 192],
    "average_top_k_layers": 3,
    "num_masks": 4,
}


def _data2vec2_audio_config(num_steps: int) -> PreTrainedConfig:
    """With the teacher's schedule, published for 400,000 steps, fitted to so few."""
    schedule = {"ema_anneal_end_step": max(1, num_steps * 2 // 3)}
    return override_config(data2vec2_audio_config("small"), DATA2VEC2_AUDIO_FIELDS | schedule)


def _summarise_targets(first: Figures, last: Figures) -> str:
    return (
        f"Loss {first['loss']:.2f} -> {last['loss']:.2f}; spread of the targets {first['target_std']:.2f} -> "
        f"{last['target_std']:.2f}; share of it between utterances {first['between_utterance_share']:.2f} -> "
        f"{last['between_utterance_share']:.2f} (near 0 would be a collapse)."
    )


DATA2VEC2_AUDIO = DemoFamily(
    model_type="data2vec2-audio",
    name="data2vec 2.0",
    idea="predicts its own view of what is hidden",
    make_feature_extractor=lambda: Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLING_RATE, do_normalize=True, return_attention_mask=True
    ),
    make_config=_data2vec2_audio_config,
    trainer=SelfDistillationTrainer,
    collator=DataCollatorForData2Vec2Audio,
    learning_rates=LearningRates(pretraining=1.5e-3, finetuning=5e-4, untrained=(5e-4, 1e-3)),
    finetuning_fields={"hidden_dropout": 0.1, "mask_time_prob": 0.2, "mask_time_length": 5},
    freeze_feature_encoder=True,  # as in the original's fine-tuning
    bar_figures=("loss", "target_std", "between_utterance_share", "audio_seconds_per_second"),
    curves=(
        Curve("loss", "Pre-training loss", "Loss", BLUE),
        Curve("target_std", "Spread of the targets", "Standard deviation", GREEN),
        Curve(
            "between_utterance_share",
            "Share of the targets' variance\nbetween utterances",
            "Share (0 to 1)",
            PURPLE,
        ),
    ),
    summarise=_summarise_targets,
)

# As in the recipe for an hour on a CPU, but for the codebooks: four small ones did a little better on validation than
# one of 1,024 codes, in the last layers most (see "Demo" in model_cards/best-rq.md).
BEST_RQ_FIELDS = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "conv_dim": [32, 16],
    "num_codebooks": 4,
    "codebook_size": 256,
}


def _best_rq_config(num_steps: int) -> PreTrainedConfig:
    return override_config(best_rq_config("small"), BEST_RQ_FIELDS)


def _summarise_codes(first: Figures, last: Figures) -> str:
    return (
        f"Loss {first['loss']:.2f} -> {last['loss']:.2f}, where knowing only how frequent each code is would give "
        f"{last['target_entropy']:.2f}; masked codes predicted right {first['masked_accuracy']:.1%} -> "
        f"{last['masked_accuracy']:.1%}. The quantizer, which never changes: {_usage(first)} at first, {_usage(last)} "
        "at last (a perplexity near 1 would leave nothing to learn)."
    )


def _usage(figures: Figures) -> str:
    return (
        f"{figures['codebook_usage']:.0%} of its codes in {figures['codes_counted']:,} with a perplexity of "
        f"{figures['codebook_perplexity']:.0f}"
    )


BEST_RQ = DemoFamily(
    model_type="best-rq",
    name="BEST-RQ",
    idea="predicts the codes that a frozen random quantizer gives to what is hidden",
    make_feature_extractor=BestRqFeatureExtractor,
    make_config=_best_rq_config,
    trainer=BestRqTrainer,
    collator=DataCollatorForBestRq,
    learning_rates=LearningRates(pretraining=1.5e-3, finetuning=5e-4, untrained=(5e-4, 1e-3)),
    finetuning_fields={"hidden_dropout": 0.1, "mask_time_prob": 0.2, "mask_time_length": 3},
    freeze_feature_encoder=False,  # small, and on mel frames
    bar_figures=("loss", "masked_accuracy", "codebook_perplexity", "audio_seconds_per_second"),
    curves=(
        Curve(
            "loss",
            "Pre-training loss",
            "Cross-entropy (nats)",
            BLUE,
            reference="target_entropy",
            reference_label="knowing only how frequent codes are",
        ),
        Curve("masked_accuracy", "Masked codes predicted right", "Share (0 to 1)", GREEN),
        Curve("codebook_perplexity", "Perplexity of the frozen codebook", "Codes, as if equally frequent", PURPLE),
    ),
    summarise=_summarise_codes,
)


def demo_family(model_type: str) -> DemoFamily:
    """The family of a model type.

    Raises:
        ValueError: The demo has no such family.
    """
    match model_type:
        case "data2vec2-audio":
            return DATA2VEC2_AUDIO
        case "best-rq":
            return BEST_RQ
    raise ValueError(f"--model_type of the demo is data2vec2-audio or best-rq, got {model_type!r}.")
