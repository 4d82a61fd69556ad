#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The baseline of text in model_cards/data2vec2-text.md: transformers' own `RobertaForMaskedLM`, on the same text.

    python training_scripts/benchmarks/pretrain_masked_lm.py training_scripts/benchmarks/masked_lm_cpu.yaml \
        --data TEXTS --output_dir MODEL

Takes the flags of pretrain_text.py for data and training, but for those that it refuses. Masks are those of
transformers' `DataCollatorForLanguageModeling`: 15 % of the tokens are to be predicted; 80 % of them are masked, 10 %
are replaced.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import (
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerBase,
    RobertaConfig,
    RobertaForMaskedLM,
    set_seed,
)

from hf_ssl.data.text import PackedTextDataset, iterate_texts, load_text_sources
from hf_ssl.training.arguments import parse_arguments, parse_overrides, refuse_flags
from hf_ssl.training.running import checkpoint_to_resume, report_run, run_script, save_run, set_up_logging
from hf_ssl.training.text_arguments import TextDataArguments, TextPreTrainingArguments
from hf_ssl.training.text_tokenizers import train_tokenizer
from hf_ssl.training.trainer import PreTrainingTrainer


@dataclass
class MaskedLMArguments:
    """The baseline's model and its tokens."""

    train_tokenizer: int = field(metadata={"help": "Tokens of the tokenizer, which is trained on --data."})
    config_overrides: dict | str | None = field(
        default=None, metadata={"help": "Fields of RobertaConfig, as JSON, other than those of the base model."}
    )


def main(argv: Sequence[str] | None = None) -> PreTrainingTrainer:
    model_args, data_args, training_args = parse_arguments(
        MaskedLMArguments, TextDataArguments, TextPreTrainingArguments, argv=argv
    )
    refuse_flags({"eval_data": data_args.eval_data, "push_to_hub": training_args.push_to_hub})
    set_up_logging(training_args)
    set_seed(training_args.seed)
    table = load_text_sources(
        data_args.data, split=data_args.split, text_column=data_args.text_column, text_unit=data_args.text_unit
    )
    tokenizer = train_tokenizer(
        iterate_texts(table, data_args.text_column),
        vocab_size=model_args.train_tokenizer,
        model_max_length=data_args.block_size,
    )
    trainer = MaskedLMTrainer(
        model=RobertaForMaskedLM(make_config(tokenizer, model_args)),
        args=training_args,
        data_collator=DataCollatorForBlocks(tokenizer),
        train_dataset=PackedTextDataset(
            table,
            tokenizer,
            block_size=data_args.block_size,
            seed=training_args.seed,
            text_column=data_args.text_column,
            endless=True,
        ),
        processing_class=tokenizer,
        sampling_rate=1,
    )
    save_run(trainer, trainer.train(resume_from_checkpoint=checkpoint_to_resume(training_args)))
    report_run(trainer)
    return trainer


def make_config(tokenizer: PreTrainedTokenizerBase, model_args: MaskedLMArguments) -> RobertaConfig:
    """The base model with the tokenizer's numbers and the overrides."""
    numbers = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return RobertaConfig(**(numbers | parse_overrides(model_args.config_overrides)))


class MaskedLMTrainer(PreTrainingTrainer):
    """Logs `tokens_per_second`."""

    speed_name = "tokens_per_second"


class DataCollatorForBlocks:
    """transformers' collator of masked language models, for the items of [`PackedTextDataset`].

    Args:
        tokenizer: Has the mask.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.collator = DataCollatorForLanguageModeling(tokenizer)

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        return self.collator([{"input_ids": feature["input_ids"]} for feature in features])


if __name__ == "__main__":
    run_script(main)
