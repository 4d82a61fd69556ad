# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The families of models of the package, for the tests that every family has to pass (`tests/matrix`).

A new family gets all of them by one entry in `FAMILIES`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import (
    PreTrainedConfig,
    PreTrainedModel,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
)

import hf_ssl
from hf_ssl.models.configuration_data2vec2 import AUDIO_AUTO_MAP
from hf_ssl.training.model_sizes import data2vec2_audio_config


class Family(NamedTuple):
    """What the tests need to know of a family.

    Attributes:
        name: The configuration's `model_type`.
        make_config: Gives a tiny configuration without dropout.
        classes: The family's classes by the Auto class that opens a folder as one of them.
        auto_map: What its configuration writes for `trust_remote_code`.
        make_inputs: From batch size and length (samples, pixels or tokens) to a model's inputs.
        lengths: Two lengths that inputs may have.
        save_processors: Writes what users load beside the model.
        processors: The Auto classes that open what it wrote.
    """

    name: str
    make_config: Callable[[], PreTrainedConfig]
    classes: dict[str, type[PreTrainedModel]]
    auto_map: dict[str, str]
    make_inputs: Callable[[int, int], dict[str, torch.Tensor]]
    lengths: tuple[int, int]
    save_processors: Callable[[Path], None]
    processors: tuple[str, ...]


def make_audio_inputs(batch_size: int, num_samples: int) -> dict[str, torch.Tensor]:
    """Noise, the last utterance a quarter shorter than the others."""
    generator = torch.Generator().manual_seed(0)
    attention_mask = torch.ones(batch_size, num_samples, dtype=torch.long)
    if batch_size > 1:
        attention_mask[-1, num_samples * 3 // 4 :] = 0
    input_values = torch.randn(batch_size, num_samples, generator=generator) * attention_mask
    return {"input_values": input_values, "attention_mask": attention_mask}


def save_audio_processors(folder: Path) -> None:
    vocabulary = {"<pad>": 0, "<unk>": 1, "|": 2, "a": 3, "b": 4}
    (folder / "vocab.json").write_text(str(vocabulary).replace("'", '"'))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(return_attention_mask=True), tokenizer).save_pretrained(folder)


FAMILIES = [
    Family(
        name="data2vec2-audio",
        make_config=lambda: data2vec2_audio_config(
            "tiny",
            vocab_size=5,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            prenet_dropout=0.0,
            decoder_input_dropout=0.0,
            layerdrop=0.0,
            prenet_layerdrop=0.0,
            initializer_range=0.2,  # large enough for attention to matter
            num_labels=3,
        ),
        classes={
            "AutoModel": hf_ssl.Data2Vec2AudioModel,
            "AutoModelForPreTraining": hf_ssl.Data2Vec2AudioForPreTraining,
            "AutoModelForCTC": hf_ssl.Data2Vec2AudioForCTC,
            "AutoModelForAudioClassification": hf_ssl.Data2Vec2AudioForSequenceClassification,
            "AutoModelForAudioFrameClassification": hf_ssl.Data2Vec2AudioForAudioFrameClassification,
            "AutoModelForAudioXVector": hf_ssl.Data2Vec2AudioForXVector,
        },
        auto_map=AUDIO_AUTO_MAP,
        make_inputs=make_audio_inputs,
        lengths=(4000, 7001),
        save_processors=save_audio_processors,
        processors=("AutoFeatureExtractor", "AutoTokenizer", "AutoProcessor"),
    ),
]

FAMILY_NAMES = [family.name for family in FAMILIES]
EVERY_CLASS = [(family, auto_class) for family in FAMILIES for auto_class in family.classes]
EVERY_CLASS_NAMES = [f"{family.name}-{auto_class}" for family, auto_class in EVERY_CLASS]


def make_model(family: Family, auto_class: str) -> PreTrainedModel:
    """The class's model with seeded random weights, in evaluation mode."""
    torch.manual_seed(0)
    return family.classes[auto_class](family.make_config()).eval()


def main_output(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The tensor that a class is there for."""
    output = model(**inputs)
    for name in ("last_hidden_state", "logits", "targets"):
        if name in output:
            return output[name]
    raise AssertionError(f"{type(model).__name__} gives none of the known outputs but {list(output)}")
