# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of data2vec-aqc -> our models: pre-training, and fine-tuning with CTC."""

import torch

from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from ..models.modeling_data2vec_aqc import Data2VecAqcForCTC, Data2VecAqcForPreTraining
from .data2vec2_audio import Conversion, limits_of_options, make_feature_extractor, matching_dictionary
from .data2vec2_options import training_course
from .data2vec_aqc_options import aqc_ctc_fields, aqc_ctc_options, aqc_pretraining_fields, aqc_pretraining_options
from .data2vec_aqc_weights import OUR_STUDENT, rename_aqc_ctc, rename_aqc_pretraining
from .data2vec_audio_weights import copy_student_to_teacher
from .fairseq_checkpoint import FairseqCheckpoint
from .fairseq_dictionary import FairseqDictionary, make_tokenizer
from .filling import check_counts, fill_model
from .options import ignored_options, make_config, section
from .problems import Problems


def convert_data2vec_aqc_pretraining(checkpoint: FairseqCheckpoint) -> Conversion:
    """Student, heads, quantizer and teacher. A checkpoint without a teacher gets a copy of the student, as the
    original would make one.

    Raises:
        ValueError: Weights or options do not fit; all that do not are listed.
    """
    problems = Problems()
    options = section(checkpoint.config, "model")
    config = make_config(Data2VecAqcConfig, aqc_pretraining_fields(options, problems), problems)
    feature_extractor = make_feature_extractor(checkpoint.config, problems)
    teacher = checkpoint.teacher
    weights = rename_aqc_pretraining(checkpoint.model, teacher, config or Data2VecAqcConfig(), problems)
    weights["teacher.num_updates"] = torch.tensor(checkpoint.num_updates)
    model = None
    if config is not None and check_counts(_layer_counts(config), weights, problems):
        if teacher is None:
            copy_student_to_teacher(weights, config.teacher_scope, OUR_STUDENT)
        model = fill_model(Data2VecAqcForPreTraining, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    assert feature_extractor is not None
    limits = limits_of_options("data2vec_audio", ignored_options(options, aqc_pretraining_options(model.config)), [])
    if teacher is None:
        limits.append("The original had no teacher: this one is a copy of the student.")
    return Conversion(model, feature_extractor, None, None, limits)


def convert_data2vec_aqc_ctc(checkpoint: FairseqCheckpoint, dictionary: FairseqDictionary | None) -> Conversion:
    """`wav2vec_ctc` around data2vec-aqc, without the quantizer and the projections that the file still has.

    Args:
        checkpoint: The checkpoint.
        dictionary: Symbols of its outputs where the file has none. A file's own win, and must be the same.

    Raises:
        ValueError: There are no symbols, or weights or options do not fit; all that do not are listed.
    """
    problems = Problems()
    dictionary = matching_dictionary(checkpoint, dictionary)
    options = section(checkpoint.config, "model")
    fields = aqc_ctc_fields(checkpoint.config, problems)
    if fields is not None:
        fields |= {"vocab_size": len(dictionary.symbols), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = make_config(Data2VecAqcConfig, fields, problems)
    feature_extractor = make_feature_extractor(checkpoint.config, problems)
    weights, left_out = rename_aqc_ctc(checkpoint.model, problems)
    model = None
    if config is not None and check_counts(_layer_counts(config), weights, problems):
        model = fill_model(Data2VecAqcForCTC, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    assert feature_extractor is not None
    known = aqc_ctc_options(model.config, {"data": "", "sample_rate": 0, "normalize": True})
    student_options = section(section(options, "w2v_args"), "model")
    ignored = ignored_options(options, known)
    ignored += ignored_options(student_options, aqc_pretraining_options(model.config))
    limits = limits_of_options("wav2vec_ctc", ignored, training_course(checkpoint.config))
    limits.append("The masks of its pre-training are not in a fine-tuned checkpoint: those fields have our defaults.")
    if left_out:
        limits.append(f"{len(left_out)} weights of its pre-training, which a recogniser never reads, are left out.")
    return Conversion(model, feature_extractor, make_tokenizer(dictionary), dictionary, limits)


def _layer_counts(config: Data2VecAqcConfig) -> dict[str, int]:
    return {
        "encoder_layers": config.num_hidden_layers,
        "pos_conv_depth": config.num_conv_pos_embeddings,
        "quantizer_depth": config.quantizer_depth,
    }
