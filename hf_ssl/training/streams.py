# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Models that are to recognise speech while it is spoken."""

from typing import Any

from transformers import PretrainedConfig
from transformers.utils import logging

from ..models.feature_extraction_best_rq import BestRqFeatureExtractor
from ..models.streaming_log_mel import stream_normalization

logger = logging.get_logger(__name__)


def warn_of_features_without_streams(config: PretrainedConfig, feature_extractor: Any) -> None:
    """Says before training what `hf-ssl transcribe --stream` would refuse after it.

    Args:
        config: One with chunks or causal convolutions is of a model for streams.
        feature_extractor: That of the training.
    """
    is_for_streams = getattr(config, "chunk_size", None) is not None or getattr(config, "conv_causal", False)
    if not is_for_streams or not isinstance(feature_extractor, BestRqFeatureExtractor):
        return
    try:
        stream_normalization(feature_extractor)
    except ValueError as error:
        logger.warning(f"The model has chunks or causal convolutions, but will not read streams. {error}")
