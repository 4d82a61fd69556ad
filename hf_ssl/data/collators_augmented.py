# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Collators of pre-training on augmented waveforms. Augmentation takes place here, and so in the workers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import Wav2Vec2FeatureExtractor

from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from ..models.modeling_data2vec_audio_pretraining import draw_masks
from .augmentation import WaveformAugmentation, augmentation_generator
from .collators_pretraining import IGNORED_LABEL

Feature = Mapping[str, Any]
Batch = dict[str, torch.Tensor]


class AugmentingCollator:
    """Augments waveforms before another collator makes a batch of them: for models that see one view.

    Args:
        collator: Of features with `input_values`, a float waveform of shape `(num_samples,)`, and `seed`.
        augmentation: What is done to the waveforms; drawn from each item's seed.
    """

    def __init__(self, collator: Callable[[Sequence[Feature]], Batch], augmentation: WaveformAugmentation):
        self.collator = collator
        self.augmentation = augmentation

    def __call__(self, features: Sequence[Feature]) -> Batch:
        return self.collator([self._augmented(feature) for feature in features])

    def _augmented(self, feature: Feature) -> dict[str, Any]:
        _, augmented = make_views(feature, self.augmentation)
        return {**feature, "input_values": augmented}


class DataCollatorForData2VecAqc:
    """Makes a batch for [`Data2VecAqcForPreTraining`] out of waveforms: a clean and an augmented view, one mask for
    both.

    Masks and augmentation depend on an item's seed alone; with `config.require_same_masks` masks depend on their batch
    all the same.

    Args:
        feature_extractor: Pads and normalises either view; must return an attention mask.
        config: The model's configuration, for masks and the number of frames.
        augmentation: Makes the student's view; without it, the student sees the clean one.
    """

    def __init__(
        self,
        feature_extractor: Wav2Vec2FeatureExtractor,
        config: Data2VecAqcConfig,
        augmentation: WaveformAugmentation | None = None,
    ):
        if not feature_extractor.return_attention_mask:
            raise ValueError(
                "The feature extractor must have `return_attention_mask=True`: without the mask, padding would be "
                "trained on."
            )
        self.feature_extractor = feature_extractor
        self.config = config
        self.augmentation = augmentation

    def __call__(self, features: Sequence[Feature]) -> Batch:
        """
        Args:
            features: Items with `input_values`, a float waveform of shape `(num_samples,)`, and `seed`, an int that
                determines the item's mask and augmentation.

        Returns:
            `input_values` and `attention_mask`, `(batch_size, num_samples)`, and with augmentation `augmented_values`;
            `mask_time_indices` (bool) and `labels` (0 at masked frames, -100 elsewhere), `(batch_size,
            sequence_length)`.
        """
        views = [make_views(feature, self.augmentation) for feature in features]
        clean = self._pad([clean for clean, _ in views])
        masks = draw_masks(
            self.config,
            [self._num_frames(len(waveform)) for waveform, _ in views],
            self.config.num_frames(clean["input_values"].shape[1]),
            [np.random.default_rng(int(feature["seed"])) for feature in features],
        )
        batch = {
            "input_values": clean["input_values"],
            "attention_mask": clean["attention_mask"],
            "mask_time_indices": masks,
            "labels": torch.where(masks, 0, IGNORED_LABEL),
        }
        if self.augmentation is not None:
            batch["augmented_values"] = self._pad([augmented for _, augmented in views])["input_values"]
        return batch

    def _pad(self, waveforms: list[np.ndarray]) -> Mapping[str, torch.Tensor]:
        return self.feature_extractor(
            waveforms, sampling_rate=self.feature_extractor.sampling_rate, padding=True, return_tensors="pt"
        )

    def _num_frames(self, num_samples: int) -> int:
        num_frames = self.config.num_frames(num_samples)
        if num_frames < 1:
            raise ValueError(
                f"A clip of {num_samples} samples is shorter than the model's receptive field of "
                f"{self.config.receptive_field} samples. Set `min_seconds` so that such clips are left out."
            )
        return num_frames


def make_views(feature: Feature, augmentation: WaveformAugmentation | None) -> tuple[np.ndarray, np.ndarray]:
    """The clean and the augmented waveform of an item, of equal length and aligned: a change of speed is in both."""
    clean = np.asarray(feature["input_values"], dtype=np.float32)
    if augmentation is None:
        return clean, clean
    generator = augmentation_generator(int(feature["seed"]))
    clean = augmentation.change_speed(clean, generator)
    return clean, augmentation(clean, generator)
