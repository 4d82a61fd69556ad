# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Uploads of checkpoints that fail while the next one begins; those of the client itself are in tests/hub."""

import logging
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from transformers import Trainer
from transformers.utils import PushInProgress

from hf_ssl.training.trainer import AudioTrainer


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    trainer = AudioTrainer.__new__(AudioTrainer)
    trainer.args = SimpleNamespace(hub_always_push=False, output_dir=str(tmp_path))
    monkeypatch.setattr(AudioTrainer, "is_world_process_zero", lambda self: True)
    return trainer


@pytest.mark.parametrize("fails_in_time", [True, False])
def test_a_push_that_fails_while_the_next_begins_is_reported_once(
    trainer, fails_in_time, tmp_path, monkeypatch, caplog
):
    first, second = Future(), Future()
    trainer.push_in_progress = PushInProgress([first])

    def push(self, folder):
        """As transformers: pushes that have ended are forgotten."""
        if fails_in_time:
            first.set_exception(RuntimeError("no space"))
        if self.push_in_progress.is_done():
            self.push_in_progress = PushInProgress([second])
        else:
            self.push_in_progress.jobs.append(second)

    monkeypatch.setattr(Trainer, "_push_from_checkpoint", push)
    with caplog.at_level(logging.WARNING, logger="hf_ssl"):
        trainer._push_from_checkpoint(str(tmp_path))
        if not fails_in_time:
            assert not caplog.messages
            first.set_exception(RuntimeError("no space"))
        second.set_result(None)
        trainer.hub_model_id = "ada/new"
        trainer.wait_for_pushes()
    assert [message for message in caplog.messages if "no space" in message] == [
        "A push during training failed, and the next one will make up for it. RuntimeError: no space"
    ]
