# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A model so small that a forward takes milliseconds, and batches of utterances of unequal length for it."""

import contextlib
from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel

from hf_ssl import Data2Vec2AudioConfig


def tiny_config(**overrides) -> Data2Vec2AudioConfig:
    """16 samples per frame, 44 samples for the first; no dropout; weights large enough for attention to matter."""
    options = {
        "vocab_size": 12,
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "prenet_dropout": 0.0,
        "decoder_input_dropout": 0.0,
        "layerdrop": 0.0,
        "prenet_layerdrop": 0.0,
        "initializer_range": 0.2,
        "conv_dim": (8, 8, 8),
        "conv_kernel": (8, 4, 4),
        "conv_stride": (4, 2, 2),
        "num_conv_pos_embeddings": 2,
        "conv_pos_kernel_size": 3,
        "num_conv_pos_embedding_groups": 2,
        "num_masks": 2,
        "mask_length": 3,
        "decoder_hidden_size": 16,
        "decoder_num_layers": 2,
        "decoder_kernel_size": 3,
        "decoder_groups": 2,
        "average_top_k_layers": 2,
        "classifier_proj_size": 8,
        "tdnn_dim": (16, 16),
        "tdnn_kernel": (3, 1),
        "tdnn_dilation": (2, 1),
        "xvector_output_dim": 8,
        "num_labels": 3,
    }
    return Data2Vec2AudioConfig(**(options | overrides))


@pytest.fixture
def make_config() -> Callable[..., Data2Vec2AudioConfig]:
    return tiny_config


@pytest.fixture
def make_model() -> Callable[..., PreTrainedModel]:
    """`make_model(model_class, **config_overrides)`: the same weights at every call, in evaluation mode."""

    def build(model_class: type[PreTrainedModel], attn_implementation: str = "sdpa", **overrides) -> PreTrainedModel:
        torch.manual_seed(0)
        config = tiny_config(**overrides)
        config._attn_implementation = attn_implementation
        return model_class(config).eval()

    return build


@pytest.fixture
def make_batch() -> Callable[..., dict[str, torch.Tensor]]:
    """`make_batch(lengths, padded_to)`: noise of `lengths` samples; what stands in the padding differs every time."""

    def build(lengths: list[int], padded_to: int | None = None) -> dict[str, torch.Tensor]:
        padded_to = max(lengths) if padded_to is None else padded_to
        input_values = torch.randn(len(lengths), padded_to)
        attention_mask = torch.zeros(len(lengths), padded_to, dtype=torch.long)
        for index, length in enumerate(lengths):
            generator = torch.Generator().manual_seed(index)
            input_values[index, :length] = torch.randn(length, generator=generator)
            attention_mask[index, :length] = 1
        return {"input_values": input_values, "attention_mask": attention_mask}

    return build


@pytest.fixture
def meta_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets code that switches autocast off run on the meta device, which autocast does not know."""
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **options: contextlib.nullcontext())
