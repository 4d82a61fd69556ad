# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The layer of waveform encoders: strided convolution, layer norm over channels, GELU; channels last.

On a CPU, where copies between layouts and passes over large tensors cost more than the products, the three run block
by block of frames, so that a block is still in the cache when the next operation reads it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from .layer_norm import LayerNorm, layer_norm_backward
from .plain_modules import is_plain

# Elements of a block's output: what the cache next to a core holds beside the inputs and the weight.
BLOCK_ELEMENTS = 2**19


def convolve_and_normalize(
    features: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    norm_weight: torch.Tensor,
    norm_bias: torch.Tensor,
    *,
    stride: int,
    eps: float,
) -> torch.Tensor:
    """Strided convolution without padding, layer norm over channels, GELU.

    Args:
        features: `(batch_size, num_steps, in_channels)`.
        weight: `(out_channels, in_channels, kernel_size)`, as in `torch.nn.Conv1d`.
        bias: `(out_channels,)`, or `None`.
        norm_weight, norm_bias: `(out_channels,)`.
        stride: Of the convolution, not above `kernel_size`.
        eps: Of the layer norm.

    Returns:
        `(batch_size, num_frames, out_channels)`, `num_frames = (num_steps - kernel_size) // stride + 1`.
    """
    if features.device.type == "cpu" and not torch.compiler.is_compiling():
        return _BlockedLayer.apply(features, weight, bias, norm_weight, norm_bias, stride, eps)
    frames = F.conv1d(features.transpose(1, 2), weight, bias, stride=stride).transpose(1, 2)
    return F.gelu(F.layer_norm(frames, frames.shape[-1:], norm_weight, norm_bias, eps))


def apply_layer(conv: nn.Conv1d, layer_norm: nn.LayerNorm, hidden_states: torch.Tensor) -> torch.Tensor:
    """[`convolve_and_normalize`] with the weights of modules; these are called where they are not plain (adapters,
    offloaded weights, hooks).

    Args:
        conv, layer_norm: Of the layer.
        hidden_states: `(batch_size, in_channels, num_steps)`.

    Returns:
        `(batch_size, out_channels, num_frames)`, whose channels lie side by side in memory.
    """
    if not (is_plain(conv, nn.Conv1d) and is_plain(layer_norm, LayerNorm)):
        return F.gelu(layer_norm(conv(hidden_states).transpose(1, 2))).transpose(1, 2)
    return convolve_and_normalize(
        hidden_states.transpose(1, 2),
        conv.weight,
        conv.bias,
        layer_norm.weight,
        layer_norm.bias,
        stride=conv.stride[0],
        eps=layer_norm.eps,
    ).transpose(1, 2)


class _BlockedLayer(torch.autograd.Function):
    r"""Block by block: one product for the convolution, layer norm, GELU.

    With stride $s$, input $x_u$ and taps $W_j$, $j = 0 \dots k - 1$:

    $$ y_t = b + \sum_j W_j x_{ts + j}, \quad z_t = \mathrm{LN}(y_t), \quad h_t = \mathrm{GELU}(z_t) $$

    Backward, from $\bar h_t$:

    $$ \bar z_t = \mathrm{GELU}'(z_t) \bar h_t, \quad \bar y_t = \mathrm{LN}'(\bar z_t), \quad
       \bar W_j = \sum_t \bar y_t x_{ts+j}^\top, \quad \bar b = \sum_t \bar y_t, \quad
       \bar x_{ts+j} \mathrel{+}= W_j^\top \bar y_t $$

    $y$ is kept, $z$ is computed again. Gradients of weights are summed over blocks in float32 at least, also where the
    weights are in lower precision.
    """

    @staticmethod
    def forward(ctx: Any, features, weight, bias, norm_weight, norm_bias, stride: int, eps: float) -> torch.Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight.dtype
        features = features.to(dtype).contiguous()
        kernel = _Kernel.of(weight, stride, dtype)
        num_frames = (features.shape[1] - kernel.size) // stride + 1
        convolved = features.new_empty(features.shape[0], num_frames, weight.shape[0])
        activated = torch.empty_like(convolved)
        offset = convolved.new_zeros(weight.shape[0]) if bias is None else bias.to(dtype)
        with torch.autocast("cpu", enabled=False):
            for block in _blocks(convolved):
                torch.addmm(offset, kernel.join_taps(features, block), kernel.matrix, out=convolved[block])
                normalized, _, _ = torch.native_layer_norm(
                    convolved[block], norm_weight.shape, norm_weight, norm_bias, eps
                )
                torch.ops.aten.gelu.out(normalized, out=activated[block])
        ctx.save_for_backward(features, convolved, weight, norm_weight, norm_bias)
        ctx.stride, ctx.eps = stride, eps
        return activated

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        features, convolved, weight, norm_weight, norm_bias = ctx.saved_tensors
        wants_features, wants_weight, wants_bias, *wants_norms, _, _ = ctx.needs_input_grad
        wants_norm = any(wants_norms)
        kernel = _Kernel.of(weight, ctx.stride, features.dtype)
        feature_gradient = torch.zeros_like(features) if wants_features else None
        wide = torch.promote_types(weight.dtype, torch.float32)
        weight_gradient = torch.zeros_like(kernel.matrix, dtype=wide)
        bias_gradient = torch.zeros_like(norm_bias, dtype=wide)
        norm_gradients = [torch.zeros_like(norm_weight, dtype=wide), torch.zeros_like(norm_bias, dtype=wide)]
        for block in _blocks(convolved):
            normalized, mean, scale = torch.native_layer_norm(
                convolved[block], norm_weight.shape, norm_weight, norm_bias, ctx.eps
            )
            gradient, *norm_parts = layer_norm_backward(
                torch.ops.aten.gelu_backward(gradients[0][block], normalized),
                convolved[block],
                mean,
                scale,
                norm_weight.to(wide),
                norm_bias.to(wide),
                [True, wants_norm, wants_norm],
            )
            assert gradient is not None
            for total, part in zip(norm_gradients, norm_parts, strict=True):
                if part is not None:
                    total += part
            if wants_bias:
                bias_gradient += gradient.sum(0, dtype=bias_gradient.dtype)
            if wants_weight:
                for total, taps in zip(kernel.split(weight_gradient), kernel.views(features, block), strict=True):
                    _add_product(total, taps.T, gradient)
            if feature_gradient is not None:
                for taps, matrix in zip(
                    kernel.views(feature_gradient, block), kernel.split(kernel.matrix), strict=True
                ):
                    taps.addmm_(gradient, matrix.T)
        return (
            feature_gradient,
            weight_gradient.unflatten(0, (kernel.size, -1)).permute(2, 1, 0).to(weight.dtype)
            if wants_weight
            else None,
            bias_gradient.to(weight.dtype) if wants_bias else None,
            *(gradient.to(norm_weight.dtype) if wants_norm else None for gradient in norm_gradients),
            None,
            None,
        )


class _Kernel(NamedTuple):
    """A convolution's weight as a matrix, `(size * in_channels, out_channels)`, tap by tap.

    `stride` successive taps of a frame lie side by side in memory, and those of the next frame `stride` steps further
    on: a matrix without a copy. There are as many of these as it takes to hold all taps.
    """

    matrix: torch.Tensor
    size: int
    stride: int

    @classmethod
    def of(cls, weight: torch.Tensor, stride: int, dtype: torch.dtype) -> "_Kernel":
        matrix = weight.detach().to(dtype).permute(2, 1, 0).reshape(-1, weight.shape[0])
        return cls(matrix, weight.shape[2], stride)

    def split(self, matrix: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The rows of a matrix like `self.matrix` that belong to each of the views."""
        return matrix.split(len(matrix) // self.size * self.stride)

    def views(self, features: torch.Tensor, block: tuple[int, slice]) -> Iterator[torch.Tensor]:
        """Views of `features`, `(batch_size, num_steps, in_channels)` and contiguous: `(num_frames, num_taps *
        in_channels)`, the taps that the block's frames see."""
        item, frames = block
        _, num_steps, channels = features.shape
        for index, matrix in enumerate(self.split(self.matrix)):
            first_step = item * num_steps + (frames.start + index) * self.stride
            shape = (frames.stop - frames.start, len(matrix))
            offset = features.storage_offset() + first_step * channels
            yield features.as_strided(shape, (self.stride * channels, 1), offset)

    def join_taps(self, features: torch.Tensor, block: tuple[int, slice]) -> torch.Tensor:
        """All taps that the block's frames see, `(num_frames, size * in_channels)`, for a product that rounds once."""
        views = list(self.views(features, block))
        return views[0] if len(views) == 1 else torch.cat(views, dim=1)


def _blocks(frames: torch.Tensor) -> Iterator[tuple[int, slice]]:
    """Cuts `(batch_size, num_frames, channels)` into pieces of one item and about `BLOCK_ELEMENTS`."""
    batch_size, num_frames, channels = frames.shape
    length = max(1, BLOCK_ELEMENTS // channels)
    for item in range(batch_size):
        for start in range(0, num_frames, length):
            yield item, slice(start, min(start + length, num_frames))


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """`total += left @ right`, in the precision of `total`."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
