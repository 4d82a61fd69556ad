# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fixtures of the tests of the report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from report_helpers import a_log, write_header, write_json


@pytest.fixture(autouse=True)
def local_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps what `datasets` prepares out of the user's cache, and keeps it quick."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.01)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """`make_run(log_history=..., config=...)`: the folder of a run of data2vec 2.0 on speech."""

    def make(log_history: Any = None, config: dict[str, Any] | None = None, **state: Any) -> Path:
        folder = tmp_path / "run"
        folder.mkdir()
        log = a_log() if log_history is None else log_history
        write_json(
            folder / "trainer_state.json",
            {"global_step": 400, "max_steps": 400, "epoch": 4.0, "log_history": log, **state},
        )
        fields = {
            "model_type": "data2vec2-audio",
            "architectures": ["Data2Vec2AudioForPreTraining"],
            "hidden_size": 64,
        }
        write_json(folder / "config.json", fields if config is None else config)
        write_header(folder / "model.safetensors", {"trunk.weight": [3, 4], "teacher.weight": [3, 4]})
        return folder

    return make
