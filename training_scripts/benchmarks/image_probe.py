#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What do frozen features of images know? Linear classifiers and nearest neighbours on a pre-trained encoder, on its
untrained twin, and on pixels.

    python training_scripts/benchmarks/image_probe.py MODEL --data LABELLED

`LABELLED` has the folders train/, validation/ and test/ with a sub-folder per label each, or is a data set on the Hub.
Layer, regularisation and number of neighbours are chosen on validation, for every arm alike; the test is used once.
Patches are averaged.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModel, PreTrainedModel, set_seed

import hf_ssl  # noqa: F401  (registers the classes)
from hf_ssl.data.images import load_images, read_image
from hf_ssl.evaluation.probing import linear_probe

SPLITS = ("train", "validation", "test")
NUM_NEIGHBOURS = (1, 5, 20)
PIXEL_SIDE = 16


def main(argv: Sequence[str] | None = None) -> dict[str, tuple[float, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder, or name on the Hub")
    parser.add_argument("--data", required=True)
    parser.add_argument("--label_column", default="label")
    parser.add_argument("--seed", type=int, default=0, help="of the untrained twin")
    arguments = parser.parse_args(argv)

    tables = [load_images([arguments.data], split=split, label_column=arguments.label_column) for split in SPLITS]
    images = [[read_image(source) for source in table["image"]] for table in tables]
    labels = [np.asarray(table["label"][:]) for table in tables]
    image_processor = AutoImageProcessor.from_pretrained(arguments.model)

    set_seed(arguments.seed)
    networks = {
        "pre-trained": AutoModel.from_pretrained(arguments.model),
        "no pre-training": AutoModel.from_config(AutoConfig.from_pretrained(arguments.model)),
    }
    features = {
        arm: [pooled_features(network.eval(), image_processor, split) for split in images]
        for arm, network in networks.items()
    }
    features["pixels"] = [pixel_features(split) for split in images]

    print(f"{len(labels[0])} images to learn from, {len(labels[2])} to test; linear probe, nearest neighbours")
    accuracies = {}
    for arm, (train, validation, test) in features.items():
        probe = linear_probe(
            train, labels[0], test, labels[2], validation=(validation, labels[1]), seed=arguments.seed
        )
        neighbours = neighbour_accuracy((train, labels[0]), (validation, labels[1]), (test, labels[2]))
        accuracies[arm] = (probe.accuracy, neighbours)
        print(f"  {arm:<22} {probe.accuracy:6.1%} (layer {probe.best_layer}), {neighbours:6.1%}")
    print(f"  {'most frequent label':<22} {probe.majority_accuracy:6.1%}")
    return accuracies


@torch.inference_mode()
def pooled_features(
    model: PreTrainedModel, image_processor, images: Sequence[Image.Image], batch_size: int = 64
) -> np.ndarray:
    """The mean over patches of every layer, `(num_layers + 1, num_images, hidden_size)`."""
    batches = []
    for start in range(0, len(images), batch_size):
        inputs = image_processor(images[start : start + batch_size], return_tensors="pt")
        states = model(**inputs, output_hidden_states=True).hidden_states
        patches = [state[:, model.config.num_extra_tokens :].mean(dim=1) for state in states]
        batches.append(torch.stack(patches).numpy())
    return np.concatenate(batches, axis=1)


def pixel_features(images: Sequence[Image.Image]) -> np.ndarray:
    """Pixels of a small version, `(1, num_images, num_values)`."""
    size = (PIXEL_SIDE, PIXEL_SIDE)
    small = [np.asarray(image.resize(size, Image.Resampling.BILINEAR), dtype=np.float32) for image in images]
    return np.stack(small).reshape(1, len(images), -1)


Split = tuple[np.ndarray, np.ndarray]


def neighbour_accuracy(train: Split, validation: Split, test: Split) -> float:
    """Test accuracy of a vote of the training images with the most similar features (cosine, after centring)."""
    scores = {
        (layer, count): np.mean(_vote(train, validation[0], layer, count) == validation[1])
        for layer in range(len(train[0]))
        for count in NUM_NEIGHBOURS
    }
    layer, count = max(scores, key=lambda choice: scores[choice])
    return float(np.mean(_vote(train, test[0], layer, count) == test[1]))


def _vote(train: Split, queries: np.ndarray, layer: int, count: int) -> np.ndarray:
    centre = train[0][layer].mean(axis=0)
    keys, queries = (_unit(features[layer] - centre) for features in (train[0], queries))
    nearest = np.argsort(-(queries @ keys.T), axis=1, kind="stable")[:, :count]
    classes, numbers = np.unique(train[1], return_inverse=True)
    votes = np.stack([np.bincount(numbers[row], minlength=len(classes)) for row in nearest])
    return classes[votes.argmax(axis=1)]


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


if __name__ == "__main__":
    main()
