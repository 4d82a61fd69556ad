# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fast paths read the weights of modules that are plain; all others are called."""

from collections.abc import Callable

import pytest
import torch
from accelerate import cpu_offload
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from hf_ssl import Data2Vec2AudioModel
from hf_ssl.models.convolutions import convolve_frames
from hf_ssl.models.plain_modules import is_plain
from hf_ssl.models.strided_convolution import apply_layer
from hf_ssl.training.model_sizes import data2vec2_audio_config


class Named(nn.Linear):
    """A class of its own, with the function it has from its parent."""


class Doubled(nn.Linear):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(inputs)


def with_hook(register: str) -> nn.Module:
    linear = nn.Linear(2, 2)
    getattr(linear, register)(lambda *arguments: None)
    return linear


def offloaded() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2))
    cpu_offload(model)
    return model[0]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: nn.Linear(2, 2), True),
        (lambda: nn.Linear(2, 2, bias=False), True),
        (lambda: Named(2, 2), True),
        (lambda: nn.Linear(2, 2, dtype=torch.bfloat16).requires_grad_(False), True),
        (lambda: Doubled(2, 2), False),
        (lambda: nn.Conv1d(2, 2, 1), False),
        (lambda: with_hook("register_forward_hook"), False),
        (lambda: with_hook("register_forward_pre_hook"), False),
        (lambda: with_hook("register_full_backward_hook"), False),
        (offloaded, False),
    ],
)
def test_what_is_plain(make: Callable[[], nn.Module], expected: bool) -> None:
    assert is_plain(make(), nn.Linear) is expected


def test_weights_of_another_type_are_not_plain() -> None:
    class Quantized(torch.Tensor):
        pass

    linear = nn.Linear(2, 2)
    linear.weight = nn.Parameter(torch.ones(2, 2).as_subclass(Quantized))
    assert not is_plain(linear, nn.Linear)


def test_hooks_of_convolutions_are_called() -> None:
    conv, norm, grouped = nn.Conv1d(1, 4, 3, stride=2), nn.LayerNorm(4), nn.Conv1d(4, 4, 3, padding=1, groups=2)
    waveforms, frames = torch.randn(2, 1, 31), torch.randn(2, 9, 4).transpose(1, 2)
    for module in (conv, norm, grouped):
        module.register_forward_hook(lambda module, arguments, output: 2 * output)
    expected = F.gelu(norm(conv(waveforms).transpose(1, 2))).transpose(1, 2)
    torch.testing.assert_close(apply_layer(conv, norm, waveforms), expected)
    torch.testing.assert_close(convolve_frames(grouped, frames), grouped(frames))


def test_a_normalised_weight_is_read_as_the_module_does() -> None:
    grouped = parametrizations.weight_norm(nn.Conv1d(4, 4, 3, padding=1, groups=2))
    frames = torch.randn(2, 9, 4).transpose(1, 2)
    torch.testing.assert_close(convolve_frames(grouped, frames), grouped(frames))


def test_an_offloaded_model_encodes_with_and_without_gradients() -> None:
    model, waveforms = Data2Vec2AudioModel(data2vec2_audio_config("tiny")).eval(), torch.randn(2, 3200)
    expected = model(waveforms).last_hidden_state.detach()
    cpu_offload(model)
    with torch.no_grad():
        torch.testing.assert_close(model(waveforms).last_hidden_state, expected)
    torch.testing.assert_close(model(waveforms).last_hidden_state, expected)


@pytest.mark.parametrize("targets", [["conv_layers.0.conv"], ["fc2"], ["positions.layers.0.conv"]])
def test_adapters_on_what_fast_paths_read(targets: list[str]) -> None:
    peft = pytest.importorskip("peft")
    model = Data2Vec2AudioModel(data2vec2_audio_config("tiny")).eval()
    names = [name for name, _ in model.named_modules() if name.endswith(tuple(targets))]
    if targets == ["positions.layers.0.conv"]:
        names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv1d) and module.groups > 1]
    waveforms = torch.randn(2, 3200)
    expected = model(waveforms).last_hidden_state
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=names))
    torch.testing.assert_close(adapted(waveforms).last_hidden_state, expected)  # an adapter begins as nothing
    adapted(waveforms).last_hidden_state.square().sum().backward()
    trained = [parameter for name, parameter in adapted.named_parameters() if "lora_B" in name]
    assert trained
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trained)
