# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The text models: positions, masks, padding, objective, checkpointing, heads, and bad input."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from hf_ssl import (
    Data2Vec2TextForPreTraining,
    Data2Vec2TextForQuestionAnswering,
    Data2Vec2TextForSequenceClassification,
    Data2Vec2TextForTokenClassification,
    Data2Vec2TextModel,
)
from hf_ssl.training.activation_checkpointing import enable_activation_checkpointing
from hf_ssl.training.model_sizes import data2vec2_text_config

NO_DROPOUT = {
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "embedding_dropout": 0.0,
    "decoder_input_dropout": 0.0,
    "initializer_range": 0.2,
}


def make_model(model_class: type, **overrides):
    torch.manual_seed(0)
    return model_class(data2vec2_text_config("tiny", **(NO_DROPOUT | overrides))).eval()


def make_batch(lengths: list[int]) -> dict[str, torch.Tensor]:
    """Texts of these lengths, padded; ids from 4 to 299."""
    input_ids = torch.full((len(lengths), max(lengths)), 1)
    generator = torch.Generator().manual_seed(0)
    for row, length in zip(input_ids, lengths, strict=True):
        row[:length] = torch.randint(4, 300, (length,), generator=generator)
    return {"input_ids": input_ids, "attention_mask": (input_ids != 1).long()}


# positions and padding


def test_positions_begin_behind_the_padding_id() -> None:
    model = make_model(Data2Vec2TextModel)
    positions = model.local_encoder._positions(torch.tensor([[5, 6, 7, 1, 1], [1, 5, 1, 6, 7]]))
    assert positions.tolist() == [[2, 3, 4, 1, 1], [1, 2, 1, 3, 4]]
    assert model.local_encoder.position_embeddings.weight.shape == (64 + 2, 32)
    assert not model.local_encoder.position_embeddings.weight[1].any()
    assert not model.local_encoder.word_embeddings.weight[1].any()


def test_other_padding_ids_move_the_positions() -> None:
    model = make_model(Data2Vec2TextModel, pad_token_id=0, bos_token_id=1)
    assert model.local_encoder._positions(torch.tensor([[5, 6, 0]])).tolist() == [[1, 2, 0]]
    assert model.local_encoder.position_embeddings.weight.shape == (64 + 1, 32)


def test_padding_does_not_matter() -> None:
    model, batch = make_model(Data2Vec2TextModel), make_batch([20, 9])
    with torch.no_grad():
        padded = model(**batch).last_hidden_state
        alone = model(batch["input_ids"][1:, :9]).last_hidden_state
    torch.testing.assert_close(padded[1:, :9], alone)


def test_padding_is_known_by_its_id() -> None:
    model, batch = make_model(Data2Vec2TextModel), make_batch([20, 9])
    with torch.no_grad():
        assert torch.equal(model(batch["input_ids"])[0], model(**batch)[0])


def test_embeddings_instead_of_ids() -> None:
    model, batch = make_model(Data2Vec2TextModel), make_batch([20, 20])
    embeddings = model.get_input_embeddings()(batch["input_ids"])
    with torch.no_grad():
        assert torch.equal(model(inputs_embeds=embeddings)[0], model(**batch)[0])


def test_attention_implementations_agree() -> None:
    """The trunk's, of which tests/models/test_attention.py has more, with padding and without ALiBi."""
    model, batch = make_model(Data2Vec2TextModel), make_batch([20, 9])
    model.set_attn_implementation("eager")
    with torch.no_grad():
        expected = model(**batch).last_hidden_state
        model.set_attn_implementation("sdpa")
        torch.testing.assert_close(model(**batch).last_hidden_state[1, :9], expected[1, :9], rtol=1e-4, atol=1e-5)


# pre-training


def test_drawn_masks_leave_padding_alone_and_have_equal_counts() -> None:
    model = make_model(Data2Vec2TextForPreTraining).train()
    outputs = model(**make_batch([30, 11, 2, 1]))
    assert outputs.mask_time_indices.shape == (4, 2, 30)
    for mask, length, count in zip(outputs.mask_time_indices, [30, 11, 2, 1], [15, 6, 1, 1], strict=True):
        assert not mask[:, length:].any()
        assert mask.sum(-1).tolist() == [count, count]
    assert torch.isfinite(outputs.loss)
    assert not torch.equal(outputs.mask_time_indices[0, 0], outputs.mask_time_indices[0, 1])


def test_masks_on_padding_are_a_named_option() -> None:
    model = make_model(Data2Vec2TextForPreTraining, mask_padding=True).train()
    outputs = model(**make_batch([30, 4]))
    assert outputs.mask_time_indices.sum(-1).tolist() == [[15, 15], [15, 15]]
    assert outputs.mask_time_indices[1, :, 4:].any()
    assert torch.isfinite(outputs.loss)


def test_spans() -> None:
    model = make_model(Data2Vec2TextForPreTraining, mask_length=3).train()
    assert model(**make_batch([30])).mask_time_indices.sum(-1).tolist() == [[14, 14]]


def test_a_mask_on_padding_is_an_error() -> None:
    mask = torch.zeros(2, 2, 30, dtype=torch.bool)
    mask[:, :, 2:6] = True
    with pytest.raises(ValueError, match="marks 4 padded frames"):
        make_model(Data2Vec2TextForPreTraining)(**make_batch([30, 4]), mask_time_indices=mask)


def test_targets_and_predictions_do_not_depend_on_padding() -> None:
    model = make_model(Data2Vec2TextForPreTraining)
    mask = torch.zeros(2, 2, 30, dtype=torch.bool)
    mask[:, 0, 2:6] = mask[:, 1, 5:8] = True
    noise = torch.randn(2, 2, 30, 32)
    batch = make_batch([30, 10])
    with torch.no_grad():
        padded = model(**batch, mask_time_indices=mask, mask_noise=noise)
        alone = model(batch["input_ids"][1:, :10], None, mask[1:, :, :10], mask_noise=noise[1:, :, :10])
    torch.testing.assert_close(padded.targets[1, :10], alone.targets[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(padded.predictions[7:], alone.predictions, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("scope", "stages"), [("trunk", {"trunk"}), ("model", {"local_encoder", "trunk"})])
def test_teacher_scopes(scope: str, stages: set[str]) -> None:
    model = make_model(Data2Vec2TextForPreTraining, teacher_scope=scope).train()
    assert {name.split(".")[0] for name, _ in model.teacher.named_parameters()} == stages
    model(**make_batch([12, 8])).loss.backward()
    assert model.data2vec2_text.local_encoder.word_embeddings.weight.grad.any()
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    assert model.update_teacher() < 1


def test_teacher_follows_the_student() -> None:
    model = make_model(Data2Vec2TextForPreTraining, ema_decay=0.5, ema_end_decay=0.5)
    before = model.teacher.trunk.layers[0].mlp.fc1.weight.clone()
    with torch.no_grad():
        model.data2vec2_text.trunk.layers[0].mlp.fc1.weight.add_(1.0)
    model.update_teacher()
    torch.testing.assert_close(model.teacher.trunk.layers[0].mlp.fc1.weight, before + 0.5)


def test_activation_checkpointing_changes_nothing() -> None:
    batch, gradients = make_batch([20, 9]), []
    for checkpointing in (False, True):
        model = make_model(Data2Vec2TextForPreTraining).train()
        if checkpointing:
            enable_activation_checkpointing(model)
        torch.manual_seed(1)
        model(**batch).loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_resizing_tokens_needs_a_teacher_without_embeddings() -> None:
    model = make_model(Data2Vec2TextForPreTraining)
    model.resize_token_embeddings(310)
    assert model.config.vocab_size == 310
    assert torch.isfinite(model(torch.randint(300, 310, (2, 8))).loss)
    with pytest.raises(ValueError, match="teacher averages the token embeddings"):
        make_model(Data2Vec2TextForPreTraining, teacher_scope="model").resize_token_embeddings(310)


def test_prenet_brings_its_layer_norm() -> None:
    assert make_model(Data2Vec2TextModel).context_encoder.layer_norm is None
    with_prenet = make_model(Data2Vec2TextModel, num_prenet_layers=1)
    assert with_prenet.context_encoder.layer_norm is not None
    assert len(with_prenet(**make_batch([5]), output_hidden_states=True).hidden_states) == 4


# heads


def test_classifier_reads_the_first_token() -> None:
    model = make_model(Data2Vec2TextForSequenceClassification, num_labels=3)
    batch = make_batch([20, 9])
    outputs = model(**batch, labels=torch.tensor([0, 2]))
    encoded = model.data2vec2_text(**batch).last_hidden_state[:, 0]
    expected = model.classifier.out_proj(torch.tanh(model.classifier.dense(encoded)))
    torch.testing.assert_close(outputs.logits, expected)
    torch.testing.assert_close(outputs.loss, torch.nn.functional.cross_entropy(expected, torch.tensor([0, 2])))


def test_regression_and_several_labels() -> None:
    batch = make_batch([20, 9])
    model = make_model(Data2Vec2TextForSequenceClassification, num_labels=1)
    labels = torch.tensor([0.5, 3.0])
    outputs = model(**batch, labels=labels)
    torch.testing.assert_close(outputs.loss, (outputs.logits[:, 0] - labels).square().mean())
    global_loss = model(**batch, labels=labels, num_items_in_batch=4).loss
    torch.testing.assert_close(global_loss, outputs.loss / 2)
    several = make_model(Data2Vec2TextForSequenceClassification, num_labels=3)
    loss = several(**batch, labels=torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])).loss
    assert torch.isfinite(loss)
    with pytest.raises(ValueError, match="a number per item to regress"):
        model(**batch, labels=torch.zeros(3))


def test_token_labels_leave_out_what_is_ignored() -> None:
    model, batch = make_model(Data2Vec2TextForTokenClassification, num_labels=3), make_batch([6, 4])
    labels = torch.full((2, 6), -100)
    labels[0, 1] = 2
    outputs = model(**batch, labels=labels)
    expected = torch.nn.functional.cross_entropy(outputs.logits[0, 1:2], torch.tensor([2]))
    torch.testing.assert_close(outputs.loss, expected)


def test_answers_beyond_the_text_are_left_out() -> None:
    model, batch = make_model(Data2Vec2TextForQuestionAnswering), make_batch([6, 4])
    both = {"start_positions": torch.tensor([1, 50]), "end_positions": torch.tensor([2, 60])}
    outputs = model(**batch, **both)
    expected = (
        torch.nn.functional.cross_entropy(outputs.start_logits[:1], torch.tensor([1]))
        + torch.nn.functional.cross_entropy(outputs.end_logits[:1], torch.tensor([2]))
    ) / 2
    torch.testing.assert_close(outputs.loss, expected)


# bad input


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"input_ids": torch.tensor([[4, 300]])}, r"from 0 to `config.vocab_size` - 1 = 299, .* from 4 to 300"),
        ({"input_ids": torch.tensor([[-1, 4]])}, "from -1 to 4"),
        ({"input_ids": torch.full((1, 65), 4)}, "65 tokens is longer than the 64 that the model has"),
        ({"input_ids": torch.zeros(1, 0, dtype=torch.long)}, "at least one token"),
        ({"input_ids": torch.tensor([4, 5])}, r"shape \(batch_size, sequence_length\)"),
        ({"input_ids": torch.tensor([[4, 5], [1, 1]])}, "nothing but padding"),
        ({"input_ids": torch.tensor([[4, 5]]), "attention_mask": torch.ones(1, 3)}, "shape of `input_ids`"),
        (
            {"input_ids": torch.tensor([[4, 5]]), "position_ids": torch.tensor([[0, 0]])},
            "`position_ids` are not taken",
        ),
        ({}, "either `input_ids` or `inputs_embeds`"),
    ],
)
def test_bad_input_is_refused(inputs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_model(Data2Vec2TextModel)(**inputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pad_token_id": 300}, "must be one of the `vocab_size` = 300 tokens"),
        ({"max_position_embeddings": 0}, "`max_position_embeddings` must be at least 1"),
        ({"mask_prob": 1.0}, "strictly between 0 and 1"),
        ({"average_top_k_layers": 3}, "between 1 and `num_hidden_layers` = 2"),
        ({"teacher_scope": "decoder"}, "`teacher_scope` must be one of"),
        ({"decoder_groups": 3}, "`decoder_groups` = 3 must divide"),
    ],
)
def test_bad_configurations_are_refused(fields: dict, message: str) -> None:
    with pytest.raises((StrictDataclassError, ValueError), match=message):
        data2vec2_text_config("tiny", **fields)
