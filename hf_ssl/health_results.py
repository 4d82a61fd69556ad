# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What `hf-ssl health --results` wrote, read again for cards and pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

from .evaluation.representation_health import RepresentationHealth
from .own_results import ComparedLine, told_settings

_SIZES = ("num_items", "num_vectors", "feature_size")


@dataclass(frozen=True)
class HealthResult:
    """Measures of one network on one set of items.

    Attributes:
        arm (`str`): As in the file; it may be a path.
        is_own (`bool`): Whether it is the model that the card or page is on.
        data (`str`): As in the file.
        num_items (`int`): How many were measured.
        layers (`tuple[RepresentationHealth, ...]`): From the input of the first layer to the output of the last.
        codebook (`Mapping[str, float]`, *optional*): Fields of
            [`~hf_ssl.evaluation.codebooks.CodebookHealth`], if it has a quantizer.
        settings (`str`): In words, where they are not as usual.
    """

    arm: str
    is_own: bool
    data: str
    num_items: int
    layers: tuple[RepresentationHealth, ...]
    codebook: Mapping[str, float] | None
    settings: str = ""


def health_results(lines: Sequence[ComparedLine]) -> list[HealthResult]:
    """Measures in lines of a results file, those of the model itself first.

    Args:
        lines: From [`~hf_ssl.own_results.results_of_model`].

    Raises:
        ValueError: A line is not what hf-ssl health writes.
    """
    return [_result(compared) for compared in sorted(lines, key=lambda compared: not compared.is_own)]


def _result(compared: ComparedLine) -> HealthResult:
    line, is_own = compared
    try:
        layers = tuple(_layer(figures) for figures in line["layers"])
        codebook = line["codebook"]
        if codebook is not None:
            codebook = {name: float(codebook[name]) for name in _CODEBOOK}
        result = HealthResult(
            str(line["arm"]), is_own, str(line["data"]), int(line["num_items"]), layers, codebook, told_settings(line)
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ValueError(
            f"Not what hf-ssl health writes ({type(error).__name__}: {error}), {dict(line)!r:.200}."
        ) from error
    if not layers:
        raise ValueError(f"Not what hf-ssl health writes (no layer), {dict(line)!r:.200}.")
    return result


_CODEBOOK = ("codebook_usage", "codebook_perplexity", "codebook_size", "num_codes")


def _layer(figures: Mapping[str, Any]) -> RepresentationHealth:
    """The reverse of what `hf-ssl health` writes: JSON has no NaN."""
    values: dict[str, Any] = {name: nan if value is None else float(value) for name, value in figures.items()}
    return RepresentationHealth(**values | {name: int(values[name]) for name in _SIZES})
