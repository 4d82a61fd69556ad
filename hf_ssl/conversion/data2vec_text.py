# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of data2vec for text -> our pre-training model over transformers' encoder."""

import torch

from ..models.configuration_data2vec_pretraining import Data2VecTextPreTrainingConfig, longest_text
from ..models.modeling_data2vec_text_pretraining import Data2VecTextForPreTraining
from .data2vec2_audio import limits_of_options
from .data2vec2_text import TextConversion, Vocabulary, num_rows, with_tokenizer
from .data2vec_text_options import text_fields, text_options
from .data2vec_text_weights import copy_text_student_to_teacher, rename_text_pretraining
from .fairseq_checkpoint import FairseqCheckpoint
from .filling import check_counts, fill_model
from .options import ignored_options, make_config, section
from .problems import Problems


def convert_data2vec_text_pretraining(checkpoint: FairseqCheckpoint, vocabulary: Vocabulary | None) -> TextConversion:
    """`data2vec_text`: student, regression head and teacher. A checkpoint without a teacher gets a copy of the
    student, as the original would make one.

    Raises:
        ValueError: Weights or options do not fit; all that do not are listed. Fine-tuned checkpoints are among them:
            their heads of classification are not known.
    """
    problems = Problems()
    fields = text_fields(checkpoint.config, problems)
    weights = rename_text_pretraining(checkpoint.model, checkpoint.teacher, problems)
    weights["teacher.num_updates"] = torch.tensor(checkpoint.num_updates)
    config = None
    if fields is not None:
        fields["vocab_size"] = num_rows(weights, "data2vec_text.embeddings.word_embeddings.weight")
        config = make_config(Data2VecTextPreTrainingConfig, fields, problems)
    model = None
    if config is not None and check_counts(_layer_counts(config), weights, problems):
        if checkpoint.teacher is None:
            copy_text_student_to_teacher(weights)
        model = fill_model(Data2VecTextForPreTraining, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    ignored = ignored_options(section(checkpoint.config, "model"), text_options(model.config))
    limits = limits_of_options("data2vec_text", ignored, [])
    if checkpoint.teacher is None:
        limits.append("The original had no teacher: this one is a copy of the student.")
    return with_tokenizer(model, vocabulary, limits, longest_text(model.config))


def _layer_counts(config: Data2VecTextPreTrainingConfig) -> dict[str, int]:
    return {"layers": config.num_hidden_layers, "head_layers": config.regression_num_layers}
