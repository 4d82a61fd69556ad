# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Training with the Hugging Face `Trainer`."""

from .callbacks import (
    CodebookGuardCallback,
    CollapseGuardCallback,
    NonFiniteGradientCallback,
    TeacherUpdateCallback,
)
from .data2vec_aqc import Data2VecAqcTrainer, QuantizerGuardCallback
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
    "Data2VecAqcTrainer",
    "ImageSelfDistillationTrainer",
    "NonFiniteGradientCallback",
    "PreTrainingTrainer",
    "QuantizerGuardCallback",
    "SelfDistillationTrainer",
    "TeacherUpdateCallback",
    "TextSelfDistillationTrainer",
    "between_utterance_share",
    "feature_std",
]
