# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""K-means over groups of vectors at once, without the host waiting for the device."""

from typing import NamedTuple

import torch
from torch.nn import functional as F

from .input_checks import can_ask

# Similarities that differ by less are equal: some roundings of float32.
TIE = 1e-6


class Clusters(NamedTuple):
    """What k-means found.

    `labels`, `(num_groups, num_points)`: the cluster of each point; meaningless where there is no point.
    `centroids`, `(num_groups, max_clusters, size)`: means of the points; zero where a cluster is dead.
    `counts`, `(num_groups, max_clusters)`: points per cluster; 0 where a cluster is dead.
    `is_cluster`, `(num_groups, max_clusters)`: `False` behind the last cluster of a group.
    """

    labels: torch.Tensor
    centroids: torch.Tensor
    counts: torch.Tensor
    is_cluster: torch.Tensor


@torch.no_grad()
def cosine_kmeans(
    points: torch.Tensor,
    initial_points: torch.Tensor,
    *,
    point_mask: torch.Tensor | None = None,
    num_clusters: torch.Tensor | None = None,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
) -> Clusters:
    """K-means with cosine similarity: each point goes to the centroid whose direction is nearest to its own.

    All in float32, under autocast too, whose products would round away which centroid is nearer. A group that no
    longer moves stays as it is while the others go on, so that nothing has to be asked of the device. As in the
    library that data2vec-aqc uses, labels are those from which the last centroids were made, and a dead cluster's
    centroid is zero: points that are turned away from all others come to it.

    Args:
        points: `(num_groups, num_points, size)`. Each group is clustered by itself.
        initial_points: `(num_groups, max_clusters)`: which points are the first centroids.
        point_mask: `(num_groups, num_points)`, `True` where there is a point; `None` if everywhere.
        num_clusters: `(num_groups,)`, at most `max_clusters`, which it is if absent.
        max_iterations: At most so many.
        tolerance: Squared movement of all centroids of a group at which it is finished.
    """
    with torch.autocast(points.device.type, enabled=False):
        return _kmeans(points.float(), initial_points, point_mask, num_clusters, max_iterations, tolerance)


def _kmeans(
    points: torch.Tensor,
    initial_points: torch.Tensor,
    point_mask: torch.Tensor | None,
    num_clusters: torch.Tensor | None,
    max_iterations: int,
    tolerance: float,
) -> Clusters:
    num_groups, max_clusters = initial_points.shape
    weights = points.new_ones(points.shape[:2]) if point_mask is None else point_mask.to(points.dtype)
    is_cluster = torch.ones_like(initial_points, dtype=torch.bool)
    if num_clusters is not None:
        is_cluster = torch.arange(max_clusters, device=points.device) < num_clusters.unsqueeze(-1)
    directions = F.normalize(points, dim=-1)
    centroids = points.gather(1, initial_points.unsqueeze(-1).expand(-1, -1, points.shape[-1]))
    labels = torch.zeros(points.shape[:2], dtype=torch.long, device=points.device)
    counts = points.new_zeros(num_groups, max_clusters)
    finished = torch.zeros(num_groups, dtype=torch.bool, device=points.device)
    for _ in range(max_iterations):
        next_labels = _nearest(directions, centroids, is_cluster)
        next_counts, means = _means(points, weights, next_labels, max_clusters)
        movement = ((means - centroids).square() * is_cluster.unsqueeze(-1)).sum(dim=(1, 2))
        labels = torch.where(finished.unsqueeze(-1), labels, next_labels)
        counts = torch.where(finished.unsqueeze(-1), counts, next_counts)
        centroids = torch.where(finished.view(-1, 1, 1), centroids, means)
        finished = finished | (movement <= tolerance)
        # on a CPU the answer is there already; elsewhere asking would stop the queue of work
        if can_ask(points) and bool(finished.all()):
            break
    return Clusters(labels, centroids, counts, is_cluster)


def _nearest(directions: torch.Tensor, centroids: torch.Tensor, is_cluster: torch.Tensor) -> torch.Tensor:
    """Of centroids that are equally near, as two first ones are that have the same code, the first: which of them a
    product puts a rounding error ahead differs between processors."""
    similarities = directions @ F.normalize(centroids, dim=-1).transpose(1, 2)
    similarities = similarities.masked_fill(~is_cluster.unsqueeze(1), -torch.inf)
    is_nearest = similarities >= similarities.amax(dim=-1, keepdim=True) - TIE
    return is_nearest.to(torch.uint8).argmax(dim=-1)


def _means(
    points: torch.Tensor, weights: torch.Tensor, labels: torch.Tensor, max_clusters: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Number and mean of each cluster's points; by a product, for adding by index is not deterministic on a GPU."""
    members = F.one_hot(labels, max_clusters).to(points.dtype) * weights.unsqueeze(-1)
    counts = members.sum(dim=1)
    return counts, members.transpose(1, 2) @ points / counts.clamp_min(1).unsqueeze(-1)
