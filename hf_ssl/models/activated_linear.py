# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The second half of a feed-forward network, which keeps one wide tensor for the backward pass instead of two."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

Activation = Callable[[torch.Tensor], torch.Tensor]


def activated_linear(hidden_states: torch.Tensor, activation: Activation, linear: nn.Linear) -> torch.Tensor:
    """`linear(activation(hidden_states))`, whose backward pass computes the activation again.

    Kept for the backward pass are the activation's input, which its own gradient needs, and its output, which that of
    the weights needs: the two widest tensors of a transformer layer. The output costs an elementwise function to have
    again. In compiled code the compiler chooses what to keep; a `linear` that is not plain (adapters, quantized
    weights, hooks) is called as it is.

    Args:
        hidden_states: `(..., in_features)`.
        activation: Elementwise, without parameters.
        linear: The layer after it.

    Returns:
        `(..., out_features)`; of autocast's type under autocast.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling() or not _is_plain(linear):
        return linear(activation(hidden_states))
    tensors: Sequence[torch.Tensor | None] = (hidden_states, linear.weight, linear.bias)
    if torch.is_autocast_enabled(hidden_states.device.type):
        dtype = torch.get_autocast_dtype(hidden_states.device.type)
        tensors = [None if tensor is None else tensor.to(dtype) for tensor in tensors]
    return _ActivatedLinear.apply(*tensors, activation)


def _is_plain(linear: nn.Linear) -> bool:
    hooks = (linear._forward_hooks, linear._forward_pre_hooks, linear._backward_hooks, linear._backward_pre_hooks)
    return type(linear) is nn.Linear and not any(hooks)


class _ActivatedLinear(torch.autograd.Function):
    """$y = a W^T + b$ with $a = f(x)$. With $g$ the gradient of $y$: that of $W$ is $g^T a$, that of $b$ the sum of
    $g$ over rows, that of $x$ is $f'(x) \\odot (g W)$."""

    @staticmethod
    def forward(
        ctx: Any, hidden_states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, activation: Activation
    ) -> torch.Tensor:
        ctx.save_for_backward(hidden_states, weight)
        ctx.activation = activation
        with torch.autocast(hidden_states.device.type, enabled=False):
            return F.linear(activation(hidden_states), weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden_states, weight = ctx.saved_tensors
        needs_input, needs_weight, needs_bias, _ = ctx.needs_input_grad
        rows = gradients[0].reshape(-1, weight.shape[0])
        of_input = of_weight = of_bias = None
        with torch.autocast(hidden_states.device.type, enabled=False):
            with torch.enable_grad():
                inputs = hidden_states.detach().requires_grad_()
                activated = ctx.activation(inputs)
            if needs_weight:
                of_weight = rows.t() @ activated.detach().reshape(-1, weight.shape[1])
            if needs_bias:
                of_bias = rows.sum(0)
            if needs_input:
                (of_input,) = torch.autograd.grad(activated, inputs, (rows @ weight).view_as(inputs))
        return of_input, of_weight, of_bias, None
