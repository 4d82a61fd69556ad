# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Encoders of BEST-RQ: Conformer with relative positions, and plain Transformer; whole utterances or chunk by chunk.

Chunks (Zhang et al., 2020, "Unified streaming and non-streaming"): time is cut into chunks of equal size, and a frame
sees its own chunk and a number of chunks before. Convolutions that look ahead see zeros beyond the end of the chunk
(Li et al., 2023, "Dynamic chunk convolution").
"""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention import attend, mask_scores
from .blocked_attention import ScoreBias
from .configuration_best_rq import BestRqConfig
from .dropout import Dropout, with_layerdrop
from .layer_norm import LayerNorm


class Chunks(NamedTuple):
    """How time is cut for streaming: frames per chunk, and chunks of the past that attention sees (`None`: all)."""

    size: int
    left: int | None = None


class LayerCache(NamedTuple):
    """What a layer remembers of the past of a stream.

    `keys`, `values`: `(batch_size, num_heads, num_past_frames, head_size)`.
    `conv_inputs`: `(batch_size, num_past_frames, hidden_size)`, what the depthwise convolution saw last; `None` for
    layers without one.
    """

    keys: torch.Tensor
    values: torch.Tensor
    conv_inputs: torch.Tensor | None


def sinusoids(positions: torch.Tensor, size: int) -> torch.Tensor:
    """Sinusoidal positions, sines in even and cosines in odd channels.

    Args:
        positions: `(num_positions,)`, float32.
        size: Number of channels, even.

    Returns:
        `(num_positions, size)`, float32.
    """
    channels = torch.arange(0, size, 2, dtype=torch.float32, device=positions.device)
    angles = positions.unsqueeze(-1) * torch.exp(channels * -(math.log(10000.0) / size))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def chunk_mask(num_frames: int, chunks: Chunks, device: torch.device | None = None) -> torch.Tensor:
    """Which frames (columns) each frame (row) may attend to; `(num_frames, num_frames)`, bool."""
    chunk = torch.arange(num_frames, device=device).div(chunks.size, rounding_mode="floor")
    behind = chunk.unsqueeze(-1) - chunk
    allowed = behind >= 0
    return allowed if chunks.left is None else allowed & (behind <= chunks.left)


def shift_relative(scores: torch.Tensor, num_keys: int) -> torch.Tensor:
    """From scores by relative position to scores by key (Dai et al., 2019, appendix B).

    Args:
        scores: `(batch_size, num_heads, num_queries, num_keys + num_queries - 1)`, relative positions from
            `num_keys - 1` (the furthest past) down to `-(num_queries - 1)`. The queries are the last of the keys.
        num_keys: Number of keys.

    Returns:
        `(batch_size, num_heads, num_queries, num_keys)`.
    """
    num_queries, num_positions = scores.shape[2:]
    if torch.compiler.is_exporting():  # a graph for any length cannot see that the sizes below agree
        steps = torch.arange(num_keys, device=scores.device)
        columns = steps - torch.arange(num_queries, device=scores.device).unsqueeze(-1) + num_queries - 1
        return scores.gather(-1, columns.expand(*scores.shape[:2], -1, -1))
    # with one column more, and read as rows of the old length again, each row begins one place further to the left
    flat = F.pad(scores, (1, 0)).flatten(2)[..., num_queries:]
    return flat.unflatten(2, (num_queries, num_positions))[..., :num_keys]


class BestRqAttention(nn.Module):
    """Multi-head self-attention, with relative positions as in Transformer-XL if `relative`."""

    def __init__(self, config: BestRqConfig, relative: bool):
        super().__init__()
        self.config = config
        self.num_heads = config.num_attention_heads
        self.head_size = config.hidden_size // config.num_attention_heads
        self.scaling = (config.hidden_size if config.scale_attention_by_hidden_size else self.head_size) ** -0.5
        self.is_causal = False
        self.relative = relative
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)
        if relative:
            self.position_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
            self.content_bias = nn.Parameter(torch.empty(self.num_heads, self.head_size))
            self.position_bias = nn.Parameter(torch.empty(self.num_heads, self.head_size))

    def forward(
        self,
        hidden_states: torch.Tensor,
        positions: torch.Tensor | None = None,
        mask_bias: torch.Tensor | None = None,
        **kwargs,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """
        Args:
            hidden_states: `(batch_size, sequence_length, hidden_size)`.
            positions: `(num_relative_positions, hidden_size)`, see [`shift_relative`].
            mask_bias: Added to scores, broadcastable to `(batch_size, 1, sequence_length, sequence_length)`.
        """
        return self.attend(*self.project(hidden_states), positions, mask_bias, **kwargs)

    def project(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values, each `(batch_size, num_heads, sequence_length, head_size)`."""
        batch_size, sequence_length, _ = hidden_states.shape
        qkv = self.qkv(hidden_states).view(batch_size, sequence_length, 3, self.num_heads, self.head_size)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        return query, key, value

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        positions: torch.Tensor | None,
        mask_bias: torch.Tensor | None,
        **kwargs,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The output for the queries, which are the last of the keys: `(batch_size, num_queries, hidden_size)`."""
        bias = ScoreBias(mask=None if mask_bias is None else mask_bias.to(query.dtype))
        if self.relative:
            bias = bias._replace(relative=self._relative_scores(query, key.shape[2], positions))
            query = query + self.content_bias.unsqueeze(1).to(query.dtype)
        attended, probabilities = attend(
            self,
            query,
            key,
            value,
            bias,
            config=self.config,
            scaling=self.scaling,
            dropout=self.config.attention_dropout,
            **kwargs,
        )
        return self.out_proj(attended.flatten(2)), probabilities

    def _relative_scores(self, query: torch.Tensor, num_keys: int, positions: torch.Tensor | None) -> torch.Tensor:
        assert positions is not None
        embedded = self.position_proj(positions).view(-1, self.num_heads, self.head_size).transpose(0, 1)
        # scaled before the product, which may overflow in float16
        query = (query + self.position_bias.unsqueeze(1).to(query.dtype)) * self.scaling
        return shift_relative(torch.matmul(query, embedded.transpose(1, 2)), num_keys)


class FeedForward(nn.Module):
    """Layer norm and the feed-forward network of a pre-norm layer."""

    def __init__(self, config: BestRqConfig):
        super().__init__()
        self.layer_norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.activation_dropout = Dropout(config.activation_dropout)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = Dropout(config.hidden_dropout)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = self.activation(self.fc1(self.layer_norm(hidden_states)))
        return self.dropout(self.fc2(self.activation_dropout(hidden_states)))


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch norm over the real frames of a batch; `(batch_size, sequence_length, hidden_size)`."""

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None = None) -> torch.Tensor:  # type: ignore[override]
        if frame_mask is None or not self.training:
            return super().forward(hidden_states.transpose(1, 2)).transpose(1, 2)
        # written out: to gather the real frames, the host would have to wait in every layer for how many there are
        is_padding = ~frame_mask.unsqueeze(-1)
        count = frame_mask.sum().clamp_min(1)
        frames = hidden_states.float() if hidden_states.element_size() == 2 else hidden_states
        mean = frames.masked_fill(is_padding, 0).sum((0, 1)) / count
        centred = (frames - mean).masked_fill(is_padding, 0)
        variance = centred.square().sum((0, 1)) / count
        self._track(mean, variance, count)
        normalised = centred * (torch.rsqrt(variance + self.eps) * self.weight) + self.bias
        return normalised.masked_fill(is_padding, 0).to(hidden_states.dtype)

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor, count: torch.Tensor) -> None:
        """Moves the statistics of evaluation towards a batch's, as torch does: with the unbiased variance."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        unbiased = variance * count / (count - 1).clamp_min(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked.add_(1)


class ConvolutionModule(nn.Module):
    """Gated pointwise and depthwise convolution (Gulati et al., 2020, section 2.2)."""

    def __init__(self, config: BestRqConfig):
        super().__init__()
        size, kernel_size = config.hidden_size, config.conv_kernel_size
        self.convolve_padding = config.convolve_padding
        # Frames of the past and of the future that an output sees.
        self.left = kernel_size - 1 if config.conv_causal else kernel_size // 2
        self.right = kernel_size - 1 - self.left
        self.layer_norm = LayerNorm(size, eps=config.layer_norm_eps)
        self.pointwise_conv1 = nn.Linear(size, 2 * size)
        self.depthwise_conv = nn.Conv1d(size, size, kernel_size, groups=size)
        self.conv_norm = (
            MaskedBatchNorm(size) if config.conv_norm == "batch" else LayerNorm(size, eps=config.layer_norm_eps)
        )
        self.activation = ACT2FN[config.hidden_act]
        self.pointwise_conv2 = nn.Linear(size, size)
        self.dropout = Dropout(config.hidden_dropout)

    def forward(
        self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None = None, chunks: Chunks | None = None
    ) -> torch.Tensor:
        """
        Args:
            hidden_states: `(batch_size, sequence_length, hidden_size)`.
            frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are. Padded frames are
                zeroed before the depthwise convolution, which is what it sees beyond an unpadded utterance; with
                `config.convolve_padding` after it, as in the original.
            chunks: Zeros beyond the end of each chunk.
        """
        gated = self._gate(hidden_states)
        if frame_mask is not None and not self.convolve_padding:
            gated = gated * frame_mask.unsqueeze(-1).to(gated.dtype)
        output = self._finish(self._convolve(gated, chunks), frame_mask)
        if frame_mask is not None and self.convolve_padding:
            output = output * frame_mask.unsqueeze(-1).to(output.dtype)
        return output

    def forward_chunk(self, hidden_states: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One chunk of a stream after `past`, `(batch_size, left, hidden_size)`; the output and the next `past`."""
        seen = torch.cat([past, self._gate(hidden_states)], dim=1)
        convolved = self.depthwise_conv(F.pad(seen.transpose(1, 2), (0, self.right))).transpose(1, 2)
        return self._finish(convolved, None), seen[:, seen.shape[1] - self.left :]

    def _gate(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return F.glu(self.pointwise_conv1(self.layer_norm(hidden_states)), dim=-1)

    def _convolve(self, gated: torch.Tensor, chunks: Chunks | None) -> torch.Tensor:
        channels_first = F.pad(gated.transpose(1, 2), (self.left, self.right))
        if chunks is None or self.right == 0:
            return self.depthwise_conv(channels_first).transpose(1, 2)
        batch_size, num_frames, size = gated.shape
        missing = -num_frames % chunks.size
        padded = F.pad(gated.transpose(1, 2), (self.left, missing))
        windows = padded.unfold(2, self.left + chunks.size, chunks.size).transpose(1, 2).flatten(0, 1)
        convolved = self.depthwise_conv(F.pad(windows, (0, self.right))).transpose(1, 2)
        return convolved.reshape(batch_size, -1, size)[:, :num_frames]

    def _finish(self, convolved: torch.Tensor, frame_mask: torch.Tensor | None) -> torch.Tensor:
        if isinstance(self.conv_norm, MaskedBatchNorm):
            normalised = self.conv_norm(convolved, frame_mask)
        else:
            normalised = self.conv_norm(convolved)
        return self.dropout(self.pointwise_conv2(self.activation(normalised)))


class BestRqLayer(GradientCheckpointingLayer):
    """What both kinds of layer have in common: LayerDrop, attention, and its keys and values of a stream's past."""

    def __init__(self, config: BestRqConfig, relative: bool):
        super().__init__()
        self.layerdrop = config.layerdrop
        self.attention_layer_norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = BestRqAttention(config, relative)

    def _attend_to_past(
        self, hidden_states: torch.Tensor, cache: LayerCache, positions: torch.Tensor | None, max_past: int | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Attention of a chunk to itself and to the cached past; with keys and values to remember."""
        query, key, value = self.attention.project(self.attention_layer_norm(hidden_states))
        keys, values = torch.cat([cache.keys, key], dim=2), torch.cat([cache.values, value], dim=2)
        attended, _ = self.attention.attend(query, keys, values, positions, None)
        first = 0 if max_past is None else max(0, keys.shape[2] - max_past)
        return attended, keys[:, :, first:], values[:, :, first:]


class ConformerLayer(BestRqLayer):
    """Half a feed-forward network, attention, convolution, the other half (Gulati et al., 2020, equation 1).

    As in the open-source recipe, and unlike the paper, there is no dropout on the attention's output.
    """

    def __init__(self, config: BestRqConfig):
        super().__init__(config, relative=True)
        self.feed_forward1 = FeedForward(config)
        self.convolution = ConvolutionModule(config)
        self.feed_forward2 = FeedForward(config)
        self.final_layer_norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    @with_layerdrop
    def forward(
        self,
        hidden_states: torch.Tensor,
        positions: torch.Tensor | None = None,
        mask_bias: torch.Tensor | None = None,
        frame_mask: torch.Tensor | None = None,
        chunks: Chunks | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """`(batch_size, sequence_length, hidden_size)` -> the same; the rest as in attention and convolution."""
        hidden_states = hidden_states + 0.5 * self.feed_forward1(hidden_states)
        attended, _ = self.attention(self.attention_layer_norm(hidden_states), positions, mask_bias, **kwargs)
        hidden_states = hidden_states + attended
        hidden_states = hidden_states + self.convolution(hidden_states, frame_mask, chunks)
        return self.final_layer_norm(hidden_states + 0.5 * self.feed_forward2(hidden_states))

    def forward_chunk(
        self, hidden_states: torch.Tensor, cache: LayerCache, positions: torch.Tensor | None, max_past: int | None
    ) -> tuple[torch.Tensor, LayerCache]:
        assert cache.conv_inputs is not None
        hidden_states = hidden_states + 0.5 * self.feed_forward1(hidden_states)
        attended, keys, values = self._attend_to_past(hidden_states, cache, positions, max_past)
        hidden_states = hidden_states + attended
        convolved, conv_inputs = self.convolution.forward_chunk(hidden_states, cache.conv_inputs)
        hidden_states = hidden_states + convolved
        hidden_states = self.final_layer_norm(hidden_states + 0.5 * self.feed_forward2(hidden_states))
        return hidden_states, LayerCache(keys, values, conv_inputs)


class TransformerLayer(BestRqLayer):
    """Pre-norm attention and feed-forward network."""

    def __init__(self, config: BestRqConfig):
        super().__init__(config, relative=False)
        self.dropout = Dropout(config.hidden_dropout)
        self.feed_forward = FeedForward(config)

    @with_layerdrop
    def forward(
        self,
        hidden_states: torch.Tensor,
        positions: torch.Tensor | None = None,
        mask_bias: torch.Tensor | None = None,
        frame_mask: torch.Tensor | None = None,
        chunks: Chunks | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """`(batch_size, sequence_length, hidden_size)` -> the same; of the rest only `mask_bias` matters."""
        attended, _ = self.attention(self.attention_layer_norm(hidden_states), positions, mask_bias, **kwargs)
        hidden_states = hidden_states + self.dropout(attended)
        return hidden_states + self.feed_forward(hidden_states)

    def forward_chunk(
        self, hidden_states: torch.Tensor, cache: LayerCache, positions: torch.Tensor | None, max_past: int | None
    ) -> tuple[torch.Tensor, LayerCache]:
        attended, keys, values = self._attend_to_past(hidden_states, cache, positions, max_past)
        hidden_states = hidden_states + attended
        return hidden_states + self.feed_forward(hidden_states), LayerCache(keys, values, None)


class BestRqEncoder(nn.Module):
    """Positions, layers and the last norm, behind the subsampling."""

    def __init__(self, config: BestRqConfig):
        super().__init__()
        self.config = config
        self.is_conformer = config.encoder_type == "conformer"
        layer_class = ConformerLayer if self.is_conformer else TransformerLayer
        self.layers = nn.ModuleList(layer_class(config) for _ in range(config.num_hidden_layers))
        self.layer_norm = LayerNorm(config.hidden_size, eps=config.final_layer_norm_eps)

    def forward(
        self,
        hidden_states: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        chunks: Chunks | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """
        Args:
            hidden_states: `(batch_size, sequence_length, hidden_size)`.
            frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.
            chunks: What a frame sees; everything if `None`.
        """
        num_frames = hidden_states.shape[1]
        hidden_states, positions = self._add_positions(hidden_states, num_frames, 0)
        mask_bias = self._mask_bias(hidden_states, frame_mask, chunks)
        for layer in self.layers:
            hidden_states = layer(hidden_states, positions, mask_bias, frame_mask, chunks, **kwargs)
        return self.layer_norm(hidden_states)

    def forward_chunk(
        self, hidden_states: torch.Tensor, caches: list[LayerCache], chunks: Chunks, num_past_frames: int
    ) -> tuple[torch.Tensor, list[LayerCache]]:
        """One chunk of a stream, `(batch_size, num_frames, hidden_size)`, after `num_past_frames` frames."""
        max_past = None if chunks.left is None else chunks.left * chunks.size
        num_keys = caches[0].keys.shape[2] + hidden_states.shape[1]
        hidden_states, positions = self._add_positions(hidden_states, num_keys, num_past_frames)
        next_caches = []
        for layer, cache in zip(self.layers, caches, strict=True):
            assert isinstance(layer, ConformerLayer | TransformerLayer)
            hidden_states, next_cache = layer.forward_chunk(hidden_states, cache, positions, max_past)
            next_caches.append(next_cache)
        return self.layer_norm(hidden_states), next_caches

    def empty_caches(self, batch_size: int, like: torch.Tensor) -> list[LayerCache]:
        """What layers remember before a stream begins: no keys, and zeros for the convolutions."""
        config = self.config
        head_size = config.hidden_size // config.num_attention_heads
        none = like.new_zeros(batch_size, config.num_attention_heads, 0, head_size)
        caches = []
        for layer in self.layers:
            conv_inputs = None
            if isinstance(layer, ConformerLayer):
                conv_inputs = like.new_zeros(batch_size, layer.convolution.left, config.hidden_size)
            caches.append(LayerCache(none, none, conv_inputs))
        return caches

    def _add_positions(
        self, hidden_states: torch.Tensor, num_keys: int, first: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Relative positions for the layers' attention, or absolute ones added here."""
        num_frames, size, device = hidden_states.shape[1], self.config.hidden_size, hidden_states.device
        if not self.is_conformer:
            positions = torch.arange(num_frames, device=device, dtype=torch.float32) + first
            return hidden_states + sinusoids(positions, size).to(hidden_states.dtype), None
        distances = torch.arange(num_keys - 1, -num_frames, -1, device=device, dtype=torch.float32)
        if self.config.symmetric_positions:
            distances = distances.abs()
        return hidden_states, sinusoids(distances, size).to(hidden_states.dtype)

    def _mask_bias(
        self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None, chunks: Chunks | None
    ) -> torch.Tensor | None:
        """A very low score at frames that attention must not see; `(batch_size or 1, 1, 1 or frames, frames)`."""
        if frame_mask is None and chunks is None:
            return None
        num_frames = hidden_states.shape[1]
        visible = torch.ones(1, 1, 1, num_frames, dtype=torch.bool, device=hidden_states.device)
        if frame_mask is not None:
            visible = visible & frame_mask[:, None, None]
        if chunks is not None:
            visible = visible & chunk_mask(num_frames, chunks, hidden_states.device)
        return mask_scores(visible, hidden_states.dtype)
