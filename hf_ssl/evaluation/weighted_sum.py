# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Small heads over a learned weighted sum of a frozen encoder's layers, as in SUPERB (Yang et al., 2021).

Every encoder gets the same heads, the same updates and the same choice of learning rates; learning rate and epoch are
chosen on validation, and the test is used once.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import NamedTuple

import jiwer
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .metrics import mean_average_precision

LEARNING_RATES = (1e-3, 4e-3)
BLANK = 0


class Clips(NamedTuple):
    """Clips of one split.

    Attributes:
        features: One tensor per clip, `(num_layers, num_frames, feature_size)`, see [`extract_features`].
        labels: One per clip: a class, a transcript, or classes with `;` between.
    """

    features: Sequence[torch.Tensor]
    labels: Sequence[str]

    def layer(self, number: int) -> "Clips":
        """One layer only, `(1, num_frames, feature_size)` of each clip."""
        return Clips([clip[number : number + 1] for clip in self.features], self.labels)


@dataclass(frozen=True)
class HeadResult:
    """What a head achieved.

    Attributes:
        test (`float`): Accuracy, character error rate, or mean average precision, on test.
        validation (`float`): The same on validation, by which learning rate and epoch were chosen.
        learning_rate (`float`), epoch (`int`): What was chosen.
        layer_weights (`tuple[float, ...]`): Of the sum, lowest layer first.
        word_error_rate (`float`, *optional*): On test, of the same head; for recognition only.
    """

    test: float
    validation: float
    learning_rate: float
    epoch: int
    layer_weights: tuple[float, ...]
    word_error_rate: float | None = None


class WeightedSum(nn.Module):
    """Sum of layers, `(num_layers, ..., feature_size)`, with the softmax of learned weights."""

    def __init__(self, num_layers: int):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(num_layers))

    def forward(self, layers: torch.Tensor) -> torch.Tensor:
        return torch.einsum("l,l...->...", self.scores.softmax(0), layers.float())


class ClassificationHead(nn.Module):
    """Weighted sum, mean over time, linear layer. The mean comes first, which gives the same and costs less."""

    def __init__(self, num_layers: int, feature_size: int, num_classes: int):
        super().__init__()
        self.weighted_sum = WeightedSum(num_layers)
        self.classifier = nn.Linear(feature_size, num_classes)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """`(num_layers, batch_size, feature_size)` -> `(batch_size, num_classes)`."""
        return self.classifier(self.weighted_sum(pooled))


class RecognitionHead(nn.Module):
    """Weighted sum, two convolutions over time (kernel 5), linear layer over characters.

    SUPERB has two bidirectional LSTM layers here, which are many times slower on a CPU.
    """

    def __init__(self, num_layers: int, feature_size: int, num_characters: int, hidden_size: int = 192):
        super().__init__()
        self.weighted_sum = WeightedSum(num_layers)
        self.conv1 = nn.Conv1d(feature_size, hidden_size, kernel_size=5, padding=2)
        self.conv2 = nn.Conv1d(hidden_size, hidden_size, kernel_size=5, padding=2)
        self.classifier = nn.Linear(hidden_size, num_characters)

    def forward(self, layers: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """`(num_layers, batch_size, num_frames, feature_size)` -> `(batch_size, num_frames, num_characters)`."""
        is_real = torch.arange(layers.shape[2]) < lengths.unsqueeze(-1)
        hidden_states = F.gelu(self.conv1(self.weighted_sum(layers).transpose(1, 2))) * is_real.unsqueeze(1)
        return self.classifier(F.gelu(self.conv2(hidden_states)).transpose(1, 2))


def classify(train: Clips, validation: Clips, test: Clips, *, seed: int, num_epochs: int = 100) -> HeadResult:
    """Trains a classification head.

    Returns:
        `HeadResult` of accuracies. Test clips of classes that do not occur in training count as errors.
    """
    classes = {label: index for index, label in enumerate(sorted(set(train.labels)))}
    pooled = [_pool(split) for split in (train, validation, test)]
    targets = [torch.tensor([classes.get(label, -1) for label in split.labels]) for split in (train, validation, test)]

    def make_head() -> ClassificationHead:
        return ClassificationHead(pooled[0].shape[0], pooled[0].shape[2], len(classes))

    def batch_losses(head: nn.Module, generator: torch.Generator) -> Iterator[torch.Tensor]:
        for rows in torch.randperm(len(targets[0]), generator=generator).split(32):
            yield F.cross_entropy(head(pooled[0][:, rows]), targets[0][rows])

    def score(head: nn.Module, split: int) -> float:
        return (head(pooled[split]).argmax(-1) == targets[split]).double().mean().item()

    return choose_head(make_head, batch_losses, score, seed=seed, num_epochs=num_epochs)[0]


def tag(train: Clips, validation: Clips, test: Clips, *, seed: int, num_epochs: int = 100) -> HeadResult:
    """Trains a classification head to find any number of labels per clip, by binary cross-entropy.

    Returns:
        `HeadResult` of mean average precisions over the labels that occur.

    Raises:
        ValueError: A label does not occur in training.
    """
    names = sorted(set().union(*map(split_labels, train.labels)))
    pooled = [_pool(split) for split in (train, validation, test)]
    targets = [_indicators(split.labels, names) for split in (train, validation, test)]

    def make_head() -> ClassificationHead:
        return ClassificationHead(pooled[0].shape[0], pooled[0].shape[2], len(names))

    def batch_losses(head: nn.Module, generator: torch.Generator) -> Iterator[torch.Tensor]:
        for rows in torch.randperm(len(targets[0]), generator=generator).split(32):
            yield F.binary_cross_entropy_with_logits(head(pooled[0][:, rows]), targets[0][rows])

    def score(head: nn.Module, split: int) -> float:
        return mean_average_precision(head(pooled[split]).double().numpy(), targets[split].numpy())

    return choose_head(make_head, batch_losses, score, seed=seed, num_epochs=num_epochs)[0]


def split_labels(field: str) -> list[str]:
    """The labels in one field, `"low; odd"`; none in an empty one."""
    return [name.strip() for name in field.split(";") if name.strip()]


def recognise(train: Clips, validation: Clips, test: Clips, *, seed: int, num_epochs: int = 12) -> HeadResult:
    """Trains a recognition head by connectionist temporal classification, over the characters of the training clips.

    Returns:
        `HeadResult` of character error rates of greedy decoding.
    """
    characters = sorted(set().union(*train.labels))
    numbers = {character: index + 1 for index, character in enumerate(characters)}
    splits = (train, validation, test)

    def make_head() -> RecognitionHead:
        num_layers, _, feature_size = train.features[0].shape
        return RecognitionHead(num_layers, feature_size, len(characters) + 1)

    def batch_losses(head: nn.Module, generator: torch.Generator) -> Iterator[torch.Tensor]:
        batches = _length_batches(train.features)
        for batch in torch.randperm(len(batches), generator=generator).tolist():
            layers, lengths = _pad([train.features[row] for row in batches[batch]])
            targets = [torch.tensor([numbers[letter] for letter in train.labels[row]]) for row in batches[batch]]
            yield F.ctc_loss(
                head(layers, lengths).log_softmax(-1).transpose(0, 1),
                torch.cat(targets),
                lengths,
                torch.tensor([len(target) for target in targets]),
                blank=BLANK,
                zero_infinity=True,
            )

    def transcribe(head: nn.Module, split: int) -> list[str]:
        hypotheses = [""] * len(splits[split].labels)
        for rows in _length_batches(splits[split].features):
            layers, lengths = _pad([splits[split].features[row] for row in rows])
            for row, scores, length in zip(rows, head(layers, lengths), lengths.tolist(), strict=True):
                tokens = scores[:length].argmax(-1).unique_consecutive().tolist()
                hypotheses[row] = "".join(characters[token - 1] for token in tokens if token != BLANK)
        return hypotheses

    def score(head: nn.Module, split: int) -> float:
        return -jiwer.cer(list(splits[split].labels), transcribe(head, split))

    result, head = choose_head(make_head, batch_losses, score, seed=seed, num_epochs=num_epochs)
    with torch.no_grad():
        word_error_rate = jiwer.wer(list(test.labels), transcribe(head, 2))
    return replace(result, test=-result.test, validation=-result.validation, word_error_rate=float(word_error_rate))


def _pool(clips: Clips) -> torch.Tensor:
    """Means over time, `(num_layers, num_clips, feature_size)`."""
    return torch.stack([clip.float().mean(1) for clip in clips.features], 1)


def _indicators(labels: Sequence[str], names: list[str]) -> torch.Tensor:
    """`(num_clips, num_labels)`: 1 where a clip has the label."""
    columns = {name: column for column, name in enumerate(names)}
    indicators = torch.zeros(len(labels), len(names))
    for row, field in enumerate(labels):
        for name in split_labels(field):
            if name not in columns:
                raise ValueError(f"The label {name!r} does not occur in training, which has {', '.join(names[:20])}.")
            indicators[row, columns[name]] = 1.0
    return indicators


def choose_head(
    make_head: Callable[[], nn.Module],
    batch_losses: Callable[[nn.Module, torch.Generator], Iterator[torch.Tensor]],
    score: Callable[[nn.Module, int], float],
    *,
    seed: int,
    num_epochs: int,
) -> tuple[HeadResult, nn.Module]:
    """Trains a head at each learning rate; tests the one, of the epoch, that scores highest on validation.

    Args:
        make_head: Gives a new head with a `weighted_sum`, its weights drawn from torch's random state.
        batch_losses: The losses of an epoch, in an order drawn from the generator.
        score: Of a head on training, validation or test (0, 1, 2); high is good.
        seed: Of weights and orders.
        num_epochs: At each learning rate.
    """
    best: tuple[float, float, int, nn.Module] | None = None
    for learning_rate in LEARNING_RATES:
        torch.manual_seed(seed)
        head = make_head()
        optimizer = torch.optim.AdamW(head.parameters(), lr=learning_rate)
        generator = torch.Generator().manual_seed(seed)
        for epoch in range(1, num_epochs + 1):
            _train_epoch(head, optimizer, batch_losses(head, generator))
            with torch.no_grad():
                validation = score(head, 1)
            if best is None or validation > best[0]:
                best = (validation, learning_rate, epoch, deepcopy(head))
    assert best is not None
    validation, learning_rate, epoch, chosen = best
    with torch.no_grad():
        test = score(chosen, 2)
    weights = chosen.get_parameter("weighted_sum.scores").softmax(0)
    return HeadResult(test, validation, learning_rate, epoch, tuple(weights.tolist())), chosen


def _train_epoch(head: nn.Module, optimizer: torch.optim.Optimizer, losses: Iterator[torch.Tensor]) -> None:
    for loss in losses:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()


def _length_batches(features: Sequence[torch.Tensor], batch_size: int = 16) -> list[list[int]]:
    """Rows of clips of similar length."""
    order = np.argsort([clip.shape[1] for clip in features], kind="stable")
    return [order[start : start + batch_size].tolist() for start in range(0, len(order), batch_size)]


def _pad(features: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """`(num_layers, batch_size, num_frames, feature_size)`, and the frames of each clip."""
    padded = nn.utils.rnn.pad_sequence([clip.transpose(0, 1) for clip in features], batch_first=True)
    return padded.permute(2, 0, 1, 3), torch.tensor([clip.shape[1] for clip in features])
