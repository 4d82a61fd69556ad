# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Floating-point operations by formula, where torch's own counter knows none or a wrong one."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import conv_flop_count, sdpa_flop_count

Shape = Sequence[int]


def _attention(query: Shape, key: Shape, value: Shape, *args: Any, **kwargs: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(gradient: Shape, query: Shape, key: Shape, value: Shape, *args: Any, **kwargs: Any) -> int:
    """Twice the forward pass: two gradients for each of two products. torch's formula has the scores, which fused
    attention computes again instead of keeping them, as a fifth."""
    return 2 * sdpa_flop_count(query, key, value)


def _product(total: Shape, left: Shape, right: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * left[0] * left[1] * right[1]


def _convolution_backward(
    gradient: Shape,
    inputs: Shape,
    weight: Shape,
    bias_sizes: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: Sequence[bool],
    **kwargs: Any,
) -> int:
    """The gradient of the inputs and that of the weight each take what the forward pass takes, groups or not: the
    weight's shape has the inputs of one group. torch's formula counts the weight's as if there were no groups."""
    forward = conv_flop_count(list(inputs), list(weight), list(gradient), transposed=transposed)
    return (bool(output_mask[0]) + bool(output_mask[1])) * forward


OPERATIONS: dict[Any, Callable[..., int]] = {
    torch.ops.aten.addmm_: _product,
    torch.ops.aten.convolution_backward: _convolution_backward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    torch.ops.aten._scaled_dot_product_efficient_attention_backward: _attention_backward,
    torch.ops.aten._scaled_dot_product_flash_attention_backward: _attention_backward,
    torch.ops.aten._scaled_dot_product_cudnn_attention_backward: _attention_backward,
}
