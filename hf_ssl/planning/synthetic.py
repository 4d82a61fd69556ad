# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Batches of noise, put together as training puts real ones together."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedConfig, Wav2Vec2FeatureExtractor

from ..data.augmentation import AugmentationArguments, WaveformAugmentation
from ..data.collators_augmented import DataCollatorForData2VecAqc
from ..data.collators_images import DataCollatorForData2Vec2Vision, DataCollatorForData2VecVision, square_size
from ..data.collators_pretraining import (
    DataCollatorForBestRq,
    DataCollatorForData2Vec2Audio,
    DataCollatorForData2VecAudio,
)
from ..data.collators_text import DataCollatorForData2Vec2Text, DataCollatorForData2VecText
from ..data.skipped import SkippedFiles
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


def make_collator(config: PreTrainedConfig, augmented: bool) -> Any:
    """That of pre-training.

    Raises:
        ValueError: There is no pre-training of models of `config`.
    """
    match config:
        case Data2Vec2TextConfig():
            return DataCollatorForData2Vec2Text(config)
        case Data2VecTextPreTrainingConfig():
            return DataCollatorForData2VecText(config, _mask_token(config))
        case Data2Vec2VisionConfig():
            return DataCollatorForData2Vec2Vision(make_image_processor(config.image_size), config)
        case Data2VecVisionPreTrainingConfig():
            return DataCollatorForData2VecVision(make_image_processor(square_size(config)), config)
        case BestRqConfig():
            return DataCollatorForBestRq(BestRqFeatureExtractor(), config)
    feature_extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    match config:
        case Data2VecAqcConfig():  # before data2vec's, from which it is derived
            return DataCollatorForData2VecAqc(feature_extractor, config, _any_augmentation() if augmented else None)
        case Data2VecAudioPreTrainingConfig():
            return DataCollatorForData2VecAudio(feature_extractor, config)
        case Data2Vec2AudioConfig():
            return DataCollatorForData2Vec2Audio(feature_extractor, config)
    raise ValueError(f"No pre-training of models of type {config.model_type!r} to plan.")


def _any_augmentation() -> WaveformAugmentation:
    """One that needs no recordings of noise: what matters here is that there are two views."""
    return WaveformAugmentation(
        AugmentationArguments(gain_prob=1.0), sampling_rate=SAMPLING_RATE, skipped=SkippedFiles()
    )
