# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of a run from which somebody else wants to run something when it is resumed."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from conversion.test_hostile_files import Call
from training.test_resume import StopAt, make_trainer
from training_helpers import write_recordings

from hf_ssl.training.checkpoints import last_complete_checkpoint


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("recordings"), count=8)


@pytest.fixture
def checkpoint(recordings: Path, tmp_path: Path) -> Path:
    trainer = make_trainer(recordings, tmp_path / "run", seed_of_weights=0, num_workers=0)
    trainer.add_callback(StopAt(1))
    trainer.train()
    return Path(last_complete_checkpoint(tmp_path / "run"))


def test_gadgets_in_a_checkpoint(checkpoint: Path, recordings: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    gadget = {"state": Call(os.system, f"touch {canary}")}
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        sound = (checkpoint / name).read_bytes()
        torch.save(gadget, checkpoint / name)
        trainer = make_trainer(recordings, tmp_path / "run", seed_of_weights=1, num_workers=0)
        with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
            trainer.train(resume_from_checkpoint=str(checkpoint))
        assert not canary.exists(), name
        (checkpoint / name).write_bytes(sound)


def test_pickled_arguments_are_not_read(checkpoint: Path, recordings: Path, tmp_path: Path) -> None:
    """`training_args.bin` is a pickle of a class, written by transformers for people to look at."""
    canary = tmp_path / "canary"
    torch.save(Call(os.system, f"touch {canary}"), checkpoint / "training_args.bin")
    trainer = make_trainer(recordings, tmp_path / "run", seed_of_weights=1, num_workers=0)
    trainer.add_callback(StopAt(2))
    trainer.train(resume_from_checkpoint=str(checkpoint))
    assert trainer.state.global_step == 2
    assert not canary.exists()


def test_a_changed_checkpoint_is_not_the_last_one(checkpoint: Path, tmp_path: Path) -> None:
    """Its files have other sizes than were written down."""
    torch.save({"state": Call(os.system, f"touch {tmp_path / 'canary'}")}, checkpoint / "optimizer.pt")
    with pytest.raises(ValueError, match=r"No checkpoint in .* is whole"):
        last_complete_checkpoint(tmp_path / "run")
    assert not (tmp_path / "canary").exists()
