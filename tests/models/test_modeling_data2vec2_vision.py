# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What data2vec 2.0 for images adds to the trunk: positions, extra tokens, masks, CLS loss, classifier, errors."""

import pytest
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from hf_ssl import (
    Data2Vec2VisionConfig,
    Data2Vec2VisionForImageClassification,
    Data2Vec2VisionForPreTraining,
    Data2Vec2VisionModel,
)
from hf_ssl.models.decoders import ConvDecoder2d
from hf_ssl.models.modeling_data2vec2_vision import image_classification_loss, sincos_positions
from hf_ssl.training.activation_checkpointing import enable_activation_checkpointing
from hf_ssl.training.model_sizes import data2vec2_vision_config

CLASSES = [Data2Vec2VisionModel, Data2Vec2VisionForPreTraining, Data2Vec2VisionForImageClassification]


def make(model_class: type[PreTrainedModel], attn_implementation: str = "sdpa", **overrides) -> PreTrainedModel:
    torch.manual_seed(0)
    config = data2vec2_vision_config("tiny", **({"initializer_range": 0.2, "num_labels": 3} | overrides))
    config._attn_implementation = attn_implementation
    return model_class(config).eval()


def images(batch_size: int = 2, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.randn(batch_size, 3, height, width, generator=torch.Generator().manual_seed(1))


def masks(model: PreTrainedModel, batch_size: int = 2) -> torch.Tensor:
    torch.manual_seed(2)
    return model.draw_masks(batch_size)


# positions


def test_positions_tell_columns_in_the_first_half_and_rows_in_the_second() -> None:
    positions = sincos_positions(16, 4)[0].view(4, 4, 16)
    assert torch.equal(positions[0, :, :8], positions[3, :, :8])  # equal columns
    assert torch.equal(positions[:, 0, 8:], positions[:, 3, 8:])  # equal rows
    assert torch.allclose(positions[0, 2, :4], torch.sin(torch.tensor([2.0, 0.2, 0.02, 0.002])))
    assert torch.allclose(positions[1, 0, 12:], torch.cos(torch.tensor([1.0, 0.1, 0.01, 0.001])))
    assert len(positions.flatten(0, 1).unique(dim=0)) == 16


def test_interpolated_positions_are_the_positions_at_the_configured_size() -> None:
    model = make(Data2Vec2VisionModel)
    with torch.no_grad():
        expected = model(images()).last_hidden_state
        actual = model(images(), interpolate_pos_encoding=True).last_hidden_state
    torch.testing.assert_close(actual, expected)


def test_other_sizes_with_interpolated_positions() -> None:
    model = make(Data2Vec2VisionForImageClassification)
    with torch.no_grad():
        outputs = model(images(2, 40, 24), interpolate_pos_encoding=True, output_hidden_states=True)
    assert outputs.logits.shape == (2, 3)
    assert [state.shape for state in outputs.hidden_states] == [(2, 1 + 5 * 3, 32)] * 4


# the encoder


def test_hidden_states_are_those_of_every_layer() -> None:
    model = make(Data2Vec2VisionModel)
    with torch.no_grad():
        outputs = model(images(), output_hidden_states=True, output_attentions=True)
    config = model.config
    assert len(outputs.hidden_states) == config.num_prenet_layers + config.num_hidden_layers + 1
    assert torch.equal(outputs.hidden_states[-1], outputs.last_hidden_state)
    assert outputs.last_hidden_state.shape == (2, config.num_extra_tokens + config.num_patches, config.hidden_size)


@pytest.mark.parametrize("num_extra_tokens", [0, 2])
def test_extra_tokens(num_extra_tokens: int) -> None:
    options = {"cls_loss_weight": 0.0} if num_extra_tokens == 0 else {}
    model = make(Data2Vec2VisionForPreTraining, num_extra_tokens=num_extra_tokens, **options)
    outputs = model(images(), bool_masked_pos=masks(model))
    assert outputs.targets.shape == (2, 16, 32)
    outputs.loss.backward()
    if num_extra_tokens:
        assert model.data2vec2_vision.context_encoder.extra_tokens.grad[0].abs().sum(-1).min() > 0


def test_extra_tokens_are_never_hidden_and_see_visible_patches_only() -> None:
    """Changing the pixels of a hidden patch changes nothing that the student makes."""
    model = make(Data2Vec2VisionForPreTraining)
    hidden = masks(model, 1)[:, :1]
    hidden[:, :, 0] = True
    pixels = images(1)
    changed = pixels.clone()
    changed[:, :, :8, :8] += 10  # the first patch
    encode = lambda pixel_values: model.encode_visible(model.base_model.local_encoder(pixel_values), None, hidden)  # noqa: E731
    with torch.no_grad():
        before, after = encode(pixels), encode(changed)
    assert torch.equal(before.extra_tokens, after.extra_tokens)
    assert torch.equal(before.hidden_states, after.hidden_states)


@pytest.mark.parametrize("attn_implementation", ["eager", "flex_attention"])
def test_attention_implementations_agree(attn_implementation: str) -> None:
    sdpa = make(Data2Vec2VisionForPreTraining)
    other = make(Data2Vec2VisionForPreTraining, attn_implementation)
    bool_masked_pos, noise = masks(sdpa), torch.zeros(2, 2, 16, 32)
    with torch.no_grad():
        expected = sdpa(images(), bool_masked_pos=bool_masked_pos, mask_noise=noise)
        actual = other(images(), bool_masked_pos=bool_masked_pos, mask_noise=noise)
    torch.testing.assert_close(actual.loss, expected.loss)
    torch.testing.assert_close(actual.predictions, expected.predictions, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_activation_checkpointing_changes_no_gradient(use_reentrant: bool) -> None:
    gradients = []
    for checkpointing in (False, True):
        model = make(Data2Vec2VisionForPreTraining)
        if checkpointing:
            enable_activation_checkpointing(model, use_reentrant=use_reentrant)
        model.train()
        model(images(), bool_masked_pos=masks(model), mask_noise=torch.zeros(2, 2, 16, 32)).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    assert all(gradient is not None for gradient in gradients[1].values())
    torch.testing.assert_close(gradients[1], gradients[0])


# pre-training


def test_masks_are_blocks_of_equal_counts() -> None:
    model = make(Data2Vec2VisionForPreTraining, image_size=112, patch_size=8, num_masks=6)
    drawn = masks(model, 3)
    assert drawn.shape == (3, 6, 196)
    assert set(drawn.sum(-1).flatten().tolist()) == {196 - int(196 * (1 - 0.8))}
    visible = ~drawn.view(-1, 1, 14, 14)
    neighbours = F.avg_pool2d(visible.float(), 3, stride=1, padding=1) * 9
    assert neighbours[visible].mean() > 4  # single patches at random would have 1 + 8 * .2 = 2.6


def test_loss_is_regression_and_cls_loss_by_hand() -> None:
    model = make(Data2Vec2VisionForPreTraining, cls_loss_weight=0.5)
    outputs = model(images(), bool_masked_pos=masks(model))
    mask = outputs.prediction_mask
    targets = outputs.targets.unsqueeze(1).expand(-1, 2, -1, -1)
    frames = (outputs.predictions - targets[mask]).square().sum(-1) / 32**0.5
    torch.testing.assert_close(outputs.regression_loss, frames.mean())
    encoded = model.encode_visible(model.base_model.local_encoder(images()), None, mask)
    image_targets = outputs.targets.mean(1).repeat_interleave(2, dim=0)
    copies = (encoded.extra_tokens[:, -1] - image_targets).square().sum(-1) / 32**0.5
    torch.testing.assert_close(outputs.cls_loss, 0.5 * copies.mean())
    torch.testing.assert_close(outputs.loss, outputs.regression_loss + outputs.cls_loss)


def test_the_originals_sum_grows_with_the_batch_and_the_mean_does_not() -> None:
    losses = {}
    for reduction in ("sum", "mean"):
        model = make(Data2Vec2VisionForPreTraining, cls_loss_reduction=reduction)
        losses[reduction] = []
        for copies in (1, 3):
            pixels, mask = images(1).repeat(copies, 1, 1, 1), masks(model, 1).repeat(copies, 1, 1)
            losses[reduction].append(model(pixels, bool_masked_pos=mask).cls_loss)
    torch.testing.assert_close(losses["sum"][1], 3 * losses["sum"][0])
    torch.testing.assert_close(losses["mean"][1], losses["mean"][0])


def test_losses_of_parts_add_up_to_that_of_the_batch() -> None:
    model = make(Data2Vec2VisionForPreTraining)
    pixels, mask, noise = images(4), masks(model, 4), torch.zeros(4, 2, 16, 32)
    whole = model(pixels, bool_masked_pos=mask, mask_noise=noise).loss
    parts = [
        model(
            pixels[part], bool_masked_pos=mask[part], mask_noise=noise[part], num_items_in_batch=int(mask.sum())
        ).loss
        for part in (slice(0, 1), slice(1, 4))
    ]
    # each image counts for the same in the CLS loss, because all masks have the same count
    torch.testing.assert_close(sum(parts), whole)


def test_the_teacher_has_a_patch_embedding_of_its_own() -> None:
    model = make(Data2Vec2VisionForPreTraining)
    mask = masks(model)
    before = model(images(), bool_masked_pos=mask).targets
    with torch.no_grad():
        model.data2vec2_vision.local_encoder.patch_embedding.weight.mul_(2)
    assert torch.equal(model(images(), bool_masked_pos=mask).targets, before)
    model.reset_teacher()
    assert not torch.allclose(model(images(), bool_masked_pos=mask).targets, before)


def test_an_even_kernel_keeps_the_grid() -> None:
    decoder = ConvDecoder2d(8, 8, num_layers=2, kernel_size=4, groups=2, grid_size=3)
    assert decoder.project(decoder(torch.randn(2, 9, 8))).shape == (2, 9, 8)


# classification


@pytest.mark.parametrize(("pooling", "num_extra_tokens"), [("mean", 1), ("cls", 2)])
def test_pooling(pooling: str, num_extra_tokens: int) -> None:
    model = make(Data2Vec2VisionForImageClassification, pooling=pooling, num_extra_tokens=num_extra_tokens)
    with torch.no_grad():
        hidden_states = model.base_model(images()).last_hidden_state
        pooled = hidden_states[:, 1] if pooling == "cls" else hidden_states[:, 1:].mean(1)
        expected = model.classifier(F.layer_norm(pooled, (32,), eps=1e-6))
        torch.testing.assert_close(model(images()).logits, expected)


def test_classification_losses() -> None:
    logits = torch.randn(4, 3)
    labels = torch.tensor([0, 2, 1, 1])
    one_hot = F.one_hot(labels, 3).float()
    expected = F.cross_entropy(logits, labels)
    torch.testing.assert_close(image_classification_loss(logits, labels), expected)
    torch.testing.assert_close(image_classification_loss(logits, one_hot, "single_label_classification"), expected)
    torch.testing.assert_close(
        image_classification_loss(logits, one_hot), F.binary_cross_entropy_with_logits(logits, one_hot)
    )
    # the Trainer counts the labels' elements
    torch.testing.assert_close(image_classification_loss(logits, labels, None, 8), expected / 2)
    torch.testing.assert_close(
        image_classification_loss(logits, one_hot, "single_label_classification", 24), expected / 2
    )


# errors


@pytest.mark.parametrize("model_class", CLASSES)
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 24, 32), r"Expected images of 32 x 32 pixels, got 24 x 32"),
        ((2, 1, 32, 32), r"must have shape \(batch_size, 3, height, width\)"),
        ((3, 32, 32), r"must have shape \(batch_size, 3, height, width\)"),
    ],
)
def test_wrong_images(model_class: type[PreTrainedModel], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(model_class)(torch.zeros(shape))


@pytest.mark.parametrize(("height", "width"), [(36, 32), (4, 8)])
def test_images_that_cannot_be_cut_into_patches(height: int, width: int) -> None:
    with pytest.raises(ValueError, match="must be multiples of 8"):
        make(Data2Vec2VisionModel)(images(1, height, width), interpolate_pos_encoding=True)


def test_wrong_masks_and_labels() -> None:
    model = make(Data2Vec2VisionForPreTraining)
    with pytest.raises(ValueError, match=r"\(2, any number, 16\), but has \(2, 2, 15\)"):
        model(images(), bool_masked_pos=torch.ones(2, 2, 15))
    with pytest.raises(ValueError, match="`labels` must have the shape of `bool_masked_pos`"):
        model(images(), bool_masked_pos=masks(model), labels=torch.zeros(2, 16))
    classifier = make(Data2Vec2VisionForImageClassification)
    for labels in (torch.zeros(2, 2), torch.zeros(3, dtype=torch.long), torch.zeros(2)):
        with pytest.raises(ValueError, match=r"Expected integer labels of shape \(2,\)"):
            classifier(images(), labels=labels)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"image_size": 30}, "`image_size` = 30 must be a multiple of `patch_size` = 8"),
        ({"hidden_size": 34, "num_attention_heads": 2}, "must be a multiple of 4"),
        ({"num_attention_heads": 5}, "`num_attention_heads` = 5"),
        ({"decoder_groups": 3}, "`decoder_groups` = 3 must divide"),
        ({"average_top_k_layers": 3}, "`average_top_k_layers` must be between 1 and"),
        ({"mask_prob": 1.0}, "`mask_prob` must lie strictly between 0 and 1"),
        ({"num_masks": 0}, "`num_masks` must be at least 1"),
        ({"num_extra_tokens": 0}, "leaves no CLS token"),
        ({"cls_loss_reduction": "median"}, "`cls_loss_reduction` must be one of"),
        ({"pooling": "max"}, "`pooling` must be one of"),
        ({"target_norms": ["group"]}, "Target normalisations must be among"),
    ],
)
def test_configurations_that_make_no_model(overrides: dict, message: str) -> None:
    with pytest.raises(Exception, match=message):
        Data2Vec2VisionConfig(**(data2vec2_vision_config("tiny").to_dict() | overrides))
