# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Collators of pre-training on text: they pad, and own the masks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from ..models.configuration_data2vec_pretraining import Data2VecTextPreTrainingConfig, longest_text
from ..models.masking import draw_token_spans, row_positions
from ..models.modeling_data2vec2_text import draw_text_masks
from .collator_checks import check_items, check_range, integers_of, seeds_of
from .collators_pretraining import IGNORED_LABEL, predicted_positions, visible_mask


class DataCollatorForData2Vec2Text:
    """Makes a batch for [`Data2Vec2TextForPreTraining`] out of token ids.

    Masks are drawn here for the reasons that [`DataCollatorForData2Vec2Audio`] gives; only with `config.mask_padding`
    they depend on the batch, by its length.

    Args:
        config: The model's configuration, for masks, padding and the longest text.
    """

    def __init__(self, config: Data2Vec2TextConfig):
        self.config = config

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """
        Args:
            features: Items with `input_ids`, token ids of one text, and `seed`, an int that determines its masks.

        Returns:
            `input_ids` and `attention_mask`, `(batch_size, sequence_length)`; `mask_time_indices` (bool) and `labels`
            (0 at masked tokens, -100 elsewhere), `(batch_size, num_masks, sequence_length)`; `visible_positions` and
            `predicted_positions`, `(batch_size, num_masks, any number)`, where the masks are false and true.
        """
        check_items(features, "input_ids")
        texts, seeds = [self._checked(feature["input_ids"]) for feature in features], seeds_of(features)
        input_ids = pad_sequence(texts, batch_first=True, padding_value=self.config.pad_token_id)
        length = input_ids.shape[1]
        lengths = torch.tensor([len(text) for text in texts])
        masks = torch.zeros(len(texts), self.config.num_masks, length, dtype=torch.bool)
        for row, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)
            num_tokens = length if self.config.mask_padding else len(texts[row])
            masks[row, :, :num_tokens] = draw_text_masks(self.config, num_tokens, generator)
        return {
            "input_ids": input_ids,
            "attention_mask": (torch.arange(length) < lengths.unsqueeze(1)).long(),
            "mask_time_indices": masks,
            "labels": torch.where(masks, 0, IGNORED_LABEL),
            "visible_positions": row_positions(visible_mask(masks, lengths.tolist(), self.config.convolve_padding)),
            "predicted_positions": row_positions(masks),
        }

    def _checked(self, tokens: Sequence[int]) -> torch.Tensor:
        return _checked_text(tokens, self.config.max_position_embeddings, self.config.vocab_size)


class DataCollatorForData2VecText:
    """Makes a batch for [`Data2VecTextForPreTraining`] out of token ids: spans of tokens become the mask token.

    Masks are drawn here for the reasons that [`DataCollatorForData2Vec2Audio`] gives, and because the model does not
    know the mask token.

    Args:
        config: The model's configuration, for masks, padding and the longest text.
        mask_token_id: The tokenizer's `<mask>`.

    Raises:
        ValueError: `mask_token_id` is none of the model's.
    """

    def __init__(self, config: Data2VecTextPreTrainingConfig, mask_token_id: int | None):
        if mask_token_id is None or not 0 <= mask_token_id < config.vocab_size:
            raise ValueError(
                f"Expected a mask token from 0 to {config.vocab_size - 1}, got {mask_token_id}. The tokenizer must "
                "have one (`tokenizer.mask_token_id`), as RoBERTa's has."
            )
        self.config = config
        self.mask_token_id = mask_token_id

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """
        Args:
            features: Items with `input_ids`, token ids of one text, and `seed`, an int that determines its mask.

        Returns:
            `input_ids`, with the mask token at masked tokens, `attention_mask` and `labels` (the token that was there
            at masked tokens, -100 elsewhere), all `(batch_size, sequence_length)`; `predicted_positions`,
            `(batch_size, max_predicted)`, where tokens are masked: eighths of the length, so that blocks of text,
            which have one length, have few shapes.
        """
        check_items(features, "input_ids")
        texts, seeds = [self._checked(feature["input_ids"]) for feature in features], seeds_of(features)
        masks = [self._draw_mask(len(text), seed) for text, seed in zip(texts, seeds, strict=True)]
        padding: Any = self.config.pad_token_id
        tokens = pad_sequence(texts, batch_first=True, padding_value=padding)
        masked = pad_sequence(masks, batch_first=True)
        lengths = torch.tensor([len(text) for text in texts])
        return {
            "input_ids": tokens.masked_fill(masked, self.mask_token_id),
            "attention_mask": (torch.arange(tokens.shape[1]) < lengths.unsqueeze(1)).long(),
            "labels": tokens.masked_fill(~masked, IGNORED_LABEL),
            "predicted_positions": predicted_positions(masked, is_rounded=True),
        }

    def _draw_mask(self, num_tokens: int, seed: int) -> torch.Tensor:
        return draw_token_spans(
            num_tokens,
            mask_prob=self.config.mask_prob,
            mask_length=self.config.mask_length,
            generator=np.random.default_rng(seed),
        )

    def _checked(self, tokens: Sequence[int]) -> torch.Tensor:
        text = _checked_text(tokens, longest_text(self.config), self.config.vocab_size)
        if (text == self.mask_token_id).any():
            raise ValueError(
                f"A text has the mask token, {self.mask_token_id}, which is for masks alone. Expected plain text."
            )
        return text


def _checked_text(tokens: Sequence[int], longest: int, vocab_size: int) -> torch.Tensor:
    input_ids = integers_of("input_ids", tokens)
    if not 0 < len(input_ids) <= longest:
        raise ValueError(
            f"Expected texts of 1 to {longest} tokens (`max_position_embeddings`), "
            f"got one of {len(input_ids)}. Pack texts into shorter blocks, and leave empty ones out."
        )
    check_range("input_ids", input_ids, vocab_size, "Does the tokenizer belong to this model?")
    return torch.tensor(input_ids, dtype=torch.long)
