#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Pre-trains a speech model with data2vec 2.0, data2vec, data2vec-aqc or BEST-RQ on recordings without transcripts.

    python pretrain_speech.py --model_size small --data RECORDINGS --output_dir MODEL
    python pretrain_speech.py recipes/data2vec_aqc_laptop.yaml --data RECORDINGS --noise_data NOISES --output_dir MODEL
    python pretrain_speech.py --model_type best-rq --model_size small --data RECORDINGS --output_dir MODEL
    accelerate launch pretrain_speech.py recipes/data2vec2_audio_base_librispeech.yaml --data LIBRISPEECH \
        --output_dir MODEL

Flags are those below and all of `transformers.TrainingArguments`; a YAML recipe may come first, flags win over it.
`--resume_from_checkpoint last` continues an interrupted run exactly where its newest checkpoint is.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForPreTraining,
    Data2VecAudioConfig,
    PreTrainedConfig,
    PreTrainedModel,
    SequenceFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    set_seed,
)

from hf_ssl import (
    BestRqConfig,
    BestRqFeatureExtractor,
    Data2Vec2AudioConfig,
    Data2VecAqcConfig,
    Data2VecAudioPreTrainingConfig,
)
from hf_ssl.data.augmentation import AugmentationArguments, WaveformAugmentation
from hf_ssl.data.pretraining_collators import speech_collator
from hf_ssl.models.configuration_data2vec_pretraining import as_pretraining_config
from hf_ssl.training import (
    BestRqTrainer,
    Data2VecAqcTrainer,
    PreTrainingTrainer,
    SelfDistillationTrainer,
    health_guards,
)
from hf_ssl.training.arguments import (
    ModelArguments,
    PreTrainingArguments,
    SpeechPreTrainingDataArguments,
    parse_arguments,
)
from hf_ssl.training.model_sizes import (
    best_rq_config,
    data2vec2_audio_config,
    data2vec_aqc_config,
    data2vec_audio_config,
)
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
    report_run,
    run_script,
    save_run,
    set_up_logging,
)
from hf_ssl.training.streams import warn_of_features_without_streams

logger = logging.getLogger("hf_ssl.pretrain_speech")


def main(argv: Sequence[str] | None = None) -> PreTrainingTrainer:
    model_args, data_args, augmentation_args, training_args = parse_arguments(
        ModelArguments, SpeechPreTrainingDataArguments, AugmentationArguments, PreTrainingArguments, argv=argv
    )
    set_up_logging(training_args)
    set_seed(training_args.seed)
    checkpoint = checkpoint_to_resume(training_args)

    model = make_model(model_args)
    feature_extractor = make_feature_extractor(model_args)
    warn_of_features_without_streams(model.config, feature_extractor)
    reading = Reading(feature_extractor.sampling_rate, open_skipped_files(training_args))
    train_table = load_train_table(data_args, reading, data_args.streaming)
    eval_table = load_eval_table(data_args, reading)
    trainer = make_trainer(
        model,
        feature_extractor,
        make_augmentation(augmentation_args, reading),
        args=training_args,
        train_dataset=make_train_dataset(train_table, data_args, training_args, reading),
        eval_dataset=make_eval_dataset(eval_table, data_args, reading),
        sampling_rate=reading.sampling_rate,
        pad_to_multiple_of=training_args.pad_to_multiple_of(reading.sampling_rate),
        features_on_device=data_args.log_mel_on_device,
        callbacks=health_guards(training_args),
    )
    result = trainer.train(resume_from_checkpoint=checkpoint)

    save_run(trainer, result, started_from=model_args.model_name_or_path)
    if data_args.eval_data:
        trainer.save_metrics("eval", trainer.evaluate())
    logger.info(f"Data: {reading.skipped.summary()}.")
    logger.info(f"The pre-trained model is in {training_args.output_dir}.")
    report_run(trainer)
    push_run(trainer, started_from=model_args.model_name_or_path)
    return trainer


def make_model(model_args: ModelArguments) -> PreTrainedModel:
    """A new model, or a saved one (of the data2vec family, with its teacher)."""
    config = make_config(model_args)
    if model_args.model_name_or_path is None:
        return AutoModelForPreTraining.from_config(config)
    model = AutoModelForPreTraining.from_pretrained(model_args.model_name_or_path, config=config)
    if model_args.reset_teacher:
        model.reset_teacher()
    return model


def make_config(model_args: ModelArguments) -> PreTrainedConfig:
    """The configuration of a named size, of a file or of a saved model, with the overrides."""
    if model_args.model_size is not None:
        config = config_of_size(model_args.model_type, model_args.model_size)
    elif model_args.config is not None:
        config = config_of_file(model_args.model_type, model_args.config)
    else:
        config = AutoConfig.from_pretrained(model_args.model_name_or_path)
    if config.model_type != model_args.model_type:
        raise ValueError(
            f"{model_args.model_name_or_path or model_args.config} is a model of type {config.model_type!r}, but "
            f"--model_type is {model_args.model_type!r}."
        )
    if isinstance(config, Data2VecAudioConfig):  # transformers' own, which a saved model's is read as
        config = as_pretraining_config(config, Data2VecAudioPreTrainingConfig)
    return override_config(config, model_args.overrides)


def config_of_size(model_type: str, size: str) -> PreTrainedConfig:
    match model_type:
        case "data2vec2-audio":
            return data2vec2_audio_config(size)
        case "data2vec-audio":
            return data2vec_audio_config(size)
        case "data2vec-aqc":
            return data2vec_aqc_config(size)
        case "best-rq":
            return best_rq_config(size)
    raise ValueError(f"No sizes of models of type {model_type!r}.")


def config_of_file(model_type: str, path: str) -> PreTrainedConfig:
    """A configuration's JSON file, which need not name the type."""
    fields = json.loads(Path(path).read_text(encoding="utf-8"))
    model_type = fields.pop("model_type", model_type)
    if model_type == "data2vec-audio":
        return Data2VecAudioPreTrainingConfig(**fields)
    return AutoConfig.for_model(model_type, **fields)


def make_feature_extractor(model_args: ModelArguments) -> SequenceFeatureExtractor:
    """That of a saved model or of `--preprocessor`, or else one that normalises each utterance by itself."""
    folder = model_args.model_name_or_path or model_args.preprocessor
    if folder is not None:
        return AutoFeatureExtractor.from_pretrained(folder)
    match model_args.model_type:
        case "data2vec2-audio" | "data2vec-audio" | "data2vec-aqc":
            return Wav2Vec2FeatureExtractor(sampling_rate=16_000, do_normalize=True, return_attention_mask=True)
        case "best-rq":
            return BestRqFeatureExtractor()
    raise ValueError(f"No feature extractor for models of type {model_args.model_type!r}.")


def make_augmentation(arguments: AugmentationArguments, reading: Reading) -> WaveformAugmentation | None:
    """What is done to waveforms; `None` if nothing is."""
    for folders, probability in arguments.unused_folders.items():
        logger.warning(f"--{folders} is given, but --{probability} is 0: nothing will be drawn from it.")
    if not arguments.is_active:
        return None
    return WaveformAugmentation(arguments, sampling_rate=reading.sampling_rate, skipped=reading.skipped)


def make_trainer(
    model: PreTrainedModel,
    feature_extractor: SequenceFeatureExtractor,
    augmentation: WaveformAugmentation | None = None,
    pad_to_multiple_of: int | None = None,
    features_on_device: bool = False,
    **arguments: Any,
) -> PreTrainingTrainer:
    """The trainer of the model's family, with its collator, which pads to a multiple of so many samples and may leave
    log-mel features to the device."""
    if feature_extractor.model_input_names[0] != model.main_input_name:
        raise ValueError(
            f"The feature extractor gives `{feature_extractor.model_input_names[0]}`, but the model takes "
            f"`{model.main_input_name}`. Give the --preprocessor of a model of type {model.config.model_type!r}."
        )
    if isinstance(model.config, Data2VecAqcConfig) and augmentation is None:
        logger.warning("No augmentation is asked for: the student sees what the teacher sees.")
    return trainer_class(model.config)(
        model=model,
        data_collator=speech_collator(
            model.config, feature_extractor, augmentation, pad_to_multiple_of, features_on_device
        ),
        processing_class=feature_extractor,
        **arguments,
    )


def trainer_class(config: PreTrainedConfig) -> type[PreTrainingTrainer]:
    """That of the model's family."""
    match config:
        case Data2VecAqcConfig():  # before data2vec's, from which it is derived
            return Data2VecAqcTrainer
        case Data2Vec2AudioConfig() | Data2VecAudioPreTrainingConfig():
            return SelfDistillationTrainer
        case BestRqConfig():
            return BestRqTrainer
    raise ValueError(f"No trainer for models of type {config.model_type!r}.")


if __name__ == "__main__":
    run_script(main)
