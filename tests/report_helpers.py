# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the tests of the report share: what training leaves in a folder, written by hand."""

import json
import struct
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, Wav2Vec2FeatureExtractor

HOSTILE = '<script>document.title="hacked"</script><img src="https://example.com/x" onerror="alert(1)">'


def a_log(num_entries: int = 40) -> list[dict[str, Any]]:
    """A loss that falls with noise, figures of targets, and the entry of the end."""
    log: list[dict[str, Any]] = [
        {
            "step": 10 * (index + 1),
            "epoch": 0.1 * index,
            "loss": 4.0 / (1 + 0.1 * index) + 0.01 * (index % 3),
            "target_std": 0.6,
            "prediction_std": 0.3,
            "between_utterance_share": 0.5,
            "learning_rate": 1e-3 - 2e-5 * index,
            "grad_norm": 1.0 + 0.5 * (index % 2),
            "audio_seconds_per_second": 20.0,
            "health/rankme": 10.0 + index,
        }
        for index in range(num_entries)
    ]
    return [*log, {"step": 10 * num_entries, "train_loss": 1.0, "train_runtime": 75.0}]


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def write_lines(path: Path, values: list[Any]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def write_header(path: Path, shapes: dict[str, list[int]]) -> None:
    """A file of weights whose weights are missing: only its header is to be read."""
    header = json.dumps({name: {"shape": shape} for name, shape in shapes.items()}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def save_run(folder: Path, model: PreTrainedModel, preprocessor: Any) -> Path:
    """A folder as after 400 updates, of a model that was not trained."""
    model.save_pretrained(folder)
    preprocessor.save_pretrained(folder)
    write_json(folder / "trainer_state.json", {"global_step": 400, "max_steps": 400, "log_history": a_log()})
    return folder


def waveforms() -> Wav2Vec2FeatureExtractor:
    return Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
