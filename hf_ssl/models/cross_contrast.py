# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Cross-contrastive part of data2vec-aqc: quantized views, their clusters, and the losses of either branch."""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from .clustering import Clusters, cosine_kmeans
from .configuration_data2vec_aqc import Data2VecAqcConfig
from .contrast import (
    contrastive_logits,
    contrastive_loss,
    draw_cross_negatives,
    draw_negatives,
    exclude_negatives,
    same_as_own,
    weaken_negatives,
)
from .dropout import Dropout
from .quantizers import GumbelVectorQuantizer, QuantizedVectors


class Projection(nn.Linear):
    """Linear layer of the objective, of its own type because it starts from torch's own initialisation."""


class ContrastiveDraws(NamedTuple):
    """What the cross-contrastive part draws at random; an entry that is `None` is drawn, in evaluation always alike.

    `clean_noise`, `augmented_noise`: `(batch_size, num_slots, num_groups, codes_per_group)`, Gumbel noise.
    `clean_negatives`, `augmented_negatives`: `(batch_size, num_slots, num_negatives)`, slots of the same utterance;
        with `config.num_cross_negatives` of the whole batch, `utterance * num_slots + slot`.
    `initial_points`: the points from which k-means starts: `(batch_size, num_clusters)`, numbers of the clean slots
        and then the augmented ones of each utterance; with `config.cluster_scope="batch"` `(1, num_clusters)`, those
        of all utterances.
    """

    clean_noise: torch.Tensor | None = None
    augmented_noise: torch.Tensor | None = None
    clean_negatives: torch.Tensor | None = None
    augmented_negatives: torch.Tensor | None = None
    initial_points: torch.Tensor | None = None


class SlotFeatures(NamedTuple):
    """What the predicted frames are contrasted with and by. Row `b` has those of utterance `b`, then filler.

    `clean`, `augmented`: `(batch_size, num_slots, conv_dim[-1])`, normalised local features of either view.
    `student`, `teacher`: `(batch_size, num_slots, hidden_size)`: the student's output, and the targets.
    `is_real`: `(batch_size, num_slots)`, `False` at filler.
    `frame_counts`: `(batch_size,)`, real frames of the utterances, masked or not.
    `max_frames`: that of the longest, padding included.
    """

    clean: torch.Tensor
    augmented: torch.Tensor
    student: torch.Tensor
    teacher: torch.Tensor
    is_real: torch.Tensor
    frame_counts: torch.Tensor
    max_frames: int


class QuantizedView(NamedTuple):
    """Targets of one view, in groups: one per utterance, or a single one if negatives come from the whole batch.

    `vectors`: `(num_groups, num_slots, proj_codevector_dim)`.
    `codes`, `labels`: `(num_groups, num_slots)`: a number for the entries of all codebooks together; the cluster.
    `negatives`: `(num_groups, num_slots, num_negatives)`, slots of the same group.
    """

    vectors: torch.Tensor
    codes: torch.Tensor
    labels: torch.Tensor
    negatives: torch.Tensor


class BranchContrast(NamedTuple):
    """Contrastive loss of the student or of the teacher.

    `loss`: a scalar, the sum over predicted frames.
    `logits`: `(batch_size, num_slots, 1 + num_negatives)`, the positive first.
    `collision_share`, `cluster_mate_share`: scalars: negatives that have the code, and that are in the cluster, of
        the positive.
    """

    loss: torch.Tensor
    logits: torch.Tensor
    collision_share: torch.Tensor
    cluster_mate_share: torch.Tensor


class CrossContrast(NamedTuple):
    """The whole cross-contrastive part.

    `student`: the student against the clean view. `teacher`: the teacher against the augmented one.
    `quantized`: the clean view. `clusters`: of both views.
    """

    student: BranchContrast
    teacher: BranchContrast
    quantized: QuantizedVectors
    clusters: Clusters


class CrossContrastiveObjective(nn.Module):
    """Quantizes both views and contrasts the student with the clean and the teacher with the augmented one (section
    3 of the paper).

    Both branches go through one projection, which the teacher's branch trains too, as in the original.
    """

    def __init__(self, config: Data2VecAqcConfig):
        super().__init__()
        self.config = config
        self.dropout = Dropout(config.feat_quantizer_dropout)
        self.quantizer = GumbelVectorQuantizer(
            config.conv_dim[-1],
            config.num_codevector_groups,
            config.num_codevectors_per_group,
            config.codevector_size,
            config.quantizer_depth,
            config.quantizer_factor,
        )
        self.target_projection = Projection(config.codevector_size, config.proj_codevector_dim)
        self.anchor_projection = Projection(config.hidden_size, config.proj_codevector_dim)

    def forward(self, features: SlotFeatures, num_updates: torch.Tensor, draws: ContrastiveDraws) -> CrossContrast:
        """
        Args:
            features: Of the predicted frames.
            num_updates: Updates of training so far, a scalar, for the temperature.
            draws: What is given instead of drawn.

        Raises:
            ValueError: Draws that are given have other shapes than those that would be drawn.
        """
        self._check_draws(draws, features)
        is_real, temperature = features.is_real, self.temperature(num_updates)
        quantized = self.quantizer(self.dropout(features.clean), is_real, temperature, draws.clean_noise)
        augmented = self.quantizer(self.dropout(features.augmented), is_real, temperature, draws.augmented_noise)
        vectors = self.target_projection(quantized.vectors)
        augmented_vectors = self.target_projection(augmented.vectors)
        draws = self._complete(draws, features)
        clusters = self._cluster(vectors, augmented_vectors, features, draws.initial_points)
        labels, augmented_labels = self._labels_of_views(clusters, is_real)
        clean_view = self._view(vectors, quantized.codes, labels, draws.clean_negatives)
        augmented_view = self._view(augmented_vectors, augmented.codes, augmented_labels, draws.augmented_negatives)
        return CrossContrast(
            student=self._contrast(features.student, clean_view, is_real),
            teacher=self._contrast(features.teacher, augmented_view, is_real),
            quantized=quantized,
            clusters=clusters,
        )

    def temperature(self, num_updates: torch.Tensor) -> torch.Tensor:
        """Of the Gumbel softmax after so many updates; a scalar that stays on the device."""
        start, end, decay = map(float, self.config.gumbel_temperature)
        # not a power of a number so near to 1, which float32 would round
        return (start * (num_updates.float() * math.log(decay)).exp()).clamp_min(end)

    @torch.no_grad()
    def _cluster(
        self,
        vectors: torch.Tensor,
        augmented_vectors: torch.Tensor,
        features: SlotFeatures,
        initial_points: torch.Tensor | None,
    ) -> Clusters:
        """K-means over the slots of both views, `(batch_size, num_slots, proj_codevector_dim)` each."""
        config, is_real, frame_counts = self.config, features.is_real, features.frame_counts
        if config.cluster_scope == "batch":
            vectors, augmented_vectors = (view.flatten(0, 1).unsqueeze(0) for view in (vectors, augmented_vectors))
            is_real, frame_counts = is_real.flatten().unsqueeze(0), frame_counts.amax(dim=0, keepdim=True)
        points = F.normalize(torch.cat([vectors, augmented_vectors], dim=1).float(), dim=-1)
        assert initial_points is not None
        return cosine_kmeans(
            points,
            initial_points,
            point_mask=torch.cat([is_real, is_real], dim=1),
            num_clusters=(frame_counts // config.cluster_factor).clamp_min(2),
            max_iterations=config.num_kmeans_iterations,
            tolerance=config.kmeans_tolerance,
        )

    def _labels_of_views(self, clusters: Clusters, is_real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Clusters of the clean and of the augmented slots, `(batch_size, num_slots)` each."""
        clean, augmented = clusters.labels.chunk(2, dim=1)
        return clean.reshape(is_real.shape), augmented.reshape(is_real.shape)

    def _view(
        self, vectors: torch.Tensor, codes: torch.Tensor, labels: torch.Tensor, negatives: torch.Tensor | None
    ) -> QuantizedView:
        assert negatives is not None
        bases = self.config.num_codevectors_per_group ** torch.arange(codes.shape[-1], device=codes.device)
        whole = [self._in_groups(values) for values in (vectors, (codes * bases).sum(dim=-1), labels, negatives)]
        return QuantizedView(*whole)

    def _complete(self, draws: ContrastiveDraws, features: SlotFeatures) -> ContrastiveDraws:
        """With negatives and first centroids drawn where there are none. In evaluation the seed is always the same, so
        that losses of two evaluations can be compared."""
        is_real = features.is_real
        generator = None if self.training else torch.Generator(is_real.device).manual_seed(0)
        point_mask = torch.cat([is_real, is_real], dim=1)
        if self.config.cluster_scope == "batch":
            point_mask = torch.cat([is_real.flatten(), is_real.flatten()]).unsqueeze(0)
        drawn = {
            "clean_negatives": self._draw_negatives(is_real, generator),
            "augmented_negatives": self._draw_negatives(is_real, generator),
            "initial_points": _draw_points(point_mask, self._max_clusters(features), generator),
        }
        return draws._replace(**{name: value for name, value in drawn.items() if draws._asdict()[name] is None})

    def _check_draws(self, draws: ContrastiveDraws, features: SlotFeatures) -> None:
        config, slots = self.config, tuple(features.is_real.shape)
        noise = (*slots, config.num_codevector_groups, config.num_codevectors_per_group)
        negatives = (*slots, config.num_all_negatives)
        num_groups = 1 if config.cluster_scope == "batch" else slots[0]
        points = (num_groups, self._max_clusters(features))
        shapes = (noise, noise, negatives, negatives, points)
        for (name, draw), shape in zip(draws._asdict().items(), shapes, strict=True):
            if draw is not None and tuple(draw.shape) != shape:
                raise ValueError(f"`draws.{name}` must have shape {shape}, but has {tuple(draw.shape)}.")

    def _max_clusters(self, features: SlotFeatures) -> int:
        return max(2, features.max_frames // self.config.cluster_factor)

    def _draw_negatives(self, is_real: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        negatives = draw_negatives(is_real, self.config.num_negatives, generator)
        if self.config.num_cross_negatives == 0:
            return negatives
        batch_size, num_slots = is_real.shape
        first_slots = torch.arange(batch_size, device=is_real.device).view(-1, 1, 1) * num_slots
        cross_negatives = draw_cross_negatives(is_real, self.config.num_cross_negatives, generator)
        return torch.cat([negatives + first_slots, cross_negatives], dim=-1)

    def _in_groups(self, values: torch.Tensor) -> torch.Tensor:
        """Slots of an utterance by themselves, or all together if negatives come from the whole batch."""
        return values if self.config.num_cross_negatives == 0 else values.flatten(0, 1).unsqueeze(0)

    def _contrast(self, hidden_states: torch.Tensor, view: QuantizedView, is_real: torch.Tensor) -> BranchContrast:
        config, batch_shape = self.config, is_real.shape
        hidden_states = hidden_states.to(self.anchor_projection.weight.dtype)
        anchors, is_real = self._in_groups(self.anchor_projection(hidden_states)), self._in_groups(is_real)
        logits = contrastive_logits(anchors, view.vectors, view.negatives, config.contrastive_logits_temperature)
        collisions = same_as_own(view.codes, view.negatives) & is_real.unsqueeze(-1)
        mates = same_as_own(view.labels, view.negatives) & is_real.unsqueeze(-1)
        logits = exclude_negatives(logits, collisions)
        condition = collisions.any() if config.cluster_only_on_collision else None
        logits = weaken_negatives(logits, mates, config.scale_factor, config.cluster_weighting, condition)
        num_negatives = (is_real.sum() * config.num_all_negatives).clamp_min(1)
        return BranchContrast(
            loss=contrastive_loss(logits, is_real),
            logits=logits.view(*batch_shape, -1),
            collision_share=collisions.sum() / num_negatives,
            cluster_mate_share=mates.sum() / num_negatives,
        )


def _draw_points(point_mask: torch.Tensor, num_points: int, generator: torch.Generator | None) -> torch.Tensor:
    """Numbers of points, with replacement: `(num_groups, all_points)`, `True` where there is one, ->
    `(num_groups, num_points)`."""
    ends = point_mask.sum(dim=-1, keepdim=True)
    drawn = torch.rand(len(point_mask), num_points, device=point_mask.device, generator=generator)
    ranks = torch.minimum((drawn * ends).long(), (ends - 1).clamp_min(0))
    return torch.searchsorted(point_mask.cumsum(dim=-1), ranks, right=True).clamp_max(point_mask.shape[1] - 1)
