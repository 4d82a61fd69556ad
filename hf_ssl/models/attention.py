# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Attention with additive biases, written out; transformers has the fused forms."""

import torch
from torch import nn
from torch.nn import functional as F

from .dropout import drop

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
    if module.training:
        probabilities = drop(probabilities, dropout)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), probabilities


def is_better_written_out(query: torch.Tensor, dropout: float) -> bool:
    """Whether attention is to be written out whatever the configuration asks for: on a CPU, with dropout, for which
    torch has no fused form (it would write attention out itself, with dearer noise), and in bfloat16 with gradients,
    where the fused form's backward takes 3 to 10 times as long (`training_scripts/benchmarks/RESULTS.md`)."""
    if query.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return dropout > 0 or (query.requires_grad and query.dtype == torch.bfloat16)
