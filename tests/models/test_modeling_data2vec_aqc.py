# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Encoder, pre-training and heads of data2vec-aqc."""

import math
from pathlib import Path

import pytest
import torch
from transformers import Data2VecAudioConfig, Data2VecAudioModel, PreTrainedModel

from hf_ssl import (
    Data2VecAqcConfig,
    Data2VecAqcForCTC,
    Data2VecAqcForPreTraining,
    Data2VecAqcModel,
)
from hf_ssl.training.model_sizes import data2vec_aqc_config

NO_DROPOUT = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "layerdrop": 0.0, "initializer_range": 0.2}
NAN = math.nan
NUM_SAMPLES = 6000
NUM_FRAMES = data2vec_aqc_config("tiny").num_frames(NUM_SAMPLES)


def make(model_class: type[PreTrainedModel], **overrides) -> PreTrainedModel:
    torch.manual_seed(0)
    return model_class(data2vec_aqc_config("tiny", **(NO_DROPOUT | overrides))).eval()


def make_batch(batch_size: int = 2, num_samples: int = NUM_SAMPLES) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    attention_mask = torch.ones(batch_size, num_samples, dtype=torch.long)
    attention_mask[-1, num_samples * 2 // 3 :] = 0
    clean = torch.randn(batch_size, num_samples, generator=generator) * attention_mask
    noise = torch.randn(batch_size, num_samples, generator=generator) * attention_mask
    return {"input_values": clean, "augmented_values": clean + 0.3 * noise, "attention_mask": attention_mask}


def test_encoder_is_that_of_transformers(tmp_path: Path) -> None:
    model = make(Data2VecAqcModel, convolve_padding=True)
    theirs = Data2VecAudioModel(
        Data2VecAudioConfig(
            **{
                name: value
                for name, value in model.config.to_dict().items()
                if name in Data2VecAudioConfig().to_dict() and name not in ("model_type", "architectures", "dtype")
            }
            | {"mask_time_prob": 0.1}
        )
    ).eval()
    theirs.load_state_dict(model.state_dict())
    batch = make_batch()
    with torch.no_grad():
        for mask in (None, batch["attention_mask"]):
            expected = theirs(batch["input_values"], attention_mask=mask, output_hidden_states=True)
            found = model(batch["input_values"], attention_mask=mask, output_hidden_states=True)
            torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state)
            assert len(found.hidden_states) == model.config.num_hidden_layers + 1


def test_results_do_not_depend_on_padding() -> None:
    model = make(Data2VecAqcModel)
    waveform = torch.randn(1, 4000)
    with torch.no_grad():
        alone = model(waveform).last_hidden_state
        padded = torch.cat([waveform, torch.zeros(1, 3000)], dim=1)
        mask = (torch.arange(7000) < 4000).long().unsqueeze(0)
        together = model(padded, attention_mask=mask).last_hidden_state[:, : alone.shape[1]]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_loss_is_the_weighted_sum_of_its_parts() -> None:
    model = make(Data2VecAqcForPreTraining, student_contrastive_weight=0.25, features_penalty_weight=3.0)
    outputs = model(**make_batch())
    expected = (
        outputs.regression_loss
        + 0.25 * outputs.student_contrastive_loss
        + 0.5 * outputs.teacher_contrastive_loss
        + 0.1 * outputs.diversity_loss
        + 3.0 * outputs.features_penalty
    )
    torch.testing.assert_close(outputs.loss.detach(), expected)


def test_losses_of_two_batches_add_up_to_the_global_one() -> None:
    """With the number of predicted frames of both, as the trainer gives it under accumulation."""
    model = make(Data2VecAqcForPreTraining)
    batch = make_batch()
    mask = torch.zeros(2, model.config.num_frames(NUM_SAMPLES), dtype=torch.bool)
    mask[0, 2:8], mask[1, 3:5] = True, True
    parts = []
    for row in range(2):
        one = {name: tensor[row : row + 1] for name, tensor in batch.items()}
        parts.append(model(**one, mask_time_indices=mask[row : row + 1], num_items_in_batch=8))
        alone = model(**one, mask_time_indices=mask[row : row + 1])
        torch.testing.assert_close(parts[-1].regression_loss, alone.regression_loss)
        share = mask[row].sum() / 8
        expected = share * (alone.regression_loss + 10 * alone.features_penalty)
        others = parts[-1].student_contrastive_loss + parts[-1].teacher_contrastive_loss
        rest = share * (0.5 * others + 0.1 * parts[-1].diversity_loss)
        torch.testing.assert_close(parts[-1].loss.detach(), expected + rest)


def test_the_teacher_sees_the_clean_view_and_no_mask() -> None:
    model = make(Data2VecAqcForPreTraining)
    batch = make_batch()
    targets = model(**batch).targets
    assert torch.equal(model(**(batch | {"augmented_values": None})).targets, targets)
    assert torch.equal(model(**batch).targets, targets)  # another mask
    louder = batch | {"input_values": batch["input_values"].flip(1)}
    assert not torch.equal(model(**louder).targets, targets)


def test_the_student_sees_the_augmented_view() -> None:
    model = make(Data2VecAqcForPreTraining)
    mask = torch.zeros(2, model.config.num_frames(NUM_SAMPLES), dtype=torch.bool)
    mask[:, 4:8] = True
    batch = make_batch() | {"mask_time_indices": mask}
    before = model(**batch).predictions
    assert torch.equal(model(**(batch | {"input_values": batch["input_values"] * 2})).predictions, before)
    assert not torch.equal(model(**(batch | {"augmented_values": None})).predictions, before)


def test_without_augmentation_the_waveform_encoder_runs_once() -> None:
    model = make(Data2VecAqcForPreTraining)
    calls = []
    model.data2vec_aqc.feature_extractor.register_forward_hook(lambda *_: calls.append(1))
    model(**make_batch())
    assert len(calls) == 2
    model(**(make_batch() | {"augmented_values": None}))
    assert len(calls) == 3


def test_the_gradient_of_the_clean_view_alone_is_scaled() -> None:
    """The original multiplies the clean features' gradient, and with a factor of 0 trains with neither view."""

    def gradients(scale: float, view: int, **views: torch.Tensor | None) -> list[torch.Tensor]:
        model = make(Data2VecAqcForPreTraining, local_grad_scale=scale)
        batch = make_batch() | views
        model.local_features(batch["input_values"], batch["augmented_values"])[view].projected.sum().backward()
        return [parameter.grad for parameter in model.data2vec_aqc.feature_extractor.parameters()]

    clean, augmented = 0, 1
    for view, views, scale, factor in (
        (clean, {}, 0.5, 0.5),
        (augmented, {}, 0.5, 1.0),
        (augmented, {"augmented_values": None}, 0.5, 0.5),
        (clean, {}, 0.0, 0.0),
        (augmented, {}, 0.0, 0.0),
    ):
        pairs = zip(gradients(scale, view, **views), gradients(1.0, view, **views), strict=True)
        for scaled, full in pairs:
            assert full.any()
            torch.testing.assert_close(scaled, factor * full)


def test_fine_tuning_scales_the_gradient_of_its_only_view() -> None:
    def gradients(scale: float) -> list[torch.Tensor]:
        model = make(Data2VecAqcModel, local_grad_scale=scale)
        model(make_batch()["input_values"]).last_hidden_state.square().sum().backward()
        return [parameter.grad for parameter in model.feature_extractor.parameters()]

    for scaled, full in zip(gradients(0.5), gradients(1.0), strict=True):
        torch.testing.assert_close(scaled, 0.5 * full)


def test_evaluation_draws_the_same_negatives_each_time_and_training_does_not() -> None:
    model = make(Data2VecAqcForPreTraining)
    mask = torch.zeros(2, model.config.num_frames(NUM_SAMPLES), dtype=torch.bool)
    mask[:, 2:12] = True
    batch = make_batch() | {"mask_time_indices": mask}
    first = model(**batch)
    assert torch.equal(model(**batch).student_logits, first.student_logits)
    assert torch.equal(model(**batch).loss, first.loss)
    model.train()
    assert not torch.equal(model(**batch).student_logits, model(**batch).student_logits)


def test_masks_lie_within_real_frames_and_differ_from_utterance_to_utterance() -> None:
    model = make(Data2VecAqcForPreTraining)
    outputs = model(**make_batch())
    assert not (outputs.mask_time_indices & ~outputs.frame_mask).any()
    assert outputs.mask_time_indices.any(dim=-1).all()
    assert outputs.slot_mask.sum() == outputs.prediction_mask.sum() == len(outputs.predictions)


@pytest.mark.parametrize("scope", ["layers", "transformer", "model"])
def test_teacher_follows_within_its_scope(scope: str) -> None:
    model = make(Data2VecAqcForPreTraining, teacher_scope=scope, ema_decay=0.5, ema_end_decay=0.5)
    before = {name: tensor.clone() for name, tensor in model.teacher.state_dict().items()}
    with torch.no_grad():
        for parameter in model.data2vec_aqc.parameters():
            parameter.add_(1.0)
    model.update_teacher()
    for name, tensor in model.teacher.state_dict().items():
        if name == "num_updates":
            assert tensor == 1
            continue
        is_copied = scope == "layers" and "pos_conv_embed" in name
        torch.testing.assert_close(tensor, before[name] + (1.0 if is_copied else 0.5))
    assert any(name.startswith("feature_extractor") for name in before) == (scope == "model")


def test_fine_tuned_folder_has_nothing_of_pre_training(tmp_path: Path) -> None:
    model = make(Data2VecAqcForPreTraining)
    model.save_pretrained(tmp_path)
    recogniser, report = Data2VecAqcForCTC.from_pretrained(tmp_path, output_loading_info=True)
    assert set(report["missing_keys"]) == {"lm_head.weight", "lm_head.bias"}
    assert not report["unexpected_keys"]
    assert {name.partition(".")[0] for name in recogniser.state_dict()} == {"data2vec_aqc", "lm_head"}
    batch = make_batch()
    expected = model.data2vec_aqc(batch["input_values"]).last_hidden_state
    assert torch.equal(recogniser.eval().data2vec_aqc(batch["input_values"]).last_hidden_state, expected)


def test_pre_training_learns() -> None:
    model = make(Data2VecAqcForPreTraining).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    batch, losses = make_batch(4), []
    for _ in range(25):
        outputs = model(**batch)
        optimizer.zero_grad()
        outputs.loss.backward()
        optimizer.step()
        model.update_teacher()
        losses.append(outputs.loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_student_in_bfloat16_keeps_its_teacher_precise() -> None:
    model = make(Data2VecAqcForPreTraining).bfloat16()
    outputs = model(**make_batch())
    assert torch.isfinite(outputs.loss)
    assert {parameter.dtype for parameter in model.teacher.parameters()} == {torch.float32}


def test_initialisation_is_the_originals() -> None:
    model = make(Data2VecAqcForPreTraining, initializer_range=0.02)
    contrast = model.contrast
    assert contrast.quantizer.scores.weight.std().item() == pytest.approx(1.0, rel=0.2)
    assert contrast.quantizer.codevectors.min() >= 0
    assert contrast.quantizer.codevectors.max() > 0.9
    bound = model.config.hidden_size**-0.5
    for layer in (model.final_proj, contrast.anchor_projection):
        assert 0.8 * bound < layer.weight.abs().max() <= bound
    encoder = model.data2vec_aqc
    for layer in (encoder.feature_projection.projection, encoder.encoder.pos_conv_embed.layers[0].conv):
        bound = layer.weight[0].numel() ** -0.5
        assert 0.8 * bound < layer.weight.abs().max() <= bound
        assert layer.bias.any()
    attention = model.data2vec_aqc.encoder.layers[0].attention.q_proj
    assert attention.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert not attention.bias.any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"augmented_values": torch.zeros(2, 5000)}, "sample by sample"),
        ({"mask_time_indices": torch.zeros(2, 5, dtype=torch.bool)}, "must have shape"),
        ({"labels": torch.zeros(2, 5, dtype=torch.long)}, "must have the shape"),
        ({"mask_time_indices": torch.ones(2, NUM_FRAMES, dtype=torch.bool)}, "`mask_time_indices` marks 8 padded"),
        ({"labels": torch.zeros(2, NUM_FRAMES, dtype=torch.long)}, "`labels` marks 8 padded frames"),
    ],
)
def test_wrong_inputs_are_refused(wrong: dict, message: str) -> None:
    model = make(Data2VecAqcForPreTraining)
    with pytest.raises(ValueError, match=message):
        model(**(make_batch() | wrong))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cluster_scope": "clip"}, "cluster_scope"),
        ({"cluster_weighting": "add"}, "cluster_weighting"),
        ({"num_negatives": 0}, "not both 0"),
        ({"scale_factor": 0.0}, "scale_factor"),
        ({"contrastive_logits_temperature": 0.0}, "contrastive_logits_temperature"),
        ({"codevector_dim": 255}, "num_codevector_groups"),
        ({"gumbel_temperature": (0.5, 2.0, 0.9)}, "gumbel_temperature"),
        ({"quantizer_depth": 0}, "quantizer_depth"),
        ({"num_conv_pos_embedding_groups": 7}, "num_conv_pos_embedding_groups"),
        ({"num_conv_pos_embedding_groups": 0}, "`num_conv_pos_embedding_groups` must be at least 1, but is 0"),
        ({"num_codevector_groups": 0}, "`num_codevector_groups` must be at least 1, but is 0"),
        ({"num_codevectors_per_group": 0}, "`num_codevectors_per_group` must be at least 1, but is 0"),
        ({"proj_codevector_dim": 0}, "`proj_codevector_dim` must be at least 1, but is 0"),
        ({"codevector_dim": 0}, "`codevector_dim` must be at least 1, but is 0"),
        ({"contrastive_logits_temperature": NAN}, "`contrastive_logits_temperature` must be a finite number above 0"),
        ({"scale_factor": NAN}, "`scale_factor` must lie between"),
        ({"gumbel_temperature": (math.inf, 0.5, 0.9)}, "gumbel_temperature"),
        ({"gumbel_temperature": (2.0, NAN, 0.9)}, "gumbel_temperature"),
        ({"feat_quantizer_dropout": 1.5}, "`feat_quantizer_dropout` must lie between 0 and 1, but is 1.5"),
        ({"local_grad_scale": -1.0}, "`local_grad_scale` must be a finite number and not negative"),
        ({"student_contrastive_weight": -0.5}, "`student_contrastive_weight` must be a finite number and not neg"),
        ({"teacher_contrastive_weight": math.inf}, "`teacher_contrastive_weight` must be a finite number and not neg"),
        ({"diversity_loss_weight": NAN}, "`diversity_loss_weight` must be a finite number and not negative"),
        ({"features_penalty_weight": -10.0}, "`features_penalty_weight` must be a finite number and not negative"),
        ({"kmeans_tolerance": NAN}, "`kmeans_tolerance` must be a finite number and not negative"),
        ({"ema_decay": 2.0}, "`ema_decay` must lie between 0 and 1, but is 2.0"),
    ],
)
def test_wrong_configurations_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(Exception, match=message):
        Data2VecAqcConfig(**fields)
