# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""K-means over groups at once."""

import pytest
import torch
from torch.nn import functional as F

from hf_ssl.models.clustering import cosine_kmeans


def reference_kmeans(points: torch.Tensor, initial: list[int], max_iterations: int, tolerance: float):
    """One group, point by point and cluster by cluster."""
    centroids = points[initial].clone()
    labels = torch.zeros(len(points), dtype=torch.long)
    for _ in range(max_iterations):
        for index, point in enumerate(points):
            labels[index] = F.cosine_similarity(point.unsqueeze(0), centroids).argmax()
        means = torch.zeros_like(centroids)
        for cluster in range(len(centroids)):
            if (labels == cluster).any():
                means[cluster] = points[labels == cluster].mean(dim=0)
        moved = (means - centroids).square().sum()
        centroids = means
        if moved <= tolerance:
            break
    return labels, centroids


def test_groups_of_unequal_size_are_clustered_each_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3, 40, 5, generator=generator)
    sizes, clusters = [40, 25, 10], [6, 4, 2]
    mask = torch.arange(40) < torch.tensor(sizes).unsqueeze(-1)
    points[~mask] = 100.0  # what is no point must not matter
    initial = torch.stack([torch.randint(size, (6,), generator=generator) for size in sizes])
    found = cosine_kmeans(points, initial, point_mask=mask, num_clusters=torch.tensor(clusters), max_iterations=30)
    for group, (size, count) in enumerate(zip(sizes, clusters, strict=True)):
        labels, centroids = reference_kmeans(points[group, :size], initial[group, :count].tolist(), 30, 1e-4)
        assert torch.equal(found.labels[group, :size], labels)
        torch.testing.assert_close(found.centroids[group, :count], centroids)
        assert torch.equal(found.counts[group].long(), torch.bincount(labels, minlength=6))
        assert found.is_cluster[group].tolist() == [index < count for index in range(6)]


def test_a_finished_group_stays_while_others_go_on() -> None:
    """The result of a group does not depend on which others there are, nor on iterations after it has finished."""
    generator = torch.Generator().manual_seed(1)
    easy = torch.eye(4).repeat(5, 1)
    hard = torch.randn(20, 4, generator=generator)
    initial = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]])
    together = cosine_kmeans(torch.stack([easy, hard]), initial, max_iterations=50)
    alone = cosine_kmeans(easy.unsqueeze(0), initial[:1], max_iterations=50)
    assert torch.equal(together.labels[0], alone.labels[0])
    assert torch.equal(together.centroids[0], alone.centroids[0])


def test_the_host_is_not_asked(meta_device: None) -> None:
    """Tensors without memory cannot answer: whatever asks for a value of them fails."""
    points = torch.empty(3, 40, 5, device="meta")
    initial = torch.empty(3, 6, device="meta", dtype=torch.long)
    mask = torch.empty(3, 40, device="meta", dtype=torch.bool)
    num_clusters = torch.empty(3, device="meta", dtype=torch.long)
    found = cosine_kmeans(points, initial, point_mask=mask, num_clusters=num_clusters)
    assert found.labels.shape == (3, 40)
    assert found.centroids.shape == (3, 6, 5)
    assert found.counts.shape == found.is_cluster.shape == (3, 6)
    with pytest.raises(RuntimeError):
        bool(found.counts.any())


def test_clusters_that_start_at_the_same_point_die() -> None:
    points = torch.randn(1, 12, 3, generator=torch.Generator().manual_seed(2)).abs()  # no two are turned away
    found = cosine_kmeans(points, torch.zeros(1, 3, dtype=torch.long))
    assert found.counts.tolist() == [[12.0, 0.0, 0.0]]
    assert not found.centroids[0, 1:].any()


def test_of_clusters_that_start_in_the_same_direction_the_first_gets_the_points() -> None:
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(300, 1, 24, generator=generator)
    lengths = torch.rand(300, 6, 1, generator=generator) + 0.5  # rounding differs between them
    clusters = cosine_kmeans(direction * lengths, torch.arange(5).expand(300, -1))
    assert (clusters.labels == 0).all()


def test_separated_directions_are_found() -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.randint(3, (60,), generator=generator)
    points = torch.eye(3)[truth] * (1 + 5 * torch.rand(60, 1, generator=generator))
    points += 0.01 * torch.randn(60, 3, generator=generator)
    initial = torch.stack([(truth == cluster).nonzero()[0] for cluster in range(3)], dim=1)
    assert torch.equal(cosine_kmeans(points.unsqueeze(0), initial).labels[0], truth)


def test_autocast_does_not_round_similarities() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(1, 400, 16, generator=generator) + 3 * torch.randn(16, generator=generator)
    initial = torch.arange(8).unsqueeze(0)
    plain = cosine_kmeans(points, initial)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = cosine_kmeans(points, initial)
    assert torch.equal(cast.labels, plain.labels)
    assert torch.equal(cast.centroids, plain.centroids)


def test_half_precision_points() -> None:
    points = torch.randn(1, 10, 4, generator=torch.Generator().manual_seed(4)).bfloat16()
    found = cosine_kmeans(points, torch.tensor([[0, 5]]))
    assert found.centroids.dtype == torch.float32
    assert torch.equal(found.labels, cosine_kmeans(points.float(), torch.tensor([[0, 5]])).labels)
