# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a pre-trained model of speech makes of a recording: what was hidden from it, and how well it predicts that."""

from typing import NamedTuple

import torch
from transformers import AutoFeatureExtractor, AutoModelForPreTraining, PreTrainedConfig

from ..data.collators_pretraining import (
    DataCollatorForBestRq,
    DataCollatorForData2Vec2Audio,
    DataCollatorForData2VecAudio,
)
from ..models.configuration_best_rq import BestRqConfig
from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from ..models.configuration_data2vec_aqc import Data2VecAqcConfig
from ..models.configuration_data2vec_pretraining import Data2VecAudioPreTrainingConfig
from .clips import SampleClip, read_clip
from .markup import element
from .model import open_model, open_part
from .numbers import format_share
from .run_folder import Run
from .samples import SampleSource
from .section import Section
from .similarities import similarities
from .speech_picture import CodeRow, Row, SimilarityRow, speech_picture

_MASK_SEED = 0


class View(NamedTuple):
    """What is shown of a model's output.

    Attributes:
        hidden: Which frames the student did not see, `(num_frames,)`, bool.
        rows: Under the spectrogram.
        words: What they say.
    """

    hidden: torch.Tensor
    rows: list[Row]
    words: list[str]


def speech_section(run: Run, source: SampleSource) -> Section:
    """A spectrogram with what was hidden, and under it what the model predicts there.

    Raises:
        ValueError: The model or the recording cannot be used.
    """
    model = open_model(AutoModelForPreTraining, run)
    feature_extractor = open_part(AutoFeatureExtractor, run)
    clip = read_clip(source, feature_extractor.sampling_rate)
    collator = _collator(feature_extractor, model.config)
    batch = collator([{"input_values": clip.waveform, "seed": _MASK_SEED}])
    with torch.no_grad():
        outputs = model(**batch)
    view = _view(model.config, outputs)
    seconds_per_frame = _seconds_per_frame(model.config, feature_extractor.sampling_rate)
    seconds = len(clip.waveform) / feature_extractor.sampling_rate
    picture = speech_picture(clip.waveform, feature_extractor.sampling_rate, view.hidden, view.rows, seconds_per_frame)
    return Section(
        "A sample", [_introduction(clip, seconds, view), picture, [element("p", words) for words in view.words]]
    )


def _introduction(clip: SampleClip, seconds: float, view: View):
    share = view.hidden.float().mean().item()
    text = (
        f"{clip.name}, {seconds:.1f} s. {format_share(share)} of it were hidden from the student, as in training; "
        "these frames are dimmed."
    )
    return element("p", text, class_="introduction")


def _collator(feature_extractor, config: PreTrainedConfig):
    match config:
        case BestRqConfig():
            return DataCollatorForBestRq(feature_extractor, config)
        case Data2Vec2AudioConfig():
            return DataCollatorForData2Vec2Audio(feature_extractor, config)
        case Data2VecAudioPreTrainingConfig() | Data2VecAqcConfig():
            return DataCollatorForData2VecAudio(feature_extractor, config)
    raise ValueError(f"There is no view of a sample for models of type {config.model_type!r}.")


def _seconds_per_frame(config, sampling_rate: int) -> float:
    if isinstance(config, BestRqConfig):
        return config.hop_length * config.stack_size / sampling_rate
    return torch.tensor(config.conv_stride).prod().item() / sampling_rate


def _view(config: PreTrainedConfig, outputs) -> View:
    match config:
        case BestRqConfig():
            return _codes_view(outputs)
        case Data2VecAqcConfig():
            view = _similarity_view(outputs)
            return View(view.hidden, [*view.rows, *_cluster_rows(outputs, view.hidden)], [*view.words, _AQC_WORDS])
    return _similarity_view(outputs)


_AQC_WORDS = (
    "Below: the codes that the quantizer gives to the hidden frames of the recording, a row for each of its groups. "
    "The same colour is the same code. Clusters are made anew for each utterance and not shown."
)


def _similarity_view(outputs) -> View:
    """Of a model with a teacher. Of several masked copies of the utterance, the first."""
    found = similarities(outputs)
    others = [] if found.others is None else found.others.tolist()
    row = SimilarityRow(found.predicted.nonzero().flatten().tolist(), found.own.tolist(), others)
    words = (
        "Bars: cosine similarity of each prediction with the teacher's target of its frame, "
        f"{found.own.mean().item():.2f} on average. "
    )
    if found.others is not None:
        words += (
            f"Line: with the targets of the other hidden frames, {found.others.mean().item():.2f} on average; only "
            "what lies above it is knowledge of this very frame."
        )
    return View(found.hidden, [row], [words])


def _codes_view(outputs) -> View:
    predicted = outputs.prediction_mask[0]
    hidden = outputs.mask_time_indices[0]
    frames = predicted.nonzero().flatten().tolist()
    codes, guesses = outputs.codes[0], outputs.logits.argmax(-1)
    rows: list[Row] = []
    num_codebooks = codes.shape[-1]
    for codebook in range(num_codebooks):
        number = f" {codebook + 1}" if num_codebooks > 1 else ""
        hits = codes[predicted, codebook] == guesses[:, codebook]
        rows.append(CodeRow(f"Codes{number}", list(range(len(codes))), codes[:, codebook].tolist()))
        rows.append(CodeRow("Predicted", frames, guesses[:, codebook].tolist(), hits.tolist()))
    right = (codes[predicted] == guesses).float().mean().item()
    # of always saying the code that is most frequent in this very recording
    most = sum(torch.bincount(codes[:, book]).max().item() for book in range(num_codebooks)) / codes.numel()
    return View(
        hidden,
        rows,
        [
            "Colours are codes of the quantizer; the same colour is the same code. Under the predictions, a green "
            "mark is a code predicted right.",
            f"{format_share(right)} of {len(frames) * num_codebooks} hidden codes were predicted right; the most "
            f"frequent code of this recording makes up {format_share(most)} of it.",
        ],
    )


def _cluster_rows(outputs, hidden: torch.Tensor) -> list[Row]:
    """Of hidden frames, which stand in slots in order of time."""
    codes = outputs.codes[0][outputs.slot_mask[0]]
    frames = outputs.prediction_mask[0].nonzero().flatten().tolist()
    return [CodeRow(f"Codes {group + 1}", frames, codes[:, group].tolist()) for group in range(codes.shape[-1])]
