# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Which figures of the log are drawn together, under which words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..training.health import CollapseGuardCallback, ConvolutionRankGuardCallback, QuantizerGuardCallback
from .run_folder import Run

Kind = Literal["number", "share"]
Reading = Literal["last", "highest", "median"]


@dataclass(frozen=True)
class Limit:
    """Where a guard speaks up: `is_floor` if below, otherwise above."""

    value: float
    is_floor: bool = True


@dataclass(frozen=True)
class Chart:
    """A chart of one or a few figures over the steps.

    Attributes:
        title: For people.
        figures: Names in the log and what to call them in the chart; those that a log has not are left out.
        caption: What it means and what is good.
        kind: Shares are drawn as percentages.
        unit: Behind the title.
        limit: Where a guard speaks up about the first figure.
        reading: The number that stands over the chart.
    """

    title: str
    figures: dict[str, str]
    caption: str = ""
    kind: Kind = "number"
    unit: str = ""
    limit: Limit | None = None
    reading: Reading = "last"


@dataclass(frozen=True)
class ChartGroup:
    """Charts that belong together."""

    title: str
    introduction: str
    charts: Sequence[Chart]


_FLOORS = {name: Limit(value) for name, value in CollapseGuardCallback.FLOORS.items()}

OBJECTIVE = ChartGroup(
    "What it learns",
    "",
    (
        Chart(
            "Loss",
            {"loss": "training", "eval_loss": "evaluation", "target_entropy": "frequencies of codes alone"},
            "What is minimised. It may rise while the model learns, where targets come from a teacher that learns.",
        ),
        Chart("Regression", {"regression_loss": "loss"}, "The distance of predictions from the teacher's targets."),
        Chart(
            "Contrast",
            {"student_contrastive_loss": "student", "teacher_contrastive_loss": "teacher"},
            "How badly the true target is told from others.",
        ),
        Chart(
            "True target found",
            {"student_contrastive_accuracy": "student", "teacher_contrastive_accuracy": "teacher"},
            "Share of frames whose true target scores highest.",
            "share",
        ),
        Chart("Diversity loss", {"diversity_loss": "loss"}, "Low if all codes are used."),
        Chart("Penalty on features", {"features_penalty": "penalty"}, "Keeps the convolutions' output small."),
        Chart(
            "Masked codes predicted right",
            {"masked_accuracy": "training", "eval_masked_accuracy": "evaluation"},
            "Out of all codes of the codebook.",
            "share",
        ),
        Chart("CLS token in the loss", {"cls_loss_share": "share"}, "Share of the loss.", "share"),
        Chart(
            "Error rates in evaluation", {"eval_wer": "words", "eval_cer": "characters"}, "Lower is better.", "share"
        ),
        Chart("Accuracy in evaluation", {"eval_accuracy": "accuracy", "eval_f1": "F1"}, "Higher is better.", "share"),
        Chart("Equal error rate in evaluation", {"eval_eer": "EER"}, "Lower is better.", "share"),
        Chart("Mean average precision in evaluation", {"eval_mAP": "mAP"}, "Higher is better.", "share"),
    ),
)

TARGETS = ChartGroup(
    "Are its targets alive?",
    "Targets that are all alike are easy to predict and teach nothing. A dashed line is where a guard speaks up.",
    (
        Chart(
            "Spread of the targets",
            {"target_std": "targets"},
            "Standard deviation over frames. Near 0 after a collapse.",
            limit=_FLOORS["target_std"],
        ),
        Chart(
            "Spread of the predictions",
            {"prediction_std": "predictions"},
            "Standard deviation over frames. Near 0 if all predictions are alike.",
            limit=_FLOORS["prediction_std"],
        ),
        Chart(
            "Variance between items",
            {"between_utterance_share": "share"},
            "Share of the targets' variance that lies between utterances, images or texts. At 0 they depend on the "
            "position alone: a collapse that spread and loss do not show.",
            "share",
            limit=_FLOORS["between_utterance_share"],
        ),
        Chart(
            "Rank of the convolutions",
            {"convolution_rank": "directions"},
            "Directions that the local features really use. At 1 all frames are alike.",
            limit=Limit(ConvolutionRankGuardCallback.SMALLEST_RANK),
        ),
        Chart(
            "Codebook used", {"codebook_usage": "share"}, "Share of codes that occurred since the log before.", "share"
        ),
        Chart(
            "Perplexity of codes",
            {"codebook_perplexity": "codes", "codevector_perplexity": "codes"},
            "Number of codes that, equally frequent, would be as hard to guess.",
        ),
        Chart(
            "Perplexity of the quantizer",
            {"code_perplexity": "hard", "probability_perplexity": "soft"},
            "Summed over groups of codes.",
        ),
        Chart("Clusters without a frame", {"dead_cluster_share": "share"}, "", "share"),
        Chart("Negatives of the same cluster", {"cluster_mate_share": "share"}, "They weigh less.", "share"),
        Chart(
            "Negatives with the very same code",
            {"collision_share": "share"},
            "They are left out; at 100 % nothing is left to contrast.",
            "share",
            limit=Limit(QuantizerGuardCallback.MOST_COLLISIONS, is_floor=False),
        ),
    ),
)

HEALTH = ChartGroup(
    "Health of the representation",
    "Measured without labels during training.",
    (
        Chart(
            "Effective rank",
            {"health/rankme": "RankMe"},
            "Directions that the features really use. Compare runs of one method and size only.",
        ),
        Chart(
            "Area under the singular values",
            {"health/collapse_auc": "area"},
            "Of the cumulative curve. 1 if a single direction holds all the variance, about 1/2 if all matter alike.",
        ),
        Chart("Isotropy", {"health/isoscore": "IsoScore"}, "1 if all directions are used alike, 0 if only one is."),
        Chart(
            "Where the variance is",
            {"health/between_item_share": "between items", "health/within_item_share": "within items"},
            "Shares of the variance of the features.",
            "share",
        ),
        Chart(
            "What the position alone explains",
            {"health/position_share": "share"},
            "At 100 % the features know nothing of the input.",
            "share",
        ),
        Chart(
            "What all vectors share",
            {"health/mean_share": "share"},
            "The mean vector's part of the squared length. At 100 % all vectors are the same.",
            "share",
        ),
    ),
)

OPTIMISATION = ChartGroup(
    "How it was optimised",
    "",
    (
        Chart("Learning rate", {"learning_rate": "rate"}, reading="highest"),
        Chart("Norm of the gradient", {"grad_norm": "norm"}, "Before it is clipped."),
        Chart("Decay of the teacher", {"ema_decay": "decay"}, "How much of the teacher stays at every step."),
        Chart("Losses that are not finite", {"nonfinite_loss_share": "share"}, "Share of batches.", "share"),
    ),
)

DATA = ChartGroup(
    "Data and speed",
    "",
    (
        Chart(
            "Speed",
            {"audio_seconds_per_second": "speed"},
            "Seconds of audio per second of computing.",
            unit="s / s",
            reading="median",
        ),
        Chart("Speed", {"images_per_second": "speed"}, unit="images / s", reading="median"),
        Chart("Speed", {"tokens_per_second": "speed"}, unit="tokens / s", reading="median"),
        Chart("Masked", {"masked_share": "masked"}, "Share of real frames that are hidden from the model.", "share"),
        Chart("Padding", {"padding_share": "padding"}, "Share of a batch that is filler.", "share"),
    ),
)

_KNOWN_GROUPS = (OBJECTIVE, TARGETS, HEALTH, OPTIMISATION, DATA)
# Of no use as curves: totals of the end, times, and what another figure says too.
_NOT_DRAWN = ("epoch", "total_flos", "codes_counted", "visible_share", "num_input_tokens_seen")
_NOT_DRAWN_ENDS = ("_runtime", "_per_second", "_samples", "_trials")
_HEALTH_BEGINS = "health/"


def is_drawn(name: str) -> bool:
    """Whether a figure of the log is one to draw over the steps."""
    known = any(name in chart.figures for group in _KNOWN_GROUPS for chart in group.charts)
    return known or not (name in _NOT_DRAWN or name.startswith("train_") or name.endswith(_NOT_DRAWN_ENDS))


def groups_of(run: Run) -> list[ChartGroup]:
    """The charts that a run's log has figures for, in the order of the page; figures that nobody foresaw come last."""
    logged = {name for entry in run.log for name in entry.figures if is_drawn(name)}
    # Drawn only where there is something to see.
    if not any(entry.figures.get("nonfinite_loss_share", 0.0) > 0 for entry in run.log):
        logged.discard("nonfinite_loss_share")
    known = {name for group in _KNOWN_GROUPS for chart in group.charts for name in chart.figures}
    others = sorted(name for name in logged - known if name != "nonfinite_loss_share")
    health = [name for name in others if name.startswith(_HEALTH_BEGINS)]
    groups = [_with_charts(group, logged, health if group is HEALTH else []) for group in _KNOWN_GROUPS]
    groups.append(
        ChartGroup(
            "Other figures", "Logged under these names.", [_plain(name) for name in others if name not in health]
        )
    )
    return [group for group in groups if group.charts]


def _with_charts(group: ChartGroup, logged: set[str], more: Sequence[str]) -> ChartGroup:
    charts = [
        Chart(
            chart.title,
            {name: label for name, label in chart.figures.items() if name in logged},
            chart.caption,
            chart.kind,
            chart.unit,
            chart.limit,
            chart.reading,
        )
        for chart in group.charts
        if any(name in logged for name in chart.figures)
    ]
    return ChartGroup(group.title, group.introduction, [*charts, *map(_plain, more)])


def _plain(name: str) -> Chart:
    return Chart(name.removeprefix(_HEALTH_BEGINS).replace("_", " "), {name: "value"})


def points_of(run: Run, figure: str) -> list[tuple[int, float]]:
    """Steps and values of a figure, in order of the steps; a step logged twice counts as logged last."""
    values = {entry.step: entry.figures[figure] for entry in run.log if figure in entry.figures}
    return sorted(values.items())


def num_not_finite(run: Run, figure: str) -> int:
    """How many logged values of a figure are NaN or infinite."""
    return sum(not math.isfinite(value) for _, value in points_of(run, figure))
