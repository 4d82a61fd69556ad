# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The collator of BEST-RQ's pre-training: features, masks and labels."""

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor

from hf_ssl import BestRqConfig, BestRqFeatureExtractor, BestRqForPreTraining
from hf_ssl.data.collators_pretraining import DataCollatorForBestRq
from hf_ssl.data.pretraining_collators import speech_collator
from hf_ssl.training.model_sizes import best_rq_config, data2vec2_audio_config


def item(num_samples: int, seed: int) -> dict:
    audio = np.random.default_rng(num_samples).normal(0.0, 0.1, size=num_samples).astype(np.float32)
    return {"input_values": audio, "seed": seed, "path": "ignored"}


def collator(**overrides) -> DataCollatorForBestRq:
    return DataCollatorForBestRq(BestRqFeatureExtractor(), best_rq_config("tiny", **overrides))


def test_batch():
    batch = collator()([item(16000, 1), item(9000, 2)])
    assert set(batch) == {"input_features", "attention_mask", "mask_time_indices", "labels", "predicted_positions"}
    assert batch["input_features"].shape == (2, 101, 80)
    assert batch["attention_mask"].sum(dim=1).tolist() == [101, 57]
    assert batch["mask_time_indices"].shape == (2, 25)
    assert batch["mask_time_indices"].dtype == torch.bool
    assert batch["mask_time_indices"].any(dim=1).all()
    assert not batch["mask_time_indices"][1, 57 // 4 :].any()
    assert torch.equal(batch["labels"] != -100, batch["mask_time_indices"])


def test_a_mask_depends_on_its_item_alone():
    alone = collator()([item(9000, 2)])["mask_time_indices"][0]
    together = collator()([item(16000, 1), item(9000, 2)])["mask_time_indices"][1]
    assert torch.equal(together[: len(alone)], alone)
    others = [collator()([item(9000, seed)])["mask_time_indices"][0] for seed in range(3, 13)]
    assert any(not torch.equal(mask, alone) for mask in others)


def test_one_mask_per_batch():
    """As long as the shortest clip, and determined by the first."""
    batch = collator(one_mask_per_batch=True)([item(16000, 1), item(9000, 2), item(12000, 3)])
    masks = batch["mask_time_indices"]
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])
    assert not masks[:, 57 // 4 :].any()
    again = collator(one_mask_per_batch=True)([item(16000, 1), item(9000, 7), item(12000, 8)])
    assert torch.equal(again["mask_time_indices"], masks)


def test_masks_as_published():
    """.15 spans of 4 mel frames per mel frame: 60 % of the mel frames."""
    config = BestRqConfig(mask_prob=0.15, mask_length=4, mask_sampling="grid")
    masks = DataCollatorForBestRq(BestRqFeatureExtractor(), config)([item(160_000, seed) for seed in range(4)])
    assert masks["mask_time_indices"].float().mean().item() == pytest.approx(0.6, abs=0.01)


def test_the_model_takes_the_batch():
    batch = collator()([item(16000, 1), item(9000, 2)])
    model = BestRqForPreTraining(best_rq_config("tiny"))
    output = model(**batch)
    assert torch.equal(output.prediction_mask, batch["mask_time_indices"])
    assert output.logits.shape[0] == batch["predicted_positions"].numel()
    del batch["predicted_positions"]
    without = model(**batch)
    assert without.logits.shape[0] == int(batch["mask_time_indices"].sum())


@pytest.mark.parametrize("multiple", [None, 8000])
@pytest.mark.parametrize("normalization", ["utterance", "dataset", "recipe", "none"])
def test_features_of_the_device_are_those_of_the_workers(normalization: str, multiple: int | None) -> None:
    statistics = {"mean": [-30.0] * 80, "std": [12.0] * 80} if normalization == "dataset" else {}
    extractor = BestRqFeatureExtractor(normalization=normalization, **statistics)
    config, items = best_rq_config("tiny"), [item(16900, 1), item(9000, 2)]
    expected = DataCollatorForBestRq(extractor, config, multiple)(items)
    batch = DataCollatorForBestRq(extractor, config, multiple, features_on_device=True)(items)
    assert batch["waveforms"].shape == (2, 16900)
    with_features = extractor.with_features(batch)
    assert list(with_features) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(with_features[name], tensor), name
    assert torch.equal(extractor.with_features(expected)["input_features"], expected["input_features"])


def test_bad_input():
    with pytest.raises(ValueError, match=r"A clip of 300 samples is too short: .* 4 mel frames, 480 samples"):
        collator()([item(16000, 1), item(300, 2)])
    with pytest.raises(ValueError, match="has 40 mel bins, but the model expects 80"):
        DataCollatorForBestRq(BestRqFeatureExtractor(feature_size=40), best_rq_config("tiny"))
    with pytest.raises(ValueError, match="has 200 samples between mel frames, but the model expects 160"):
        DataCollatorForBestRq(BestRqFeatureExtractor(hop_length=200), best_rq_config("tiny"))
    with pytest.raises(ValueError, match="A clip of 300 samples is too short"):
        DataCollatorForBestRq(BestRqFeatureExtractor(), best_rq_config("tiny"), None, True)([item(300, 2)])
    with pytest.raises(ValueError, match=r"--log_mel_on_device is for BEST-RQ\. Models of type 'data2vec2-audio'"):
        speech_collator(data2vec2_audio_config("tiny"), Wav2Vec2FeatureExtractor(), None, features_on_device=True)
