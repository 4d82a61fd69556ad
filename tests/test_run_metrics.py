# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Whatever a training script measures is on the model's card, in its `model-index`, and at the top of its report."""

import json
from pathlib import Path

import numpy as np
import pytest
from transformers import EvalPrediction, Wav2Vec2FeatureExtractor

from hf_ssl.card import last_figures
from hf_ssl.card import read_run as read_card_run
from hf_ssl.card_results import run_results
from hf_ssl.report.headline import headline
from hf_ssl.report.run_folder import read_run
from hf_ssl.run_metrics import RUN_METRICS, split_and_metric
from hf_ssl.training.finetuning import (
    Transcripts,
    build_vocabulary,
    classification_metrics,
    make_processor,
    multi_label_metrics,
)
from hf_ssl.training.glue import TASKS, GlueDataArguments, metrics_of
from hf_ssl.training.verification import verification_metrics

COUNTS = {"trials"}
LOGITS, LABELS = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.5], [0.0, 1.0]]), np.array([0, 1, 1, 0])
SEVERAL = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])


def measured_by_scripts() -> dict[str, float]:
    """All figures of all scripts that fine-tune."""
    vocabulary = build_vocabulary(["ab"])
    transcripts = Transcripts(make_processor(Wav2Vec2FeatureExtractor(), vocabulary).tokenizer)
    letters = np.array([[vocabulary["a"], vocabulary["b"]]])
    classes = EvalPrediction(predictions=LOGITS, label_ids=LABELS)
    numbers = EvalPrediction(predictions=LOGITS[:, :1], label_ids=LABELS.astype(float))
    figures = transcripts.metrics(EvalPrediction(predictions=letters, label_ids=letters))
    figures |= classification_metrics(classes) | verification_metrics(classes)
    figures |= multi_label_metrics(EvalPrediction(predictions=LOGITS, label_ids=SEVERAL))
    table = GlueDataArguments(train_file="t.csv", text_columns=["text"])
    for task in (*TASKS.values(), table.task):
        figures |= metrics_of(task)(numbers if task.is_regression else classes)
    return figures


def splits_of_scripts() -> set[str]:
    """What scripts put before the names of figures; `validation` they call `eval`."""
    splits = {split for task in TASKS.values() for split in task.eval_splits}
    return splits - {"validation"} | {"eval", "test"}


def test_every_metric_of_every_split_is_in_the_model_index() -> None:
    figures = {
        f"{split}_{name}": value for split in splits_of_scripts() for name, value in measured_by_scripts().items()
    }
    results = run_results(last_figures([figures]), "text-classification", "data")
    wanted = {name for name in figures if not name.endswith(tuple(COUNTS))}
    assert len(results) == len(wanted) == len({result.metric_name for result in results})
    by_name = {result.metric_name: result for result in results}
    assert by_name["Mean average precision, test split"].metric_type == "mean_average_precision"
    assert by_name["Accuracy, validation_mismatched split"].metric_value == 0.5


def test_the_names_are_those_of_the_scripts() -> None:
    assert set(RUN_METRICS) == set(measured_by_scripts()) - COUNTS
    assert split_and_metric("validation_matched_f1") == ("validation_matched", "f1")
    assert split_and_metric("eval_loss") is split_and_metric("wer") is None


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """What a run leaves that evaluated every metric on every split."""
    for split in splits_of_scripts():
        figures = {f"{split}_{name}": value for name, value in measured_by_scripts().items()}
        (tmp_path / f"{split}_results.json").write_text(json.dumps({**figures, "epoch": 1.0}))
    state = {"global_step": 4, "max_steps": 4, "epoch": 1.0, "log_history": [{"step": 4, "loss": 1.0}]}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    config = {"model_type": "data2vec2-text", "architectures": ["Data2Vec2TextForSequenceClassification"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").touch()
    return tmp_path


def test_files_of_every_split_are_read_for_the_card(run_folder: Path) -> None:
    figures = last_figures(read_card_run(str(run_folder)).log)
    assert {name for name in figures if split_and_metric(name)} == {
        f"{split}_{name}" for split in splits_of_scripts() for name in RUN_METRICS
    }


def test_the_report_begins_with_all_of_them(run_folder: Path) -> None:
    page = headline(read_run(run_folder))
    for split in splits_of_scripts():
        for metric in RUN_METRICS.values():
            assert f"{metric.label}, {split}" in page
