# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of data2vec for speech -> our pre-training model, or transformers' own recogniser."""

import torch
from transformers import Data2VecAudioConfig, Data2VecAudioForCTC

from ..models.configuration_data2vec_pretraining import Data2VecAudioPreTrainingConfig
from ..models.modeling_data2vec_audio_pretraining import Data2VecAudioForPreTraining
from .data2vec2_audio import Conversion, limits_of_options, make_feature_extractor, matching_dictionary
from .data2vec2_options import training_course
from .data2vec_audio_options import (
    audio_training_course,
    ctc_fields,
    ctc_options,
    pretraining_fields,
    pretraining_options,
)
from .data2vec_audio_weights import copy_student_to_teacher, rename_audio_ctc, rename_audio_pretraining
from .fairseq_checkpoint import FairseqCheckpoint
from .fairseq_dictionary import FairseqDictionary, make_tokenizer
from .filling import check_counts, fill_model
from .options import ignored_options, make_config, section
from .problems import Problems


def convert_data2vec_audio_pretraining(checkpoint: FairseqCheckpoint) -> Conversion:
    """`data2vec_audio`: student, regression head and teacher. A checkpoint without a teacher gets a copy of the
    student, as the original would make one.

    Raises:
        ValueError: Weights or options do not fit; all that do not are listed.
    """
    problems = Problems()
    options = section(checkpoint.config, "model")
    config = make_config(Data2VecAudioPreTrainingConfig, pretraining_fields(options, problems), problems)
    feature_extractor = make_feature_extractor(checkpoint.config, problems)
    scope = "layers" if config is None else config.teacher_scope
    weights = rename_audio_pretraining(checkpoint.model, checkpoint.teacher, scope, problems)
    weights["teacher.num_updates"] = torch.tensor(checkpoint.num_updates)
    model = None
    if config is not None and check_counts(_layer_counts(config), weights, problems):
        if checkpoint.teacher is None:
            copy_student_to_teacher(weights, scope)
        model = fill_model(Data2VecAudioForPreTraining, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    assert feature_extractor is not None
    ignored = ignored_options(options, pretraining_options(model.config))
    limits = limits_of_options("data2vec_audio", ignored, audio_training_course(options))
    if checkpoint.teacher is None:
        limits.append("The original had no teacher: this one is a copy of the student.")
    return Conversion(model, feature_extractor, None, None, limits)


def convert_data2vec_audio_ctc(checkpoint: FairseqCheckpoint, dictionary: FairseqDictionary | None) -> Conversion:
    """`wav2vec_ctc` around `data2vec_audio`.

    Args:
        checkpoint: The checkpoint.
        dictionary: Symbols of its outputs where the file has none. A file's own win, and must be the same.

    Raises:
        ValueError: There are no symbols, or weights or options do not fit; all that do not are listed.
    """
    problems = Problems()
    dictionary = matching_dictionary(checkpoint, dictionary)
    options = section(checkpoint.config, "model")
    student_options = section(section(options, "w2v_args"), "model")
    fields = ctc_fields(checkpoint.config, problems)
    if fields is not None:
        fields |= {"vocab_size": len(dictionary.symbols), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = make_config(Data2VecAudioConfig, fields, problems)
    feature_extractor = make_feature_extractor(checkpoint.config, problems)
    weights = rename_audio_ctc(checkpoint.model, problems)
    model = None
    if config is not None and check_counts(_layer_counts(config), weights, problems):
        model = fill_model(Data2VecAudioForCTC, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    assert feature_extractor is not None
    ignored = ignored_options(options, ctc_options(model.config, {"data": "", "sample_rate": 0, "normalize": True}))
    ignored += ignored_options(student_options, pretraining_options(model.config))
    course = training_course(checkpoint.config) + audio_training_course(student_options)
    limits = limits_of_options("wav2vec_ctc", ignored, course)
    return Conversion(model, feature_extractor, make_tokenizer(dictionary), dictionary, limits)


def _layer_counts(config: Data2VecAudioConfig) -> dict[str, int]:
    return {"encoder_layers": config.num_hidden_layers, "pos_conv_depth": config.num_conv_pos_embeddings}
