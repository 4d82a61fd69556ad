# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Every class of the package, and how its cases are drawn."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from families import EVERY_CLASS
from fuzz import model_inputs, model_labels
from fuzz.properties import Case
from hypothesis import strategies as st
from transformers import PreTrainedConfig, PreTrainedModel

from hf_ssl import Data2VecTextForPreTraining


class ClassToTry(NamedTuple):
    """

    Attributes:
        name: For the test's name.
        model_class: It.
        make_config: Gives a tiny configuration.
        task: The Auto class that opens it, which says what its labels are.
    """

    name: str
    model_class: type[PreTrainedModel]
    make_config: Callable[[], PreTrainedConfig]
    task: str


def _task(model_class: type[PreTrainedModel], auto_class: str) -> str:
    return "masked tokens" if model_class is Data2VecTextForPreTraining else auto_class


CLASSES = [
    ClassToTry(
        f"{family.name}-{auto_class}",
        family.classes[auto_class],
        family.make_config,
        _task(family.classes[auto_class], auto_class),
    )
    for family, auto_class in EVERY_CLASS
]
NAMES = [entry.name for entry in CLASSES]


@dataclass
class Fuzzed:
    """A model with random weights.

    Attributes:
        name, task: As of [`ClassToTry`].
        model: The model, which nobody wants to read where a test fails.
    """

    name: str
    task: str
    model: PreTrainedModel = field(repr=False)


def make_fuzzed(entry: ClassToTry, dtype: torch.dtype) -> Fuzzed:
    """Transcripts too long for their audio give no loss: an infinite one is what they would have otherwise, as
    `config.ctc_zero_infinity` says."""
    torch.manual_seed(0)
    config = entry.make_config()
    if entry.task == "AutoModelForCTC":
        config.ctc_zero_infinity = True
    return Fuzzed(entry.name, entry.task, entry.model_class(config).to(dtype))


def draw_case(data: st.DataObject, fuzzed: Fuzzed) -> Case:
    """Valid arguments, or some with one fault."""
    model, modality = fuzzed.model, fuzzed.model.main_input_name
    batch = model_inputs.DRAWS[modality](data.draw, model)
    inputs = batch.inputs
    needs_labels = fuzzed.task == "masked tokens"
    if needs_labels or data.draw(st.booleans(), label="has labels or masks"):
        inputs = inputs | model_labels.DRAWS[fuzzed.task](data.draw, model, batch)
    faults = model_inputs.FAULTS[modality](model) | model_labels.FAULTS[fuzzed.task](model, batch)
    fault = data.draw(st.none() | st.sampled_from(sorted(faults)), label="fault")
    if fault is not None:
        inputs = faults[fault](inputs)
    return Case(inputs, fault, data.draw(st.booleans(), label="in training mode"))
