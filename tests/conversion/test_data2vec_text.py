# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec for text from and to fairseq. Checkpoints are written here, in the original's layout with its names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conversion.test_to_fairseq import assert_equal, load
from transformers import AutoModelForSequenceClassification, Data2VecTextForSequenceClassification

from hf_ssl import Data2VecTextForPreTraining
from hf_ssl.conversion import convert_checkpoint, convert_to_fairseq
from hf_ssl.training.model_sizes import data2vec_text_config

State = dict[str, Any]
WIDTH, INNER, TOKENS, POSITIONS, LAYERS = 8, 12, 20, 16, 2


def encoder_weights(seed: int) -> dict[str, torch.Tensor]:
    """Random weights of the original's encoder: `nn.Embedding`s, layers after a norm, and its version."""
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embed_tokens.weight": (TOKENS, WIDTH),
        "embed_positions.weight": (POSITIONS + 2, WIDTH),
        "layernorm_embedding.weight": (WIDTH,),
        "layernorm_embedding.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        linear = {f"self_attn.{name}_proj": (WIDTH, WIDTH) for name in ("k", "v", "q", "out")}
        linear |= {"fc1": (INNER, WIDTH), "fc2": (WIDTH, INNER)}
        for name, shape in linear.items():
            shapes |= {f"layers.{layer}.{name}.weight": shape, f"layers.{layer}.{name}.bias": shape[:1]}
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"layers.{layer}.{name}.{kind}": (WIDTH,) for kind in ("weight", "bias")}
    weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return weights | {"version": torch.tensor([3.0])}


def make_state() -> State:
    transformer = {
        "dropout": 0.1,
        "attention_dropout": 0.2,
        "activation_fn": "gelu",
        "layernorm_embedding": True,
        "no_scale_embedding": True,
        "max_source_positions": POSITIONS,
        "encoder": {
            "embed_dim": WIDTH,
            "ffn_embed_dim": INNER,
            "layers": LAYERS,
            "attention_heads": 2,
            "normalize_before": False,
            "learned_pos": True,
            "layerdrop": 0,
        },
    }
    model = {
        "_name": "data2vec_text",
        "max_positions": POSITIONS,
        "head_layers": 2,
        "transformer": transformer,
        "loss_beta": 4.0,
        "loss_scale": 1.0,
        "average_top_k_layers": 2,
        "layer_norm_target_layer": True,
        "instance_norm_target_layer": False,
        "batch_norm_target_layer": False,
        "instance_norm_targets": False,
        "layer_norm_targets": False,
        "ema_decay": 0.999,
        "ema_end_decay": 0.9999,
        "ema_anneal_end_step": 300_000,
        "ema_transformer_layers_only": True,
    }
    weights: State = {f"encoder.sentence_encoder.{name}": tensor for name, tensor in encoder_weights(0).items()}
    head = {"0": (2 * WIDTH, WIDTH), "2": (WIDTH, 2 * WIDTH)}
    for number, shape in head.items():
        weights[f"encoder.regression_head.{number}.weight"] = torch.full(shape, 0.25)
        weights[f"encoder.regression_head.{number}.bias"] = torch.full(shape[:1], 0.5)
    weights["encoder._ema"] = encoder_weights(1)
    return {
        "args": None,
        "cfg": {
            "_name": None,
            "common": {"_name": None, "seed": 1, "fp16": False},
            "model": model,
            "task": {"_name": "masked_lm", "data": "", "mask_prob": 0.25, "mask_multiple_length": 3},
            "criterion": {"_name": "model"},
        },
        "model": weights,
        "criterion": None,
        "optimizer_history": [{"criterion_name": "ModelCriterion", "num_updates": 7}],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 1}},
        "last_optimizer_state": None,
    }


def write(path: Path, change: Callable[[State], Any] = lambda state: None) -> Path:
    state = make_state()
    change(state)
    torch.save(state, path)
    return path


def no_teacher(state: State) -> None:
    del state["model"]["encoder._ema"]


def half_precision(state: State) -> None:
    state["model"] = {
        name: value if isinstance(value, dict) else value.half() for name, value in state["model"].items()
    }


@pytest.mark.parametrize("change", [lambda state: None, no_teacher, half_precision])
def test_there_and_back(change: Callable[[State], Any], tmp_path: Path) -> None:
    path = write(tmp_path / "checkpoint.pt", change)
    folder = convert_checkpoint(path, tmp_path / "folder")
    model = Data2VecTextForPreTraining.from_pretrained(folder)
    assert int(model.teacher.num_updates) == 7
    state = load(path)["model"]
    bias = state["encoder.sentence_encoder.layers.1.fc1.bias"]
    assert torch.equal(model.data2vec_text.encoder.layer[1].intermediate.dense.bias, bias.float())
    teacher_bias = state.get("encoder._ema", {"layers.1.fc1.bias": bias})["layers.1.fc1.bias"]
    assert torch.equal(model.teacher.encoder.layer[1].intermediate.dense.bias, teacher_bias)
    card = (folder / "README.md").read_text()
    assert "from hf_ssl import Data2VecTextForPreTraining" in card
    assert ("a copy of the student" in card) == ("encoder._ema" not in state)
    assert_equal(load(convert_to_fairseq(folder, tmp_path / "back.pt")), load(path))


def test_options_become_fields(tmp_path: Path) -> None:
    def change(state: State) -> None:
        state["cfg"]["model"] |= {"loss_scale": -1.0, "ema_transformer_layers_only": False, "loss_beta": 0.0}
        state["cfg"]["model"] |= {"instance_norm_target_layer": True, "layer_norm_targets": True}

    path = write(tmp_path / "checkpoint.pt", change)
    config = Data2VecTextForPreTraining.from_pretrained(convert_checkpoint(path, tmp_path / "folder")).config
    assert (config.mask_prob, config.mask_length, config.regression_num_layers) == (0.25, 3, 2)
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.1, 0.2)
    assert (config.loss_scale, config.loss_beta, config.teacher_scope) == (None, 0.0, "model")
    assert (config.target_layer_norms, config.target_norms) == (["instance", "layer"], ["layer"])
    assert (config.vocab_size, config.max_position_embeddings, config.type_vocab_size) == (TOKENS, POSITIONS + 2, 1)
    assert config.norm_targets_over_padding
    assert_equal(load(convert_to_fairseq(tmp_path / "folder", tmp_path / "back.pt")), load(path))


def test_a_converted_folder_opens_in_transformers_own_classes(tmp_path: Path) -> None:
    folder = convert_checkpoint(write(tmp_path / "checkpoint.pt"), tmp_path / "folder")
    model, report = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert type(model) is Data2VecTextForSequenceClassification
    assert all(name.startswith("classifier.") for name in report["missing_keys"])


def test_what_was_trained_here_becomes_a_checkpoint_that_computes_the_same(tmp_path: Path) -> None:
    """The embedding of the one type of tokens moves into those of the positions."""
    torch.manual_seed(0)
    model = Data2VecTextForPreTraining(data2vec_text_config("tiny", layer_norm_eps=1e-5)).eval()
    assert model.data2vec_text.embeddings.token_type_embeddings.weight.abs().max() > 0
    model.save_pretrained(tmp_path / "ours")
    checkpoint = convert_to_fairseq(tmp_path / "ours", tmp_path / "new.pt")
    again = Data2VecTextForPreTraining.from_pretrained(convert_checkpoint(checkpoint, tmp_path / "again")).eval()
    assert not again.data2vec_text.embeddings.token_type_embeddings.weight.any()
    tokens = torch.randint(5, 300, (2, 12))
    labels = torch.where(torch.arange(12) % 3 == 0, tokens, -100)
    outputs = [network(tokens.masked_fill(labels != -100, 4), labels=labels) for network in (model, again)]
    torch.testing.assert_close(outputs[0].predictions, outputs[1].predictions)
    torch.testing.assert_close(outputs[0].targets, outputs[1].targets)


def test_what_cannot_be_converted_is_listed_at_once(tmp_path: Path) -> None:
    def change(state: State) -> None:
        state["cfg"]["model"]["transformer"]["encoder"] |= {"normalize_before": True, "layerdrop": 0.1}
        state["cfg"]["model"]["transformer"]["activation_fn"] = "tanh"
        state["cfg"]["task"]["random_token_prob"] = 0.1
        state["model"]["classification_heads.sentence.dense.bias"] = torch.zeros(2)
        del state["model"]["encoder.regression_head.2.bias"]

    with pytest.raises(ValueError, match="cannot be converted") as error:
        convert_checkpoint(write(tmp_path / "checkpoint.pt", change), tmp_path / "folder")
    for part in (
        "normalize_before = True",
        "layerdrop = 0.1",
        "activation_fn = 'tanh'",
        "random_token_prob = 0.1",
        "not known: ['classification_heads.sentence.dense.bias']",
        "missing (our names): ['regression_head.2.bias']",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state["cfg"]["model"].pop("ema_decay"), "lacks options: 'ema_decay'"),
        (lambda state: state["cfg"]["task"].pop("mask_prob"), "lacks options: 'mask_prob'"),
        (lambda state: state["cfg"]["model"].update(loss_scale=None), "must be numbers"),
        (lambda state: state["cfg"]["model"].update(transformer=None), "no section 'transformer'"),
        (lambda state: state["cfg"]["model"]["transformer"]["encoder"].update(layers=10**9), "cannot be in a file"),
        (lambda state: state["model"].update({"encoder._ema": [1]}), "no sound checkpoint"),
    ],
)
def test_bad_checkpoints(change: Callable[[State], Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(write(tmp_path / "checkpoint.pt", change), tmp_path / "folder")


@pytest.mark.parametrize(
    ("field", "value"),
    [("layer_norm_eps", 1e-12), ("type_vocab_size", 2), ("hidden_act", "silu"), ("pad_token_id", 3)],
)
def test_what_the_original_has_no_option_for_is_an_error(field: str, value: Any, tmp_path: Path) -> None:
    Data2VecTextForPreTraining(
        data2vec_text_config("tiny", **({"layer_norm_eps": 1e-5} | {field: value}))
    ).save_pretrained(tmp_path / "folder")
    with pytest.raises(ValueError, match=f"no option for .*{field}"):
        convert_to_fairseq(tmp_path / "folder", tmp_path / "back.pt")
