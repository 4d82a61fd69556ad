#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fine-tunes a pre-trained image model to classify images.

    python finetune_image_classification.py recipes/image_classification_base.yaml \
        --model_name_or_path PRETRAINED --data LABELLED --eval_data LABELLED --output_dir MODEL

The data are folders with a sub-folder per label or a metadata.csv (`file_name,label`), parquet files, or data sets on
the Hub. Flags are those below and all of `transformers.TrainingArguments`; a YAML recipe may come first, flags win
over it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import datasets
from transformers import (
    AutoModelForImageClassification,
    Data2VecVisionConfig,
    PreTrainedModel,
    ViTImageProcessorPil,
    set_seed,
)

from hf_ssl import Data2Vec2VisionConfig
from hf_ssl.data.collators_images import DataCollatorForImageClassification, square_size
from hf_ssl.data.images import ImageDataset, load_images
from hf_ssl.training.arguments import parse_arguments
from hf_ssl.training.finetuning import (
    FineTunedModelArguments,
    classification_metrics,
    load_config,
    load_model,
    number_labels,
    train_random_weights,
)
from hf_ssl.training.image_arguments import ImageFineTuningDataArguments
from hf_ssl.training.image_finetuning import (
    ImageAugmentationArguments,
    ImageFineTuningArguments,
    ImageFineTuningTrainer,
    drop_path_overrides,
)
from hf_ssl.training.running import (
    checkpoint_to_resume,
    evaluate_run,
    open_skipped_files,
    override_config,
    push_run,
    report_run,
    run_script,
    save_run,
    set_up_logging,
)

logger = logging.getLogger("hf_ssl.finetune_image_classification")


@dataclass
class ClassificationArguments:
    """How much of the model to train."""

    freeze_base_model: bool = field(
        default=False, metadata={"help": "Train the head only, a linear probe, without stochastic depth."}
    )


def main(argv: Sequence[str] | None = None) -> ImageFineTuningTrainer:
    model_args, data_args, augmentation_args, class_args, training_args = parse_arguments(
        FineTunedModelArguments,
        ImageFineTuningDataArguments,
        ImageAugmentationArguments,
        ClassificationArguments,
        ImageFineTuningArguments,
        argv=argv,
    )
    set_up_logging(training_args)
    train_random_weights(model_args, training_args)
    set_seed(training_args.seed)
    checkpoint = checkpoint_to_resume(training_args)

    skipped = open_skipped_files(training_args)
    train_table = load_table(data_args, data_args.data, data_args.split)
    label2id = number_labels(train_table["label"], multi_label=False)
    drop_path_rate = 0.0 if class_args.freeze_base_model else augmentation_args.drop_path_rate
    model = make_model(model_args, label2id, drop_path_rate)
    if class_args.freeze_base_model:
        model.base_model.requires_grad_(False)
    image_processor = ViTImageProcessorPil.from_pretrained(model_args.model_name_or_path)
    image_size = square_size(model.config)
    transform = augmentation_args.transform(image_size)
    seed = training_args.seed if training_args.data_seed is None else training_args.data_seed

    def make_eval_dataset(split: str | None) -> ImageDataset | None:
        if not data_args.eval_data or split is None:
            return None
        return ImageDataset(load_table(data_args, data_args.eval_data, split), seed=0, skipped=skipped)

    trainer = ImageFineTuningTrainer(
        model=model,
        args=training_args,
        train_dataset=ImageDataset(train_table, seed=seed, skipped=skipped, transform=transform),
        eval_dataset=make_eval_dataset(data_args.eval_split),
        data_collator=DataCollatorForImageClassification(
            image_processor,
            label2id,
            image_size,
            erasing=augmentation_args.erasing,
            mixing=augmentation_args.mixing,
        ),
        processing_class=image_processor,
        compute_metrics=classification_metrics,
    )
    result = trainer.train(resume_from_checkpoint=checkpoint)
    save_run(trainer, result, started_from=None if model_args.from_scratch else model_args.model_name_or_path)
    evaluate_run(trainer, make_eval_dataset(data_args.test_split))
    logger.info(f"Data: {skipped.summary()}.")
    logger.info(f"The fine-tuned model is in {training_args.output_dir}.")
    report_run(trainer)
    push_run(trainer, started_from=None if model_args.from_scratch else model_args.model_name_or_path)
    return trainer


def load_table(data_args: ImageFineTuningDataArguments, sources: Sequence[str], split: str) -> datasets.Dataset:
    """The labelled images of some sources, not yet decoded."""
    return load_images(sources, split=split, image_column=data_args.image_column, label_column=data_args.label_column)


def make_model(
    model_args: FineTunedModelArguments, label2id: dict[str, int], drop_path_rate: float
) -> PreTrainedModel:
    """The pre-trained encoder, or its untrained twin, under a new classifier."""
    config = load_config(model_args)
    if not isinstance(config, Data2Vec2VisionConfig | Data2VecVisionConfig):
        raise ValueError(
            f"{model_args.model_name_or_path} is a model of type {config.model_type!r}, not of type "
            f"{Data2Vec2VisionConfig.model_type!r} or {Data2VecVisionConfig.model_type!r}."
        )
    overrides = {
        "label2id": label2id,
        "id2label": {index: name for name, index in label2id.items()},
        "problem_type": "single_label_classification",
        **drop_path_overrides(config, drop_path_rate),
    }
    if isinstance(config, Data2VecVisionConfig):
        overrides["use_mask_token"] = False  # it would be a parameter without gradient
    return load_model(
        AutoModelForImageClassification, model_args, override_config(config, overrides | model_args.overrides(config))
    )


if __name__ == "__main__":
    run_script(main)
