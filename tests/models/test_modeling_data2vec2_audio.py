# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The audio models: masks, padding, objective, precision, checkpointing, saving, and the heads."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForAudioFrameClassification,
    AutoModelForAudioXVector,
    AutoModelForCTC,
    AutoModelForPreTraining,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
)

from hf_ssl import (
    Data2Vec2AudioConfig,
    Data2Vec2AudioForAudioFrameClassification,
    Data2Vec2AudioForCTC,
    Data2Vec2AudioForPreTraining,
    Data2Vec2AudioForSequenceClassification,
    Data2Vec2AudioForXVector,
    Data2Vec2AudioModel,
)
from hf_ssl.models.audio_heads import pool_statistics
from hf_ssl.models.masking import find_predicted
from hf_ssl.training.activation_checkpointing import enable_activation_checkpointing

AUTO_CLASSES: dict[type[PreTrainedModel], type] = {
    Data2Vec2AudioModel: AutoModel,
    Data2Vec2AudioForPreTraining: AutoModelForPreTraining,
    Data2Vec2AudioForCTC: AutoModelForCTC,
    Data2Vec2AudioForSequenceClassification: AutoModelForAudioClassification,
    Data2Vec2AudioForAudioFrameClassification: AutoModelForAudioFrameClassification,
    Data2Vec2AudioForXVector: AutoModelForAudioXVector,
}
ALL_CLASSES = pytest.mark.parametrize("model_class", AUTO_CLASSES, ids=lambda model_class: model_class.__name__)
HEADS = pytest.mark.parametrize(
    "model_class",
    [
        Data2Vec2AudioForCTC,
        Data2Vec2AudioForSequenceClassification,
        Data2Vec2AudioForAudioFrameClassification,
        Data2Vec2AudioForXVector,
    ],
    ids=lambda model_class: model_class.__name__,
)
HIDDEN_SIZE = 16
RECEPTIVE_FIELD = 44


def labels_for(model_class: type, batch_size: int, num_frames: int) -> dict[str, torch.Tensor]:
    """Labels that fit the class; none for the encoder, masks for pre-training."""
    if model_class is Data2Vec2AudioForPreTraining:
        mask = torch.zeros(batch_size, 2, num_frames, dtype=torch.bool)
        mask[:, 0, 2:6] = mask[:, 1, 5:8] = True
        return {"mask_time_indices": mask, "mask_noise": torch.zeros(batch_size, 2, num_frames, HIDDEN_SIZE)}
    labels = {
        Data2Vec2AudioForCTC: torch.ones(batch_size, 3, dtype=torch.long),
        Data2Vec2AudioForSequenceClassification: torch.arange(batch_size) % 3,
        Data2Vec2AudioForAudioFrameClassification: torch.ones(batch_size, num_frames, dtype=torch.long),
        Data2Vec2AudioForXVector: torch.arange(batch_size) % 3,
    }
    return {"labels": labels[model_class]} if model_class in labels else {}


# masks


def test_drawn_masks_leave_padding_alone_and_something_visible(make_model: Callable, make_batch: Callable) -> None:
    """700, 300 and 100 samples, and two utterances shorter than a span: two frames, and one."""
    model = make_model(Data2Vec2AudioForPreTraining, mask_length=5).train()
    lengths = [700, 300, 100, 60, RECEPTIVE_FIELD]
    outputs = model(**make_batch(lengths))
    assert outputs.mask_time_indices.shape == (5, 2, 42)
    for mask, length in zip(outputs.mask_time_indices, lengths, strict=True):
        num_frames = model.config.num_frames(length)
        assert not mask[:, num_frames:].any()
        assert (mask.sum(-1) == max(1, int(num_frames * 0.5))).all()
    assert torch.equal(outputs.frame_mask.sum(-1), torch.tensor([42, 17, 4, 2, 1]))
    assert torch.isfinite(outputs.loss)


def test_a_single_short_utterance_trains(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, mask_length=5).train()
    for length in (RECEPTIVE_FIELD, 60):
        loss = model(**make_batch([length])).loss
        loss.backward()
        assert torch.isfinite(loss)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@ALL_CLASSES
@pytest.mark.parametrize("lengths", [[30], [700, 30]], ids=["alone", "padded"])
def test_shorter_than_the_receptive_field_is_an_error(
    make_model: Callable, make_batch: Callable, model_class: type, lengths: list[int]
) -> None:
    with pytest.raises(ValueError, match=r"30 samples is shorter than the receptive field .* at least 44 samples"):
        make_model(model_class)(**make_batch(lengths))


def test_the_receptive_field_is_the_minimum(make_model: Callable) -> None:
    model = make_model(Data2Vec2AudioModel)
    assert model.config.receptive_field == RECEPTIVE_FIELD
    assert model(torch.randn(1, RECEPTIVE_FIELD)).last_hidden_state.shape == (1, 1, HIDDEN_SIZE)
    with pytest.raises(ValueError, match="receptive field"):
        model(torch.randn(1, RECEPTIVE_FIELD - 1))


@pytest.mark.parametrize("shape", [(42,), (2, 42), (3, 2, 42), (2, 2, 41), (2, 2, 42, 1)])
def test_a_mask_of_wrong_shape_is_an_error(make_model: Callable, make_batch: Callable, shape: tuple) -> None:
    with pytest.raises(ValueError, match=r"`mask_time_indices` must have shape .* = \(2, any number, 42\)"):
        make_model(Data2Vec2AudioForPreTraining)(
            **make_batch([700, 300]), mask_time_indices=torch.ones(shape, dtype=torch.bool)
        )


@pytest.mark.parametrize("shape", [(42,), (1, 42), (2, 41), (2, 2, 42)])
def test_a_mask_of_wrong_shape_for_the_encoder_is_an_error(
    make_model: Callable, make_batch: Callable, shape: tuple
) -> None:
    with pytest.raises(ValueError, match=r"`mask_time_indices` must have shape .* = \(2, 42\)"):
        make_model(Data2Vec2AudioModel)(
            **make_batch([700, 300]), mask_time_indices=torch.ones(shape, dtype=torch.bool)
        )


def test_a_mask_on_padding_is_an_error(make_model: Callable, make_batch: Callable) -> None:
    mask = torch.zeros(2, 2, 42, dtype=torch.bool)
    mask[:, :, 10:20] = True
    with pytest.raises(ValueError, match="`mask_time_indices` marks 6 padded frames"):
        make_model(Data2Vec2AudioForPreTraining)(**make_batch([700, 300]), mask_time_indices=mask)


def test_a_label_on_padding_is_an_error(make_model: Callable, make_batch: Callable) -> None:
    labels = torch.full((2, 2, 42), -100)
    labels[:, :, 10:20] = 0
    inputs = make_batch([700, 300]) | labels_for(Data2Vec2AudioForPreTraining, 2, 42)
    with pytest.raises(ValueError, match="`labels` marks 6 padded frames"):
        make_model(Data2Vec2AudioForPreTraining)(**inputs, labels=labels)


def test_labels_of_wrong_shape_are_an_error(make_model: Callable, make_batch: Callable) -> None:
    mask = torch.zeros(2, 2, 42, dtype=torch.bool)
    mask[:, :, 3:5] = True
    with pytest.raises(ValueError, match=r"`labels` must have the shape of `mask_time_indices`, \(2, 2, 42\)"):
        make_model(Data2Vec2AudioForPreTraining)(
            **make_batch([700, 300]), mask_time_indices=mask, labels=torch.zeros(2, 42, dtype=torch.long)
        )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"input_values": torch.randn(2, 2, 700)}, "mono waveforms of shape"),
        ({"input_values": torch.randn(700)}, "mono waveforms of shape"),
        ({"attention_mask": torch.ones(2, 42, dtype=torch.long)}, "`attention_mask` must have the shape"),
    ],
)
def test_inputs_of_wrong_shape_are_an_error(
    make_model: Callable, make_batch: Callable, overrides: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_model(Data2Vec2AudioModel)(**make_batch([700, 700]) | overrides)


def test_masks_need_not_have_equal_counts(make_model: Callable, make_batch: Callable) -> None:
    """Each copy alone gives the predictions that it gives beside copies with more or fewer visible frames."""
    model = make_model(Data2Vec2AudioForPreTraining)
    batch = make_batch([700, 300])
    mask = torch.zeros(2, 3, 42, dtype=torch.bool)
    mask[0, 0, 3:30] = mask[0, 1, 4] = mask[0, 2, :] = True
    mask[1, 0, 2:5] = mask[1, 1, 8:17] = mask[1, 2, 0] = True
    noise = torch.randn(2, 3, 42, HIDDEN_SIZE)
    together = model(**batch, mask_time_indices=mask, mask_noise=noise)
    alone = [
        model(
            **{name: tensor[utterance : utterance + 1] for name, tensor in batch.items()},
            mask_time_indices=mask[utterance : utterance + 1, copy : copy + 1],
            mask_noise=noise[utterance : utterance + 1, copy : copy + 1],
        )
        for utterance in range(2)
        for copy in range(3)
    ]
    predictions = torch.cat([outputs.predictions for outputs in alone])
    torch.testing.assert_close(together.predictions, predictions, atol=1e-5, rtol=1e-4)
    counts = torch.tensor([float(len(outputs.predictions)) for outputs in alone])
    losses = torch.stack([outputs.loss for outputs in alone])
    torch.testing.assert_close(together.loss, (losses * counts).sum() / counts.sum())


def test_masks_of_an_utterance_share_its_local_features(make_model: Callable, make_batch: Callable) -> None:
    """Two masks of one utterance are as good as the utterance twice with one mask each, at half the convolutions."""
    model = make_model(Data2Vec2AudioForPreTraining).train()
    batch = make_batch([700, 300])
    mask = model.draw_masks([42, 17], 42)
    noise = torch.randn(*mask.shape, HIDDEN_SIZE)
    seen = []
    model.data2vec2_audio.local_encoder.register_forward_hook(lambda _, inputs, output: seen.append(len(output)))
    shared = model(**batch, mask_time_indices=mask, mask_noise=noise)
    twice = {name: torch.cat([tensor, tensor]) for name, tensor in batch.items()}
    separate = model(
        **twice,
        mask_time_indices=mask.transpose(0, 1).reshape(4, 1, 42),
        mask_noise=noise.transpose(0, 1).reshape(4, 1, 42, HIDDEN_SIZE),
    )
    assert seen == [2, 4]
    torch.testing.assert_close(shared.loss, separate.loss)
    torch.testing.assert_close(separate.targets[:2], shared.targets)


def test_hidden_frames_do_not_reach_the_student(make_model: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining)
    mask = torch.zeros(1, 1, 42, dtype=torch.bool)
    mask[..., 10:20] = True
    noise = torch.zeros(1, 1, 42, HIDDEN_SIZE)
    features = torch.randn(1, 42, HIDDEN_SIZE)
    expected = model.student_predictions(features, None, mask, find_predicted(mask), noise)
    features[:, 10:20] = 100
    assert torch.equal(model.student_predictions(features, None, mask, find_predicted(mask), noise), expected)
    features[:, 20] = 100
    assert not torch.allclose(model.student_predictions(features, None, mask, find_predicted(mask), noise), expected)


def test_labels_choose_what_is_predicted(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining)
    inputs = make_batch([700, 700]) | labels_for(Data2Vec2AudioForPreTraining, 2, 42)
    labels = torch.full((2, 2, 42), -100)
    labels[0, 0, 3] = labels[1, 1, 5] = 0
    chosen, everything = model(**inputs, labels=labels), model(**inputs)
    assert len(everything.predictions) == int(inputs["mask_time_indices"].sum())
    positions = [1, 4 + 3 + 4]  # of the chosen frames among all predicted ones: utterance, mask, time
    torch.testing.assert_close(chosen.predictions, everything.predictions[positions])
    targets = torch.stack([chosen.targets[0, 3], chosen.targets[1, 5]])
    torch.testing.assert_close(chosen.loss, F.mse_loss(chosen.predictions, targets, reduction="sum") / 4 / 2)


def test_nothing_to_predict_is_no_loss_and_no_nan(make_model: Callable, make_batch: Callable) -> None:
    """A micro-batch may have none while the global batch has some."""
    model = make_model(Data2Vec2AudioForPreTraining).train()
    inputs = make_batch([700, 700]) | labels_for(Data2Vec2AudioForPreTraining, 2, 42)
    labels = torch.full((2, 2, 42), -100)
    for count in (None, 10):
        loss = model(**inputs, labels=labels, num_items_in_batch=count).loss
        loss.backward()
        assert loss == 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


# the objective


def test_num_items_in_batch_is_the_divisor(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForPreTraining)
    inputs = make_batch([700, 700]) | labels_for(Data2Vec2AudioForPreTraining, 2, 42)
    count = int(inputs["mask_time_indices"].sum())
    expected = model(**inputs).loss * count / 50
    torch.testing.assert_close(model(**inputs, num_items_in_batch=50).loss, expected)
    torch.testing.assert_close(model(**inputs, num_items_in_batch=torch.tensor(50)).loss, expected)


@pytest.mark.parametrize("loss_scale", [None, 0.3])
@pytest.mark.parametrize("loss_beta", [0, 0.5, 100.0])
def test_the_loss_is_the_published_one(
    make_model: Callable, make_batch: Callable, loss_beta: float, loss_scale: float | None
) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, loss_beta=loss_beta, loss_scale=loss_scale)
    outputs = model(**make_batch([700, 700]), **labels_for(Data2Vec2AudioForPreTraining, 2, 42))
    targets = outputs.targets.unsqueeze(1).expand(-1, 2, -1, -1)[outputs.prediction_mask]
    error = (outputs.predictions - targets).abs()
    quadratic = 0.5 * error**2 / loss_beta if loss_beta else error**2
    linear = error - 0.5 * loss_beta
    per_element = quadratic if loss_beta == 0 else torch.where(error < loss_beta, quadratic, linear)
    scale = 1 / 4 if loss_scale is None else loss_scale
    torch.testing.assert_close(outputs.loss, (per_element.sum(-1) * scale).mean())


# Every part of the architecture that a configuration can switch, one at a time.
VARIANTS: dict[str, dict] = {
    "default": {},
    "scope trunk": {"teacher_scope": "trunk"},
    "scope model": {"teacher_scope": "model"},
    "block targets": {"target_source": "block"},
    "no target norms": {"target_layer_norms": (), "target_norms": ()},
    "all target norms": {"target_layer_norms": ("instance", "layer", "batch"), "target_norms": ("layer", "batch")},
    "pre-norm": {"layer_norm_first": True},
    "pre-norm of the original": {"layer_norm_first": True, "pre_norm_drops_residual": True},
    "pre-norm, scope trunk": {"layer_norm_first": True, "teacher_scope": "trunk"},
    "alibi per layer": {"alibi_scale_per_layer": True},
    "alibi global": {"alibi_scale_per_head": False},
    "alibi not learned": {"learn_alibi_scale": False},
    "no alibi": {"use_alibi": False},
    "group norm": {"feat_extract_norm": "group", "conv_bias": True},
    "prenet": {"num_prenet_layers": 2, "prenet_dropout": 0.1},
    "norms without weights": {"layer_norm_affine": False},
    "smooth L1": {"loss_beta": 0.25, "loss_scale": 2.0},
    "drop path": {"drop_path_rates": (0.1, 0.5), "prenet_drop_path_rates": (0.1, 0.5), "num_prenet_layers": 2},
    "noise for hidden frames": {"encoder_zero_mask": False},
    "norm before positions": {"conv_pos_layer_norm_first": True},
    "several projections": {"decoder_num_projections": 3, "decoder_projection_ratio": 1.5},
    "no residual in the decoder": {"decoder_residual": False},
    "scaled local gradient": {"local_grad_scale": 0.5},
    "inverse masks": {"inverse_mask": True},
    "original padding": {"convolve_padding": True, "norm_targets_over_padding": True},
    "even kernels": {"conv_pos_kernel_size": 4, "decoder_kernel_size": 4},
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_variant_trains_all_its_parameters(make_model: Callable, make_batch: Callable, variant: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, **VARIANTS[variant]).train()
    torch.manual_seed(1)
    outputs = model(**make_batch([700, 300, 60]))
    outputs.loss.backward()
    assert torch.isfinite(outputs.loss)
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert without == []
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    model.update_teacher()
    assert torch.isfinite(model(**make_batch([700, 300, 60])).loss)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_variant_is_saved_and_loaded(
    make_model: Callable, make_batch: Callable, variant: str, tmp_path: Path
) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, **VARIANTS[variant])
    model.save_pretrained(tmp_path)
    loaded = Data2Vec2AudioForPreTraining.from_pretrained(tmp_path)
    inputs = make_batch([700, 700]) | labels_for(Data2Vec2AudioForPreTraining, 2, 42)
    torch.manual_seed(0)
    expected = model(**inputs)
    torch.manual_seed(0)
    assert torch.equal(loaded(**inputs).loss, expected.loss)


def test_the_variants_differ(make_model: Callable, make_batch: Callable) -> None:
    """A switch that does nothing would pass every other test."""
    inputs = make_batch([700, 300]) | labels_for(Data2Vec2AudioForPreTraining, 2, 42)
    losses = {}
    for variant, overrides in VARIANTS.items():
        model = make_model(Data2Vec2AudioForPreTraining, **overrides)
        losses[variant] = model.train()(**inputs).loss.item()
    # these say who owns or trains a tensor, or how masks are drawn; a fresh model computes the same
    same = {"scope trunk", "scope model", "alibi per layer", "alibi global", "alibi not learned", "inverse masks"}
    same |= {"norms without weights", "scaled local gradient"}
    assert {variant for variant in VARIANTS if losses[variant] == pytest.approx(losses["default"])} == {
        "default",
        *same,
    }


def test_the_local_gradient_is_scaled(make_model: Callable, make_batch: Callable) -> None:
    def gradients(scale: float) -> dict[str, torch.Tensor]:
        model = make_model(Data2Vec2AudioForPreTraining, local_grad_scale=scale).train()
        model(**make_batch([700]), **labels_for(Data2Vec2AudioForPreTraining, 1, 42)).loss.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    full, half = gradients(1.0), gradients(0.5)
    for name in full:
        factor = 0.5 if "conv_layers" in name else 1.0
        torch.testing.assert_close(half[name], full[name] * factor, msg=name)


def test_drop_path_and_layerdrop_sleep_in_evaluation(make_model: Callable, make_batch: Callable) -> None:
    rates = {"drop_path_rates": (0.5, 0.5), "layerdrop": 0.5}
    batch = make_batch([700])
    expected = make_model(Data2Vec2AudioModel)(**batch).last_hidden_state
    model = make_model(Data2Vec2AudioModel, **rates)
    assert torch.equal(model(**batch).last_hidden_state, expected)
    assert not torch.equal(model.train()(**batch).last_hidden_state, expected)


def test_drop_path_rates_rise_from_first_to_last(make_model: Callable) -> None:
    model = make_model(Data2Vec2AudioModel, drop_path_rates=(0.1, 0.3))
    assert [layer.drop_path_rate for layer in model.trunk.layers] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("layerdrop", [0.0, 1.0])
def test_all_hidden_states_are_there_whatever_layers_are_dropped(
    make_model: Callable, make_batch: Callable, layerdrop: float
) -> None:
    model = make_model(Data2Vec2AudioModel, num_prenet_layers=1, layerdrop=layerdrop, prenet_layerdrop=layerdrop)
    hidden_states = model.train()(**make_batch([700]), output_hidden_states=True).hidden_states
    assert len(hidden_states) == 1 + 1 + 3
    assert torch.equal(hidden_states[0], hidden_states[-1]) == (layerdrop == 1.0)


# padding


def padded_and_alone(
    model: PreTrainedModel, make_batch: Callable, lengths: list[int]
) -> tuple[dict[str, torch.Tensor], list[dict[str, torch.Tensor]]]:
    """A padded batch, more padded than need be, and its utterances one by one."""
    together = make_batch(lengths, padded_to=max(lengths) + 150)
    alone = [
        {"input_values": together["input_values"][index : index + 1, :length]} for index, length in enumerate(lengths)
    ]
    return together, alone


PADDED_LENGTHS = [700, 430, 110]


def test_the_encoder_does_not_depend_on_padding(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioModel, num_prenet_layers=1)
    together, alone = padded_and_alone(model, make_batch, PADDED_LENGTHS)
    padded = model(**together).last_hidden_state
    for index, inputs in enumerate(alone):
        expected = model(**inputs).last_hidden_state[0]
        torch.testing.assert_close(padded[index, : len(expected)], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
@HEADS
def test_heads_do_not_depend_on_padding(
    make_model: Callable, make_batch: Callable, model_class: type, weighted: bool
) -> None:
    model = make_model(model_class, use_weighted_layer_sum=weighted)
    together, alone = padded_and_alone(model, make_batch, PADDED_LENGTHS)
    padded = model(**together).logits
    for index, inputs in enumerate(alone):
        expected = model(**inputs).logits[0]
        actual = padded[index, : len(expected)] if expected.dim() == 2 else padded[index]
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


@HEADS
def test_losses_of_heads_do_not_depend_on_padding(
    make_model: Callable, make_batch: Callable, model_class: type
) -> None:
    model = make_model(model_class)
    together, alone = padded_and_alone(model, make_batch, PADDED_LENGTHS)
    num_frames = model.config.num_frames(together["input_values"].shape[1])
    labels = labels_for(model_class, 3, num_frames)["labels"]
    losses = []
    if model_class is Data2Vec2AudioForAudioFrameClassification:
        labels = labels.masked_fill(torch.arange(num_frames) >= torch.tensor([[42], [25], [5]]), -100)
    for index, inputs in enumerate(alone):
        own_labels = labels[index : index + 1]
        if model_class is Data2Vec2AudioForAudioFrameClassification:
            own_labels = own_labels[own_labels != -100].unsqueeze(0)
        losses.append(model(**inputs, labels=own_labels, num_items_in_batch=1).loss)
    padded = model(**together, labels=labels, num_items_in_batch=1).loss
    torch.testing.assert_close(padded, torch.stack(losses).sum(), atol=1e-4, rtol=1e-4)


def pretraining_difference(model: Data2Vec2AudioForPreTraining, make_batch: Callable) -> float:
    """Largest difference of targets and predictions between a padded batch and its utterances one by one."""
    together, alone = padded_and_alone(model, make_batch, PADDED_LENGTHS)
    lengths = [model.config.num_frames(length) for length in PADDED_LENGTHS]
    num_frames = model.config.num_frames(together["input_values"].shape[1])
    torch.manual_seed(0)
    mask = model.draw_masks(lengths, num_frames)
    noise = torch.randn(*mask.shape, HIDDEN_SIZE)
    padded = model(**together, mask_time_indices=mask, mask_noise=noise)
    predictions, differences, total = [], [], 0.0
    for index, (inputs, length) in enumerate(zip(alone, lengths, strict=True)):
        rows = slice(index, index + 1)
        own = model(**inputs, mask_time_indices=mask[rows, :, :length], mask_noise=noise[rows, :, :length])
        predictions.append(own.predictions)
        differences.append((padded.targets[index, :length] - own.targets[0]).abs().max().item())
        total += own.loss.item() * len(own.predictions)
    differences.append((padded.predictions - torch.cat(predictions)).abs().max().item())
    differences.append(abs(padded.loss.item() - total / len(padded.predictions)))
    return max(differences)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_pretraining_does_not_depend_on_padding(make_model: Callable, make_batch: Callable, variant: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, **VARIANTS[variant])
    depends_by_design = {
        "all target norms",  # batch norm is over the batch
        "group norm",  # its statistics run over padding
        "original padding",
        "noise for hidden frames",  # it is drawn
    }
    difference = pretraining_difference(model, make_batch)
    assert (difference > 1e-3) == (variant in depends_by_design)
    if variant not in depends_by_design:
        assert difference < 1e-4


@pytest.mark.parametrize("option", ["convolve_padding", "norm_targets_over_padding"])
def test_the_original_does_depend_on_padding(make_model: Callable, make_batch: Callable, option: str) -> None:
    model = make_model(Data2Vec2AudioForPreTraining, **{option: True})
    assert pretraining_difference(model, make_batch) > 1e-2


def test_an_attention_mask_of_ones_changes_nothing(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioModel)
    batch = make_batch([700, 700])
    expected = model(batch["input_values"]).last_hidden_state
    torch.testing.assert_close(model(**batch).last_hidden_state, expected, atol=1e-6, rtol=1e-5)


# memory, compilation, precision


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("is_frozen", [False, True], ids=["all", "frozen waveform encoder"])
@pytest.mark.parametrize(
    "model_class", [Data2Vec2AudioForPreTraining, Data2Vec2AudioForCTC], ids=lambda model_class: model_class.__name__
)
def test_activation_checkpointing_gives_the_same_gradients(
    make_model: Callable, make_batch: Callable, model_class: type, is_frozen: bool, use_reentrant: bool
) -> None:
    """With everything on that draws random numbers, so that the second forward must repeat the first."""
    noisy = {"hidden_dropout": 0.2, "attention_dropout": 0.2, "layerdrop": 0.3, "drop_path_rates": (0.1, 0.4)}
    inputs = make_batch([700, 300]) | labels_for(model_class, 2, 42)
    gradients = []
    for is_checkpointed in (False, True):
        model = make_model(model_class, num_prenet_layers=1, **noisy).train()
        if is_frozen:
            model.freeze_feature_encoder()
        if is_checkpointed:
            enable_activation_checkpointing(model, use_reentrant=use_reentrant)
        torch.manual_seed(3)
        model(**inputs).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert any("conv_layers" in name for name in gradients[0]) == (not is_frozen)
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, msg=name)


@pytest.mark.parametrize("is_padded", [False, True])
def test_compiled_encoder_agrees(make_model: Callable, make_batch: Callable, is_padded: bool) -> None:
    """Traced and partitioned as for the compiler, without its C++ step, which the slow test takes."""
    torch.compiler.reset()
    model = make_model(Data2Vec2AudioModel, num_hidden_layers=2)
    batch = make_batch([700, 300])
    if not is_padded:
        del batch["attention_mask"]
    expected = model(**batch).last_hidden_state
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(**batch).last_hidden_state, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_class", [Data2Vec2AudioModel, Data2Vec2AudioForPreTraining], ids=lambda model_class: model_class.__name__
)
def test_inductor_agrees(make_model: Callable, make_batch: Callable, model_class: type) -> None:
    torch.compiler.reset()
    model = make_model(model_class, num_hidden_layers=2)
    inputs = make_batch([700, 300])
    if model_class is Data2Vec2AudioForPreTraining:
        mask = model.draw_masks([42, 17], 42)
        inputs |= {"mask_time_indices": mask, "mask_noise": torch.randn(*mask.shape, HIDDEN_SIZE)}
    expected = model(**inputs)[0]
    torch.testing.assert_close(torch.compile(model)(**inputs)[0], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@ALL_CLASSES
def test_autocast_is_close_to_float32(
    make_model: Callable, make_batch: Callable, model_class: type, dtype: torch.dtype
) -> None:
    # embeddings of speakers are normalised: at weights of 0.02 they are so small that float16 cannot divide by them
    initializer_range = 0.2 if model_class is Data2Vec2AudioForXVector else 0.02
    model = make_model(model_class, initializer_range=initializer_range).train()
    inputs = make_batch([700, 300]) | labels_for(model_class, 2, 42)
    with torch.no_grad():
        expected = model(**inputs)[0]
    with torch.autocast("cpu", dtype=dtype):
        actual = model(**inputs)[0]
    assert torch.isfinite(actual).all()
    if model_class is Data2Vec2AudioModel:
        torch.testing.assert_close(actual.float()[0], expected[0], atol=0.1, rtol=0.05)
    else:
        torch.testing.assert_close(actual.float(), expected, atol=0.02, rtol=0.05)
    actual.float().mean().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("alibi", [True, False])
def test_an_utterance_without_visible_frames_is_finite_under_autocast(
    make_model: Callable, make_batch: Callable, dtype: torch.dtype, implementation: str, alibi: bool
) -> None:
    """Its one frame is hidden, so that its keys are all masked: minus infinity everywhere would give NaN."""
    model = make_model(Data2Vec2AudioForPreTraining, implementation, use_alibi=alibi).train()
    with torch.autocast("cpu", dtype=dtype):
        loss = model(**make_batch([700, RECEPTIVE_FIELD])).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("scope", ["trunk", "encoder", "model"])
def test_a_half_precision_student_trains_beside_its_float32_teacher(
    make_model: Callable, make_batch: Callable, scope: str, dtype: torch.dtype
) -> None:
    inputs = make_batch([700, 300]) | labels_for(Data2Vec2AudioForPreTraining, 2, 42)
    model = make_model(Data2Vec2AudioForPreTraining, teacher_scope=scope, initializer_range=0.02)
    expected = model(**inputs).loss
    outputs = model.to(dtype).train()(**inputs)
    assert outputs.targets.dtype == torch.float32
    torch.testing.assert_close(outputs.loss, expected, atol=0.05, rtol=0.05)
    outputs.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


# saving and loading


@ALL_CLASSES
def test_a_saved_model_computes_the_same(
    make_model: Callable, make_batch: Callable, model_class: type, tmp_path: Path
) -> None:
    model = make_model(model_class)
    model.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path)
    loaded, info = model_class.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    inputs = make_batch([700, 300]) | labels_for(model_class, 2, 17)
    if "mask_time_indices" in inputs:
        inputs["mask_time_indices"] = F.pad(inputs["mask_time_indices"], (0, 25))
        inputs["mask_noise"] = torch.zeros(2, 2, 42, HIDDEN_SIZE)
    if model_class is Data2Vec2AudioForAudioFrameClassification:
        inputs["labels"] = F.pad(inputs["labels"], (0, 25), value=-100)
    assert torch.equal(loaded(**inputs)[0], model(**inputs)[0])
    assert loaded.config.to_dict() == AutoConfig.from_pretrained(tmp_path).to_dict()


@ALL_CLASSES
def test_auto_classes_resolve(make_model: Callable, model_class: type, tmp_path: Path) -> None:
    model = make_model(model_class)
    model.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is Data2Vec2AudioConfig
    assert type(AUTO_CLASSES[model_class].from_pretrained(tmp_path)) is model_class
    assert type(AUTO_CLASSES[model_class].from_config(model.config)) is model_class
    assert type(AutoFeatureExtractor.from_pretrained(tmp_path)) is Wav2Vec2FeatureExtractor


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """transformers' own messages; its logger propagates nothing by itself."""
    logger = logging.getLogger("transformers")
    propagate, logger.propagate = logger.propagate, True
    yield caplog
    logger.propagate = propagate


def test_a_pretraining_folder_opens_as_encoder_without_a_word(
    make_model: Callable, make_batch: Callable, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    model = make_model(Data2Vec2AudioForPreTraining)
    model.save_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path)
    batch = make_batch([700, 300])
    assert torch.equal(encoder(**batch).last_hidden_state, model.data2vec2_audio(**batch).last_hidden_state)
    assert "LOAD REPORT" not in log.text


@HEADS
def test_a_pretraining_folder_opens_with_a_head(
    make_model: Callable, make_batch: Callable, model_class: type, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """The student's weights, not the teacher's, and a report of the head alone."""
    model = make_model(Data2Vec2AudioForPreTraining)
    for parameter in model.teacher.parameters():
        parameter.data.fill_(7.0)
    model.save_pretrained(tmp_path)
    loaded, info = AUTO_CLASSES[model_class].from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is model_class
    assert not info["unexpected_keys"]
    assert info["missing_keys"]
    assert not any(key.startswith(("data2vec2_audio", "teacher", "decoder")) for key in info["missing_keys"])
    for name, tensor in model.data2vec2_audio.state_dict().items():
        assert torch.equal(loaded.data2vec2_audio.state_dict()[name], tensor), name
    assert "MISSING" in log.text
    assert "teacher" not in log.text
    assert "decoder" not in log.text


def test_the_initialisation_is_the_published_one(make_config: Callable) -> None:
    torch.manual_seed(0)
    config = make_config(hidden_size=64, conv_dim=(64, 64, 64), initializer_range=0.02, decoder_hidden_size=64)
    model = Data2Vec2AudioForPreTraining(config)
    encoder = model.data2vec2_audio
    assert encoder.trunk.layers[0].attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not encoder.trunk.layers[0].attention.qkv.bias.any()
    assert encoder.local_encoder.conv_layers[1].conv.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.05)
    assert encoder.local_encoder.projection.weight.abs().max().item() == pytest.approx(64**-0.5, rel=0.05)
    assert model.decoder.projections[0].weight.abs().max().item() == pytest.approx(64**-0.5, rel=0.05)
    assert model.decoder.layers[0].conv.weight.abs().max().item() == pytest.approx(96**-0.5, rel=0.05)
    assert (encoder.context_encoder.attention_bias.scale == 1).all()


# heads


def test_ctc_loss_is_that_of_torch(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForCTC)
    labels = torch.tensor([[1, 2, 3, 4], [5, 5, -100, -100]])
    outputs = model(**make_batch([700, 300]), labels=labels)
    log_probs = outputs.logits.log_softmax(-1)
    by_hand = [
        F.ctc_loss(log_probs[0], torch.tensor([1, 2, 3, 4]), torch.tensor(42), torch.tensor(4), reduction="sum"),
        F.ctc_loss(log_probs[1, :17], torch.tensor([5, 5]), torch.tensor(17), torch.tensor(2), reduction="sum"),
    ]
    torch.testing.assert_close(outputs.loss, sum(by_hand) / 6)
    scaled = model(**make_batch([700, 300]), labels=labels, num_items_in_batch=12)
    torch.testing.assert_close(scaled.loss, sum(by_hand) / 12)
    model.config.ctc_loss_reduction = "sum"
    torch.testing.assert_close(model(**make_batch([700, 300]), labels=labels).loss, sum(by_hand))


def test_ctc_labels_beyond_the_vocabulary_are_an_error(make_model: Callable, make_batch: Callable) -> None:
    with pytest.raises(ValueError, match=r"smaller than `config.vocab_size` = 12, but the largest is 12"):
        make_model(Data2Vec2AudioForCTC)(**make_batch([700]), labels=torch.tensor([[3, 12]]))


def test_ctc_without_a_blank_is_an_error(make_config: Callable) -> None:
    with pytest.raises(ValueError, match=r"`config\.pad_token_id` must be set"):
        Data2Vec2AudioForCTC(make_config(pad_token_id=None))


def test_an_empty_transcript_is_a_transcript(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForCTC)
    log_probs = model(**make_batch([700])).logits.log_softmax(-1)
    expected = -log_probs[0, :, 0].sum()  # nothing but blanks
    for labels in (torch.full((1, 3), -100), torch.empty(1, 0, dtype=torch.long)):
        torch.testing.assert_close(model(**make_batch([700]), labels=labels).loss, expected)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_a_transcript_too_long_for_its_audio(make_model: Callable, make_batch: Callable, zero_infinity: bool) -> None:
    model = make_model(Data2Vec2AudioForCTC, ctc_zero_infinity=zero_infinity)
    loss = model(**make_batch([100]), labels=torch.tensor([[1, 2, 3, 4, 5]])).loss
    assert loss == (0 if zero_infinity else float("inf"))


def test_frames_without_label_do_not_count(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForAudioFrameClassification)
    labels = torch.full((2, 42), -100)
    labels[0, :5], labels[1, 3] = 2, 1
    outputs = model(**make_batch([700, 300]), labels=labels)
    logits = torch.cat([outputs.logits[0, :5], outputs.logits[1, 3:4]])
    torch.testing.assert_close(outputs.loss, F.cross_entropy(logits, torch.tensor([2, 2, 2, 2, 2, 1])))
    unlabelled = model(**make_batch([700, 300]), labels=torch.full((2, 42), -100))
    assert unlabelled.loss == 0


def test_several_labels_per_frame(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForAudioFrameClassification)
    labels = torch.randint(2, (2, 42, 3)).float()
    labels[1, 17:] = -100
    outputs = model(**make_batch([700, 300]), labels=labels)
    real = labels != -100
    torch.testing.assert_close(outputs.loss, F.binary_cross_entropy_with_logits(outputs.logits[real], labels[real]))


def test_frame_labels_of_wrong_length_are_an_error(make_model: Callable, make_batch: Callable) -> None:
    with pytest.raises(ValueError, match=r"one entry per frame, .* sequence_length 42"):
        make_model(Data2Vec2AudioForAudioFrameClassification)(
            **make_batch([700]), labels=torch.ones(1, 41, dtype=torch.long)
        )


def test_one_label_per_utterance(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForSequenceClassification)
    labels = torch.tensor([2, 0])
    outputs = model(**make_batch([700, 300]), labels=labels)
    torch.testing.assert_close(outputs.loss, F.cross_entropy(outputs.logits, labels))
    scaled = model(**make_batch([700, 300]), labels=labels, num_items_in_batch=10)
    torch.testing.assert_close(scaled.loss, outputs.loss / 5)


@pytest.mark.parametrize("problem_type", [None, "multi_label_classification"])
def test_several_labels_per_utterance(make_model: Callable, make_batch: Callable, problem_type: str | None) -> None:
    model = make_model(Data2Vec2AudioForSequenceClassification, problem_type=problem_type)
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    outputs = model(**make_batch([700, 300]), labels=labels)
    torch.testing.assert_close(outputs.loss, F.binary_cross_entropy_with_logits(outputs.logits, labels))


@pytest.mark.parametrize(
    ("problem_type", "labels"),
    [
        (None, torch.zeros(2, 4)),
        (None, torch.tensor([0])),
        (None, torch.tensor([0.5, 1.5])),
        ("multi_label_classification", torch.tensor([0, 1])),
        ("single_label_classification", torch.zeros(2, 3)),
    ],
)
def test_utterance_labels_that_do_not_fit_are_an_error(
    make_model: Callable, make_batch: Callable, problem_type: str | None, labels: torch.Tensor
) -> None:
    model = make_model(Data2Vec2AudioForSequenceClassification, problem_type=problem_type)
    with pytest.raises(ValueError, match="but got labels of type"):
        model(**make_batch([700, 300]), labels=labels)


def test_pooling_is_the_mean_of_real_frames(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForSequenceClassification)
    batch = make_batch([700, 300])
    frames = model.data2vec2_audio(**batch).last_hidden_state
    expected = model.classifier(model.projector(frames[1, :17]).mean(0))
    torch.testing.assert_close(model(**batch).logits[1], expected)


def test_a_speaker_needs_enough_frames(make_model: Callable, make_batch: Callable) -> None:
    """Two kernels of 3 and 1 with dilation 2: five frames, which take 44 + 4 * 16 samples."""
    model = make_model(Data2Vec2AudioForXVector)
    assert torch.isfinite(model(**make_batch([700, 108])).embeddings).all()
    with pytest.raises(ValueError, match=r"4 frames is too short .* at least 5 frames \(108 samples\)"):
        model(**make_batch([700, 107]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_statistics_of_dead_channels_have_a_finite_gradient(dtype: torch.dtype) -> None:
    hidden_states = torch.zeros(2, 6, 4, dtype=dtype, requires_grad=True)
    pooled = pool_statistics(hidden_states, torch.tensor([6, 1]))
    assert pooled.dtype == dtype
    pooled.sum().backward()
    assert torch.isfinite(hidden_states.grad).all()


def test_pooled_statistics_are_mean_and_deviation_of_real_frames() -> None:
    hidden_states = torch.randn(2, 6, 4)
    pooled = pool_statistics(hidden_states, torch.tensor([6, 3]))
    expected = torch.cat([hidden_states[1, :3].mean(0), hidden_states[1, :3].std(0)])
    torch.testing.assert_close(pooled[1], expected)


def test_speakers_have_embeddings_and_a_loss(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioForXVector)
    outputs = model(**make_batch([700, 300]), labels=torch.tensor([0, 2]))
    assert outputs.embeddings.shape == outputs.logits.shape == (2, 8)
    torch.testing.assert_close(outputs.loss, model.objective(outputs.logits, torch.tensor([0, 2])))
    scaled = model(**make_batch([700, 300]), labels=torch.tensor([0, 2]), num_items_in_batch=8)
    torch.testing.assert_close(scaled.loss, outputs.loss / 4)


@HEADS
def test_a_weighted_sum_reads_all_layers(make_model: Callable, make_batch: Callable, model_class: type) -> None:
    model = make_model(model_class, use_weighted_layer_sum=True, num_prenet_layers=1)
    assert model.layer_weights.shape == (5,)
    torch.testing.assert_close(model.layer_weights.softmax(0), torch.full((5,), 0.2))
    seen = []
    model.dropout.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    batch = make_batch([700, 300])
    model(**batch)
    states = model.data2vec2_audio(**batch, output_hidden_states=True).hidden_states
    torch.testing.assert_close(seen[0], torch.stack(states).mean(0))
    with torch.no_grad():
        model.layer_weights.copy_(torch.tensor([100.0, 0, 0, 0, 0]))
    model(**batch)
    torch.testing.assert_close(seen[1], states[0])


@HEADS
def test_freezing(make_model: Callable, model_class: type) -> None:
    model = make_model(model_class)
    model.freeze_feature_encoder()
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {
        name for name, _ in model.named_parameters() if name.startswith("data2vec2_audio.local_encoder.conv_layers.")
    }
    model.freeze_base_model()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert not any(name.startswith("data2vec2_audio.") for name in trained)


def test_fine_tuning_masks_frames_and_channels_in_training_only(make_model: Callable, make_batch: Callable) -> None:
    options = {"mask_time_prob": 0.5, "mask_time_length": 4, "mask_feature_prob": 0.5, "mask_feature_length": 2}
    model = make_model(Data2Vec2AudioModel, mask_noise_std=0.0, **options)
    batch = make_batch([700, 300])
    seen = []
    model.context_encoder.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    model(**batch)
    features, _ = seen.pop(), model.train()
    model(**batch)
    hidden = seen.pop()
    assert not (features == 0).any()
    assert (hidden[0] == 0).all(-1).any(), "frames"
    assert (hidden[0] == 0).all(0).any(), "channels"
    kept = hidden != 0
    torch.testing.assert_close(hidden[kept], features[kept])
    model.config.apply_spec_augment = False
    model(**batch)
    torch.testing.assert_close(seen.pop(), features)


def test_a_given_mask_is_used_as_it_is(make_model: Callable, make_batch: Callable) -> None:
    model = make_model(Data2Vec2AudioModel, mask_noise_std=0.0)
    seen = []
    model.context_encoder.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    mask = torch.zeros(1, 42, dtype=torch.long)
    mask[0, 3:7] = 1
    model(**make_batch([700]), mask_time_indices=mask)
    assert torch.equal((seen[0] == 0).all(-1), mask.bool())


# configuration


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"hidden_size": 15}, "multiple of `num_attention_heads`"),
        ({"conv_kernel": (3, 3)}, "must be equally long"),
        ({"average_top_k_layers": 4}, "`average_top_k_layers` must be between 1 and"),
        ({"average_top_k_layers": 0}, "`average_top_k_layers` must be between 1 and"),
        ({"mask_prob": 1.0}, "`mask_prob` must lie strictly between 0 and 1"),
        ({"num_masks": 0}, "`num_masks` must be at least 1"),
        ({"teacher_scope": "everything"}, "`teacher_scope` must be one of"),
        ({"target_source": "attention"}, "`target_source` must be one of"),
        ({"feat_extract_norm": "batch"}, "`feat_extract_norm` must be one of"),
        ({"ctc_loss_reduction": "none"}, "`ctc_loss_reduction` must be one of"),
        ({"target_norms": ("group",)}, "Target normalisations must be among"),
        ({"decoder_groups": 3}, "`decoder_groups` = 3 must divide"),
        ({"num_conv_pos_embedding_groups": 5}, "`num_conv_pos_embedding_groups` = 5 must divide"),
    ],
)
def test_a_configuration_that_cannot_work_is_an_error(make_config: Callable, overrides: dict, message: str) -> None:
    with pytest.raises(StrictDataclassError, match=message):
        make_config(**overrides)


def test_a_configuration_of_wrong_type_is_an_error(make_config: Callable) -> None:
    with pytest.raises(StrictDataclassError, match="hidden_size"):
        make_config(hidden_size="large")


def test_frames_and_samples() -> None:
    config = Data2Vec2AudioConfig()
    assert config.receptive_field == 400
    assert config.inputs_to_logits_ratio == 320
    assert [config.num_frames(samples) for samples in (400, 719, 720, 16_000)] == [1, 1, 2, 49]
    copied = copy.deepcopy(config)
    assert copied.to_dict() == config.to_dict()


def test_bfloat16_weights_under_autocast_with_group_norm(make_model: Callable) -> None:
    model = make_model(Data2Vec2AudioModel, feat_extract_norm="group").to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        encoded = model(torch.randn(2, 3200)).last_hidden_state
    assert encoded.isfinite().all()
