# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from hf_ssl.models import strided_convolution
from hf_ssl.models.strided_convolution import convolve_and_normalize

# in_channels, out_channels, kernel_size, stride: of waveform encoders, and kernels of more taps than two strides
SHAPES = [(1, 6, 10, 5), (4, 6, 3, 2), (4, 6, 2, 2), (3, 5, 7, 3), (2, 4, 3, 1)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks per item, the last of them shorter."""
    monkeypatch.setattr(strided_convolution, "BLOCK_ELEMENTS", 30)


def make_inputs(shape: tuple[int, ...], has_bias: bool = True) -> list:
    in_channels, out_channels, kernel_size, _ = shape
    generator = torch.Generator().manual_seed(0)
    sizes = [(2, 53, in_channels), (out_channels, in_channels, kernel_size), *[(out_channels,)] * 3]
    tensors = [torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_() for size in sizes]
    return tensors if has_bias else [*tensors[:2], None, *tensors[3:]]


def written_out(features, weight, bias, norm_weight, norm_bias, *, stride: int) -> torch.Tensor:
    convolved = F.conv1d(features.transpose(1, 2), weight, bias, stride=stride).transpose(1, 2)
    return F.gelu(F.layer_norm(convolved, norm_weight.shape, norm_weight, norm_bias, 1e-5))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("has_bias", [True, False])
def test_values_and_gradients_are_those_of_the_operations_written_out(shape: tuple, has_bias: bool) -> None:
    inputs = make_inputs(shape, has_bias=has_bias)
    leaves = [tensor for tensor in inputs if tensor is not None]
    frames = convolve_and_normalize(*inputs, stride=shape[-1], eps=1e-5)
    expected = written_out(*inputs, stride=shape[-1])
    torch.testing.assert_close(frames, expected)
    upstream = torch.randn_like(expected)
    gradients = torch.autograd.grad(frames, leaves, upstream)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, leaves, upstream))


def test_gradients_are_those_of_finite_differences() -> None:
    layer = partial(convolve_and_normalize, stride=2, eps=1e-5)
    inputs = make_inputs((2, 3, 3, 2))
    inputs[0] = inputs[0][:, :9].detach().requires_grad_()
    assert torch.autograd.gradcheck(layer, inputs)


def test_part_of_a_batch_is_read_from_where_it_begins() -> None:
    """A slice shares its batch's memory."""
    inputs = make_inputs((4, 6, 3, 2))
    whole = convolve_and_normalize(*inputs, stride=2, eps=1e-5)
    second = convolve_and_normalize(inputs[0][1:], *inputs[1:], stride=2, eps=1e-5)
    torch.testing.assert_close(second, whole[1:])


def test_channels_first_in_memory_are_read_alike() -> None:
    inputs = make_inputs((4, 6, 3, 2))
    expected = convolve_and_normalize(*inputs, stride=2, eps=1e-5)
    inputs[0] = inputs[0].transpose(1, 2).contiguous().transpose(1, 2)
    torch.testing.assert_close(convolve_and_normalize(*inputs, stride=2, eps=1e-5), expected)


@pytest.mark.parametrize("trained", range(5))
def test_only_what_is_trained_gets_a_gradient(trained: int) -> None:
    inputs = make_inputs((4, 6, 3, 2))
    for index, tensor in enumerate(inputs):
        tensor.requires_grad_(index == trained)
    convolve_and_normalize(*inputs, stride=2, eps=1e-5).sum().backward()
    gradients = [tensor.grad is not None and bool(tensor.grad.any()) for tensor in inputs]
    assert gradients == [index == trained for index in range(5)]


@pytest.mark.parametrize(("in_channels", "kernel_size", "stride"), [(1, 10, 5), (64, 3, 2), (64, 2, 2), (32, 7, 3)])
def test_autocast_is_no_further_from_float32_than_the_operations_written_out(
    in_channels: int, kernel_size: int, stride: int
) -> None:
    torch.manual_seed(0)
    sizes = [(2, 1000, in_channels), (64, in_channels, kernel_size), (64,), (64,), (64,)]
    inputs = [torch.randn(size).requires_grad_() for size in sizes]
    upstream = torch.randn_like(written_out(*inputs, stride=stride))

    def results(layer, autocast: bool = True) -> list[torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            frames = layer(*inputs, stride=stride)
        return [frames, *torch.autograd.grad(frames, inputs, upstream.to(frames.dtype))]

    exact, plain = results(written_out, autocast=False), results(written_out)
    ours = results(partial(convolve_and_normalize, eps=1e-5))
    assert ours[0].dtype == torch.bfloat16
    assert all(gradient.dtype == torch.float32 for gradient in ours[1:])
    for right, mine, theirs in zip(exact, ours, plain, strict=True):
        error, plain_error = ((tensor.float() - right).norm() / right.norm() for tensor in (mine, theirs))
        assert error < 1.1 * plain_error + 1e-3  # gradients of 64 biases scatter by about a thousandth


def test_gradients_of_layer_norms_are_summed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strided_convolution, "BLOCK_ELEMENTS", 2**19)
    torch.manual_seed(0)
    inputs = [torch.randn(size) for size in [(2, 4000, 8), (64, 8, 2), (64,), (64,), (64,)]]
    norm_weights = [tensor.requires_grad_() for tensor in inputs[3:]]
    upstream = torch.randn_like(written_out(*inputs, stride=2)) + 0.1

    def gradients(layer, autocast: bool = True) -> tuple[torch.Tensor, ...]:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            frames = layer(*inputs, stride=2)
        return torch.autograd.grad(frames, norm_weights, upstream.to(frames.dtype))

    exact, plain = gradients(written_out, autocast=False), gradients(written_out)
    for right, mine, theirs in zip(exact, gradients(partial(convolve_and_normalize, eps=1e-5)), plain, strict=True):
        error, plain_error = ((tensor - right).norm() / right.norm() for tensor in (mine, theirs))
        assert error < 0.25 * plain_error


def test_weights_in_low_precision_get_gradients_of_sums_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many blocks; no further from float64's than those of torch's operations."""
    monkeypatch.setattr(strided_convolution, "BLOCK_ELEMENTS", 2**11)
    torch.manual_seed(0)
    inputs = [
        tensor.bfloat16().requires_grad_()
        for tensor in map(torch.randn, [(2, 4000, 8), (64, 8, 2), (64,), (64,), (64,)])
    ]
    exact_inputs = [tensor.detach().double().requires_grad_() for tensor in inputs]
    exact_frames = written_out(*exact_inputs, stride=2)
    upstream = (torch.randn_like(exact_frames) + 0.1).bfloat16()
    exact = torch.autograd.grad(exact_frames, exact_inputs, upstream.double())
    plain = torch.autograd.grad(written_out(*inputs, stride=2), inputs, upstream)
    ours = torch.autograd.grad(convolve_and_normalize(*inputs, stride=2, eps=1e-5), inputs, upstream)
    assert all(gradient.dtype == torch.bfloat16 for gradient in ours)
    for right, mine, theirs in zip(exact, ours, plain, strict=True):
        error, plain_error = ((tensor.double() - right).norm() / right.norm() for tensor in (mine, theirs))
        assert error < 1.1 * plain_error + 1e-3


def test_compiled_code_gives_the_same() -> None:
    inputs = [tensor.float().detach() for tensor in make_inputs((4, 6, 3, 2))]
    compiled = torch.compile(convolve_and_normalize, backend="eager", fullgraph=True)
    torch.testing.assert_close(
        compiled(*inputs, stride=2, eps=1e-5), convolve_and_normalize(*inputs, stride=2, eps=1e-5)
    )
