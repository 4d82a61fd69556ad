# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Operations of a step: what is only computed again does not count, and attention's are told from others'."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hf_ssl.benchmarking.benchmark import TrainingStep
from hf_ssl.models.blocked_attention import ScoreBias, attend_in_blocks
from hf_ssl.models.quantizers import RandomProjectionQuantizer
from hf_ssl.planning.recipes import PlannedRecipe, load_recipe
from hf_ssl.planning.step_flops import StepFlops
from hf_ssl.planning.synthetic import make_batch

PRODUCT = 2 * (2 * 3) * 5 * 5 * 8  # batch, heads, queries, keys, size of a head


@pytest.fixture
def make_recipe(tmp_path: Path) -> Callable[[str], PlannedRecipe]:
    def make(family: str) -> PlannedRecipe:
        path = tmp_path / "recipe.yaml"
        path.write_text(f"model_type: {family}\nmodel_size: tiny\nmin_seconds: 0.2\nmax_seconds: 1.0\nmax_steps: 10\n")
        return load_recipe(str(path), {})

    return make


class Attention(nn.Module):
    """One of torch's, or ours in blocks, with ALiBi whose slopes are trained."""

    def __init__(self, in_blocks: bool) -> None:
        super().__init__()
        self.in_blocks = in_blocks
        self.slopes = nn.Parameter(torch.ones(3))

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        if not self.in_blocks:
            return F.scaled_dot_product_attention(heads, heads, heads)
        bias = ScoreBias(torch.ones(1, 5, 5), self.slopes)
        return attend_in_blocks(heads, heads, heads, bias, scaling=1.0, dropout=0.1)


@pytest.mark.parametrize("in_blocks", [False, True])
def test_the_backward_pass_of_attention_is_twice_its_forward_pass(in_blocks: bool) -> None:
    attention, heads = Attention(in_blocks), torch.randn(2, 3, 5, 8, requires_grad=True)
    with StepFlops(attention) as counter:
        attention(heads).sum().backward()
    of_slopes = 2 * (2 * 3) * 5 * 5 * in_blocks
    assert counter.flops == 3 * 2 * PRODUCT + of_slopes
    assert counter.attention_flops == 3 * 2 * PRODUCT


@pytest.mark.parametrize("family", ["data2vec2-audio", "data2vec-audio", "data2vec-aqc", "best-rq"])
def test_what_checkpointing_computes_again_does_not_count(
    family: str, make_recipe: Callable[[str], PlannedRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hf_ssl.models.attention._MANY_SCORES", 0)  # in blocks
    recipe = make_recipe(family)
    batch = make_batch(recipe, recipe.config, 2)
    kept = TrainingStep(recipe, "cpu", "float32").count([batch])
    step = TrainingStep(replace(recipe, checkpointing=True), "cpu", "float32")
    flops, of_attention = step.count([batch])
    assert of_attention == kept[1]
    assert flops == kept[0]
    with StepFlops(step.model) as counter:
        step(batch)
    assert counter.flops > 1.1 * kept[0]


def test_products_of_the_quantizer_are_not_attentions(make_recipe: Callable[[str], PlannedRecipe]) -> None:
    recipe = make_recipe("best-rq")
    step = TrainingStep(recipe, "cpu", "float32")
    batch = make_batch(recipe, recipe.config, 2)
    with StepFlops(step.model) as counter:
        step(batch)
    quantizer = next(module for module in step.model.modules() if isinstance(module, RandomProjectionQuantizer))
    with StepFlops(quantizer) as of_quantizer:
        quantizer(batch["input_features"][:, :4].reshape(2, 1, -1))
    assert of_quantizer.flops > 0
    assert of_quantizer.attention_flops == 0
    batched = sum(
        count for name, count in counter.get_flop_counts()["Global"].items() if str(name).endswith(("bmm", "cpu"))
    )
    assert 0 < counter.attention_flops < batched


def test_products_of_the_contrast_are_not_attentions_forward_and_backward(
    make_recipe: Callable[[str], PlannedRecipe],
) -> None:
    recipe = make_recipe("data2vec-aqc")
    counted = []
    for entries in (recipe.config.num_codevectors_per_group, 4 * recipe.config.num_codevectors_per_group):
        recipe.config.num_codevectors_per_group = entries
        torch.manual_seed(0)
        counted.append(TrainingStep(recipe, "cpu", "float32").count([make_batch(recipe, recipe.config, 2)]))
    (whole, of_attention), (whole_of_more, of_attention_with_more) = counted
    assert of_attention > 0
    assert of_attention_with_more == of_attention
    assert whole_of_more > whole
