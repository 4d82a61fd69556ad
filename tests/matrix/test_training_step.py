# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A training step of every family under autocast: which hand-written functions run, and how near its gradients are."""

from collections.abc import Mapping

import pytest
import torch
from families import FAMILIES, FAMILY_NAMES, Family, make_training_inputs
from fast_paths import FUNCTIONS, functions_that_run
from transformers import PreTrainedModel

# Layer norms are torch's where hidden states stay in float32, as they do behind tables of embeddings. The encoders for
# text and images of data2vec are transformers'.
RUN: dict[str, set[str]] = {
    "data2vec2-audio": set(FUNCTIONS),
    "data2vec2-vision": set(FUNCTIONS) - {"waveform layer"},
    "data2vec2-text": {"attention", "activated linear", "dropout"},
    "best-rq": {"attention", "layer norm", "dropout"},
    "data2vec-audio": set(FUNCTIONS) - {"activated linear"},
    "data2vec-aqc": set(FUNCTIONS) - {"activated linear"},
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
