# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Original checkpoints -> folders that `from_pretrained` loads."""

import os
from pathlib import Path

import torch
from transformers import Wav2Vec2FeatureExtractor

from ..models.modeling_data2vec2_audio import Data2Vec2AudioForPreTraining
from .data2vec2 import audio_config, convert_audio_weights, section
from .fairseq_checkpoint import FairseqCheckpoint, UnsafeCheckpointError, load_fairseq_checkpoint

__all__ = ["UnsafeCheckpointError", "convert_checkpoint", "load_fairseq_checkpoint"]


def convert_checkpoint(path: str | os.PathLike, out_dir: str | os.PathLike) -> Path:
    """Converts an original checkpoint, student and teacher, to a folder with configuration, weights and preprocessor.

    Args:
        path: A fairseq checkpoint of data2vec 2.0 audio pre-training.
        out_dir: Folder to write; created if it does not exist.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: There is no file at `path`.
        UnsafeCheckpointError: The file contains objects other than tensors and plain containers.
        ValueError: The file is no such checkpoint, or has weights or options that have no counterpart here.
    """
    checkpoint = load_fairseq_checkpoint(path)
    _check_is_audio_pretraining(checkpoint, path)
    config = audio_config(checkpoint.config)
    do_normalize = bool(section(checkpoint.config, "task").get("normalize", True))
    model = _filled_model(Data2Vec2AudioForPreTraining(config), checkpoint)
    model.save_pretrained(out_dir)
    Wav2Vec2FeatureExtractor(do_normalize=do_normalize, return_attention_mask=True).save_pretrained(out_dir)
    return Path(out_dir)


def _check_is_audio_pretraining(checkpoint: FairseqCheckpoint, path: str | os.PathLike) -> None:
    model = section(checkpoint.config, "model")
    name, modality = model.get("_name"), str(model.get("supported_modality") or "")
    is_multi = name == "data2vec_multi" or (name is None and "modalities" in model)
    if not is_multi or not modality.upper().endswith("AUDIO"):
        raise ValueError(
            f"{os.fspath(path)!r} holds a model {name!r} (modality {modality or None!r}). What can be converted so "
            "far is data2vec 2.0 pre-training on audio: `data2vec_multi` with `supported_modality: AUDIO`."
        )


def _filled_model(model: Data2Vec2AudioForPreTraining, checkpoint: FairseqCheckpoint) -> Data2Vec2AudioForPreTraining:
    weights, unknown = convert_audio_weights(checkpoint.model, checkpoint.teacher, model.config.teacher_scope)
    _check_shapes(model, weights)
    problems = model.load_state_dict(weights, strict=False)
    missing = [name for name in problems.missing_keys if name != "teacher.num_updates"]
    if checkpoint.teacher is None:
        missing = [name for name in missing if not name.startswith("teacher.")]
        model.reset_teacher()
    unknown += problems.unexpected_keys
    if unknown or missing:
        raise ValueError(
            "The checkpoint does not fit its own configuration. Weights that are not known: "
            f"{unknown or 'none'}. Weights that are missing (our names): {missing or 'none'}."
        )
    model.teacher.num_updates.fill_(checkpoint.num_updates)
    return model


def _check_shapes(model: Data2Vec2AudioForPreTraining, weights: dict[str, torch.Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    different = [
        f"{name} has shape {tuple(tensor.shape)} instead of {expected[name]}"
        for name, tensor in weights.items()
        if name in expected and tuple(tensor.shape) != expected[name]
    ]
    if different:
        raise ValueError(f"The checkpoint does not fit its own configuration: {'; '.join(different)}.")
