# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Training of speaker embeddings, and verification of speakers that training never saw."""

import csv
from pathlib import Path

import pytest
from training_helpers import QUICK, load_script, write_recordings
from transformers import AutoModelForAudioXVector

from hf_ssl.training.verification import number_speakers


def with_speakers(folder: Path, names: tuple[str, ...], seed: int) -> Path:
    write_recordings(folder, count=8, seed=seed)
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        rows = [(path.name, names[index % len(names)]) for index, path in enumerate(sorted(folder.glob("*.wav")))]
        csv.writer(file).writerows([("file_name", "speaker_id"), *rows])
    return folder


def arguments(pretrained: Path, tmp_path: Path) -> list[str]:
    known = with_speakers(tmp_path / "known", ("ann", "bob", "cem"), seed=1)
    others = with_speakers(tmp_path / "others", ("dot", "bob"), seed=2)
    flags = ["--model_name_or_path", str(pretrained), "--data", str(known), "--eval_data", str(others)]
    flags += ["--output_dir", str(tmp_path / "out"), "--max_steps", "3", "--per_device_train_batch_size", "4"]
    return [*flags, "--eval_split", "train", "--save_strategy", "no", *QUICK]


def test_verifies_speakers_it_was_not_trained_on(pretrained: Path, tmp_path: Path) -> None:
    trainer = load_script("finetune_speaker_verification").main(arguments(pretrained, tmp_path))
    metrics = trainer.evaluate()
    assert metrics["eval_trials"] == 8 * 7 / 2
    assert 0 <= metrics["eval_eer"] <= 1
    assert "eval_loss" not in metrics  # the other speakers have no place in the classifier
    model = AutoModelForAudioXVector.from_pretrained(tmp_path / "out")
    assert model.config.id2label == {0: "ann", 1: "bob", 2: "cem"}


def test_speakers_numbers_are_names(pretrained: Path, tmp_path: Path) -> None:
    flags = arguments(pretrained, tmp_path)
    known = with_speakers(tmp_path / "known", ("19", "103"), seed=1)
    trainer = load_script("finetune_speaker_verification").main([*flags, "--data", str(known)])
    assert trainer.model.config.label2id == {"103": 0, "19": 1}


def test_one_speaker_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least two speakers to tell apart, got \\['ann'\\]"):
        number_speakers(["ann", "ann"], ["bob"])
