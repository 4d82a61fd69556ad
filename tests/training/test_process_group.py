# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
from pathlib import Path

import pytest
import torch.distributed

from hf_ssl.training.arguments import AudioTrainingArguments
from hf_ssl.training.running import run_script


@pytest.fixture
def group(tmp_path: Path):
    """A process group of one."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def test_a_script_that_is_done_leaves_its_process_group(group: None) -> None:
    was_there = []
    run_script(lambda argv: was_there.append(torch.distributed.is_initialized()))
    assert was_there == [True]
    assert not torch.distributed.is_initialized()


def test_a_script_that_fails_waits_for_nobody(group: None) -> None:
    """Others may be within a collective operation, in which leaving the group can wait for ever."""

    def fail(argv: object) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run_script(fail)
    assert torch.distributed.is_initialized()


def test_processes_that_do_not_find_each_other_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On CPUs and without `use_cpu`, launched processes each train alone, into the same folder."""
    AudioTrainingArguments(output_dir=str(tmp_path))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"2 processes were launched, .* give --use_cpu"):
        AudioTrainingArguments(output_dir=str(tmp_path))
