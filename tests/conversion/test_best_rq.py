# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""SpeechBrain's checkpoint folders of BEST-RQ, there and back. Numbers are compared in tests/parity."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoFeatureExtractor, AutoModelForPreTraining

from hf_ssl import BestRqFeatureExtractor, BestRqForPreTraining
from hf_ssl.cli import main
from hf_ssl.conversion import (
    UnsafeCheckpointError,
    convert_checkpoint,
    convert_to_speechbrain,
    load_speechbrain_checkpoint,
)
from hf_ssl.conversion.best_rq import RECIPE_OPTIONS, original_files
from hf_ssl.training.model_sizes import best_rq_config

ATTENTION = "1.transformer.encoder.layers.0.mha_layer"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder as the original writes it, with files that are of no use here."""
    return write_checkpoint(tmp_path / "save" / "CKPT+2025-01-01+00")


def write_checkpoint(folder: Path, normalizer: dict | None = None) -> Path:
    torch.manual_seed(0)
    config = best_rq_config("tiny", **RECIPE_OPTIONS | {"mask_length": 4})
    folder.mkdir(parents=True)
    for name, content in original_files(BestRqForPreTraining(config).state_dict(), config).items():
        torch.save(content, folder / f"{name}.ckpt")
    if normalizer is not None:
        torch.save(normalizer, folder / "normalize.ckpt")
    (folder / "CKPT.yaml").write_text("end-of-epoch: true\n")
    return folder


def change(folder: Path, file: str, name: str, tensor: torch.Tensor | None) -> None:
    """Replaces a weight, or removes it."""
    weights = torch.load(folder / f"{file}.ckpt", weights_only=True)
    weights.pop(name, None)
    torch.save(weights if tensor is None else weights | {name: tensor}, folder / f"{file}.ckpt")


def test_sizes_come_from_shapes_and_options_from_the_recipe(checkpoint: Path, tmp_path: Path) -> None:
    folder = convert_checkpoint(checkpoint, tmp_path / "out")
    model = AutoModelForPreTraining.from_pretrained(folder)
    assert type(model) is BestRqForPreTraining
    expected = best_rq_config("tiny").to_dict()
    for name in (
        "num_mel_bins",
        "conv_dim",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "conv_kernel_size",
        "codebook_size",
        "codebook_dim",
    ):
        assert model.config.to_dict()[name] == expected[name], name
    assert {name: model.config.to_dict()[name] for name in RECIPE_OPTIONS} == RECIPE_OPTIONS
    assert AutoFeatureExtractor.from_pretrained(folder).normalization == "recipe"


def test_there_and_back(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, back = tmp_path / "out", tmp_path / "CKPT+back"
    assert main(["convert", str(checkpoint.parent), str(out), "--license", "mit"]) == 0
    assert main(["convert", "--to", "speechbrain", str(out), str(back)]) == 0
    assert str(back) in capsys.readouterr().out
    for file in ("model", "quantizer", "linear"):
        expected = torch.load(checkpoint / f"{file}.ckpt", weights_only=True)
        actual = torch.load(back / f"{file}.ckpt", weights_only=True)
        assert set(actual) == set(expected)
        assert all(torch.equal(actual[name], tensor) for name, tensor in expected.items())
    normalizer = torch.load(back / "normalize.ckpt", weights_only=True)
    assert normalizer["count"] == 0
    assert len(normalizer["glob_mean"]) == 0


def test_the_card(checkpoint: Path, tmp_path: Path) -> None:
    card = ModelCard.load(convert_checkpoint(checkpoint, tmp_path / "out", license="mit") / "README.md")
    assert card.data.license == "mit"
    assert {"best-rq", "custom_code"} <= set(card.data.tags)
    for part in ("`model.ckpt`", "`quantizer.ckpt`", "CKPT.yaml", "BEST-RQ.yaml", "16000 Hz", "no normaliser"):
        assert part in card.text


def test_normaliser_of_the_data_set(tmp_path: Path) -> None:
    mean, std = torch.arange(80.0), torch.arange(80.0) + 1
    checkpoint = write_checkpoint(tmp_path / "CKPT+a", {"count": 7, "glob_mean": mean, "glob_std": std})
    folder = convert_checkpoint(checkpoint, tmp_path / "out")
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    assert (extractor.normalization, extractor.mean, extractor.std) == ("dataset", mean.tolist(), std.tolist())
    back = torch.load(convert_to_speechbrain(folder, tmp_path / "back") / "normalize.ckpt", weights_only=True)
    assert torch.equal(back["glob_mean"], mean)
    assert torch.equal(back["glob_std"], std)


@pytest.mark.parametrize(
    ("normalizer", "message"),
    [
        ({"count": 7}, "no normaliser of SpeechBrain"),
        ({"count": 7, "glob_mean": torch.ones(3), "glob_std": torch.ones(3)}, "statistics of shapes"),
    ],
)
def test_bad_normaliser(normalizer: dict, message: str, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "CKPT+a", normalizer)
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(checkpoint, tmp_path / "out")


def test_missing_files(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "linear.ckpt").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks linear\.ckpt"):
        convert_checkpoint(checkpoint, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_speechbrain_checkpoint(tmp_path / "nowhere")


def test_several_checkpoints_must_be_told_apart(checkpoint: Path, tmp_path: Path) -> None:
    write_checkpoint(checkpoint.parent / "CKPT+2025-01-02+00")
    with pytest.raises(ValueError, match=r"several checkpoints: CKPT\+2025-01-01\+00, CKPT\+2025-01-02\+00"):
        convert_checkpoint(checkpoint.parent, tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "name", "tensor", "message"),
    [
        ("model", "1.transformer.encoder.norm.norm.bias", None, "missing.*best_rq.encoder.layer_norm.bias"),
        ("model", "1.transformer.encoder.norm.norm.bias", torch.ones(3), "layer_norm.bias has shape"),
        ("model", "1.transformer.decoder.weight", torch.ones(3), "not known.*1.transformer.decoder.weight"),
        (
            "model",
            "1.transformer.encoder.layers.0.mha_layer.in_proj_weight",
            torch.ones(3),
            "in_proj_weight has shape",
        ),
        ("model", "1.transformer.encoder.layers.0.mha_layer.pos_bias_u", None, "pos_bias_u"),
        ("model", "1.transformer.encoder.layers.0.mha_layer.pos_bias_u", torch.ones(5), "instead of 2 dimensions"),
        ("model", "1.transformer.encoder.layers.0.mha_layer.pos_bias_u", torch.ones(8, 5), "multiple of"),
        ("model", "1.transformer.positional_encoding.inv_freq", torch.ones(16), "not the sinusoids"),
        ("quantizer", "CB", torch.ones(64, 8), "before 2025"),
        ("quantizer", "P", torch.ones(8), "P has shape"),
        ("linear", "w.bias", torch.ones(3), "prediction_head.bias has shape"),
    ],
)
def test_weights_that_do_not_fit(
    file: str, name: str, tensor: torch.Tensor | None, message: str, checkpoint: Path, tmp_path: Path
) -> None:
    change(checkpoint, file, name, tensor)
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_executed(checkpoint: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    (checkpoint / "quantizer.ckpt").write_bytes(pickle.dumps({"P": Bomb()}, protocol=2))
    with pytest.raises(UnsafeCheckpointError):
        convert_checkpoint(checkpoint, tmp_path / "out")
    (checkpoint / "quantizer.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        convert_checkpoint(checkpoint, tmp_path / "out")
    assert not (tmp_path / "exploded").exists()


def save(folder: Path, normalization: str = "utterance", **overrides) -> Path:
    model = BestRqForPreTraining(best_rq_config("tiny", **(RECIPE_OPTIONS | overrides)))
    model.save_pretrained(folder)
    BestRqFeatureExtractor(normalization=normalization).save_pretrained(folder)
    return folder


def test_back_lists_what_the_original_does_not_have(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", "none", num_codebooks=2, symmetric_positions=False)
    with pytest.raises(ValueError, match=r"`symmetric_positions` = False .*`num_codebooks` = 2 .*'none'"):
        convert_to_speechbrain(folder, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_back_needs_a_new_folder_and_a_pretraining_model(tmp_path: Path) -> None:
    folder = save(tmp_path / "a")
    with pytest.raises(ValueError, match="exists already"):
        convert_to_speechbrain(folder, tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        convert_to_speechbrain(tmp_path / "nowhere", tmp_path / "back")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BestRqForCTC"]}))
    with pytest.raises(ValueError, match=r"holds .*BestRqForCTC"):
        convert_to_speechbrain(folder, tmp_path / "back")


def test_back_from_half_precision(tmp_path: Path) -> None:
    folder = save(tmp_path / "a")
    BestRqForPreTraining.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    weights = torch.load(convert_to_speechbrain(folder, tmp_path / "back") / "model.ckpt", weights_only=True)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
