# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""One process, accumulation and several processes are the same training: same global batches, losses and gradients."""

import json
import subprocess
import sys
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
from training_helpers import QUICK, SCRIPTS, read_json, write_recordings, write_shards

NUM_STEPS = 20
# Everything random that depends on more than seed, epoch and sample.
NOISE = {
    "data2vec2-audio": ("mask_noise_std", "decoder_input_dropout", "layerdrop", "hidden_dropout", "attention_dropout",
                        "prenet_dropout", "prenet_layerdrop"),
    "best-rq": ("hidden_dropout", "attention_dropout", "activation_dropout", "subsampling_dropout", "mask_noise_std"),
}  # fmt: skip


def run(
    model_type: str,
    recordings: Path,
    output_dir: Path,
    num_processes: int,
    *flags: str,
    overrides: dict[str, Any] | None = None,
) -> list[dict[str, float]]:
    """Pre-trains in processes of their own, without noise but for `overrides`; returns what was logged."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(num_processes)]
    arguments = [*(launcher if num_processes > 1 else []), str(SCRIPTS / "pretrain_speech.py")]
    arguments += ["--model_type", model_type, "--model_size", "tiny", "--data", str(recordings), *QUICK]
    arguments += ["--config_overrides", json.dumps(dict.fromkeys(NOISE[model_type], 0.0) | (overrides or {}))]
    arguments += ["--output_dir", str(output_dir), "--min_seconds", "0.3", "--max_steps", str(NUM_STEPS)]
    arguments += ["--logging_steps", "1", "--save_strategy", "no", "--learning_rate", "1e-3", *flags]
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return [entry for entry in read_json(output_dir / "trainer_state.json")["log_history"] if "loss" in entry]


@pytest.mark.slow
@pytest.mark.parametrize("model_type", list(NOISE))
def test_any_number_of_processes_is_the_same_training(model_type: str, tmp_path: Path) -> None:
    """Utterances of unequal length and mask count, so that a mean of means would be another loss."""
    recordings = write_recordings(tmp_path / "recordings", count=64)
    micro_batches = {1: 4, 2: 2, 4: 1}
    histories = {
        num_processes: run(
            model_type, recordings, tmp_path / f"processes_{num_processes}", num_processes,
            "--batch_seconds", "3", "--gradient_accumulation_steps", str(accumulation),
        )
        for num_processes, accumulation in micro_batches.items()
    }  # fmt: skip
    whole = histories.pop(1)
    assert len(whole) == NUM_STEPS
    for history in histories.values():
        assert history[0]["grad_norm"] == pytest.approx(whole[0]["grad_norm"], rel=1e-5)
        losses = [entry["loss"] for entry in history]
        assert losses == pytest.approx([entry["loss"] for entry in whole], rel=1e-4)
        assert [entry["masked_share"] for entry in history] != [history[0]["masked_share"]] * NUM_STEPS


@pytest.mark.slow
@pytest.mark.parametrize("model_type", list(NOISE))
def test_accumulation_is_one_big_batch(model_type: str, tmp_path: Path) -> None:
    """All recordings in each update: as one batch, and as four of other lengths and paddings."""
    recordings = write_recordings(tmp_path / "recordings", count=16)
    big = run(model_type, recordings, tmp_path / "big", 1, "--batch_seconds", "60")
    parts = run(
        model_type, recordings, tmp_path / "parts", 1, "--batch_seconds", "5", "--gradient_accumulation_steps", "4"
    )
    assert parts[0]["grad_norm"] == pytest.approx(big[0]["grad_norm"], rel=1e-5)
    assert [entry["loss"] for entry in parts] == pytest.approx([entry["loss"] for entry in big], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", list(NOISE))
def test_activation_checkpointing_in_two_processes_changes_nothing(model_type: str, tmp_path: Path) -> None:
    recordings = write_recordings(tmp_path / "recordings", count=16)
    flags = ("--batch_seconds", "3")
    plain = run(model_type, recordings, tmp_path / "plain", 2, *flags)
    checkpointed = run(model_type, recordings, tmp_path / "checkpointed", 2, *flags, "--activation_checkpointing")
    assert checkpointed[0]["grad_norm"] == pytest.approx(plain[0]["grad_norm"], rel=1e-5)
    assert [entry["loss"] for entry in checkpointed] == pytest.approx([entry["loss"] for entry in plain], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--activation_checkpointing",)], ids=["plain", "checkpointing"])
def test_dropped_layers_do_not_stop_two_processes(flags: tuple[str, ...], tmp_path: Path) -> None:
    """Each process drops layers of its own, whose parameters then have no gradient there."""
    recordings = write_recordings(tmp_path / "recordings", count=16)
    dropping = {"layerdrop": 0.5, "prenet_layerdrop": 0.5}
    arguments = ("data2vec2-audio", recordings, tmp_path / "out", 2, "--batch_seconds", "3", *flags)
    history = run(*arguments, overrides=dropping)
    assert len(history) == NUM_STEPS
    assert all(isfinite(entry["loss"]) and entry["grad_norm"] > 0 for entry in history)


@pytest.mark.slow
def test_streamed_batches_of_seconds_in_two_processes(tmp_path: Path) -> None:
    """Three shards of few clips: each process has another number of batches, and takes as many steps."""
    shards = write_shards(tmp_path / "shards", num_shards=3, clips_per_shard=5)
    flags = ("--streaming", "--batch_seconds", "3", "--max_seconds", "1")
    once, again = (run("best-rq", shards, tmp_path / name, 2, *flags) for name in ("once", "again"))
    assert len(once) == NUM_STEPS
    assert [entry["loss"] for entry in once] == [entry["loss"] for entry in again]
