# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Attention in blocks computes what attention written out computes, gradients included."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch

from hf_ssl import Data2Vec2AudioConfig, Data2Vec2AudioForPreTraining
from hf_ssl.models import attention, blocked_attention
from hf_ssl.models.attention import MASKED_SCORE, attend
from hf_ssl.models.blocked_attention import ScoreBias, attend_in_blocks
from hf_ssl.models.dropout import keep_

BATCH, HEADS, QUERIES, KEYS, SIZE = 5, 3, 7, 9, 4
BIASES = ["none", "distances", "distances of all", "relative", "mask", "all"]


@pytest.fixture(autouse=True)
def _blocks_of_two() -> None:
    """Five sequences make three blocks, the last of which is smaller."""
    with patch.object(blocked_attention, "BLOCK_ELEMENTS", 2 * HEADS * QUERIES * KEYS):
        yield


def make_heads(dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    torch.manual_seed(0)
    lengths = (QUERIES, KEYS, KEYS)
    return [torch.randn(BATCH, HEADS, n, SIZE, dtype=dtype, requires_grad=True) for n in lengths]


def make_bias(name: str, dtype: torch.dtype = torch.float64) -> ScoreBias:
    torch.manual_seed(1)
    mask = torch.zeros(BATCH, 1, 1, KEYS, dtype=dtype)
    mask[1, ..., 4:] = mask[3] = MASKED_SCORE  # the fourth sequence has no real key
    terms = {
        "distances": torch.randint(0, 20, (1 if name == "distances of all" else BATCH, QUERIES, KEYS)).to(dtype),
        "slopes": torch.rand(HEADS, dtype=dtype, requires_grad=True),
        "relative": torch.randn(BATCH, HEADS, QUERIES, KEYS, dtype=dtype, requires_grad=True),
        "mask": mask,
    }
    names = {
        "none": [],
        "all": terms,
        "distances": ["distances", "slopes"],
        "distances of all": ["distances", "slopes"],
    }
    return ScoreBias(**{key: terms[key] for key in names.get(name, [name])})


def written_out(heads: list[torch.Tensor], bias: ScoreBias, kept: torch.Tensor | None = None) -> torch.Tensor:
    query, key, value = heads
    scores = 0.5 * query @ key.transpose(2, 3)
    weights = (scores if bias.is_empty else scores + bias.dense()).softmax(-1)
    if kept is not None:
        weights = weights * kept.to(weights.dtype).abs() / 0.75
    return (weights @ value).transpose(1, 2)


def gradients_of(attended: torch.Tensor, heads: list[torch.Tensor], bias: ScoreBias) -> list[torch.Tensor]:
    trained = [tensor for tensor in (*heads, bias.slopes, bias.relative) if tensor is not None]
    weights = torch.arange(attended.numel(), dtype=attended.dtype).view_as(attended).sin()
    return list(torch.autograd.grad((attended * weights).sum(), trained))


@pytest.mark.parametrize("name", BIASES)
def test_values_and_gradients_are_those_of_attention_written_out(name: str) -> None:
    heads, bias = make_heads(), make_bias(name)
    expected, actual = written_out(heads, bias), attend_in_blocks(*heads, bias, scaling=0.5)
    torch.testing.assert_close(actual, expected)
    for ours, theirs in zip(gradients_of(actual, heads, bias), gradients_of(expected, heads, bias), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["none", "all"])
def test_dropout_drops_the_same_weights_forward_and_backward(name: str) -> None:
    heads, bias, drawn = make_heads(), make_bias(name), []

    def draw(shape: torch.Size, p: float) -> torch.Tensor:
        drawn.append((torch.rand(shape) >= p).to(torch.int8).neg())
        return drawn[-1]

    with patch.object(blocked_attention, "draw_kept", draw):
        actual = attend_in_blocks(*heads, bias, scaling=0.5, dropout=0.25)
    expected = written_out(heads, bias, torch.cat(drawn))
    torch.testing.assert_close(actual, expected)
    for ours, theirs in zip(gradients_of(actual, heads, bias), gradients_of(expected, heads, bias), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradients_by_finite_differences() -> None:
    heads = [tensor.detach()[:3, :2, :4].requires_grad_() for tensor in make_heads()]
    distances = torch.randint(0, 5, (3, 4, 4)).double()
    slopes = torch.rand(2, dtype=torch.float64, requires_grad=True)
    relative = torch.randn(3, 2, 4, 4, dtype=torch.float64, requires_grad=True)

    def attended(*inputs: torch.Tensor) -> torch.Tensor:
        return attend_in_blocks(*inputs[:3], ScoreBias(distances, *inputs[3:]), scaling=0.5)

    assert torch.autograd.gradcheck(attended, (*heads, slopes, relative))


def test_a_dropout_of_a_quarter_drops_a_quarter() -> None:
    query, key = torch.zeros(64, 2, 8, 4), torch.zeros(64, 2, 16, 4)
    attended = attend_in_blocks(query, key, torch.ones_like(key), scaling=1.0, dropout=0.25)
    assert attended.mean() == pytest.approx(1, abs=0.02)
    assert attended.std() == pytest.approx((0.25 / 0.75 / 16) ** 0.5, rel=0.1)


def test_sixteen_bits_are_no_further_from_float32_than_attention_written_out() -> None:
    heads, bias = make_heads(torch.float32), make_bias("distances", torch.float32)
    exact = gradients_of(written_out(heads, bias), heads, bias)
    half = [tensor.detach().bfloat16().requires_grad_() for tensor in heads]
    module = torch.nn.Identity().train()
    distances = {}
    for implementation in ("eager", "blocks"):
        if implementation == "eager":
            dense = bias.dense().bfloat16()
            attended, _ = attention.eager_attention_forward(module, *half, None, 0.5, position_bias=dense)
        else:
            attended = attend_in_blocks(*half, bias, scaling=0.5)
        gradients = gradients_of(attended, half, bias)
        distances[implementation] = [float((a - b).norm() / b.norm()) for a, b in zip(gradients, exact, strict=True)]
    for ours, theirs in zip(distances["blocks"], distances["eager"], strict=True):
        assert ours < max(1.1 * theirs, 0.01)


def test_products_in_float16_stay_within_its_range() -> None:
    """The sum of 2,048 weights before they are divided by it, times 40, would be infinite."""
    query, key = torch.zeros(1, 1, 3, 8).half(), torch.zeros(1, 1, 2048, 8).half()
    attended = attend_in_blocks(query, key, torch.full_like(key, 40.0), scaling=1.0)
    torch.testing.assert_close(attended, torch.full_like(attended, 40.0), rtol=2e-2, atol=0)


def test_scores_are_not_kept() -> None:
    heads, bias = make_heads(), make_bias("distances")
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor.numel()), lambda _: None):
        attend_in_blocks(*heads, bias, scaling=0.5)
    assert 0 < max(saved) < BATCH * HEADS * QUERIES * KEYS


@pytest.mark.parametrize(("many", "runs"), [(1, True), (10**9, False)])
def test_training_on_a_cpu_attends_in_blocks_where_there_are_many_scores(many: int, runs: bool) -> None:
    heads, bias = make_heads(torch.float32), make_bias("distances", torch.float32)
    config = Data2Vec2AudioConfig()
    config._attn_implementation = "sdpa"
    with (
        patch.object(attention, "_MANY_SCORES", many),
        patch.object(attention, "attend_in_blocks", wraps=attend_in_blocks) as blocks,
    ):
        actual, _ = attend(torch.nn.Identity(), *heads, bias, config=config, scaling=0.5, dropout=0.0)
    assert blocks.called == runs
    torch.testing.assert_close(actual, written_out(heads, bias))


def test_pretraining_in_blocks_is_pretraining_written_out(make_model: Callable, make_batch: Callable) -> None:
    """With padding, unequal counts of visible frames and dropout of 0."""
    batch, results = make_batch([700, 300, 44]), []
    mask = torch.zeros(3, 2, 42, dtype=torch.bool)
    mask[0, :, 5:30] = mask[1, 0, 2:5] = mask[1, 1, 3:12] = mask[2, :, 0] = True
    noise = torch.randn(3, 2, 42, 16)
    for many in (0, 10**9):
        model = make_model(Data2Vec2AudioForPreTraining, "sdpa", alibi_scale_per_head=True).train()
        with patch.object(attention, "_MANY_SCORES", many):
            loss = model(**batch, mask_time_indices=mask, mask_noise=noise).loss
        loss.backward()
        results.append({"loss": loss} | {name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert results[0].keys() == results[1].keys()
    for name, expected in results[1].items():
        torch.testing.assert_close(results[0][name], expected, atol=1e-5, rtol=1e-3, msg=name)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_keeping_leaves_values_as_they_are(dtype: torch.dtype) -> None:
    values = torch.tensor([1.5, -2.0, float("nan"), float("inf")], dtype=dtype)
    kept = torch.tensor([-1, 0, 0, -1], dtype=torch.int8)
    assert keep_(values, kept).tolist() == [1.5, 0, 0, float("inf")]
