# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The encoder of data2vec for speech: transformers' modules, with the same weights and results, for pre-training.

They are faster on a CPU, keep less for the backward pass, and make one graph for `torch.compile`; they tell what
feed-forward networks gave, of which a teacher's targets are made.
"""

import torch
from torch import nn
from transformers.activations import GELUActivation
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.data2vec.modeling_data2vec_audio import (
    Data2VecAudioAttention,
    Data2VecAudioConvLayer,
    Data2VecAudioEncoder,
    Data2VecAudioEncoderLayer,
    Data2VecAudioFeatureEncoder,
    Data2VecAudioFeedForward,
)

from .activated_linear import activated_linear
from .attention import attend, chooses_attention, mask_scores
from .blocked_attention import ScoreBias
from .checkpointed_inputs import input_of_checkpoints
from .dropout import Dropout, with_layerdrop
from .strided_convolution import apply_layer
from .teacher import LayerOutputs


class FasterConvLayer(Data2VecAudioConvLayer):
    """transformers' layer of the waveform encoder, with channels side by side in memory."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(batch_size, in_channels, num_steps)` -> `(batch_size, out_channels, fewer_steps)`."""
        if not isinstance(self.activation, GELUActivation):
            return super().forward(hidden_states)
        return apply_layer(self.conv, self.layer_norm, hidden_states)


class FasterFeatureEncoder(Data2VecAudioFeatureEncoder):
    """transformers' waveform encoder, whose input has no gradient unless reentrant checkpointing needs one."""

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        """`(batch_size, num_samples)` -> `(batch_size, conv_dim[-1], sequence_length)`."""
        weight = next(self.conv_layers.parameters())
        hidden_states = input_values.unsqueeze(1).to(weight.dtype)
        if self.training:
            hidden_states = input_of_checkpoints(hidden_states, self.conv_layers)
        for conv_layer in self.conv_layers:
            hidden_states = conv_layer(hidden_states)
        return hidden_states


class FasterAttention(Data2VecAudioAttention):
    """transformers' self-attention, in the form that is fastest on a CPU."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        key_value_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        output_attentions: bool | None = False,
        **kwargs,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(batch_size, sequence_length, hidden_size)` -> the same. On a CPU `attention_mask` is bool,
        `(batch_size, 1, sequence_length, sequence_length)`, `True` where a frame sees another; `None` if all do."""
        config = self.config
        if config is None or key_value_states is not None or not chooses_attention(config, hidden_states):
            return super().forward(hidden_states, key_value_states, attention_mask, output_attentions, **kwargs)
        query, key, value = (
            projection(hidden_states).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        bias = ScoreBias(mask=None if attention_mask is None else mask_scores(attention_mask, query.dtype))
        attended, weights = attend(
            self, query, key, value, bias, config=config, scaling=self.scaling, dropout=self.dropout, **kwargs
        )
        return self.out_proj(attended.flatten(2)), weights


class LeanerFeedForward(Data2VecAudioFeedForward):
    """transformers' feed-forward network, with less kept for the backward pass where nothing is dropped between its
    layers."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(batch_size, sequence_length, hidden_size)` -> the same."""
        if self.training and self.intermediate_dropout.p > 0:
            return super().forward(hidden_states)
        hidden_states = self.intermediate_dense(hidden_states)
        return self.output_dropout(activated_linear(hidden_states, self.intermediate_act_fn, self.output_dense))


class Data2VecAudioLayer(Data2VecAudioEncoderLayer):
    """transformers' post-norm layer, with LayerDrop of its own, which can tell what its feed-forward network gave."""

    @property
    def layerdrop(self) -> float:
        config = self.attention.config
        assert config is not None
        return config.layerdrop

    @with_layerdrop
    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        feed_forward_outputs: LayerOutputs | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """
        Args:
            hidden_states: `(batch_size, sequence_length, hidden_size)`.
            attention_mask: As the attention implementation wants it.
            feed_forward_outputs: If given, the feed-forward network's output before the residual is appended.
        """
        attended, _ = self.attention(hidden_states, attention_mask=attention_mask, **kwargs)
        hidden_states = self.layer_norm(hidden_states + self.dropout(attended))
        outputs = self.feed_forward(hidden_states)
        if feed_forward_outputs is not None:
            feed_forward_outputs.append(outputs)
        return self.final_layer_norm(hidden_states + outputs)


class FasterEncoder(Data2VecAudioEncoder):
    """transformers' convolutional positions and layers."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        feed_forward_outputs: LayerOutputs | None = None,
        **kwargs,
    ) -> BaseModelOutput:
        """
        Args:
            hidden_states: `(batch_size, sequence_length, hidden_size)`.
            attention_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.
            feed_forward_outputs: If given, one tensor per layer is appended; see [`Data2VecAudioLayer`].
        """
        if attention_mask is not None:
            hidden_states = hidden_states.masked_fill(~attention_mask.unsqueeze(-1), 0)
        hidden_states = self.layer_norm(hidden_states + self._positions(hidden_states, attention_mask))
        hidden_states = self.dropout(hidden_states)
        # made without asking the device whether there is padding: a batch without any comes without a mask
        seen = create_bidirectional_mask(
            config=self.config,
            inputs_embeds=hidden_states,
            attention_mask=attention_mask,
            allow_is_bidirectional_skip=attention_mask is None,
        )
        if self.training:  # what is below may be frozen
            hidden_states = input_of_checkpoints(hidden_states, self.layers)
        for layer in self.layers:
            hidden_states = layer(hidden_states, seen, feed_forward_outputs, **kwargs)
        return BaseModelOutput(last_hidden_state=hidden_states)

    def _positions(self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None) -> torch.Tensor:
        """Padded frames are zeroed before the first convolution only, as in transformers."""
        return self.pos_conv_embed(hidden_states)


# What stands in for transformers' modules.
_FASTER: dict[type[nn.Module], type[nn.Module]] = {
    Data2VecAudioConvLayer: FasterConvLayer,
    Data2VecAudioFeatureEncoder: FasterFeatureEncoder,
    Data2VecAudioAttention: FasterAttention,
    Data2VecAudioFeedForward: LeanerFeedForward,
    Data2VecAudioEncoderLayer: Data2VecAudioLayer,
    Data2VecAudioEncoder: FasterEncoder,
    nn.Dropout: Dropout,
}


def make_faster(model: nn.Module) -> None:
    """Turns transformers' modules within a model into those of this file. They stay the same objects, with the weights
    they have; [`~layer_norm.sum_gradients_in_float32`] is still to be called, for convolutions take no other layer
    norms."""
    for module in model.modules():
        module.__class__ = _FASTER.get(type(module), type(module))
