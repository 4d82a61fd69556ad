# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec pre-training on images: the rules of the teacher, the objective, and folders that transformers opens."""

from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch.nn import functional as F
from transformers import (
    AutoModelForImageClassification,
    AutoModelForPreTraining,
    Data2VecVisionConfig,
    Data2VecVisionForImageClassification,
    Data2VecVisionModel,
)
from ways_of_training import WAYS, assert_same_gradients

from hf_ssl import Data2VecVisionForPreTraining, Data2VecVisionPreTrainingConfig
from hf_ssl.models.masking import draw_rectangle_mask

ENCODER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 24,
    "patch_size": 4,
    "layer_norm_eps": 1e-6,
    "out_indices": (0, 0, 1, 1),
    "layer_scale_init_value": 0.5,
    "drop_path_rate": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.2,
}
OBJECTIVE = {
    "num_mask_patches": 20,
    "min_mask_patches_per_block": 2,
    "max_mask_patches_per_block": 12,
    "average_top_k_layers": 2,
    "ema_decay": 0.75,
    "ema_end_decay": 0.75,
}


def make_model(**overrides) -> Data2VecVisionForPreTraining:
    torch.manual_seed(0)
    return Data2VecVisionForPreTraining(Data2VecVisionPreTrainingConfig(**(ENCODER | OBJECTIVE | overrides)))


def make_images() -> torch.Tensor:
    return torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))


def make_masks() -> torch.Tensor:
    return torch.stack([torch.arange(36) % 3 != row for row in range(2)])


def train_a_step(model: Data2VecVisionForPreTraining) -> float:
    model.train()
    model(make_images()).loss.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    model.zero_grad()
    return model.update_teacher()


def test_defaults_are_the_original_command():
    config = Data2VecVisionPreTrainingConfig()
    masks = (config.num_mask_patches, config.min_mask_patches_per_block, config.max_mask_patches_per_block)
    assert masks == (120, 16, 196)
    assert (config.average_top_k_layers, config.target_layer_norms, config.target_norms) == (6, ("layer",), ("layer",))
    assert (config.ema_decay, config.ema_end_decay, config.loss_beta) == (0.9998, 0.9998, 2.0)
    assert (config.drop_path_rate, config.attention_probs_dropout_prob, config.layer_scale_init_value) == (
        0.25,
        0.05,
        1e-4,
    )
    assert (config.grid_size, config.num_patches, config.teacher_scope) == ((14, 14), 196, "model")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"average_top_k_layers": 3}, "average_top_k_layers"),
        ({"teacher_scope": "layers"}, "teacher_scope"),
        ({"num_mask_patches": 36}, "between 1 and the number of patches less 1, 35, but is 36"),
        ({"min_mask_patches_per_block": 13}, "they are 13 and 12"),
        ({"use_mask_token": False}, "use_mask_token"),
    ],
)
def test_bad_configuration(overrides: dict, message: str):
    with pytest.raises(StrictDataclassError, match=message):
        Data2VecVisionPreTrainingConfig(**(ENCODER | OBJECTIVE | overrides))


@pytest.mark.parametrize("scope", ["transformer", "model"])
def test_teacher_averages_its_scope(scope: str):
    model = make_model(teacher_scope=scope)
    before = {name: tensor.clone() for name, tensor in model.teacher.state_dict().items()}
    stages = {name.partition(".")[0] for name in before} - {"num_updates"}
    assert stages == ({"encoder"} if scope == "transformer" else {"embeddings", "encoder"})
    student = model.data2vec_vision.state_dict()
    assert all(torch.equal(before[name], student[name]) for name in before if name != "num_updates")
    assert train_a_step(model) == 0.75
    student = model.data2vec_vision.state_dict()
    for name, parameter in model.teacher.named_parameters():
        torch.testing.assert_close(parameter.data, 0.75 * before[name] + 0.25 * student[name])
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())
    assert not any(module.training for module in model.train().teacher.modules())


def test_targets_are_outputs_of_the_teachers_layers_over_the_whole_image():
    model, images = make_model(), make_images()
    train_a_step(model)
    model.eval()
    encoder = Data2VecVisionModel(model.config).eval()
    teacher = model.teacher.state_dict()
    encoder.load_state_dict({name: teacher[name] for name in encoder.state_dict()})
    with torch.no_grad():
        layers = encoder(images, output_hidden_states=True).hidden_states[1:]
        expected = F.layer_norm(sum(F.layer_norm(layer[:, 1:], (16,)) for layer in layers) / 2, (16,))
        torch.testing.assert_close(model(images).targets, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("loss_scale", [None, 3.0])
def test_loss_over_masked_patches_only(loss_scale: float | None):
    """A mean over dimensions too, as in the original, unless a scale is given."""
    model, masks = make_model(loss_scale=loss_scale).eval(), make_masks()
    outputs = model(make_images(), bool_masked_pos=masks)
    assert len(outputs.predictions) == int(masks.sum())
    reduction = F.smooth_l1_loss(outputs.predictions, outputs.targets[masks], beta=2.0)
    torch.testing.assert_close(outputs.loss, reduction * (1 if loss_scale is None else loss_scale * 16))
    labels = torch.where(masks, 0, -100)
    labels[0] = -100
    some = model(make_images(), bool_masked_pos=masks, labels=labels, num_items_in_batch=1)
    assert len(some.predictions) == int(masks[1].sum())


def test_hidden_patches_are_hidden():
    model, masks, images = make_model().eval(), make_masks(), make_images()
    patches = F.interpolate(masks.view(2, 1, 6, 6).float(), scale_factor=4).bool()
    changed = torch.where(patches, torch.randn(2, 3, 24, 24), images)
    predictions = [model(values, bool_masked_pos=masks).predictions for values in (images, changed)]
    torch.testing.assert_close(*predictions)
    assert not torch.allclose(predictions[0], model(images, bool_masked_pos=masks ^ masks[[1, 0]]).predictions[:1])


def test_loss_falls():
    model = make_model(ema_decay=1.0, ema_end_decay=1.0).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(30):
        losses.append(model(make_images(), bool_masked_pos=make_masks()).loss)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
        model.update_teacher()
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("way", WAYS)
def test_ways_of_training_give_the_same_gradients(way: str):
    assert_same_gradients(way, make_model, lambda: {"pixel_values": make_images(), "bool_masked_pos": make_masks()})


def test_rectangle_masks():
    generator = np.random.default_rng(0)
    masks = [
        draw_rectangle_mask((14, 14), 120, min_patches=16, max_patches=196, generator=generator) for _ in range(50)
    ]
    counts = torch.stack(masks).flatten(1).sum(-1)
    assert counts.max() <= 120
    assert counts.float().mean() > 110  # nearly always all of them
    neighbours = torch.stack([(mask[:, 1:] == mask[:, :-1]).float().mean() for mask in masks]).mean()
    assert neighbours > 0.75  # blocks, not single patches
    again = draw_rectangle_mask((14, 14), 120, min_patches=16, max_patches=196, generator=np.random.default_rng(0))
    assert torch.equal(again, masks[0])
    with pytest.raises(ValueError, match="does not fit"):
        draw_rectangle_mask((2, 2), 4, min_patches=1, max_patches=2)


def test_bad_input():
    with pytest.raises(ValueError, match=r"= \(2, 36\), but has \(2, 6, 6\)"):
        make_model()(make_images(), bool_masked_pos=make_masks().view(2, 6, 6))
    with pytest.raises(ValueError, match=r"the shape of `bool_masked_pos`, \(2, 36\), but have \(2, 35\)"):
        make_model()(make_images(), bool_masked_pos=make_masks(), labels=torch.zeros(2, 35))


def test_a_folder_comes_back_whole_and_opens_in_transformers_own_classes(tmp_path: Path):
    model = make_model()
    train_a_step(model)
    model.save_pretrained(tmp_path)
    opened = AutoModelForPreTraining.from_pretrained(tmp_path)
    assert type(opened) is Data2VecVisionForPreTraining
    assert opened.config.num_mask_patches == 20
    assert all(torch.equal(tensor, opened.state_dict()[name]) for name, tensor in model.state_dict().items())
    classifier, report = AutoModelForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert type(classifier) is Data2VecVisionForImageClassification
    assert not [key for key in report["missing_keys"] if "encoder" in key or "embeddings" in key]
    student = model.data2vec_vision.state_dict()
    for name, tensor in classifier.data2vec_vision.state_dict().items():
        assert name.startswith("pooler.") or torch.equal(tensor, student[name]), name


def test_continues_from_a_folder_of_transformers(tmp_path: Path):
    stock = Data2VecVisionForImageClassification(Data2VecVisionConfig(**(ENCODER | {"image_size": 56})))
    stock.save_pretrained(tmp_path)
    model = AutoModelForPreTraining.from_pretrained(tmp_path)
    student = model.data2vec_vision.state_dict()
    assert model.config.average_top_k_layers == 2
    for name, tensor in stock.data2vec_vision.state_dict().items():
        assert name.startswith("pooler.") or torch.equal(tensor, student[name]), name
    teacher = model.teacher.state_dict()
    assert all(torch.equal(teacher[name], student[name]) for name in teacher if name != "num_updates")
