# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Convolutions over frames: on a CPU as a grid of one row, with what torch's convolution over one dimension gives."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import profile

from hf_ssl.models.convolutions import FrameConv1d, convolve_frames

# in_channels, out_channels, kernel_size, groups, num_frames: odd and even kernels, kernels wider than the sequence
SHAPES = [(12, 12, 5, 4, 11), (12, 6, 3, 3, 11), (8, 8, 4, 2, 11), (8, 8, 9, 2, 4), (8, 8, 8, 1, 3), (8, 4, 1, 2, 1)]


class WrittenOut(nn.Module):
    """The layer with torch's convolution over one dimension."""

    def __init__(self, layer: FrameConv1d):
        super().__init__()
        self.conv = copy.deepcopy(layer.conv)

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None = None) -> torch.Tensor:
        if frame_mask is not None:
            hidden_states = hidden_states.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
        convolved = self.conv(hidden_states.transpose(1, 2))[..., : hidden_states.shape[1]].transpose(1, 2)
        return F.gelu(F.layer_norm(convolved, convolved.shape[-1:]))


def make_layer(shape: tuple[int, ...]) -> tuple[FrameConv1d, torch.Tensor]:
    torch.manual_seed(0)
    *sizes, num_frames = shape
    return FrameConv1d(*sizes), torch.randn(3, num_frames, sizes[0]).requires_grad_()


def values_and_gradients(
    layer: nn.Module, frames: torch.Tensor, upstream: torch.Tensor, frame_mask: torch.Tensor | None = None
) -> list[torch.Tensor]:
    convolved = layer(frames, frame_mask)
    leaves = [frames, *layer.parameters()]
    return [convolved, *torch.autograd.grad(convolved, leaves, upstream.to(convolved.dtype))]


def convolutions_run(layer: nn.Module, frames: torch.Tensor) -> set[str]:
    with profile() as profiler:
        layer(frames)
    return {event.key for event in profiler.key_averages()} & {"aten::conv1d", "aten::conv2d"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
def test_values_and_gradients_are_those_of_a_convolution_over_one_dimension(
    shape: tuple[int, ...], dtype: torch.dtype, masked: bool
) -> None:
    layer, frames = make_layer(shape)
    layer, frames = layer.to(dtype), frames.detach().to(dtype).requires_grad_()
    frame_mask = torch.arange(shape[-1]).expand(3, -1) < torch.tensor([[shape[-1]], [2], [1]]) if masked else None
    upstream = torch.randn(3, shape[-1], shape[1], dtype=dtype)
    found = values_and_gradients(layer, frames, upstream, frame_mask)
    expected = values_and_gradients(WrittenOut(layer), frames, upstream, frame_mask)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(96, 96, 7, 4, 200), (64, 32, 4, 2, 200), (64, 64, 9, 2, 50)])
def test_autocast_is_no_further_from_float32_than_a_convolution_over_one_dimension(shape: tuple[int, ...]) -> None:
    layer, frames = make_layer(shape)
    written_out = WrittenOut(layer)
    upstream = torch.randn(3, shape[-1], shape[1])
    exact = values_and_gradients(written_out, frames, upstream)
    with torch.autocast("cpu", torch.bfloat16):
        plain = values_and_gradients(written_out, frames, upstream)
        ours = values_and_gradients(layer, frames, upstream)
    assert ours[0].dtype == torch.bfloat16
    for right, mine, theirs in zip(exact, ours, plain, strict=True):
        error, plain_error = ((tensor.float() - right).norm() / right.norm() for tensor in (mine, theirs))
        assert error < 1.02 * plain_error + 1e-4


def test_on_a_cpu_frames_are_a_grid_whose_channels_stay_side_by_side() -> None:
    layer, frames = make_layer((16, 16, 5, 2, 11))
    assert convolutions_run(layer, frames) == {"aten::conv2d"}
    assert convolutions_run(WrittenOut(layer), frames) == {"aten::conv1d"}
    convolved = convolve_frames(layer.conv, frames.transpose(1, 2))
    assert convolved.transpose(1, 2).is_contiguous()


def test_compiled_code_has_the_convolution_over_one_dimension() -> None:
    layer, frames = make_layer((8, 8, 4, 2, 11))
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(frames), layer(frames))
    assert convolutions_run(compiled, frames) == {"aten::conv1d"}


def test_without_groups_frames_have_the_convolution_over_one_dimension() -> None:
    assert convolutions_run(*make_layer((8, 8, 4, 1, 11))) == {"aten::conv1d"}


def test_other_devices_have_the_convolution_over_one_dimension() -> None:
    layer, frames = make_layer((8, 8, 4, 2, 11))
    assert convolutions_run(layer.to("meta"), frames.to("meta")) == {"aten::conv1d"}
