# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import pytest

from hf_ssl import Data2Vec2AudioConfig
from hf_ssl.training.model_sizes import data2vec2_audio_config


def test_base_is_the_configurations_default():
    assert data2vec2_audio_config("base").to_dict() == Data2Vec2AudioConfig().to_dict()


def test_large_as_published():
    config = data2vec2_audio_config("large")
    assert (config.num_prenet_layers, config.num_hidden_layers, config.average_top_k_layers) == (8, 16, 16)
    assert (config.num_masks, config.mask_prob, config.mask_prob_adjust) == (12, 0.55, 0.1)
    assert (config.ema_decay, config.ema_end_decay, config.ema_anneal_end_step) == (0.9997, 1.0, 300_000)


def test_small_keeps_the_published_frame_rate():
    assert data2vec2_audio_config("small").inputs_to_logits_ratio == Data2Vec2AudioConfig().inputs_to_logits_ratio


def test_overrides_win():
    assert data2vec2_audio_config("tiny", num_masks=5).num_masks == 5


def test_unknown_size():
    with pytest.raises(ValueError, match="tiny, small, base or large, got 'huge'"):
        data2vec2_audio_config("huge")
