# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""transformers' pipelines over our classes, on arrays and on files that our reader reads."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from inference_helpers import logits_of
from transformers import Wav2Vec2FeatureExtractor, pipeline

from hf_ssl import Data2Vec2AudioConfig, Data2Vec2AudioForSequenceClassification
from hf_ssl.data import read_audio
from hf_ssl.inference import (
    Failures,
    GreedyDecoder,
    StreamingGreedyDecoder,
    list_inputs,
    read_for_pipeline,
    transcribe,
)

HELLO = ["h", "h", "e", "l", "<pad>", "l", "o", "|", "y", "o"]


@pytest.fixture(scope="module")
def recognition(recogniser: Path):
    return pipeline("automatic-speech-recognition", str(recogniser), device="cpu")


@pytest.fixture(scope="module")
def classification(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    labels = {0: "dog", 1: "rain", 2: "crow"}
    config = Data2Vec2AudioConfig.from_dict(
        SMALL | {"id2label": labels, "label2id": {v: k for k, v in labels.items()}}
    )
    Data2Vec2AudioForSequenceClassification(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    return pipeline("audio-classification", str(folder), device="cpu")


SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "initializer_range": 0.2,
    "conv_dim": [8, 8, 8],
    "conv_kernel": [8, 4, 4],
    "conv_stride": [4, 2, 2],
    "num_conv_pos_embedding_groups": 2,
    "decoder_groups": 2,
    "decoder_hidden_size": 16,
    "average_top_k_layers": 2,
}


def test_recognition_of_arrays_and_files(recognition, write_audio):
    path = write_audio("a.wav", seconds=0.5, sampling_rate=8000)
    waveform = read_audio(path, sampling_rate=16000)
    text = recognition(waveform)["text"]
    assert text
    assert recognition(read_for_pipeline(path, sampling_rate=16000))["text"] == text
    many = recognition((read_for_pipeline(path, sampling_rate=16000) for _ in range(3)), batch_size=2)
    assert [result["text"] for result in many] == [text] * 3


def test_recognition_in_chunks_with_timestamps(recognition, write_audio):
    """`inputs_to_logits_ratio` of the configuration aligns chunks and times."""
    options = {"chunk_length_s": 0.4, "stride_length_s": 0.1}
    path = write_audio("a.wav", seconds=1.0)
    result = recognition(read_for_pipeline(path, sampling_rate=16000), return_timestamps="char", **options)
    times = [time for character in result["chunks"] for time in character["timestamp"]]
    assert times == sorted(times)
    assert 0.9 < times[-1] <= 1.0
    assert "".join(character["text"] for character in result["chunks"]).strip() == result["text"]
    by_word = recognition(read_for_pipeline(path, sampling_rate=16000), return_timestamps="word", **options)
    assert " ".join(word["text"] for word in by_word["chunks"]) == by_word["text"] == result["text"]


def test_pipeline_without_chunks_agrees_with_transcribe(recognition, loaded_recogniser, write_audio):
    path = write_audio("a.wav", seconds=0.6)
    result = recognition(read_for_pipeline(path, sampling_rate=16000), return_timestamps="word")
    files = list_inputs([str(path)], Failures())
    (transcript,) = transcribe(files, loaded_recogniser, AsThePipeline(recognition.tokenizer), failures=Failures())
    assert transcript.text.split() == result["text"].split()  # the pipeline leaves repeated spaces
    assert [(word.text, (word.start, word.end)) for word in transcript.words] == [
        (word["text"], pytest.approx(word["timestamp"])) for word in result["chunks"]
    ]


def test_batches_of_the_pipeline_read_words_into_padding(streaming_recogniser):
    """Why the documentation warns of `batch_size` with files of several lengths: frames of padding are decoded too,
    since the pipeline keeps no lengths (as with transformers' own models). Real frames are the same."""
    recognition = pipeline("automatic-speech-recognition", str(streaming_recogniser), device="cpu")
    generator = np.random.default_rng(0)
    waveforms = [(0.1 * generator.standard_normal(length)).astype(np.float32) for length in (16000, 9000, 12345)]
    options = {"return_timestamps": "char"}
    alone = [recognition(waveform, **options)["chunks"] for waveform in waveforms]
    together = [result["chunks"] for result in recognition(list(waveforms), batch_size=3, **options)]
    for waveform, own, batched in zip(waveforms, alone, together, strict=True):
        num_real = sum(chunk["timestamp"][0] < len(waveform) / 16000 - 0.1 for chunk in own)
        assert num_real > 3
        assert batched[: num_real - 1] == own[: num_real - 1]
    assert together[0] == alone[0]  # the longest has no padding
    assert together != alone
    equal = [waveform[:9000] for waveform in waveforms]
    alone = [recognition(waveform, **options) for waveform in equal]
    assert recognition(list(equal), batch_size=3, **options) == alone


class AsThePipeline(GreedyDecoder):
    """Takes special tokens for text, as transformers' pipeline does."""

    def __init__(self, tokenizer):
        super().__init__(tokenizer)
        self.stream = StreamingGreedyDecoder(tokenizer, silent=[tokenizer.pad_token_id])


def test_pipeline_keeps_doubled_letters(recognition, monkeypatch):
    logits = logits_of(HELLO)[None]
    monkeypatch.setattr(recognition.model, "forward", lambda *args, **kwargs: SimpleNamespace(logits=logits))
    waveform = np.zeros(44 + 9 * 16, dtype=np.float32)
    result = recognition(waveform, return_timestamps="word")
    assert result["text"] == "hello yo"
    assert [chunk["timestamp"] for chunk in result["chunks"]] == [(0.0, 0.007), (0.008, 0.010)]


def test_classification_of_arrays_and_files(classification, write_audio):
    path = write_audio("a.flac", seconds=0.5, sampling_rate=44100)
    result = classification(read_for_pipeline(path, sampling_rate=16000))
    assert {entry["label"] for entry in result} == {"dog", "rain", "crow"}
    assert sum(entry["score"] for entry in result) == pytest.approx(1, abs=1e-5)
    assert classification(read_audio(path, sampling_rate=16000), top_k=1) == result[:1]
