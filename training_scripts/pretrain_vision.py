#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Pre-trains an image model with data2vec 2.0 or data2vec on images without labels.

    python pretrain_vision.py --model_size small --data IMAGES --output_dir MODEL
    python pretrain_vision.py recipes/data2vec_vision_laptop.yaml --data IMAGES --output_dir MODEL
    accelerate launch pretrain_vision.py recipes/data2vec2_vision_base.yaml --data IMAGENET --output_dir MODEL

Flags are those below and all of `transformers.TrainingArguments`; a YAML recipe may come first, flags win over it.
`--resume_from_checkpoint last` continues an interrupted run exactly where its newest checkpoint is.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from transformers import (
    AutoConfig,
    AutoModelForPreTraining,
    Data2VecVisionConfig,
    PreTrainedConfig,
    PreTrainedModel,
    ViTImageProcessorPil,
    set_seed,
)

from hf_ssl import Data2Vec2VisionConfig, Data2VecVisionPreTrainingConfig
from hf_ssl.data.collators_images import square_size
from hf_ssl.data.images import ImageDataset, load_images
from hf_ssl.data.pretraining_collators import image_collator
from hf_ssl.models.configuration_data2vec_pretraining import as_pretraining_config
from hf_ssl.models.image_processing_data2vec2 import make_image_processor
from hf_ssl.training import ImageSelfDistillationTrainer, health_guards
from hf_ssl.training.arguments import parse_arguments
from hf_ssl.training.image_arguments import (
    ImageModelArguments,
    ImagePreTrainingArguments,
    ImagePreTrainingDataArguments,
)
from hf_ssl.training.model_sizes import data2vec2_vision_config, data2vec_vision_config
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

VisionConfig = Data2Vec2VisionConfig | Data2VecVisionPreTrainingConfig


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
    transform = data_args.transform(square_size(model.config))
    train_table = load_images(data_args.data, split=data_args.split, image_column=data_args.image_column)
    trainer = ImageSelfDistillationTrainer(
        model=model,
        args=training_args,
        train_dataset=ImageDataset(train_table, seed=seed, skipped=skipped, transform=transform),
        eval_dataset=make_eval_dataset(data_args, skipped),
        data_collator=image_collator(model.config, image_processor),
        processing_class=image_processor,
        callbacks=health_guards(training_args),
    )
    result = trainer.train(resume_from_checkpoint=checkpoint)

    save_run(trainer, result, started_from=model_args.model_name_or_path)
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


def make_config(model_args: ImageModelArguments) -> VisionConfig:
    """The configuration of a named size, of a file or of a saved model, with the overrides."""
    if model_args.model_size is not None:
        config = config_of_size(model_args.model_type, model_args.model_size)
    elif model_args.config is not None:
        config = config_of_file(model_args.model_type, model_args.config)
    else:
        config = AutoConfig.from_pretrained(model_args.model_name_or_path)
    if config.model_type != model_args.model_type:
        raise ValueError(
            f"{model_args.model_name_or_path or model_args.config} is a model of type {config.model_type!r}, not of "
            f"type {model_args.model_type!r} (`--model_type`)."
        )
    if isinstance(config, Data2VecVisionConfig):  # transformers' own, which a saved model's is read as
        config = as_pretraining_config(config, Data2VecVisionPreTrainingConfig, use_mask_token=True)
    return override_config(config, model_args.overrides)


def config_of_size(model_type: str, size: str) -> VisionConfig:
    match model_type:
        case "data2vec2-vision":
            return data2vec2_vision_config(size)
        case "data2vec-vision":
            return data2vec_vision_config(size)
    raise ValueError(f"No sizes of models of type {model_type!r}.")


def config_of_file(model_type: str, path: str) -> PreTrainedConfig:
    """A configuration's JSON file, which need not name the type."""
    fields = json.loads(Path(path).read_text(encoding="utf-8"))
    model_type = fields.pop("model_type", model_type)
    if model_type == "data2vec-vision":
        return Data2VecVisionPreTrainingConfig(**fields)
    return AutoConfig.for_model(model_type, **fields)


def make_processor(model_args: ImageModelArguments, config: VisionConfig) -> ViTImageProcessorPil:
    """That of a saved model or of `--preprocessor`, or else the original's of data2vec 2.0."""
    folder = model_args.model_name_or_path or model_args.preprocessor
    if folder is not None:
        return ViTImageProcessorPil.from_pretrained(folder)
    return make_image_processor(square_size(config))


def make_eval_dataset(data_args: ImagePreTrainingDataArguments, skipped) -> ImageDataset | None:
    """Whole images, the same (and with the same masks) at every evaluation; `None` without `--eval_data`."""
    if not data_args.eval_data:
        return None
    table = load_images(data_args.eval_data, split=data_args.eval_split, image_column=data_args.image_column)
    return ImageDataset(table, seed=0, skipped=skipped)


if __name__ == "__main__":
    run_script(main)
