# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Attention with additive biases, written out; transformers has the fused forms."""

import torch
from torch import nn
from torch.nn import functional as F

# Score of keys that are not real: its exponential is 0 beside any real key, and it stays finite where autocast makes
# float16 or bfloat16 of it. Float32's lowest would become minus infinity, and NaN where a sequence has no real key.
MASKED_SCORE = -3e4


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
    probabilities = F.dropout(probabilities, p=dropout, training=module.training)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), probabilities
