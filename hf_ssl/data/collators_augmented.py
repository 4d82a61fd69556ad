# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Collators of pre-training on augmented waveforms. Augmentation takes place here, and so in the workers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import Wav2Vec2FeatureExtractor

from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from .augmentation import WaveformAugmentation, augmentation_generator
from .collator_checks import Feature, seeds_of, waveforms_of
from .collators_pretraining import DataCollatorForData2VecAudio

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


class DataCollatorForData2VecAqc(DataCollatorForData2VecAudio):
    """Makes a batch for [`Data2VecAqcForPreTraining`] out of waveforms: a clean and an augmented view, one mask for
    both. The augmentation of an item depends on its seed alone.

    Args:
        feature_extractor: Pads and normalises either view; must return an attention mask.
        config: The model's configuration, for masks and the number of frames.
        augmentation: Makes the student's view; without it, the student sees the clean one.
        pad_to_multiple_of: As of [`WaveformCollator`].
    """

    def __init__(
        self,
        feature_extractor: Wav2Vec2FeatureExtractor,
        config: Data2VecAqcConfig,
        augmentation: WaveformAugmentation | None = None,
        pad_to_multiple_of: int | None = None,
    ):
        super().__init__(feature_extractor, config, pad_to_multiple_of)
        self.augmentation = augmentation

    def __call__(self, features: Sequence[Feature]) -> Batch:
        """
        Args:
            features: Items with `input_values`, a float waveform of shape `(num_samples,)`, and `seed`, an int that
                determines the item's mask and augmentation.

        Returns:
            What [`DataCollatorForData2VecAudio`] makes of the clean view and, with augmentation, `augmented_values`,
            `(batch_size, num_samples)`.
        """
        if self.augmentation is None:
            return super().__call__(features)
        views = [make_views(feature, self.augmentation) for feature in features]
        batch = super().__call__(
            [{**feature, "input_values": clean} for feature, (clean, _) in zip(features, views, strict=True)]
        )
        augmented = self.padded([augmented for _, augmented in views])
        return batch | {"augmented_values": augmented["input_values"]}


def make_views(feature: Feature, augmentation: WaveformAugmentation) -> tuple[np.ndarray, np.ndarray]:
    """The clean and the augmented waveform of an item, of equal length and aligned: a change of speed is in both."""
    (clean,), (seed,) = waveforms_of([feature]), seeds_of([feature])
    generator = augmentation_generator(seed)
    clean = augmentation.change_speed(clean, generator)
    return clean, augmentation(clean, generator)
