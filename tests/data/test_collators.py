# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of the collators for fine-tuning."""

import json

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

from hf_ssl import BestRqFeatureExtractor
from hf_ssl.data import DataCollatorForAudioClassification, DataCollatorForCTC


@pytest.fixture
def feature_extractor() -> Wav2Vec2FeatureExtractor:
    # return_attention_mask=False, as the published base models have it: the collators must give the mask nevertheless.
    return Wav2Vec2FeatureExtractor(sampling_rate=16000, do_normalize=True, return_attention_mask=False)


@pytest.fixture
def processor(tmp_path, feature_extractor) -> Wav2Vec2Processor:
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C", "'"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    tokenizer = Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"))
    return Wav2Vec2Processor(feature_extractor=feature_extractor, tokenizer=tokenizer)


def waveform(num_samples: int) -> np.ndarray:
    return np.random.default_rng(num_samples).normal(0.3, 2.0, size=num_samples).astype(np.float32)


def test_ctc_batch(processor):
    features = [
        {"input_values": waveform(400), "seed": 1, "transcription": "A CAB"},
        {"input_values": waveform(250), "seed": 2, "transcription": "B'"},
        {"input_values": waveform(300), "seed": 3, "labels": [7]},
    ]
    batch = DataCollatorForCTC(processor)(features)
    assert set(batch) == {"input_values", "attention_mask", "labels"}
    assert batch["labels"].tolist() == [[5, 4, 7, 5, 6], [6, 8, -100, -100, -100], [7, -100, -100, -100, -100]]
    assert batch["labels"].dtype == torch.int64
    assert batch["attention_mask"].sum(dim=1).tolist() == [400, 250, 300]
    assert batch["input_values"].shape == (3, 400)
    assert batch["input_values"].dtype == torch.float32
    for row, feature in zip(batch["input_values"], features, strict=True):
        values = feature["input_values"]
        np.testing.assert_allclose(row[: len(values)], (values - values.mean()) / values.std(), atol=1e-4)
        assert not row[len(values) :].any()


@pytest.mark.parametrize("text", ["", "  \n"])
def test_ctc_empty_transcript(processor, text):
    with pytest.raises(ValueError, match="empty transcript"):
        DataCollatorForCTC(processor)([{"input_values": waveform(400), "transcription": text}])


def test_ctc_empty_labels(processor):
    with pytest.raises(ValueError, match="empty transcript"):
        DataCollatorForCTC(processor)([{"input_values": waveform(400), "labels": []}])


def test_ctc_missing_labels(processor):
    with pytest.raises(
        ValueError, match=r"expected `labels` .* 'transcription' for CTC, got \['input_values', 'seed'\]"
    ):
        DataCollatorForCTC(processor)([{"input_values": waveform(400), "seed": 1}])


def test_ctc_characters_that_the_vocabulary_lacks(processor):
    with pytest.raises(ValueError, match=r"vocabulary has no '!', 'Z', which the transcript 'A ZZ!' contains"):
        DataCollatorForCTC(processor)([{"input_values": waveform(400), "transcription": "A ZZ!"}])
    with pytest.raises(ValueError, match=r"'a', 'b'"):
        DataCollatorForCTC(processor)([{"input_values": waveform(400), "transcription": "ab"}])


def test_ctc_other_text_column(processor):
    collator = DataCollatorForCTC(processor, text_column="sentence")
    assert collator([{"input_values": waveform(400), "sentence": "AB"}])["labels"].tolist() == [[5, 6]]


def test_sampling_rate_must_be_the_extractors(processor, feature_extractor):
    for make in (
        lambda rate: DataCollatorForCTC(processor, sampling_rate=rate),
        lambda rate: DataCollatorForAudioClassification(feature_extractor, sampling_rate=rate),
    ):
        make(16000)
        with pytest.raises(ValueError, match=r"gives audio at 8000 Hz, but the feature extractor .* expects 16000 Hz"):
            make(8000)


def classify(feature_extractor, labels: list, column: str = "label", **arguments) -> torch.Tensor:
    collator = DataCollatorForAudioClassification(feature_extractor, **arguments)
    features = [{"input_values": waveform(300 + index), column: label} for index, label in enumerate(labels)]
    batch = collator(features)
    assert batch["attention_mask"].sum(dim=1).tolist() == [300 + index for index in range(len(labels))]
    return batch["labels"]


LABEL2ID = {"cat": 0, "dog": 1, "7": 2}


def test_single_label(feature_extractor):
    labels = classify(feature_extractor, ["dog", "7", 0, np.int64(1)], label2id=LABEL2ID)
    assert labels.tolist() == [1, 2, 0, 1]
    assert labels.dtype == torch.int64
    assert classify(feature_extractor, [5, 3], label2id=None, column="labels").tolist() == [5, 3]


def test_multi_label(feature_extractor):
    labels = classify(
        feature_extractor,
        [["dog", "7"], [], "cat; dog", "cat", [0, 2], 1],
        label2id=LABEL2ID,
        multi_label=True,
    )
    assert labels.tolist() == [[0, 1, 1], [0, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert labels.dtype == torch.float32
    vectors = classify(feature_extractor, [[0, 1], np.array([1.0, 1.0])], label2id=None, multi_label=True)
    assert vectors.tolist() == [[0, 1], [1, 1]]


BAD_LABELS = {
    "unknown": ("bird", LABEL2ID, False, r"unknown label 'bird'; label2id has 'cat', 'dog', '7'"),
    "unknown of several": (["cat", "bird"], LABEL2ID, True, "unknown label 'bird'"),
    "other separator": ("cat,dog", LABEL2ID, True, "unknown label 'cat,dog'"),
    "out of range": (3, LABEL2ID, False, "label id from 0 to 2, got 3"),
    "negative": (-1, None, False, r"label id from 0 to \.\.\., got -1"),
    "name without ids": ("cat", None, False, "label2id is needed"),
    "list": (["cat"], LABEL2ID, False, "is multi_label meant"),
    "float": (1.0, LABEL2ID, False, "expected a label's name or id"),
    "bool": (True, LABEL2ID, False, "expected a label's name or id"),
    "none": (None, LABEL2ID, False, "expected a label in `labels` or 'label'"),
    "no vector": ([0, 2], None, True, "vector of 0 and 1"),
    "names without ids": (["cat"], None, True, "vector of 0 and 1"),
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_bad_labels(feature_extractor, name):
    label, label2id, multi_label, message = BAD_LABELS[name]
    with pytest.raises(ValueError, match=message):
        classify(feature_extractor, [label], label2id=label2id, multi_label=multi_label)


def test_vectors_of_unequal_length(feature_extractor):
    with pytest.raises(ValueError, match="0/1 vectors of one length"):
        classify(feature_extractor, [[0, 1], [0, 1, 1]], label2id=None, multi_label=True)


def test_label2id_with_a_gap(feature_extractor):
    with pytest.raises(ValueError, match="ids 0 to 1, each once"):
        DataCollatorForAudioClassification(feature_extractor, {"a": 0, "b": 2})


def test_features_without_audio(feature_extractor):
    collator = DataCollatorForAudioClassification(feature_extractor, LABEL2ID)
    with pytest.raises(ValueError, match=r"expected `input_values` in every feature, got only \['label'\]"):
        collator([{"label": "cat"}])
    with pytest.raises(ValueError, match="at least one feature"):
        collator([])


class TestLogMelFeatures:
    """BEST-RQ's feature extractor in the same collators: `input_features`, and a mask over mel frames."""

    def test_ctc_batch(self, processor):
        processor = Wav2Vec2Processor(feature_extractor=BestRqFeatureExtractor(), tokenizer=processor.tokenizer)
        waveforms = [waveform(4000), waveform(2500)]
        batch = DataCollatorForCTC(processor)(
            [{"input_values": audio, "transcription": "AB"} for audio in waveforms],
        )
        assert set(batch) == {"input_features", "attention_mask", "labels"}
        assert batch["input_features"].shape == (2, 26, 80)
        assert batch["input_features"].dtype == torch.float32
        assert batch["attention_mask"].sum(dim=1).tolist() == [26, 16]
        alone = BestRqFeatureExtractor()(waveforms[1], return_tensors="pt")["input_features"][0]
        torch.testing.assert_close(batch["input_features"][1, :16], alone, atol=1e-4, rtol=0)
        assert not batch["input_features"][1, 16:].any()

    def test_classification_batch(self):
        collator = DataCollatorForAudioClassification(BestRqFeatureExtractor(return_attention_mask=False), LABEL2ID)
        batch = collator([{"input_values": waveform(4000), "label": "dog"}])
        assert set(batch) == {"input_features", "attention_mask", "labels"}
        assert batch["labels"].tolist() == [1]
