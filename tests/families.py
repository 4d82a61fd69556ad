# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The families of models of the package, for the tests that every family has to pass (`tests/matrix`).

A new family gets all of them by one entry in `FAMILIES`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from transformers import (
    PreTrainedConfig,
    PreTrainedModel,
    RobertaTokenizer,
    SequenceFeatureExtractor,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
)

import hf_ssl
from hf_ssl.models.configuration_best_rq import BEST_RQ_AUTO_MAP
from hf_ssl.models.configuration_data2vec2 import AUDIO_AUTO_MAP
from hf_ssl.models.configuration_data2vec2_text import TEXT_AUTO_MAP
from hf_ssl.models.configuration_data2vec2_vision import VISION_AUTO_MAP
from hf_ssl.models.configuration_data2vec_aqc import DATA2VEC_AQC_AUTO_MAP
from hf_ssl.models.configuration_data2vec_pretraining import AUDIO_AUTO_MAP as DATA2VEC_AUDIO_AUTO_MAP
from hf_ssl.models.configuration_data2vec_pretraining import TEXT_AUTO_MAP as DATA2VEC_TEXT_AUTO_MAP
from hf_ssl.models.configuration_data2vec_pretraining import VISION_AUTO_MAP as DATA2VEC_VISION_AUTO_MAP
from hf_ssl.models.image_processing_data2vec2 import make_image_processor
from hf_ssl.models.masking import row_positions
from hf_ssl.training.data2vec_aqc import Data2VecAqcTrainer
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
from hf_ssl.training.trainer import (
    BestRqTrainer,
    ImageSelfDistillationTrainer,
    PreTrainingTrainer,
    SelfDistillationTrainer,
    TextSelfDistillationTrainer,
)


class Family(NamedTuple):
    """What the tests need to know of a family.

    Attributes:
        name: The configuration's `model_type`.
        make_config: Gives a tiny configuration without dropout.
        classes: The family's classes by the Auto class that opens a folder as one of them.
        auto_map: What its configuration writes for `trust_remote_code`.
        make_inputs: From batch size and length (samples, mel frames, pixels or tokens) to a model's inputs.
        has_teacher: Whether the pre-training class has an EMA teacher.
        lengths: Two lengths that inputs may have.
        save_processors: Writes what users load beside the model.
        processors: The Auto classes that open what it wrote.
        has_own_encoder: Whether encoder and heads are the package's own, and not transformers'.
        has_auto_class: Whether `AutoModelForPreTraining` opens its folders as the family's class; where it opens them
            as one of transformers, the family's has to be named.
    """

    name: str
    make_config: Callable[[], PreTrainedConfig]
    classes: dict[str, type[PreTrainedModel]]
    auto_map: dict[str, str]
    make_inputs: Callable[[int, int], dict[str, torch.Tensor]]
    has_teacher: bool
    lengths: tuple[int, int]
    save_processors: Callable[[Path], None]
    processors: tuple[str, ...]
    has_own_encoder: bool = True
    has_auto_class: bool = True


def make_audio_inputs(batch_size: int, num_samples: int) -> dict[str, torch.Tensor]:
    """Noise, the last utterance a quarter shorter than the others."""
    generator = torch.Generator().manual_seed(0)
    attention_mask = torch.ones(batch_size, num_samples, dtype=torch.long)
    if batch_size > 1:
        attention_mask[-1, num_samples * 3 // 4 :] = 0
    input_values = torch.randn(batch_size, num_samples, generator=generator) * attention_mask
    return {"input_values": input_values, "attention_mask": attention_mask}


def make_mel_inputs(batch_size: int, num_mel_frames: int) -> dict[str, torch.Tensor]:
    """Noise, the last utterance a quarter shorter than the others."""
    generator = torch.Generator().manual_seed(0)
    attention_mask = torch.ones(batch_size, num_mel_frames, dtype=torch.long)
    if batch_size > 1:
        attention_mask[-1, num_mel_frames * 3 // 4 :] = 0
    input_features = torch.randn(batch_size, num_mel_frames, 80, generator=generator) * attention_mask.unsqueeze(-1)
    return {"input_features": input_features, "attention_mask": attention_mask}


def make_images(batch_size: int, image_size: int) -> dict[str, torch.Tensor]:
    """Noise."""
    generator = torch.Generator().manual_seed(0)
    return {"pixel_values": torch.randn(batch_size, 3, image_size, image_size, generator=generator)}


def save_image_processor(folder: Path) -> None:
    make_image_processor(32).save_pretrained(folder)


def make_text_inputs(batch_size: int, num_tokens: int) -> dict[str, torch.Tensor]:
    """Random tokens, the last text a quarter shorter than the others."""
    generator = torch.Generator().manual_seed(0)
    attention_mask = torch.ones(batch_size, num_tokens, dtype=torch.long)
    if batch_size > 1:
        attention_mask[-1, num_tokens * 3 // 4 :] = 0
    input_ids = torch.randint(4, 300, (batch_size, num_tokens), generator=generator)
    return {"input_ids": input_ids.where(attention_mask.bool(), 1), "attention_mask": attention_mask}


def save_audio_processors(folder: Path) -> None:
    _save_processors(Wav2Vec2FeatureExtractor(return_attention_mask=True), folder)


def save_mel_processors(folder: Path) -> None:
    _save_processors(hf_ssl.BestRqFeatureExtractor(), folder)


def save_text_processors(folder: Path) -> None:
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6, "<mask>": 7}
    RobertaTokenizer(vocab=vocabulary, merges=[("a", "b")]).save_pretrained(folder)


def _save_processors(feature_extractor: SequenceFeatureExtractor, folder: Path) -> None:
    vocabulary = {"<pad>": 0, "<unk>": 1, "|": 2, "a": 3, "b": 4}
    (folder / "vocab.json").write_text(str(vocabulary).replace("'", '"'))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    Wav2Vec2Processor(feature_extractor, tokenizer).save_pretrained(folder)


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
        has_teacher=True,
        lengths=(4000, 7001),
        save_processors=save_audio_processors,
        processors=("AutoFeatureExtractor", "AutoTokenizer", "AutoProcessor"),
    ),
    Family(
        name="data2vec2-vision",
        make_config=lambda: data2vec2_vision_config("tiny", initializer_range=0.2, num_labels=3),
        classes={
            "AutoModel": hf_ssl.Data2Vec2VisionModel,
            "AutoModelForPreTraining": hf_ssl.Data2Vec2VisionForPreTraining,
            "AutoModelForImageClassification": hf_ssl.Data2Vec2VisionForImageClassification,
        },
        auto_map=VISION_AUTO_MAP,
        make_inputs=make_images,
        has_teacher=True,
        lengths=(32, 32),
        save_processors=save_image_processor,
        processors=("AutoImageProcessor", "AutoProcessor"),
    ),
    Family(
        name="best-rq",
        make_config=lambda: best_rq_config(
            "tiny",
            vocab_size=5,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            activation_dropout=0.0,
            subsampling_dropout=0.0,
            num_labels=3,
        ),
        classes={
            "AutoModel": hf_ssl.BestRqModel,
            "AutoModelForPreTraining": hf_ssl.BestRqForPreTraining,
            "AutoModelForCTC": hf_ssl.BestRqForCTC,
            "AutoModelForAudioClassification": hf_ssl.BestRqForSequenceClassification,
            "AutoModelForAudioFrameClassification": hf_ssl.BestRqForAudioFrameClassification,
            "AutoModelForAudioXVector": hf_ssl.BestRqForXVector,
        },
        auto_map=BEST_RQ_AUTO_MAP,
        make_inputs=make_mel_inputs,
        has_teacher=False,
        lengths=(100, 175),
        save_processors=save_mel_processors,
        processors=("AutoFeatureExtractor", "AutoTokenizer", "AutoProcessor"),
    ),
    Family(
        name="data2vec2-text",
        make_config=lambda: data2vec2_text_config(
            "tiny",
            hidden_dropout=0.0,
            attention_dropout=0.0,
            embedding_dropout=0.0,
            decoder_input_dropout=0.0,
            initializer_range=0.2,  # large enough for attention to matter
            num_labels=3,
        ),
        classes={
            "AutoModel": hf_ssl.Data2Vec2TextModel,
            "AutoModelForPreTraining": hf_ssl.Data2Vec2TextForPreTraining,
            "AutoModelForSequenceClassification": hf_ssl.Data2Vec2TextForSequenceClassification,
            "AutoModelForTokenClassification": hf_ssl.Data2Vec2TextForTokenClassification,
            "AutoModelForQuestionAnswering": hf_ssl.Data2Vec2TextForQuestionAnswering,
        },
        auto_map=TEXT_AUTO_MAP,
        make_inputs=make_text_inputs,
        has_teacher=True,
        lengths=(20, 33),
        save_processors=save_text_processors,
        processors=("AutoTokenizer",),
    ),
    Family(
        name="data2vec-audio",
        make_config=lambda: data2vec_audio_config(
            "tiny",
            vocab_size=5,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            layerdrop=0.0,
            initializer_range=0.2,
            num_labels=3,
        ),
        classes={
            "AutoModel": transformers.Data2VecAudioModel,
            "AutoModelForPreTraining": hf_ssl.Data2VecAudioForPreTraining,
            "AutoModelForCTC": transformers.Data2VecAudioForCTC,
            "AutoModelForAudioClassification": transformers.Data2VecAudioForSequenceClassification,
            "AutoModelForAudioFrameClassification": transformers.Data2VecAudioForAudioFrameClassification,
            "AutoModelForAudioXVector": transformers.Data2VecAudioForXVector,
        },
        auto_map=DATA2VEC_AUDIO_AUTO_MAP,
        make_inputs=make_audio_inputs,
        has_teacher=True,
        lengths=(4000, 7001),
        save_processors=save_audio_processors,
        processors=("AutoFeatureExtractor", "AutoTokenizer", "AutoProcessor"),
        has_own_encoder=False,
    ),
    Family(
        name="data2vec-text",
        make_config=lambda: data2vec_text_config(
            "tiny",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=0.2,
            num_labels=2,  # transformers' head for answers takes no other number
        ),
        classes={
            "AutoModel": transformers.Data2VecTextModel,
            "AutoModelForPreTraining": hf_ssl.Data2VecTextForPreTraining,
            "AutoModelForSequenceClassification": transformers.Data2VecTextForSequenceClassification,
            "AutoModelForTokenClassification": transformers.Data2VecTextForTokenClassification,
            "AutoModelForQuestionAnswering": transformers.Data2VecTextForQuestionAnswering,
        },
        auto_map=DATA2VEC_TEXT_AUTO_MAP,
        make_inputs=make_text_inputs,
        has_teacher=True,
        lengths=(20, 33),
        save_processors=save_text_processors,
        processors=("AutoTokenizer",),
        has_own_encoder=False,
        has_auto_class=False,
    ),
    Family(
        name="data2vec-vision",
        make_config=lambda: data2vec_vision_config(
            "tiny",
            attention_probs_dropout_prob=0.0,
            drop_path_rate=0.0,
            initializer_range=0.2,
            num_labels=3,
        ),
        classes={
            "AutoModel": transformers.Data2VecVisionModel,
            "AutoModelForPreTraining": hf_ssl.Data2VecVisionForPreTraining,
            "AutoModelForImageClassification": transformers.Data2VecVisionForImageClassification,
        },
        auto_map=DATA2VEC_VISION_AUTO_MAP,
        make_inputs=make_images,
        has_teacher=True,
        lengths=(32, 32),
        save_processors=save_image_processor,
        processors=("AutoImageProcessor", "AutoProcessor"),
        has_own_encoder=False,
    ),
    Family(
        name="data2vec-aqc",
        make_config=lambda: data2vec_aqc_config(
            "tiny",
            vocab_size=5,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            layerdrop=0.0,
            initializer_range=0.2,  # large enough for attention to matter
            num_labels=3,
        ),
        classes={
            "AutoModel": hf_ssl.Data2VecAqcModel,
            "AutoModelForPreTraining": hf_ssl.Data2VecAqcForPreTraining,
            "AutoModelForCTC": hf_ssl.Data2VecAqcForCTC,
            "AutoModelForAudioClassification": hf_ssl.Data2VecAqcForSequenceClassification,
            "AutoModelForAudioFrameClassification": hf_ssl.Data2VecAqcForAudioFrameClassification,
            "AutoModelForAudioXVector": hf_ssl.Data2VecAqcForXVector,
        },
        auto_map=DATA2VEC_AQC_AUTO_MAP,
        make_inputs=make_audio_inputs,
        has_teacher=True,
        lengths=(4000, 7001),
        save_processors=save_audio_processors,
        processors=("AutoFeatureExtractor", "AutoTokenizer", "AutoProcessor"),
    ),
]

WITH_OWN_ENCODER = [family for family in FAMILIES if family.has_own_encoder]
WITH_OWN_ENCODER_NAMES = [family.name for family in WITH_OWN_ENCODER]
WITH_ENCODER_OF_TRANSFORMERS = [family for family in FAMILIES if not family.has_own_encoder]
WITH_ENCODER_OF_TRANSFORMERS_NAMES = [family.name for family in WITH_ENCODER_OF_TRANSFORMERS]
WITH_TEACHER = [family for family in FAMILIES if family.has_teacher]
WITH_TEACHER_NAMES = [family.name for family in WITH_TEACHER]

FAMILY_NAMES = [family.name for family in FAMILIES]
# transformers' own classes are tested there; what they make of our folders is tested with the class that writes them.
EVERY_CLASS = [
    (family, auto_class)
    for family in FAMILIES
    for auto_class, model_class in family.classes.items()
    if not model_class.__module__.startswith("transformers.")
]
EVERY_CLASS_NAMES = [f"{family.name}-{auto_class}" for family, auto_class in EVERY_CLASS]

# The others of the families have `SelfDistillationTrainer`.
_TRAINERS: dict[str, type[PreTrainingTrainer]] = {
    "data2vec2-vision": ImageSelfDistillationTrainer,
    "data2vec-vision": ImageSelfDistillationTrainer,
    "data2vec2-text": TextSelfDistillationTrainer,
    "data2vec-text": TextSelfDistillationTrainer,
    "best-rq": BestRqTrainer,
    "data2vec-aqc": Data2VecAqcTrainer,
}


def trainer_class(family: Family) -> type[PreTrainingTrainer]:
    """What pre-trains the family's models."""
    return _TRAINERS.get(family.name, SelfDistillationTrainer)


def make_model(family: Family, auto_class: str, attn_implementation: str | None = None) -> PreTrainedModel:
    """The class's model with seeded random weights, in evaluation mode."""
    torch.manual_seed(0)
    config = family.make_config()
    config._attn_implementation = attn_implementation
    return family.classes[auto_class](config).eval()


def make_training_inputs(family: Family, batch_size: int = 2) -> dict[str, torch.Tensor]:
    """A batch that a pre-training class gives a loss for, whose masks are still to be drawn."""
    inputs = family.make_inputs(batch_size, family.lengths[0])
    if family.classes["AutoModelForPreTraining"] is hf_ssl.Data2VecTextForPreTraining:  # which gets masked tokens
        is_masked = torch.arange(family.lengths[0]) % 3 == 1
        inputs["labels"] = inputs["input_ids"].where(is_masked & inputs["attention_mask"].bool(), -100)
    return inputs


def opener(family: Family, auto_class: str) -> Any:
    """The class whose `from_pretrained` opens a folder as that of the family."""
    if auto_class == "AutoModelForPreTraining" and not family.has_auto_class:
        return family.classes[auto_class]
    return getattr(transformers, auto_class)


def collate_training_inputs(family: Family, model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """That batch with masks, labels and positions, as collators give them."""
    inputs = make_training_inputs(family)
    if "labels" in inputs:
        return inputs | {"predicted_positions": row_positions(inputs["labels"] != -100)}
    outputs = model(**inputs)
    mask, frame_mask = outputs.mask_time_indices, outputs.frame_mask
    name = "bool_masked_pos" if "pixel_values" in inputs else "mask_time_indices"
    inputs |= {name: mask, "labels": torch.where(mask, 0, -100), "predicted_positions": row_positions(mask)}
    if mask.dim() == 3:
        visible = ~mask if frame_mask is None else ~mask & frame_mask.unsqueeze(1)
        inputs["visible_positions"] = row_positions(visible)
    return inputs


# In this order: what is of masked frames, which are random, only where there is nothing else.
MAIN_OUTPUTS = ("last_hidden_state", "targets", "codes", "logits", "start_logits")


def main_output(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The tensor that a class is there for."""
    if isinstance(model, hf_ssl.Data2VecTextForPreTraining):  # which has to know the masked tokens
        inputs = inputs | {"labels": inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)}
    output = model(**inputs)
    for name in MAIN_OUTPUTS:
        if name in output:
            return output[name]
    raise AssertionError(f"{type(model).__name__} gives none of the known outputs but {list(output)}")
