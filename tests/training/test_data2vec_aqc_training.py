# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Pre-training of data2vec-aqc with the script, its figures and its guard, and fine-tuning from its folder."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from training_helpers import QUICK, load_script
from transformers import AutoModelForCTC

from hf_ssl import Data2VecAqcForPreTraining
from hf_ssl.training.data2vec_aqc import contrastive_accuracy

SHARES = (
    "dead_cluster_share",
    "cluster_mate_share",
    "collision_share",
    "student_contrastive_accuracy",
    "teacher_contrastive_accuracy",
    "codebook_usage",
    "masked_share",
)
LOSSES = (
    "regression_loss",
    "student_contrastive_loss",
    "teacher_contrastive_loss",
    "diversity_loss",
    "features_penalty",
    "probability_perplexity",
    "code_perplexity",
    "target_std",
    "prediction_std",
)


def pretrain(recordings: Path, folder: Path, *flags: str):
    return load_script("pretrain_speech").main(
        [
            "--model_type",
            "data2vec-aqc",
            "--model_size",
            "tiny",
            "--data",
            str(recordings),
            "--min_seconds",
            "0.3",
            "--output_dir",
            str(folder),
            "--max_steps",
            "3",
            "--logging_steps",
            "1",
            "--per_device_train_batch_size",
            "4",
            *QUICK,
            *flags,
        ]
    )


def test_a_positive_is_told_from_negatives_only_if_it_is_above_them_all() -> None:
    nowhere = -torch.inf
    logits = torch.tensor(
        [
            [[2.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, nowhere], [1.0, nowhere, nowhere]],
            [[3.0, 2.0, nowhere], [5.0, 0.0, 0.0], [5.0, 0.0, 0.0], [5.0, 0.0, 0.0]],
        ]
    )
    slot_mask = torch.tensor([[True] * 4, [True] + [False] * 3])
    assert contrastive_accuracy(logits, slot_mask) == pytest.approx(2 / 5)
    assert contrastive_accuracy(logits, torch.zeros_like(slot_mask)).isnan()


def test_script_pretrains_and_logs_every_part(recordings: Path, transcribed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    noise = ["--noise_data", str(recordings), "--noise_prob", "0.8", "--reverberation_prob", "0.5"]
    trainer = pretrain(recordings, folder, *noise)
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logs) == 3
    for entry in logs:
        assert all(torch.isfinite(torch.tensor(entry[name])) for name in LOSSES)
        assert all(0 <= entry[name] <= 1 for name in SHARES)
        parts = (
            entry["regression_loss"]
            + 0.5 * (entry["student_contrastive_loss"] + entry["teacher_contrastive_loss"])
            + 0.1 * entry["diversity_loss"]
            + 10 * entry["features_penalty"]
        )
        assert entry["loss"] == pytest.approx(parts, rel=1e-3)
    model = Data2VecAqcForPreTraining.from_pretrained(folder)
    assert model.teacher.num_updates == 3

    out = tmp_path / "recogniser"
    flags = ["--model_name_or_path", str(folder), "--data", str(transcribed), "--output_dir", str(out)]
    load_script("finetune_ctc").main([*flags, "--max_steps", "2", "--logging_steps", "1", *QUICK])
    recogniser = AutoModelForCTC.from_pretrained(out)
    assert {name.partition(".")[0] for name in recogniser.state_dict()} == {"data2vec_aqc", "lm_head"}


def views_of_items(trainer: Any) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Both views, unpadded, and the mask of every item of an epoch, in the order of what clean views begin with."""
    items = []
    for batch in trainer.get_train_dataloader():
        for row, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
            num_frames = trainer.data_collator.config.num_frames(length)
            clean, augmented = batch["input_values"][row, :length], batch["augmented_values"][row, :length]
            items.append((clean, augmented, batch["mask_time_indices"][row, :num_frames]))
    return sorted(items, key=lambda item: item[0][:4].tolist())


def test_workers_and_batches_do_not_change_what_is_drawn(recordings: Path, tmp_path: Path) -> None:
    """The same views and masks of every item, whatever process makes them and however many to a batch."""
    names = ("speed", "reverberation", "noise", "white_noise", "gain", "band_limit", "clipping")
    probabilities = [flag for name in names for flag in (f"--{name}_prob", "0.5")]
    flags = [*probabilities, "--noise_data", str(recordings), "--max_steps", "1", "--save_strategy", "no"]
    items = []
    for workers, batch_size in (("0", "4"), ("1", "4"), ("2", "3")):
        loading = ["--dataloader_num_workers", workers, "--per_device_train_batch_size", batch_size]
        items.append(views_of_items(pretrain(recordings, tmp_path / workers, *flags, *loading)))
    assert len(items[0]) == 12
    assert any(not torch.equal(clean, augmented) for clean, augmented, _ in items[0])
    for others in items[1:]:
        for one, other in zip(items[0], others, strict=True):
            for expected, found in zip(one, other, strict=True):
                assert torch.equal(found, expected)


def test_without_augmentation_the_script_says_so(
    recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="hf_ssl"):
        pretrain(recordings, tmp_path, "--max_steps", "1", "--save_strategy", "no")
    assert "the student sees what the teacher sees" in caplog.text


def test_folders_of_sounds_without_a_probability_are_warned_of(
    recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = ["--noise_data", str(recordings), "--reverberation_data", str(recordings)]
    flags = [*folders, "--reverberation_prob", "0.5", "--max_steps", "1", "--save_strategy", "no"]
    with caplog.at_level(logging.WARNING, logger="hf_ssl"):
        pretrain(recordings, tmp_path, *flags)
    assert "--noise_data is given, but --noise_prob is 0: nothing will be drawn from it." in caplog.messages
    assert "--reverberation_data" not in caplog.text


def test_other_families_may_be_augmented(recordings: Path, tmp_path: Path) -> None:
    flags = ["--model_size", "tiny", "--data", str(recordings), "--min_seconds", "0.3", "--output_dir"]
    common = ["--max_steps", "1", "--logging_steps", "1", "--save_strategy", "no", *QUICK]
    losses = []
    for name, augmentation in (("plain", []), ("noisy", ["--white_noise_prob", "1"])):
        trainer = load_script("pretrain_speech").main([*flags, str(tmp_path / name), *augmentation, *common])
        losses.append(trainer.state.log_history[0]["loss"])
    assert losses[0] != losses[1]
