# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the training scripts measure, by the names of the log: for model cards and reports, which must miss none."""

from typing import NamedTuple


class RunMetric(NamedTuple):
    """A metric of an evaluation.

    Attributes:
        label: For readers.
        hub_type: What the Hub's `model-index` calls it.
        is_share: Whether it is written in per cent.
    """

    label: str
    hub_type: str
    is_share: bool = True


# By their names behind `eval_`; losses and counts are no results.
RUN_METRICS = {
    "wer": RunMetric("Word error rate", "wer"),
    "cer": RunMetric("Character error rate", "cer"),
    "accuracy": RunMetric("Accuracy", "accuracy"),
    "f1": RunMetric("F1", "f1"),
    "mAP": RunMetric("Mean average precision", "mean_average_precision"),
    "eer": RunMetric("Equal error rate", "eer"),
    "matthews_correlation": RunMetric("Matthews correlation", "matthews_correlation", is_share=False),
    "pearsonr": RunMetric("Pearson correlation", "pearsonr", is_share=False),
    "spearmanr": RunMetric("Spearman correlation", "spearmanr", is_share=False),
}

# What may stand before a metric: the splits that are evaluated, MNLI's two among them.
RUN_SPLITS = {
    "eval": "evaluation split",
    "test": "test split",
    "validation_matched": "validation_matched split",
    "validation_mismatched": "validation_mismatched split",
}


def split_and_metric(name: str) -> tuple[str, str] | None:
    """The parts of a name of the log, `("test", "wer")` of `"test_wer"`; `None` if it is no result."""
    for split in RUN_SPLITS:
        metric = name.removeprefix(f"{split}_")
        if metric != name and metric in RUN_METRICS:
            return split, metric
    return None
