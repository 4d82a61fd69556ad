# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tokenizers for pre-training on text: loaded, or trained on the text itself."""

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import RobertaTokenizer

# In fairseq's order; RoBERTa has <mask> at the end, which makes no difference to a new vocabulary.
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
NUM_BYTES = 256


def train_tokenizer(texts: Iterable[str], *, vocab_size: int, model_max_length: int) -> RobertaTokenizer:
    """Byte-level byte-pair encoding, as of GPT-2 and RoBERTa, learned from texts.

    Args:
        texts: What to learn from.
        vocab_size: Tokens, the 5 special ones and the 256 bytes included. There are fewer if the texts are too few.
        model_max_length: Longest text of the model.

    Raises:
        ValueError: `vocab_size` is too small for the bytes, or there is no text.
    """
    smallest = NUM_BYTES + len(SPECIAL_TOKENS)
    if vocab_size < smallest:
        raise ValueError(f"A byte-level vocabulary has at least {smallest} tokens, got vocab_size={vocab_size}.")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    if not learned["merges"] and vocab_size > smallest:
        raise ValueError("The texts have nothing to learn tokens from: they are empty, or have no repeated pairs.")
    merges: Any = [tuple(pair) for pair in learned["merges"]]  # its annotation knows lines only, but it takes pairs
    return RobertaTokenizer(vocab=learned["vocab"], merges=merges, model_max_length=model_max_length)
