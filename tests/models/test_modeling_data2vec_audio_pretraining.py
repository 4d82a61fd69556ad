# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec pre-training on speech: the rules of the teacher, the objective, and folders that transformers opens."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModelForCTC,
    AutoModelForPreTraining,
    Data2VecAudioConfig,
    Data2VecAudioForCTC,
    Data2VecAudioModel,
)

from hf_ssl import Data2VecAudioForPreTraining, Data2VecAudioPreTrainingConfig
from hf_ssl.models import data2vec_audio_encoder as encoder_module
from hf_ssl.models.modeling_data2vec_audio_pretraining import draw_masks
from hf_ssl.training.activation_checkpointing import enable_activation_checkpointing
from hf_ssl.training.model_sizes import data2vec_audio_config

SCOPES = ("layers", "transformer", "model")
NO_DROPOUT = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "layerdrop": 0.0}


def make_model(**overrides) -> Data2VecAudioForPreTraining:
    torch.manual_seed(0)
    return Data2VecAudioForPreTraining(data2vec_audio_config("tiny", **(NO_DROPOUT | overrides)))


def make_batch(lengths: tuple[int, ...] = (8000, 5000)) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    attention_mask = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for row, length in zip(attention_mask, lengths, strict=True):
        row[:length] = 1
    return {"input_values": torch.randn(len(lengths), max(lengths)) * attention_mask, "attention_mask": attention_mask}


def train_a_step(model: Data2VecAudioForPreTraining, learning_rate: float = 0.1) -> float:
    model.train()
    model(**make_batch()).loss.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=learning_rate).step()
    model.zero_grad()
    return model.update_teacher()


# the configuration


def test_defaults_are_the_published_base_model():
    config = Data2VecAudioPreTrainingConfig()
    assert (config.mask_prob, config.mask_length) == (0.65, 10)
    assert (config.average_top_k_layers, config.target_layer_norms, config.target_norms) == (8, ("instance",), ())
    assert (config.ema_decay, config.ema_end_decay, config.ema_anneal_end_step) == (0.999, 0.9999, 30_000)
    assert (config.teacher_scope, config.loss_beta, config.loss_scale) == ("layers", 0.0, None)
    assert (config.layerdrop, config.activation_dropout) == (0.05, 0.0)
    assert config.num_frames(16_000) == 49
    assert (config.receptive_field, config.num_frames(400), config.num_frames(399)) == (400, 1, 0)


def test_a_saved_configuration_is_transformers_own_with_further_fields(tmp_path: Path):
    data2vec_audio_config("tiny", ema_decay=0.5, target_norms=["layer"]).save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert type(config) is Data2VecAudioConfig
    assert (config.ema_decay, config.target_norms) == (0.5, ["layer"])
    assert Data2VecAudioPreTrainingConfig.from_pretrained(tmp_path).ema_decay == 0.5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"average_top_k_layers": 3},
            "`average_top_k_layers` must be between 1 and `num_hidden_layers` = 2, but is 3",
        ),
        ({"mask_prob": 0.0}, "`mask_prob` must be above 0 and at most 1, but is 0.0"),
        ({"mask_length": 0}, "`mask_length` must be at least 1, but is 0"),
        ({"teacher_scope": "encoder"}, "`teacher_scope` must be one of .*'layers'.*, but is 'encoder'"),
        ({"target_norms": ("group",)}, "must be among .*, but 'group' was given"),
        ({"add_adapter": True}, "`add_adapter` must be false"),
        ({"conv_stride": (2,)}, "convolutional layers is incorrect"),
    ],
)
def test_bad_configuration(overrides: dict, message: str):
    with pytest.raises(StrictDataclassError, match=message):
        data2vec_audio_config("tiny", **overrides)


def test_transformers_configuration_gets_the_defaults_and_keeps_its_own():
    stock = Data2VecAudioConfig(num_hidden_layers=2, hidden_size=32, num_attention_heads=4, layerdrop=0.25)
    with torch.device("meta"):
        model = AutoModelForPreTraining.from_config(stock)
    assert type(model) is Data2VecAudioForPreTraining
    assert type(model.config) is Data2VecAudioPreTrainingConfig
    assert (model.config.layerdrop, model.config.hidden_size, model.config.mask_prob) == (0.25, 32, 0.65)
    assert model.config.average_top_k_layers == 2  # all, for there are no eight
    assert type(stock) is Data2VecAudioConfig
    assert "mask_prob" not in stock.to_dict()


def test_a_bad_field_in_transformers_configuration_is_found():
    with pytest.raises(StrictDataclassError, match="teacher_scope"):
        Data2VecAudioForPreTraining(Data2VecAudioConfig(num_hidden_layers=1, teacher_scope="all"))


# the teacher


@pytest.mark.parametrize("scope", SCOPES)
def test_teacher_is_a_frozen_copy_of_its_scope(scope: str):
    model = make_model(teacher_scope=scope).train()
    student = model.data2vec_audio.state_dict()
    teacher = {name: tensor for name, tensor in model.teacher.state_dict().items() if name != "num_updates"}
    stages = {name.partition(".")[0] for name in teacher}
    assert stages == ({"feature_extractor", "feature_projection", "encoder"} if scope == "model" else {"encoder"})
    assert set(teacher) == {name for name in student if name.partition(".")[0] in stages}
    assert all(torch.equal(tensor, student[name]) for name, tensor in teacher.items())
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())
    assert not any(module.training for module in model.teacher.modules())


@pytest.mark.parametrize("scope", SCOPES)
def test_update_averages_and_with_layers_alone_copies_the_positions(scope: str):
    model = make_model(teacher_scope=scope, ema_decay=0.75, ema_end_decay=0.75)
    before = {name: tensor.clone() for name, tensor in model.teacher.state_dict().items()}
    assert train_a_step(model) == 0.75
    student = model.data2vec_audio.state_dict()
    for name, tensor in model.teacher.state_dict().items():
        if name == "num_updates":
            assert tensor == 1
        elif scope == "layers" and "pos_conv_embed" in name:
            assert torch.equal(tensor, student[name])
            assert not torch.equal(tensor, before[name])
        else:
            torch.testing.assert_close(tensor, 0.75 * before[name] + 0.25 * student[name])


def test_a_frozen_teacher_keeps_its_positions_too():
    model = make_model(ema_decay=1.0, ema_end_decay=1.0)
    before = {name: tensor.clone() for name, tensor in model.teacher.encoder.state_dict().items()}
    assert train_a_step(model) == 1.0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.teacher.encoder.state_dict().items())


def test_a_teacher_that_is_left_behind_is_an_error():
    model = make_model().train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with pytest.raises(RuntimeError, match="update_teacher"):  # noqa: PT012
        for _ in range(6):
            model(**make_batch()).loss.backward()
            optimizer.step()


# the objective


@pytest.mark.parametrize("scope", SCOPES)
def test_targets_are_what_the_teacher_makes_of_the_unmasked_input(scope: str):
    """Written out with forward hooks on transformers' own encoder."""
    model = make_model(teacher_scope=scope, hidden_dropout=0.1, average_top_k_layers=1, target_norms=("layer",))
    train_a_step(model)  # so that teacher and student differ
    model.eval()
    batch = make_batch((8000, 8000))
    encoder = Data2VecAudioModel(model.config).eval()
    encoder.load_state_dict(model.data2vec_audio.state_dict() | _without_counter(model))
    outputs: list[torch.Tensor] = []
    encoder.encoder.layers[-1].feed_forward.register_forward_hook(lambda *args: outputs.append(args[2]))
    with torch.no_grad():
        encoder(batch["input_values"])
        expected = F.layer_norm(F.instance_norm(outputs[0].transpose(1, 2)).transpose(1, 2), outputs[0].shape[-1:])
        torch.testing.assert_close(model(batch["input_values"]).targets, expected, rtol=1e-4, atol=1e-4)


def _without_counter(model: Data2VecAudioForPreTraining) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in model.teacher.state_dict().items() if name != "num_updates"}


def test_feed_forward_outputs_are_those_of_transformers_layers_on_a_padded_batch():
    model = make_model().eval()
    stock = Data2VecAudioModel(model.config).eval()
    stock.load_state_dict(model.data2vec_audio.state_dict())
    expected: list[torch.Tensor] = []
    for layer in stock.encoder.layers:
        layer.feed_forward.register_forward_hook(lambda *args: expected.append(args[2]))
    frame_mask = torch.arange(24) < torch.tensor([[24], [11]])
    features = torch.randn(2, 24, model.config.hidden_size)
    outputs: list[torch.Tensor] = []
    with torch.no_grad():
        stock.encoder(features.clone(), attention_mask=frame_mask)
        model.data2vec_audio.encoder(features, frame_mask, outputs)
    assert len(outputs) == len(expected) == 2
    for ours, theirs in zip(outputs, expected, strict=True):
        torch.testing.assert_close(ours[frame_mask], theirs[frame_mask])


def test_a_new_encoder_begins_as_transformers_does():
    """Means and deviations; biases of convolutional positions are zero."""
    model = make_model()
    torch.manual_seed(3)
    stock = Data2VecAudioModel(model.config)
    ours = dict(model.data2vec_audio.named_parameters())
    for name, weight in stock.named_parameters():
        same = {"rel": 0.2, "abs": 0.03}
        assert ours[name].mean().item() == pytest.approx(weight.mean().item(), **same), name
        if weight.numel() > 1:
            assert ours[name].std().item() == pytest.approx(weight.std().item(), **same), name
    assert not any(layer.conv.bias.any() for layer in model.data2vec_audio.encoder.pos_conv_embed.layers)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpointed_layers_over_frozen_ones_are_trained(use_reentrant: bool):
    gradients = []
    for checkpoints in (False, True):
        model = make_model().train()
        model.requires_grad_(False)
        model.data2vec_audio.encoder.layers.requires_grad_(True)
        if checkpoints:
            enable_activation_checkpointing(model, use_reentrant=use_reentrant)
        torch.manual_seed(2)
        model(**make_batch()).loss.backward()
        weight = model.data2vec_audio.encoder.layers[0].attention.q_proj.weight
        assert weight.grad is not None
        gradients.append(weight.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_faster_layers_compute_what_those_of_transformers_compute(dtype: torch.dtype):
    """With a padded clip and gradients; in bfloat16 within its precision."""
    model = make_model(layerdrop=0.0)
    stock = Data2VecAudioModel(model.config)
    stock.load_state_dict(model.data2vec_audio.state_dict())
    frame_mask = torch.arange(24) < torch.tensor([[24], [11]])
    features = torch.randn(2, 24, model.config.hidden_size)
    outputs = []
    with patch.object(encoder_module, "attend", wraps=encoder_module.attend) as attend:
        for encoder in (stock.encoder, model.data2vec_audio.encoder):
            inputs = features.clone().requires_grad_()
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                hidden_states = encoder(1.0 * inputs, attention_mask=frame_mask).last_hidden_state[frame_mask]
            hidden_states.float().square().sum().backward()
            outputs.append((hidden_states.float(), inputs.grad))
    assert attend.call_count == model.config.num_hidden_layers
    tolerance = {"atol": 1e-4, "rtol": 1e-4} if dtype == torch.float32 else {"atol": 0.1, "rtol": 0.1}
    for theirs, ours in zip(*outputs, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance)


def test_student_sees_the_mask_embedding_and_nothing_of_hidden_frames():
    """Where all is hidden, what was said does not matter."""
    model = make_model().eval()
    frames = model.config.num_frames(8000)
    everything = torch.ones(2, frames, dtype=torch.bool)
    one, other = make_batch((8000, 8000))["input_values"], torch.randn(2, 8000)
    predictions = [model(values, mask_time_indices=everything).predictions for values in (one, other)]
    torch.testing.assert_close(*predictions)
    assert not torch.equal(predictions[0], model(one, mask_time_indices=everything ^ True).predictions)
    with torch.no_grad():
        model.data2vec_audio.masked_spec_embed.add_(1)
    assert not torch.equal(predictions[0], model(one, mask_time_indices=everything).predictions)


def test_masks_do_not_depend_on_spec_augment():
    model = make_model(apply_spec_augment=False).eval()
    mask = draw_masks(model.config, [31, 19], 31, generators(2))
    outputs = model(**make_batch(), mask_time_indices=mask)
    assert not torch.equal(outputs.loss, make_model().eval()(**make_batch(), mask_time_indices=mask ^ mask).loss)
    mask_embedding = model.data2vec_audio.masked_spec_embed
    outputs.loss.backward()
    assert mask_embedding.grad.abs().sum() > 0


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


@pytest.mark.parametrize("overrides", [{}, {"loss_beta": 0.5}, {"loss_scale": 2.0}])
def test_loss_over_masked_frames_only(overrides: dict):
    model = make_model(**overrides).eval()
    outputs = model(**make_batch())
    predictions, targets = outputs.predictions, outputs.targets[outputs.mask_time_indices]
    assert len(predictions) == int(outputs.mask_time_indices.sum())
    if "loss_beta" in overrides:
        expected = F.smooth_l1_loss(predictions, targets, beta=0.5, reduction="none")
    else:
        expected = F.mse_loss(predictions, targets, reduction="none")
    expected = expected.sum(-1).mean() * overrides.get("loss_scale", 32**-0.5)
    torch.testing.assert_close(outputs.loss, expected)


def test_labels_choose_what_is_predicted_and_the_global_count_divides():
    model, batch = make_model().eval(), make_batch()
    masks = model(**batch).mask_time_indices
    labels = torch.where(masks, 0, -100)
    labels[0] = -100
    outputs = model(**batch, mask_time_indices=masks, labels=labels, num_items_in_batch=1000)
    assert len(outputs.predictions) == int(masks[1].sum())
    mean = model(**batch, mask_time_indices=masks, labels=labels).loss
    torch.testing.assert_close(outputs.loss * 1000, mean * len(outputs.predictions))


def test_padding_changes_neither_targets_nor_masks():
    model = make_model(num_conv_pos_embeddings=1).eval()  # further ones let padding in, in transformers' encoder
    alone = make_batch((5000,))
    padded = {name: torch.cat([F.pad(tensor, (0, 3000)), torch.ones(1, 8000)]) for name, tensor in alone.items()}
    frames = model.config.num_frames(5000)
    targets = [model(**batch).targets[0, :frames] for batch in (alone, padded)]
    torch.testing.assert_close(*targets, rtol=1e-4, atol=1e-4)
    for _ in range(5):
        assert not model(**padded).mask_time_indices[0, frames:].any()


def test_norms_over_padding_as_in_the_original_if_asked_for():
    batch = make_batch()
    targets = [make_model(norm_targets_over_padding=over).eval()(**batch).targets for over in (False, True)]
    torch.testing.assert_close(targets[0][0], targets[1][0])
    assert not torch.allclose(targets[0][1], targets[1][1])


def test_same_masks_as_in_the_original_if_asked_for():
    config = data2vec_audio_config("tiny", require_same_masks=True)
    masks = draw_masks(config, [60, 40, 25], 60, generators(3))
    assert len(set(masks.sum(-1).tolist())) == 1


def test_masked_share_as_published():
    """.65 spans of 10 per 10 frames overlap: about 49 % are masked (data2vec, section 4.2)."""
    config = Data2VecAudioPreTrainingConfig()
    masks = draw_masks(config, [500] * 50, 500, generators(50))
    assert masks.float().mean().item() == pytest.approx(0.49, abs=0.02)


def test_every_weight_of_the_student_is_trained():
    model = make_model(teacher_scope="model").train()
    model(**make_batch()).loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == name.startswith("teacher."), name


def test_loss_falls():
    """With a fixed teacher, so that it is a plain regression."""
    model = make_model(ema_decay=1.0, ema_end_decay=1.0, initializer_range=0.2).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    batch, mask = make_batch((8000, 8000)), draw_masks(model.config, [31, 31], 31, generators(2))
    losses = []
    for _ in range(30):
        losses.append(model(**batch, mask_time_indices=mask).loss)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
        model.update_teacher()
    assert losses[-1] < 0.7 * losses[0]


def test_activation_checkpointing_gives_the_same_gradients():
    gradients = []
    for checkpoints in (False, True):
        model = make_model().train()
        if checkpoints:
            enable_activation_checkpointing(model)
        masks = draw_masks(model.config, [31, 19], 31, generators(2))
        model(**make_batch(), mask_time_indices=masks).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])


# bad input


def test_bad_input():
    model = make_model()
    with pytest.raises(ValueError, match=r"mono waveforms .* but have shape \(2, 1, 8000\)"):
        model(torch.zeros(2, 1, 8000))
    with pytest.raises(ValueError, match="shorter than the receptive field"):
        model(torch.zeros(2, 200))
    with pytest.raises(ValueError, match=r"`attention_mask` must have the shape of `input_values`, \(2, 8000\)"):
        model(torch.zeros(2, 8000), attention_mask=torch.ones(2, 31))
    with pytest.raises(ValueError, match=r"\(2, 31\), but has \(2, 1, 31\)"):
        model(torch.zeros(2, 8000), mask_time_indices=torch.ones(2, 1, 31))
    with pytest.raises(ValueError, match=r"`labels` must have the shape of `mask_time_indices`, \(2, 31\)"):
        model(torch.zeros(2, 8000), mask_time_indices=torch.ones(2, 31).bool(), labels=torch.zeros(2, 30))
    with pytest.raises(ValueError, match="`mask_time_indices` marks 12 padded frames"):
        model(**make_batch(), mask_time_indices=torch.ones(2, 31).bool())
    with pytest.raises(ValueError, match="`labels` marks 12 padded frames"):
        model(**make_batch(), labels=torch.zeros(2, 31).long())


# folders


@pytest.mark.parametrize("scope", SCOPES)
def test_a_folder_comes_back_whole_through_the_auto_class(scope: str, tmp_path: Path):
    model = make_model(teacher_scope=scope, mask_time_prob=0.0)  # transformers' model has no mask embedding then
    train_a_step(model)
    model.save_pretrained(tmp_path)
    opened, report = AutoModelForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert type(opened) is Data2VecAudioForPreTraining
    assert opened.config.to_dict() == model.config.to_dict() | {"_name_or_path": str(tmp_path), "dtype": "float32"}
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert all(torch.equal(tensor, opened.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in opened.teacher.parameters())
    assert not any(module.training for module in opened.train().teacher.modules())


def test_continues_from_a_folder_of_transformers(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    stock = Data2VecAudioForCTC(data2vec_audio_config("tiny"))
    with torch.no_grad():
        for parameter in stock.parameters():
            parameter.add_(0.01)
    stock.save_pretrained(tmp_path)
    for auto_class in (AutoModelForPreTraining, Data2VecAudioForPreTraining):
        model = auto_class.from_pretrained(tmp_path)
        assert "The checkpoint has no teacher" in caplog.text
        student = model.data2vec_audio.state_dict()
        assert all(torch.equal(tensor, student[name]) for name, tensor in stock.data2vec_audio.state_dict().items())
        assert all(torch.equal(tensor, student[name]) for name, tensor in _without_counter(model).items())
        assert not any(parameter.requires_grad for parameter in model.teacher.parameters())
        train_a_step(model)


def test_half_precision_student_beside_a_float32_teacher(tmp_path: Path):
    make_model(teacher_scope="model").save_pretrained(tmp_path)
    model = AutoModelForPreTraining.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.teacher.parameters()} == {torch.float32}
    outputs = model(**make_batch())
    assert outputs.targets.dtype == torch.float32
    assert outputs.predictions.dtype == torch.bfloat16
    assert outputs.loss.isfinite()


def test_attention_that_is_asked_for_arrives(tmp_path: Path):
    make_model().save_pretrained(tmp_path)
    for implementation in ("eager", "sdpa"):
        model = AutoModelForPreTraining.from_pretrained(tmp_path, attn_implementation=implementation)
        assert model.config._attn_implementation == implementation
        assert model.data2vec_audio.encoder.config._attn_implementation == implementation
        assert model.teacher.encoder.config._attn_implementation == implementation


def test_fine_tuned_and_opened_by_transformers_with_the_package_installed(tmp_path: Path):
    model = make_model(vocab_size=7)
    model.save_pretrained(tmp_path)
    recogniser, report = AutoModelForCTC.from_pretrained(tmp_path, output_loading_info=True)
    assert type(recogniser) is Data2VecAudioForCTC
    assert set(report["missing_keys"]) == {"lm_head.weight", "lm_head.bias"}
    student = model.data2vec_audio.state_dict()
    assert all(torch.equal(tensor, student[name]) for name, tensor in recogniser.data2vec_audio.state_dict().items())
