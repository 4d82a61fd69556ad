#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What do frozen features know? Linear classifiers on a pre-trained encoder, on its untrained twin, and on log-mel.

    python training_scripts/benchmarks/linear_probe.py MODEL --data LABELLED --label_column label

`LABELLED` has the folders train/, validation/ and test/ with a metadata.csv each. Layer and regularisation are chosen
on validation, for every arm alike; the test is used once. Clips are averaged over time (mean and deviation).
"""

import argparse
from collections.abc import Sequence

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, set_seed

import hf_ssl  # noqa: F401  (registers the classes)
from hf_ssl.data import SkippedFiles, load_audio_sources, read_audio
from hf_ssl.evaluation.probing import extract_pooled_features, linear_probe, log_mel_features

SPLITS = ("train", "validation", "test")


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder, or name on the Hub")
    parser.add_argument("--data", required=True, metavar="FOLDER")
    parser.add_argument("--label_column", default="label")
    parser.add_argument("--min_seconds", type=float, default=None, help="leave shorter clips out")
    parser.add_argument("--seed", type=int, default=0, help="of the untrained twin and of the classifiers")
    arguments = parser.parse_args(argv)

    feature_extractor = AutoFeatureExtractor.from_pretrained(arguments.model)
    sampling_rate = feature_extractor.sampling_rate
    skipped = SkippedFiles()
    tables = [
        load_audio_sources(
            [arguments.data],
            min_seconds=arguments.min_seconds,
            max_seconds=None,
            skipped=skipped,
            split=split,
            columns=(arguments.label_column,),
            sampling_rate=sampling_rate,
        )
        for split in SPLITS
    ]
    clips = [[read_audio(row["path"], sampling_rate=sampling_rate) for row in table] for table in tables]
    labels = [table[arguments.label_column][:] for table in tables]

    set_seed(arguments.seed)
    networks = {
        "pre-trained": AutoModel.from_pretrained(arguments.model),
        "no pre-training": AutoModel.from_config(AutoConfig.from_pretrained(arguments.model)),
    }
    features = {
        arm: [extract_pooled_features(network, feature_extractor, split) for split in clips]
        for arm, network in networks.items()
    }
    features["log-mel statistics"] = [log_mel_features(split, sampling_rate=sampling_rate) for split in clips]

    print(f"{arguments.label_column}: {len(labels[0])} clips to learn from, {len(labels[2])} to test")
    print(f"  {skipped.summary()}")
    accuracies = {}
    for arm, (train, validation, test) in features.items():
        probe = linear_probe(
            train, labels[0], test, labels[2], validation=(validation, labels[1]), seed=arguments.seed
        )
        accuracies[arm] = probe.accuracy
        print(f"  {arm:<22} {probe.accuracy:6.1%}   (layer {probe.best_layer})")
    print(f"  {'most frequent label':<22} {probe.majority_accuracy:6.1%}")
    return accuracies


if __name__ == "__main__":
    main()
