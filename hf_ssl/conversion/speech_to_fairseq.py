# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Our folders of data2vec, data2vec-aqc and data2vec 2.0 for speech -> checkpoints of the fairseq toolkit."""

import os
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    Data2VecAudioConfig,
    Data2VecAudioForCTC,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
)

from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from ..models.configuration_data2vec_pretraining import Data2VecAudioPreTrainingConfig
from ..models.modeling_data2vec2_audio import Data2Vec2AudioForCTC, Data2Vec2AudioForPreTraining
from ..models.modeling_data2vec_aqc import Data2VecAqcForCTC, Data2VecAqcForPreTraining
from ..models.modeling_data2vec_audio_pretraining import Data2VecAudioForPreTraining
from . import data2vec2_options, data2vec_aqc_options, data2vec_audio_options
from .data2vec2_weights import original_ctc_weights, original_pretraining_weights
from .data2vec_aqc_weights import original_aqc_ctc_weights, original_aqc_pretraining_weights
from .data2vec_audio_weights import original_audio_ctc_weights, original_audio_pretraining_weights
from .fairseq_dictionary import FairseqDictionary, dictionary_of
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
from .problems import one_line
from .record import FairseqRecord
from .trunk_options import different_sequence_behaviour

# data2vec 2.0


def data2vec2_pretraining_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a pre-training folder."""
    check_origin(record, "data2vec_multi")
    task = _task(folder)
    model = load_folder(Data2Vec2AudioForPreTraining, folder)
    config = model.config
    check_fields(data2vec2_options.unsupported_fields(config), different_sequence_behaviour(config))
    weights = original_pretraining_weights(model.state_dict(), config)
    before = None
    if record is not None:
        fields = recorded_fields(data2vec2_options.pretraining_fields, section(record.config, "model"))
        before = data2vec2_options.pretraining_options(Data2Vec2AudioConfig(**fields))
    num_updates = int(model.teacher.num_updates)
    return _pretraining_state(
        weights, num_updates, data2vec2_options.pretraining_options(config), before, record, task
    )


def data2vec2_ctc_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a fine-tuned folder."""
    check_origin(record, "wav2vec_ctc")
    task = _task(folder)
    model = load_folder(Data2Vec2AudioForCTC, folder)
    config = model.config
    check_fields(data2vec2_options.unsupported_fields(config), different_sequence_behaviour(config))
    weights = original_ctc_weights(model.state_dict(), config)
    now = _ctc_configuration(data2vec2_options.ctc_options(config, task), config.ctc_zero_infinity, task)
    before = None
    if record is not None:
        recorded = Data2Vec2AudioConfig(**recorded_fields(data2vec2_options.ctc_fields, record.config))
        recorded_task = _recorded_task(record)
        options = data2vec2_options.ctc_options(recorded, recorded_task)
        before = _ctc_configuration(options, recorded.ctc_zero_infinity, recorded_task)
    return _ctc_state(weights, now, before, record)


# data2vec


def data2vec_pretraining_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a pre-training folder."""
    check_origin(record, "data2vec_audio")
    task = _task(folder)
    model = load_folder(Data2VecAudioForPreTraining, folder)
    config = model.config
    unsupported = data2vec_audio_options.unsupported_audio_fields(config)
    check_fields(unsupported, data2vec_audio_options.different_audio_behaviour(config))
    weights = original_audio_pretraining_weights(model.state_dict(), config.teacher_scope)
    before = None
    if record is not None:
        fields = recorded_fields(data2vec_audio_options.pretraining_fields, section(record.config, "model"))
        before = data2vec_audio_options.pretraining_options(Data2VecAudioPreTrainingConfig(**fields))
    num_updates = int(model.teacher.num_updates)
    return _pretraining_state(
        weights, num_updates, data2vec_audio_options.pretraining_options(config), before, record, task
    )


def data2vec_ctc_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a fine-tuned folder."""
    check_origin(record, "wav2vec_ctc")
    task = _task(folder)
    model = load_folder(Data2VecAudioForCTC, folder)
    config = model.config
    check_fields(data2vec_audio_options.unsupported_audio_fields(config), [])
    weights = original_audio_ctc_weights(model.state_dict())
    now = _ctc_configuration(data2vec_audio_options.ctc_options(config, task), config.ctc_zero_infinity, task)
    before = None
    if record is not None:
        recorded = Data2VecAudioConfig(**recorded_fields(data2vec_audio_options.ctc_fields, record.config))
        recorded_task = _recorded_task(record)
        options = data2vec_audio_options.ctc_options(recorded, recorded_task)
        before = _ctc_configuration(options, recorded.ctc_zero_infinity, recorded_task)
    return _ctc_state(weights, now, before, record)


# data2vec-aqc


def data2vec_aqc_pretraining_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a pre-training folder."""
    check_origin(record, "data2vec_audio")
    task = _task(folder)
    model = load_folder(Data2VecAqcForPreTraining, folder)
    config = model.config
    unsupported = data2vec_aqc_options.unsupported_aqc_fields(config)
    check_fields(unsupported, data2vec_aqc_options.different_aqc_behaviour(config))
    weights = original_aqc_pretraining_weights(model.state_dict(), config)
    before = None
    if record is not None:
        fields = recorded_fields(data2vec_aqc_options.aqc_pretraining_fields, section(record.config, "model"))
        before = data2vec_aqc_options.aqc_pretraining_options(Data2VecAqcConfig(**fields))
    num_updates, now = int(model.teacher.num_updates), data2vec_aqc_options.aqc_pretraining_options(config)
    return _pretraining_state(weights, num_updates, now, before, record, task)


def data2vec_aqc_ctc_state(folder: Path, record: FairseqRecord | None) -> dict[str, Any]:
    """The checkpoint of a fine-tuned folder."""
    check_origin(record, "wav2vec_ctc")
    task = _task(folder)
    model = load_folder(Data2VecAqcForCTC, folder)
    config = model.config
    check_fields(data2vec_audio_options.unsupported_audio_fields(config), [])
    weights = original_aqc_ctc_weights(model.state_dict(), config)
    now = _ctc_configuration(data2vec_aqc_options.aqc_ctc_options(config, task), config.ctc_zero_infinity, task)
    before = None
    if record is not None:
        recorded = Data2VecAqcConfig(**recorded_fields(data2vec_aqc_options.aqc_ctc_fields, record.config))
        recorded_task = _recorded_task(record)
        options = data2vec_aqc_options.aqc_ctc_options(recorded, recorded_task)
        before = _ctc_configuration(options, recorded.ctc_zero_infinity, recorded_task)
    return _ctc_state(weights, now, before, record)


# the two kinds of speech checkpoints


def _pretraining_state(
    weights: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]],
    num_updates: int,
    options: dict[str, Any],
    recorded_options: dict[str, Any] | None,
    record: FairseqRecord | None,
    task: dict[str, Any],
) -> dict[str, Any]:
    """The file of a pre-trained model.

    Args:
        weights: Student and teacher.
        num_updates: Of the teacher.
        options: `cfg.model`, of the folder's configuration.
        recorded_options: The same of the configuration that the folder had when it was converted.
        record: What the folder remembers.
        task: `cfg.task`.
    """
    model = with_teacher(*weights, num_updates, record)
    cfg = _pretraining_configuration(options, task)
    if record is not None and recorded_options is not None:
        cfg = changed_options(record.config, _pretraining_configuration(recorded_options, _recorded_task(record)), cfg)
    return make_state(cfg, model, num_updates, record, "ModelCriterion")


def _pretraining_configuration(options: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    return {
        "_name": None,
        "common": COMMON,
        "model": options,
        "task": {"_name": "audio_pretraining", "labels": None, **task},
        "criterion": {"_name": "model"},
    }


def _ctc_state(
    weights: dict[str, torch.Tensor],
    cfg: dict[str, Any],
    recorded_cfg: dict[str, Any] | None,
    record: FairseqRecord | None,
) -> dict[str, Any]:
    """The file of a fine-tuned model, of `cfg` now and as it was made of the record alone."""
    model, _ = recorded_dtypes(weights, {}, record)
    if record is not None and recorded_cfg is not None:
        cfg = changed_options(record.config, recorded_cfg, cfg)
    return make_state(cfg, model, 0 if record is None else record.num_updates, record, "CtcCriterion")


def _ctc_configuration(options: dict[str, Any], zero_infinity: bool, task: dict[str, Any]) -> dict[str, Any]:
    return {
        "_name": None,
        "common": COMMON,
        "model": options,
        "task": {"_name": "audio_finetuning", "labels": "ltr", **task},
        "criterion": {"_name": "ctc", "zero_infinity": zero_infinity},
    }


# preprocessors and tokenizers


def _task(folder: Path) -> dict[str, Any]:
    try:
        feature_extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
    except OSError as error:
        raise ValueError(f"There is no preprocessor in {os.fspath(folder)!r}: {one_line(error)}") from None
    return {
        "data": "",
        "sample_rate": feature_extractor.sampling_rate,
        "normalize": bool(feature_extractor.do_normalize),
    }


def _recorded_task(record: FairseqRecord) -> dict[str, Any]:
    task = section(record.config, "task")
    return {"data": "", "sample_rate": task.get("sample_rate", 16_000), "normalize": task["normalize"]}


def folder_dictionary(folder: Path, record: FairseqRecord | None) -> FairseqDictionary:
    """Of the folder's tokenizer; with the counts of the original if the symbols are still the same."""
    try:
        tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"There is no tokenizer in {os.fspath(folder)!r}: {one_line(error)}") from None
    vocab_size = AutoConfig.from_pretrained(folder, local_files_only=True).vocab_size
    dictionary = dictionary_of(tokenizer, vocab_size)
    recorded = None if record is None else record.dictionary
    return recorded if recorded is not None and recorded.symbols == dictionary.symbols else dictionary
