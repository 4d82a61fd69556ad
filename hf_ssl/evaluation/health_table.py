# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Measures of representations as text: a table, and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from typing import TYPE_CHECKING

from .representation_health import RepresentationHealth

if TYPE_CHECKING:
    from .health import ModelHealth

COLUMNS = ("layer", "RankMe", "of", "collapse AUC", "IsoScore", "mean", "between items", "within", "position")

# Beyond these a reader should look: nothing in between is good or bad by itself.
_FEWEST_DIRECTIONS = 0.02
_MOST_MEAN = 0.95
_MOST_POSITION = 0.5
# Of the largest possible entropy, as the guard of training has it.
_LEAST_CODE_ENTROPY = 1 / 3


def health_table(measured: Sequence[ModelHealth], *, by_layer: bool) -> str:
    """A line per layer of every network, or only for its last layer.

    Args:
        measured: From [`run_health`].
        by_layer: Whether all layers are wanted.
    """
    width = max(len(health.arm) for health in measured)
    lines = ["", f"{'':<{width}}  " + "  ".join(COLUMNS)]
    for health in measured:
        numbers = range(len(health.layers)) if by_layer else [len(health.layers) - 1]
        for number in numbers:
            lines.append(f"{health.arm:<{width}}  " + _row(number, health.layers[number]))
    return "\n".join(lines)


def cells_of(number: int, layer: RepresentationHealth) -> tuple[str, ...]:
    """A layer's line of the table, a cell for each of `COLUMNS`."""
    return (
        f"{number}",
        f"{layer.rankme:.1f}",
        f"{_most_directions(layer)}",
        f"{layer.collapse_auc:.3f}",
        f"{layer.isoscore:.3f}",
        _share(layer.mean_share),
        _share(layer.between_item_share),
        _share(layer.within_item_share),
        _share(layer.position_share),
    )


def _share(value: float) -> str:
    """A dash where it is not defined."""
    return "-" if isnan(value) else f"{value:.1%}"


def _row(number: int, layer: RepresentationHealth) -> str:
    cells = cells_of(number, layer)
    return "  ".join(f"{cell:>{len(column)}}" for cell, column in zip(cells, COLUMNS, strict=True))


def in_words(measured: Sequence[ModelHealth]) -> str:
    """A paragraph per network on its last layer, and what such figures can and cannot say."""
    lines = [""]
    for health in measured:
        last = health.layers[-1]
        lines.append(f"{health.arm}, last layer:")
        lines += [f"  {sentence}" for sentence in (*_sentences(last), *_codebook_sentences(health))]
    lines += [
        "",
        "Their papers found that RankMe and the collapse measure forecast accuracy among models of one method and",
        "size, on the same data. They do not compare methods, a network without training may well use more",
        "directions, and they are no accuracy: that is what hf-ssl probe measures.",
    ]
    return "\n".join(lines)


def _sentences(layer: RepresentationHealth) -> Iterator[str]:
    if layer.rankme != layer.rankme:
        yield "Features are NaN or infinite: the model has diverged."
        return
    most = _most_directions(layer)
    yield f"{layer.rankme:.0f} of {most} possible directions are used (RankMe)."
    if layer.rankme < max(2.0, _FEWEST_DIRECTIONS * most):
        yield "THAT IS NEXT TO NOTHING: the features have collapsed, or one direction outweighs the others."
    if layer.mean_share > _MOST_MEAN:
        yield f"{layer.mean_share:.1%} of the features' squared length is their common mean: they hardly differ."
    if layer.position_share > _MOST_POSITION:
        yield (
            f"{layer.position_share:.0%} OF THE VARIANCE IS EXPLAINED BY THE POSITION ALONE: the features say where a "
            "frame is rather than what it is."
        )
    if layer.between_item_share == layer.between_item_share:
        yield (
            f"Of the variance, {layer.between_item_share:.0%} lies between items and {layer.within_item_share:.0%} "
            "within them."
        )
    if layer.num_vectors < 2 * layer.feature_size:
        yield (
            f"There are but {layer.num_vectors} vectors of size {layer.feature_size}, which lowers RankMe and "
            "IsoScore: take more items (--max_items)."
        )


def _codebook_sentences(health: ModelHealth) -> Iterator[str]:
    codebook = health.codebook
    if codebook is None:
        return
    yield (
        f"{codebook.codebook_usage:.0%} of the quantizer's {codebook.codebook_size} codes occur in "
        f"{codebook.num_codes} frames; they are as good as {codebook.codebook_perplexity:.0f} equally frequent ones."
    )
    if codebook.codebook_perplexity < codebook.codebook_size**_LEAST_CODE_ENTROPY:
        yield "THAT IS FEW: are the features normalised?"


def _most_directions(layer: RepresentationHealth) -> int:
    return min(layer.num_vectors, layer.feature_size)
