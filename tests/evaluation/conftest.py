# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tiny encoders of every modality in folders, none of them this package's own, and recordings to show them."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from training_helpers import write_images, write_metadata, write_recordings
from transformers import (
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
WORDS = ("red", "green", "blue", "one", "two", "three")


@pytest.fixture
def wav2vec2(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config(**SIZES, conv_dim=[8] * 7)).save_pretrained(tmp_path / "wav2vec2")
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "wav2vec2")
    return tmp_path / "wav2vec2"


@pytest.fixture
def whisper(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "num_mel_bins": 8, "vocab_size": 10}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    WhisperModel(WhisperConfig(**sizes, **heads, **tokens)).save_pretrained(tmp_path / "whisper")
    WhisperFeatureExtractor(feature_size=8).save_pretrained(tmp_path / "whisper")
    return tmp_path / "whisper"


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    ViTModel(ViTConfig(**SIZES, image_size=32, patch_size=8)).save_pretrained(tmp_path / "vit")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


@pytest.fixture
def roberta(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    vocabulary = {token: number for number, token in enumerate(("<s>", "<pad>", "</s>", "<unk>", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        cls_token="<s>", sep_token="</s>",
    ).save_pretrained(tmp_path / "roberta")  # fmt: skip
    config = RobertaConfig(**SIZES, vocab_size=len(vocabulary), max_position_embeddings=12)
    RobertaModel(config).save_pretrained(tmp_path / "roberta")
    return tmp_path / "roberta"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Folders of tones with `label` (how high), `tags` and `transcription`."""
    for seed, split in enumerate(("train", "validation", "test")):
        write_metadata(write_recordings(tmp_path / "recordings" / split, count=8, seed=seed))
    return tmp_path / "recordings"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for seed, split in enumerate(("train", "validation", "test")):
        write_images(tmp_path / "images" / split, seed=seed)
    return tmp_path / "images"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Tables of texts, without one for validation."""
    (tmp_path / "texts").mkdir()
    for split, repetitions in (("train", 4), ("test", 1)):
        rows = [f"{' '.join(WORDS[kind * 3 :][:length])},{kind}" for kind in (0, 1) for length in (1, 2, 3)]
        (tmp_path / "texts" / f"{split}.csv").write_text("\n".join(["text,label", *rows * repetitions]) + "\n")
    return tmp_path / "texts"
