# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A training step of every family: which hand-written functions run under autocast, how near its gradients are to
those in float32, and how often a GPU's host would wait."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from families import FAMILIES, FAMILY_NAMES, Family, make_training_inputs, trainer_class
from fast_paths import FUNCTIONS, functions_that_run
from host_waits import counted_waits
from transformers import PreTrainedModel, TrainingArguments

# Layer norms are torch's where hidden states stay in float32, as they do behind tables of embeddings. The encoders for
# text and images of data2vec are transformers'.
RUN: dict[str, set[str]] = {
    "data2vec2-audio": set(FUNCTIONS),
    "data2vec2-vision": set(FUNCTIONS) - {"waveform layer"},
    "data2vec2-text": {"attention", "activated linear", "dropout"},
    "best-rq": {"attention", "layer norm", "dropout"},
    "data2vec-audio": set(FUNCTIONS),
    "data2vec-aqc": set(FUNCTIONS),
    "data2vec-text": set(),
    "data2vec-vision": set(),
}
DROPOUTS = ("hidden_dropout", "attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob")


def make_model(family: Family, dropout: float) -> PreTrainedModel:
    """With seeded random weights, to be trained; dropout of hidden states and of attention."""
    torch.manual_seed(0)
    config = family.make_config()
    config.update({name: dropout for name in DROPOUTS if name in config.to_dict()})
    return family.classes["AutoModelForPreTraining"](config).train()


def loss_of(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], autocast: bool) -> torch.Tensor:
    """With gradients. Masks and noise are the same each time."""
    torch.manual_seed(1)
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = model(**inputs).loss
    loss.backward()
    return loss.detach()


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_hand_written_functions_run_under_autocast(family: Family) -> None:
    model = make_model(family, dropout=0.1)
    with functions_that_run() as names:
        loss_of(model, make_training_inputs(family), autocast=True)
    assert names == RUN[family.name]


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_gradients_under_autocast_are_near_those_in_float32(family: Family) -> None:
    model, inputs = make_model(family, dropout=0.0), make_training_inputs(family)
    losses, gradients = [], []
    for autocast in (False, True):
        losses.append(loss_of(model, inputs, autocast))
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.isfinite(gradients[1]).all()
    torch.testing.assert_close(losses[1], losses[0], rtol=0.05, atol=0)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98


# What a step still has to ask a device for: whether padding is right ("tolist", in one answer with the lengths), which
# positions are predicted ("nonzero"), how many are visible or in a batch's longest row of predicted ones
# ("_local_scalar_dense"), and, twice in transformers' masks of attention, whether there is padding at all.
WAITS = {
    "data2vec2-audio": {"tolist": 1, "nonzero": 1, "_local_scalar_dense": 1},
    "data2vec2-vision": {"nonzero": 1, "_local_scalar_dense": 1},
    "data2vec2-text": {"tolist": 1, "nonzero": 1, "_local_scalar_dense": 1},
    "best-rq": {"tolist": 1, "nonzero": 1},
    "data2vec-audio": {"tolist": 1, "nonzero": 1, "_local_scalar_dense": 2},
    "data2vec-aqc": {"tolist": 1, "nonzero": 1, "_local_scalar_dense": 3},
    "data2vec-text": {"tolist": 1, "nonzero": 1, "_local_scalar_dense": 2},
    "data2vec-vision": {"nonzero": 1},
}


def masked_inputs(family: Family, model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """A batch with masks and labels, as collators give them."""
    inputs = make_training_inputs(family)
    if "labels" in inputs:
        return inputs
    mask = model(**inputs).mask_time_indices
    name = "bool_masked_pos" if "pixel_values" in inputs else "mask_time_indices"
    return inputs | {name: mask, "labels": torch.where(mask, 0, -100)}


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_a_step_waits_no_more_often_than_it_must(family: Family) -> None:
    model = make_model(family, dropout=0.1)
    inputs = masked_inputs(family, model)
    if family.has_teacher:
        model.update_teacher(step=1)
    with counted_waits() as waits:
        model.train()
        model(**inputs).loss.backward()
        if family.has_teacher:
            model.update_teacher(step=2)
    assert waits == WAITS[family.name]


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_recording_figures_waits_for_nothing(family: Family, tmp_path: Path) -> None:
    model = make_model(family, dropout=0.0)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    trainer = trainer_class(family)(model=model, args=arguments)
    inputs = masked_inputs(family, model)
    outputs = model(**inputs)
    with counted_waits() as waits:
        trainer._record(inputs, outputs)
    assert not waits
    assert all(torch.isfinite(total) for total in trainer._sums.values())


def test_batch_norm_of_real_frames_waits_in_no_layer() -> None:
    torch.manual_seed(0)
    (family,) = (family for family in FAMILIES if family.name == "best-rq")
    config = family.make_config()
    config.conv_norm = "batch"
    model = family.classes["AutoModelForPreTraining"](config).train()
    inputs = masked_inputs(family, model)
    with counted_waits() as waits:
        model(**inputs).loss.backward()
    assert waits == WAITS[family.name]
