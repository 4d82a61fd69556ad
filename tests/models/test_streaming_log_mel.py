# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Log-mel of a stream: the same as of the whole recording, however it is cut, and no later than it has to be."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ssl import BestRqFeatureExtractor
from hf_ssl.models.streaming_log_mel import MelNormalization, StreamingLogMel, stream_normalization

STATISTICS = {
    "normalization": "dataset",
    "mean": torch.linspace(-50, -20, 80).tolist(),
    "std": torch.linspace(5, 20, 80).tolist(),
}
EXTRACTOR = BestRqFeatureExtractor(top_db=None, **STATISTICS)


def make_waveform(num_samples: int) -> torch.Tensor:
    waveform = 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(num_samples))
    waveform[num_samples // 3 : num_samples // 2] = 0  # digital silence
    return waveform


def stream(log_mel: StreamingLogMel, blocks: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([*(log_mel.add(block) for block in blocks), log_mel.finish()])


@settings(deadline=None, max_examples=60)
@given(num_samples=st.integers(1, 4000), cuts=st.lists(st.integers(0, 4000), max_size=30))
def test_stream_is_the_whole_recording_however_it_is_cut(num_samples: int, cuts: list[int]) -> None:
    waveform = make_waveform(num_samples)
    bounds = [0, *sorted(min(cut, num_samples) for cut in cuts), num_samples]
    blocks = [waveform[first:end] for first, end in itertools.pairwise(bounds)]
    log_mel = StreamingLogMel(EXTRACTOR, stream_normalization(EXTRACTOR))
    expected = EXTRACTOR(waveform, return_tensors="pt")["input_features"][0]
    for _ in range(2):  # a second stream begins anew
        torch.testing.assert_close(stream(log_mel, blocks), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("block_size", [1, 20, 160, 320, 401, 5000])
@pytest.mark.parametrize("options", [STATISTICS, {"normalization": "none"}], ids=["dataset", "none"])
def test_block_sizes(block_size: int, options: dict) -> None:
    extractor = BestRqFeatureExtractor(top_db=None, **options)
    waveform = make_waveform(5000)
    log_mel = StreamingLogMel(extractor, stream_normalization(extractor))
    expected = extractor(waveform, return_tensors="pt")["input_features"][0]
    torch.testing.assert_close(stream(log_mel, list(waveform.split(block_size))), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("win_length", "hop_length"), [(401, 160), (400, 400), (64, 50)])
def test_other_windows(win_length: int, hop_length: int) -> None:
    extractor = BestRqFeatureExtractor(
        win_length=win_length, hop_length=hop_length, feature_size=8, top_db=None, normalization="none"
    )
    waveform = make_waveform(3000)
    log_mel = StreamingLogMel(extractor, MelNormalization())
    expected = extractor.log_mel(waveform.unsqueeze(0))[0]
    torch.testing.assert_close(stream(log_mel, list(waveform.split(77))), expected, atol=1e-4, rtol=1e-5)


def test_mel_frames_come_with_the_last_sample_of_their_window() -> None:
    log_mel = StreamingLogMel(EXTRACTOR, MelNormalization())
    assert log_mel.look_ahead == 200  # 12.5 ms
    given = 0
    for instant in (0, 160, 320, 480):
        needed = instant + log_mel.look_ahead
        assert len(log_mel.add(torch.zeros(needed - 1 - given))) == 0
        assert len(log_mel.add(torch.zeros(1))) == 1
        given = needed


def test_memory_does_not_grow() -> None:
    log_mel = StreamingLogMel(EXTRACTOR, MelNormalization())
    for _ in range(50):
        log_mel.add(torch.zeros(999))
        assert log_mel._held.untyped_storage().nbytes() <= 4 * EXTRACTOR.win_length


def test_floor_of_a_recording_that_was_read_before() -> None:
    decibels = torch.tensor([[-100.0, -20.0]])
    assert MelNormalization(floor=-80.0)(decibels).tolist() == [[-80.0, -20.0]]
    scaled = MelNormalization(-80.0, torch.tensor([-70.0, 0.0]), torch.tensor([5.0, 10.0]))(decibels)
    assert scaled.tolist() == [[-2.0, -2.0]]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "`top_db=80.0` and `normalization='utterance'`"),
        ({"top_db": None}, "`top_db=None` and `normalization='utterance'`"),
        ({"top_db": None, "normalization": "recipe"}, "`normalization='recipe'`"),
        (STATISTICS, "`top_db=80.0` and `normalization='dataset'`"),
    ],
)
def test_what_needs_the_whole_recording_is_refused(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=r"feature_statistics.py --streaming_model") as caught:
        stream_normalization(BestRqFeatureExtractor(**options))
    assert named in str(caught.value)


def test_gaps_between_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="without gaps"):
        StreamingLogMel(BestRqFeatureExtractor(win_length=100, hop_length=160), MelNormalization())
