# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the tests of inference share: a tokenizer, logits that say what a test wants them to, and a saved BEST-RQ."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

from hf_ssl import BestRqFeatureExtractor, BestRqForCTC
from hf_ssl.training.finetuning import build_vocabulary, make_processor
from hf_ssl.training.model_sizes import best_rq_config

VOCABULARY = build_vocabulary(["abcdefghijklmnopqrstuvwxyz"])
STREAM_STATISTICS: dict[str, Any] = {"normalization": "dataset", "mean": [-30.0] * 80, "std": [12.0] * 80}


def make_tokenizer() -> Wav2Vec2CTCTokenizer:
    return make_processor(Wav2Vec2FeatureExtractor(), VOCABULARY).tokenizer


def logits_of(tokens: Sequence[str | Mapping[str, float]]) -> torch.Tensor:
    """`(num_frames, vocab_size)`: a frame per entry, a token that is all but sure or probabilities of several."""
    probabilities = torch.full((len(tokens), len(VOCABULARY)), 1e-6)
    for frame, entry in enumerate(tokens):
        for token, probability in ({entry: 1.0} if isinstance(entry, str) else entry).items():
            probabilities[frame, VOCABULARY[token]] = probability
    return probabilities.log()


def save_best_rq(folder: Path, feature_extractor: BestRqFeatureExtractor, **config: Any) -> Path:
    """Writes a random recogniser that hears many letters, and several words per second, in noise."""
    torch.manual_seed(0)
    model = BestRqForCTC(best_rq_config("tiny", vocab_size=len(VOCABULARY), **config)).eval()
    with torch.no_grad():
        logits = model(**feature_extractor(0.1 * torch.randn(32_000), return_tensors="pt")).logits[0]
        model.lm_head.weight.div_(logits.std(dim=0, keepdim=True).mT)
        model.lm_head.bias.copy_(-logits.mean(dim=0) / logits.std(dim=0))
        model.lm_head.bias[VOCABULARY["|"]] += 1.5
    model.save_pretrained(folder)
    make_processor(feature_extractor, VOCABULARY).save_pretrained(folder)
    return folder
