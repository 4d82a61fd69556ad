# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec pre-training on text: the rules of the teacher, the objective, and folders that transformers opens."""

from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch.nn import functional as F
from transformers import (
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    Data2VecTextConfig,
    Data2VecTextForMaskedLM,
    Data2VecTextForSequenceClassification,
    Data2VecTextModel,
)
from ways_of_training import WAYS, assert_same_gradients

from hf_ssl import Data2VecTextForPreTraining, Data2VecTextPreTrainingConfig

TINY = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.2,
}
MASK_TOKEN = 29


def make_model(**overrides) -> Data2VecTextForPreTraining:
    torch.manual_seed(0)
    options = TINY | {"average_top_k_layers": 2, "ema_decay": 0.75, "ema_end_decay": 0.75} | overrides
    return Data2VecTextForPreTraining(Data2VecTextPreTrainingConfig(**options))


def make_batch() -> dict[str, torch.Tensor]:
    """Two texts of 10 and 7 tokens, padded with token 1; every third token is masked."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(2, MASK_TOKEN, (2, 10), generator=generator)
    attention_mask = torch.ones_like(tokens)
    attention_mask[1, 7:] = 0
    tokens = torch.where(attention_mask.bool(), tokens, 1)
    masked = (torch.arange(10) % 3 == 1) & attention_mask.bool()
    return {
        "input_ids": tokens.masked_fill(masked, MASK_TOKEN),
        "attention_mask": attention_mask,
        "labels": torch.where(masked, tokens, -100),
    }


def train_a_step(model: Data2VecTextForPreTraining) -> float:
    model.train()
    model(**make_batch()).loss.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    model.zero_grad()
    return model.update_teacher()


def test_defaults_are_the_published_base_model():
    config = Data2VecTextPreTrainingConfig()
    assert (config.average_top_k_layers, config.target_layer_norms, config.regression_num_layers) == (
        10,
        ("layer",),
        2,
    )
    assert (config.loss_beta, config.loss_scale, config.teacher_scope) == (4.0, 1.0, "layers")
    assert (config.ema_decay, config.ema_end_decay, config.ema_anneal_end_step) == (0.999, 0.9999, 300_000)
    shapes = [
        tuple(layer.weight.shape) for layer in make_model().regression_head if isinstance(layer, torch.nn.Linear)
    ]
    assert shapes == [(32, 16), (16, 32)]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"average_top_k_layers": 3}, "average_top_k_layers"),
        ({"teacher_scope": "transformer"}, "teacher_scope"),
        ({"regression_num_layers": 0}, "regression_num_layers"),
        ({"is_decoder": True}, "is_decoder"),
    ],
)
def test_bad_configuration(overrides: dict, message: str):
    with pytest.raises(StrictDataclassError, match=message):
        Data2VecTextPreTrainingConfig(**(TINY | {"average_top_k_layers": 2} | overrides))


@pytest.mark.parametrize("scope", ["layers", "model"])
def test_teacher_averages_and_with_layers_alone_copies_the_embeddings(scope: str):
    model = make_model(teacher_scope=scope)
    before = {name: tensor.clone() for name, tensor in model.teacher.state_dict().items()}
    student = model.data2vec_text.state_dict()
    assert set(before) == set(student) | {"num_updates"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.items())
    assert train_a_step(model) == 0.75
    student = model.data2vec_text.state_dict()
    for name, tensor in model.teacher.state_dict().items():
        if name == "num_updates":
            assert tensor == 1
        elif scope == "layers" and name.startswith("embeddings."):
            assert torch.equal(tensor, student[name])
        else:
            torch.testing.assert_close(tensor, 0.75 * before[name] + 0.25 * student[name])
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())
    assert not any(module.training for module in model.train().teacher.modules())


def test_targets_are_what_the_teacher_makes_of_the_unmasked_text():
    """Written out with hooks on transformers' own encoder."""
    model, batch = make_model(), make_batch()
    train_a_step(model)
    model.eval()
    encoder = Data2VecTextModel(model.config, add_pooling_layer=False).eval()
    teacher = model.teacher.state_dict()
    encoder.load_state_dict({name: teacher[name] for name in encoder.state_dict()})
    outputs: list[torch.Tensor] = []
    for layer in encoder.encoder.layer:
        layer.output.dense.register_forward_hook(lambda *args: outputs.append(args[2]))
    masked = batch["labels"] != -100
    tokens = torch.where(masked, batch["labels"], batch["input_ids"])
    with torch.no_grad():
        encoder(tokens, attention_mask=batch["attention_mask"])
        expected = sum(F.layer_norm(output, (16,)) for output in outputs) / 2
        targets = model(**batch).targets
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(targets[real], expected[real], rtol=1e-4, atol=1e-4)


def test_loss_over_masked_tokens_only():
    model, batch = make_model().eval(), make_batch()
    outputs = model(**batch)
    masked = batch["labels"] != -100
    assert torch.equal(outputs.prediction_mask, masked)
    expected = F.smooth_l1_loss(outputs.predictions, outputs.targets[masked], beta=4.0, reduction="sum")
    torch.testing.assert_close(outputs.loss, expected / masked.sum())
    torch.testing.assert_close(model(**batch, num_items_in_batch=100).loss, expected / 100)


def test_loss_falls():
    model, batch = make_model(ema_decay=1.0, ema_end_decay=1.0).train(), make_batch()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(30):
        losses.append(model(**batch).loss)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
        model.update_teacher()
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("way", WAYS)
def test_ways_of_training_give_the_same_gradients(way: str):
    assert_same_gradients(way, make_model, make_batch)


@pytest.mark.parametrize("scope", ["layers", "model"])
def test_new_tokens_are_new_to_the_teacher_too(scope: str, tmp_path: Path):
    model, batch = make_model(teacher_scope=scope), make_batch()
    train_a_step(model)
    before = model.teacher.embeddings.word_embeddings.weight.clone()
    model.resize_token_embeddings(33)
    table, averages = model.data2vec_text.embeddings.word_embeddings, model.teacher.embeddings.word_embeddings
    assert torch.equal(averages.weight[:30], before)
    assert torch.equal(averages.weight[30:], table.weight[30:])
    assert not averages.weight.requires_grad
    batch["labels"] = batch["labels"].masked_fill(batch["labels"] != -100, 32)
    assert torch.isfinite(model(**batch).loss)
    train_a_step(model)
    model.save_pretrained(tmp_path)
    opened = Data2VecTextForPreTraining.from_pretrained(tmp_path)
    assert torch.equal(opened.teacher.embeddings.word_embeddings.weight, averages.weight)

    model.resize_token_embeddings(30)
    assert model.teacher.embeddings.word_embeddings.weight.shape == (30, 16)
    train_a_step(model)


def test_resizing_keeps_the_teachers_precision():
    model = make_model().to(torch.bfloat16)
    model.resize_token_embeddings(33)
    assert model.data2vec_text.embeddings.word_embeddings.weight.dtype == torch.bfloat16
    assert model.teacher.embeddings.word_embeddings.weight.dtype == torch.float32


def test_bad_input():
    batch = make_batch()
    with pytest.raises(ValueError, match="`labels` are needed"):
        make_model()(batch["input_ids"])
    with pytest.raises(ValueError, match=r"the shape of `input_ids`, \(2, 10\), but have \(2, 9\)"):
        make_model()(batch["input_ids"], labels=batch["labels"][:, 1:])
    batch["labels"][1, 6:9] = 2
    with pytest.raises(ValueError, match="`labels` marks 2 padded tokens"):
        make_model()(**batch)


def test_a_folder_comes_back_whole_and_opens_in_transformers_own_classes(tmp_path: Path):
    model = make_model()
    train_a_step(model)
    model.save_pretrained(tmp_path)
    opened = Data2VecTextForPreTraining.from_pretrained(tmp_path)
    assert type(opened.config) is Data2VecTextPreTrainingConfig
    assert opened.config.ema_decay == 0.75
    assert all(torch.equal(tensor, opened.state_dict()[name]) for name, tensor in model.state_dict().items())
    batch = make_batch()
    torch.testing.assert_close(opened.eval()(**batch).targets, model.eval()(**batch).targets)
    classifier, report = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert type(classifier) is Data2VecTextForSequenceClassification
    assert all(key.startswith("classifier.") for key in report["missing_keys"])
    student = model.data2vec_text.state_dict()
    assert all(torch.equal(tensor, student[name]) for name, tensor in classifier.data2vec_text.state_dict().items())


def test_continues_from_a_folder_of_transformers_whose_auto_class_is_left_alone(tmp_path: Path):
    stock = Data2VecTextForMaskedLM(Data2VecTextConfig(**TINY))
    stock.save_pretrained(tmp_path)
    assert type(AutoModelForPreTraining.from_pretrained(tmp_path)) is Data2VecTextForMaskedLM
    model = Data2VecTextForPreTraining.from_pretrained(tmp_path)
    student = model.data2vec_text.state_dict()
    assert all(torch.equal(tensor, student[name]) for name, tensor in stock.data2vec_text.state_dict().items())
    teacher = model.teacher.state_dict()
    assert all(torch.equal(tensor, teacher[name]) for name, tensor in student.items())
    train_a_step(model)
