# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Augmentation: levels, alignment, determinism, folders of sounds; and the collators that use it."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import Wav2Vec2FeatureExtractor

from hf_ssl.data.augmentation import AugmentationArguments, WaveformAugmentation, add_noise, limit_band
from hf_ssl.data.collators_augmented import AugmentingCollator, DataCollatorForData2VecAqc, make_views
from hf_ssl.data.reverberation import apply_response, synthetic_response
from hf_ssl.data.skipped import SkippedFiles
from hf_ssl.data.sound_files import SoundFiles
from hf_ssl.training.model_sizes import data2vec_aqc_config

RATE = 16_000


def rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    """Nested as MUSAN is, with a damaged file and one that is no audio."""
    generator = np.random.default_rng(0)
    for name, seconds in (("noise/free-sound/short.wav", 0.2), ("music/long.flac", 3.0)):
        (tmp_path / name).parent.mkdir(parents=True)
        soundfile.write(tmp_path / name, 0.1 * generator.standard_normal(int(seconds * 8000)), 8000)
    (tmp_path / "noise/broken.wav").write_bytes(b"RIFF")
    (tmp_path / "noise/ANNOTATIONS").write_text("short.wav public domain")
    return tmp_path


def everything(noises: Path, **overrides) -> AugmentationArguments:
    options = {
        f"{name}_prob": 1.0 for name in ("reverberation", "noise", "white_noise", "gain", "band_limit", "clipping")
    }
    return AugmentationArguments(**(options | {"noise_data": [str(noises)]} | overrides))


def make(arguments: AugmentationArguments) -> WaveformAugmentation:
    return WaveformAugmentation(arguments, sampling_rate=RATE, skipped=SkippedFiles())


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_has_the_asked_ratio(noises: Path, snr_db: float) -> None:
    augment = make(AugmentationArguments(noise_prob=1.0, noise_data=[str(noises)], noise_snr_db=[snr_db, snr_db]))
    waveform = np.sin(np.arange(RATE) * 0.1).astype(np.float32)
    added = augment(waveform, np.random.default_rng(0)) - waveform
    assert 20 * np.log10(rms(waveform) / rms(added)) == pytest.approx(snr_db, abs=0.01)


def test_white_noise_has_the_asked_level() -> None:
    augment = make(AugmentationArguments(white_noise_prob=1.0, white_noise_level=[0.5, 0.5]))
    waveform = np.sin(np.arange(RATE) * 0.1).astype(np.float32)
    added = augment(waveform, np.random.default_rng(0)) - waveform
    assert rms(added) == pytest.approx(0.5 * rms(waveform), rel=1e-3)
    assert abs(np.corrcoef(added[1:], added[:-1])[0, 1]) < 0.05


def test_silence_stays_silence(noises: Path) -> None:
    silence = np.zeros(4000, dtype=np.float32)
    assert not make(everything(noises))(silence, np.random.default_rng(0)).any()
    assert np.array_equal(add_noise(np.ones(3, dtype=np.float32), silence[:3], 1.0), np.ones(3))


@pytest.mark.parametrize("name", ["reverberation", "gain", "band_limit", "clipping", "white_noise"])
def test_a_click_stays_at_its_sample(name: str) -> None:
    """Both views stay aligned whatever is done: the loudest sample is the same one."""
    augment = make(AugmentationArguments(**{f"{name}_prob": 1.0}))
    waveform = np.zeros(RATE, dtype=np.float32)
    waveform[5000] = 1.0
    for seed in range(5):
        augmented = augment(waveform, np.random.default_rng(seed))
        assert augmented.shape == waveform.shape
        assert augmented.dtype == np.float32
        assert np.abs(augmented).argmax() == 5000
        assert not np.array_equal(augmented, waveform)


def test_nothing_comes_before_its_sound_in_a_room() -> None:
    """A measured response has a delay before the direct sound, which would shift the view."""
    response = np.concatenate([np.zeros(300), [0.1, -1.0], 0.3 * np.random.default_rng(0).standard_normal(2000)])
    waveform = np.zeros(8000, dtype=np.float32)
    waveform[4000] = 1.0
    reverberant = apply_response(waveform, response.astype(np.float32))
    assert np.abs(reverberant[:4000]).max() < 1e-6
    assert reverberant[4000] > 0  # an inverted microphone does not invert the view
    assert rms(reverberant) == pytest.approx(rms(waveform), rel=1e-3)


def test_synthetic_room_has_the_asked_decay_and_directness() -> None:
    response = synthetic_response(0.5, 6.0, RATE, np.random.default_rng(0))
    assert response[0] == 1
    tail = np.square(response[1:], dtype=np.float64)
    assert 10 * np.log10(1 / tail.sum()) == pytest.approx(6.0, abs=0.01)
    remaining = 10 * np.log10(tail[::-1].cumsum()[::-1] / tail.sum())
    assert remaining[round(0.25 * RATE)] == pytest.approx(-30, abs=2)  # half of the time, half of 60 dB


def test_band_limit_takes_high_frequencies_only() -> None:
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * frequency * time).astype(np.float32) for frequency in (500, 5000))
    limited = limit_band(low + high, 3000, RATE)
    np.testing.assert_allclose(limited, low, atol=1e-4)


def test_everything_is_a_function_of_the_seed(noises: Path) -> None:
    waveform = np.random.default_rng(1).standard_normal(6000).astype(np.float32)
    arguments = everything(noises, speed_prob=1.0)
    views = [make_views({"input_values": waveform, "seed": seed}, make(arguments)) for seed in (3, 3, 4)]
    for first, again in zip(views[0], views[1], strict=True):
        assert np.array_equal(first, again)
    assert len(views[0][0]) != len(views[2][0])


def test_speed_is_in_both_views_and_keeps_them_aligned() -> None:
    waveform = np.zeros(RATE, dtype=np.float32)
    waveform[8000:8020] = 1.0
    clean, augmented = make_views(
        {"input_values": waveform, "seed": 0}, make(AugmentationArguments(speed_prob=1.0, speed_range=[0.8, 0.8]))
    )
    assert np.array_equal(clean, augmented)
    assert len(clean) == pytest.approx(RATE / 0.8, abs=2)
    assert np.abs(clean).argmax() == pytest.approx(8010 / 0.8, abs=15)


def test_nothing_is_done_by_default() -> None:
    arguments = AugmentationArguments()
    assert not arguments.is_active
    waveform = np.ones(100, dtype=np.float32)
    assert np.array_equal(make(arguments)(waveform, np.random.default_rng(0)), waveform)


def test_sounds_are_found_in_nested_folders_and_unusable_ones_are_named(noises: Path) -> None:
    skipped = SkippedFiles()
    sounds = SoundFiles([noises], sampling_rate=RATE, skipped=skipped)
    assert [Path(path).name for path in sounds.paths] == ["long.flac", "short.wav"]
    assert [Path(path).name for path in skipped.files] == ["broken.wav"]
    for seed in range(6):  # longer than one file and a part of the other, resampled from 8 kHz
        assert len(sounds.draw(10_000, np.random.default_rng(seed))) == 10_000


def test_a_file_that_turns_out_to_be_damaged_is_replaced(noises: Path) -> None:
    skipped = SkippedFiles()
    sounds = SoundFiles([noises], sampling_rate=RATE, skipped=skipped)
    Path(sounds.paths[0]).write_bytes(b"gone")
    for seed in range(6):
        assert sounds.draw(100, np.random.default_rng(seed)).any()
    assert sounds.paths[0] in skipped.files
    Path(sounds.paths[1]).unlink()
    with pytest.raises(RuntimeError, match="could not be read"):
        sounds.draw(100, np.random.default_rng(0))


def test_folders_without_sounds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        SoundFiles([tmp_path / "missing"], sampling_rate=RATE, skipped=SkippedFiles())
    with pytest.raises(ValueError, match="no usable"):
        SoundFiles([tmp_path], sampling_rate=RATE, skipped=SkippedFiles())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gain_prob": 1.5}, "gain_prob"),
        ({"noise_snr_db": [20.0, 0.0]}, "noise_snr_db"),
        ({"clipping_level": [0.0, 0.5]}, "clipping_level"),
        ({"speed_range": [1.0]}, "speed_range"),
        ({"noise_prob": 0.5}, "noise_data"),
        ({"noise_snr_db": [math.nan, 3.0]}, "noise_snr_db"),
        ({"gain_db": [0.0, math.inf]}, "gain_db"),
        ({"white_noise_level": [-1.0, 0.5]}, "white_noise_level must not be negative"),
    ],
)
def test_wrong_arguments_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AugmentationArguments(**options)


def test_folders_that_are_never_drawn_from_are_known() -> None:
    folders = {"noise_data": ["noises"], "reverberation_data": ["rooms"]}
    unused = AugmentationArguments(**folders, white_noise_prob=1.0).unused_folders
    assert unused == {"noise_data": "noise_prob", "reverberation_data": "reverberation_prob"}
    used = AugmentationArguments(**folders, noise_prob=0.1)
    assert used.unused_folders == {"reverberation_data": "reverberation_prob"}
    assert not AugmentationArguments(reverberation_prob=0.5).unused_folders


def make_collator(arguments: AugmentationArguments | None) -> DataCollatorForData2VecAqc:
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    augmentation = None if arguments is None else make(arguments)
    return DataCollatorForData2VecAqc(extractor, data2vec_aqc_config("tiny"), augmentation)


def make_features(*lengths: int) -> list[dict]:
    generator = np.random.default_rng(0)
    return [
        {"input_values": generator.standard_normal(length).astype(np.float32), "seed": seed}
        for seed, length in enumerate(lengths)
    ]


def test_collator_gives_two_aligned_views(noises: Path) -> None:
    """A click is at the same sample of both views of its item, in items of any length, at any speed."""
    features = make_features(6000, 4000, 5000)
    for feature, position in zip(features, (1000, 3500, 2500), strict=True):
        feature["input_values"] *= 1e-4
        feature["input_values"][position] = 1.0
    for speed_prob in (0.0, 1.0):
        # without clipping, which makes peaks alike; and noise and rooms that leave the click the loudest
        quiet = {"clipping_prob": 0.0, "noise_snr_db": [30.0, 30.0], "white_noise_level": [0.01, 0.01]}
        rooms = {"direct_to_reverberant_db": [12.0, 12.0]}
        arguments = everything(noises, **quiet, **rooms, speed_prob=speed_prob)
        batch = make_collator(arguments)(features)
        clean, augmented = (batch[view].abs().argmax(dim=1) for view in ("input_values", "augmented_values"))
        assert torch.equal(augmented, clean)
        assert (clean.tolist() == [1000, 3500, 2500]) == (speed_prob == 0)


def test_collator_normalises_either_view_and_draws_one_mask(noises: Path) -> None:
    batch = make_collator(everything(noises))(make_features(6000, 4000))
    assert batch["augmented_values"].shape == batch["input_values"].shape == (2, 6000)
    assert not torch.equal(batch["augmented_values"], batch["input_values"])
    assert not batch["augmented_values"][1, 4000:].any()
    for view in ("input_values", "augmented_values"):  # each is normalised by itself
        assert batch[view][1, :4000].std() == pytest.approx(1, abs=1e-2)
    masks = batch["mask_time_indices"]
    assert masks.any(-1).all()
    assert not masks[1, data2vec_aqc_config("tiny").num_frames(4000) :].any()
    assert torch.equal(batch["labels"] == 0, masks)


def test_an_item_does_not_depend_on_its_batch(noises: Path) -> None:
    features = make_features(5000, 6000)
    alone, together = make_collator(everything(noises))(features[:1]), make_collator(everything(noises))(features)
    for name in ("input_values", "augmented_values"):
        torch.testing.assert_close(together[name][0, :5000], alone[name][0])
    frames = alone["mask_time_indices"].shape[1]
    assert torch.equal(together["mask_time_indices"][0, :frames], alone["mask_time_indices"][0])


def test_collator_without_augmentation_has_one_view() -> None:
    assert "augmented_values" not in make_collator(None)(make_features(5000))


def test_too_short_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="receptive field"):
        make_collator(None)(make_features(50))
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=False)
    with pytest.raises(ValueError, match="return_attention_mask"):
        DataCollatorForData2VecAqc(extractor, data2vec_aqc_config("tiny"))


def test_other_collators_get_the_augmented_view(noises: Path) -> None:
    augmentation = make(everything(noises))
    features = make_features(5000)
    seen = AugmentingCollator(lambda given: {"input_values": torch.tensor(given[0]["input_values"])}, augmentation)
    expected = make_views(features[0], augmentation)[1]
    assert torch.equal(seen(features)["input_values"], torch.tensor(expected))
