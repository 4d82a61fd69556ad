# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Attention with additive biases: in blocks on a CPU, by transformers' fused functions elsewhere, or written out."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .blocked_attention import ScoreBias, attend_in_blocks
from .dropout import drop

# Score of keys that are not real: its exponential is 0 beside any real key (in blocks e**-60), and it stays finite
# where autocast makes float16 or bfloat16 of it. Float32's lowest would become minus infinity, and NaN where a
# sequence has no real key.
MASKED_SCORE = -3e4

# Fewer scores than this stay in the cache anyway.
_MANY_SCORES = 2**22


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bias: ScoreBias,
    *,
    config: PreTrainedConfig,
    scaling: float,
    dropout: float,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attention as the configuration asks for it; on a CPU `"sdpa"` leaves the choice of the fastest to us.

    Args:
        module: The layer that attends; its mode says whether there is dropout.
        query: `(batch_size, num_heads, num_queries, head_size)`.
        key, value: `(batch_size, num_heads, num_keys, head_size)`.
        bias: Added to scores.
        config: The model's.
        scaling: Of the products of queries and keys.
        dropout: Of the weights, in training.

    Returns:
        `(batch_size, num_queries, num_heads, head_size)`, and the weights if the implementation gives them.
    """
    dropout = dropout if module.training else 0.0
    implementation: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
        config._attn_implementation, eager_attention_forward
    )
    if chooses_attention(config, query) and _is_fused_badly(query, bias, dropout):
        if query[:, :, :, 0].numel() * key.shape[2] >= _MANY_SCORES:
            return attend_in_blocks(query, key, value, bias, scaling=scaling, dropout=dropout), None
        implementation = eager_attention_forward
    # The bias is passed as `position_bias`: flex attention would apply a mask's first head to all heads.
    return implementation(
        module, query, key, value, None, dropout=dropout, scaling=scaling, position_bias=bias.dense(), **kwargs
    )


def mask_scores(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What to add to scores: a very low score where `visible` is not `True`. Any shape; the same comes out."""
    return torch.zeros_like(visible, dtype=dtype).masked_fill(~visible, MASKED_SCORE)


def chooses_attention(config: PreTrainedConfig, tensor: torch.Tensor) -> bool:
    """Whether [`attend`] chooses what is fastest: on a CPU, unless the configuration asks for a certain one."""
    return tensor.device.type == "cpu" and config._attn_implementation == "sdpa" and not torch.compiler.is_compiling()


def _is_fused_badly(query: torch.Tensor, bias: ScoreBias, dropout: float) -> bool:
    """torch has no fused attention for CPUs with dropout or a bias that has a gradient, and in 16 bits a backward pass
    that takes 3 to 10 times as long as attention written out (`training_scripts/benchmarks/RESULTS.md`)."""
    return dropout > 0 or (query.requires_grad and (query.element_size() == 2 or not bias.is_empty))


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    position_bias: torch.Tensor | None = None,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention written out. `query`, `key`, `value`: `(batch_size, num_heads, sequence_length, head_size)`."""
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if position_bias is not None:
        scores = scores + position_bias
    probabilities = F.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    if module.training:
        probabilities = drop(probabilities, dropout)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), probabilities
