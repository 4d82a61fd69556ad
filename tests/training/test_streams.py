# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import pytest
from transformers import Wav2Vec2FeatureExtractor

from hf_ssl import BestRqConfig, BestRqFeatureExtractor
from hf_ssl.training.streams import warn_of_features_without_streams

OF_STREAMS = BestRqFeatureExtractor(normalization="none", top_db=None)


@pytest.mark.parametrize("settings", [{"chunk_size": 16}, {"conv_causal": True}])
def test_a_model_for_streams_needs_features_that_streams_have(
    settings: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_features_without_streams(BestRqConfig(**settings), OF_STREAMS)
    assert not caplog.records
    warn_of_features_without_streams(BestRqConfig(**settings), BestRqFeatureExtractor())
    assert "will not read streams" in caplog.text
    assert "feature_statistics.py --streaming_model" in caplog.text


def test_models_for_whole_recordings_may_have_any(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_features_without_streams(BestRqConfig(dynamic_chunk_prob=0.6), BestRqFeatureExtractor())
    warn_of_features_without_streams(BestRqConfig(), Wav2Vec2FeatureExtractor())
    assert not caplog.records
