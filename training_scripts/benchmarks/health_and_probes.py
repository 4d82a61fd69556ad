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

from hf_ssl.health_and_probes import MEASURES, accuracies_by_data, correlations
from hf_ssl.results import read_results


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("results", metavar="FILE", help="results of `hf-ssl health` and `hf-ssl probe`")
    results = read_results(parser.parse_args(argv).results)
    for data in accuracies_by_data(results):
        try:
            by_measure = correlations(results, data)
        except ValueError as error:
            raise SystemExit(str(error)) from error
        print(f"\n{data}, {by_measure[MEASURES[0]].num_models} models\n")
        print("| measure | all layers of all models | layers within a model | last layers |")
        print("| --- | --- | --- | --- |")
        for measure, row in by_measure.items():
            print(f"| {measure} | {row.all_layers:+.2f} | {row.within_models:+.2f} | {row.last_layers:+.2f} |")


if __name__ == "__main__":
    main()
