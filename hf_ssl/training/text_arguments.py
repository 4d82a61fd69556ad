# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Arguments of pre-training on text."""

from dataclasses import dataclass, field
from typing import Any, Literal

from .arguments import PreTrainingArguments, check_eval_split, parse_overrides


@dataclass
class TextModelArguments:
    """Which model to pre-train (exactly one of `model_size`, `config` and `model_name_or_path`), on which tokens."""

    model_type: Literal["data2vec2-text", "data2vec-text"] = field(
        default="data2vec2-text", metadata={"help": "Kind of model: data2vec2-text or data2vec-text."}
    )
    model_size: Literal["tiny", "small", "base", "large"] | None = field(
        default=None,
        metadata={
            "help": "A new model: tiny (tests), small (laptop), base or large (both as published; data2vec-text has "
            "no large)."
        },
    )
    config: str | None = field(default=None, metadata={"help": "A new model: JSON file with its configuration."})
    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Continue with this pre-trained model (folder or name on the Hub), with a fresh schedule."},
    )
    config_overrides: dict | str | None = field(
        default=None,
        metadata={"help": "Fields of the configuration to change, as JSON: '{\"num_masks\": 4}'."},
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "A new model's tokenizer: folder or name on the Hub, such as roberta-base."}
    )
    train_tokenizer: int | None = field(
        default=None, metadata={"help": "Train a tokenizer with so many tokens on --data, for a new model."}
    )
    reset_teacher: bool = field(
        default=False,
        metadata={"help": "With --model_name_or_path: make the teacher a copy of the student instead of as saved."},
    )

    def __post_init__(self) -> None:
        self.config_overrides = parse_overrides(self.config_overrides)
        choices = {
            "--model_size": self.model_size,
            "--config": self.config,
            "--model_name_or_path": self.model_name_or_path,
        }
        _expect_one(choices)
        tokens = {"--tokenizer": self.tokenizer, "--train_tokenizer": self.train_tokenizer}
        if self.model_name_or_path is None:
            _expect_one(tokens)
            if self.reset_teacher:
                raise ValueError("--reset_teacher is for --model_name_or_path: a new teacher is a copy anyway.")
        elif any(value is not None for value in tokens.values()):
            raise ValueError(
                "--tokenizer and --train_tokenizer are for new models: a model of --model_name_or_path keeps the "
                "tokenizer that it was trained with."
            )

    @property
    def overrides(self) -> dict[str, Any]:
        """`config_overrides` as a mapping."""
        return parse_overrides(self.config_overrides)


def _expect_one(choices: dict[str, Any]) -> None:
    given = [f"{flag} {value}" for flag, value in choices.items() if value is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none of them"
        raise ValueError(f"Expected exactly one of {', '.join(choices)}, got {got}.")


@dataclass
class TextDataArguments:
    """Which text to use. It is streamed."""

    data: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Files (.txt, .jsonl, .json, .csv, .parquet), folders of them, or data sets on the Hub (`name` or "
            "`name:config`)."
        },
    )
    eval_data: list[str] = field(
        default_factory=list, metadata={"help": "The same for evaluation; none takes place without it."}
    )
    split: str = field(default="train", metadata={"help": "Split of --data, where it has several."})
    eval_split: str = field(default="validation", metadata={"help": "Split of --eval_data, where it has several."})
    text_column: str = field(default="text", metadata={"help": "Column with the text, where there are columns."})
    text_unit: Literal["line", "paragraph", "document"] = field(
        default="line",
        metadata={"help": "What a document is in .txt files: a line, a paragraph or the whole file (document)."},
    )
    block_size: int = field(default=512, metadata={"help": "Tokens per block that documents are packed into."})

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("Expected --data with at least one file, folder or data set, got none.")
        check_eval_split(self.eval_data, self.eval_split)


@dataclass
class TextPreTrainingArguments(PreTrainingArguments):
    """`PreTrainingArguments` with the published learning rate of text."""

    learning_rate: float = field(default=2e-4, metadata={"help": "Highest learning rate."})
    warmup_steps: float = field(default=0.004, metadata={"help": "Updates of warm-up, or their share if below 1."})
    train_sampling_strategy: str = field(default="random", metadata={"help": "Has no effect on streamed text."})
    dataloader_num_workers: int = field(default=1, metadata={"help": "Processes that tokenise; one file each."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_steps <= 0:
            raise ValueError("Streamed text has no length that is known before: give --max_steps.")
