# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Do measures without labels tell how good features are? Rank correlations with the accuracy of linear probes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .evaluation.metrics import rank_correlation
from .replication.table import markdown_rows

MEASURES = ("rankme", "collapse_auc", "isoscore", "mean_share", "between_item_share", "position_share")
FEWEST_MODELS = 3


class Network(NamedTuple):
    """A model, or its twin with random weights."""

    model: str
    untrained: bool


class Correlations(NamedTuple):
    """Of one measure with the accuracy of probes on validation, by Spearman; NaN where nothing varies.

    Attributes:
        all_layers: Over the layers of all models.
        within_models: Over the layers within a model, the mean over models.
        last_layers: Over the models' last layers.
        num_models: How many models.
    """

    all_layers: float
    within_models: float
    last_layers: float
    num_models: int


def correlations(results: Sequence[dict[str, Any]], data: str) -> dict[str, Correlations]:
    """By measure. Of a model with random weights the first twin counts, which `hf-ssl health` and `hf-ssl probe` make
    of the same seed.

    Args:
        results: Lines of both commands.
        data: The labelled data, with the column: `"DIGITS, label"`.

    Raises:
        ValueError: Fewer than three models have both.
    """
    health, accuracies = health_by_network(results), accuracies_by_data(results).get(data, {})
    both = {network: health[network] for network in accuracies if network in health}
    if len(both) < FEWEST_MODELS:
        raise ValueError(f"{data}: expected at least {FEWEST_MODELS} models with health and probes, got {len(both)}.")
    return {measure: correlate(measure, both, accuracies) for measure in MEASURES}


def correlation_table(results: Sequence[dict[str, Any]], columns: Mapping[str, str]) -> str:
    """A row per measure, a column per data in Markdown: the correlation over last layers, then that over all layers.

    Args:
        results: See [`correlations`].
        columns: Title, and which data: `{"digits": "DIGITS, label"}`.

    Raises:
        ValueError: Data have too few models.
    """
    found = [correlations(results, data) for data in columns.values()]
    rows = [["", *columns], ["---"] * (1 + len(columns))]
    for measure in MEASURES:
        of_measure = [of_data[measure] for of_data in found]
        told = [f"{_told(row.last_layers)}, {_told(row.all_layers)}" for row in of_measure]
        rows.append([f"`{measure}`", *told])
    return markdown_rows(rows)


def _told(correlation: float) -> str:
    return f"{correlation:+.2f}".replace("0.", ".")


def health_by_network(results: Sequence[dict[str, Any]]) -> dict[Network, list[dict[str, float]]]:
    """Measures by layer; of several lines of a network the last."""
    return {
        Network(line["model"], line["arm"].endswith(", untrained")): line["layers"]
        for line in results
        if line["what"] == "health"
    }


def accuracies_by_data(results: Sequence[dict[str, Any]]) -> dict[str, dict[Network, list[float]]]:
    """For every set of labelled data, the validation accuracies by layer of linear probes with one label per item."""
    found: dict[str, dict[Network, list[float]]] = {}
    for line in results:
        if line["what"] != "probe" or line["model"] is None:
            continue
        if (line["task"], line["method"]) != ("classification", "linear"):
            continue
        network = Network(line["model"], line["arm"].endswith(", untrained"))
        if not network.untrained or line["number"] == 0:
            found.setdefault(f"{line['data']}, {line['column']}", {})[network] = line["by_layer"]
    return found


def correlate(
    measure: str, health: dict[Network, list[dict[str, float]]], accuracies: dict[Network, list[float]]
) -> Correlations:
    """Of one measure over the networks of `health`."""
    pairs = {
        network: np.array([[layer[measure] for layer in layers], accuracies[network]], dtype=float)
        for network, layers in health.items()
    }
    within = [value for pair in pairs.values() if not np.isnan(value := rank_correlation(*pair))]
    return Correlations(
        all_layers=rank_correlation(*np.concatenate(list(pairs.values()), axis=1)),
        within_models=float(np.mean(within)) if within else float("nan"),
        last_layers=rank_correlation(*np.stack([values[:, -1] for values in pairs.values()], axis=1)),
        num_models=len(pairs),
    )
