#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Pre-trains a speech model with data2vec 2.0 on recordings without transcripts.

    python pretrain_speech.py --model_size small --data RECORDINGS --output_dir MODEL
    accelerate launch pretrain_speech.py recipes/data2vec2_audio_base_librispeech.yaml --data LIBRISPEECH \
        --output_dir MODEL

Flags are those below and all of `transformers.TrainingArguments`; a YAML recipe may come first, flags win over it.
`--resume_from_checkpoint last` continues an interrupted run exactly where its newest checkpoint is.
"""

import logging
from collections.abc import Sequence

from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForPreTraining, Wav2Vec2FeatureExtractor, set_seed

from hf_ssl import Data2Vec2AudioConfig, Data2Vec2AudioForPreTraining
from hf_ssl.data.collators_pretraining import DataCollatorForData2Vec2Audio
from hf_ssl.training import CollapseGuardCallback, SelfDistillationTrainer
from hf_ssl.training.arguments import (
    ModelArguments,
    PreTrainingArguments,
    SpeechPreTrainingDataArguments,
    parse_arguments,
)
from hf_ssl.training.model_sizes import data2vec2_audio_config
from hf_ssl.training.running import (
    Reading,
    checkpoint_to_resume,
    load_eval_table,
    load_train_table,
    make_eval_dataset,
    make_train_dataset,
    open_skipped_files,
    override_config,
    push_run,
    run_script,
    save_run,
    set_up_logging,
)

logger = logging.getLogger("hf_ssl.pretrain_speech")


def main(argv: Sequence[str] | None = None) -> SelfDistillationTrainer:
    model_args, data_args, training_args = parse_arguments(
        ModelArguments, SpeechPreTrainingDataArguments, PreTrainingArguments, argv=argv
    )
    set_up_logging(training_args)
    set_seed(training_args.seed)
    checkpoint = checkpoint_to_resume(training_args)

    model = make_model(model_args)
    feature_extractor = make_feature_extractor(model_args)
    reading = Reading(feature_extractor.sampling_rate, open_skipped_files(training_args))
    train_table = load_train_table(data_args, reading, data_args.streaming)
    eval_table = load_eval_table(data_args, reading)
    trainer = SelfDistillationTrainer(
        model=model,
        args=training_args,
        train_dataset=make_train_dataset(train_table, data_args, training_args, reading),
        eval_dataset=make_eval_dataset(eval_table, data_args, reading),
        data_collator=DataCollatorForData2Vec2Audio(feature_extractor, model.config),
        processing_class=feature_extractor,
        callbacks=[CollapseGuardCallback()],
        sampling_rate=reading.sampling_rate,
    )
    result = trainer.train(resume_from_checkpoint=checkpoint)

    save_run(trainer, result)
    if data_args.eval_data:
        trainer.save_metrics("eval", trainer.evaluate())
    logger.info(f"Data: {reading.skipped.summary()}.")
    logger.info(f"The pre-trained model is in {training_args.output_dir}.")
    push_run(trainer, started_from=model_args.model_name_or_path)
    return trainer


def make_model(model_args: ModelArguments) -> Data2Vec2AudioForPreTraining:
    """A new model, or a saved one with its teacher."""
    config = make_config(model_args)
    if model_args.model_name_or_path is None:
        return AutoModelForPreTraining.from_config(config)
    model = AutoModelForPreTraining.from_pretrained(model_args.model_name_or_path, config=config)
    if model_args.reset_teacher:
        model.reset_teacher()
    return model


def make_config(model_args: ModelArguments) -> Data2Vec2AudioConfig:
    overrides = model_args.overrides
    if model_args.model_size is not None:
        return override_config(data2vec2_audio_config(model_args.model_size), overrides)
    if model_args.config is not None:
        return override_config(Data2Vec2AudioConfig.from_json_file(model_args.config), overrides)
    assert model_args.model_name_or_path is not None
    config = AutoConfig.from_pretrained(model_args.model_name_or_path)
    if config.model_type != model_args.model_type:
        raise ValueError(
            f"{model_args.model_name_or_path} is a model of type {config.model_type!r}; this script pre-trains "
            f"{model_args.model_type!r}."
        )
    return override_config(config, overrides)


def make_feature_extractor(model_args: ModelArguments) -> Wav2Vec2FeatureExtractor:
    if model_args.model_name_or_path is not None:
        return AutoFeatureExtractor.from_pretrained(model_args.model_name_or_path)
    return Wav2Vec2FeatureExtractor(sampling_rate=16_000, do_normalize=True, return_attention_mask=True)


if __name__ == "__main__":
    run_script(main)
