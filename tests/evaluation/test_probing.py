# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Frozen features and the probes on them."""

import sys

import numpy as np
import pytest
import torch
from transformers import (
    HubertConfig,
    HubertModel,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from hf_ssl import BestRqFeatureExtractor, BestRqModel
from hf_ssl.evaluation.probing import extract_pooled_features, linear_probe, log_mel_features
from hf_ssl.training.model_sizes import best_rq_config

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8, 8),
    "conv_kernel": (10, 8),
    "conv_stride": (10, 8),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}


def tiny_wav2vec2(**options: object) -> Wav2Vec2Model:
    torch.manual_seed(0)
    return Wav2Vec2Model(Wav2Vec2Config(**(SIZES | {"feat_extract_norm": "layer"} | options)))


def extractor(return_attention_mask: bool = True) -> Wav2Vec2FeatureExtractor:
    return Wav2Vec2FeatureExtractor(return_attention_mask=return_attention_mask)


def noise_clips(*lengths: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.standard_normal(length, dtype=np.float32) for length in lengths]


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("family", ["wav2vec2", "hubert"])
def test_padding_changes_nothing(family: str, norm: str) -> None:
    torch.manual_seed(0)
    options = SIZES | {"feat_extract_norm": norm}
    model: PreTrainedModel = (
        Wav2Vec2Model(Wav2Vec2Config(**options)) if family == "wav2vec2" else HubertModel(HubertConfig(**options))
    )
    feature_extractor = extractor(return_attention_mask=norm == "layer")
    clips = noise_clips(1600, 4000, 2345, 4000)
    together = extract_pooled_features(model, feature_extractor, clips)
    for index, clip in enumerate(clips):
        alone = extract_pooled_features(model, feature_extractor, [clip])
        np.testing.assert_allclose(together[:, index], alone[:, 0], atol=2e-5)


def test_log_mel_models_are_pooled_over_their_own_frames() -> None:
    torch.manual_seed(0)
    model, feature_extractor = BestRqModel(best_rq_config("tiny")), BestRqFeatureExtractor()
    clips = noise_clips(8000, 4000, 2345, 8000)
    together = extract_pooled_features(model, feature_extractor, clips)
    assert together.shape == (3, 4, 64)
    for index, clip in enumerate(clips):
        alone = extract_pooled_features(model, feature_extractor, [clip])
        np.testing.assert_allclose(together[:, index], alone[:, 0], atol=1e-4)


def test_clip_without_a_frame_of_a_log_mel_model_is_named() -> None:
    model = BestRqModel(best_rq_config("tiny"))
    with pytest.raises(ValueError, match="Clip 1 has 400 samples, too few for one frame of BestRqModel"):
        extract_pooled_features(model, BestRqFeatureExtractor(), noise_clips(4000, 400))


def test_features_are_mean_and_deviation_of_the_hidden_states() -> None:
    model, clip = tiny_wav2vec2().eval(), noise_clips(2000)[0]
    inputs = extractor()(clip, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        layers = model(**inputs, output_hidden_states=True).hidden_states
    features = extract_pooled_features(model, extractor(), [clip])
    assert features.shape == (3, 1, 32)
    assert features.dtype == np.float32
    expected = np.stack([np.concatenate([layer[0].mean(0), layer[0].std(0, correction=0)]) for layer in layers])
    np.testing.assert_allclose(features[:, 0], expected, atol=1e-5)


def test_batch_size_changes_nothing() -> None:
    model, clips = tiny_wav2vec2(), noise_clips(1600, 3000, 2000, 5000)
    one_by_one = extract_pooled_features(model, extractor(), clips, batch_seconds=0.01)
    np.testing.assert_allclose(extract_pooled_features(model, extractor(), clips), one_by_one, atol=2e-5)


def test_every_module_keeps_its_mode() -> None:
    model = tiny_wav2vec2(hidden_dropout=0.5).train()
    model.feature_extractor.eval()
    modes = [module.training for module in model.modules()]
    first = extract_pooled_features(model, extractor(), noise_clips(2000))
    assert [module.training for module in model.modules()] == modes
    # Dropout was off, or the second pass would differ.
    np.testing.assert_array_equal(extract_pooled_features(model, extractor(), noise_clips(2000)), first)


def test_modes_come_back_after_an_error() -> None:
    model = tiny_wav2vec2(add_adapter=True, output_hidden_size=16).train()
    with pytest.raises(ValueError, match="adapter"):
        extract_pooled_features(model, extractor(), noise_clips(4000))
    assert model.training


def test_clip_without_a_frame_is_named() -> None:
    with pytest.raises(ValueError, match="Clip 1 has 50 samples, too few"):
        extract_pooled_features(tiny_wav2vec2(), extractor(), [np.zeros(2000), np.zeros(50)])


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([], "at least one waveform"),
        ([np.zeros((2, 4000))], "mono"),
        ([np.zeros(0)], "mono"),
        ([np.ones(4000), np.full(4000, np.nan)], "Clip 1 holds NaN"),
    ],
)
def test_bad_waveforms_are_named(clips: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        extract_pooled_features(tiny_wav2vec2(), extractor(), clips)
    with pytest.raises(ValueError, match=message):
        log_mel_features(clips)


def test_log_mel_tells_high_tones_from_low_and_ignores_level() -> None:
    times = np.arange(8000) / 16000
    low, high = np.sin(2 * np.pi * 300 * times), np.sin(2 * np.pi * 5000 * times)
    features = log_mel_features([low, 0.1 * low, high])
    assert features.shape == (1, 3, 160)
    np.testing.assert_allclose(features[0, 0], features[0, 1], atol=0.1)  # rounding shows in empty bands
    assert features[0, 0, :80].argmax() < 20
    assert features[0, 2, :80].argmax() > 60


def test_log_mel_needs_a_whole_window() -> None:
    with pytest.raises(ValueError, match="Clip 0 has 399 samples"):
        log_mel_features([np.ones(399)])


class TestLinearProbe:
    """On synthetic features whose informative layer is known."""

    @pytest.fixture(autouse=True)
    def _needs_scikit_learn(self) -> None:
        pytest.importorskip("sklearn", reason='scikit-learn is not installed: pip install "hf-ssl[demo]"')

    @staticmethod
    def features(labels: np.ndarray, informative_layer: int | None, seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        features = generator.standard_normal((4, len(labels), 12))
        if informative_layer is not None:
            features[informative_layer, :, 0] += 4 * labels
        return features

    @pytest.mark.parametrize("informative_layer", [0, 2, 3])
    def test_finds_the_informative_layer(self, informative_layer: int) -> None:
        labels = np.arange(200) % 3
        result = linear_probe(
            self.features(labels, informative_layer, 0), labels, self.features(labels, informative_layer, 1), labels
        )
        assert result.best_layer == informative_layer
        assert result.accuracy > 0.9
        assert result.by_layer[informative_layer] == max(result.by_layer)
        assert (result.num_classes, result.num_train, result.num_test) == (3, 200, 200)

    def test_stays_at_chance_on_noise(self) -> None:
        labels = np.arange(600) % 2
        result = linear_probe(self.features(labels, None, 0), labels, self.features(labels, None, 1), labels)
        assert abs(result.accuracy - 0.5) < 0.08  # four standard errors
        assert result.majority_accuracy == 0.5

    def test_choice_does_not_look_at_test(self) -> None:
        # Layer 1 is right on train and validation only, layer 2 on test only: an honest probe falls for layer 1.
        labels = np.arange(200) % 2
        result = linear_probe(self.features(labels, 1, 0), labels, self.features(labels, 2, 1), labels)
        assert result.best_layer == 1
        assert result.accuracy < 0.65

    def test_given_validation_split_decides(self) -> None:
        labels = np.arange(200) % 2
        train = self.features(labels, 1, 0)
        train[3, :, 0] += 4 * labels  # layers 1 and 3 are equally good in training
        result = linear_probe(
            train,
            labels,
            self.features(labels, 3, 1),
            labels,
            validation=(self.features(labels, 3, 2), labels),
        )
        assert result.best_layer == 3
        assert result.accuracy > 0.9

    def test_same_seed_same_result(self) -> None:
        labels = np.arange(60) % 3
        train, test = self.features(labels, None, 0), self.features(labels, None, 1)
        assert linear_probe(train, labels, test, labels, seed=5) == linear_probe(train, labels, test, labels, seed=5)

    def test_labels_may_be_words(self) -> None:
        labels = np.arange(100) % 2
        words = ["cat" if label else "dog" for label in labels]
        result = linear_probe(self.features(labels, 1, 0), words, self.features(labels, 1, 1), words)
        assert result.accuracy > 0.9

    def test_unseen_test_label_is_an_error_of_the_probe(self) -> None:
        labels = np.arange(100) % 2
        test_labels = np.where(np.arange(100) < 50, 2, labels)
        result = linear_probe(self.features(labels, 1, 0), labels, self.features(labels, 1, 1), test_labels)
        assert 0.4 < result.accuracy <= 0.5

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.zeros(20, dtype=int), "two classes"),
            (np.arange(19) % 2, "20 train labels"),
            (np.array([0] * 19 + [1]), "two training clips of every class"),
        ],
    )
    def test_bad_training_labels_are_named(self, labels: np.ndarray, message: str) -> None:
        features = np.random.default_rng(0).standard_normal((2, 20, 3))
        with pytest.raises(ValueError, match=message):
            linear_probe(features, labels, features, np.arange(20) % 2)

    @pytest.mark.parametrize(
        ("features", "message"),
        [
            (np.zeros((20, 3)), "num_layers, num_clips, feature_size"),
            (np.zeros((3, 20, 3)), "test features of shape"),
            (np.zeros((2, 20, 4)), "test features of shape"),
            (np.full((2, 20, 3), np.nan), "test features hold NaN"),
        ],
    )
    def test_bad_test_features_are_named(self, features: np.ndarray, message: str) -> None:
        labels = np.arange(20) % 2
        with pytest.raises(ValueError, match=message):
            linear_probe(np.random.default_rng(0).standard_normal((2, 20, 3)), labels, features, labels)


def test_missing_scikit_learn_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'pip install "hf-ssl\[demo\]"'):
        linear_probe(np.zeros((1, 4, 2)), [0, 1, 0, 1], np.zeros((1, 4, 2)), [0, 1, 0, 1])
