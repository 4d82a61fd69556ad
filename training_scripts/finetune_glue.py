#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fine-tunes a pre-trained text model on a task of GLUE, or on any table of texts (or pairs of texts) and labels.

    python finetune_glue.py recipes/glue_rte.yaml --model_name_or_path PRETRAINED --output_dir MODEL
    python finetune_glue.py --model_name_or_path PRETRAINED --train_file train.csv --validation_file validation.csv \
        --text_columns text --output_dir MODEL

Flags are those below and all of `transformers.TrainingArguments`; a YAML recipe may come first, flags win over it.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    set_seed,
)

import hf_ssl  # noqa: F401  (registers the classes)
from hf_ssl.models.configuration_data2vec_pretraining import longest_text
from hf_ssl.training.arguments import parse_arguments
from hf_ssl.training.finetuning import (
    FineTunedModelArguments,
    FineTuningTrainer,
    load_config,
    load_model,
    train_random_weights,
    without_noise,
)
from hf_ssl.training.glue import (
    GlueDataArguments,
    GlueTrainingArguments,
    label_numbers,
    load_tables,
    metrics_of,
    tokenize,
)
from hf_ssl.training.running import (
    checkpoint_to_resume,
    override_config,
    push_run,
    report_run,
    run_script,
    save_run,
    set_up_logging,
)

logger = logging.getLogger("hf_ssl.finetune_glue")


@dataclass
class ProbeArguments:
    """How much of the model to train."""

    freeze_base_model: bool = field(
        default=False, metadata={"help": "Train the classifier only, a probe of the first token, without dropout."}
    )


def main(argv: Sequence[str] | None = None) -> FineTuningTrainer:
    model_args, data_args, probe_args, training_args = parse_arguments(
        FineTunedModelArguments, GlueDataArguments, ProbeArguments, GlueTrainingArguments, argv=argv
    )
    set_up_logging(training_args)
    train_random_weights(model_args, training_args)
    set_seed(training_args.seed)
    checkpoint = checkpoint_to_resume(training_args)

    tokenizer = AutoTokenizer.from_pretrained(model_args.model_name_or_path)
    tables = load_tables(data_args)
    label2id = label_numbers(tables["train"], data_args.label_column, data_args.task.is_regression)
    model = make_model(model_args, probe_args, label2id)
    encoded = {
        split: tokenize(
            table,
            tokenizer,
            data_args.task,
            label_column=data_args.label_column,
            label2id=label2id,
            max_length=data_args.max_length or longest_text(model.config),
        )
        for split, table in tables.items()
    }
    test_set = encoded.pop("test", None)
    train_set = encoded.pop("train")
    trainer = FineTuningTrainer(
        model=model,
        args=training_args,
        train_dataset=train_set,
        eval_dataset=next(iter(encoded.values()), None),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=metrics_of(data_args.task),
    )
    result = trainer.train(resume_from_checkpoint=checkpoint)
    save_run(trainer, result, started_from=None if model_args.from_scratch else model_args.model_name_or_path)
    for split, table in (encoded | ({} if test_set is None else {"test": test_set})).items():
        name = "eval" if split == "validation" else split
        metrics = trainer.evaluate(table, metric_key_prefix=name)
        trainer.save_metrics(name, metrics)
        trainer.log_metrics(name, metrics)
    logger.info(f"The fine-tuned model is in {training_args.output_dir}.")
    report_run(trainer)
    push_run(trainer, started_from=None if model_args.from_scratch else model_args.model_name_or_path)
    return trainer


def make_model(
    model_args: FineTunedModelArguments, probe_args: ProbeArguments, label2id: dict[str, int] | None
) -> PreTrainedModel:
    """The pre-trained encoder, or its untrained twin, under a new classifier."""
    config = load_config(model_args)
    if label2id is None:
        overrides = {"id2label": {0: "score"}, "label2id": {"score": 0}, "problem_type": "regression"}
    else:
        overrides = {
            "label2id": label2id,
            "id2label": {index: name for name, index in label2id.items()},
            "problem_type": "single_label_classification",
        }
    if probe_args.freeze_base_model:
        overrides |= without_noise(config)
    model = load_model(
        AutoModelForSequenceClassification,
        model_args,
        override_config(config, overrides | model_args.overrides(config)),
    )
    if probe_args.freeze_base_model:
        model.base_model.requires_grad_(False)
    return model


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    run_script(main)
