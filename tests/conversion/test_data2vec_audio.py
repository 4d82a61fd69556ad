# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec from and to fairseq: scopes of the teacher, options, and what cannot be converted.

Checkpoints are the golden ones, which the original wrote, with changes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conversion.test_to_fairseq import assert_equal, load
from parity.golden import REPOSITORY
from transformers import AutoModelForCTC, AutoModelForPreTraining, AutoProcessor, Data2VecAudioForCTC

from hf_ssl import Data2VecAudioForPreTraining
from hf_ssl.conversion import convert_checkpoint, convert_to_fairseq

GOLDEN = REPOSITORY / "tests/fixtures/golden"
PRETRAINED, FINETUNED = GOLDEN / "d2v1_audio_base_padded/checkpoint.pt", GOLDEN / "ft_wav2vec_ctc_d2v1/checkpoint.pt"
State = dict[str, Any]


def changed(path: Path, out: Path, change: Callable[[State], None]) -> Path:
    """A copy of a checkpoint with something changed."""
    state = load(path)
    change(state)
    torch.save(state, out)
    return out


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "dict.ltr.txt"
    path.write_text("".join(f"{symbol} 3\n" for symbol in "|abcdefghijklmnopqrstuvwxyz'"))
    return path


def teacher_of_everything(state: State) -> None:
    state["cfg"]["model"] |= {"ema_layers_only": False, "ema_transformer_only": False}
    state["model"]["_ema"] = {name: tensor + 1 for name, tensor in state["model"].items() if name != "_ema"}
    for name in ("mask_emb", "final_proj.weight", "final_proj.bias"):  # which the teacher has and never reads
        state["model"]["_ema"][name] = state["model"][name].clone()


def teacher_with_positions(state: State) -> None:
    state["cfg"]["model"]["ema_layers_only"] = False


def no_teacher(state: State) -> None:
    del state["model"]["_ema"]


@pytest.mark.parametrize(
    ("change", "scope", "top_k"),
    [
        (lambda state: None, "layers", 2),
        (teacher_with_positions, "transformer", 2),
        (teacher_of_everything, "model", 3),  # the original averages all layers then
        (no_teacher, "layers", 2),
    ],
)
def test_every_teacher_arrives_and_comes_back(change: Callable, scope: str, top_k: int, tmp_path: Path) -> None:
    path = changed(PRETRAINED, tmp_path / "checkpoint.pt", change)
    folder = convert_checkpoint(path, tmp_path / "folder")
    model = AutoModelForPreTraining.from_pretrained(folder)
    assert type(model) is Data2VecAudioForPreTraining
    assert (model.config.teacher_scope, model.config.average_top_k_layers) == (scope, top_k)
    state = load(path)["model"]
    original = state.get("_ema", {"layers.0.fc1.bias": state["encoder.layers.0.fc1.bias"]})
    bias = original["encoder.layers.0.fc1.bias" if scope == "model" else "layers.0.fc1.bias"]
    assert torch.equal(model.teacher.encoder.layers[0].feed_forward.intermediate_dense.bias, bias)
    assert ("a copy of the student" in (folder / "README.md").read_text()) == ("_ema" not in state)
    assert_equal(load(convert_to_fairseq(folder, tmp_path / "back.pt")), load(path))


def test_options_become_fields(tmp_path: Path) -> None:
    def change(state: State) -> None:
        state["cfg"]["model"] |= {
            "mask_prob": 0.5,
            "mask_length": 7,
            "mask_dropout": 0.25,
            "encoder_layerdrop": 0.125,
            "dropout_input": 0.375,
            "loss_beta": 2.0,
            "layer_norm_targets": True,
            "instance_norm_targets": True,
            "batch_norm_target_layer": True,
            "conv_pos": 12,
            "feature_grad_mult": 0.1,
        }
        for place in (state["model"], state["model"]["_ema"]):
            for name in [name for name in place if "pos_conv" in name and name.endswith("weight")]:
                place[name] = place[name][..., :4].clone()

    folder = convert_checkpoint(changed(PRETRAINED, tmp_path / "checkpoint.pt", change), tmp_path / "folder")
    config = AutoModelForPreTraining.from_pretrained(folder).config
    assert (config.mask_prob, config.mask_length, config.mask_dropout) == (0.5, 7, 0.25)
    assert (config.layerdrop, config.feat_proj_dropout, config.loss_beta) == (0.125, 0.375, 2.0)
    assert (config.target_layer_norms, config.target_norms) == (["batch", "instance"], ["layer", "instance"])
    assert (config.conv_pos_kernel_size, config.require_same_masks) == (4, True)
    assert config.norm_targets_over_padding
    assert "feature_grad_mult: 0.1" in (folder / "README.md").read_text()
    assert_equal(load(convert_to_fairseq(folder, tmp_path / "back.pt")), load(tmp_path / "checkpoint.pt"))


def test_what_cannot_be_converted_is_listed_at_once(tmp_path: Path) -> None:
    def change(state: State) -> None:
        options = state["cfg"]["model"]
        options |= {"layer_norm_first": True, "extractor_mode": "default", "mask_selection": "uniform"}
        options |= {"activation_fn": "tanh", "group_norm_target_layer": True}
        del state["cfg"]["task"]["normalize"]
        state["model"]["adapter.weight"] = torch.zeros(2)
        del state["model"]["final_proj.bias"]

    with pytest.raises(ValueError, match="cannot be converted") as error:
        convert_checkpoint(changed(PRETRAINED, tmp_path / "checkpoint.pt", change), tmp_path / "folder")
    for part in (
        "layer_norm_first = True",
        "extractor_mode = 'default'",
        "mask_selection = 'uniform'",
        "activation_fn = 'tanh'",
        "group_norm_target_layer = True",
        "lacks options: 'normalize'",
        "not known: ['adapter.weight']",
        "missing (our names): ['final_proj.bias']",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda options: options.pop("ema_decay"), "lacks options: 'ema_decay'"),
        (lambda options: options.update(pos_conv_depth=1), "pos_conv_depth = 1"),
        (lambda options: options.update(pos_conv_depth=0), "make no model"),
        (lambda options: options.update(encoder_layers=10**9), "cannot be in a file"),
        (lambda options: options.update(encoder_layers="three"), "make no model"),
        (lambda options: options.update(cluster_factor=16), "lacks options: 'final_proj_dim'"),  # read as data2vec-aqc
    ],
)
def test_bad_options(change: Callable, message: str, tmp_path: Path) -> None:
    path = changed(PRETRAINED, tmp_path / "checkpoint.pt", lambda state: change(state["cfg"]["model"]))
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(path, tmp_path / "folder")


def test_a_pre_trained_model_has_no_use_for_a_dictionary(dictionary: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no use for a dictionary"):
        convert_checkpoint(PRETRAINED, tmp_path / "folder", dictionary=dictionary)


def test_a_recogniser_becomes_a_folder_of_transformers_alone(dictionary: Path, tmp_path: Path) -> None:
    folder = convert_checkpoint(FINETUNED, tmp_path / "folder", dictionary=dictionary)
    model, report = AutoModelForCTC.from_pretrained(folder, output_loading_info=True)
    assert type(model) is Data2VecAudioForCTC
    assert not any(report.values())
    assert "auto_map" not in model.config.to_dict()
    assert not list(folder.glob("*.py"))
    assert (model.config.mask_time_prob, model.config.mask_time_min_masks) == (0.4, 1)
    assert AutoProcessor.from_pretrained(folder).tokenizer.pad_token_id == model.config.pad_token_id == 0
    card = (folder / "README.md").read_text()
    assert "With transformers alone" in card
    assert "custom_code" not in card


@pytest.mark.parametrize("options", [{"apply_mask": False}, {"mask_prob": 0.0, "mask_channel_prob": 0.0}])
def test_a_recogniser_without_masks_keeps_its_mask_embedding(
    options: dict[str, Any], dictionary: Path, tmp_path: Path
) -> None:
    def change(state: State) -> None:
        state["cfg"]["model"] |= options
        state["cfg"]["model"]["w2v_args"]["model"] |= {k: v for k, v in options.items() if k != "apply_mask"}

    path = changed(FINETUNED, tmp_path / "checkpoint.pt", change)
    folder = convert_checkpoint(path, tmp_path / "folder", dictionary=dictionary)
    model = AutoModelForCTC.from_pretrained(folder)
    assert model.config.to_dict()["apply_spec_augment"] is False
    assert torch.equal(model.data2vec_audio.masked_spec_embed, load(path)["model"]["w2v_encoder.w2v_model.mask_emb"])
    assert_equal(load(convert_to_fairseq(folder, tmp_path / "back" / "back.pt")), load(path))


def test_what_was_trained_here_becomes_a_checkpoint_that_converts(tmp_path: Path) -> None:
    folder = convert_checkpoint(PRETRAINED, tmp_path / "folder")
    (folder / "fairseq.json").unlink()
    model = AutoModelForPreTraining.from_pretrained(folder)
    model.config.mask_prob = 0.375
    with torch.no_grad():
        model.final_proj.bias.fill_(0.5)
    model.update_teacher(step=1)
    model.save_pretrained(folder)
    checkpoint = convert_to_fairseq(folder, tmp_path / "new.pt")
    again = AutoModelForPreTraining.from_pretrained(convert_checkpoint(checkpoint, tmp_path / "again"))
    assert again.config.mask_prob == 0.375
    assert int(again.teacher.num_updates) == 1
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("field", "value"),
    [("layer_norm_eps", 1e-6), ("feat_extract_activation", "relu"), ("target_norms", ["instance", "layer"])],
)
def test_what_the_original_has_no_option_for_is_an_error(field: str, value: Any, tmp_path: Path) -> None:
    model = AutoModelForPreTraining.from_pretrained(convert_checkpoint(PRETRAINED, tmp_path / "folder"))
    setattr(model.config, field, value)
    model.save_pretrained(tmp_path / "folder")
    with pytest.raises(ValueError, match=f"no option for .*{field}"):
        convert_to_fairseq(tmp_path / "folder", tmp_path / "back.pt")
