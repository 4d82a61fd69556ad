# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`--test_split`: what settings are chosen by is not what is reported."""

from pathlib import Path

import pytest
from training_helpers import QUICK, load_script, read_json, write_metadata, write_recordings


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    for seed, (split, count) in enumerate((("train", 8), ("validation", 4), ("test", 6))):
        write_metadata(write_recordings(tmp_path / "splits" / split, count=count, seed=seed))
    return tmp_path / "splits"


def flags(pretrained: Path, splits: Path, out: Path) -> list[str]:
    flags = ["--model_name_or_path", str(pretrained), "--data", str(splits), "--eval_data", str(splits)]
    flags += ["--test_split", "test", "--output_dir", str(out), "--max_steps", "1", "--save_strategy", "no"]
    return flags + QUICK


def test_classification_writes_both_figures(pretrained: Path, splits: Path, tmp_path: Path) -> None:
    load_script("finetune_audio_classification").main(flags(pretrained, splits, tmp_path / "out"))
    assert "eval_accuracy" in read_json(tmp_path / "out" / "eval_results.json")
    assert "test_accuracy" in read_json(tmp_path / "out" / "test_results.json")


def test_figures_of_an_earlier_model_go_with_it(pretrained: Path, splits: Path, tmp_path: Path) -> None:
    """A card would show them as those of the model that is in the folder now."""
    script, out = load_script("finetune_ctc"), tmp_path / "out"
    script.main(flags(pretrained, splits, out))
    (out / "my_results.json").write_text("{}")
    without = flags(pretrained, splits, out)
    position = without.index("--test_split")
    del without[position : position + 2]
    script.main(without)
    assert sorted(path.name for path in out.glob("*_results.json")) == [
        "all_results.json", "eval_results.json", "my_results.json", "train_results.json",
    ]  # fmt: skip
    assert [path.name for path in out.glob("_*_transcripts.tsv")] == ["_eval_transcripts.tsv"]
    assert not any(name.startswith("test_") for name in read_json(out / "all_results.json"))


def test_ctc_writes_both_figures_and_all_transcripts(pretrained: Path, splits: Path, tmp_path: Path) -> None:
    load_script("finetune_ctc").main(flags(pretrained, splits, tmp_path / "out"))
    assert "eval_cer" in read_json(tmp_path / "out" / "eval_results.json")
    assert "test_cer" in read_json(tmp_path / "out" / "test_results.json")
    lines = (tmp_path / "out" / "_test_transcripts.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 6


def test_test_split_needs_eval_data(pretrained: Path, splits: Path, tmp_path: Path) -> None:
    without = flags(pretrained, splits, tmp_path / "out")
    position = without.index("--eval_data")
    del without[position : position + 2]
    with pytest.raises(ValueError, match="--test_split is a split of --eval_data"):
        load_script("finetune_ctc").main(without)
