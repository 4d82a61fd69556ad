# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What models make of samples: a view for each family, and clear errors."""

import base64
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from report_helpers import image_run, recogniser_run, save_run, text_run, waveforms
from training_helpers import write_images, write_metadata, write_recordings
from transformers import set_seed

from hf_ssl import (
    BestRqFeatureExtractor,
    BestRqForPreTraining,
    Data2Vec2AudioForPreTraining,
    Data2VecAqcForPreTraining,
    Data2VecAudioForPreTraining,
    Data2VecVisionForPreTraining,
)
from hf_ssl.models.modeling_data2vec_vision_pretraining import draw_mask_of_image
from hf_ssl.report import SampleSource, write_report
from hf_ssl.report.pictures import data_uri, in_colour
from hf_ssl.report.similarities import others_in_words, similarities
from hf_ssl.report.spectrogram import spectrogram_pixels
from hf_ssl.training.model_sizes import (
    best_rq_config,
    data2vec2_audio_config,
    data2vec_aqc_config,
    data2vec_audio_config,
)


def pixels_of(source: str) -> np.ndarray:
    """The picture whose data begin a text, as far as the quotation mark."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split('"')[0]))))


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


@pytest.mark.parametrize("model_type", ["data2vec2-vision", "data2vec-vision"])
def test_images(tmp_path, model_type):
    images = write_images(tmp_path / "images")
    folder = image_run(tmp_path / "run", model_type)
    page = write_report(folder, sample=SampleSource([str(images)], index=1)).read_text()
    assert page.count('src="data:image/png;base64,') == 3
    assert "1.png. " in page
    assert "patches were hidden" in page
    assert "knowledge of the very patch" in page
    assert "nan" not in page.split("A sample")[-1].split("</section>")[0]
    assert ("The first of several masks" in page) == (model_type == "data2vec2-vision")
    assert str(tmp_path) not in page


def test_hidden_patches_are_grey_and_the_others_as_they_were(tmp_path):
    folder = image_run(tmp_path / "run", "data2vec-vision")
    page = write_report(folder, sample=SampleSource([str(write_images(tmp_path / "images"))])).read_text()
    image, seen, errors = (pixels_of(part) for part in page.split('src="data:image/png;base64,')[1:])
    assert image.shape == seen.shape == errors.shape == (32, 32, 3)
    model = Data2VecVisionForPreTraining.from_pretrained(folder)
    hidden = draw_mask_of_image(model.config, np.random.default_rng(0)).numpy()
    assert 0 < hidden.sum() < 16
    hidden = hidden.reshape(4, 4).repeat(8, axis=0).repeat(8, axis=1)
    assert (seen[hidden] == 128).all()
    assert (seen[~hidden] == image[~hidden]).all()
    assert (errors[~hidden] == image[~hidden] // 4 + 96).all()
    assert len(np.unique(errors[hidden], axis=0)) > 1


@pytest.mark.parametrize("model_type", ["data2vec2-text", "data2vec-text"])
def test_text(tmp_path, model_type):
    texts = tmp_path / "a.txt"
    page = write_report(text_run(tmp_path / "run", texts, model_type), sample=SampleSource([str(texts)])).read_text()
    tokens = page.split('class="tokens"')[1].split("</section>")[0]
    assert tokens.count('class="token') == 64 if model_type == "data2vec2-text" else 62
    assert tokens.count('class="token masked"') >= 5
    # what was hidden is shown, and not the token that took its place
    assert "&lt;mask&gt;" not in tokens
    assert "<b>three" not in page
    assert "knowledge of the very token" in page


def test_text_of_a_tokenizer_without_a_mask_token(tmp_path):
    texts = tmp_path / "a.txt"
    folder = text_run(tmp_path / "run", texts, "data2vec-text")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["mask_token"]
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="mask token"):
        write_report(folder, sample=SampleSource([str(texts)]))


def test_similarities_are_of_the_first_item_and_its_first_mask():
    targets = torch.eye(4).expand(2, 4, 4)
    predicted = torch.tensor([[[True, False, True, False], [False, True, True, True]]] * 2)
    # right in the first place; what belongs to another one in the third
    predictions = torch.stack([2 * targets[0, 0], targets[0, 0], *[targets[0, 3]] * 8])
    outputs = SimpleNamespace(
        targets=targets, predictions=predictions, prediction_mask=predicted, mask_time_indices=predicted
    )
    found = similarities(outputs)
    assert found.hidden.tolist() == found.predicted.tolist() == [True, False, True, False]
    assert found.own.tolist() == [1.0, 0.0]
    assert found.others.tolist() == [0.0, 1.0]
    assert found.by_position.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert "0.50 with the targets of the others" in others_in_words(found, "patch")


def test_similarities_of_a_single_position_have_no_others():
    mask = torch.tensor([[True, False]])
    outputs = SimpleNamespace(
        targets=torch.ones(1, 2, 3), predictions=torch.ones(1, 3), prediction_mask=mask, mask_time_indices=mask
    )
    found = similarities(outputs)
    assert found.others is None
    assert others_in_words(found, "patch") == ""


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
