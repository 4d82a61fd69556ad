# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Results of probes as text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

# What is good if it is low.
ERROR_RATES = ("character error rate", "word error rate", "equal error rate")


def results_table(results: Sequence[dict[str, Any]], trivial: tuple[str, float]) -> str:
    """A block per method and metric: for every arm the mean over its runs, with the smallest and the largest.

    Args:
        results: From [`run_probe`].
        trivial: How to answer without looking, and the figure one gets; no figure of macro-F1.
    """
    lines = []
    arms = list(dict.fromkeys(result["arm"] for result in results))
    width = max(len(name) for name in (*arms, trivial[0]))
    for method, metric in _blocks(results):
        direction = "lower is better" if metric in ERROR_RATES else "higher is better"
        lines += ["", f"{method}: {metric} on test, {direction}"]
        for arm in arms:
            runs = [
                result
                for result in results
                if (result["arm"], result["method"], result["metric"]) == (arm, method, metric)
            ]
            lines.append(f"  {arm:<{width}}  {_summary(runs)}")
        if metric != "macro-F1":
            lines.append(f"  {trivial[0]:<{width}}  {trivial[1]:6.1%}")
    return "\n".join(lines)


def by_layer_table(results: Sequence[dict[str, Any]]) -> str:
    """A line per arm and method: the mean over runs of what every layer has, lowest layer first."""
    lines = ["", "By layer, from the input of the first on (weights of the sum; otherwise figures on validation)"]
    for arm in dict.fromkeys(result["arm"] for result in results):
        for method, metric in _blocks(results):
            layers = [
                result["by_layer"]
                for result in results
                if (result["arm"], result["method"], result["metric"]) == (arm, method, metric)
            ]
            if not any(layers):
                continue
            numbers = " ".join(f"{number:.1%}" for number in np.mean(layers, axis=0))
            lines.append(f"  {arm}, {method}, {metric}: {numbers}")
    return "\n".join(lines)


def _blocks(results: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((result["method"], result["metric"]) for result in results))


def _summary(runs: Sequence[dict[str, Any]]) -> str:
    values = [run["test"] for run in runs]
    spread = f"  ({min(values):.1%} to {max(values):.1%}, {len(values)} runs)" if values[1:] else ""
    layers = sorted({run["chosen"]["layer"] for run in runs if "layer" in run["chosen"]})
    layer = f"  layer {', '.join(map(str, layers))}" if layers else ""
    return f"{np.mean(values):6.1%}{spread}{layer}"
