# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Putting converted weights into a model without holding them twice."""

from typing import TypeVar

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from ..models.modeling_data2vec2 import TEACHER_STAGES
from .problems import Problems, one_line

Model = TypeVar("Model", bound=PreTrainedModel)


def fill_model(
    model_class: type[Model], config: PreTrainedConfig, weights: dict[str, torch.Tensor], problems: Problems
) -> Model | None:
    """A model that has these very tensors as its weights; `None`, and `problems`, if they do not fit.

    The model is made without memory of its own (on the meta device), so that weights stay where they are, which may be
    a file that is mapped into memory.
    """
    try:
        with torch.device("meta"):
            model = model_class(config)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        problems.options.append(f"The checkpoint's options make no model: {one_line(error)}")
        return None
    expected = model.state_dict()
    problems.unknown_weights += [name for name in weights if name not in expected]
    problems.missing_weights += [name for name in expected if name not in weights]
    misshapen = [
        f"{name} has shape {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
        for name, tensor in weights.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    problems.misshapen_weights += misshapen
    if misshapen or expected.keys() != weights.keys():
        return None
    model.load_state_dict(weights, assign=True)
    return model.eval()


def check_counts(counts: dict[str, int], weights: dict[str, torch.Tensor], problems: Problems) -> bool:
    """Whether a model with so many layers can be meant: every layer has a weight in the file. A configuration that
    asks for a billion of them would otherwise keep us busy for ever."""
    excessive = {name: count for name, count in counts.items() if count > len(weights)}
    problems.options += [
        f"`{name}` = {count} layers cannot be in a file of {len(weights)} weights" for name, count in excessive.items()
    ]
    return not excessive


def copy_student_to_teacher(weights: dict[str, torch.Tensor], student: str, scope: str) -> None:
    """Adds the teacher that the original would make of a student; copies, for memory cannot be shared when saved.

    Args:
        weights: By our names.
        student: What the student's names begin with, such as `data2vec2_audio.`.
        scope: What the teacher averages, as in our configuration.
    """
    for name in [name for name in weights if name.startswith(student)]:
        ours = name.removeprefix(student)
        if ours.partition(".")[0] in TEACHER_STAGES[scope]:
            weights[f"teacher.{ours}"] = weights[name].clone()
