#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Which label-free measure tells how good features are? Rank correlations with the accuracy of linear probes.

    hf-ssl health MODEL ... --data RECORDINGS --results results.jsonl
    hf-ssl probe MODEL ... --task classification --methods linear --data DIGITS --column label --results results.jsonl
    python training_scripts/benchmarks/health_and_probes.py results.jsonl

Spearman's correlation of each measure with the probe's accuracy on validation, for each set of labelled data: over the
layers of all models, over the layers within a model (mean over models), and over the models' last layers. Of a model
with random weights the first twin counts, which both commands make of the same seed.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr

from hf_ssl.results import read_results

MEASURES = ("rankme", "collapse_auc", "isoscore", "mean_share", "between_item_share", "position_share")


class Network(NamedTuple):
    """A model, or its twin with random weights."""

    model: str
    untrained: bool


class Correlations(NamedTuple):
    """Of one measure with the accuracy of probes; NaN where nothing varies."""

    all_layers: float
    within_models: float
    last_layers: float
    num_models: int


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("results", metavar="FILE", help="results of `hf-ssl health` and `hf-ssl probe`")
    results = read_results(parser.parse_args(argv).results)
    health = health_by_network(results)
    for data, accuracies in accuracies_by_data(results).items():
        networks = [network for network in accuracies if network in health]
        if len(networks) < 3:
            raise SystemExit(f"{data}: expected at least 3 models with health and probes, got {len(networks)}.")
        print(f"\n{data}, {len(networks)} models\n")
        print("| measure | all layers of all models | layers within a model | last layers |")
        print("| --- | --- | --- | --- |")
        for measure in MEASURES:
            row = correlate(measure, {network: health[network] for network in networks}, accuracies)
            print(f"| {measure} | {row.all_layers:+.2f} | {row.within_models:+.2f} | {row.last_layers:+.2f} |")


def health_by_network(results: Sequence[dict[str, Any]]) -> dict[Network, list[dict[str, float]]]:
    """Measures by layer; of several lines of a network the last."""
    return {
        Network(line["model"], line["arm"].endswith(", untrained")): line["layers"]
        for line in results
        if line["what"] == "health"
    }


def accuracies_by_data(results: Sequence[dict[str, Any]]) -> dict[str, dict[Network, list[float]]]:
    """For every set of labelled data, the linear probe's validation accuracies by layer."""
    found: dict[str, dict[Network, list[float]]] = {}
    for line in results:
        if line["what"] != "probe" or line["method"] != "linear" or line["model"] is None:
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
    within = [value for value in map(spearman, pairs.values()) if not np.isnan(value)]
    return Correlations(
        all_layers=spearman(np.concatenate(list(pairs.values()), axis=1)),
        within_models=float(np.mean(within)) if within else float("nan"),
        last_layers=spearman(np.stack([values[:, -1] for values in pairs.values()], axis=1)),
        num_models=len(pairs),
    )


def spearman(values: np.ndarray) -> float:
    """Spearman's correlation of two rows; NaN if one never changes."""
    if (values == values[:, :1]).all(axis=1).any():
        return float("nan")
    return float(spearmanr(*values).statistic)


if __name__ == "__main__":
    main()
