# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the tests of decoding share: a tokenizer, and logits that say what a test wants them to."""

from collections.abc import Mapping, Sequence

import torch
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

from hf_ssl.training.finetuning import build_vocabulary, make_processor

VOCABULARY = build_vocabulary(["abcdefghijklmnopqrstuvwxyz"])


def make_tokenizer() -> Wav2Vec2CTCTokenizer:
    return make_processor(Wav2Vec2FeatureExtractor(), VOCABULARY).tokenizer


def logits_of(tokens: Sequence[str | Mapping[str, float]]) -> torch.Tensor:
    """`(num_frames, vocab_size)`: a frame per entry, a token that is all but sure or probabilities of several."""
    probabilities = torch.full((len(tokens), len(VOCABULARY)), 1e-6)
    for frame, entry in enumerate(tokens):
        for token, probability in ({entry: 1.0} if isinstance(entry, str) else entry).items():
            probabilities[frame, VOCABULARY[token]] = probability
    return probabilities.log()
