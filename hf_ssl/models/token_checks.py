# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checks of what models of text are given."""

from collections.abc import Mapping
from typing import Any

import torch

from .input_checks import can_ask, check_attention_mask, is_integer


def check_token_shapes(
    inputs: torch.Tensor, num_dims: int, attention_mask: torch.Tensor | None, max_positions: int
) -> None:
    """Checks shapes and types, which cost nothing.

    Args:
        inputs: Token ids, or token embeddings.
        num_dims: Dimensions of the input besides that of embeddings.
        attention_mask: `(batch_size, sequence_length)`, *optional*.
        max_positions: Tokens of the longest text that the model reads.

    Raises:
        ValueError: They do not fit.
    """
    if num_dims != 2 or 0 in inputs.shape[:2]:
        raise ValueError(
            "Token ids must have shape (batch_size, sequence_length) with at least one token, and embeddings one "
            f"dimension more, but the input has shape {tuple(inputs.shape)}."
        )
    if inputs.shape[1] > max_positions:
        raise ValueError(
            f"A text of {inputs.shape[1]} tokens is longer than the {max_positions} that the model has positions for. "
            f"Cut it: `tokenizer(..., truncation=True, max_length={max_positions})`."
        )
    if attention_mask is not None:
        check_attention_mask(attention_mask, tuple(inputs.shape[:2]), "input_ids")


def check_no_position_ids(further_inputs: Mapping[str, Any]) -> None:
    """
    Raises:
        ValueError: Positions were given to a model that counts them itself.
    """
    if further_inputs.get("position_ids") is not None:
        raise ValueError(
            "`position_ids` are not taken: positions are counted over the tokens of a row that are not padding. Give "
            "every text a row of its own."
        )


def check_token_ids(input_ids: torch.Tensor, vocab_size: int) -> None:
    """Checks types and, on a CPU only, the values.

    Raises:
        ValueError: These are no ids of tokens of the model.
    """
    if not is_integer(input_ids):
        raise ValueError(
            f"Token ids must be integers, but are {input_ids.dtype}. Token embeddings go to `inputs_embeds`, where "
            "the model takes them."
        )
    if not can_ask(input_ids):
        return
    smallest, largest = (int(bound) for bound in input_ids.aminmax())
    if smallest < 0 or largest >= vocab_size:
        raise ValueError(
            f"Token ids must be from 0 to `config.vocab_size` - 1 = {vocab_size - 1}, but there are ids from "
            f"{smallest} to {largest}. Does the tokenizer belong to this model? After adding tokens call "
            "`model.resize_token_embeddings(len(tokenizer))`."
        )


def check_texts(attention_mask: torch.Tensor) -> None:
    """Checks the values of a mask; asks the device once.

    Args:
        attention_mask: `(batch_size, sequence_length)`, 1 at real tokens, wherever these are.

    Raises:
        ValueError: There are other numbers than 0 and 1, or a row has no real token.
    """
    is_real = attention_mask == 1
    is_mask = (is_real | (attention_mask == 0)).all()
    has_tokens, is_mask = torch.stack([is_real.any(dim=-1).all(), is_mask]).tolist()
    if not is_mask:
        raise ValueError("`attention_mask` must be 1 at real tokens and 0 at padding, but has other numbers.")
    if not has_tokens:
        raise ValueError("A text of the batch has no tokens: nothing but padding. Leave empty texts out.")
