#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fine-tunes a pre-trained speech model to tell speakers apart (x-vectors), and verifies speakers it never heard.

    python finetune_speaker_verification.py recipes/speaker_verification.yaml --model_name_or_path PRETRAINED \
        --data SPEAKERS --eval_data OTHER_SPEAKERS --output_dir MODEL

The data are folders with a metadata.csv (`file_name,speaker_id`), manifests, or data sets on the Hub. Evaluation
compares every two clips and prints the equal error rate. Flags are those below and all of
`transformers.TrainingArguments`; a YAML recipe may come first, flags win over it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import datasets
from transformers import AutoFeatureExtractor, AutoModelForAudioXVector, PreTrainedModel, set_seed

from hf_ssl.data import DataCollatorForAudioClassification
from hf_ssl.training.arguments import FineTuningDataArguments, parse_arguments
from hf_ssl.training.finetuning import (
    FineTunedModelArguments,
    FineTuningArguments,
    load_config,
    load_model,
    train_random_weights,
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
from hf_ssl.training.verification import SpeakerVerificationTrainer, number_speakers, verification_metrics

logger = logging.getLogger("hf_ssl.finetune_speaker_verification")


@dataclass
class SpeakerArguments:
    """Who speaks."""

    speaker_column: str = field(default="speaker_id", metadata={"help": "Column with the speaker's name or number."})


def main(argv: Sequence[str] | None = None) -> SpeakerVerificationTrainer:
    model_args, data_args, speaker_args, training_args = parse_arguments(
        FineTunedModelArguments, FineTuningDataArguments, SpeakerArguments, FineTuningArguments, argv=argv
    )
    set_up_logging(training_args)
    train_random_weights(model_args, training_args)
    set_seed(training_args.seed)
    checkpoint = checkpoint_to_resume(training_args)

    feature_extractor = AutoFeatureExtractor.from_pretrained(model_args.model_name_or_path)
    skipped = open_skipped_files(training_args)
    column = speaker_args.speaker_column
    reading = Reading(feature_extractor.sampling_rate, skipped, columns=(column,))
    train_table = name_speakers(load_labelled_table(data_args, reading), column)
    eval_table, test_table = (
        None if table is None else name_speakers(table, column)
        for table in (load_eval_table(data_args, reading), load_test_table(data_args, reading))
    )
    tables_to_verify = [table for table in (eval_table, test_table) if table is not None]
    known, others = number_speakers(
        train_table[column], (name for table in tables_to_verify for name in table[column])
    )
    logger.info(f"{len(known)} speakers to train on, {len(others)} others in evaluation.")

    trainer = SpeakerVerificationTrainer(
        model=make_model(model_args, training_args, known),
        args=training_args,
        train_dataset=make_train_dataset(train_table, data_args, training_args, reading),
        eval_dataset=make_eval_dataset(eval_table, data_args, reading),
        data_collator=DataCollatorForAudioClassification(
            feature_extractor,
            {speaker: number for number, speaker in enumerate(known + others)},
            label_column=column,
            pad_to_multiple_of=training_args.pad_to_multiple_of(reading.sampling_rate),
        ),
        processing_class=feature_extractor,
        compute_metrics=verification_metrics,
    )
    result = trainer.train(resume_from_checkpoint=checkpoint)
    save_run(trainer, result, started_from=None if model_args.from_scratch else model_args.model_name_or_path)
    evaluate_run(trainer, make_eval_dataset(test_table, data_args, reading))
    logger.info(f"Data: {skipped.summary()}.")
    logger.info(f"The fine-tuned model is in {training_args.output_dir}.")
    report_run(trainer)
    push_run(trainer, started_from=None if model_args.from_scratch else model_args.model_name_or_path)
    return trainer


def name_speakers(table: datasets.Dataset, column: str) -> datasets.Dataset:
    """Makes names of speakers' numbers, which would be taken for numbers of classes."""
    return table.cast_column(column, datasets.Value("string"))


def make_model(
    model_args: FineTunedModelArguments, training_args: FineTuningArguments, speakers: Sequence[str]
) -> PreTrainedModel:
    """The pre-trained encoder, or its untrained twin, under a new time-delay network."""
    labels = {
        "label2id": {speaker: number for number, speaker in enumerate(speakers)},
        "id2label": dict(enumerate(speakers)),
    }
    config = load_config(model_args)
    config = override_config(config, labels | model_args.overrides(config))
    model = load_model(AutoModelForAudioXVector, model_args, config)
    if training_args.freeze_feature_encoder and not model_args.from_scratch:
        model.freeze_feature_encoder()
    return model


if __name__ == "__main__":
    run_script(main)
