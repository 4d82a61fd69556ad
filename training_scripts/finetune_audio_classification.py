#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fine-tunes a pre-trained speech model to classify recordings, with one label each or several.

    python finetune_audio_classification.py --model_name_or_path PRETRAINED --data LABELLED --label_column intent \
        --output_dir MODEL

The data are folders with a metadata.csv (`file_name,label`), manifests, or data sets on the Hub. Flags are those
below and all of `transformers.TrainingArguments`; a YAML recipe may come first, flags win over it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import AutoFeatureExtractor, AutoModelForAudioClassification, PreTrainedModel, set_seed

from hf_ssl.data import DataCollatorForAudioClassification
from hf_ssl.training.arguments import FineTuningDataArguments, parse_arguments
from hf_ssl.training.finetuning import (
    FineTunedModelArguments,
    FineTuningArguments,
    FineTuningTrainer,
    classification_metrics,
    load_config,
    load_model,
    multi_label_metrics,
    number_labels,
    train_random_weights,
    without_noise,
)
from hf_ssl.training.running import (
    Reading,
    checkpoint_to_resume,
    evaluate_run,
    load_eval_table,
    load_labelled_table,
    load_test_table,
    make_eval_dataset,
    make_train_dataset,
    open_skipped_files,
    override_config,
    push_run,
    report_run,
    run_script,
    save_run,
    set_up_logging,
)

logger = logging.getLogger("hf_ssl.finetune_audio_classification")


@dataclass
class ClassificationArguments:
    """What to classify, and how much of the model to train."""

    label_column: str = field(default="label", metadata={"help": "Column with the label."})
    multi_label: bool = field(
        default=False, metadata={"help": "Several labels per recording, separated by `;` in the column."}
    )
    freeze_base_model: bool = field(
        default=False, metadata={"help": "Train the head only, a linear probe, without dropout, LayerDrop and masks."}
    )
    use_weighted_layer_sum: bool = field(
        default=False, metadata={"help": "Classify a learned weighted sum of all layers instead of the last one."}
    )


def main(argv: Sequence[str] | None = None) -> FineTuningTrainer:
    model_args, data_args, class_args, training_args = parse_arguments(
        FineTunedModelArguments, FineTuningDataArguments, ClassificationArguments, FineTuningArguments, argv=argv
    )
    set_up_logging(training_args)
    train_random_weights(model_args, training_args)
    set_seed(training_args.seed)
    checkpoint = checkpoint_to_resume(training_args)

    feature_extractor = AutoFeatureExtractor.from_pretrained(model_args.model_name_or_path)
    skipped = open_skipped_files(training_args)
    reading = Reading(feature_extractor.sampling_rate, skipped, columns=(class_args.label_column,))
    train_table = load_labelled_table(data_args, reading)
    eval_table, test_table = load_eval_table(data_args, reading), load_test_table(data_args, reading)
    label2id = number_labels(train_table[class_args.label_column], class_args.multi_label)

    trainer = FineTuningTrainer(
        model=make_model(model_args, class_args, training_args, label2id),
        args=training_args,
        train_dataset=make_train_dataset(train_table, data_args, training_args, reading),
        eval_dataset=make_eval_dataset(eval_table, data_args, reading),
        data_collator=DataCollatorForAudioClassification(
            feature_extractor,
            label2id,
            class_args.multi_label,
            label_column=class_args.label_column,
            pad_to_multiple_of=training_args.pad_to_multiple_of(reading.sampling_rate),
        ),
        processing_class=feature_extractor,
        compute_metrics=multi_label_metrics if class_args.multi_label else classification_metrics,
    )
    result = trainer.train(resume_from_checkpoint=checkpoint)
    save_run(trainer, result, started_from=None if model_args.from_scratch else model_args.model_name_or_path)
    evaluate_run(trainer, make_eval_dataset(test_table, data_args, reading))
    logger.info(f"Data: {skipped.summary()}.")
    logger.info(f"The fine-tuned model is in {training_args.output_dir}.")
    report_run(trainer)
    push_run(trainer, started_from=None if model_args.from_scratch else model_args.model_name_or_path)
    return trainer


def make_model(
    model_args: FineTunedModelArguments,
    class_args: ClassificationArguments,
    training_args: FineTuningArguments,
    label2id: dict[str, int],
) -> PreTrainedModel:
    """The pre-trained encoder, or its untrained twin, under a new classifier."""
    config = load_config(model_args)
    overrides = {
        "label2id": label2id,
        "id2label": {index: name for name, index in label2id.items()},
        "problem_type": "multi_label_classification" if class_args.multi_label else "single_label_classification",
        "use_weighted_layer_sum": class_args.use_weighted_layer_sum,
    }
    if class_args.freeze_base_model:
        overrides |= without_noise(config)
    model = load_model(
        AutoModelForAudioClassification, model_args, override_config(config, overrides | model_args.overrides(config))
    )
    if class_args.freeze_base_model:
        model.freeze_base_model()
    elif training_args.freeze_feature_encoder and not model_args.from_scratch:
        model.freeze_feature_encoder()
    return model


if __name__ == "__main__":
    run_script(main)
