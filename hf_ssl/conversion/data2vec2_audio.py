# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of data2vec 2.0 for speech -> our models: pre-training, and fine-tuning with CTC."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel, ViTImageProcessorPil, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from ..models.modeling_data2vec2_audio import Data2Vec2AudioForCTC, Data2Vec2AudioForPreTraining
from .data2vec2_options import (
    ctc_fields,
    ctc_options,
    pretraining_fields,
    pretraining_options,
    training_course,
)
from .data2vec2_weights import audio_names, rename_ctc
from .fairseq_checkpoint import FairseqCheckpoint
from .fairseq_dictionary import FairseqDictionary, make_tokenizer
from .filling import check_counts, copy_student_to_teacher, fill_model
from .options import ignored_options, make_config, section
from .problems import Problems
from .trunk_weights import rename_pretraining


class Conversion(NamedTuple):
    """What a conversion function makes of a checkpoint.

    Attributes:
        model: With the original's weights.
        preprocessor: What the original does to waveforms or images.
        tokenizer: Of a fine-tuned speech model.
        dictionary: What the tokenizer was made of.
        limits: What the folder's card has to say of this model, sentences.
    """

    model: PreTrainedModel
    preprocessor: Wav2Vec2FeatureExtractor | ViTImageProcessorPil
    tokenizer: Wav2Vec2CTCTokenizer | None
    dictionary: FairseqDictionary | None
    limits: list[str]


def convert_data2vec2_audio_pretraining(checkpoint: FairseqCheckpoint) -> Conversion:
    """`data2vec_multi` with `supported_modality: AUDIO`: student, decoder and teacher. A checkpoint without a teacher
    gets a copy of the student, as the original would make one.

    Raises:
        ValueError: Weights or options do not fit; all that do not are listed.
    """
    problems = Problems()
    options = section(checkpoint.config, "model")
    fields = pretraining_fields(options, problems)
    config = make_config(Data2Vec2AudioConfig, fields, problems)
    feature_extractor = make_feature_extractor(checkpoint.config, problems)
    scope = "encoder" if config is None else config.teacher_scope
    weights = rename_pretraining(audio_names(), checkpoint.model, checkpoint.teacher, scope, problems)
    weights["teacher.num_updates"] = torch.tensor(checkpoint.num_updates)
    model = None
    if config is not None and check_counts(_layer_counts(config), weights, problems):
        if checkpoint.teacher is None:
            copy_student_to_teacher(weights, audio_names().student, config.teacher_scope)
        model = fill_model(Data2Vec2AudioForPreTraining, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    assert feature_extractor is not None
    limits = limits_of_options("data2vec_multi", ignored_options(options, pretraining_options(model.config)), [])
    if checkpoint.teacher is None:
        limits.append("The original had no teacher: this one is a copy of the student.")
    return Conversion(model, feature_extractor, None, None, limits)


def convert_data2vec2_audio_ctc(checkpoint: FairseqCheckpoint, dictionary: FairseqDictionary | None) -> Conversion:
    """`wav2vec_ctc` around `data2vec_multi`.

    Args:
        checkpoint: The checkpoint.
        dictionary: Symbols of its outputs where the file has none. A file's own win, and must be the same.

    Raises:
        ValueError: There are no symbols, or weights or options do not fit; all that do not are listed.
    """
    problems = Problems()
    dictionary = matching_dictionary(checkpoint, dictionary)
    options = section(checkpoint.config, "model")
    fields = ctc_fields(checkpoint.config, problems)
    if fields is not None:
        fields |= {"vocab_size": len(dictionary.symbols), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = make_config(Data2Vec2AudioConfig, fields, problems)
    feature_extractor = make_feature_extractor(checkpoint.config, problems)
    weights = rename_ctc(checkpoint.model, problems)
    model = None
    if config is not None and check_counts(_layer_counts(config), weights, problems):
        model = fill_model(Data2Vec2AudioForCTC, config, weights, problems)
    problems.raise_if_any(checkpoint.path)
    assert model is not None  # or there would have been a problem
    assert feature_extractor is not None
    known = ctc_options(model.config, {"data": "", "sample_rate": 0, "normalize": True})
    ignored = ignored_options(options, known)
    ignored += ignored_options(section(section(options, "w2v_args"), "model"), pretraining_options(model.config))
    limits = limits_of_options("wav2vec_ctc", ignored, training_course(checkpoint.config))
    limits.append("The masks of its pre-training are not in a fine-tuned checkpoint: those fields have our defaults.")
    return Conversion(model, feature_extractor, make_tokenizer(dictionary), dictionary, limits)


def matching_dictionary(checkpoint: FairseqCheckpoint, given: FairseqDictionary | None) -> FairseqDictionary:
    found = checkpoint.dictionary
    if found is None and given is None:
        raise ValueError(
            f"{checkpoint.path!r} does not say what its outputs mean: `task_state` has no dictionary. Give the file "
            "`dict.ltr.txt` that lay beside the training data: `--dictionary dict.ltr.txt`, or "
            "`convert_checkpoint(..., dictionary=...)`."
        )
    if found is not None and given is not None and found.symbols != given.symbols:
        raise ValueError(
            f"{checkpoint.path!r} has a dictionary of its own, and it differs from the one that was given."
        )
    dictionary = found or given
    assert dictionary is not None
    outputs = checkpoint.model.get("w2v_encoder.proj.weight")
    if outputs is not None and outputs.shape[:1] != (len(dictionary.symbols),):
        raise ValueError(
            f"The dictionary has {len(dictionary.symbols)} symbols, the four special ones included, but the model in "
            f"{checkpoint.path!r} has outputs of shape {tuple(outputs.shape[:1])}. Is it the dictionary of this model?"
        )
    return dictionary


def make_feature_extractor(config: Mapping[str, Any], problems: Problems) -> Wav2Vec2FeatureExtractor | None:
    task = section(config, "task")
    sampling_rate = task.get("sample_rate", 16_000)  # the original's default
    if "normalize" not in task:
        problems.missing_options.append("normalize")
        return None
    if type(sampling_rate) is not int or sampling_rate < 1 or type(task["normalize"]) is not bool:
        problems.options.append(
            f"`sample_rate` = {sampling_rate!r} must be a positive number of samples per second, and `normalize` = "
            f"{task['normalize']!r} true or false"
        )
        return None
    return Wav2Vec2FeatureExtractor(
        sampling_rate=sampling_rate, do_normalize=task["normalize"], return_attention_mask=True
    )


def _layer_counts(config: Data2Vec2AudioConfig) -> dict[str, int]:
    return {
        "depth": config.num_hidden_layers,
        "prenet_depth": config.num_prenet_layers,
        "conv_pos_depth": config.num_conv_pos_embeddings,
        "decoder_layers": config.decoder_num_layers,
        "projection_layers": config.decoder_num_projections,
    }


def limits_of_options(original: str, ignored: list[str], course: list[str]) -> list[str]:
    """Sentences on what of the original has no place in our folder."""
    limits = []
    if ignored:
        limits.append(
            f"Options of the file that the loader of the original's `{original}` drops, and so did we: "
            f"{'; '.join(ignored)}."
        )
    if course:
        limits.append(f"Of how it was trained, this has no place in a configuration: {'; '.join(course)}.")
    return limits
