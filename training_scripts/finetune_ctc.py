#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fine-tunes a pre-trained speech model to recognise speech, with connectionist temporal classification.

    python finetune_ctc.py recipes/ctc_10h.yaml --model_name_or_path PRETRAINED --data TRANSCRIBED --output_dir MODEL

The data are folders with a metadata.csv (`file_name,transcription`), manifests, or data sets on the Hub. Flags are
those below and all of `transformers.TrainingArguments`; a YAML recipe may come first, flags win over it.
"""

import csv
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import datasets
import numpy as np
from transformers import AutoFeatureExtractor, AutoModelForCTC, PreTrainedModel, Wav2Vec2CTCTokenizer, set_seed

from hf_ssl.data import AudioDataset, DataCollatorForCTC
from hf_ssl.training.arguments import FineTuningDataArguments, parse_arguments
from hf_ssl.training.finetuning import (
    PUNCTUATION,
    CTCTrainer,
    CTCTrainingArguments,
    FineTunedModelArguments,
    NormalizingCTCCollator,
    TranscriptNormalizer,
    Transcripts,
    build_vocabulary,
    drop_empty_transcripts,
    load_config,
    load_model,
    make_processor,
    read_vocabulary,
    train_random_weights,
    transcript_table,
)
from hf_ssl.training.running import (
    Reading,
    checkpoint_to_resume,
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
from hf_ssl.training.streams import warn_of_features_without_streams

logger = logging.getLogger("hf_ssl.finetune_ctc")


@dataclass
class TranscriptArguments:
    """Where transcripts are and how they are spelled."""

    text_column: str = field(default="transcription", metadata={"help": "Column with the transcript."})
    vocabulary: str | None = field(
        default=None,
        metadata={
            "help": "JSON or text file with the tokens; if absent, the characters of the transcripts of --data and "
            "--eval_data."
        },
    )
    text_case: Literal["lower", "upper", "keep"] = field(default="lower", metadata={"help": "Case of transcripts."})
    remove_characters: str = field(
        default=PUNCTUATION, metadata={"help": "Characters of transcripts to replace by a space."}
    )


def main(argv: Sequence[str] | None = None) -> CTCTrainer:
    model_args, data_args, text_args, training_args = parse_arguments(
        FineTunedModelArguments, FineTuningDataArguments, TranscriptArguments, CTCTrainingArguments, argv=argv
    )
    set_up_logging(training_args)
    train_random_weights(model_args, training_args)
    set_seed(training_args.seed)
    checkpoint = checkpoint_to_resume(training_args)

    feature_extractor = AutoFeatureExtractor.from_pretrained(model_args.model_name_or_path)
    skipped = open_skipped_files(training_args)
    reading = Reading(feature_extractor.sampling_rate, skipped, columns=(text_args.text_column,))
    normalizer = TranscriptNormalizer(text_args.text_case, text_args.remove_characters)
    logger.info(f"Transcripts are taken {normalizer}.")
    tables = [
        None if table is None else drop_empty_transcripts(table, text_args.text_column, normalizer, skipped)
        for table in (
            load_labelled_table(data_args, reading),
            load_eval_table(data_args, reading),
            load_test_table(data_args, reading),
        )
    ]
    train_table, eval_table, test_table = tables
    processor = make_processor(feature_extractor, choose_vocabulary(text_args, normalizer, tables))
    transcripts = Transcripts(processor.tokenizer)

    eval_dataset = make_eval_dataset(eval_table, data_args, reading)
    trainer = CTCTrainer(
        model=make_model(model_args, training_args, processor.tokenizer),
        args=training_args,
        train_dataset=make_train_dataset(train_table, data_args, training_args, reading),
        eval_dataset=eval_dataset,
        data_collator=NormalizingCTCCollator(
            DataCollatorForCTC(
                processor,
                text_column=text_args.text_column,
                pad_to_multiple_of=training_args.pad_to_multiple_of(reading.sampling_rate),
            ),
            normalizer,
        ),
        processing_class=processor,
        compute_metrics=transcripts.metrics,
    )
    warn_of_features_without_streams(trainer.model.config, feature_extractor)
    result = trainer.train(resume_from_checkpoint=checkpoint)
    save_run(trainer, result, started_from=None if model_args.from_scratch else model_args.model_name_or_path)
    for name, dataset in (("eval", eval_dataset), ("test", make_eval_dataset(test_table, data_args, reading))):
        if dataset is not None:
            report(trainer, name, dataset, transcripts)
    logger.info(f"Data: {skipped.summary()}.")
    logger.info(f"The fine-tuned model is in {training_args.output_dir}.")
    report_run(trainer)
    push_run(trainer, started_from=None if model_args.from_scratch else model_args.model_name_or_path)
    return trainer


def choose_vocabulary(
    text_args: TranscriptArguments, normalizer: TranscriptNormalizer, tables: Sequence[datasets.Dataset | None]
) -> dict[str, int]:
    """The given vocabulary, or the characters of all transcripts."""
    if text_args.vocabulary is not None:
        return read_vocabulary(text_args.vocabulary)
    given = [table for table in tables if table is not None]
    return build_vocabulary(normalizer(text) for table in given for text in table[text_args.text_column])


def make_model(
    model_args: FineTunedModelArguments, training_args: CTCTrainingArguments, tokenizer: Wav2Vec2CTCTokenizer
) -> PreTrainedModel:
    """The pre-trained encoder, or its untrained twin, under a new layer over the vocabulary."""
    tokens = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        # A transcript that is too long for its audio would make the whole batch's loss infinite.
        "ctc_zero_infinity": True,
    }
    config = load_config(model_args)
    config = override_config(config, tokens | model_args.overrides(config))
    model = load_model(AutoModelForCTC, model_args, config)
    if training_args.freeze_feature_encoder and not model_args.from_scratch:
        model.freeze_feature_encoder()
    return model


def report(trainer: CTCTrainer, name: str, dataset: AudioDataset, transcripts: Transcripts) -> None:
    """Evaluates, prints some transcripts, and saves all of them with the metrics."""
    output = trainer.predict(dataset, metric_key_prefix=name)
    assert output.metrics is not None
    assert trainer.args.output_dir is not None
    trainer.log(output.metrics)
    trainer.save_metrics(name, output.metrics)
    references = transcripts.references(np.asarray(output.label_ids))
    hypotheses = transcripts.hypotheses(np.asarray(output.predictions))
    if not trainer.is_world_process_zero():
        return
    # The underscore keeps the user's transcripts out of what is pushed to the Hub.
    path = os.path.join(trainer.args.output_dir, f"_{name}_transcripts.tsv")
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = zip(references, hypotheses, strict=True)
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([("reference", "hypothesis"), *rows])
    print(transcript_table(references, hypotheses))
    print(f"{name}: WER {output.metrics[f'{name}_wer']:.3f}, CER {output.metrics[f'{name}_cer']:.3f}")


if __name__ == "__main__":
    run_script(main)
