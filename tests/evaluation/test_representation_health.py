# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Measures without labels: known matrices have known figures."""

import math

import pytest
import torch

from hf_ssl.evaluation.representation_health import FeatureMoments, collapse_auc, isoscore, measure_health, rankme


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_equal_singular_values_are_full_rank() -> None:
    values = torch.full((8,), 3.0)
    assert rankme(values).item() == pytest.approx(8)
    assert collapse_auc(values).item() == pytest.approx((1 + 1 / 8) / 2)
    assert isoscore(values.square()).item() == pytest.approx(1)


def test_a_single_direction() -> None:
    values = torch.tensor([0.0, 0.0, 5.0, 0.0])
    assert rankme(values).item() == pytest.approx(1)
    assert collapse_auc(values).item() == pytest.approx(1)
    assert isoscore(values.square()).item() == pytest.approx(0)


def test_by_hand() -> None:
    values = torch.tensor([1.0, 3.0])
    assert rankme(values).item() == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))
    assert collapse_auc(values).item() == pytest.approx((0.75 + 1) / 2)
    assert isoscore(values.square()).item() == pytest.approx(100 / 82 - 1)


def test_isoscore_is_that_of_the_published_steps(generator: torch.Generator) -> None:
    variances = torch.rand(7, generator=generator)
    size = len(variances)
    normalised = variances * math.sqrt(size) / variances.norm()
    defect = (normalised - 1).norm() / math.sqrt(2 * (size - math.sqrt(size)))
    used = (size - defect**2 * (size - math.sqrt(size))) ** 2 / size**2
    assert isoscore(variances).item() == pytest.approx(((size * used - 1) / (size - 1)).item(), rel=1e-4)


def test_measures_are_those_of_the_whole_matrix(generator: torch.Generator) -> None:
    items = [
        torch.randn(length, 6, generator=generator) @ torch.diag(torch.arange(1.0, 7)) + 2 for length in (9, 5, 7)
    ]
    vectors = torch.cat(items).double()
    centred = vectors - vectors.mean(0)
    health = measure_health(items)
    assert health.rankme == pytest.approx(rankme(torch.linalg.svdvals(vectors)).item())
    assert health.collapse_auc == pytest.approx(collapse_auc(torch.linalg.svdvals(centred)).item())
    assert health.isoscore == pytest.approx(isoscore(torch.linalg.svdvals(centred).square()).item())
    assert health.mean_share == pytest.approx((vectors.mean(0).square().sum() / vectors.square().sum(1).mean()).item())
    within = sum((item.double() - item.double().mean(0)).square().sum().item() for item in items)
    assert health.within_item_share == pytest.approx(within / centred.square().sum().item())
    assert health.between_item_share == pytest.approx(1 - health.within_item_share)
    assert (health.num_items, health.num_vectors, health.feature_size) == (3, 21, 6)


def test_features_of_the_position_alone(generator: torch.Generator) -> None:
    of_position = torch.randn(20, 8, generator=generator)
    health = measure_health([of_position[:length] for length in (20, 15, 20, 12)])
    assert health.position_share == pytest.approx(1, abs=1e-9)
    assert health.rankme > 7  # which the rank does not see


def test_features_that_know_no_position(generator: torch.Generator) -> None:
    health = measure_health(list(torch.randn(100, 30, 4, generator=generator)))
    assert health.position_share == pytest.approx(0, abs=0.02)
    assert health.between_item_share == pytest.approx(1 / 30, abs=0.02)


def test_features_of_the_item_alone(generator: torch.Generator) -> None:
    health = measure_health([torch.randn(1, 4, generator=generator).expand(length, 4) for length in (3, 9, 5, 4)])
    assert health.between_item_share == pytest.approx(1)
    assert health.within_item_share == pytest.approx(0, abs=1e-9)
    assert health.position_share < 0.1


@pytest.mark.parametrize("vector", [torch.zeros(4), torch.tensor([0.1, 0.7, 1 / 3, 1e-6])])
def test_total_collapse(vector: torch.Tensor) -> None:
    health = measure_health([vector.expand(10, 4) * (1 + 1e-7) for _ in range(3)])
    assert health.rankme == pytest.approx(float(vector.any()), abs=1e-3)
    assert (health.collapse_auc, health.isoscore) == (1.0, 0.0)
    assert math.isnan(health.between_item_share)
    assert math.isnan(health.position_share)


def test_divergence_is_not_hidden() -> None:
    health = measure_health([torch.tensor([[1.0, math.inf], [0.0, 1.0]]), torch.zeros(3, 2)])
    assert all(math.isnan(value) for value in health.measures().values())
    assert health.num_vectors == 5


def test_positions_of_a_single_item_say_nothing(generator: torch.Generator) -> None:
    assert math.isnan(measure_health([torch.randn(9, 4, generator=generator)]).position_share)


def test_what_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        measure_health([])
    with pytest.raises(ValueError, match="at least one item"):
        FeatureMoments(4).health()
    with pytest.raises(ValueError, match=r"vector of size 4 .* got the shape \(2, 3\)"):
        FeatureMoments(4).add(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"got the shape \(0, 4\)"):
        FeatureMoments(4).add(torch.zeros(0, 4))
