# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of data2vec 2.0 for text -> our models: pre-training, and fine-tuned classifiers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel, RobertaTokenizer

from ..models.configuration_data2vec2_text import Data2Vec2TextConfig
from ..models.modeling_data2vec2_text import (
    Data2Vec2TextForPreTraining,
    Data2Vec2TextForSequenceClassification,
)
from .data2vec2_audio import limits_of_options
from .data2vec2_text_options import (
    classification_head_name,
    text_classification_fields,
    text_classification_options,
    text_pretraining_fields,
    text_pretraining_options,
)
from .data2vec2_text_weights import rename_text_classifier, text_names
from .fairseq_checkpoint import FairseqCheckpoint
from .fairseq_dictionary import FairseqDictionary
from .filling import check_counts, copy_student_to_teacher, fill_model
from .options import ignored_options, make_config, section
from .problems import Problems
from .roberta_tokenizer import BytePairEncoding, make_roberta_tokenizer
from .trunk_weights import rename_pretraining


class Vocabulary(NamedTuple):
    """What a tokenizer is made of: fairseq's `dict.txt` and GPT-2's files."""

    dictionary: FairseqDictionary
    encoding: BytePairEncoding


class TextConversion(NamedTuple):
    """What a conversion function makes of a checkpoint.

    Attributes:
        model: With the original's weights.
        tokenizer: With the original's numbers, if its files were given.
        limits: What the folder's card has to say of this model, sentences.
    """

    model: PreTrainedModel
    tokenizer: RobertaTokenizer | None
    limits: list[str]


def convert_data2vec2_text_pretraining(checkpoint: FairseqCheckpoint, vocabulary: Vocabulary | None) -> TextConversion:
    """`data2vec_multi` with `supported_modality: TEXT`: student, decoder and teacher. A checkpoint without a teacher
    gets a copy of the student, as the original would make one.

    Raises:
        ValueError: Weights or options do not fit; all that do not are listed.
    """
    problems = Problems()
    options = section(checkpoint.config, "model")
    fields = text_pretraining_fields(options, problems)
    scope = "trunk" if fields is None else fields["teacher_scope"]
    weights = rename_pretraining(text_names(), checkpoint.model, checkpoint.teacher, scope, problems)
    weights["teacher.num_updates"] = torch.tensor(checkpoint.num_updates)
    config = _config(fields, weights, problems)
    model = None
    if config is not None and check_counts(_layer_counts(config, has_decoder=True), weights, problems):
        if checkpoint.teacher is None:
            copy_student_to_teacher(weights, text_names().student, config.teacher_scope)
        model = fill_model(Data2Vec2TextForPreTraining, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    limits = limits_of_options("data2vec_multi", ignored_options(options, text_pretraining_options(model.config)), [])
    if checkpoint.teacher is None:
        limits.append("The original had no teacher: this one is a copy of the student.")
    return with_tokenizer(model, vocabulary, limits, model.config.max_position_embeddings)


def convert_data2vec2_text_classifier(checkpoint: FairseqCheckpoint, vocabulary: Vocabulary | None) -> TextConversion:
    """`data2vec_text_classification` around `data2vec_multi`: a classifier or regressor of texts.

    Raises:
        ValueError: Weights or options do not fit; all that do not are listed.
    """
    problems = Problems()
    options = section(checkpoint.config, "model")
    fields = text_classification_fields(checkpoint.config, problems)
    head = classification_head_name(checkpoint.config)
    weights = rename_text_classifier(checkpoint.model, head, problems)
    if fields is not None:
        fields["num_labels"] = num_rows(weights, "classifier.out_proj.weight")
    config = _config(fields, weights, problems)
    model = None
    if config is not None and check_counts(_layer_counts(config, has_decoder=False), weights, problems):
        model = fill_model(Data2Vec2TextForSequenceClassification, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    ignored = ignored_options(options, text_classification_options(model.config))
    pretrained = section(section(options, "pretrained_model_args"), "model")
    ignored += ignored_options(pretrained, text_pretraining_options(model.config))
    limits = limits_of_options("data2vec_text_classification", ignored, [])
    if model.num_labels > 1:
        limits.append("What its labels mean is not in the checkpoint: set `config.id2label`.")
    return with_tokenizer(model, vocabulary, limits, model.config.max_position_embeddings)


def _config(
    fields: dict[str, Any] | None, weights: Mapping[str, torch.Tensor], problems: Problems
) -> Data2Vec2TextConfig | None:
    if fields is None:
        return None
    vocab_size = num_rows(weights, f"{text_names().student}local_encoder.word_embeddings.weight")
    return make_config(Data2Vec2TextConfig, fields | {"vocab_size": vocab_size}, problems)


def num_rows(weights: Mapping[str, torch.Tensor], name: str) -> int:
    """Rows of a weight; 2 if it is missing or no matrix, of which there will be complaints later."""
    return weights[name].shape[0] if name in weights and weights[name].dim() == 2 else 2


def _layer_counts(config: Data2Vec2TextConfig, has_decoder: bool) -> dict[str, int]:
    counts = {"depth": config.num_hidden_layers, "prenet_depth": config.num_prenet_layers}
    if not has_decoder:
        return counts
    return counts | {
        "decoder_layers": config.decoder_num_layers,
        "projection_layers": config.decoder_num_projections,
    }


def with_tokenizer(
    model: PreTrainedModel, vocabulary: Vocabulary | None, limits: list[str], longest: int
) -> TextConversion:
    """A conversion with the tokenizer, for texts of at most `longest` tokens, or with a sentence on its absence."""
    if vocabulary is None:
        limits.append(
            "The folder has no tokenizer: convert again with the original's dict.txt and GPT-2's encoder.json and "
            "vocab.bpe (`--dictionary dict.txt --bpe FOLDER`)."
        )
        return TextConversion(model, None, limits)
    tokenizer = make_roberta_tokenizer(
        vocabulary.dictionary,
        vocabulary.encoding,
        vocab_size=model.config.vocab_size,
        model_max_length=longest,
    )
    return TextConversion(model, tokenizer, limits)
