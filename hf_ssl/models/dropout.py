# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Dropout whose noise is cheap on a CPU, and of whole layers."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, with [`drop`] for what it does in training."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Any shape; the same comes out."""
        return drop(hidden_states, self.p) if self.training else hidden_states


def drop(hidden_states: torch.Tensor, p: float) -> torch.Tensor:
    """Sets each element to zero with probability `p`, and divides the others by `1 - p`.

    On a CPU, torch's own draws a number per element, one after the other, and multiplies by a bool, which is not
    vectorised; here see [`draw_kept`] and [`keep_`]. On other devices torch's own function is taken.

    Args:
        hidden_states: Of any shape.
        p: From 0 to 1.
    """
    if hidden_states.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(hidden_states, p)
    if p == 0:
        return hidden_states
    return _Keep.apply(hidden_states, draw_kept(hidden_states.shape, p), 1 / (1 - p) if p < 1 else 0.0)


def draw_kept(shape: torch.Size, p: float) -> torch.Tensor:
    """Which elements stay: int8, all bits set with probability `1 - p`, none otherwise.

    Four elements share a random number of 64 bits, so that `p` is rounded to a multiple of `2**-15`.
    """
    count = shape.numel()
    numbers = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    if p == 1:
        return torch.zeros(shape, dtype=torch.int8)
    numbers.bitwise_and_(2**15 - 1).neg_().add_(round(p * 2**15) - 1)  # below 0 where the element stays
    return numbers.__irshift__(15).to(torch.int8).view(shape)


def keep_(hidden_states: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Sets elements that do not stay to zero, in place.

    Args:
        hidden_states: Any shape, any floating-point type.
        kept: The same shape; from [`draw_kept`].
    """
    integers = _INTEGERS[hidden_states.element_size()]
    hidden_states.view(integers).bitwise_and_(kept.to(integers))
    return hidden_states


class _Keep(torch.autograd.Function):
    """$y_i = c m_i x_i$ with $m_i \\in \\{0, 1\\}$, and the same for the gradient, and for the gradient's."""

    @staticmethod
    def forward(ctx: Any, hidden_states: torch.Tensor, kept: torch.Tensor, scale: float) -> torch.Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return keep_(hidden_states * scale, kept)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return _Keep.apply(gradients[0], kept, ctx.scale), None, None


def with_layerdrop(forward: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """LayerDrop (Fan et al., 2020) for the `forward` of a layer: in training, what it is given comes back with the
    probability `self.layerdrop`.

    Inside the layer, so that whoever records hidden states sees every layer.

    A graph has no branches, and processes that share a layer's weights must all compute it or none, though each draws
    for itself. There a dropped layer is computed and then not taken: it costs the time of any other, and its weights
    have gradients of zero instead of none, so that weight decay and the optimizer's averages go on.
    """

    @wraps(forward)
    def forward_or_skip(self: Any, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if not self.training or self.layerdrop == 0:
            return forward(self, hidden_states, *args, **kwargs)
        if torch.compiler.is_compiling() or _is_sharded(self):
            is_dropped = torch.rand([], device=hidden_states.device) < self.layerdrop
            return torch.where(is_dropped, hidden_states, forward(self, hidden_states, *args, **kwargs))
        return hidden_states if torch.rand([]) < self.layerdrop else forward(self, hidden_states, *args, **kwargs)

    return forward_or_skip


def _is_sharded(layer: nn.Module) -> bool:
    """Whether other processes hold parts of the layer's weights: FSDP2, or DeepSpeed's ZeRO-3."""
    if any(kind.__name__ == "FSDPModule" for kind in type(layer).__mro__):
        return True
    return hasattr(next(layer.parameters(), None), "ds_id")
