# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Collators of self-supervised pre-training: they pad, normalise, and own the masks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import BatchFeature, Wav2Vec2FeatureExtractor

from ..models.configuration_best_rq import BestRqConfig
from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from ..models.configuration_data2vec_pretraining import Data2VecAudioPreTrainingConfig
from ..models.feature_extraction_best_rq import BestRqFeatureExtractor
from ..models.masking import count_in_spans, draw_span_masks, draw_stack_masks, row_positions
from ..models.modeling_data2vec_audio_pretraining import draw_masks
from .collator_checks import seeds_of, waveforms_of
from .collators import padded_length

IGNORED_LABEL = -100


def predicted_positions(masks: torch.Tensor, is_rounded: bool) -> torch.Tensor:
    """Where masks, `(..., length)`, are true; `(..., max_predicted)`.

    Args:
        masks: Bool.
        is_rounded: Whether numbers of columns are to be few, for a compiled model: eighths of the length.
    """
    most, eighth = int(masks.sum(dim=-1).max()), math.ceil(masks.shape[-1] / 8)
    return row_positions(masks, math.ceil(most / eighth) * eighth if is_rounded else most)


def visible_mask(masks: torch.Tensor, counts: Sequence[int], with_padding: bool) -> torch.Tensor:
    """What masks, `(batch_size, num_masks, length)`, leave visible of items with so many real positions."""
    if with_padding:
        return ~masks
    return ~masks & (torch.arange(masks.shape[-1]) < torch.tensor(counts).unsqueeze(-1)).unsqueeze(1)


class WaveformCollator:
    """Pads and normalises waveforms for a model that reads them as they are.

    Masks are drawn here and not in the model, because the `Trainer` counts `labels` over the whole global batch to
    normalise the loss exactly, and because a mask then depends on its item's seed alone: not on the batch it falls
    into, nor on the number of workers or devices.

    Args:
        feature_extractor: Pads and normalises; must return an attention mask.
        config: The model's configuration, for masks and the number of frames.
        pad_to_multiple_of: Samples of which the padded length is a multiple, so that a compiled model sees few
            lengths; that of the longest clip if `None`.
    """

    config: Data2Vec2AudioConfig | Data2VecAudioPreTrainingConfig

    def __init__(
        self,
        feature_extractor: Wav2Vec2FeatureExtractor,
        config: Data2Vec2AudioConfig | Data2VecAudioPreTrainingConfig,
        pad_to_multiple_of: int | None = None,
    ):
        if not feature_extractor.return_attention_mask:
            raise ValueError(
                "The feature extractor must have `return_attention_mask=True`: without the mask, padding would be "
                "trained on."
            )
        self.feature_extractor = feature_extractor
        self.config = config
        self.pad_to_multiple_of = pad_to_multiple_of

    def draw_masks(self, frame_counts: Sequence[int], sequence_length: int, seeds: Sequence[int]) -> torch.Tensor:
        """Masks of a batch, `(batch_size, ..., sequence_length)`, bool, within the `frame_counts` of its items."""
        raise NotImplementedError

    def find_positions(self, masks: torch.Tensor, frame_counts: Sequence[int]) -> dict[str, torch.Tensor]:
        """What masks of [`~WaveformCollator.draw_masks`] leave visible, or hide, as the model takes it."""
        return {"predicted_positions": predicted_positions(masks, is_rounded=self.pad_to_multiple_of is not None)}

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """
        Args:
            features: Items with `input_values`, a float waveform of shape `(num_samples,)`, and `seed`, an int that
                determines the item's masks.

        Returns:
            `input_values` and `attention_mask`, `(batch_size, num_samples)`; `mask_time_indices` (bool) and `labels`
            (0 at masked frames, -100 elsewhere), `(batch_size, sequence_length)`, or `(batch_size, num_masks,
            sequence_length)` for a model that masks each utterance several times; and where the masks are true, and
            false (of models that encode visible frames alone), `predicted_positions` and `visible_positions`.
        """
        waveforms, seeds = waveforms_of(features), seeds_of(features)
        frame_counts = [self._num_frames(waveform) for waveform in waveforms]
        batch = self.padded(waveforms)
        sequence_length = self.config.num_frames(batch["input_values"].shape[1])
        masks = self.draw_masks(frame_counts, sequence_length, seeds)
        return {
            "input_values": batch["input_values"],
            "attention_mask": batch["attention_mask"],
            "mask_time_indices": masks,
            "labels": torch.where(masks, 0, IGNORED_LABEL),
            **self.find_positions(masks, frame_counts),
        }

    def padded(self, waveforms: Sequence[np.ndarray]) -> BatchFeature:
        """`input_values` and `attention_mask`, `(batch_size, num_samples)`."""
        return self.feature_extractor(
            list(waveforms),
            sampling_rate=self.feature_extractor.sampling_rate,
            padding="max_length",
            max_length=padded_length(self.feature_extractor, waveforms, self.pad_to_multiple_of),
            return_tensors="pt",
        )

    def _num_frames(self, waveform: np.ndarray) -> int:
        num_frames = self.config.num_frames(len(waveform))
        if num_frames < 1:
            raise ValueError(
                f"A clip of {len(waveform)} samples is shorter than the model's receptive field of "
                f"{self.config.receptive_field} samples. Set `min_seconds` so that such clips are left out."
            )
        return num_frames


class DataCollatorForData2Vec2Audio(WaveformCollator):
    """Makes a batch for [`Data2Vec2AudioForPreTraining`] out of waveforms, with several masks for each."""

    config: Data2Vec2AudioConfig

    def draw_masks(self, frame_counts: Sequence[int], sequence_length: int, seeds: Sequence[int]) -> torch.Tensor:
        masks = torch.zeros(len(seeds), self.config.num_masks, sequence_length, dtype=torch.bool)
        for row, (num_frames, seed) in enumerate(zip(frame_counts, seeds, strict=True)):
            masks[row, :, :num_frames] = draw_span_masks(
                num_frames,
                self.config.num_masks,
                mask_prob=self.config.mask_prob,
                mask_length=self.config.mask_length,
                mask_prob_adjust=self.config.mask_prob_adjust,
                mask_dropout=self.config.mask_dropout,
                inverse=self.config.inverse_mask,
                generator=torch.Generator().manual_seed(seed),
            )
        return masks

    def find_positions(self, masks: torch.Tensor, frame_counts: Sequence[int]) -> dict[str, torch.Tensor]:
        """As many columns as an utterance without padding needs, so that these depend on the padded length alone."""
        config, length = self.config, masks.shape[-1]
        in_spans = count_in_spans(length, config.mask_prob, config.inverse_mask)
        num_masked = length - in_spans if config.inverse_mask else in_spans
        visible = visible_mask(masks, frame_counts, config.convolve_padding)
        return {
            "visible_positions": row_positions(visible, length - num_masked),
            "predicted_positions": row_positions(masks, num_masked),
        }


class DataCollatorForData2VecAudio(WaveformCollator):
    """Makes a batch for [`Data2VecAudioForPreTraining`] out of waveforms, with one mask for each.

    With `config.require_same_masks` masks depend on their batch all the same.
    """

    config: Data2VecAudioPreTrainingConfig

    def draw_masks(self, frame_counts: Sequence[int], sequence_length: int, seeds: Sequence[int]) -> torch.Tensor:
        generators = [np.random.default_rng(seed) for seed in seeds]
        return draw_masks(self.config, frame_counts, sequence_length, generators)


class DataCollatorForBestRq:
    """Makes a batch for [`BestRqForPreTraining`] out of waveforms: log-mel features, computed here and so in the
    workers, or waveforms of which the device is to compute them; and masks.

    Masks are drawn here for the reasons that [`WaveformCollator`] gives. With
    `config.one_mask_per_batch` all items have the mask of the first one's seed, as long as the shortest.

    Args:
        feature_extractor: Makes, normalises and pads the features.
        config: The model's configuration, for masks and the number of frames.
        pad_to_multiple_of: Samples of which the longest clip's length is made a multiple, by mel frames of padding, so
            that a compiled model sees few lengths; it stays as it is if `None`.
        features_on_device: Whether to hand over waveforms, of which
            [`~BestRqFeatureExtractor.with_features`] makes features once they are on the device. `BestRqTrainer` calls
            it; do so in a loop of your own.
    """

    def __init__(
        self,
        feature_extractor: BestRqFeatureExtractor,
        config: BestRqConfig,
        pad_to_multiple_of: int | None = None,
        features_on_device: bool = False,
    ):
        for name, ours, models in (
            ("mel bins", feature_extractor.feature_size, config.num_mel_bins),
            ("samples between mel frames", feature_extractor.hop_length, config.hop_length),
        ):
            if ours != models:
                raise ValueError(f"The feature extractor has {ours} {name}, but the model expects {models}.")
        self.feature_extractor = feature_extractor
        self.config = config
        self.pad_to_multiple_of = pad_to_multiple_of
        self.features_on_device = features_on_device

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """
        Args:
            features: Items with `input_values`, a float waveform of shape `(num_samples,)`, and `seed`, an int that
                determines the item's mask.

        Returns:
            `input_features`, `(batch_size, num_mel_frames, num_mel_bins)`, or `waveforms`, `(batch_size,
            num_samples)`, if the device is to compute them; `attention_mask`, `(batch_size,
            num_mel_frames)`; `mask_time_indices` (bool) and `labels` (0 at masked frames, -100 elsewhere; the codes to
            predict are the model's own), `(batch_size, sequence_length)`; `predicted_positions`, `(batch_size,
            max_predicted)`, where the masks are true.
        """
        waveforms, seeds = waveforms_of(features), seeds_of(features)
        self._check_lengths(waveforms)
        num_mel_frames = padded_length(self.feature_extractor, waveforms, self.pad_to_multiple_of)
        make_batch = self._padded_waveforms if self.features_on_device else self._extracted_features
        batch = make_batch(waveforms, num_mel_frames)
        masks = draw_stack_masks(
            batch["attention_mask"].sum(-1).tolist(),
            self.config.num_frames(num_mel_frames),
            stack_size=self.config.stack_size,
            mask_prob=self.config.mask_prob,
            mask_length=self.config.mask_length,
            sampling=self.config.mask_sampling,
            one_mask_per_batch=self.config.one_mask_per_batch,
            generators=[torch.Generator().manual_seed(seed) for seed in seeds],
        )
        return {
            **batch,
            "mask_time_indices": masks,
            "labels": torch.where(masks, 0, IGNORED_LABEL),
            "predicted_positions": predicted_positions(masks, is_rounded=self.pad_to_multiple_of is not None),
        }

    def _extracted_features(self, waveforms: Sequence[np.ndarray], num_mel_frames: int) -> dict[str, torch.Tensor]:
        """`input_features` and `attention_mask`."""
        batch = self.feature_extractor(
            waveforms,
            sampling_rate=self.feature_extractor.sampling_rate,
            padding="max_length",
            max_length=num_mel_frames,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return {name: batch[name] for name in ("input_features", "attention_mask")}

    def _padded_waveforms(self, waveforms: Sequence[np.ndarray], num_mel_frames: int) -> dict[str, torch.Tensor]:
        """`waveforms` and `attention_mask`, as [`~BestRqFeatureExtractor.with_features`] takes them."""
        clips = [torch.as_tensor(waveform, dtype=torch.float32) for waveform in waveforms]
        padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
        is_real = self.feature_extractor.real_frames(torch.tensor([*map(len, clips)]), padded.shape[1])
        missing = num_mel_frames - is_real.shape[1]
        return {"waveforms": padded, "attention_mask": F.pad(is_real, (0, missing), value=False).long()}

    def _check_lengths(self, waveforms: Sequence[np.ndarray]) -> None:
        shortest = (self.config.stack_size - 1) * self.config.hop_length
        for waveform in waveforms:
            if len(waveform) < shortest:
                raise ValueError(
                    f"A clip of {len(waveform)} samples is too short: a frame of the model is made of "
                    f"{self.config.stack_size} mel frames, {shortest} samples. Set `min_seconds` so that such clips "
                    "are left out."
                )
