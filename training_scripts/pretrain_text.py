#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Pre-trains a text model with data2vec 2.0 or data2vec on plain text.

    python pretrain_text.py --model_size small --train_tokenizer 8000 --data TEXTS --max_steps 2000 --output_dir MODEL
    python pretrain_text.py recipes/data2vec_text_laptop.yaml --data TEXTS --output_dir MODEL
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

from transformers import AutoConfig, AutoTokenizer, Data2VecTextConfig, PreTrainedTokenizerBase, set_seed

from hf_ssl import (
    Data2Vec2TextConfig,
    Data2Vec2TextForPreTraining,
    Data2VecTextForPreTraining,
    Data2VecTextPreTrainingConfig,
)
from hf_ssl.data.pretraining_collators import text_collator
from hf_ssl.data.text import PackedTextDataset, block_token_ids, iterate_texts, load_text_sources
from hf_ssl.models.configuration_data2vec_pretraining import as_pretraining_config, longest_text
from hf_ssl.training import TextSelfDistillationTrainer, health_guards
from hf_ssl.training.arguments import parse_arguments
from hf_ssl.training.model_sizes import data2vec2_text_config, data2vec_text_config
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

TextConfig = Data2Vec2TextConfig | Data2VecTextPreTrainingConfig
TextModel = Data2Vec2TextForPreTraining | Data2VecTextForPreTraining


def main(argv: Sequence[str] | None = None) -> TextSelfDistillationTrainer:
    model_args, data_args, training_args = parse_arguments(
        TextModelArguments, TextDataArguments, TextPreTrainingArguments, argv=argv
    )
    set_up_logging(training_args)
    set_seed(training_args.seed)
    checkpoint = checkpoint_to_resume(training_args)

    tokenizer = make_tokenizer(model_args, data_args, checkpoint)
    model = make_model(model_args, tokenizer)
    check_block_size(data_args.block_size, model.config)
    trainer = TextSelfDistillationTrainer(
        model=model,
        args=training_args,
        train_dataset=make_train_dataset(data_args, training_args, tokenizer),
        eval_dataset=make_eval_dataset(data_args, tokenizer),
        data_collator=text_collator(model.config, tokenizer.mask_token_id),
        processing_class=tokenizer,
        callbacks=health_guards(training_args),
    )
    result = trainer.train(resume_from_checkpoint=checkpoint)

    save_run(trainer, result, started_from=model_args.model_name_or_path)
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


def make_model(model_args: TextModelArguments, tokenizer: PreTrainedTokenizerBase) -> TextModel:
    """A new model for the tokenizer, or a saved one with its teacher, if it has one."""
    if model_args.model_name_or_path is None:
        config = make_config(model_args, tokenizer)
    else:
        config = override_config(saved_config(model_args), model_args.overrides)
    model_class: type[TextModel] = Data2Vec2TextForPreTraining
    if isinstance(config, Data2VecTextPreTrainingConfig):
        model_class = Data2VecTextForPreTraining
    if model_args.model_name_or_path is None:
        return model_class(config)
    model = model_class.from_pretrained(model_args.model_name_or_path, config=config)
    if model_args.reset_teacher:
        model.reset_teacher()
    return model


def saved_config(model_args: TextModelArguments) -> TextConfig:
    """The configuration of a saved model; of data2vec also of one that transformers saved."""
    config = AutoConfig.from_pretrained(model_args.model_name_or_path)
    if config.model_type != model_args.model_type:
        raise ValueError(
            f"{model_args.model_name_or_path} is a model of type {config.model_type!r}, but --model_type is "
            f"{model_args.model_type!r}."
        )
    if isinstance(config, Data2VecTextConfig):
        return as_pretraining_config(config, Data2VecTextPreTrainingConfig)
    return config


def make_config(model_args: TextModelArguments, tokenizer: PreTrainedTokenizerBase) -> TextConfig:
    """The configuration of a named size or of a file, with the tokenizer's numbers and the overrides."""
    begin, end = block_token_ids(tokenizer)
    numbers = {
        "vocab_size": len(tokenizer),
        "bos_token_id": begin,
        "eos_token_id": end,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return override_config(new_config(model_args), numbers | model_args.overrides)


def new_config(model_args: TextModelArguments) -> TextConfig:
    """The configuration of a named size or of a file, which need not name the type."""
    if model_args.model_size is not None:
        match model_args.model_type:
            case "data2vec2-text":
                return data2vec2_text_config(model_args.model_size)
            case "data2vec-text":
                return data2vec_text_config(model_args.model_size)
    assert model_args.config is not None
    fields = json.loads(Path(model_args.config).read_text(encoding="utf-8"))
    model_type = fields.pop("model_type", model_args.model_type)
    if model_type != model_args.model_type:
        raise ValueError(
            f"{model_args.config} is of a model of type {model_type!r}, but --model_type is {model_args.model_type!r}."
        )
    return Data2Vec2TextConfig(**fields) if model_type == "data2vec2-text" else Data2VecTextPreTrainingConfig(**fields)


def check_block_size(block_size: int, config: TextConfig) -> None:
    """Raises if the model cannot read blocks of so many tokens."""
    is_data2vec = isinstance(config, Data2VecTextPreTrainingConfig)
    longest = longest_text(config) if is_data2vec else config.max_position_embeddings
    if block_size > longest:
        raise ValueError(
            f"--block_size {block_size} is longer than the model's {longest} positions (`max_position_embeddings`)."
        )


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
