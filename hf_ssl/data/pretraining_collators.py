# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Which collator each family is pre-trained with."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedConfig, SequenceFeatureExtractor, ViTImageProcessorPil

from ..models.configuration_best_rq import BestRqConfig
from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from ..models.configuration_data2vec_pretraining import (
    Data2VecAudioPreTrainingConfig,
    Data2VecTextPreTrainingConfig,
    Data2VecVisionPreTrainingConfig,
)
from .augmentation import WaveformAugmentation
from .collators_augmented import AugmentingCollator, DataCollatorForData2VecAqc
from .collators_images import DataCollatorForData2Vec2Vision, DataCollatorForData2VecVision
from .collators_pretraining import (
    DataCollatorForBestRq,
    DataCollatorForData2Vec2Audio,
    DataCollatorForData2VecAudio,
)
from .collators_text import DataCollatorForData2Vec2Text, DataCollatorForData2VecText

# Of items, such as the data sets of `hf_ssl.data` give them, a batch for the model.
Collator = Callable[[Sequence[Any]], dict[str, torch.Tensor]]


def speech_collator(
    config: PreTrainedConfig,
    feature_extractor: SequenceFeatureExtractor,
    augmentation: WaveformAugmentation | None,
    pad_to_multiple_of: int | None = None,
    features_on_device: bool = False,
) -> Collator:
    """Of a speech model.

    Args:
        config: The model's.
        feature_extractor: The model's.
        augmentation: data2vec-aqc's second view, and the only view of the others.
        pad_to_multiple_of: Samples of which the length of a padded batch is a multiple; that of the longest clip if
            `None`.
        features_on_device: Whether log-mel features are left to the device; for BEST-RQ only.
    """
    extractor: Any = feature_extractor
    if features_on_device and not isinstance(config, BestRqConfig):
        raise ValueError(
            f"--log_mel_on_device is for BEST-RQ. Models of type {config.model_type!r} take waveforms, of which they "
            "compute everything on the device anyway: leave it out."
        )
    match config:
        case Data2VecAqcConfig():  # before data2vec's, from which it is derived
            return DataCollatorForData2VecAqc(extractor, config, augmentation, pad_to_multiple_of)
        case Data2VecAudioPreTrainingConfig():
            collator: Collator = DataCollatorForData2VecAudio(extractor, config, pad_to_multiple_of)
        case Data2Vec2AudioConfig():
            collator = DataCollatorForData2Vec2Audio(extractor, config, pad_to_multiple_of)
        case BestRqConfig():
            collator = DataCollatorForBestRq(extractor, config, pad_to_multiple_of, features_on_device)
        case _:
            raise ValueError(f"No pre-training of speech with models of type {config.model_type!r}.")
    return collator if augmentation is None else AugmentingCollator(collator, augmentation)


def image_collator(
    config: Data2Vec2VisionConfig | Data2VecVisionPreTrainingConfig, image_processor: ViTImageProcessorPil
) -> Collator:
    """Of an image model."""
    if isinstance(config, Data2VecVisionPreTrainingConfig):
        return DataCollatorForData2VecVision(image_processor, config)
    return DataCollatorForData2Vec2Vision(image_processor, config)


def text_collator(config: Data2Vec2TextConfig | Data2VecTextPreTrainingConfig, mask_token_id: int | None) -> Collator:
    """Of a text model; only data2vec's needs the mask token."""
    if isinstance(config, Data2VecTextPreTrainingConfig):
        return DataCollatorForData2VecText(config, mask_token_id)
    return DataCollatorForData2Vec2Text(config)
