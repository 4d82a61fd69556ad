# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The second half of a feed-forward network, which keeps one wide tensor for the backward pass instead of two."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .plain_modules import has_hooks, is_plain

Activation = Callable[[torch.Tensor], torch.Tensor]


def activated_linear(hidden_states: torch.Tensor, activation: Activation, linear: nn.Linear) -> torch.Tensor:
    """`linear(activation(hidden_states))`, whose backward pass computes the activation again.

    Kept for the backward pass are otherwise the activation's input, which its own gradient needs, and its output,
    which that of the weights needs: the two widest tensors of a transformer layer. The output costs an elementwise
    function to have again. In code that is compiled or traced, and with modules that are not plain (adapters,
    quantized or offloaded weights, hooks, activations with weights), both are called as they are. There is no second
    derivative.

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
    return _ActivatedLinear.apply(*tensors, activation)


def _is_recomputable(hidden_states: torch.Tensor, activation: Activation, linear: nn.Linear) -> bool:
    if not torch.is_grad_enabled() or hidden_states.is_meta or not is_plain(linear, nn.Linear):
        return False
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active():
        return False
    return not isinstance(activation, nn.Module) or not (has_hooks(activation) or list(activation.parameters()))


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
