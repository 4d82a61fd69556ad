# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Layer norm whose weights' gradients are sums in float32 on CPUs."""

import copy
import pickle

import pytest
import torch
from families import FAMILIES, Family
from torch import nn

from hf_ssl.models import layer_norm
from hf_ssl.models.layer_norm import LayerNorm, sum_gradients_in_float32


def a_layer_norm(kind: type[nn.LayerNorm], *shape: int, **options) -> nn.LayerNorm:
    torch.manual_seed(0)
    module = kind(shape, **options)
    for parameter in module.parameters():
        nn.init.normal_(parameter, mean=1.0)
    return module


def gradients_of(module: nn.LayerNorm, inputs: torch.Tensor, gradient: torch.Tensor) -> list[torch.Tensor]:
    """Of input and parameters."""
    leaf = inputs.clone().requires_grad_()
    outputs = module(leaf)
    outputs.backward(gradient.to(outputs.dtype))
    assert leaf.grad is not None
    return [leaf.grad, *(parameter.grad for parameter in module.parameters() if parameter.grad is not None)]


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", [{}, {"bias": False}])
@pytest.mark.parametrize(("rows", "shape"), [((3000,), (64,)), ((40, 50), (4, 16))])
def test_sums_over_rows_are_in_float32(rows, shape, options, dtype, monkeypatch):
    monkeypatch.setattr(layer_norm, "WIDE_ELEMENTS", 64 * 70)  # the last block is shorter
    torch.manual_seed(1)
    inputs = torch.randn(*rows, *shape).to(dtype)
    gradient = (torch.randn(*rows, *shape) + 0.1).to(dtype)
    exact = gradients_of(a_layer_norm(nn.LayerNorm, *shape, **options).double(), inputs.double(), gradient)
    ours = gradients_of(a_layer_norm(LayerNorm, *shape, **options), inputs, gradient)
    torchs = gradients_of(a_layer_norm(nn.LayerNorm, *shape, **options), inputs, gradient)
    assert [tensor.dtype for tensor in ours] == [tensor.dtype for tensor in torchs]
    assert [tensor.shape for tensor in ours] == [tensor.shape for tensor in torchs]
    assert distance(ours[0], exact[0]) <= 1.01 * distance(torchs[0], exact[0])
    for found, plain, expected in zip(ours[1:], torchs[1:], exact[1:], strict=True):
        assert distance(found, expected) < 1e-5 < distance(plain, expected)


def test_values_are_torchs():
    inputs = torch.randn(50, 32, dtype=torch.bfloat16)
    ours, torchs = a_layer_norm(LayerNorm, 32), a_layer_norm(nn.LayerNorm, 32)
    assert torch.equal(ours(inputs), torchs(inputs))
    assert torch.equal(torch.compile(ours, backend="aot_eager", fullgraph=True)(inputs), torchs(inputs))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(inputs).dtype == torchs(inputs).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "make",
    [
        lambda: (LayerNorm(8), torch.randn(5, 8)),
        lambda: (LayerNorm(8, elementwise_affine=False), torch.randn(5, 8, dtype=torch.bfloat16)),
        lambda: (LayerNorm(8).requires_grad_(False), torch.randn(5, 8, dtype=torch.bfloat16)),
    ],
    ids=["float32", "no weights", "frozen"],
)
def test_where_nothing_is_summed_in_low_precision_it_is_torchs(make, monkeypatch):
    monkeypatch.setattr(layer_norm, "_LayerNorm", None)
    module, inputs = make()
    inputs.requires_grad_()
    module(inputs).float().square().sum().backward()
    assert inputs.grad is not None


@pytest.mark.parametrize("trained", ["weight", "bias"])
def test_one_of_the_weights_may_be_trained_alone(trained):
    torch.manual_seed(1)
    inputs, gradient = torch.randn(3000, 64).bfloat16(), (torch.randn(3000, 64) + 0.1).bfloat16()
    ours, exact = a_layer_norm(LayerNorm, 64), a_layer_norm(nn.LayerNorm, 64).double()
    for module in (ours, exact):
        module.requires_grad_(False).get_parameter(trained).requires_grad_()
    ours(inputs).backward(gradient)
    exact(inputs.double()).backward(gradient.double())
    assert distance(ours.get_parameter(trained).grad, exact.get_parameter(trained).grad) < 1e-5
    assert [name for name, parameter in ours.named_parameters() if parameter.grad is not None] == [trained]


def test_weights_in_low_precision_do_not_round_statistics():
    torch.manual_seed(1)
    inputs, gradient = (torch.randn(500, 64) + 4).bfloat16(), (torch.randn(500, 64) + 0.1).bfloat16()
    ours, exact = a_layer_norm(LayerNorm, 64).bfloat16(), a_layer_norm(nn.LayerNorm, 64).bfloat16().double()
    found, expected = gradients_of(ours, inputs, gradient), gradients_of(exact, inputs.double(), gradient)
    assert {tensor.dtype for tensor in found} == {torch.bfloat16}
    assert max(distance(*pair) for pair in zip(found, expected, strict=True)) < 4e-3  # their own rounding


def test_any_layout_of_input_and_gradient():
    torch.manual_seed(1)
    inputs = torch.randn(32, 20, 7).bfloat16().transpose(0, 2)
    gradient = torch.randn(32).bfloat16().expand(7, 20, 32)
    found = gradients_of(a_layer_norm(LayerNorm, 32), inputs, gradient)
    expected = gradients_of(a_layer_norm(nn.LayerNorm, 32).double(), inputs.double(), gradient)
    assert distance(found[1], expected[1]) < 1e-5
    empty = gradients_of(a_layer_norm(LayerNorm, 32), inputs[:0], gradient[:0])
    assert empty[0].shape == (0, 20, 32)
    assert not empty[1].any()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_layer_norm_whose_class_was_swapped_can_be_copied(duplicate):
    model = nn.Sequential(nn.LayerNorm(4))
    sum_gradients_in_float32(model)
    assert type(duplicate(model)[0]) is LayerNorm


def test_layer_norms_of_a_model_keep_their_weights():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.ModuleDict({"inner": nn.LayerNorm(4, bias=False)}))
    weights = dict(model.named_parameters())
    sum_gradients_in_float32(model)
    assert [type(module) for module in model.modules()].count(LayerNorm) == 2
    assert all(weights[name] is parameter for name, parameter in model.named_parameters())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_sums_in_float32(family: Family):
    model = family.classes["AutoModelForPreTraining"](family.make_config())
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm) and module.weight is not None]
    assert norms
    assert {type(module) for module in norms} == {LayerNorm}
