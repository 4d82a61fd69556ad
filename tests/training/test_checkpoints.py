# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Only whole checkpoints are gone on from; the last of them outlives whatever goes wrong while the next is written."""

import json
import logging
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_helpers import QUICK, SCRIPTS, load_script, read_json, write_recordings
from transformers import TrainerCallback
from transformers import trainer as trainer_module

from hf_ssl.training.checkpoints import (
    COMPLETE_NAME,
    CheckpointError,
    check_same_batches,
    delete_old_checkpoints,
    last_complete_checkpoint,
    mark_complete,
    mark_incomplete,
    read_record,
)


def write_checkpoint(folder: Path, step: int) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "parts").mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(bytes(100))
    (checkpoint / "parts" / "optimizer.pt").write_bytes(bytes(50))
    mark_complete(checkpoint, {})
    return checkpoint


def test_newest_whole_checkpoint_is_chosen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (2, 10):
        write_checkpoint(tmp_path, step)
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    (tmp_path / "checkpoint-12").mkdir()
    (tmp_path / "checkpoint-12" / "model.safetensors").write_bytes(bytes(100))
    with caplog.at_level(logging.WARNING):
        assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert "checkpoint-12 is not whole" in caplog.text


def test_truncated_missing_and_rewritten_files_are_noticed(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, 1)
    assert read_record(checkpoint) == {"files": {"model.safetensors": 100, "parts/optimizer.pt": 50}}
    (checkpoint / "model.safetensors").write_bytes(bytes(99))
    assert read_record(checkpoint) is None
    (checkpoint / "model.safetensors").unlink()
    assert read_record(checkpoint) is None
    (checkpoint / "model.safetensors").write_bytes(bytes(100))
    assert read_record(checkpoint) is not None
    mark_incomplete(checkpoint)
    assert read_record(checkpoint) is None


def test_no_whole_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no checkpoint"):
        last_complete_checkpoint(tmp_path)
    (tmp_path / "checkpoint-3").mkdir()
    with pytest.raises(ValueError, match=r"No checkpoint in .* is whole: checkpoint-3"):
        last_complete_checkpoint(tmp_path)


def test_old_checkpoints_are_deleted_but_not_the_best(tmp_path: Path) -> None:
    for step in (2, 4, 6, 8):
        write_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-10").mkdir()  # half-written by a run that was killed
    delete_old_checkpoints(tmp_path, None, step=8, best=None)
    delete_old_checkpoints(tmp_path, 2, step=8, best=str(tmp_path / "checkpoint-2"))
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-2", "checkpoint-8", "checkpoint-10"}
    delete_old_checkpoints(tmp_path, 1, step=8, best=None)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-8", "checkpoint-10"}
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-8")


def test_other_global_batches_are_refused(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, 1)
    batches = {"batch_seconds": 60.0, "batches_per_update": 4}
    with pytest.raises(ValueError, match=r"batches of clips, and this one has .*60"):
        check_same_batches(checkpoint, batches)
    mark_complete(checkpoint, batches)
    check_same_batches(checkpoint, batches)
    with pytest.raises(ValueError, match="would not go on with the same data"):
        check_same_batches(checkpoint, batches | {"batches_per_update": 8})
    with pytest.raises(ValueError, match=r"this one has .*'pad_to_multiple_of': 1"):
        check_same_batches(checkpoint, batches | {"pad_to_multiple_of": 1.0})


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("recordings"), count=12)


def arguments(recordings: Path, output_dir: Path, *flags: str) -> list[str]:
    return [
        *("--model_size", "tiny", "--data", str(recordings), "--output_dir", str(output_dir), "--min_seconds", "0.3"),
        *("--max_steps", "6", "--save_steps", "2", "--logging_steps", "1", "--batch_seconds", "2.4", *QUICK, *flags),
    ]


def losses(output_dir: Path) -> list[float]:
    return [entry["loss"] for entry in read_json(output_dir / "trainer_state.json")["log_history"] if "loss" in entry]


def test_sigterm_saves_and_the_run_goes_on(recordings: Path, tmp_path: Path) -> None:
    script = load_script("pretrain_speech")
    script.main(arguments(recordings, tmp_path / "whole"))

    code = (
        "import os, signal, runpy, sys, transformers\n"
        "class Ender(transformers.TrainerCallback):\n"
        "    def on_step_begin(self, args, state, control, **kwargs):\n"
        "        if state.global_step == 2: os.kill(os.getpid(), signal.SIGTERM)\n"
        "transformers.trainer.DEFAULT_CALLBACKS.append(Ender)\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", code, str(SCRIPTS / "pretrain_speech.py")]
    result = subprocess.run(
        [*command, *arguments(recordings, tmp_path / "out")], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 128 + signal.SIGTERM, result.stderr[-2000:]
    assert "Saved checkpoint-3" in result.stderr
    assert not (tmp_path / "out" / "model.safetensors").exists()  # it did not pretend to have finished
    script.main(arguments(recordings, tmp_path / "out", "--resume_from_checkpoint", "last"))
    assert losses(tmp_path / "out") == losses(tmp_path / "whole")


def test_full_disk_leaves_the_last_checkpoint(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optimizer's state of the second checkpoint finds no room on the disk."""
    save = torch.save

    def save_until_full(state: object, path: str, *args: object, **kwargs: object) -> None:
        if "checkpoint-4" in str(path) and str(path).endswith("optimizer.pt"):
            Path(path).write_bytes(bytes(10))
            raise OSError(28, os.strerror(28), path)
        save(state, path, *args, **kwargs)

    script = load_script("pretrain_speech")
    monkeypatch.setattr(torch, "save", save_until_full)
    with pytest.raises(CheckpointError, match=r"checkpoint-4 could not be written .*No space left on device"):
        script.main(arguments(recordings, tmp_path, "--save_total_limit", "1"))
    monkeypatch.undo()
    assert not (tmp_path / "checkpoint-4" / COMPLETE_NAME).exists()
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")
    script.main(arguments(recordings, tmp_path, "--save_total_limit", "1", "--resume_from_checkpoint", "last"))
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-6"]
    assert json.loads((tmp_path / "checkpoint-6" / COMPLETE_NAME).read_text())["batches_per_update"] == 1


class LimitFileSizes(TrainerCallback):
    """From the third step on no file may have more than half the size of the optimizer's state."""

    def __init__(self, output_dir: Path):
        self.state_path = output_dir / "checkpoint-2" / "optimizer.pt"

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        if state.global_step == 2:
            limit = self.state_path.stat().st_size // 2
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def test_refused_writes_leave_the_last_checkpoint(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system itself refuses to write more, in the middle of a file."""
    callbacks = [*trainer_module.DEFAULT_CALLBACKS, LimitFileSizes(tmp_path)]
    monkeypatch.setattr(trainer_module, "DEFAULT_CALLBACKS", callbacks)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(CheckpointError, match=r"checkpoint-4 could not be written .* GB are free"):
            load_script("pretrain_speech").main(arguments(recordings, tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")
