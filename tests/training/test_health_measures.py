# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Health of representations in the log: measured for every family, and without any effect on training."""

import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.utils import DistributedType
from training_helpers import QUICK, SCRIPTS, load_script, read_json, write_images, write_recordings

from hf_ssl import Data2Vec2AudioForPreTraining
from hf_ssl.evaluation.encoders import load_frozen_encoder
from hf_ssl.evaluation.items import LoadedClip
from hf_ssl.training import RepresentationHealthCallback
from hf_ssl.training.arguments import PreTrainingArguments
from hf_ssl.training.health_measures import evaluation_mode, measure_last_layer, unchanged_random_state
from hf_ssl.training.model_sizes import data2vec2_audio_config

SPEECH = ["data2vec2-audio", "best-rq", "data2vec-aqc", "data2vec-audio"]
MEASURES = {"rankme", "collapse_auc", "isoscore", "mean_share", "between_item_share", "within_item_share",
            "position_share"}  # fmt: skip


def pretrain(script: str, output_dir: Path, *flags: Any):
    common = ["--model_size", "tiny", "--max_steps", "4", "--logging_steps", "2", "--learning_rate", "1e-3"]
    common += ["--per_device_train_batch_size", "4", "--save_strategy", "no", "--output_dir", str(output_dir), *QUICK]
    return load_script(script).main([*common, *map(str, flags)])


def measured(trainer) -> dict[int, dict[str, float]]:
    """Measures by the update that they were logged after."""
    return {
        entry["step"]: {name.removeprefix("health/"): value for name, value in entry.items() if "health/" in name}
        for entry in trainer.state.log_history
        if "health/rankme" in entry
    }


def losses(trainer) -> list[dict[str, float]]:
    """What was logged of training, without times."""
    return [
        {name: value for name, value in entry.items() if not name.endswith("per_second")}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]


def assert_training_does_not_notice(script: str, folder: Path, *flags: Any) -> None:
    """Nor do the guards, which would stop it."""
    plain = pretrain(script, folder / "plain", *flags)
    watched = pretrain(script, folder / "watched", *flags, "--health_measures_steps", 1, "--health_guard", "stop")
    assert losses(watched) == losses(plain)
    assert losses(plain)[-1]["step"] == 4
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, watched.model.state_dict()[name]), name
    assert not measured(plain)
    assert list(measured(watched)) == [0, 1, 2, 3, 4]
    assert all(set(figures) == MEASURES for figures in measured(watched).values())
    assert measured(watched)[4] != measured(watched)[0]


@pytest.mark.parametrize("model_type", SPEECH)
def test_training_on_speech_does_not_notice(model_type: str, tmp_path: Path) -> None:
    recordings = write_recordings(tmp_path / "recordings", count=8)
    flags = ("--data", recordings, "--min_seconds", 0.3, "--model_type", model_type)
    assert_training_does_not_notice("pretrain_speech", tmp_path, *flags)


def test_training_on_images_does_not_notice(tmp_path: Path) -> None:
    assert_training_does_not_notice("pretrain_vision", tmp_path, "--data", write_images(tmp_path / "images"))


def test_training_on_text_does_not_notice(tmp_path: Path) -> None:
    words = np.random.default_rng(0).choice(["good", "poor", "day", "fine"], (200, 6))
    (tmp_path / "text.txt").write_text("\n".join(map(" ".join, words)) + "\n")
    flags = ("--data", tmp_path / "text.txt", "--train_tokenizer", 280, "--block_size", 16)
    assert_training_does_not_notice("pretrain_text", tmp_path, *flags)


def test_a_resumed_run_measures_the_same_items(tmp_path: Path) -> None:
    recordings = write_recordings(tmp_path / "recordings", count=40)
    flags = ["--data", recordings, "--min_seconds", 0.3, "--health_measures_steps", 2, "--save_steps", 2]
    whole = pretrain("pretrain_speech", tmp_path / "run", *flags, "--save_strategy", "steps")
    resumed = pretrain(
        "pretrain_speech", tmp_path / "run", *flags, "--resume_from_checkpoint", tmp_path / "run" / "checkpoint-2"
    )
    assert measured(resumed) == measured(whole)
    assert list(measured(whole)) == [0, 2, 4]


def test_figures_are_those_of_the_saved_encoder_on_the_evaluation_data(tmp_path: Path) -> None:
    recordings, others = write_recordings(tmp_path / "a", count=8), write_recordings(tmp_path / "b", count=5, seed=1)
    flags = ("--data", recordings, "--eval_data", others, "--min_seconds", 0.3, "--health_measures_steps", 4)
    trainer = pretrain("pretrain_speech", tmp_path / "run", *flags)
    encoder = load_frozen_encoder(str(tmp_path / "run"), batch_size=1)
    items = [LoadedClip(example["input_values"], 16_000) for example in trainer.eval_dataset]
    assert len(items) == 5
    assert measured(trainer)[4] == measure_last_layer(encoder, items).measures()


def launch(recordings: Path, output_dir: Path, steps: int | None = None) -> list[dict[str, float]]:
    """Pre-trains in two processes; returns the log but for its last entry, that of the whole run."""
    arguments = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    arguments += [str(SCRIPTS / "pretrain_speech.py"), "--model_size", "tiny", "--data", str(recordings), *QUICK]
    arguments += ["--output_dir", str(output_dir), "--min_seconds", "0.3", "--max_steps", "8", "--logging_steps", "2"]
    arguments += ["--per_device_train_batch_size", "2", "--save_strategy", "no"]
    arguments += [] if steps is None else ["--health_measures_steps", str(steps)]
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return read_json(output_dir / "trainer_state.json")["log_history"][:-1]


@pytest.mark.slow
def test_two_processes_wait_for_the_one_that_measures(tmp_path: Path) -> None:
    recordings = write_recordings(tmp_path / "recordings", count=16)
    plain, watched = launch(recordings, tmp_path / "plain"), launch(recordings, tmp_path / "watched", 3)
    assert [entry["loss"] for entry in watched if "loss" in entry] == [entry["loss"] for entry in plain]
    assert [entry["step"] for entry in watched if "health/rankme" in entry] == [0, 3, 6]


def test_every_module_keeps_its_mode() -> None:
    model = Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny")).train()
    modes = {name: module.training for name, module in model.named_modules()}
    assert set(modes.values()) == {True, False}  # the teacher is never trained
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
    assert {name: module.training for name, module in model.named_modules()} == modes


def test_the_random_state_is_put_back_also_after_an_error() -> None:
    def draw_and_fail() -> None:
        with unchanged_random_state():
            draw()
            raise ValueError("nothing")

    def draw() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(()).item()

    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    expected = draw()
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    with pytest.raises(ValueError, match="nothing"):
        draw_and_fail()
    assert draw() == expected


def test_what_cannot_be_measured(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(
        accelerator=SimpleNamespace(distributed_type=DistributedType.NO),
        eval_dataset=None, train_dataset=[{"pixels": 1}], processing_class=None,
    )  # fmt: skip
    state: Any = SimpleNamespace(global_step=1, is_world_process_zero=True)
    callback, nothing = RepresentationHealthCallback(trainer, 10), SimpleNamespace()
    with pytest.raises(ValueError, match="but they have 'pixels'"):
        callback.on_train_begin(nothing, state, nothing)
    trainer.accelerator.distributed_type = DistributedType.FSDP
    with pytest.raises(ValueError, match="which none has with FSDP"):
        callback.on_train_begin(nothing, state, nothing)
    with pytest.raises(ValueError, match="--health_measures_steps must be 1 or more, got 0"):
        PreTrainingArguments(output_dir=str(tmp_path), health_measures_steps=0)
