# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The command line: what it prints and returns; the work behind it is tested where it lives."""

from pathlib import Path

import pytest
import torch

from hf_ssl.cli import main


def test_convert_names_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path / "none.pt"), str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("hf-ssl convert: ")
    assert "none.pt" in error
    assert not (tmp_path / "out").exists()


def test_convert_refuses_what_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    assert main(["convert", str(tmp_path / "other.pt"), str(tmp_path / "out")]) == 1
    assert "no fairseq checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["-1", "nan", "inf"])
def test_demo_refuses_minutes_that_make_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], minutes: str
) -> None:
    assert main(["demo", "--minutes", minutes, "--output_dir", str(tmp_path)]) == 1
    assert "must be positive" in capsys.readouterr().err


def test_demo_names_the_model_types_that_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--model_type", "wav2vec2", "--output_dir", str(tmp_path)]) == 1
    assert "data2vec2-audio or best-rq, got 'wav2vec2'" in capsys.readouterr().err


def test_export_refuses_a_file_where_a_folder_is_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["export", str(tmp_path), str(tmp_path / "file")]) == 1
    assert "file is a file; expected a folder to write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("demo --label_column speaker", "--label_column: without effect unless --data is given too"),
        ("transcribe M a.wav --word_bonus 2", "--word_bonus: without effect unless --language_model is given too"),
        ("report RUN --sample 3 --split test", "--split, --sample: without effect unless --data is given too"),
        ("card RUN --model_name mine", "--model_name: without effect unless --results is given too"),
        ("convert M out.pt --to fairseq --license mit", "a checkpoint has no card"),
        ("benchmark RECIPE --against transformers --compile", "leave --compile out"),
        (
            "probe M --task verification --data D --column c --seeds 3",
            "trains nothing: leave",
        ),
    ],
)
def test_options_that_would_have_no_effect(command: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 1
    assert message in capsys.readouterr().err


def test_unknown_command_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["fly"])
    assert exit_.value.code == 2
    assert "fly" in capsys.readouterr().err
