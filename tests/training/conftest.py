# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fixtures of the tests of training."""

from pathlib import Path

import datasets
import pytest
from training_helpers import write_metadata, write_recordings
from transformers import Wav2Vec2FeatureExtractor, set_seed

from hf_ssl import BestRqFeatureExtractor, BestRqForPreTraining, Data2Vec2AudioForPreTraining
from hf_ssl.training.model_sizes import best_rq_config, data2vec2_audio_config


@pytest.fixture(autouse=True)
def local_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps what `datasets` prepares from the tests' files out of the user's cache, and keeps it quick."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.01)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "recordings")


@pytest.fixture
def transcribed(tmp_path: Path) -> Path:
    return write_metadata(write_recordings(tmp_path / "transcribed"))


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """The folder of a tiny model, as pre-training saves it; its weights are large enough to tell inputs apart."""
    set_seed(0)
    folder = tmp_path / "pretrained"
    Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny", initializer_range=0.1)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder)
    return folder


@pytest.fixture
def pretrained_best_rq(tmp_path: Path) -> Path:
    """The folder of a tiny BEST-RQ model, as pre-training saves it."""
    set_seed(0)
    BestRqForPreTraining(best_rq_config("tiny")).save_pretrained(tmp_path / "pretrained_best_rq")
    BestRqFeatureExtractor().save_pretrained(tmp_path / "pretrained_best_rq")
    return tmp_path / "pretrained_best_rq"
