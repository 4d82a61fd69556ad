# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Collators for fine-tuning on transcribed or labelled audio."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Processor

from ..models.feature_extraction_best_rq import BestRqFeatureExtractor
from .collator_checks import Feature, as_array, check_range, integers_of, waveforms_of
from .duration_batches import padded_lengths

# They take waveforms and give `input_values` or `input_features`.
SpeechFeatureExtractor = Wav2Vec2FeatureExtractor | BestRqFeatureExtractor


class DataCollatorForCTC:
    """Pads transcribed clips and turns their transcripts into label ids.

    Each feature has `input_values` of shape `(num_samples,)` and either `labels` (token ids) or the text in
    `text_column`. The text is tokenised as it is: normalise its case and punctuation before.

    Args:
        processor (`Wav2Vec2Processor`): Feature extractor and tokenizer.
        sampling_rate (`int`, *optional*): The rate of the `input_values`; the feature extractor's if not given.
        text_column (`str`): The feature that holds the transcript.
        pad_to_multiple_of (`int`, *optional*): Samples of which the longest clip's length is made a multiple, by
            padding; it stays as it is if not given.

    Returns (of a call):
        `dict[str, torch.Tensor]`: what the feature extractor makes, float32, padded (and normalised where it does):
        `input_values` `(batch_size, num_samples)`, or `input_features` `(batch_size, num_mel_frames, num_mel_bins)`;
        `attention_mask` `(batch_size, num_samples)` or `(batch_size, num_mel_frames)`; `labels`
        `(batch_size, num_labels)`, int64, padded with -100.

    Raises (a call):
        ValueError: If a feature has neither `labels` nor a transcript, an empty one, or one with characters that the
            vocabulary does not have.
    """

    def __init__(
        self,
        processor: Wav2Vec2Processor,
        *,
        sampling_rate: int | None = None,
        text_column: str = "transcription",
        pad_to_multiple_of: int | None = None,
    ) -> None:
        _check_sampling_rate(processor.feature_extractor, sampling_rate)
        self.pad_to_multiple_of = pad_to_multiple_of
        self.processor = processor
        self.text_column = text_column

    def __call__(self, features: Sequence[Feature]) -> dict[str, torch.Tensor]:
        batch = _pad_audio(self.processor.feature_extractor, features, self.pad_to_multiple_of)
        labels = [torch.tensor(self._label_ids(feature), dtype=torch.int64) for feature in features]
        batch["labels"] = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
        return batch

    def _label_ids(self, feature: Feature) -> list[int]:
        label_ids = feature.get("labels")
        text = feature.get(self.text_column)
        if label_ids is None and text is None:
            raise ValueError(
                f"expected `labels` (token ids) or the text in {self.text_column!r} for CTC, got {sorted(feature)}"
            )
        if label_ids is None:
            label_ids = self.tokenize(str(text))
        label_ids = integers_of("labels", label_ids)
        if len(label_ids) == 0:
            raise ValueError(f"empty transcript ({text!r}): leave such clips out, or transcribe them")
        check_range("labels", label_ids, len(self.processor.tokenizer), "Did another tokenizer make them?")
        return label_ids

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a transcript; empty for one of white space.

        Raises:
            ValueError: If the vocabulary lacks characters of the text: trained on as unknown, they would be lost.
        """
        if not text.strip():
            return []
        tokenizer = self.processor.tokenizer
        tokens = tokenizer.tokenize(text)
        label_ids = tokenizer.convert_tokens_to_ids(tokens)
        unknown = sorted({token for token, id_ in zip(tokens, label_ids, strict=True) if self._is_unknown(token, id_)})
        if unknown:
            raise ValueError(
                f"the vocabulary has no {', '.join(map(repr, unknown))}, which the transcript {text!r} contains: "
                "remove or replace them (is the case the vocabulary's?), or make a vocabulary that has them"
            )
        return label_ids

    def _is_unknown(self, token: str, label_id: int | None) -> bool:
        tokenizer = self.processor.tokenizer
        return label_id is None or (label_id == tokenizer.unk_token_id and token != tokenizer.unk_token)


class DataCollatorForAudioClassification:
    """Pads labelled clips and turns their labels into ids, or for several labels per clip into 0/1 vectors.

    Each feature has `input_values` of shape `(num_samples,)` and its label in `labels` or in `label_column`:

    - one label per clip: a name in `label2id`, or an id;
    - several, with `label2id`: a list of names or ids (an empty list: none applies), or a text with the names
      separated by `label_separator`;
    - several, without `label2id`: the 0/1 vector itself.

    Args:
        feature_extractor (`Wav2Vec2FeatureExtractor` or `BestRqFeatureExtractor`): Pads and normalises; the latter
            makes log-mel features.
        label2id (`dict[str, int]`, *optional*): The ids of the names, 0 to `num_labels - 1`.
        multi_label (`bool`): Whether a clip may have several labels.
        sampling_rate (`int`, *optional*): The rate of the `input_values`; the feature extractor's if not given.
        label_column (`str`): The feature that holds the label.
        label_separator (`str`): Between names in a text.
        pad_to_multiple_of (`int`, *optional*): As of [`DataCollatorForCTC`].

    Returns (of a call):
        `dict[str, torch.Tensor]`: `input_values` (or `input_features`) and `attention_mask` as in
        [`DataCollatorForCTC`]; `labels` `(batch_size,)`, int64, or with several labels `(batch_size, num_labels)`,
        float32.

    Raises (a call):
        ValueError: If a feature has no label, or one that is not in `label2id`.
    """

    def __init__(
        self,
        feature_extractor: SpeechFeatureExtractor,
        label2id: Mapping[str, int] | None = None,
        multi_label: bool = False,
        *,
        sampling_rate: int | None = None,
        label_column: str = "label",
        label_separator: str = ";",
        pad_to_multiple_of: int | None = None,
    ) -> None:
        _check_sampling_rate(feature_extractor, sampling_rate)
        if label2id is not None and sorted(label2id.values()) != list(range(len(label2id))):
            raise ValueError(f"expected label2id to have the ids 0 to {len(label2id) - 1}, each once, got {label2id}")
        self.feature_extractor = feature_extractor
        self.label2id = None if label2id is None else dict(label2id)
        self.multi_label = multi_label
        self.label_column = label_column
        self.label_separator = label_separator
        self.pad_to_multiple_of = pad_to_multiple_of

    def __call__(self, features: Sequence[Feature]) -> dict[str, torch.Tensor]:
        batch = _pad_audio(self.feature_extractor, features, self.pad_to_multiple_of)
        labels = [self._label_of(feature) for feature in features]
        if self.multi_label:
            batch["labels"] = torch.tensor(np.stack(self._multi_hot_rows(labels)), dtype=torch.float32)
        else:
            batch["labels"] = torch.tensor([self._label_id(label) for label in labels], dtype=torch.int64)
        return batch

    def _label_of(self, feature: Feature) -> Any:
        label = feature.get("labels")
        label = feature.get(self.label_column) if label is None else label
        if label is None:
            raise ValueError(f"expected a label in `labels` or {self.label_column!r}, got only {sorted(feature)}")
        return label

    def _label_id(self, label: Any) -> int:
        """The id of one label: a name is looked up, an integer is an id already."""
        if isinstance(label, str):
            if self.label2id is None:
                raise ValueError(f"the label {label!r} is a name: label2id is needed")
            if label not in self.label2id:
                raise ValueError(f"unknown label {label!r}; label2id has {_shorten(list(self.label2id))}")
            return self.label2id[label]
        if isinstance(label, bool) or not isinstance(label, (int, np.integer)):
            raise ValueError(f"expected a label's name or id, got {label!r}; is multi_label meant?")
        num_labels = None if self.label2id is None else len(self.label2id)
        if label < 0 or (num_labels is not None and label >= num_labels):
            raise ValueError(
                f"expected a label id from 0 to {'...' if num_labels is None else num_labels - 1}, got {label}"
            )
        return int(label)

    def _multi_hot_rows(self, labels: list[Any]) -> list[np.ndarray]:
        rows = [self._multi_hot(label) for label in labels]
        if len({row.shape for row in rows}) > 1:
            raise ValueError(f"expected 0/1 vectors of one length, got the shapes {[row.shape for row in rows]}")
        return rows

    def _multi_hot(self, label: Any) -> np.ndarray:
        if self.label2id is None:
            row = as_array("labels", label)
            if row.ndim != 1 or not np.isin(row, (0, 1)).all():
                raise ValueError(
                    f"without label2id, expected the labels of a clip as a vector of 0 and 1, got {label!r}"
                )
            return row.astype(np.float32)
        if isinstance(label, str):
            label = [name.strip() for name in label.split(self.label_separator) if name.strip()]
        row = np.zeros(len(self.label2id), dtype=np.float32)
        for one in label if isinstance(label, (list, tuple, set, np.ndarray)) else [label]:
            row[self._label_id(one)] = 1.0
        return row


def _check_sampling_rate(feature_extractor: SpeechFeatureExtractor, sampling_rate: int | None) -> None:
    if sampling_rate is not None and sampling_rate != feature_extractor.sampling_rate:
        raise ValueError(
            f"the data set gives audio at {sampling_rate} Hz, but the feature extractor (and its model) expects "
            f"{feature_extractor.sampling_rate} Hz; make the data set with that"
        )


def _pad_audio(
    feature_extractor: SpeechFeatureExtractor, features: Sequence[Feature], pad_to_multiple_of: int | None
) -> dict[str, torch.Tensor]:
    """The model's input and its attention mask, whether these are samples or mel frames."""
    waveforms = waveforms_of(features)
    batch = feature_extractor(
        waveforms,
        sampling_rate=feature_extractor.sampling_rate,
        padding="max_length",
        max_length=padded_length(feature_extractor, waveforms, pad_to_multiple_of),
        # Not the extractor's own setting: models pool, mask and score real frames only.
        return_attention_mask=True,
        return_tensors="pt",
    )
    name = feature_extractor.model_input_names[0]
    return {name: batch[name], "attention_mask": batch["attention_mask"]}


def padded_length(
    feature_extractor: SpeechFeatureExtractor, waveforms: Sequence[np.ndarray], multiple: int | None
) -> int:
    """Samples or mel frames, whatever the extractor gives, of the longest clip rounded up to a multiple in samples."""
    num_samples = int(padded_lengths([max(map(len, waveforms))], multiple)[0])
    if isinstance(feature_extractor, BestRqFeatureExtractor):
        return feature_extractor.num_mel_frames(num_samples)
    return num_samples


def _shorten(names: list[str], limit: int = 20) -> str:
    shown = ", ".join(map(repr, names[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
