# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The card of a converted folder, and `hf-ssl convert`."""

import hashlib
from pathlib import Path

import pytest
from conversion.original import SYMBOLS, Original, OriginalCTC
from huggingface_hub import ModelCard

from hf_ssl.cli import main
from hf_ssl.conversion import convert_checkpoint, convert_to_fairseq


def test_the_card_of_a_pretrained_model(tmp_path: Path) -> None:
    path = Original().save(tmp_path / "checkpoint.pt")
    card = ModelCard.load(convert_checkpoint(path, tmp_path / "out") / "README.md")
    assert card.data.library_name == "transformers"
    assert card.data.license == "unknown"
    assert card.data.pipeline_tag is None
    assert "custom_code" in card.data.tags
    for part in (
        "`checkpoint.pt`",
        hashlib.sha256(path.read_bytes()).hexdigest(),
        "| 1234 |",
        "AutoModelForPreTraining.from_pretrained",
        "trust_remote_code=True",
        "16000 Hz",
    ):
        assert part in card.text


def test_the_card_of_a_recogniser(tmp_path: Path) -> None:
    path = OriginalCTC().save_with_dictionary(tmp_path / "checkpoint.pt")
    card = ModelCard.load(convert_checkpoint(path, tmp_path / "out", license="mit") / "README.md")
    assert (card.data.pipeline_tag, card.data.license) == ("automatic-speech-recognition", "mit")
    assert "AutoModelForCTC.from_pretrained" in card.text
    assert "AutoProcessor.from_pretrained" in card.text


def test_a_name_with_markup_does_not_change_the_metadata(tmp_path: Path) -> None:
    path = Original().save(tmp_path / "{license}\nlicense: mit.pt")
    assert ModelCard.load(convert_checkpoint(path, tmp_path / "out") / "README.md").data.license == "unknown"


def test_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = OriginalCTC()
    path, file = original.save(tmp_path / "a.pt"), original.write_dictionary(tmp_path / "dict.ltr.txt")
    assert main(["convert", str(path), str(tmp_path / "out"), "--dictionary", str(file)]) == 0
    assert main(["convert", "--to", "fairseq", str(tmp_path / "out"), str(tmp_path / "back" / "b.pt")]) == 0
    assert "b.pt" in capsys.readouterr().out
    assert (tmp_path / "back" / "dict.ltr.txt").read_text() == file.read_text()


@pytest.mark.parametrize("kind", ["no symbols", "bad options", "exists", "no folder", "dictionary"])
def test_errors_take_one_line(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = OriginalCTC().save(tmp_path / "a.pt")
    bad = Original(model={"average_top_k_layers": 9, "attention_dropout": "much"}).save(tmp_path / "bad.pt")
    command, message = {
        "bad options": ([str(bad), str(tmp_path / "out")], "attention_dropout"),
        "no symbols": ([str(path), str(tmp_path / "out")], "--dictionary dict.ltr.txt"),
        "exists": (["--to", "fairseq", str(tmp_path), str(path)], "exists already"),
        "no folder": (["--to", "fairseq", str(tmp_path / "none"), str(tmp_path / "b.pt")], "no config.json"),
        "dictionary": (["--to", "fairseq", "--dictionary", "x", "a", "b"], "no use with --to fairseq"),
    }[kind]
    assert main(["convert", *command]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_of_one_symbol_more_says_so(tmp_path: Path) -> None:
    path = OriginalCTC().save_with_dictionary(tmp_path / "a.pt")
    folder = convert_checkpoint(path, tmp_path / "out")
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(vocabulary.read_text().replace("{", '{"X": 9,', 1))
    with pytest.raises(ValueError, match=f"the model has {len(SYMBOLS)} outputs"):
        convert_to_fairseq(folder, tmp_path / "b.pt")
