# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The cross-contrastive part of data2vec-aqc."""

import re

import pytest
import torch
from torch.nn import functional as F

from hf_ssl import Data2VecAqcConfig
from hf_ssl.models.cross_contrast import ContrastiveDraws, CrossContrastiveObjective, SlotFeatures
from hf_ssl.training.model_sizes import data2vec_aqc_config

NO_UPDATES = torch.tensor(0)


def make_objective(**overrides) -> CrossContrastiveObjective:
    torch.manual_seed(0)
    objective = CrossContrastiveObjective(data2vec_aqc_config("tiny", **overrides)).eval()
    torch.nn.init.normal_(objective.quantizer.codevectors)
    return objective


def make_features(config: Data2VecAqcConfig, counts: list[int], num_slots: int | None = None) -> SlotFeatures:
    """Slots of noise, the same for the same utterance whatever the filler behind it."""
    num_slots = max(counts) if num_slots is None else num_slots
    rows = []
    for size in (config.conv_dim[-1], config.conv_dim[-1], config.hidden_size, config.hidden_size):
        slots = torch.zeros(len(counts), num_slots, size)
        for row, count in enumerate(counts):
            slots[row, :count] = torch.randn(count, size, generator=torch.Generator().manual_seed(row))
        rows.append(slots)
    is_real = torch.arange(num_slots) < torch.tensor(counts).unsqueeze(-1)
    return SlotFeatures(*rows, is_real, frame_counts=2 * torch.tensor(counts), max_frames=2 * max(counts))


def draws_for(config: Data2VecAqcConfig, counts: list[int], num_slots: int) -> ContrastiveDraws:
    """Negatives and first centroids that depend on the utterance alone."""
    negatives = torch.zeros(len(counts), num_slots, config.num_negatives, dtype=torch.long)
    points = torch.zeros(len(counts), max(2, 2 * max(counts) // config.cluster_factor), dtype=torch.long)
    for row, count in enumerate(counts):
        generator = torch.Generator().manual_seed(row)
        negatives[row, :count] = torch.randint(count, (count, config.num_negatives), generator=generator)
        points[row] = torch.randint(count, points.shape[1:], generator=generator)
    return ContrastiveDraws(clean_negatives=negatives, augmented_negatives=negatives, initial_points=points)


def test_filler_changes_nothing() -> None:
    objective = make_objective()
    counts = [9, 6]
    short = make_features(objective.config, counts)
    long = make_features(objective.config, counts, num_slots=13)
    expected = objective(short, NO_UPDATES, draws_for(objective.config, counts, 9))
    drawn = draws_for(objective.config, counts, 13)
    # the points of the augmented view stand behind the filler of the clean one; these are all of the clean one
    found = objective(long, NO_UPDATES, drawn)
    torch.testing.assert_close(found.student.loss, expected.student.loss)
    torch.testing.assert_close(found.teacher.loss, expected.teacher.loss)
    torch.testing.assert_close(found.quantized.code_perplexity, expected.quantized.code_perplexity)
    assert torch.equal(found.clusters.counts, expected.clusters.counts)


def test_an_utterance_is_clustered_by_itself_unless_the_scope_is_the_batch() -> None:
    for scope, num_groups in (("utterance", 3), ("batch", 1)):
        objective = make_objective(cluster_scope=scope)
        features = make_features(objective.config, [12, 8, 3])
        clusters = objective(features, NO_UPDATES, ContrastiveDraws()).clusters
        assert clusters.labels.numel() == 2 * 3 * 12
        assert len(clusters.counts) == num_groups
        assert clusters.counts.sum() == 2 * (12 + 8 + 3)
        # one cluster per four frames of an utterance (24, 16 and 6 frames), at least two
        assert clusters.is_cluster.sum(-1).tolist() == ([6, 4, 2] if scope == "utterance" else [6])


def test_cross_negatives_reach_other_utterances() -> None:
    objective = make_objective(num_negatives=0, num_cross_negatives=200)
    contrast = objective(make_features(objective.config, [4, 2]), NO_UPDATES, ContrastiveDraws())
    assert contrast.student.logits.shape == (2, 4, 201)
    # more different negatives than the own utterance has other frames
    assert len(contrast.student.logits[1, 0, 1:].unique()) > 1
    own_only = make_objective(num_negatives=200)
    logits = own_only(make_features(own_only.config, [4, 2]), NO_UPDATES, ContrastiveDraws()).student.logits
    assert len(logits[1, 0, 1:].unique()) == 1


def test_the_student_faces_the_clean_view_and_the_teacher_the_augmented_one() -> None:
    objective = make_objective(num_negatives=3)
    features = make_features(objective.config, [5])
    augmented = features._replace(augmented=torch.randn(1, 5, objective.config.conv_dim[-1]))
    draws = draws_for(objective.config, [5], 5)
    before, after = (objective(views, NO_UPDATES, draws) for views in (features, augmented))
    assert torch.equal(before.student.logits[..., 0], after.student.logits[..., 0])
    assert not torch.equal(before.teacher.logits[..., 0], after.teacher.logits[..., 0])
    vectors = objective.target_projection(before.quantized.vectors)
    anchors = objective.anchor_projection(features.student)
    expected = F.cosine_similarity(anchors, vectors, dim=-1) / 0.1
    torch.testing.assert_close(before.student.logits[..., 0], expected)


def test_collisions_are_excluded_and_cluster_mates_weakened() -> None:
    features = make_features(make_objective().config, [30])
    plain, weakened, published = (
        make_objective(**options)(features, NO_UPDATES, draws_for(make_objective().config, [30], 30))
        for options in (
            {"scale_factor": 1.0},
            {},
            {"cluster_weighting": "multiply", "cluster_only_on_collision": True},
        )
    )
    assert plain.student.collision_share > 0
    excluded = plain.student.logits[..., 1:].isneginf()
    assert excluded.float().mean() == pytest.approx(plain.student.collision_share.item())
    changed = ~excluded & (weakened.student.logits != plain.student.logits)[..., 1:]
    assert changed.any()
    difference = weakened.student.logits[..., 1:] - plain.student.logits[..., 1:]
    torch.testing.assert_close(difference[changed], torch.full_like(difference[changed], 0.3).log())
    multiplied = published.student.logits[..., 1:][changed]
    torch.testing.assert_close(multiplied, 0.3 * plain.student.logits[..., 1:][changed])


def test_without_a_collision_the_published_rule_does_nothing() -> None:
    options = {"num_codevectors_per_group": 64, "num_negatives": 2}
    config = make_objective(**options).config
    features, draws = make_features(config, [3]), draws_for(config, [3], 3)
    draws = draws._replace(clean_negatives=torch.tensor([[[1, 2], [0, 2], [0, 1]]]))
    plain = make_objective(**options, scale_factor=1.0)(features, NO_UPDATES, draws)
    published = make_objective(**options, cluster_only_on_collision=True)(features, NO_UPDATES, draws)
    always = make_objective(**options)(features, NO_UPDATES, draws)
    assert plain.student.collision_share == 0
    assert torch.equal(published.student.logits, plain.student.logits)
    assert always.student.cluster_mate_share > 0
    assert not torch.equal(always.student.logits, plain.student.logits)


def test_temperature_falls_and_stops() -> None:
    objective = make_objective(gumbel_temperature=(2.0, 0.5, 0.999))
    found = [objective.temperature(torch.tensor(step)).item() for step in (0, 1000, 100_000)]
    assert found == pytest.approx([2.0, 2 * 0.999**1000, 0.5], rel=1e-5)


def test_gradients_reach_every_part() -> None:
    objective = make_objective(quantizer_depth=2).train()
    contrast = objective(make_features(objective.config, [6, 4]), NO_UPDATES, ContrastiveDraws())
    (contrast.student.loss + contrast.teacher.loss).backward()
    for name, parameter in objective.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cluster_only_on_collision": True, "cluster_weighting": "multiply"},
        {"cluster_scope": "batch", "num_cross_negatives": 2},
    ],
)
def test_the_host_is_not_asked(meta_device: None, options: dict) -> None:
    """Noise, negatives, first centroids, k-means, exclusion and weakening of tensors that cannot answer, and the
    gradient of it all."""
    objective = make_objective(**options).train().to("meta")
    features = make_features(objective.config, [9, 6])
    on_meta = [entry.to("meta") if isinstance(entry, torch.Tensor) else entry for entry in features]
    contrast = objective(SlotFeatures(*on_meta), NO_UPDATES.to("meta"), ContrastiveDraws())
    loss = contrast.student.loss + contrast.teacher.loss - contrast.quantized.probability_perplexity
    loss.backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())
    assert contrast.student.logits.shape == (2, 9, 1 + objective.config.num_all_negatives)
    with pytest.raises(RuntimeError):
        loss.item()


@pytest.mark.parametrize("scope", ["utterance", "batch"])
@pytest.mark.parametrize("name", ContrastiveDraws._fields)
def test_draws_of_another_shape_are_refused(name: str, scope: str) -> None:
    objective = make_objective(cluster_scope=scope)
    features = make_features(objective.config, [9, 6])
    shapes = {
        "noise": (2, 9, 2, 8),
        "negatives": (2, 9, 6),
        "points": (2, 4) if scope == "utterance" else (1, 4),
    }
    shape = shapes[name.rpartition("_")[2]]
    fitting = torch.zeros(shape, dtype=torch.float32 if "noise" in name else torch.long)
    objective(features, NO_UPDATES, ContrastiveDraws(**{name: fitting}))
    message = re.escape(f"`draws.{name}` must have shape {shape}, but has {shape[:-1]}.")
    with pytest.raises(ValueError, match=message):
        objective(features, NO_UPDATES, ContrastiveDraws(**{name: fitting[..., 0]}))
