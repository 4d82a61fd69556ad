# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Frames of all layers of a frozen speech encoder, of any family and from any package."""

from collections.abc import Iterable

import numpy as np
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..data.collators import SpeechFeatureExtractor
from ..models.feature_extraction_best_rq import BestRqFeatureExtractor


def extract_layer_features(
    model: PreTrainedModel, feature_extractor: SpeechFeatureExtractor, waveforms: Iterable[np.ndarray]
) -> list[torch.Tensor]:
    """Hidden states of all layers, each frame normalised over its channels so that no layer outweighs another.

    Clips are encoded one at a time: nothing depends on how a model treats padding.

    Args:
        model (`PreTrainedModel`): An encoder. It is put into evaluation mode.
        feature_extractor (`Wav2Vec2FeatureExtractor` or `BestRqFeatureExtractor`): Prepares waveforms for `model`.
        waveforms (iterable of `np.ndarray` of shape `(num_samples,)`): Clips at `feature_extractor.sampling_rate`.

    Returns:
        One tensor per clip, `(num_layers + 1, num_frames, hidden_size)`, float16 on the CPU. Index 0 is what enters
        the first layer.
    """
    model.eval()
    features = []
    with torch.inference_mode():
        for waveform in waveforms:
            inputs = feature_extractor(waveform, sampling_rate=feature_extractor.sampling_rate, return_tensors="pt")
            outputs = model(**inputs.to(model.device), output_hidden_states=True)
            features.append(_normalize(torch.cat(outputs.hidden_states)))
    return features


def log_mel_frames(waveforms: Iterable[np.ndarray]) -> list[torch.Tensor]:
    """The baseline without a network, in the same form: two log-mel frames of 10 ms side by side.

    Returns:
        One tensor per clip at 16 kHz, `(1, num_frames, 160)`, float16.
    """
    feature_extractor = BestRqFeatureExtractor()
    features = []
    for waveform in waveforms:
        frames = feature_extractor(waveform, sampling_rate=16_000, return_tensors="pt")["input_features"]
        features.append(_normalize(frames[:, : frames.shape[1] // 2 * 2].unflatten(1, (-1, 2)).flatten(2)))
    return features


def _normalize(hidden_states: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(hidden_states.float(), hidden_states.shape[-1:]).half().cpu()
