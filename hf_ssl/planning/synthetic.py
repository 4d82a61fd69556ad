# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Batches of noise, put together as training puts real ones together."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedConfig, Wav2Vec2FeatureExtractor

from ..data.augmentation import AugmentationArguments, WaveformAugmentation
from ..data.collators_images import square_size
from ..data.pretraining_collators import Collator, image_collator, speech_collator, text_collator
from ..data.skipped import SkippedFiles
from ..models.configuration_best_rq import BestRqConfig
from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from ..models.configuration_data2vec_pretraining import (
    Data2VecTextPreTrainingConfig,
    Data2VecVisionPreTrainingConfig,
)
from ..models.feature_extraction_best_rq import BestRqFeatureExtractor
from ..models.image_processing_data2vec2 import make_image_processor
from .recipes import PlannedRecipe

SAMPLING_RATE = 16_000


def make_batch(recipe: PlannedRecipe, config: PreTrainedConfig, num_items: int) -> dict[str, torch.Tensor]:
    """`num_items` items of the longest length, with their masks and labels, for a model of `config`."""
    collator = make_collator(config, recipe.augmented)
    return collator([make_item(config, recipe.longest_item, seed) for seed in range(num_items)])


def make_item(config: PreTrainedConfig, length: float, seed: int) -> dict[str, Any]:
    """Noise as the data set of a model of `config` gives it: `length` seconds, an image, or `length` tokens."""
    generator = np.random.default_rng(seed)
    match config:
        case Data2Vec2TextConfig() | Data2VecTextPreTrainingConfig():
            input_ids = generator.integers(_mask_token(config), size=int(length))
            return {"input_ids": np.where(input_ids == config.pad_token_id, 0, input_ids), "seed": seed}
        case Data2Vec2VisionConfig() | Data2VecVisionPreTrainingConfig():
            side = square_size(config)
            pixels = generator.integers(256, size=(side, side, 3), dtype=np.uint8)
            return {"image": Image.fromarray(pixels), "is_cropped": True, "seed": seed}
    waveform = generator.standard_normal(int(length * SAMPLING_RATE)).astype(np.float32)
    return {"input_values": waveform, "seed": seed}


def _mask_token(config: PreTrainedConfig) -> int:
    """As in RoBERTa's vocabulary the last one, which no text has."""
    return config.vocab_size - 1


def make_collator(config: PreTrainedConfig, augmented: bool) -> Collator:
    """That of pre-training.

    Raises:
        ValueError: There is no pre-training of models of `config`.
    """
    match config:
        case Data2Vec2TextConfig() | Data2VecTextPreTrainingConfig():
            return text_collator(config, _mask_token(config))
        case Data2Vec2VisionConfig() | Data2VecVisionPreTrainingConfig():
            return image_collator(config, make_image_processor(square_size(config)))
        case BestRqConfig():
            return speech_collator(config, BestRqFeatureExtractor(), None)
    feature_extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    has_two_views = augmented and isinstance(config, Data2VecAqcConfig)
    return speech_collator(config, feature_extractor, _any_augmentation() if has_two_views else None)


def _any_augmentation() -> WaveformAugmentation:
    """One that needs no recordings of noise: what matters here is that there are two views."""
    return WaveformAugmentation(
        AugmentationArguments(gain_prob=1.0), sampling_rate=SAMPLING_RATE, skipped=SkippedFiles()
    )
