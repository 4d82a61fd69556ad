# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of data2vec 2.0 for images, both ways. What the original wrote is compared in `tests/parity` and
`test_to_fairseq.py`; here are its variants."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification, AutoModelForPreTraining

from hf_ssl import Data2Vec2VisionForImageClassification, Data2Vec2VisionForPreTraining
from hf_ssl.cli import main
from hf_ssl.conversion import convert_checkpoint, convert_to_fairseq
from hf_ssl.training.model_sizes import data2vec2_vision_config

GOLDEN = Path(__file__).parents[1] / "fixtures" / "golden"
State = dict[str, Any]
POSITIONS = "modality_encoders.IMAGE.fixed_positional_encoder.positions"


def write(path: Path, case: str, change: Callable[[State], object]) -> Path:
    """A golden checkpoint, changed."""
    state = torch.load(GOLDEN / case / "checkpoint.pt", weights_only=True)
    change(state)
    torch.save(state, path)
    return path


def image_options(state: State) -> State:
    return state["cfg"]["model"]["modalities"]["image"]


def test_a_pretrained_folder(tmp_path: Path) -> None:
    folder = convert_checkpoint(GOLDEN / "d2v2_image_base" / "checkpoint.pt", tmp_path / "out", license="mit")
    model, info = AutoModelForPreTraining.from_pretrained(folder, output_loading_info=True)
    assert type(model) is Data2Vec2VisionForPreTraining
    assert not info["missing_keys"]
    config = model.config
    assert (config.image_size, config.patch_size, config.num_prenet_layers, config.num_masks) == (32, 4, 2, 4)
    assert (config.cls_loss_weight, config.cls_loss_reduction, config.teacher_scope) == (0.01, "sum", "model")
    assert (config.mask_prob, config.mask_prob_adjust, config.inverse_mask) == (0.8, 0.07, True)
    image_processor = AutoImageProcessor.from_pretrained(folder)
    assert image_processor.crop_size["height"] == 32
    assert image_processor.size["shortest_edge"] == 36
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "mit"
    assert "vision" in card.data.tags
    assert "AutoImageProcessor.from_pretrained" in card.text
    assert "Images are RGB" in card.text
    assert "padded" not in card.text


def test_a_classifiers_folder(tmp_path: Path) -> None:
    folder = convert_checkpoint(GOLDEN / "ft_mae_image_classification" / "checkpoint.pt", tmp_path / "out")
    model = AutoModelForImageClassification.from_pretrained(folder)
    assert model.config.problem_type == "single_label_classification"
    assert len(model.config.id2label) == 17
    card = ModelCard.load(folder / "README.md")
    assert card.data.pipeline_tag == "image-classification"
    assert "layer_decay: 0.65" in card.text
    assert "set `config.id2label`" in card.text


def test_the_class_token_is_pooled_if_the_original_did(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.pt",
        "ft_mae_image_classification",
        lambda state: state["cfg"]["model"].update(prediction_mode="PredictionMode.CLS_TOKEN"),
    )
    config = AutoConfig.from_pretrained(convert_checkpoint(path, tmp_path / "out"))
    assert config.pooling == "cls"


def test_without_a_layer_norm_before_the_classifier(tmp_path: Path) -> None:
    def change(state: State) -> None:
        state["cfg"]["model"]["use_fc_norm"] = False
        del state["model"]["fc_norm.weight"], state["model"]["fc_norm.bias"]

    path = write(tmp_path / "a.pt", "ft_mae_image_classification", change)
    folder = convert_checkpoint(path, tmp_path / "out")
    assert AutoModelForImageClassification.from_pretrained(folder).layer_norm is None


def test_without_a_teacher(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", "d2v2_image_base", lambda state: state["model"].pop("_ema"))
    folder = convert_checkpoint(path, tmp_path / "out")
    weights = AutoModelForPreTraining.from_pretrained(folder).state_dict()
    name = "local_encoder.patch_embedding.weight"
    assert torch.equal(weights[f"teacher.{name}"], weights[f"data2vec2_vision.{name}"])
    assert "a copy of the student" in (folder / "README.md").read_text()
    back = torch.load(convert_to_fairseq(folder, tmp_path / "b.pt"), weights_only=True)
    assert "_ema" not in back["model"]


@pytest.mark.parametrize("scope", ["trunk", "encoder"])
def test_teachers_of_less_than_the_whole_model_there_and_back(scope: str, tmp_path: Path) -> None:
    def change(state: State) -> None:
        image_options(state)["ema_local_encoder"] = False
        teacher = state["model"]["_ema"]
        if scope == "trunk":
            state["cfg"]["model"]["ema_encoder_only"] = True
            teacher = {name[len("blocks.") :]: t for name, t in teacher.items() if name.startswith("blocks.")}
        state["model"]["_ema"] = {name: t for name, t in teacher.items() if ".local_encoder." not in name}

    path = write(tmp_path / "a.pt", "d2v2_image_base", change)
    folder = convert_checkpoint(path, tmp_path / "out")
    assert AutoConfig.from_pretrained(folder).teacher_scope == scope
    expected = torch.load(path, weights_only=True)["model"]["_ema"]
    back = torch.load(convert_to_fairseq(folder, tmp_path / "b.pt"), weights_only=True)["model"]["_ema"]
    assert set(back) == set(expected)
    assert all(torch.equal(back[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("image", "use_alibi_encoder", True),
        ("image", "transformer_decoder", True),
        ("image", "fixed_positions", False),
        ("image", "local_grad_mult", 0.5),
        ("decoder", "add_positions_all", True),
        ("model", "recon_loss", 1.0),
        ("model", "shared_decoder", {}),
    ],
)
def test_options_that_are_not_there(section: str, option: str, value: Any, tmp_path: Path) -> None:
    def change(state: State) -> None:
        model, image = state["cfg"]["model"], image_options(state)
        {"model": model, "image": image, "decoder": image["decoder"]}[section][option] = value

    path = write(tmp_path / "a.pt", "d2v2_image_base", change)
    with pytest.raises(ValueError, match=option):
        convert_checkpoint(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_everything_that_does_not_fit_is_in_one_error(tmp_path: Path) -> None:
    def change(state: State) -> None:
        image_options(state)["embed_dim"] = 64
        state["cfg"]["model"]["post_mlp_drop"] = 0.3
        state["model"]["blocks.0.adapter.weight"] = torch.zeros(2)
        state["model"][POSITIONS] = torch.zeros(1, 63, 48)
        del state["model"]["_ema"]["blocks.0.norm1.weight"]

    path = write(tmp_path / "a.pt", "d2v2_image_base", change)
    with pytest.raises(ValueError, match="cannot be converted") as error:
        convert_checkpoint(path, tmp_path / "out")
    for part in (
        "`embed_dim` = 64",
        "dropouts",
        "blocks.0.adapter.weight",
        "(1, 63, 48)",
        "attention_layer_norm.weight",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state["cfg"]["model"].update(prediction_mode="LIN_SOFTMAX"), "LIN_SOFTMAX"),
        (lambda state: state["cfg"]["model"].pop("use_fc_norm"), "use_fc_norm"),
        (lambda state: state["cfg"]["model"].update(num_classes=18), r"\(18, 48\)|\(17, 48\)"),
        (lambda state: state["cfg"]["model"]["pretrained_model_args"].pop("model"), "no section 'model'"),
    ],
)
def test_classifiers_that_cannot_be_converted(change: Callable, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", "ft_mae_image_classification", change)
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(path, tmp_path / "out")


def test_a_dictionary_has_no_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(GOLDEN / "ft_mae_image_classification" / "checkpoint.pt")
    assert main(["convert", path, str(tmp_path / "out"), "--dictionary", "x"]) == 1
    assert "is a classifier of images, which has no use for a dictionary" in capsys.readouterr().err


def test_models_that_were_trained_here_there_and_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    config = data2vec2_vision_config("tiny", cls_loss_weight=0.32, num_labels=3)
    for model in (Data2Vec2VisionForPreTraining(config), Data2Vec2VisionForImageClassification(copy.deepcopy(config))):
        name = type(model).__name__
        model.save_pretrained(tmp_path / name)
        path = convert_to_fairseq(tmp_path / name, tmp_path / f"{name}.pt")
        folder = convert_checkpoint(path, tmp_path / f"{name} again")
        again = type(model).from_pretrained(folder)
        assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in model.state_dict().items())
        # the sum over 16 images of 2 masks is 32 times their mean
        assert (again.config.cls_loss_weight, again.config.cls_loss_reduction) == (pytest.approx(0.01), "sum")
        changed = {"cls_loss_weight", "cls_loss_reduction", "problem_type", "architectures", "transformers_version"}
        before, after = model.config.to_dict(), again.config.to_dict()
        changed |= {"dtype", "_name_or_path", "id2label", "label2id"}  # a pre-training checkpoint has no labels
        assert {key for key in before if before[key] != after[key]} <= changed


def test_what_the_original_has_no_option_for(tmp_path: Path) -> None:
    Data2Vec2VisionForPreTraining(data2vec2_vision_config("tiny", hidden_act="relu")).save_pretrained(tmp_path / "a")
    with pytest.raises(ValueError, match="hidden_act = 'relu'"):
        convert_to_fairseq(tmp_path / "a", tmp_path / "a.pt")
