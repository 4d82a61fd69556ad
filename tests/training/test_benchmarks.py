# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The scripts behind figures of the docs run, and measure what they say."""

from pathlib import Path

import pytest
from training_helpers import load_script, write_metadata, write_recordings


def test_linear_probe_prints_every_arm(pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, split in enumerate(("train", "validation", "test")):
        write_metadata(write_recordings(tmp_path / "labelled" / split, count=16, seed=seed))
    script = load_script("benchmarks/linear_probe")
    accuracies = script.main([str(pretrained), "--data", str(tmp_path / "labelled"), "--label_column", "label"])
    assert set(accuracies) == {"pre-trained", "no pre-training", "log-mel statistics"}
    assert accuracies["log-mel statistics"] == 1.0  # the label is the pitch of a tone
    printed = capsys.readouterr().out
    assert "label: 16 clips to learn from, 16 to test" in printed
    for arm, accuracy in accuracies.items():
        assert f"{arm:<22} {accuracy:6.1%}" in printed


@pytest.mark.slow
def test_padding_in_targets_compares_all_settings(tmp_path: Path) -> None:
    script = load_script("benchmarks/padding_in_targets")
    accuracies = script.main(["--output_dir", str(tmp_path), "--steps", "4", "--seeds", "1", "2", "--hours", "0.03"])
    assert list(accuracies) == list(script.SETTINGS)
    assert all(len(values) == 2 for values in accuracies.values())
