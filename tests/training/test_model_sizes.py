# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import pytest

from hf_ssl import BestRqConfig, Data2Vec2AudioConfig, Data2VecAqcConfig
from hf_ssl.training.model_sizes import best_rq_config, data2vec2_audio_config, data2vec_aqc_config


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


def test_best_rq_base_is_the_open_source_model():
    config = best_rq_config("base")
    assert config.to_dict() == BestRqConfig().to_dict()
    assert (config.hidden_size, config.num_attention_heads, config.num_hidden_layers) == (576, 8, 12)
    assert (config.intermediate_size, config.conv_kernel_size, list(config.conv_dim)) == (2048, 31, [128, 32])
    assert (config.codebook_size, config.codebook_dim, config.inputs_to_logits_ratio) == (8192, 16, 640)


def test_best_rq_sizes():
    assert best_rq_config("tiny", mask_length=4).mask_length == 4
    assert best_rq_config("small").inputs_to_logits_ratio == best_rq_config("base").inputs_to_logits_ratio
    with pytest.raises(ValueError, match="tiny, small or base, got 'large'"):
        best_rq_config("large")


def test_data2vec_aqc_sizes():
    assert data2vec_aqc_config("base").to_dict() == Data2VecAqcConfig().to_dict()
    base = data2vec_aqc_config("base")
    assert (base.proj_codevector_dim, base.num_negatives, base.cluster_factor, base.scale_factor) == (
        256,
        100,
        16,
        0.3,
    )
    assert data2vec_aqc_config("small").inputs_to_logits_ratio == base.inputs_to_logits_ratio
    with pytest.raises(ValueError, match="tiny, small or base, got 'large'"):
        data2vec_aqc_config("large")
