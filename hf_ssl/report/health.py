# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Results of `hf-ssl health`: how the trained model uses its space, beside whatever was measured on the same items."""

from collections.abc import Iterable, Sequence

from ..evaluation.health_table import COLUMNS, cells_of
from ..health_results import HealthResult
from ..own_results import OWN_ARM
from .markup import Child, Markup, element
from .numbers import format_share
from .privacy import arm_name, last_name
from .section import Section, foldable, table

_INTRODUCTION = (
    "Frozen features of the last layer, measured without labels by hf-ssl health: RankMe, the directions in use, "
    "of so many; collapse, 1 if a single direction holds all the variance; IsoScore, 1 if all are used alike; the "
    "mean's part of the squared length; and shares of the variance. Compare models of one method and size only."
)


def health_section(results: Sequence[HealthResult]) -> Section:
    """A block for each set of items: last layers of all arms, then all layers of this run."""
    groups: dict[tuple[str, int, str], list[HealthResult]] = {}
    for result in results:
        groups.setdefault((result.data, result.num_items, result.settings), []).append(result)
    blocks = [_measurement(group) for group in groups.values()]
    return Section("Health after training", [element("p", _INTRODUCTION, class_="introduction"), blocks])


def _measurement(results: Sequence[HealthResult]) -> Child:
    first = results[0]
    settings = f" ({first.settings})" if first.settings else ""
    return [
        element("h3", f"{first.num_items} items of {last_name(first.data)}{settings}"),
        table(["Network", *COLUMNS], [[_arm(result), *_last_layer(result)] for result in results], "figures"),
        [_details(result) for result in results if result.is_own],
    ]


def _arm(result: HealthResult) -> Child:
    if result.is_own:
        return element("b", OWN_ARM)
    return arm_name(result.arm)


def _last_layer(result: HealthResult) -> Iterable[str]:
    return cells_of(len(result.layers) - 1, result.layers[-1])


def _details(result: HealthResult) -> list[Markup | None]:
    rows = [cells_of(number, layer) for number, layer in enumerate(result.layers)]
    return [_codebook(result), foldable(f"All layers of {OWN_ARM}", table(COLUMNS, rows, "figures"))]


def _codebook(result: HealthResult) -> Markup | None:
    codebook = result.codebook
    if codebook is None:
        return None
    return element(
        "p",
        f"{format_share(codebook['codebook_usage'])} of the quantizer's {codebook['codebook_size']:.0f} codes occur "
        f"in {codebook['num_codes']:.0f} frames; they are as good as {codebook['codebook_perplexity']:.0f} equally "
        "frequent ones.",
        class_="caption",
    )
