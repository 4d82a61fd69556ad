# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Our folders of data2vec 2.0 and data2vec for text -> checkpoints of the fairseq toolkit."""

from pathlib import Path
from typing import Any

from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from ..models.configuration_data2vec_pretraining import Data2VecTextPreTrainingConfig
from ..models.modeling_data2vec2_text import (
    Data2Vec2TextForPreTraining,
    Data2Vec2TextForSequenceClassification,
)
from ..models.modeling_data2vec_text_pretraining import Data2VecTextForPreTraining
from .data2vec2_text_options import (
    DEFAULT_HEAD,
    classification_head_name,
    text_classification_fields,
    text_classification_options,
    text_classification_task,
    text_pretraining_fields,
    text_pretraining_options,
    text_pretraining_task,
    unsupported_text_fields,
)
from .data2vec2_text_weights import original_text_classifier_weights, original_text_pretraining_weights
from .data2vec_text_options import (
    different_data2vec_text_behaviour,
    text_fields,
    text_options,
    text_task,
    unsupported_data2vec_text_fields,
)
from .data2vec_text_weights import original_data2vec_text_weights
from .fairseq_checkpoint import TEXT_TEACHER
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
from .trunk_options import different_sequence_behaviour


def text_pretraining_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a pre-training folder: student, decoder, teacher and `cfg`."""
    check_origin(record, "data2vec_multi")
    model = load_folder(Data2Vec2TextForPreTraining, folder)
    config = model.config
    check_fields(unsupported_text_fields(config), different_sequence_behaviour(config))
    num_updates = int(model.teacher.num_updates)
    weights = with_teacher(*original_text_pretraining_weights(model.state_dict(), config), num_updates, record)
    cfg = _pretraining_configuration(config)
    if record is not None:
        fields = recorded_fields(text_pretraining_fields, section(record.config, "model"))
        cfg = changed_options(record.config, _pretraining_configuration(_recorded_config(fields, config)), cfg)
    return make_state(cfg, weights, num_updates, record, "ModelCriterion")


def data2vec_text_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a pre-training folder of data2vec: student, regression head, teacher and `cfg`."""
    check_origin(record, "data2vec_text")
    model = load_folder(Data2VecTextForPreTraining, folder)
    config = model.config
    check_fields(unsupported_data2vec_text_fields(config), different_data2vec_text_behaviour(config))
    num_updates = int(model.teacher.num_updates)
    weights = with_teacher(*original_data2vec_text_weights(model.state_dict()), num_updates, record)
    if "_ema" in weights:
        weights[TEXT_TEACHER] = weights.pop("_ema")
    cfg = _data2vec_configuration(config)
    if record is not None:
        fields = recorded_fields(text_fields, record.config) | {"vocab_size": config.vocab_size}
        cfg = changed_options(record.config, _data2vec_configuration(Data2VecTextPreTrainingConfig(**fields)), cfg)
    return make_state(cfg, weights, num_updates, record, "ModelCriterion")


def text_classification_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a fine-tuned folder: encoder, head and `cfg`."""
    check_origin(record, "data2vec_text_classification")
    model = load_folder(Data2Vec2TextForSequenceClassification, folder)
    config = model.config
    check_fields(unsupported_text_fields(config), different_sequence_behaviour(config))
    head = DEFAULT_HEAD if record is None else classification_head_name(record.config)
    weights, _ = recorded_dtypes(original_text_classifier_weights(model.state_dict(), head), {}, record)
    cfg = _classification_configuration(config)
    if record is not None:
        fields = recorded_fields(text_classification_fields, record.config)
        cfg = changed_options(record.config, _classification_configuration(_recorded_config(fields, config)), cfg)
    num_updates = 0 if record is None else record.num_updates
    return make_state(cfg, weights, num_updates, record, "SentencePredictionCriterion")


def _recorded_config(fields: dict[str, Any], config: Data2Vec2TextConfig) -> Data2Vec2TextConfig:
    """The configuration that the folder had when it was converted; numbers of tokens and labels are no options."""
    return Data2Vec2TextConfig(**fields | {"vocab_size": config.vocab_size, "num_labels": config.num_labels})


def _data2vec_configuration(config: Data2VecTextPreTrainingConfig) -> dict[str, Any]:
    return {
        "_name": None,
        "common": COMMON,
        "model": text_options(config),
        "task": text_task(config),
        "criterion": {"_name": "model"},
    }


def _pretraining_configuration(config: Data2Vec2TextConfig) -> dict[str, Any]:
    return {
        "_name": None,
        "common": COMMON,
        "model": text_pretraining_options(config),
        "task": text_pretraining_task(config),
        "criterion": {"_name": "model"},
    }


def _classification_configuration(config: Data2Vec2TextConfig) -> dict[str, Any]:
    return {
        "_name": None,
        "common": COMMON,
        "model": text_classification_options(config),
        "task": text_classification_task(config),
        "criterion": {
            "_name": "sentence_prediction",
            "regression_target": config.problem_type == "regression",
        },
    }
