# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Layer norm whose gradients are summed in float32 on CPUs, too."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .plain_modules import are_plain, is_run_as_written

LOW_PRECISION = (torch.bfloat16, torch.float16)
# Elements that are put into float32 at a time, so that they stay in the cache.
WIDE_ELEMENTS = 2**17


class LayerNorm(nn.LayerNorm):
    """`torch.nn.LayerNorm`, whose weight and bias get the gradients of a sum in float32.

    On GPUs autocast runs layer norms in float32. On CPUs it leaves them in the type of their input, and torch's
    backward pass adds up their gradients, over all frames of a batch, in that type: bfloat16 has eight bits. In a step
    of data2vec 2.0 base with 1,280 frames these gradients were up to 28 % away from float32's; they are .6 % away if
    frames are put into float32, block by block (`training_scripts/benchmarks/same_losses.py`). Output and gradient of
    the input are torch's up to rounding.

    In code that is compiled or traced, and with distributed or quantized tensors, this is torch's layer norm. In low
    precision on a CPU there is no second derivative, and no derivative in forward mode.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self._would_sum_in_low_precision(input):
            return _LayerNorm.apply(input, self.weight, self.bias, self.eps)
        return super().forward(input)

    def _would_sum_in_low_precision(self, input: torch.Tensor) -> bool:
        if input.device.type != "cpu" or input.dtype not in LOW_PRECISION or not torch.is_grad_enabled():
            return False
        if not is_run_as_written():
            return False
        trained = [weight for weight in (self.weight, self.bias) if weight is not None and weight.requires_grad]
        return bool(trained) and are_plain(input, self.weight, self.bias)


def sum_gradients_in_float32(module: nn.Module) -> None:
    """Makes all layer norms of torch in a model of transformers those above; their weights stay theirs."""
    for layer_norm in module.modules():
        if type(layer_norm) is nn.LayerNorm:
            layer_norm.__class__ = LayerNorm


class _LayerNorm(torch.autograd.Function):
    """$y = w \\odot \\hat{x} + b$ with $\\hat{x}$ the normalised rows. With $g$ the gradient of $y$: that of $w$ is
    the sum of $g \\odot \\hat{x}$ over rows, that of $b$ the sum of $g$."""

    @staticmethod
    def forward(
        ctx: Any, hidden_states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, eps: float
    ) -> torch.Tensor:
        # with weights in float32 the statistics are so, too
        normalized, mean, scale = torch.native_layer_norm(
            hidden_states, weight.shape, weight.float(), None if bias is None else bias.float(), eps
        )
        ctx.save_for_backward(hidden_states, weight, bias, mean, scale)
        return normalized

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden_states, weight, bias, mean, scale = ctx.saved_tensors
        wants = ctx.needs_input_grad[:3]
        return *layer_norm_backward(gradients[0], hidden_states, mean, scale, weight, bias, wants), None


def layer_norm_backward(
    gradient: torch.Tensor,
    hidden_states: torch.Tensor,
    mean: torch.Tensor,
    scale: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    wants: Sequence[bool],
) -> tuple[torch.Tensor | None, ...]:
    """Gradients of a layer norm's input, weight and bias; in low precision block by block in float32.

    Args:
        gradient: Of the output.
        hidden_states: The input, `(..., *weight.shape)`.
        mean, scale: What `torch.native_layer_norm` gave beside the output.
        weight, bias: Of the layer norm.
        wants: Which of the three are asked for; the others are `None`.
    """
    if hidden_states.dtype not in LOW_PRECISION:
        return torch.ops.aten.native_layer_norm_backward(
            gradient, hidden_states, weight.shape, mean, scale, weight, bias, wants
        )
    size, length = weight.numel(), max(1, WIDE_ELEMENTS // weight.numel())
    rows, row_gradients = hidden_states.reshape(-1, size), gradient.reshape(-1, size)
    means, scales = mean.reshape(-1, 1).float(), scale.reshape(-1, 1).float()
    wide_weight, wide_bias = (None if part is None else part.detach().flatten().float() for part in (weight, bias))
    of_input = torch.empty_like(rows) if wants[0] else None
    sums = torch.zeros(2, size)
    for start in range(0, len(rows), length):
        block = slice(start, start + length)
        of_block, *parts = torch.ops.aten.native_layer_norm_backward(
            row_gradients[block].float(), rows[block].float(), [size], means[block], scales[block],
            wide_weight, wide_bias, wants,
        )  # fmt: skip
        if of_input is not None:
            of_input[block] = of_block
        for total, part, is_wanted in zip(sums, parts, wants[1:], strict=True):
            if is_wanted:
                total += part
    return (
        None if of_input is None else of_input.view_as(hidden_states),
        sums[0].view_as(weight).to(weight.dtype) if wants[1] else None,
        sums[1].view_as(bias).to(bias.dtype) if wants[2] and bias is not None else None,
    )
