#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Pre-trains a text model with data2vec 2.0 on plain text.

    python pretrain_text.py --model_size small --train_tokenizer 8000 --data TEXTS --max_steps 2000 --output_dir MODEL
    accelerate launch pretrain_text.py recipes/data2vec2_text_base.yaml --tokenizer roberta-base --data TEXTS \
        --output_dir MODEL

Flags are those below and all of `transformers.TrainingArguments`; a YAML recipe may come first, flags win over it.
`--resume_from_checkpoint last` continues an interrupted run exactly where its newest checkpoint is, after reading the
text again up to there.
"""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase, set_seed

from hf_ssl import Data2Vec2TextConfig, Data2Vec2TextForPreTraining
from hf_ssl.data.collators_text import DataCollatorForData2Vec2Text
from hf_ssl.data.text import PackedTextDataset, block_token_ids, iterate_texts, load_text_sources
from hf_ssl.training import TextSelfDistillationTrainer, health_guards
from hf_ssl.training.arguments import parse_arguments
from hf_ssl.training.model_sizes import data2vec2_text_config
from hf_ssl.training.running import (
    checkpoint_to_resume,
    override_config,
    push_run,
    report_run,
    run_script,
    save_run,
    set_up_logging,
)
from hf_ssl.training.text_arguments import TextDataArguments, TextModelArguments, TextPreTrainingArguments
from hf_ssl.training.text_tokenizers import train_tokenizer

logger = logging.getLogger("hf_ssl.pretrain_text")


def main(argv: Sequence[str] | None = None) -> TextSelfDistillationTrainer:
    model_args, data_args, training_args = parse_arguments(
        TextModelArguments, TextDataArguments, TextPreTrainingArguments, argv=argv
    )
    set_up_logging(training_args)
    set_seed(training_args.seed)
    checkpoint = checkpoint_to_resume(training_args)

    tokenizer = make_tokenizer(model_args, data_args, checkpoint)
    model = make_model(model_args, tokenizer)
    if data_args.block_size > model.config.max_position_embeddings:
        raise ValueError(
            f"--block_size {data_args.block_size} is longer than the model's {model.config.max_position_embeddings} "
            "positions (`max_position_embeddings`)."
        )
    trainer = TextSelfDistillationTrainer(
        model=model,
        args=training_args,
        train_dataset=make_train_dataset(data_args, training_args, tokenizer),
        eval_dataset=make_eval_dataset(data_args, tokenizer),
        data_collator=DataCollatorForData2Vec2Text(model.config),
        processing_class=tokenizer,
        callbacks=health_guards(training_args),
    )
    result = trainer.train(resume_from_checkpoint=checkpoint)

    save_run(trainer, result)
    if data_args.eval_data:
        trainer.save_metrics("eval", trainer.evaluate())
    logger.info(f"The pre-trained model is in {training_args.output_dir}.")
    report_run(trainer)
    push_run(trainer, started_from=model_args.model_name_or_path)
    return trainer


def make_tokenizer(
    model_args: TextModelArguments, data_args: TextDataArguments, checkpoint: str | None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a saved model, of `--tokenizer`, or one that is trained on the data. A resumed run has its own
    already."""
    source = checkpoint or model_args.model_name_or_path or model_args.tokenizer
    if source is not None:
        return AutoTokenizer.from_pretrained(source)
    assert model_args.train_tokenizer is not None
    table = load_text_sources(
        data_args.data,
        split=data_args.split,
        text_column=data_args.text_column,
        text_unit=data_args.text_unit,
    )
    logger.info(f"Training a tokenizer of {model_args.train_tokenizer} tokens on the data.")
    return train_tokenizer(
        iterate_texts(table, data_args.text_column),
        vocab_size=model_args.train_tokenizer,
        model_max_length=data_args.block_size,
    )


def make_model(model_args: TextModelArguments, tokenizer: PreTrainedTokenizerBase) -> Data2Vec2TextForPreTraining:
    """A new model for the tokenizer, or a saved one with its teacher."""
    if model_args.model_name_or_path is None:
        return Data2Vec2TextForPreTraining(make_config(model_args, tokenizer))
    config = Data2Vec2TextConfig.from_pretrained(model_args.model_name_or_path)
    config = override_config(config, model_args.overrides)
    model = Data2Vec2TextForPreTraining.from_pretrained(model_args.model_name_or_path, config=config)
    if model_args.reset_teacher:
        model.reset_teacher()
    return model


def make_config(model_args: TextModelArguments, tokenizer: PreTrainedTokenizerBase) -> Data2Vec2TextConfig:
    """The configuration of a named size or of a file, with the tokenizer's numbers and the overrides."""
    if model_args.model_size is not None:
        config = data2vec2_text_config(model_args.model_size)
    else:
        assert model_args.config is not None
        config = Data2Vec2TextConfig(**json.loads(Path(model_args.config).read_text(encoding="utf-8")))
    begin, end = block_token_ids(tokenizer)
    numbers = {
        "vocab_size": len(tokenizer),
        "bos_token_id": begin,
        "eos_token_id": end,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return override_config(config, numbers | model_args.overrides)


def make_train_dataset(
    data_args: TextDataArguments, training_args: TextPreTrainingArguments, tokenizer: PreTrainedTokenizerBase
) -> PackedTextDataset:
    """The text of `--data` in blocks, shuffled, again and again."""
    table = load_text_sources(
        data_args.data, split=data_args.split, text_column=data_args.text_column, text_unit=data_args.text_unit
    )
    return PackedTextDataset(
        table,
        tokenizer,
        block_size=data_args.block_size,
        seed=training_args.seed if training_args.data_seed is None else training_args.data_seed,
        text_column=data_args.text_column,
        endless=True,
    )


def make_eval_dataset(data_args: TextDataArguments, tokenizer: PreTrainedTokenizerBase) -> PackedTextDataset | None:
    """The text of `--eval_data` in blocks, the same (and with the same masks) at every evaluation."""
    if not data_args.eval_data:
        return None
    table = load_text_sources(
        data_args.eval_data,
        split=data_args.eval_split,
        text_column=data_args.text_column,
        text_unit=data_args.text_unit,
    )
    return PackedTextDataset(
        table,
        tokenizer,
        block_size=data_args.block_size,
        seed=0,
        text_column=data_args.text_column,
        shuffle_buffer_size=0,
    )


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it would warn in every worker
    run_script(main)
