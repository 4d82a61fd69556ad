# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Features of splits, and their files."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_ssl.evaluation.encoders import FrozenEncoder, load_frozen_encoder
from hf_ssl.evaluation.features import cached_features, extract_features
from hf_ssl.evaluation.items import Clip, Text


@pytest.fixture
def items(recordings: Path) -> list[Clip]:
    return [Clip(str(path), 0.0, 0.4) for path in sorted((recordings / "train").glob("*.wav"))[:3]]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many items were encoded, each time."""
    counts: list[int] = []
    original = FrozenEncoder.represent
    monkeypatch.setattr(
        FrozenEncoder, "represent", lambda self, items: counts.append(len(items)) or original(self, items)
    )
    return counts


@pytest.mark.parametrize("all_frames", [True, False])
def test_files_hold_what_was_encoded(
    wav2vec2: Path, items: list[Clip], tmp_path: Path, runs: list[int], all_frames: bool
) -> None:
    encoder = load_frozen_encoder(str(wav2vec2))
    plain = extract_features(encoder, items, all_frames=all_frames)
    for _ in range(2):
        cached = cached_features(encoder, items, tmp_path / "cache", all_frames=all_frames)
        assert all(map(torch.equal, cached.frames, plain.frames))
        assert np.array_equal(cached.statistics, plain.statistics)
    assert len(cached.frames) == 3
    assert runs == [3, 3]  # plain, and once for two
    again = load_frozen_encoder(str(wav2vec2))
    cached_features(again, items, tmp_path / "cache", all_frames=all_frames)
    assert runs == [3, 3]


def test_whatever_changes_is_encoded_anew(wav2vec2: Path, items: list[Clip], tmp_path: Path, runs: list[int]) -> None:
    encoder, cache = load_frozen_encoder(str(wav2vec2)), tmp_path / "cache"
    cached_features(encoder, items, cache)
    cached_features(encoder, items[:2], cache)
    cached_features(encoder, items, cache, all_frames=True)
    assert runs == [3, 2, 3]
    os.utime(items[0].source, ns=(0, 0))  # written again
    cached_features(encoder, items, cache)
    with torch.no_grad():
        next(encoder.model.parameters()).add_(0.1)
    cached_features(encoder, items, cache)
    encoder.processor.do_normalize = False
    cached_features(encoder, items, cache)
    assert runs == [3, 2, 3, 3, 3, 3]


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
def test_broken_files_are_told_of_and_replaced(
    wav2vec2: Path,
    items: list[Clip],
    tmp_path: Path,
    runs: list[int],
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
) -> None:
    encoder, cache = load_frozen_encoder(str(wav2vec2)), tmp_path / "cache"
    whole = cached_features(encoder, items, cache)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-8] if content is None else content)
    with caplog.at_level(logging.WARNING, logger="hf_ssl"):
        again = cached_features(encoder, items, cache)
    assert "are broken" in caplog.text
    assert np.array_equal(again.statistics, whole.statistics)
    cached_features(encoder, items, cache)
    assert runs == [3, 3]
    assert list(cache.iterdir()) == [file]


def test_diverged_models_are_named(roberta: Path) -> None:
    encoder = load_frozen_encoder(str(roberta))
    with torch.no_grad():
        next(encoder.model.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="'red' hold NaN"):
        extract_features(encoder, [Text("red")])
    with pytest.raises(ValueError, match="at least one item"):
        extract_features(encoder, [])
