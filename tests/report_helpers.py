# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the tests of the report share: what training leaves in a folder, written by hand."""

import json
import struct
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, Wav2Vec2FeatureExtractor, set_seed

from hf_ssl import (
    Data2Vec2AudioForCTC,
    Data2Vec2TextForPreTraining,
    Data2Vec2VisionForPreTraining,
    Data2VecTextForPreTraining,
    Data2VecVisionForPreTraining,
)
from hf_ssl.models.image_processing_data2vec2 import make_image_processor
from hf_ssl.training.finetuning import build_vocabulary, make_processor
from hf_ssl.training.model_sizes import (
    data2vec2_audio_config,
    data2vec2_text_config,
    data2vec2_vision_config,
    data2vec_text_config,
    data2vec_vision_config,
)
from hf_ssl.training.text_tokenizers import train_tokenizer

HOSTILE = '<script>document.title="hacked"</script><img src="https://example.com/x" onerror="alert(1)">'


def a_log(num_entries: int = 40) -> list[dict[str, Any]]:
    """A loss that falls with noise, figures of targets, and the entry of the end."""
    log: list[dict[str, Any]] = [
        {
            "step": 10 * (index + 1),
            "epoch": 0.1 * index,
            "loss": 4.0 / (1 + 0.1 * index) + 0.01 * (index % 3),
            "target_std": 0.6,
            "prediction_std": 0.3,
            "between_utterance_share": 0.5,
            "learning_rate": 1e-3 - 2e-5 * index,
            "grad_norm": 1.0 + 0.5 * (index % 2),
            "audio_seconds_per_second": 20.0,
            "health/rankme": 10.0 + index,
        }
        for index in range(num_entries)
    ]
    return [*log, {"step": 10 * num_entries, "train_loss": 1.0, "train_runtime": 75.0}]


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def write_lines(path: Path, values: list[Any]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def write_header(path: Path, shapes: dict[str, list[int]]) -> None:
    """A file of weights whose weights are missing: only its header is to be read."""
    header = json.dumps({name: {"shape": shape} for name, shape in shapes.items()}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def save_run(folder: Path, model: PreTrainedModel, preprocessor: Any) -> Path:
    """A folder as after 400 updates, of a model that was not trained."""
    model.save_pretrained(folder)
    preprocessor.save_pretrained(folder)
    write_json(folder / "trainer_state.json", {"global_step": 400, "max_steps": 400, "log_history": a_log()})
    return folder


def waveforms() -> Wav2Vec2FeatureExtractor:
    return Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)


def recogniser_run(folder: Path) -> Path:
    """Of a recogniser that was not trained."""
    set_seed(0)
    processor = make_processor(waveforms(), build_vocabulary(["one two three"]))
    config = data2vec2_audio_config("tiny", vocab_size=len(processor.tokenizer), pad_token_id=0)
    return save_run(folder, Data2Vec2AudioForCTC(config), processor)


def image_run(folder: Path, model_type: str = "data2vec2-vision") -> Path:
    """Of a model of images that was not trained."""
    set_seed(0)
    model: PreTrainedModel
    if model_type == "data2vec-vision":
        model = Data2VecVisionForPreTraining(data2vec_vision_config("tiny"))
    else:
        model = Data2Vec2VisionForPreTraining(data2vec2_vision_config("tiny"))
    return save_run(folder, model, make_image_processor(model.config.image_size))


def text_run(folder: Path, text_file: Path, model_type: str = "data2vec2-text") -> Path:
    """Of a model of texts that was not trained; its texts, which look like HTML, are in `text_file` then."""
    set_seed(0)
    texts = ["one two <b>three</b> four"] * 20
    text_file.write_text("\n".join(texts))
    tokenizer = train_tokenizer(iter(texts), vocab_size=300, model_max_length=64)
    model: PreTrainedModel
    if model_type == "data2vec-text":
        model = Data2VecTextForPreTraining(data2vec_text_config("tiny", vocab_size=len(tokenizer)))
    else:
        model = Data2Vec2TextForPreTraining(data2vec2_text_config("tiny", vocab_size=len(tokenizer)))
    return save_run(folder, model, tokenizer)
