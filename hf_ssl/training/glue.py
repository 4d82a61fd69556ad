# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The tasks of GLUE, and local tables of the same schema: columns, labels and metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import datasets
import numpy as np
from transformers import EvalPrediction, PreTrainedTokenizerBase

from ..evaluation.metrics import MetricName, load_metric
from .finetuning import FineTuningArguments, number_labels

GLUE = "nyu-mll/glue"
TaskName = Literal["cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli"]

_BUILDERS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}


class Task(NamedTuple):
    """What a task reads and how it is scored.

    Attributes:
        text_columns: One or two columns with texts.
        metrics: Names of its published metrics.
        is_regression: Whether labels are numbers to predict.
        eval_splits: Splits that settings are chosen by.
    """

    text_columns: tuple[str, ...]
    metrics: tuple[MetricName | Literal["binary_f1"], ...] = ("accuracy",)
    is_regression: bool = False
    eval_splits: tuple[str, ...] = ("validation",)


TASKS: dict[str, Task] = {
    "cola": Task(("sentence",), ("matthews_correlation",)),
    "mnli": Task(("premise", "hypothesis"), eval_splits=("validation_matched", "validation_mismatched")),
    "mrpc": Task(("sentence1", "sentence2"), ("accuracy", "binary_f1")),
    "qnli": Task(("question", "sentence")),
    "qqp": Task(("question1", "question2"), ("accuracy", "binary_f1")),
    "rte": Task(("sentence1", "sentence2")),
    "sst2": Task(("sentence",)),
    "stsb": Task(("sentence1", "sentence2"), ("pearsonr", "spearmanr"), is_regression=True),
    "wnli": Task(("sentence1", "sentence2")),
}


@dataclass
class GlueDataArguments:
    """What to fine-tune on: a task of GLUE by name, from the Hub or from files of its schema, or any files."""

    task_name: TaskName | None = field(
        default=None, metadata={"help": f"Task of GLUE: {', '.join(TASKS)}. Its columns and metrics."}
    )
    train_file: str | None = field(
        default=None, metadata={"help": ".csv, .json, .jsonl or .parquet file to train on, instead of the Hub's."}
    )
    validation_file: str | None = field(
        default=None, metadata={"help": "The same for evaluation; none takes place without it."}
    )
    test_file: str | None = field(
        default=None,
        metadata={"help": "The same, to evaluate once, after training. Choose settings by --validation_file."},
    )
    text_columns: list[str] = field(
        default_factory=list, metadata={"help": "One column with texts or two, without --task_name."}
    )
    label_column: str = field(default="label", metadata={"help": "Column with the label: name, number or score."})
    regression: bool = field(default=False, metadata={"help": "Labels are scores to predict, without --task_name."})
    max_length: int | None = field(
        default=None, metadata={"help": "Cut texts to so many tokens; the model's longest text if absent."}
    )
    max_train_examples: int | None = field(
        default=None, metadata={"help": "Train on the first so many examples of each label (few-shot), in file order."}
    )

    def __post_init__(self) -> None:
        if self.train_file is None and self.task_name is None:
            raise ValueError("Expected --task_name, or --train_file with --text_columns, got neither.")
        if self.train_file is None and (self.validation_file is not None or self.test_file is not None):
            raise ValueError("--validation_file and --test_file go with --train_file.")
        if self.task_name is None and not 1 <= len(self.text_columns) <= 2:
            raise ValueError(f"Expected one or two --text_columns without --task_name, got {self.text_columns}.")
        if self.task_name is not None and (self.text_columns or self.regression):
            raise ValueError(f"--text_columns and --regression are for tables without --task_name {self.task_name}.")
        if self.max_train_examples is not None and self.max_train_examples < 1:
            raise ValueError(f"--max_train_examples must be at least 1, got {self.max_train_examples}.")

    @property
    def task(self) -> Task:
        """The named task, or that of the columns."""
        if self.task_name is not None:
            return TASKS[self.task_name]
        if self.regression:
            return Task(tuple(self.text_columns), ("pearsonr", "spearmanr"), is_regression=True)
        return Task(tuple(self.text_columns), ("accuracy", "f1"))


@dataclass
class GlueTrainingArguments(FineTuningArguments):
    """`FineTuningArguments` with the published optimizer of data2vec 2.0's fine-tuning on GLUE."""

    learning_rate: float = field(default=2e-5, metadata={"help": "Highest learning rate."})
    lr_scheduler_type: str = field(default="linear", metadata={"help": "Schedule after the warm-up."})
    warmup_steps: float = field(default=0.06, metadata={"help": "Updates of warm-up, or their share if below 1."})
    weight_decay: float = field(default=0.1, metadata={"help": "Weight decay of AdamW."})
    adam_epsilon: float = field(default=1e-6, metadata={"help": "Epsilon of AdamW."})
    max_grad_norm: float = field(default=0.0, metadata={"help": "Clip the gradient to this norm; 0 for not at all."})
    num_train_epochs: float = field(default=10.0, metadata={"help": "Passes over the training data."})
    train_sampling_strategy: str = field(default="random", metadata={"help": "random or sequential."})
    dataloader_num_workers: int = field(default=0, metadata={"help": "Texts are tokenised before training."})


def load_tables(args: GlueDataArguments) -> dict[str, datasets.Dataset]:
    """Train, evaluation and test tables by the name of their split.

    Raises:
        ValueError: A file does not exist, is of another kind, or lacks a column.
    """
    if args.train_file is None:
        loaded = datasets.load_dataset(GLUE, args.task_name)
        tables = {split: loaded[split] for split in ("train", *args.task.eval_splits)}
    else:
        files = {"train": args.train_file, "validation": args.validation_file, "test": args.test_file}
        tables = {split: _load_file(file) for split, file in files.items() if file is not None}
    for split, table in tables.items():
        missing = [name for name in (*args.task.text_columns, args.label_column) if name not in table.column_names]
        if missing:
            raise ValueError(f"The {split} table has no column {missing[0]!r}; its columns are {table.column_names}.")
    if args.max_train_examples is not None:
        tables["train"] = first_of_each_label(tables["train"], args.label_column, args.max_train_examples)
    return tables


def _load_file(path: str) -> datasets.Dataset:
    builder = _BUILDERS.get(Path(path).suffix.lower())
    if builder is None or not Path(path).is_file():
        raise ValueError(f"Expected an existing {', '.join(_BUILDERS)} file, got {path!r}.")
    return datasets.load_dataset(builder, data_files=path, split="train")


def first_of_each_label(table: datasets.Dataset, label_column: str, count: int) -> datasets.Dataset:
    """The first `count` rows of each label, in their order."""
    seen: dict[Any, int] = {}
    kept = []
    for row, label in enumerate(table[label_column]):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= count:
            kept.append(row)
    return table.select(kept)


def label_numbers(table: datasets.Dataset, label_column: str, is_regression: bool) -> dict[str, int] | None:
    """Numbers of the labels by their names; `None` for regression."""
    if is_regression:
        return None
    feature = table.features[label_column]
    if isinstance(feature, datasets.ClassLabel):
        return {name: number for number, name in enumerate(feature.names)}
    return number_labels(table[label_column], multi_label=False)


def tokenize(
    table: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    *,
    label_column: str,
    label2id: Mapping[str, int] | None,
    max_length: int,
) -> datasets.Dataset:
    """Texts (or pairs) as `input_ids`, and `labels` as numbers.

    Raises:
        ValueError: A text, or both of a pair, is empty, or a label is unknown or missing.
    """

    def encode(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        texts = [rows[column] for column in task.text_columns]
        _check_texts(texts, task.text_columns)
        encoded = tokenizer(*texts, truncation=True, max_length=max_length)
        labels = [_label_number(label, label2id) for label in rows[label_column]]
        return {"input_ids": encoded["input_ids"], "labels": labels}

    return table.map(encode, batched=True, remove_columns=table.column_names)


def _check_texts(texts: Sequence[Sequence[Any]], columns: Sequence[str]) -> None:
    """One text of a pair may be empty, as some of GLUE's questions are."""
    for row in zip(*texts, strict=True):
        for text, column in zip(row, columns, strict=True):
            if not isinstance(text, str):
                raise ValueError(f"Expected texts in the column {column!r}, got {text!r}: leave such rows out.")
        if not any(text.strip() for text in row):
            raise ValueError(f"Expected texts in the columns {list(columns)}, got {list(row)}: leave such rows out.")


def _label_number(label: Any, label2id: Mapping[str, int] | None) -> float | int:
    if label is None:
        raise ValueError("A row has no label: leave such rows out.")
    if label2id is None:
        return float(label)
    if isinstance(label, int) and 0 <= label < len(label2id):  # also the numbers of names that the table knows
        return label
    if str(label) not in label2id:
        raise ValueError(f"The label {label!r} does not occur in training; there are {list(label2id)[:20]}.")
    return label2id[str(label)]


def metrics_of(task: Task) -> Callable[[EvalPrediction], dict[str, float]]:
    """What the `Trainer` calls to score predictions: the task's metrics."""

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        scores, references = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
        predicted = scores.reshape(-1) if task.is_regression else scores.argmax(axis=-1)
        figures: dict[str, float] = {}
        for name in task.metrics:
            if name == "binary_f1":
                figures["f1"] = binary_f1(predicted, references)
            else:
                figures |= load_metric(name).compute(predictions=predicted, references=references.reshape(-1))
        return figures

    return compute


def binary_f1(predicted: np.ndarray, true: np.ndarray) -> float:
    """F1 of class 1, as GLUE scores paraphrases; 0 if it is neither predicted nor true."""
    total = int((predicted == 1).sum() + (true == 1).sum())
    return 2 * float(((predicted == 1) & (true == 1)).sum()) / total if total else 0.0
