# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from hf_ssl.models.dropout import Dropout, drop


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_and_scale(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    dropped = drop(torch.ones(301, 333, dtype=dtype), p)
    assert dropped.dtype == dtype
    is_kept = dropped != 0
    assert is_kept.float().mean().item() == pytest.approx(1 - p, abs=5e-3)  # five standard deviations
    torch.testing.assert_close(
        dropped[is_kept].float(), torch.full((int(is_kept.sum()),), 1 / (1 - p)), rtol=4e-3, atol=0
    )


def test_neighbours_are_independent() -> None:
    """Four elements share a number of the generator."""
    torch.manual_seed(0)
    kept = (drop(torch.ones(4, 250_000).T, 0.5) != 0).float()
    correlations = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlations.abs().max() < 0.01


def test_gradient_passes_where_the_value_passed() -> None:
    hidden_states = torch.randn(7, 5, requires_grad=True)
    dropped = drop(hidden_states, 0.4)
    dropped.sum().backward()
    torch.testing.assert_close(hidden_states.grad, (dropped / hidden_states).detach())


def test_second_derivatives_pass_there_too() -> None:
    torch.manual_seed(0)
    hidden_states = torch.randn(9, dtype=torch.float64, requires_grad=True)
    dropped = drop(hidden_states, 0.4)
    scales = (dropped / hidden_states).detach()
    (gradient,) = torch.autograd.grad(dropped.square().sum(), hidden_states, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), hidden_states)
    torch.testing.assert_close(second, 2 * scales.square())


def test_a_seed_gives_the_same_again() -> None:
    torch.manual_seed(3)
    first = drop(torch.ones(1000), 0.3)
    torch.manual_seed(3)
    assert torch.equal(drop(torch.ones(1000), 0.3), first)


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_nothing_and_everything(p: float, expected: float) -> None:
    assert torch.equal(drop(torch.ones(9), p), torch.full((9,), expected))
    assert drop(torch.ones(0, 3), p).shape == (0, 3)


def test_module_drops_in_training_only() -> None:
    module = Dropout(0.5)
    assert (module(torch.ones(1000)) == 0).any()
    assert torch.equal(module.eval()(torch.ones(1000)), torch.ones(1000))


def test_compiled_code_drops_too() -> None:
    compiled = torch.compile(drop, backend="aot_eager", fullgraph=True)
    assert (compiled(torch.ones(10_000), 0.1) == 0).float().mean().item() == pytest.approx(0.1, abs=0.02)
