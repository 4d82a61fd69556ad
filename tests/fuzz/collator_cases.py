# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Every collator, with strategies for its items: valid at first, then with one fault or none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

import hf_ssl
from hf_ssl.data.augmentation import AugmentationArguments, WaveformAugmentation
from hf_ssl.data.collators import DataCollatorForAudioClassification, DataCollatorForCTC
from hf_ssl.data.collators_augmented import AugmentingCollator, DataCollatorForData2VecAqc
from hf_ssl.data.collators_images import (
    DataCollatorForData2Vec2Vision,
    DataCollatorForData2VecVision,
    DataCollatorForImageClassification,
)
from hf_ssl.data.collators_pretraining import (
    DataCollatorForBestRq,
    DataCollatorForData2Vec2Audio,
    DataCollatorForData2VecAudio,
)
from hf_ssl.data.collators_text import DataCollatorForData2Vec2Text, DataCollatorForData2VecText
from hf_ssl.data.image_augmentation import ImageMixing, RandomErasing
from hf_ssl.data.skipped import SkippedFiles
from hf_ssl.models.image_processing_data2vec2 import make_image_processor
from hf_ssl.training.model_sizes import (
    best_rq_config,
    data2vec2_audio_config,
    data2vec2_text_config,
    data2vec2_vision_config,
    data2vec_aqc_config,
    data2vec_audio_config,
    data2vec_text_config,
    data2vec_vision_config,
)

Item = dict[str, Any]
Faults = dict[str, Callable[[Item], Item]]
SHORTEST = 480  # samples: of the models, and of four mel frames
LABELS = {"a": 0, "b": 1, "c": 2}


class CollatorCase(NamedTuple):
    """A collator and what is given to it.

    Attributes:
        collator: It.
        draw_item: Strategy for a valid item.
        faults: By name, what makes of a valid item one that must be refused.
    """

    collator: Callable[[list[Item]], dict[str, torch.Tensor]]
    draw_item: Callable[[st.DrawFn], Item]
    faults: Faults


def set_to(name: str, value: Any) -> Callable[[Item], Item]:
    return lambda item: item | {name: value}


def without(name: str) -> Callable[[Item], Item]:
    return lambda item: {key: value for key, value in item.items() if key != name}


# items


def draw_seed(draw: st.DrawFn) -> Item:
    return {"seed": draw(st.sampled_from([0, 2**63 - 1]) | st.integers(0, 2**32))}


def draw_waveform(draw: st.DrawFn, shortest: int) -> Item:
    length = draw(st.sampled_from([shortest, shortest + 1]) | st.integers(shortest, shortest + 3000))
    scale = draw(st.sampled_from([0.1, 0.1, 1.0, 0.0, 1e-6]))
    waveform = np.random.default_rng(draw(st.integers(0, 2**32))).normal(0.0, scale, size=length)
    kind = draw(st.sampled_from(["float32", "float64", "float16", "list", "tensor"]))
    if kind == "list":
        return {"input_values": waveform.tolist()}
    if kind == "tensor":
        return {"input_values": torch.from_numpy(waveform).float()}
    return {"input_values": waveform.astype(kind)}


def draw_pretraining_waveform(draw: st.DrawFn) -> Item:
    return draw_waveform(draw, SHORTEST) | draw_seed(draw)


def draw_transcribed(draw: st.DrawFn) -> Item:
    item = draw_waveform(draw, 1)
    if draw(st.booleans()):
        return item | {"labels": draw(st.lists(st.integers(0, 8), min_size=1, max_size=5))}
    return item | {"transcription": draw(st.text(alphabet="ABC '", min_size=1).filter(str.strip))}


def draw_labelled(draw: st.DrawFn) -> Item:
    return draw_waveform(draw, 1) | {"label": draw(st.sampled_from(["a", "b", "c", 0, 1, 2, np.int64(2)]))}


def draw_multi_labelled(draw: st.DrawFn) -> Item:
    labels = st.sampled_from(["a;b", "", "c", ["a", 1], [], ["c"], [0, 1, 2]])
    return draw_waveform(draw, 1) | {"label": draw(labels)}


def draw_image(draw: st.DrawFn) -> Item:
    is_cropped = draw(st.booleans())
    size = (32, 32) if is_cropped else (draw(st.integers(1, 70)), draw(st.integers(1, 70)))
    image = Image.new(draw(st.sampled_from(["RGB", "L", "RGBA"])), size, draw(st.integers(0, 255)))
    return {"image": image.convert("RGB"), "is_cropped": is_cropped} | draw_seed(draw)


def draw_labelled_image(draw: st.DrawFn) -> Item:
    return draw_image(draw) | {"is_cropped": False, "label": draw(st.sampled_from(sorted(LABELS)))}


def draw_cropped_image(draw: st.DrawFn) -> Item:
    image = Image.new("RGB", (32, 32), draw(st.integers(0, 255)))
    return {"image": image, "is_cropped": True, "label": draw(st.sampled_from(sorted(LABELS)))} | draw_seed(draw)


def draw_text(draw: st.DrawFn, first: int = 2) -> Item:
    input_ids: Any = draw(st.lists(st.integers(first, 299), min_size=1, max_size=30))
    kind = draw(st.sampled_from(["list", "array", "tensor"]))
    if kind != "list":
        input_ids = np.array(input_ids) if kind == "array" else torch.tensor(input_ids)
    return {"input_ids": input_ids} | draw_seed(draw)


# faults

NOISE = np.random.default_rng(0).normal(0.0, 0.1, size=4000).astype(np.float32)
SEED_FAULTS: Faults = {
    "no seed": without("seed"),
    "negative seed": set_to("seed", -1),
    "large seed": set_to("seed", 2**63),
    "seed of a float": set_to("seed", 0.5),
    "seed of text": set_to("seed", "1"),
    "seed of None": set_to("seed", None),
}
WAVEFORM_FAULTS: Faults = {
    "no waveform": without("input_values"),
    "empty waveform": set_to("input_values", NOISE[:0]),
    "stereo": set_to("input_values", NOISE.reshape(2, -1)),
    "a number": set_to("input_values", 0.5),
    "integers": set_to("input_values", (NOISE * 32768).astype(np.int16)),
    "text": set_to("input_values", "noise"),
    "None": set_to("input_values", None),
    "complex": set_to("input_values", NOISE.astype(np.complex64)),
    "lists of unequal length": set_to("input_values", [[0.1, 0.2], [0.3]]),
    "a list with text": set_to("input_values", [0.1, "noise"]),
    "NaN": set_to("input_values", np.concatenate([NOISE, [np.nan]])),
    "infinite": set_to("input_values", np.concatenate([NOISE, [-np.inf]])),
    "too large for float32": set_to("input_values", np.concatenate([NOISE.astype(np.float64), [1e300]])),
}
SHORT_FAULTS: Faults = {f"{length} samples": set_to("input_values", NOISE[:length]) for length in (1, 200)}
TRANSCRIPT_FAULTS: Faults = {
    "no transcript": lambda item: {"input_values": item["input_values"]},
    "empty transcript": set_to("labels", []),
    "blank transcript": lambda item: {"input_values": item["input_values"], "transcription": " \n"},
    "unknown characters": lambda item: {"input_values": item["input_values"], "transcription": "A日"},
    "label too large": set_to("labels", [1, 9]),
    "negative label": set_to("labels", [-100]),
    "labels of floats": set_to("labels", [1.5]),
    "labels of text": set_to("labels", ["A"]),
    "one label": set_to("labels", 3),
    "labels of two dimensions": set_to("labels", [[1], [2]]),
    "ragged labels": set_to("labels", [[1], [2, 3]]),
}
LABEL_FAULTS: Faults = {
    "no label": without("label"),
    "label of None": set_to("label", None),
    "unknown label": set_to("label", "d"),
    "label too large": set_to("label", 3),
    "negative label": set_to("label", -1),
    "label of a float": set_to("label", 0.5),
    "label of NaN": set_to("label", float("nan")),
    "boolean label": set_to("label", True),
    "several labels": set_to("label", [[0], [1]]),
    "label of a dictionary": set_to("label", {"a": 1}),
}
VECTOR_FAULTS: Faults = {
    "no label": without("label"),
    "other numbers": set_to("label", [0, 2, 1]),
    "NaN in a vector": set_to("label", [0.0, float("nan"), 1.0]),
    "no vector": set_to("label", 1),
    "ragged vector": set_to("label", [[0], [1, 0]]),
    "vector of text": set_to("label", ["a", "b"]),
}
IMAGE_FAULTS: Faults = {
    "no image": without("image"),
    "image of None": set_to("image", None),
    "an array": set_to("image", np.zeros((32, 32, 3), dtype=np.uint8)),
    "no pixels": set_to("image", Image.new("RGB", (0, 5))),
    "of unknown cropping": without("is_cropped"),
    "cropped to another size": lambda item: item | {"image": Image.new("RGB", (31, 32)), "is_cropped": True},
}
IMAGE_LABEL_FAULTS: Faults = {
    "no label": without("label"),
    "unknown label": set_to("label", "d"),
    "label of a float": set_to("label", 0.5),
}
TEXT_FAULTS: Faults = {
    "no tokens": without("input_ids"),
    "empty text": set_to("input_ids", []),
    "text": set_to("input_ids", "tokens"),
    "token too large": set_to("input_ids", [5, 300]),
    "token beyond 64 bits": set_to("input_ids", [5, 2**70]),
    "negative token": set_to("input_ids", [5, -1]),
    "floats": set_to("input_ids", [5.5, 6.0]),
    "two dimensions": set_to("input_ids", [[5, 6]]),
    "ragged": set_to("input_ids", [[5, 6], [7]]),
    "None": set_to("input_ids", None),
    "too long": set_to("input_ids", [5] * 10_000),
}
MASK_TOKEN_FAULTS: Faults = {"mask token": set_to("input_ids", [5, 4, 6])}


def make_processor(folder: Path) -> Wav2Vec2Processor:
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C", "'"]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    return Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), Wav2Vec2CTCTokenizer(str(folder / "vocab.json")))


def make_collator_cases(folder: Path) -> dict[str, CollatorCase]:
    """By name; `folder` is for files of a tokenizer."""
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    augmentation = WaveformAugmentation(
        AugmentationArguments(white_noise_prob=0.5, speed_prob=0.5, gain_prob=0.5, reverberation_prob=0.5),
        sampling_rate=extractor.sampling_rate,
        skipped=SkippedFiles(folder / "skipped.jsonl"),
    )
    images = make_image_processor(32)
    audio = DataCollatorForData2Vec2Audio(extractor, data2vec2_audio_config("tiny"))
    mixing = ImageMixing(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1)
    multi_label = DataCollatorForAudioClassification(extractor, LABELS, multi_label=True)
    vectors = DataCollatorForAudioClassification(extractor, multi_label=True)
    pretraining = WAVEFORM_FAULTS | SHORT_FAULTS | SEED_FAULTS
    several = {name: fault for name, fault in LABEL_FAULTS.items() if name != "several labels"}
    return {
        "data2vec2-audio": CollatorCase(audio, draw_pretraining_waveform, pretraining),
        "data2vec-audio": CollatorCase(
            DataCollatorForData2VecAudio(extractor, data2vec_audio_config("tiny")),
            draw_pretraining_waveform,
            pretraining,
        ),
        "data2vec-aqc": CollatorCase(
            DataCollatorForData2VecAqc(extractor, data2vec_aqc_config("tiny"), augmentation),
            lambda draw: draw_waveform(draw, 2 * SHORTEST) | draw_seed(draw),  # a change of speed shortens it
            pretraining,
        ),
        "augmenting": CollatorCase(
            AugmentingCollator(audio, augmentation),
            lambda draw: draw_waveform(draw, 2 * SHORTEST) | draw_seed(draw),
            pretraining,
        ),
        "best-rq": CollatorCase(
            DataCollatorForBestRq(hf_ssl.BestRqFeatureExtractor(), best_rq_config("tiny")),
            draw_pretraining_waveform,
            pretraining,
        ),
        "ctc": CollatorCase(
            DataCollatorForCTC(make_processor(folder)), draw_transcribed, WAVEFORM_FAULTS | TRANSCRIPT_FAULTS
        ),
        "classification": CollatorCase(
            DataCollatorForAudioClassification(extractor, LABELS), draw_labelled, WAVEFORM_FAULTS | LABEL_FAULTS
        ),
        "log-mel classification": CollatorCase(
            DataCollatorForAudioClassification(hf_ssl.BestRqFeatureExtractor(), LABELS),
            draw_labelled,
            WAVEFORM_FAULTS | LABEL_FAULTS,
        ),
        "several labels": CollatorCase(multi_label, draw_multi_labelled, WAVEFORM_FAULTS | several),
        "vectors of labels": CollatorCase(
            vectors, lambda draw: draw_waveform(draw, 1) | {"label": [1, 0, draw(st.integers(0, 1))]}, VECTOR_FAULTS
        ),
        "data2vec2-vision": CollatorCase(
            DataCollatorForData2Vec2Vision(images, data2vec2_vision_config("tiny")),
            draw_image,
            IMAGE_FAULTS | SEED_FAULTS,
        ),
        "data2vec-vision": CollatorCase(
            DataCollatorForData2VecVision(images, data2vec_vision_config("tiny")),
            draw_image,
            IMAGE_FAULTS | SEED_FAULTS,
        ),
        "image classification": CollatorCase(
            DataCollatorForImageClassification(images, LABELS, 32),
            draw_labelled_image,
            IMAGE_FAULTS | IMAGE_LABEL_FAULTS,
        ),
        "mixed images": CollatorCase(
            DataCollatorForImageClassification(images, LABELS, 32, RandomErasing(0.5), mixing),
            draw_cropped_image,
            IMAGE_FAULTS | IMAGE_LABEL_FAULTS | SEED_FAULTS,
        ),
        "data2vec2-text": CollatorCase(
            DataCollatorForData2Vec2Text(data2vec2_text_config("tiny")), draw_text, TEXT_FAULTS | SEED_FAULTS
        ),
        "data2vec-text": CollatorCase(
            DataCollatorForData2VecText(data2vec_text_config("tiny"), mask_token_id=4),
            lambda draw: draw_text(draw, first=5),
            TEXT_FAULTS | MASK_TOKEN_FAULTS | SEED_FAULTS,
        ),
    }
