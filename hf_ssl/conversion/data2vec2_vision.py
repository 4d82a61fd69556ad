# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of data2vec 2.0 for images -> our models: pre-training, and fine-tuned classifiers."""

import torch

from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.image_processing_data2vec2 import make_image_processor
from ..models.modeling_data2vec2_vision import Data2Vec2VisionForImageClassification, Data2Vec2VisionForPreTraining
from .data2vec2_audio import Conversion, limits_of_options
from .data2vec2_vision_options import (
    image_classifier_fields,
    image_classifier_options,
    image_pretraining_fields,
    image_pretraining_options,
    image_training_course,
)
from .data2vec2_vision_weights import IMAGE_NAMES, rename_image_classifier, rename_image_pretraining
from .fairseq_checkpoint import FairseqCheckpoint
from .filling import check_counts, copy_student_to_teacher, fill_model
from .options import ignored_options, make_config, section
from .problems import Problems


def convert_data2vec2_vision_pretraining(checkpoint: FairseqCheckpoint) -> Conversion:
    """`data2vec_multi` with `supported_modality: IMAGE`: student, decoder and teacher. A checkpoint without a teacher
    gets a copy of the student, as the original would make one.

    Raises:
        ValueError: Weights or options do not fit; all that do not are listed.
    """
    problems = Problems()
    options = section(checkpoint.config, "model")
    fields = image_pretraining_fields(options, problems)
    config = make_config(Data2Vec2VisionConfig, fields, problems)
    scope = "model" if config is None else config.teacher_scope
    weights = rename_image_pretraining(checkpoint.model, checkpoint.teacher, scope, problems)
    weights["teacher.num_updates"] = torch.tensor(checkpoint.num_updates)
    model = None
    if config is not None and check_counts(_layer_counts(config), weights, problems):
        if checkpoint.teacher is None:
            copy_student_to_teacher(weights, IMAGE_NAMES.student, scope)
        model = fill_model(Data2Vec2VisionForPreTraining, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    limits = limits_of_options("data2vec_multi", ignored_options(options, image_pretraining_options(model.config)), [])
    if checkpoint.teacher is None:
        limits.append("The original had no teacher: this one is a copy of the student.")
    return Conversion(model, make_image_processor(model.config.image_size), None, None, limits)


def convert_data2vec2_vision_classifier(checkpoint: FairseqCheckpoint) -> Conversion:
    """`mae_image_classification` around `data2vec_multi`.

    Raises:
        ValueError: Weights or options do not fit; all that do not are listed.
    """
    problems = Problems()
    options = section(checkpoint.config, "model")
    fields = image_classifier_fields(checkpoint.config, problems)
    config = make_config(Data2Vec2VisionConfig, fields, problems)
    weights = rename_image_classifier(checkpoint.model, problems)
    model = None
    if config is not None and check_counts(_layer_counts(config), weights, problems):
        model = fill_model(Data2Vec2VisionForImageClassification, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    student = section(section(options, "pretrained_model_args"), "model")
    ignored = ignored_options(options, image_classifier_options(model.config, {"data": ""}))
    ignored += ignored_options(student, image_pretraining_options(model.config))
    limits = limits_of_options("mae_image_classification", ignored, image_training_course(checkpoint.config))
    limits.append("What the numbers of its classes mean is not in the checkpoint: set `config.id2label`.")
    return Conversion(model, make_image_processor(model.config.image_size), None, None, limits)


def _layer_counts(config: Data2Vec2VisionConfig) -> dict[str, int]:
    return {
        "depth": config.num_hidden_layers,
        "prenet_depth": config.num_prenet_layers,
        "decoder_layers": config.decoder_num_layers,
    }
