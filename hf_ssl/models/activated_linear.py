# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The second half of a feed-forward network, which keeps one wide tensor for the backward pass instead of two."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers.activations import GELUActivation

from .plain_modules import is_plain, is_run_as_written


def activated_linear(hidden_states: torch.Tensor, activation: nn.Module, linear: nn.Linear) -> torch.Tensor:
    """`linear(activation(hidden_states))`, whose backward pass computes a GELU again.

    Kept for the backward pass are otherwise the GELU's input, which its own gradient needs, and its output, which that
    of the weights needs: the two widest tensors of a transformer layer. The output costs an elementwise function to
    have again. In code that is compiled or traced, with other activations, and with modules that are not plain
    (adapters, quantized or offloaded weights, hooks), both are called as they are. There is no second derivative.

    Args:
        hidden_states: `(..., in_features)`.
        activation: Elementwise.
        linear: The layer after it.

    Returns:
        `(..., out_features)`; of autocast's type under autocast.
    """
    if not _is_recomputable(hidden_states, activation, linear):
        return linear(activation(hidden_states))
    tensors: Sequence[torch.Tensor | None] = (hidden_states, linear.weight, linear.bias)
    if torch.is_autocast_enabled(hidden_states.device.type):
        dtype = torch.get_autocast_dtype(hidden_states.device.type)
        tensors = [None if tensor is None else tensor.to(dtype) for tensor in tensors]
    return _GeluLinear.apply(*tensors)


def _is_recomputable(hidden_states: torch.Tensor, activation: nn.Module, linear: nn.Linear) -> bool:
    if not torch.is_grad_enabled() or hidden_states.is_meta or not is_run_as_written():
        return False
    return is_plain(activation, GELUActivation) and is_plain(linear, nn.Linear)


class _GeluLinear(torch.autograd.Function):
    """$y = a W^T + b$ with $a = f(x)$, $f$ the GELU. With $g$ the gradient of $y$: that of $W$ is $g^T a$, that of $b$
    the sum of $g$ over rows, that of $x$ is $f'(x) \\odot (g W)$."""

    @staticmethod
    def forward(
        ctx: Any, hidden_states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.save_for_backward(hidden_states, weight)
        with torch.autocast(hidden_states.device.type, enabled=False):
            return F.linear(F.gelu(hidden_states), weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden_states, weight = ctx.saved_tensors
        needs_input, needs_weight, needs_bias = ctx.needs_input_grad
        rows = gradients[0].reshape(-1, weight.shape[0])
        of_input = of_weight = of_bias = None
        with torch.autocast(hidden_states.device.type, enabled=False):
            if needs_weight:
                of_weight = rows.t() @ F.gelu(hidden_states).reshape(-1, weight.shape[1])
            if needs_bias:
                of_bias = rows.sum(0)
            if needs_input:
                of_input = torch.ops.aten.gelu_backward((rows @ weight).view_as(hidden_states), hidden_states)
        return of_input, of_weight, of_bias
