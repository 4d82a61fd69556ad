# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Frozen encoders show what is there, of any family, and say what they cannot use."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from other_device import move, other_device
from transformers import (
    ASTFeatureExtractor,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    ConvNextConfig,
    ConvNextModel,
)

from hf_ssl import BestRqFeatureExtractor, BestRqModel
from hf_ssl.evaluation.baselines import LogMel
from hf_ssl.evaluation.encoders import ImageEncoder, SpeechEncoder, load_frozen_encoder
from hf_ssl.evaluation.items import Clip, Picture, Text
from hf_ssl.training.model_sizes import best_rq_config


def write_clip(path: Path, num_samples: int) -> Clip:
    waveform = 0.1 * np.random.default_rng(num_samples).standard_normal(num_samples)
    soundfile.write(path, waveform, 16_000, subtype="FLOAT")
    return Clip(str(path), 0.0, num_samples / 16_000)


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    return [write_clip(tmp_path / f"{index}.wav", length) for index, length in enumerate((8000, 4000, 8000, 5000))]


def test_speech_is_that_of_the_model_alone(wav2vec2: Path, clips: list[Clip]) -> None:
    encoder = load_frozen_encoder(str(wav2vec2))
    model, extractor = AutoModel.from_pretrained(wav2vec2).eval(), AutoFeatureExtractor.from_pretrained(wav2vec2)
    for clip, states, representation in zip(
        clips, encoder.hidden_states(clips), encoder.represent(clips), strict=True
    ):
        inputs = extractor(clip.read(16_000), sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            expected = torch.cat(model(**inputs, output_hidden_states=True).hidden_states)
        torch.testing.assert_close(states, expected, atol=1e-4, rtol=1e-4)
        mean_and_deviation = torch.cat([expected.mean(1), expected.std(1, correction=0)], dim=-1)
        torch.testing.assert_close(representation.statistics, mean_and_deviation, atol=1e-4, rtol=1e-4)
        frames = representation.frames.float()
        torch.testing.assert_close(frames.mean(-1), torch.zeros(frames.shape[:2]), atol=1e-3, rtol=0)
        torch.testing.assert_close(frames.std(-1, correction=0), torch.ones(frames.shape[:2]), atol=1e-2, rtol=0)


def test_speech_on_another_device(wav2vec2: Path, clips: list[Clip]) -> None:
    encoder = load_frozen_encoder(str(wav2vec2))
    expected = list(encoder.hidden_states(clips))
    with other_device():
        move(encoder.model)
        for states, wanted in zip(encoder.hidden_states(clips), expected, strict=True):
            assert states.device.type == "cpu"
            torch.testing.assert_close(states, wanted, atol=1e-4, rtol=1e-4)


def test_frames_of_whisper_end_with_the_clip(whisper: Path, clips: list[Clip]) -> None:
    states = list(load_frozen_encoder(str(whisper)).hidden_states(clips))
    assert [tuple(clip.shape) for clip in states] == [(2, 25, 16), (2, 13, 16), (2, 25, 16), (2, 16, 16)]
    extractor = AutoFeatureExtractor.from_pretrained(whisper)
    features = extractor(clips[1].read(16_000), sampling_rate=16_000, return_tensors="pt")["input_features"]
    with torch.no_grad():
        expected = AutoModel.from_pretrained(whisper).get_encoder().eval()(features).last_hidden_state[0, :13]
    torch.testing.assert_close(states[1][-1], expected, atol=1e-4, rtol=1e-4)


def test_clips_that_whisper_would_cut_are_named(whisper: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "long.wav", 31 * 16_000)
    with pytest.raises(ValueError, match=r"long.wav has 31.0 s, but WhisperEncoder reads 30 s"):
        next(load_frozen_encoder(str(whisper)).hidden_states([clip]))


def test_own_log_mel_models_are_read_too(clips: list[Clip]) -> None:
    encoder = SpeechEncoder(BestRqModel(best_rq_config("tiny")), BestRqFeatureExtractor())
    assert [tuple(states.shape[:2]) for states in encoder.hidden_states(clips[:2])] == [(3, 12), (3, 6)]


def test_clip_without_a_frame_is_named(wav2vec2: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "short.wav", 200)
    with pytest.raises(ValueError, match=r"short.wav has 200 samples, too few for one frame of Wav2Vec2Model"):
        next(load_frozen_encoder(str(wav2vec2)).hidden_states([clip]))
    with pytest.raises(ValueError, match=r"short.wav has 200 samples; a log mel window needs 400"):
        next(LogMel().represent([clip]))


def test_images_are_their_patches(vit: Path, images: Path) -> None:
    pictures = [Picture(str(path)) for path in sorted((images / "test").rglob("*.png"))]
    processor, model = AutoImageProcessor.from_pretrained(vit), AutoModel.from_pretrained(vit).eval()
    with torch.no_grad():
        inputs = processor(pictures[3].read(), return_tensors="pt")
        expected = torch.cat(model(**inputs, output_hidden_states=True).hidden_states)[:, 1:]
    states = list(load_frozen_encoder(str(vit), batch_size=3).hidden_states(pictures))
    assert len(states) == len(pictures)
    torch.testing.assert_close(states[3], expected, atol=1e-5, rtol=1e-4)


def test_texts_are_their_words(roberta: Path) -> None:
    encoder = load_frozen_encoder(str(roberta))
    texts = [Text("red green"), Text("one"), Text("two three"), Text("red " * 50)]
    states = list(encoder.hidden_states(texts))
    assert [len(text[0]) for text in states] == [2, 1, 2, 8]  # the last one cut: 12 positions, two of padding
    inputs = AutoTokenizer.from_pretrained(roberta)("two three", return_tensors="pt")
    with torch.no_grad():
        expected = AutoModel.from_pretrained(roberta).eval()(**inputs).last_hidden_state[0, 1:-1]
    torch.testing.assert_close(states[2][-1], expected, atol=1e-5, rtol=1e-4)


def test_untrained_twins_follow_their_seed(wav2vec2: Path) -> None:
    trained, first, again, other = (
        load_frozen_encoder(str(wav2vec2), untrained_seed=seed).fingerprint() for seed in (None, 7, 7, 8)
    )
    assert first == again
    assert len({trained, first, other}) == 3


def test_models_that_cannot_be_probed_are_named(tmp_path: Path, vit: Path, images: Path) -> None:
    config = ConvNextConfig(hidden_sizes=[8] * 4, depths=[1] * 4)
    encoder = ImageEncoder(ConvNextModel(config), AutoImageProcessor.from_pretrained(vit))
    with pytest.raises(ValueError, match=r"layers of the same \(batch, length, size\)"):
        next(encoder.hidden_states([Picture(str(next(images.rglob("*.png"))))]))
    with pytest.raises(ValueError, match="Cannot open the model"):
        load_frozen_encoder(str(tmp_path / "nothing"))


def test_missing_weights_are_named(wav2vec2: Path) -> None:
    model = AutoModel.from_pretrained(wav2vec2)
    state = {name: tensor for name, tensor in model.state_dict().items() if "layers.1" not in name}
    model.save_pretrained(wav2vec2, state_dict=state)
    with pytest.raises(ValueError, match=r"has no weights for encoder.layers.1"):
        load_frozen_encoder(str(wav2vec2))


def test_feature_extractors_of_other_kinds_are_refused(wav2vec2: Path) -> None:
    ASTFeatureExtractor().save_pretrained(wav2vec2)
    with pytest.raises(ValueError, match="Expected a Wav2Vec2FeatureExtractor"):
        load_frozen_encoder(str(wav2vec2))


def test_log_mel_tells_high_tones_from_low_and_ignores_level(tmp_path: Path) -> None:
    times = np.arange(8000) / 16_000
    tones = {"low": 300, "soft": 300, "high": 5000}
    clips = []
    for name, frequency in tones.items():
        tone = (0.05 if name == "soft" else 0.5) * np.sin(2 * np.pi * frequency * times)
        soundfile.write(tmp_path / f"{name}.wav", tone, 16_000, subtype="FLOAT")
        clips.append(Clip(str(tmp_path / f"{name}.wav"), 0.0, 0.5))
    low, soft, high = LogMel().represent(clips)
    assert low.statistics.shape == (1, 160)
    torch.testing.assert_close(low.statistics, soft.statistics, atol=0.1, rtol=0)  # rounding shows in empty bands
    assert low.statistics[0, :80].argmax() < 20
    assert high.statistics[0, :80].argmax() > 60
    assert low.frames.shape == (1, 25, 160)
