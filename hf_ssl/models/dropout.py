# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Dropout whose noise is cheap on a CPU."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, with [`drop`] for what it does in training."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Any shape; the same comes out."""
        return drop(hidden_states, self.p) if self.training else hidden_states


def drop(hidden_states: torch.Tensor, p: float) -> torch.Tensor:
    """Sets each element to zero with probability `p`, and divides the others by `1 - p`.

    On a CPU, torch's own draws a number per element, one after the other, and keeps the mask in the elements'
    precision; here an element costs 16 bits, so that `p` is rounded to a multiple of `2**-16`, and its mask a byte. On
    other devices torch's own function is taken.

    Args:
        hidden_states: Of any shape.
        p: From 0 to 1.
    """
    if hidden_states.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(hidden_states, p)
    return hidden_states if p == 0 else _Dropout.apply(hidden_states, p)


class _Dropout(torch.autograd.Function):
    """$y_i = m_i x_i / (1 - p)$ with $m_i \\in \\{0, 1\\}$, and the same for the gradient."""

    @staticmethod
    def forward(ctx: Any, hidden_states: torch.Tensor, p: float) -> torch.Tensor:
        mask = _draw_mask(hidden_states.shape, p)
        ctx.save_for_backward(mask)
        ctx.scale = 1 / (1 - p) if p < 1 else 0.0
        return torch.ops.aten.native_dropout_backward(hidden_states, mask, ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (mask,) = ctx.saved_tensors
        return torch.ops.aten.native_dropout_backward(gradients[0], mask, ctx.scale), None


def _draw_mask(shape: torch.Size, p: float) -> torch.Tensor:
    """Bool, `True` with probability `1 - p`; drawn from torch's generator, four elements at a time."""
    count = shape.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    dropped = round(p * 2**16)
    if dropped == 2**16:
        return torch.zeros(shape, dtype=torch.bool)
    return (bits.view(torch.int16)[:count] >= dropped - 2**15).view(shape)
