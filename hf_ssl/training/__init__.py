# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Training with the Hugging Face `Trainer`."""

from .callbacks import TeacherUpdateCallback
from .data2vec_aqc import Data2VecAqcTrainer
from .health import (
    CodebookGuardCallback,
    CollapseGuardCallback,
    ConvolutionRankGuardCallback,
    NonFiniteGradientCallback,
    NonFiniteLossCallback,
    QuantizerGuardCallback,
    StandstillGuardCallback,
    TeacherGuardCallback,
    UnhealthyTrainingError,
    health_guards,
)
from .health_measures import RepresentationHealthCallback
from .monitoring import between_utterance_share, feature_std
from .trainer import (
    AudioTrainer,
    BestRqTrainer,
    ImageSelfDistillationTrainer,
    PreTrainingTrainer,
    SelfDistillationTrainer,
    TextSelfDistillationTrainer,
)

__all__ = [
    "AudioTrainer",
    "BestRqTrainer",
    "CodebookGuardCallback",
    "CollapseGuardCallback",
    "ConvolutionRankGuardCallback",
    "Data2VecAqcTrainer",
    "ImageSelfDistillationTrainer",
    "NonFiniteGradientCallback",
    "NonFiniteLossCallback",
    "PreTrainingTrainer",
    "QuantizerGuardCallback",
    "RepresentationHealthCallback",
    "SelfDistillationTrainer",
    "StandstillGuardCallback",
    "TeacherGuardCallback",
    "TeacherUpdateCallback",
    "TextSelfDistillationTrainer",
    "UnhealthyTrainingError",
    "between_utterance_share",
    "feature_std",
    "health_guards",
]
