# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""An encoder alone, out of the folder of a pre-trained or fine-tuned model."""

import os
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModel,
    AutoModelForPreTraining,
    AutoTokenizer,
    Data2VecTextConfig,
    PreTrainedModel,
)

from .models.modeling_data2vec_text_pretraining import Data2VecTextForPreTraining
from .models.self_distillation import SelfDistillationModel

LoadedEncoder = tuple[PreTrainedModel, dict[str, torch.Tensor]]


def export_encoder(
    model_name_or_path: str | os.PathLike,
    out_dir: str | os.PathLike,
    *,
    weights: Literal["student", "teacher"] = "student",
    dtype: torch.dtype | None = None,
) -> Path:
    """Writes the encoder without teacher, decoder and heads, with what prepares its input.

    The student is what the papers fine-tune and what every Auto class takes from a pre-training folder. The teacher is
    its average over the last updates. Stages that are outside the teacher's scope are the student's in both cases.

    Args:
        model_name_or_path: Folder, or name on the Hub, of any model of a family of this package.
        out_dir: Folder to write; it must not hold a model yet.
        weights: `"student"` or `"teacher"`.
        dtype: Of the written weights; as saved if absent.

    Returns:
        The folder, which `AutoModel.from_pretrained` opens.

    Raises:
        ValueError: The model has no teacher, or `weights` is neither of the two.
        FileExistsError: There is a model in `out_dir`, or it is a file.
    """
    if weights not in ("student", "teacher"):
        raise ValueError(f"Expected the weights of the 'student' or the 'teacher', got {weights!r}.")
    out_dir = Path(out_dir)
    if (out_dir / "config.json").exists():
        raise FileExistsError(f"{out_dir} holds a model already: choose another folder, or remove it.")
    if out_dir.exists() and not out_dir.is_dir():  # which `save_pretrained` passes over with a message in the log
        raise FileExistsError(f"{out_dir} is a file; expected a folder to write.")
    load = _load_teacher if weights == "teacher" else _load_student
    encoder, state = load(model_name_or_path, dtype or "auto")
    preprocessor = _load_preprocessor(model_name_or_path, encoder.main_input_name)
    encoder.save_pretrained(out_dir, state_dict=state)
    preprocessor.save_pretrained(out_dir)
    return out_dir


def _load_preprocessor(model_name_or_path: str | os.PathLike, main_input_name: str) -> Any:
    """What makes the model's input: of texts a tokenizer, of images an image processor, of speech an extractor."""
    match main_input_name:
        case "input_ids":
            return AutoTokenizer.from_pretrained(model_name_or_path)
        case "pixel_values":
            return AutoImageProcessor.from_pretrained(model_name_or_path)
        case _:
            return AutoFeatureExtractor.from_pretrained(model_name_or_path)


def _load_student(model_name_or_path: str | os.PathLike, dtype: torch.dtype | str) -> LoadedEncoder:
    """Without the weights that the folder has not, such as a pooler, which would be random."""
    encoder, report = AutoModel.from_pretrained(model_name_or_path, dtype=dtype, output_loading_info=True)
    state = encoder.state_dict()
    return encoder, {name: tensor for name, tensor in state.items() if name not in report["missing_keys"]}


def _load_teacher(model_name_or_path: str | os.PathLike, dtype: torch.dtype | str) -> LoadedEncoder:
    """The student's encoder with the teacher's weights, cast to its type, where the teacher has them."""
    config = AutoConfig.from_pretrained(model_name_or_path)
    if type(config) not in AutoModelForPreTraining._model_mapping:
        raise ValueError(f"{model_name_or_path} is a model of type {config.model_type!r}, which has no teacher.")
    # named, because the Auto class opens transformers' masked language model
    is_data2vec_text = isinstance(config, Data2VecTextConfig)
    model_class: Any = Data2VecTextForPreTraining if is_data2vec_text else AutoModelForPreTraining
    model, report = model_class.from_pretrained(
        model_name_or_path, config=config, dtype=dtype, output_loading_info=True
    )
    has_teacher = isinstance(model, SelfDistillationModel)
    if not has_teacher:
        raise ValueError(f"{model_name_or_path} is a model of type {config.model_type!r}, which has no teacher.")
    if any(name.startswith("teacher.") for name in report["missing_keys"]):
        raise ValueError(
            f"{model_name_or_path} has no teacher: it is no pre-training folder, or was converted from a checkpoint "
            "without one. Export the student."
        )
    encoder, teacher = model.base_model, model.teacher.state_dict()
    del teacher["num_updates"]
    encoder.load_state_dict(encoder.state_dict() | teacher)  # copies, and so casts
    return encoder, encoder.state_dict()
