# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What models make of samples: a view for each family, and clear errors."""

from pathlib import Path

import pytest
import torch
from report_helpers import image_run, recogniser_run, save_run, text_run, waveforms
from training_helpers import write_images, write_metadata, write_recordings
from transformers import set_seed

from hf_ssl import (
    BestRqFeatureExtractor,
    BestRqForPreTraining,
    Data2Vec2AudioForPreTraining,
    Data2VecAqcForPreTraining,
    Data2VecAudioForPreTraining,
)
from hf_ssl.report import SampleSource, write_report
from hf_ssl.report.pictures import data_uri, in_colour
from hf_ssl.report.spectrogram import spectrogram_pixels
from hf_ssl.training.model_sizes import (
    best_rq_config,
    data2vec2_audio_config,
    data2vec_aqc_config,
    data2vec_audio_config,
)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "recordings", count=3)


@pytest.fixture
def speech_run(tmp_path: Path) -> Path:
    set_seed(0)
    return save_run(tmp_path / "run", Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny")), waveforms())


@pytest.mark.parametrize(
    ("model_class", "config", "preprocessor", "expected"),
    [
        (Data2Vec2AudioForPreTraining, data2vec2_audio_config, waveforms, ("cosine similarity", "Similarity")),
        (Data2VecAudioForPreTraining, data2vec_audio_config, waveforms, ("cosine similarity", "Similarity")),
        (Data2VecAqcForPreTraining, data2vec_aqc_config, waveforms, ("cosine similarity", "Codes 1", "quantizer")),
        (
            BestRqForPreTraining,
            best_rq_config,
            BestRqFeatureExtractor,
            ("hidden codes were predicted right", "Predicted"),
        ),
    ],
)
def test_speech(tmp_path, recordings, model_class, config, preprocessor, expected):
    set_seed(0)
    folder = save_run(tmp_path / "run", model_class(config("tiny")), preprocessor())
    page = write_report(folder, sample=SampleSource([str(recordings)], index=1)).read_text()
    assert "01.wav" in page
    assert 'href="data:image/png;base64,' in page
    assert page.count('class="shade"') >= 1
    for words in expected:
        assert words in page, words
    assert str(tmp_path) not in page
    assert "what the model makes of a sample (--data)" not in page


def test_images(tmp_path):
    images = write_images(tmp_path / "images")
    page = write_report(image_run(tmp_path / "run"), sample=SampleSource([str(images)])).read_text()
    assert page.count('src="data:image/png;base64,') == 3
    assert "patches were hidden" in page


def test_text(tmp_path):
    texts = tmp_path / "a.txt"
    page = write_report(text_run(tmp_path / "run", texts), sample=SampleSource([str(texts)])).read_text()
    assert page.count('class="token masked"') >= 5
    assert "<b>three" not in page


def test_recognition(tmp_path):
    data = write_metadata(write_recordings(tmp_path / "recordings", count=3))
    folder = recogniser_run(tmp_path / "run")
    page = write_report(folder, sample=SampleSource([str(data)])).read_text()
    assert "Recognised now" in page
    assert "3 recordings of the data" in page
    assert "two" in page
    with pytest.raises(ValueError, match="no column"):
        write_report(folder, sample=SampleSource([str(data)], text_column="spoken"))


def test_what_there_is_no_view_of_is_said(make_run, recordings):
    folder = make_run(config={"model_type": "wav2vec2", "architectures": ["Wav2Vec2ForPreTraining"]})
    page = write_report(folder, sample=SampleSource([str(recordings)])).read_text()
    assert "There is no view of what Wav2Vec2ForPreTraining makes of a sample." in page


def test_data_that_cannot_be_used(speech_run, recordings, tmp_path):
    with pytest.raises(ValueError, match=r"--sample 3: the data have 3 item"):
        write_report(speech_run, sample=SampleSource([str(recordings)], index=3))
    with pytest.raises(ValueError, match="none"):
        write_report(speech_run, sample=SampleSource([str(tmp_path / "none")]))
    assert not (speech_run / "_report.html").exists()


def test_models_that_cannot_be_used(speech_run, recordings):
    source = SampleSource([str(recordings)])
    weights = speech_run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ValueError, match="cannot be opened"):
        write_report(speech_run, sample=source)
    weights.unlink()
    torch.save({}, speech_run / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no weights"):
        write_report(speech_run, sample=source)


def test_split_that_was_not_trained_on_is_taken(tmp_path):
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
    assert SampleSource([str(tmp_path)]).split_name == "test"
    assert SampleSource([str(tmp_path)], split="train").split_name == "train"
    assert SampleSource([str(tmp_path / "train")]).split_name == "train"
    assert SampleSource(["somebody/data"]).split_name == "validation"


def test_spectrogram_shows_where_a_tone_is():
    time = torch.arange(16_000) / 16_000
    tone = torch.where(time < 0.5, torch.sin(2 * torch.pi * 200 * time), torch.sin(2 * torch.pi * 4000 * time))
    brightness = spectrogram_pixels(tone.numpy(), 16_000).sum(axis=-1)
    assert brightness.shape == (80, 100)
    first, second = brightness[:, 25].argmax(), brightness[:, 75].argmax()
    assert first > 60 > 40 > second  # low tones at the bottom
    assert spectrogram_pixels(torch.zeros(1600).numpy(), 16_000).shape == (80, 10, 3)


def test_pictures():
    pixels = in_colour(torch.tensor([[0.0, 0.5, 1.0, 2.0]]).numpy())
    assert pixels.shape == (1, 4, 3)
    assert (pixels[0, 2] == pixels[0, 3]).all()
    assert data_uri(pixels).startswith("data:image/png;base64,iVBOR")
