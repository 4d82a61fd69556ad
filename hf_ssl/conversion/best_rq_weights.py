# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Names and shapes of BEST-RQ's weights: SpeechBrain's files <-> ours."""

import math
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

MODEL, QUANTIZER, HEAD = "model", "quantizer", "linear"  # the files of a checkpoint that have weights

# Buffers of the original that it computes from nothing but sizes; ours are computed when they are needed.
INVERSE_FREQUENCIES = "1.transformer.positional_encoding.inv_freq"
DECODER_POSITIONS = "1.transformer.positional_encoding_decoder.pe"

_LAYER = "1.transformer.encoder.layers.{}."
_NAMES = {
    "0.convblock_{}.convs.conv_0.conv.": "best_rq.subsampling.layers.{}.conv.",
    "0.convblock_{}.convs.norm_0.norm.": "best_rq.subsampling.layers.{}.layer_norm.",
    "1.transformer.custom_src_module.layers.0.w.": "best_rq.subsampling.projection.",
    "1.transformer.encoder.norm.norm.": "best_rq.encoder.layer_norm.",
}
_LAYER_NAMES = {
    "ffn_module1.0.": "feed_forward1.layer_norm.",
    "ffn_module1.1.ffn.0.": "feed_forward1.fc1.",
    "ffn_module1.1.ffn.3.": "feed_forward1.fc2.",
    "ffn_module2.0.": "feed_forward2.layer_norm.",
    "ffn_module2.1.ffn.0.": "feed_forward2.fc1.",
    "ffn_module2.1.ffn.3.": "feed_forward2.fc2.",
    "norm1.norm.": "attention_layer_norm.",
    "norm2.norm.": "final_layer_norm.",
    "mha_layer.in_proj_weight": "attention.qkv.weight",
    "mha_layer.out_proj.": "attention.out_proj.",
    "mha_layer.linear_pos.": "attention.position_proj.",
    "mha_layer.pos_bias_u": "attention.content_bias",
    "mha_layer.pos_bias_v": "attention.position_bias",
    "convolution_module.layer_norm.": "convolution.layer_norm.",
    "convolution_module.bottleneck.0.": "convolution.pointwise_conv1.",
    "convolution_module.conv.": "convolution.depthwise_conv.",
    "convolution_module.after_conv.0.": "convolution.conv_norm.",
    "convolution_module.after_conv.2.": "convolution.pointwise_conv2.",
}
_ALL_NAMES = _NAMES | {_LAYER + old: "best_rq.encoder.layers.{}." + new for old, new in _LAYER_NAMES.items()}
_OTHER_FILES = {
    (QUANTIZER, "P"): "quantizer.projection",
    (QUANTIZER, "CB"): "quantizer.codebook",
    (HEAD, "w.weight"): "prediction_head.weight",
    (HEAD, "w.bias"): "prediction_head.bias",
}


class OriginalName(NamedTuple):
    """A weight of a SpeechBrain checkpoint: the file, without `.ckpt`, and its name there."""

    file: str
    name: str


def our_name(file: str, name: str) -> str | None:
    """Our name of an original's weight; `None` if there is no such weight."""
    if file != MODEL:
        return _OTHER_FILES.get((file, name))
    return _translate(name, _ALL_NAMES)


def original_name(name: str) -> OriginalName | None:
    """The original's name of a weight of ours; `None` if there is no such weight."""
    for (file, theirs), ours in _OTHER_FILES.items():
        if name == ours:
            return OriginalName(file, theirs)
    theirs_or_none = _translate(name, {new: old for old, new in _ALL_NAMES.items()})
    return None if theirs_or_none is None else OriginalName(MODEL, theirs_or_none)


def _translate(name: str, names: Mapping[str, str]) -> str | None:
    for old, new in names.items():
        prefix = re.escape(old).replace(r"\{\}", r"(\d+)")
        found = re.match(prefix, name)
        if found is not None and (old.endswith(".") or found.end() == len(name)):
            return new.format(*found.groups()) + name[found.end() :]
    return None


def to_ours(name: str, tensor: torch.Tensor, num_heads: int) -> torch.Tensor:
    """The values of an original's weight in our shape; `name` is ours. Gradients are brought along the same way.

    Raises:
        RuntimeError: The tensor has another number of dimensions or of elements.
    """
    return _reshaping(name, num_heads, back=False)(tensor).contiguous()


def to_original(name: str, tensor: torch.Tensor, num_heads: int) -> torch.Tensor:
    """The way back; `name` is ours."""
    return _reshaping(name, num_heads, back=True)(tensor).contiguous()


def _reshaping(name: str, num_heads: int, back: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    if name.startswith("best_rq.subsampling.layers.") and name.endswith(".conv.weight"):
        return lambda tensor: tensor.transpose(2, 3)  # their convolutions have frequency before time
    if name.endswith("pointwise_conv1.weight"):
        return lambda tensor: tensor.unsqueeze(-1) if back else tensor.squeeze(-1)
    if name.endswith(("attention.content_bias", "attention.position_bias")):
        # declared as (head_size, num_heads), used as (num_heads, head_size)
        shape = (-1, num_heads) if back else (num_heads, -1)
        return lambda tensor: tensor.reshape(shape)
    if name.endswith("attention.qkv.weight"):
        groups = (3, num_heads) if back else (num_heads, 3)  # theirs: query, key and value head by head
        return lambda tensor: tensor.unflatten(0, (*groups, -1)).transpose(0, 1).flatten(0, 2)
    if name.startswith("quantizer."):
        return lambda tensor: tensor.squeeze(0) if back else tensor.unsqueeze(0)
    return lambda tensor: tensor


def inverse_frequencies(hidden_size: int) -> torch.Tensor:
    """The original's buffer of that name, `(hidden_size / 2,)`."""
    return torch.exp(torch.arange(0, hidden_size, 2, dtype=torch.float32) * -(math.log(10000.0) / hidden_size))


def decoder_positions(hidden_size: int, max_length: int) -> torch.Tensor:
    """Sinusoidal positions of a decoder that these models do not have, `(1, max_length, hidden_size)`."""
    angles = torch.arange(max_length, dtype=torch.float32).unsqueeze(1) * inverse_frequencies(hidden_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).unsqueeze(0)
