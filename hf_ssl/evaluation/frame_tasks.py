# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Linear classifiers of frames: what does an encoder know of every instant?"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .features import Features
from .metrics import macro_f1
from .probe_data import LabelledItems, clips_in
from .segments import label_frames, segments_of
from .weighted_sum import HeadResult, WeightedSum, choose_head

NUM_EPOCHS = 20
# More of training are thinned out evenly: they are so much alike that more of them tell little more.
MOST_TRAINING_FRAMES = 50_000
_BATCH_SIZE = 128

# (num_frames, seconds of the clip) -> (num_frames,), the seconds of the frames' centres.
FrameTimes = Callable[[int, float], np.ndarray]


class LabelledFrames(NamedTuple):
    """The frames of a split that have a label: `frames`, `(num_layers, num_frames, feature_size)`, float16."""

    frames: torch.Tensor
    labels: list[str]

    def layer(self, number: int) -> "LabelledFrames":
        """One layer only, `(1, num_frames, feature_size)`."""
        return LabelledFrames(self.frames[number : number + 1], self.labels)


class FrameResult(NamedTuple):
    """What a classifier of frames achieved: `head` in accuracy, and `macro_f1`, both on test."""

    head: HeadResult
    macro_f1: float


class FrameHead(nn.Module):
    """Weighted sum of layers, linear layer."""

    def __init__(self, num_layers: int, feature_size: int, num_classes: int):
        super().__init__()
        self.weighted_sum = WeightedSum(num_layers)
        self.classifier = nn.Linear(feature_size, num_classes)

    def forward(self, layers: torch.Tensor) -> torch.Tensor:
        """`(num_layers, num_frames, feature_size)` -> `(num_frames, num_classes)`."""
        return self.classifier(self.weighted_sum(layers))


def labelled_frames(features: Features, split: LabelledItems, frame_times: FrameTimes) -> LabelledFrames:
    """The frames of a split whose centre lies in a segment; the others are left out.

    Args:
        features: With all frames, of the items of the split.
        split: Clips, and what [`segments_of`] reads.
        frame_times: Of the encoder.

    Raises:
        ValueError: No frame has a label.
    """
    kept, labels = [], []
    for frames, clip, field in zip(features.frames, clips_in(split), split.labels, strict=True):
        of_clip = label_frames(segments_of(clip, field), frame_times(frames.shape[1], clip.duration))
        rows = [row for row, label in enumerate(of_clip) if label is not None]
        kept.append(frames[:, rows])
        labels += [label for label in of_clip if label is not None]
    if not labels:
        raise ValueError("No frame lies in a segment: expected segments in seconds, longer than a frame.")
    return LabelledFrames(torch.cat(kept, dim=1), labels)


def classify_frames(
    train: LabelledFrames,
    validation: LabelledFrames,
    test: LabelledFrames,
    *,
    seed: int,
    num_epochs: int | None = None,
) -> FrameResult:
    """Trains a linear classifier of frames over a learned weighted sum of their layers.

    Returns:
        Accuracy, and F1 averaged over the classes that are predicted or true in the test. Frames of classes that do
        not occur in training count as errors.
    """
    names = sorted(set(train.labels))
    classes = {name: number for number, name in enumerate([*names, *sorted(set(test.labels) - set(names))])}
    train = _thinned(train)
    splits = (train, validation, test)
    targets = [torch.tensor([classes.get(label, -1) for label in split.labels]) for split in splits]

    def make_head() -> FrameHead:
        return FrameHead(train.frames.shape[0], train.frames.shape[2], len(names))

    def batch_losses(head: nn.Module, generator: torch.Generator) -> Iterator[torch.Tensor]:
        for rows in torch.randperm(len(targets[0]), generator=generator).split(_BATCH_SIZE):
            yield F.cross_entropy(head(train.frames[:, rows]), targets[0][rows])

    def predict(head: nn.Module, split: int) -> torch.Tensor:
        return torch.cat([head(frames).argmax(-1) for frames in splits[split].frames.split(_BATCH_SIZE, dim=1)])

    def score(head: nn.Module, split: int) -> float:
        return (predict(head, split) == targets[split]).double().mean().item()

    result, head = choose_head(make_head, batch_losses, score, seed=seed, num_epochs=num_epochs or NUM_EPOCHS)
    with torch.no_grad():
        return FrameResult(result, macro_f1(predict(head, 2).numpy(), targets[2].numpy()))


def most_frequent_label(train: LabelledItems, test: LabelledItems) -> tuple[str, float]:
    """The label that takes the most time in training, and its share of the labelled time of the test."""
    of_train, of_test = seconds_of_labels(train), seconds_of_labels(test)
    label = max(of_train, key=lambda name: of_train[name])
    return label, of_test.get(label, 0.0) / sum(of_test.values())


def seconds_of_labels(split: LabelledItems) -> dict[str, float]:
    """How long every label lasts in a split."""
    seconds: dict[str, float] = {}
    for clip, field in zip(clips_in(split), split.labels, strict=True):
        for segment in segments_of(clip, field):
            seconds[segment.label] = seconds.get(segment.label, 0.0) + segment.end - segment.start
    return seconds


def _thinned(split: LabelledFrames) -> LabelledFrames:
    if len(split.labels) <= MOST_TRAINING_FRAMES:
        return split
    rows: Sequence[int] = np.linspace(0, len(split.labels) - 1, MOST_TRAINING_FRAMES).round().astype(int).tolist()
    return LabelledFrames(split.frames[:, rows], [split.labels[row] for row in rows])
