# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""FSDP2: student and teacher sharded alike train as the whole model does, and save what `from_pretrained` loads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hf_ssl import Data2Vec2AudioForPreTraining, Data2Vec2AudioModel

WORKER = Path(__file__).parent / "sharded_worker.py"


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [2, 4])
def test_sharded_training_is_training(num_processes: int, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(num_processes)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # with the tests' own modules
    result = subprocess.run(
        [*launcher, str(WORKER), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    model = Data2Vec2AudioForPreTraining.from_pretrained(tmp_path)
    assert int(model.teacher.num_updates) == 3
    assert torch.isfinite(model(torch.randn(1, 4000)).loss)
    assert Data2Vec2AudioModel.from_pretrained(tmp_path, output_loading_info=True)[1]["missing_keys"] == set()
