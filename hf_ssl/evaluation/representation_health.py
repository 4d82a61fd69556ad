# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""How healthy are representations? Measures that need no label.

All of them follow from a few sums over the features, so that hours of frames take the memory of one:

```python
>>> moments = FeatureMoments(feature_size=768)
>>> for frames in encoder_outputs:  # (num_frames, 768) of one clip, image or text each
...     moments.add(frames)
>>> moments.health().rankme
```
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import nan

import torch

# Vectors whose variance is a smaller share of their squared length differ by the rounding of float32 only.
_ROUNDING = 1e-11


@dataclass(frozen=True)
class RepresentationHealth:
    """Measures of the vectors (frames, patches, tokens) of several items (clips, images, texts).

    A measure is NaN where it is not defined: all of them if a feature is not finite, the shares of the variance if
    there is none.

    Attributes:
        rankme (`float`): Directions that are really used, from 1 (all vectors alike) to the smaller of `num_vectors`
            and `feature_size`, see [`rankme`].
        collapse_auc (`float`): From about 1/2 (all directions matter equally) to 1 (one direction is all there is),
            see [`collapse_auc`].
        isoscore (`float`): From 0 (one direction) to 1 (the same variance in all), see [`isoscore`].
        mean_share (`float`): Share of the mean vector in the mean squared length: 1 if all vectors are the same.
        between_item_share (`float`), within_item_share (`float`): Shares of the variance between the means of the
            items and around them; they add up to 1.
        position_share (`float`): Share of the variance that the position in the item alone explains. 1 if every clip
            has the same features at the same time, a collapse that the others do not see; about 0, also a little
            below, if the position says nothing. NaN if no position occurs in two items.
        num_items (`int`), num_vectors (`int`), feature_size (`int`): What was measured.
    """

    rankme: float
    collapse_auc: float
    isoscore: float
    mean_share: float
    between_item_share: float
    within_item_share: float
    position_share: float
    num_items: int
    num_vectors: int
    feature_size: int

    def measures(self) -> dict[str, float]:
        """The measures by name, without the sizes."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, float)}


def rankme(singular_values: torch.Tensor) -> torch.Tensor:
    """RankMe: the exponential of the entropy of the singular values' shares (Garrido et al. 2023, "RankMe: Assessing
    the downstream performance of pretrained self-supervised representations by their rank", equation 1; the effective
    rank of Roy & Vetterli 2007).

    The paper adds 1e-7 to the shares to keep them from 0; here 0 log 0 is 0.

    Args:
        singular_values: `(feature_size,)`, of the matrix of vectors as they are, mean included.

    Returns:
        A scalar; 0 if all values are 0.
    """
    shares = singular_values / singular_values.sum().clamp_min(torch.finfo(singular_values.dtype).tiny)
    return torch.where(shares.any(), torch.special.entr(shares).sum().exp(), 0.0)


def collapse_auc(singular_values: torch.Tensor) -> torch.Tensor:
    """Dimensional collapse: the area under the curve of the singular values' cumulative shares, largest first (Li,
    Efros & Pathak 2022, "Understanding collapse in non-contrastive Siamese representation learning", who forecast
    SimSiam's accuracy by it).

    As in the authors' evaluation the mean is taken off, and vectors are not brought to equal length.

    Args:
        singular_values: `(feature_size,)`, of the matrix of vectors with their mean taken off.

    Returns:
        A scalar: (1 + 1 / feature_size) / 2 if all values are equal, 1 if only one is not 0 or all are 0.
    """
    total = singular_values.sum()
    cumulative = singular_values.sort(descending=True).values.cumsum(0) / total.clamp_min(
        torch.finfo(total.dtype).tiny
    )
    return torch.where(total > 0, cumulative.mean(), 1.0)


def isoscore(variances: torch.Tensor) -> torch.Tensor:
    """IsoScore: how evenly the variance fills the space (Rudman et al. 2022, "IsoScore: Measuring the uniformity of
    embedding space utilization", algorithm 1).

    Taken instead of mean cosine similarity and of the partition function's ratio (Mu & Viswanath 2018) because the
    paper shows these to follow the mean vector and the scale rather than the use of directions. Its steps come down to
    `(participation - 1) / (feature_size - 1)` with the participation ratio `sum(variances)**2 / sum(variances**2)`.

    Args:
        variances: `(feature_size,)`, of the principal components: the squares of the singular values of
            [`collapse_auc`], in any unit.

    Returns:
        A scalar; 0 if there is no variance, NaN for a single dimension.
    """
    squares = variances.square().sum()
    participation = variances.sum().square() / squares.clamp_min(torch.finfo(squares.dtype).tiny)
    return (participation - 1).clamp_min(0) / (len(variances) - 1)


class FeatureMoments:
    """Sums over the vectors of items, in double precision on the CPU, from which all measures follow.

    Float32 would not do: its rounding errors add up to directions that are not there.

    Args:
        feature_size: Size of the vectors.
    """

    def __init__(self, feature_size: int):
        self.feature_size = feature_size
        self.num_items = self.num_vectors = 0
        self._outer = torch.zeros(feature_size, feature_size, dtype=torch.float64)
        self._sum = torch.zeros(feature_size, dtype=torch.float64)
        self._squared_item_sums = 0.0  # each divided by the number of the item's vectors
        # By position: how many items reach it, the sum of their vectors, and that of the squared lengths.
        self._position_counts = torch.zeros(0, dtype=torch.float64)
        self._position_sums = torch.zeros(0, feature_size, dtype=torch.float64)
        self._position_squares = torch.zeros(0, dtype=torch.float64)

    def add(self, frames: torch.Tensor) -> None:
        """Adds the vectors of one item.

        Args:
            frames: `(num_vectors, feature_size)`, in their order.

        Raises:
            ValueError: They have another shape.
        """
        if frames.ndim != 2 or frames.shape[1] != self.feature_size or not len(frames):
            raise ValueError(
                f"Expected at least one vector of size {self.feature_size} of an item, (num_vectors, feature_size), "
                f"got the shape {tuple(frames.shape)}."
            )
        frames = frames.detach().cpu().double()
        item_sum = frames.sum(0)
        self.num_items += 1
        self.num_vectors += len(frames)
        self._outer += frames.mT @ frames
        self._sum += item_sum
        self._squared_item_sums += float(item_sum @ item_sum) / len(frames)
        self._add_positions(frames)

    def _add_positions(self, frames: torch.Tensor) -> None:
        new = max(0, len(frames) - len(self._position_counts))
        if new:
            self._position_counts = torch.nn.functional.pad(self._position_counts, (0, new))
            self._position_squares = torch.nn.functional.pad(self._position_squares, (0, new))
            self._position_sums = torch.nn.functional.pad(self._position_sums, (0, 0, 0, new))
        self._position_counts[: len(frames)] += 1
        self._position_sums[: len(frames)] += frames
        self._position_squares[: len(frames)] += frames.square().sum(1)

    def health(self) -> RepresentationHealth:
        """The measures of all that was added.

        Raises:
            ValueError: Nothing was.
        """
        if not self.num_items:
            raise ValueError("Expected at least one item to measure representations of, got none.")
        measures = self._measures() if self._outer.isfinite().all() else dict.fromkeys(_MEASURES, nan)
        return RepresentationHealth(
            **measures, num_items=self.num_items, num_vectors=self.num_vectors, feature_size=self.feature_size
        )

    def _measures(self) -> dict[str, float]:
        mean_squares = float(self._sum @ self._sum) / self.num_vectors
        squares = float(self._outer.trace())
        variance = squares - mean_squares
        if variance <= _ROUNDING * squares:
            variance = 0.0
        variances = self._variances() if variance else torch.zeros(self.feature_size, dtype=torch.float64)
        between = (self._squared_item_sums - mean_squares) / variance if variance else nan
        return {
            "rankme": float(rankme(torch.linalg.eigvalsh(self._outer).clamp_min(0).sqrt())),
            "collapse_auc": float(collapse_auc(variances.sqrt())),
            "isoscore": float(isoscore(variances)),
            "mean_share": mean_squares / squares if squares else nan,
            "between_item_share": between,
            "within_item_share": 1 - between,
            "position_share": self._position_share() if variance else nan,
        }

    def _variances(self) -> torch.Tensor:
        """Of the principal components, times the number of vectors, `(feature_size,)`."""
        centred = self._outer - torch.outer(self._sum, self._sum) / self.num_vectors
        return torch.linalg.eigvalsh(centred).clamp_min(0)

    def _position_share(self) -> float:
        """One less the share of the variance between items at equal position, as `between_utterance_share` of the
        training logs: unbiased, over the positions that several items reach."""
        shared = self._position_counts > 1
        counts, sums = self._position_counts[shared], self._position_sums[shared]
        squares, num_vectors = self._position_squares[shared], float(counts.sum())
        if not num_vectors:
            return nan
        around_means = squares - sums.square().sum(1) / counts
        between_items = float((around_means * counts / (counts - 1)).sum()) / num_vectors
        total = (float(squares.sum()) - float(sums.sum(0).square().sum()) / num_vectors) / (num_vectors - 1)
        return 1 - between_items / total if total > 0 else nan


_MEASURES = ("rankme", "collapse_auc", "isoscore", "mean_share", "between_item_share", "within_item_share",
             "position_share")  # fmt: skip


def measure_health(items: Iterable[torch.Tensor]) -> RepresentationHealth:
    """The measures of the features of several items.

    Args:
        items: `(num_vectors, feature_size)` of each; at least one.

    Raises:
        ValueError: There is none, or their sizes differ.
    """
    moments: FeatureMoments | None = None
    for frames in items:
        moments = moments or FeatureMoments(frames.shape[-1])
        moments.add(frames)
    if moments is None:
        raise ValueError("Expected at least one item to measure representations of, got none.")
    return moments.health()
