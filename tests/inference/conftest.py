# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tiny saved models and generated recordings for the tests of inference."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from inference_helpers import STREAM_STATISTICS, VOCABULARY, save_best_rq
from transformers import (
    HubertConfig,
    HubertModel,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from hf_ssl import (
    BestRqFeatureExtractor,
    Data2Vec2AudioConfig,
    Data2Vec2AudioForCTC,
    Data2Vec2AudioForPreTraining,
)
from hf_ssl.inference import LoadedModel, load_ctc_model, load_encoder
from hf_ssl.training.finetuning import make_processor

AudioWriter = Callable[..., Path]

# 16 samples per frame, 44 samples for the first: a second has 998 frames.
_CONVOLUTIONS = {"conv_dim": (8, 8, 8), "conv_kernel": (8, 4, 4), "conv_stride": (4, 2, 2)}
_WAV2VEC2 = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "hidden_dropout": 0.0,
    "layerdrop": 0.0,
    **_CONVOLUTIONS,
}


def data2vec2_config(**overrides) -> Data2Vec2AudioConfig:
    """Attention that falls off quickly with distance, so that windows can be compared with one pass."""
    options = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "initializer_range": 0.2,
        "alibi_scale": 128.0,
        "num_conv_pos_embeddings": 2,
        "conv_pos_kernel_size": 3,
        "num_conv_pos_embedding_groups": 2,
        "decoder_hidden_size": 16,
        "decoder_num_layers": 1,
        "decoder_groups": 2,
        "average_top_k_layers": 2,
        **_CONVOLUTIONS,
    }
    return Data2Vec2AudioConfig(**(options | overrides))


def save(folder: Path, model: PreTrainedModel, do_normalize: bool = True) -> Path:
    """Writes a model with a processor."""
    feature_extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=do_normalize)
    model.save_pretrained(folder)
    make_processor(feature_extractor, VOCABULARY).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def streaming_recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random recogniser that reads streams, in chunks of 0.16 s."""
    feature_extractor = BestRqFeatureExtractor(top_db=None, **STREAM_STATISTICS)
    folder = tmp_path_factory.mktemp("streaming")
    return save_best_rq(folder, feature_extractor, chunk_size=4, left_context_chunks=3, conv_causal=True)


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random recogniser and its processor."""
    torch.manual_seed(0)
    return save(tmp_path_factory.mktemp("recogniser"), Data2Vec2AudioForCTC(data2vec2_config()))


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pre-training leaves it: no head for recognition."""
    torch.manual_seed(0)
    return save(tmp_path_factory.mktemp("pretrained"), Data2Vec2AudioForPreTraining(data2vec2_config()))


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory, recogniser: Path) -> dict[str, Path]:
    """Folders of encoders: ours, and transformers' with layer norm and with group norm."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoders")
    layer_norm = Wav2Vec2Model(Wav2Vec2Config(**_WAV2VEC2, feat_extract_norm="layer", do_stable_layer_norm=True))
    group_norm = HubertModel(HubertConfig(**_WAV2VEC2, feat_extract_norm="group"))
    return {
        "data2vec2": recogniser,
        "wav2vec2": save(folder / "wav2vec2", layer_norm),
        "hubert": save(folder / "hubert", group_norm),
    }


@pytest.fixture(scope="session")
def loaded_recogniser(recogniser: Path) -> LoadedModel:
    return load_ctc_model(str(recogniser), device="cpu")[0]


@pytest.fixture(scope="session")
def loaded_encoders(encoders: dict[str, Path]) -> dict[str, LoadedModel]:
    return {name: load_encoder(str(folder), device="cpu") for name, folder in encoders.items()}


@pytest.fixture
def write_audio(tmp_path: Path) -> AudioWriter:
    """`write_audio(name, seconds)` writes noise whose loudness changes, or the `samples` given."""

    def write(
        name: str, seconds: float = 0.5, sampling_rate: int = 16000, seed: int = 0, samples: np.ndarray | None = None
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if samples is None:
            num_samples = round(seconds * sampling_rate)
            loudness = np.linspace(0.02, 0.2, num_samples)
            samples = (loudness * np.random.default_rng(seed).standard_normal(num_samples) + 0.01).astype(np.float32)
        soundfile.write(path, samples, sampling_rate, subtype="FLOAT" if path.suffix == ".wav" else None)
        return path

    return write
