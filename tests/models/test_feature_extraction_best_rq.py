# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Log-mel features of BEST-RQ. Their numbers are compared to the original's in tests/parity."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor

from hf_ssl import BestRqConfig, BestRqFeatureExtractor, BestRqModel
from hf_ssl.models.feature_extraction_best_rq import dataset_statistics, mel_filters


def make_waveforms(*lengths: int) -> list[torch.Tensor]:
    return [torch.randn(length, generator=torch.Generator().manual_seed(length)) for length in lengths]


def test_shapes_and_mask() -> None:
    extractor = BestRqFeatureExtractor()
    inputs = extractor(make_waveforms(16_000, 9_000), sampling_rate=16_000, return_tensors="pt")
    assert inputs["input_features"].shape == (2, 101, 80)
    assert inputs["attention_mask"].sum(-1).tolist() == [101, 57]
    assert [extractor.num_mel_frames(length) for length in (16_000, 9_000)] == [101, 57]
    assert inputs["input_features"][1, 57:].abs().max() == 0


def test_padding_changes_nothing() -> None:
    extractor = BestRqFeatureExtractor()
    long, short = make_waveforms(16_000, 9_000)
    both = extractor([long, short], return_tensors="pt")["input_features"]
    alone = extractor(short, return_tensors="pt")["input_features"]
    torch.testing.assert_close(both[1:, :57], alone, rtol=1e-4, atol=1e-5)


def test_utterance_normalisation_is_over_real_frames() -> None:
    features = BestRqFeatureExtractor()(make_waveforms(16_000, 9_000), return_tensors="pt")["input_features"]
    for utterance, length in zip(features, (101, 57), strict=True):
        torch.testing.assert_close(utterance[:length].mean(0), torch.zeros(80), atol=1e-4, rtol=0)
        torch.testing.assert_close(utterance[:length].std(0, correction=0), torch.ones(80), atol=1e-4, rtol=0)


def test_recipe_normalises_padding_along_and_counts_relative_lengths() -> None:
    extractor = BestRqFeatureExtractor(normalization="recipe")
    inputs = extractor(make_waveforms(32_000, 25_111), return_tensors="pt")
    assert inputs["attention_mask"].sum(-1).tolist() == [201, 158]  # 157 when it is alone
    assert inputs["input_features"][1, 158:].abs().min() > 0


def test_dataset_normalisation_uses_the_statistics() -> None:
    waveforms = make_waveforms(16_000, 9_000, 4_000)
    raw = BestRqFeatureExtractor(normalization="none")
    utterances = [raw(waveform, return_tensors="pt")["input_features"][0] for waveform in waveforms]
    statistics = dataset_statistics(utterances)
    everything = torch.cat(utterances).double()
    torch.testing.assert_close(torch.tensor(statistics.mean, dtype=torch.float64), everything.mean(0))
    torch.testing.assert_close(torch.tensor(statistics.std, dtype=torch.float64), everything.std(0, correction=0))
    assert statistics.num_mel_frames == len(everything)

    extractor = BestRqFeatureExtractor(normalization="dataset", mean=statistics.mean, std=statistics.std)
    normalised = [extractor(waveform, return_tensors="pt")["input_features"][0] for waveform in waveforms]
    torch.testing.assert_close(torch.cat(normalised).mean(0), torch.zeros(80), atol=1e-4, rtol=0)
    padded = extractor(waveforms, return_tensors="pt")["input_features"]
    torch.testing.assert_close(padded[2, :26], normalised[2], rtol=1e-4, atol=1e-4)
    assert padded[2, 26:].abs().max() == 0


def test_statistics_take_a_stream_and_refuse_nothing_at_all() -> None:
    statistics = dataset_statistics(torch.full((2, 3), float(value)) for value in (1, 2, 3))
    assert statistics.mean == [2.0, 2.0, 2.0]
    assert statistics.std == pytest.approx([(2 / 3) ** 0.5] * 3)
    with pytest.raises(ValueError, match="at least one mel frame"):
        dataset_statistics([])
    with pytest.raises(ValueError, match="Expected 3 mel bins"):
        dataset_statistics([torch.zeros(2, 3), torch.zeros(2, 4)])


def test_silence_gives_finite_features() -> None:
    silence_then_speech = torch.cat([torch.zeros(8_000), make_waveforms(8_000)[0]])
    for waveform in (torch.zeros(16_000), silence_then_speech):
        features = BestRqFeatureExtractor()(waveform, return_tensors="pt")["input_features"]
        assert features.isfinite().all()
        assert features.abs().max() < 20


def test_quiet_values_are_raised_to_80_db_below_the_loudest() -> None:
    waveform = make_waveforms(16_000)[0]
    waveform[:8_000] = 0
    limited = BestRqFeatureExtractor().log_mel(waveform.unsqueeze(0))
    unlimited = BestRqFeatureExtractor(top_db=None).log_mel(waveform.unsqueeze(0))
    assert limited.min() == pytest.approx(limited.max().item() - 80, abs=1e-4)
    assert unlimited.min() == pytest.approx(-100)
    torch.testing.assert_close(limited, unlimited.clamp_min(limited.min()))


def test_a_tone_is_loudest_in_its_mel_bin() -> None:
    tone = torch.sin(2 * torch.pi * 1_000 * torch.arange(16_000) / 16_000)
    loudest = BestRqFeatureExtractor().log_mel(tone.unsqueeze(0))[0, 50].argmax().item()
    mels = torch.linspace(0, 2595 * np.log10(1 + 8_000 / 700), 82)
    assert loudest == (mels[1:-1] - 2595 * np.log10(1 + 1_000 / 700)).abs().argmin().item()


def test_filters_are_triangles_of_height_1() -> None:
    filters = mel_filters(20, 20_001, 16_000)
    assert filters.shape == (20_001, 20)
    torch.testing.assert_close(filters.amax(0), torch.ones(20), atol=0.02, rtol=0)
    assert filters.min() == 0


def test_padding_options() -> None:
    extractor, waveforms = BestRqFeatureExtractor(), make_waveforms(16_000, 9_000)
    assert extractor(waveforms, pad_to_multiple_of=8, return_tensors="pt")["input_features"].shape[1] == 104
    longer = extractor(waveforms, padding="max_length", max_length=150, return_tensors="pt")
    assert longer["input_features"].shape[1] == 150
    assert longer["attention_mask"].sum(-1).tolist() == [101, 57]
    cut = extractor(waveforms, truncation=True, max_length=70, return_tensors="pt")
    assert cut["attention_mask"].sum(-1).tolist() == [70, 57]
    with pytest.raises(ValueError, match="padding=True"):
        extractor(waveforms, padding=False, return_tensors="pt")
    with pytest.raises(ValueError, match="needs `max_length`"):
        extractor(waveforms, padding="max_length")


def test_kinds_of_input_and_output() -> None:
    extractor, waveform = BestRqFeatureExtractor(), make_waveforms(1_000)[0]
    expected = extractor(waveform, return_tensors="pt")["input_features"]
    for same in (waveform.numpy(), waveform.tolist(), [waveform], [waveform.numpy()], waveform.unsqueeze(0)):
        torch.testing.assert_close(extractor(same, return_tensors="pt")["input_features"], expected)
    in_numpy = extractor(waveform, return_tensors="np")
    assert in_numpy["input_features"].dtype == np.float32
    assert in_numpy["attention_mask"].shape == (1, 7)
    assert np.allclose(extractor(waveform)["input_features"], expected)
    assert "attention_mask" not in extractor(waveform, return_attention_mask=False)


def test_bad_input() -> None:
    extractor = BestRqFeatureExtractor()
    with pytest.raises(ValueError, match="8000 samples per second"):
        extractor(make_waveforms(1_000), sampling_rate=8_000)
    with pytest.raises(ValueError, match="mono"):
        extractor([torch.zeros(2, 1_000)])
    with pytest.raises(ValueError, match="mono"):
        extractor([torch.zeros(0)])
    with pytest.raises(ValueError, match="at least one waveform"):
        extractor([])
    with pytest.raises(ValueError, match="must be one of"):
        BestRqFeatureExtractor(normalization="global")
    with pytest.raises(ValueError, match="needs `mean` and `std` with 80 values"):
        BestRqFeatureExtractor(normalization="dataset", mean=[0.0], std=[1.0])


def test_saved_and_loaded(tmp_path: Path) -> None:
    extractor = BestRqFeatureExtractor(normalization="dataset", mean=[1.5] * 80, std=[2.5] * 80, top_db=None)
    extractor.save_pretrained(tmp_path)
    BestRqConfig().save_pretrained(tmp_path)
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert type(loaded) is BestRqFeatureExtractor
    assert loaded.to_dict() == extractor.to_dict()


def test_frames_agree_with_the_configuration() -> None:
    config, extractor = BestRqConfig(num_hidden_layers=1), BestRqFeatureExtractor()
    assert extractor.hop_length * config.stack_size == config.inputs_to_logits_ratio
    assert extractor.feature_size == config.num_mel_bins
    features = extractor(make_waveforms(5_000), return_tensors="pt")
    with torch.no_grad():
        frames = BestRqModel(config).eval()(**features).last_hidden_state
    assert frames.shape[1] == config.num_frames(extractor.num_mel_frames(5_000))
