# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Our folders of data2vec 2.0 for images -> checkpoints of the fairseq toolkit."""

from pathlib import Path
from typing import Any

from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.modeling_data2vec2_vision import Data2Vec2VisionForImageClassification, Data2Vec2VisionForPreTraining
from .data2vec2_vision_options import (
    different_image_behaviour,
    image_classifier_fields,
    image_classifier_options,
    image_pretraining_fields,
    image_pretraining_options,
    unsupported_image_fields,
)
from .data2vec2_vision_weights import original_image_classifier_weights, original_image_pretraining_weights
from .fairseq_state import (
    COMMON,
    changed_options,
    check_fields,
    check_origin,
    load_folder,
    make_state,
    recorded_dtypes,
    recorded_fields,
    with_teacher,
)
from .options import section
from .record import FairseqRecord


def image_pretraining_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a pre-training folder: student, decoder, teacher and `cfg`."""
    check_origin(record, "data2vec_multi")
    model = load_folder(Data2Vec2VisionForPreTraining, folder)
    config = model.config
    check_fields(unsupported_image_fields(config), different_image_behaviour(config), "further training")
    num_updates = int(model.teacher.num_updates)
    weights = with_teacher(*original_image_pretraining_weights(model.state_dict(), config), num_updates, record)
    cfg = _pretraining_configuration(config)
    if record is not None:
        fields = recorded_fields(image_pretraining_fields, section(record.config, "model"))
        cfg = changed_options(record.config, _pretraining_configuration(Data2Vec2VisionConfig(**fields)), cfg)
    return make_state(cfg, weights, num_updates, record, "ModelCriterion")


def image_classification_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a fine-tuned folder: encoder, head and `cfg`."""
    check_origin(record, "mae_image_classification")
    model = load_folder(Data2Vec2VisionForImageClassification, folder)
    config = model.config
    check_fields(unsupported_image_fields(config), different_image_behaviour(config), "further training")
    weights, _ = recorded_dtypes(original_image_classifier_weights(model.state_dict()), {}, record)
    cfg = _classifier_configuration(config)
    if record is not None:
        fields = recorded_fields(image_classifier_fields, record.config)
        cfg = changed_options(record.config, _classifier_configuration(Data2Vec2VisionConfig(**fields)), cfg)
    return make_state(cfg, weights, 0 if record is None else record.num_updates, record, "ModelCriterion")


def _pretraining_configuration(config: Data2Vec2VisionConfig) -> dict[str, Any]:
    return {
        "_name": None,
        "common": COMMON,
        "model": image_pretraining_options(config),
        "task": {"_name": "mae_image_pretraining", "data": ""},
        "criterion": {"_name": "model"},
    }


def _classifier_configuration(config: Data2Vec2VisionConfig) -> dict[str, Any]:
    return {
        "_name": None,
        "common": COMMON,
        "model": image_classifier_options(config, {"data": ""}),
        "task": {"_name": "mae_image_classification", "data": ""},
        "criterion": {"_name": "model"},
    }
