# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The configurations for `accelerate launch` are what accelerate reads; the SLURM script goes on where a job ended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from training_helpers import QUICK, SCRIPTS, read_json, write_recordings

CONFIGS = SCRIPTS / "accelerate"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_reads_the_configuration(path: Path) -> None:
    config = load_config_from_file(str(path))
    assert config.num_processes >= config.num_machines >= 1
    assert path.name in path.read_text(encoding="utf-8").split("compute_environment")[0]  # its command names it


def test_fsdp_wraps_layers_of_the_model() -> None:
    fsdp = load_config_from_file(str(CONFIGS / "fsdp2.yaml")).fsdp_config
    assert fsdp["fsdp_version"] == 2
    assert fsdp["fsdp_auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"


@pytest.mark.slow
def test_two_processes_on_cpus(tmp_path: Path) -> None:
    recordings = write_recordings(tmp_path / "recordings")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / "cpu_gloo.yaml")]
    arguments = ["--model_size", "tiny", "--data", str(recordings), "--output_dir", str(tmp_path / "out"), *QUICK]
    arguments += ["--min_seconds", "0.3", "--max_steps", "2", "--batch_seconds", "3", "--save_strategy", "no"]
    result = subprocess.run(
        [*launch, str(SCRIPTS / "pretrain_speech.py"), *arguments],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert read_json(tmp_path / "out" / "trainer_state.json")["global_step"] == 2


FAKE_SLURM = {
    "scontrol": '#!/bin/bash\nif [ "$1" = show ]; then echo node1; else echo "requeued $2" >> "$LOG"; fi\n',
    # what srun would run: kept in a log, then it waits for the signal that the time is up
    "srun": '#!/bin/bash\necho "$@" >> "$LOG"\n[ -z "$LONG" ] && exit "$STATUS"\ntrap "exit 143" TERM\n'
    'echo ready >> "$LOG"\nwhile true; do sleep 0.05; done\n',
}


def submit(tmp_path: Path, *, is_long: bool, status: int = 0) -> tuple[subprocess.Popen, Path]:
    commands = tmp_path / "bin"
    commands.mkdir(exist_ok=True)
    for name, text in FAKE_SLURM.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    log = tmp_path / "log"
    environment = os.environ | {"PATH": f"{commands}:{os.environ['PATH']}", "LOG": str(log), "STATUS": str(status)}
    environment |= {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_ID": "7", "LONG": "yes" if is_long else ""}
    command = ["bash", str(CONFIGS / "slurm.sbatch"), "recipe.yaml", "--output_dir", str(tmp_path / "out")]
    return subprocess.Popen(command, env=environment), log


def test_slurm_job_begins_then_goes_on(tmp_path: Path) -> None:
    process, log = submit(tmp_path, is_long=False)
    assert process.wait(timeout=60) == 0
    assert "--resume_from_checkpoint" not in log.read_text()
    (tmp_path / "out" / "checkpoint-5").mkdir(parents=True)
    (tmp_path / "out" / "checkpoint-5" / "complete.json").write_text("{}")
    process, log = submit(tmp_path, is_long=False)
    assert process.wait(timeout=60) == 0
    assert "recipe.yaml --output_dir" in log.read_text()
    assert "--resume_from_checkpoint last" in log.read_text()


def test_slurm_job_that_failed_is_not_queued_again(tmp_path: Path) -> None:
    process, log = submit(tmp_path, is_long=False, status=1)
    assert process.wait(timeout=60) == 1
    assert "requeued" not in log.read_text()


def test_slurm_job_whose_time_is_up_is_queued_again(tmp_path: Path) -> None:
    process, log = submit(tmp_path, is_long=True)
    for _ in range(600):
        if log.exists() and "ready" in log.read_text():
            break
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
    process.terminate()
    assert process.wait(timeout=60) != 0
    assert "requeued 7" in log.read_text()
