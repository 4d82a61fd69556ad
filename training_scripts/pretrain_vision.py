#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Pre-trains an image model with data2vec 2.0 on images without labels.

    python pretrain_vision.py --model_size small --data IMAGES --output_dir MODEL
    accelerate launch pretrain_vision.py recipes/data2vec2_vision_base.yaml --data IMAGENET --output_dir MODEL

Flags are those below and all of `transformers.TrainingArguments`; a YAML recipe may come first, flags win over it.
`--resume_from_checkpoint last` continues an interrupted run exactly where its newest checkpoint is.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from transformers import AutoConfig, AutoModelForPreTraining, PreTrainedModel, ViTImageProcessorPil, set_seed

from hf_ssl import Data2Vec2VisionConfig
from hf_ssl.data.collators_images import DataCollatorForData2Vec2Vision
from hf_ssl.data.image_augmentation import RandomResizedCrop
from hf_ssl.data.images import ImageDataset, load_images
from hf_ssl.models.image_processing_data2vec2 import make_image_processor
from hf_ssl.training import ImageSelfDistillationTrainer, health_guards
from hf_ssl.training.arguments import parse_arguments
from hf_ssl.training.image_arguments import (
    ImageModelArguments,
    ImagePreTrainingArguments,
    ImagePreTrainingDataArguments,
)
from hf_ssl.training.model_sizes import data2vec2_vision_config
from hf_ssl.training.running import (
    checkpoint_to_resume,
    open_skipped_files,
    override_config,
    push_run,
    report_run,
    run_script,
    save_run,
    set_up_logging,
)

logger = logging.getLogger("hf_ssl.pretrain_vision")


def main(argv: Sequence[str] | None = None) -> ImageSelfDistillationTrainer:
    model_args, data_args, training_args = parse_arguments(
        ImageModelArguments, ImagePreTrainingDataArguments, ImagePreTrainingArguments, argv=argv
    )
    set_up_logging(training_args)
    set_seed(training_args.seed)
    checkpoint = checkpoint_to_resume(training_args)

    model = make_model(model_args)
    image_processor = make_processor(model_args, model.config)
    skipped = open_skipped_files(training_args)
    seed = training_args.seed if training_args.data_seed is None else training_args.data_seed
    crop = RandomResizedCrop(model.config.image_size, tuple(data_args.crop_scale))
    train_table = load_images(data_args.data, split=data_args.split, image_column=data_args.image_column)
    trainer = ImageSelfDistillationTrainer(
        model=model,
        args=training_args,
        train_dataset=ImageDataset(train_table, seed=seed, skipped=skipped, transform=crop),
        eval_dataset=make_eval_dataset(data_args, skipped),
        data_collator=DataCollatorForData2Vec2Vision(image_processor, model.config),
        processing_class=image_processor,
        callbacks=health_guards(training_args),
    )
    result = trainer.train(resume_from_checkpoint=checkpoint)

    save_run(trainer, result)
    if data_args.eval_data:
        trainer.save_metrics("eval", trainer.evaluate())
    logger.info(f"Data: {skipped.summary()}.")
    logger.info(f"The pre-trained model is in {training_args.output_dir}.")
    report_run(trainer)
    push_run(trainer, started_from=model_args.model_name_or_path)
    return trainer


def make_model(model_args: ImageModelArguments) -> PreTrainedModel:
    """A new model, or a saved one with its teacher."""
    config = make_config(model_args)
    if model_args.model_name_or_path is None:
        return AutoModelForPreTraining.from_config(config)
    model = AutoModelForPreTraining.from_pretrained(model_args.model_name_or_path, config=config)
    if model_args.reset_teacher:
        model.reset_teacher()
    return model


def make_config(model_args: ImageModelArguments) -> Data2Vec2VisionConfig:
    """The configuration of a named size, of a file or of a saved model, with the overrides."""
    if model_args.model_size is not None:
        config = data2vec2_vision_config(model_args.model_size)
    elif model_args.config is not None:
        fields = json.loads(Path(model_args.config).read_text(encoding="utf-8"))
        config = AutoConfig.for_model(fields.pop("model_type", model_args.model_type), **fields)
    else:
        config = AutoConfig.from_pretrained(model_args.model_name_or_path)
    if not isinstance(config, Data2Vec2VisionConfig):
        raise ValueError(
            f"{model_args.model_name_or_path or model_args.config} is a model of type {config.model_type!r}, not of "
            f"type {Data2Vec2VisionConfig.model_type!r}."
        )
    return override_config(config, model_args.overrides)


def make_processor(model_args: ImageModelArguments, config: Data2Vec2VisionConfig) -> ViTImageProcessorPil:
    """That of a saved model or of `--preprocessor`, or else the original's."""
    folder = model_args.model_name_or_path or model_args.preprocessor
    return make_image_processor(config.image_size) if folder is None else ViTImageProcessorPil.from_pretrained(folder)


def make_eval_dataset(data_args: ImagePreTrainingDataArguments, skipped) -> ImageDataset | None:
    """Whole images, the same (and with the same masks) at every evaluation; `None` without `--eval_data`."""
    if not data_args.eval_data:
        return None
    table = load_images(data_args.eval_data, split=data_args.eval_split, image_column=data_args.image_column)
    return ImageDataset(table, seed=0, skipped=skipped)


if __name__ == "__main__":
    run_script(main)
