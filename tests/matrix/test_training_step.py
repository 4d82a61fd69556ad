# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A training step of every family: which hand-written functions run under autocast, how near its gradients are to
those in float32, how often a GPU's host would wait, and that it compiles as a whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import FAMILIES, FAMILY_NAMES, Family, collate_training_inputs, make_training_inputs, trainer_class
from fast_paths import FUNCTIONS, functions_that_run
from host_waits import counted_waits
from torch._dynamo.testing import CompileCounter
from transformers import PreTrainedModel, TrainingArguments, Wav2Vec2FeatureExtractor

from hf_ssl import BestRqFeatureExtractor
from hf_ssl.data.pretraining_collators import speech_collator
from hf_ssl.models.cross_contrast import ContrastiveDraws
from hf_ssl.training.activation_checkpointing import enable_activation_checkpointing

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


# What a step of a collator's batch still has to ask a device for: whether padding is right ("tolist", in one answer
# with the lengths), and for data2vec's text, twice in transformers' masks of attention, whether there is padding at
# all ("_local_scalar_dense").
WAITS = {
    "data2vec2-audio": {"tolist": 1},
    "data2vec2-vision": {},
    "data2vec2-text": {"tolist": 1},
    "best-rq": {"tolist": 1},
    "data2vec-audio": {"tolist": 1},
    "data2vec-aqc": {"tolist": 1},
    "data2vec-text": {"tolist": 1, "_local_scalar_dense": 2},
    "data2vec-vision": {},
}


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_a_step_waits_no_more_often_than_it_must(family: Family) -> None:
    model = make_model(family, dropout=0.1)
    inputs = collate_training_inputs(family, model)
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
    inputs = collate_training_inputs(family, model)
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
    inputs = collate_training_inputs(family, model)
    with counted_waits() as waits:
        model(**inputs).loss.backward()
    assert waits == WAITS[family.name]


@pytest.mark.parametrize("checkpoints", [False, True], ids=["plain", "checkpointed"])
@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_a_step_is_one_graph(family: Family, checkpoints: bool) -> None:
    """Traced and partitioned as for the compiler, with LayerDrop, without the compiler itself."""
    torch.compiler.reset()
    torch.manual_seed(0)
    config = family.make_config()
    config.update({name: 0.4 for name in ("layerdrop", "prenet_layerdrop") if name in config.to_dict()})
    model = family.classes["AutoModelForPreTraining"](config).train()
    if checkpoints and family.name != "data2vec-text":  # which then logs a warning in its forward
        enable_activation_checkpointing(model)
    inputs: dict[str, Any] = collate_training_inputs(family, model)
    if family.name == "data2vec-aqc":  # whose noise a graph draws by other operations
        inputs["draws"] = some_draws(model, *inputs["predicted_positions"].shape)
    losses, gradients = [], []
    for forward in (model, torch.compile(model, backend="aot_eager", fullgraph=True)):
        torch.manual_seed(1)
        model.zero_grad()
        loss = forward(**inputs).loss
        loss.backward()
        losses.append(loss.detach())
        # a dropped layer's weights have no gradient, or in a graph one of zeros
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradients.append(torch.cat([zeros_or_gradient(parameter).flatten() for parameter in parameters]))
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-3)


def zeros_or_gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def some_draws(model: PreTrainedModel, batch_size: int, num_slots: int) -> ContrastiveDraws:
    config: Any = model.config
    noise = torch.randn(batch_size, num_slots, config.num_codevector_groups, config.num_codevectors_per_group)
    negatives = torch.arange(config.num_all_negatives).expand(batch_size, num_slots, -1) % num_slots
    points = torch.arange(max(2, config.num_frames(4000) // config.cluster_factor)).expand(batch_size, -1)
    return ContrastiveDraws(noise, noise, negatives, negatives, points)


@pytest.mark.parametrize("name", ["data2vec2-audio", "best-rq", "data2vec-audio", "data2vec-aqc"])
def test_clips_of_other_lengths_are_not_compiled_again(name: str) -> None:
    torch.compiler.reset()
    (family,) = (family for family in FAMILIES if family.name == name)
    model = make_model(family, dropout=0.1)
    extractor: Any = BestRqFeatureExtractor()
    if name != "best-rq":
        extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    collate = speech_collator(model.config, extractor, None, pad_to_multiple_of=8000)
    generator, counter = np.random.default_rng(0), CompileCounter()
    forward = torch.compile(model, backend=counter, fullgraph=True, dynamic=False)
    shapes = set()
    for lengths in ((7000, 7900), (7600, 5000), (6900, 7100)):
        waveforms = [generator.normal(size=length).astype(np.float32) for length in lengths]
        batch = collate([{"input_values": waveform, "seed": len(waveform)} for waveform in waveforms])
        forward(**batch).loss.backward()
        shapes.add(tuple(tensor.shape for tensor in batch.values()))
    assert counter.frame_count == len(shapes)
    if (
        name == "data2vec2-audio"
    ):  # others hide a number of frames that is drawn, of which eighths of the length are made
        assert len(shapes) == 1
