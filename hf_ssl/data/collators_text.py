# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Collator of pre-training on text: it pads, and owns the masks."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from ..models.modeling_data2vec2_text import draw_text_masks
from .collator_checks import check_items, check_range, integers_of, seeds_of
from .collators_pretraining import IGNORED_LABEL


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
            (0 at masked tokens, -100 elsewhere), `(batch_size, num_masks, sequence_length)`.
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
        }

    def _checked(self, tokens: Sequence[int]) -> torch.Tensor:
        input_ids = integers_of("input_ids", tokens)
        if not 0 < len(input_ids) <= self.config.max_position_embeddings:
            raise ValueError(
                f"Expected texts of 1 to {self.config.max_position_embeddings} tokens (`max_position_embeddings`), "
                f"got one of {len(input_ids)}. Pack texts into shorter blocks, and leave empty ones out."
            )
        check_range("input_ids", input_ids, self.config.vocab_size, "Does the tokenizer belong to this model?")
        return torch.tensor(input_ids, dtype=torch.long)
