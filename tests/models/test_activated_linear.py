# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A linear layer after an activation, which is computed again in the backward pass."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from transformers.activations import ACT2FN

from hf_ssl.models.activated_linear import activated_linear

GELU = ACT2FN["gelu"]


def gradients_of(outputs: torch.Tensor, *inputs: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(outputs.float().square().sum(), inputs))


@pytest.mark.parametrize("has_bias", [True, False])
def test_gradients_are_right(has_bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(5, 3, bias=has_bias, dtype=torch.float64)
    inputs = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)

    def call(hidden_states: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return activated_linear(hidden_states, GELU, linear)

    assert torch.autograd.gradcheck(call, (inputs, *linear.parameters()))


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_it_is_what_the_two_modules_give(dtype: torch.dtype | None) -> None:
    torch.manual_seed(0)
    linear, inputs = nn.Linear(64, 32), torch.randn(3, 7, 64, requires_grad=True)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
        ours, plain = activated_linear(inputs, GELU, linear), linear(F.gelu(inputs))
    assert ours.dtype == plain.dtype
    parameters = (inputs, linear.weight, linear.bias)
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype else {}
    torch.testing.assert_close(ours, plain, **tolerance)
    for found, expected in zip(gradients_of(ours, *parameters), gradients_of(plain, *parameters), strict=True):
        assert found.dtype == expected.dtype == torch.float32
        torch.testing.assert_close(found, expected, **({"rtol": 3e-2, "atol": 0.3} if dtype else {}))


def test_one_wide_tensor_is_kept() -> None:
    linear, inputs = nn.Linear(64, 8), torch.randn(100, 64, requires_grad=True)
    kept: set[int] = set()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.numel() == 6400:
            kept.add(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        ours = activated_linear(inputs, GELU, linear)
        assert kept == {inputs.data_ptr()}
        plain = linear(F.gelu(inputs))
        assert len(kept) == 2
    assert torch.equal(ours, plain)


def test_only_what_needs_a_gradient_gets_one() -> None:
    linear, inputs = nn.Linear(4, 3).requires_grad_(False), torch.randn(5, 4, requires_grad=True)
    activated_linear(inputs, GELU, linear).sum().backward()
    assert inputs.grad is not None
    assert linear.weight.grad is None
    frozen = torch.randn(5, 4)
    linear.weight.requires_grad_()
    activated_linear(frozen, GELU, linear).sum().backward()
    torch.testing.assert_close(linear.weight.grad, F.gelu(frozen).sum(0).expand(3, 4))


def test_layers_that_are_not_plain_are_called() -> None:
    class Doubled(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(inputs)

    inputs = torch.randn(5, 4, requires_grad=True)
    doubled, hooked = Doubled(4, 3), nn.Linear(4, 3)
    hooked.register_forward_hook(lambda module, args, output: 2 * output)
    for linear in (doubled, hooked):
        expected = 2 * F.linear(F.gelu(inputs), linear.weight, linear.bias)
        torch.testing.assert_close(activated_linear(inputs, GELU, linear), expected)


def test_checkpointed_and_compiled() -> None:
    linear, inputs = nn.Linear(16, 8), torch.randn(5, 16, requires_grad=True)
    expected = gradients_of(linear(F.gelu(inputs)), inputs, linear.weight)
    for use_reentrant in (True, False):
        outputs = torch.utils.checkpoint.checkpoint(
            lambda hidden_states: activated_linear(hidden_states, GELU, linear), inputs, use_reentrant=use_reentrant
        )
        outputs.float().square().sum().backward()
        torch.testing.assert_close([inputs.grad, linear.weight.grad], expected)
        inputs.grad = linear.weight.grad = None
    compiled = torch.compile(activated_linear, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(gradients_of(compiled(inputs, GELU, linear), inputs, linear.weight), expected)


def test_other_activations_and_those_with_hooks_are_called() -> None:
    linear, inputs = nn.Linear(16, 8), torch.randn(5, 16, requires_grad=True)
    with_weights = nn.PReLU()
    activated_linear(inputs, with_weights, linear).sum().backward()
    assert with_weights.weight.grad is not None
    torch.testing.assert_close(activated_linear(inputs, ACT2FN["relu"], linear), linear(inputs.relu()))
    seen: list[bool] = []
    hooked = type(GELU)()
    hooked.register_forward_hook(lambda module, arguments, output: seen.append(output.requires_grad))
    activated_linear(inputs, hooked, linear).sum().backward()
    assert seen == [True]  # once, and in the graph


def test_operations_are_counted() -> None:
    """The counter puts hooks on what it watches, which nothing that is differentiated inside a backward can stand."""
    model, inputs = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 8)), torch.randn(5, 16)
    with FlopCounterMode(display=False) as counter:
        activated_linear(model[0](inputs), GELU, model[1]).sum().backward()
    assert counter.get_total_flops() == 2 * 5 * 16 * (2 * 16 + 3 * 8)  # the first layer's input needs no gradient


def test_gradients_of_each_sample_and_traces() -> None:
    linear, inputs = nn.Linear(16, 8), torch.randn(5, 16)

    def loss(weight: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        parameters = {"weight": weight, "bias": linear.bias.detach()}
        return torch.func.functional_call(Half(linear), {f"linear.{k}": v for k, v in parameters.items()}, row).sum()

    class Half(nn.Module):
        def __init__(self, linear: nn.Linear) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
            return activated_linear(hidden_states, GELU, self.linear)

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(linear.weight.detach(), inputs)
    torch.testing.assert_close(each, F.gelu(inputs).unsqueeze(1).expand(5, 8, 16))
    traced = torch.jit.trace(Half(linear), inputs)
    torch.testing.assert_close(traced(2 * inputs), linear(F.gelu(2 * inputs)))
    assert activated_linear(torch.empty(5, 16, device="meta"), GELU, linear.to("meta")).shape == (5, 8)
