# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec 2.0: the transformer trunk and the pre-training objective that all modalities share.

A model has three stages, which are also the units that a teacher may average:

- `local_encoder`: raw input -> local features (waveform encoder, patch or token embedding);
- `context_encoder`: positions and prenet, on all frames or on the visible ones only;
- `trunk`: the transformer whose layers make the targets.

The modalities' front ends, heads and forwards live in files of their own (`modeling_data2vec2_audio.py`, ...), so that
no file grows beyond what one can read in a sitting.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import ModelOutput
from transformers.utils.output_capturing import OutputRecorder

from .activated_linear import activated_linear
from .attention import attend, chooses_attention, mask_scores
from .blocked_attention import ScoreBias
from .configuration_data2vec2 import Data2Vec2Config, Data2Vec2SequenceConfig
from .decoders import ConvDecoder, ConvDecoder1d, DecoderProjection
from .dropout import Dropout, with_layerdrop
from .input_checks import check_integer_labels, check_marks_real_steps, check_mask_type, shortest_right_padded
from .layer_norm import LayerNorm
from .masking import PredictedFrames, VisibleFrames, find_visible_frames, gather_frames, scatter_visible
from .self_distillation import SelfDistillationModel
from .size_checks import check_layers
from .teacher import EMATeacher, LayerOutputs, average_layers
from .torch_init import init_like_torch

# Stages that each scope of the teacher averages (`ema_encoder_only` and `ema_local_encoder` of the original).
TEACHER_STAGES = {
    "trunk": ("trunk",),
    "encoder": ("context_encoder", "trunk"),
    "model": ("local_encoder", "context_encoder", "trunk"),
}


class Data2Vec2Attention(nn.Module):
    """Multi-head self-attention with additive biases by position; one matrix for queries, keys and values."""

    def __init__(self, config: Data2Vec2Config):
        super().__init__()
        self.config = config
        self.head_size = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_size**-0.5
        self.is_causal = False
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self, hidden_states: torch.Tensor, bias: ScoreBias, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        batch_size, sequence_length, hidden_size = hidden_states.shape
        qkv = self.qkv(hidden_states).view(batch_size, sequence_length, 3, -1, self.head_size)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
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
        return self.out_proj(attended.reshape(batch_size, sequence_length, hidden_size)), probabilities


class Data2Vec2MLP(nn.Module):
    def __init__(self, config: Data2Vec2Config):
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = Dropout(config.activation_dropout)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = self.fc1(hidden_states)
        if self.training and self.dropout.p > 0:
            return self.dropout(self.fc2(self.dropout(self.activation(hidden_states))))
        return activated_linear(hidden_states, self.activation, self.fc2)


class Data2Vec2Layer(GradientCheckpointingLayer):
    """One transformer layer, post-norm or pre-norm, with LayerDrop and stochastic depth."""

    def __init__(self, config: Data2Vec2Config, layerdrop: float, drop_path_rate: float):
        super().__init__()
        self.layer_norm_first = config.layer_norm_first
        self.drops_residual = config.pre_norm_drops_residual
        self.layerdrop = layerdrop
        self.drop_path_rate = drop_path_rate
        self.attention = Data2Vec2Attention(config)
        self.attention_layer_norm = make_layer_norm(config)
        self.mlp = Data2Vec2MLP(config)
        self.mlp_layer_norm = make_layer_norm(config)
        self.dropout = Dropout(config.hidden_dropout)

    @with_layerdrop
    def forward(
        self,
        hidden_states: torch.Tensor,
        *bias: torch.Tensor | None,
        ffn_outputs: LayerOutputs | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """
        Args:
            hidden_states: `(batch_size, sequence_length, hidden_size)`.
            bias: Terms of a [`ScoreBias`], one by one: re-entrant gradient checkpointing sees only tensors among the
                arguments.
            ffn_outputs: If given, the output of the feed-forward network before dropout and residual is appended: the
                layer's contribution to the targets.
        """
        if self.layer_norm_first:
            attended, _ = self.attention(self.attention_layer_norm(hidden_states), ScoreBias(*bias), **kwargs)
            hidden_states = hidden_states + self._drop_path(self.dropout(attended))
            ffn_output = self.mlp(self.mlp_layer_norm(hidden_states))
            residual = ffn_output if self.drops_residual else hidden_states
            hidden_states = residual + self._drop_path(self.dropout(ffn_output))
        else:
            attended, _ = self.attention(hidden_states, ScoreBias(*bias), **kwargs)
            hidden_states = self.attention_layer_norm(hidden_states + self._drop_path(self.dropout(attended)))
            ffn_output = self.mlp(hidden_states)
            hidden_states = self.mlp_layer_norm(hidden_states + self._drop_path(self.dropout(ffn_output)))
        if ffn_outputs is not None:
            ffn_outputs.append(ffn_output)
        return hidden_states

    def _drop_path(self, branch: torch.Tensor) -> torch.Tensor:
        """Stochastic depth: drops the branch for whole sequences, scaled so that its expectation stays."""
        if not self.training or self.drop_path_rate == 0:
            return branch
        keep = 1 - self.drop_path_rate
        return branch * (branch.new_empty(branch.shape[0], 1, 1).bernoulli_(keep) / keep)


class AttentionBias(nn.Module):
    """Symmetric ALiBi with a learned scale: `-scale * slope_of_head * |i - j|` between frames `i` and `j`.

    The slopes are those of ALiBi (Press et al., 2022, section 3), also for head counts that are no power of two.
    """

    def __init__(self, config: Data2Vec2SequenceConfig):
        super().__init__()
        self.config = config
        self.num_layers = config.num_prenet_layers + config.num_hidden_layers
        shape = (
            self.num_layers if config.alibi_scale_per_layer else 1,
            config.num_attention_heads if config.alibi_scale_per_head else 1,
        )
        if config.learn_alibi_scale:
            self.scale = nn.Parameter(torch.full(shape, float(config.alibi_scale)))
        else:
            self.register_buffer("scale", torch.full(shape, float(config.alibi_scale)))

    def forward(self, positions: torch.Tensor, num_extra_tokens: int = 0) -> list[ScoreBias]:
        """
        Args:
            positions: `(batch_size, sequence_length)`, original positions of the frames.
            num_extra_tokens: Tokens before the frames, which have no position, and so no bias.

        Returns:
            One bias per layer of prenet and trunk, or one for all of them if they share their scale; with the extra
            tokens.
        """
        distances = position_distances(positions)
        if num_extra_tokens > 0:
            distances = F.pad(distances, (num_extra_tokens, 0, num_extra_tokens, 0))
        # filled on the device, one by one: a list would have to be copied there, for which the host would wait
        slopes = torch.stack(
            [torch.full((), slope, device=positions.device) for slope in alibi_slopes(self.config.num_attention_heads)]
        )
        return [ScoreBias(distances, slopes * scale) for scale in self.scale.float().clamp_min(0)]


def alibi_slopes(num_heads: int) -> list[float]:
    """Slopes of ALiBi: a geometric series; for counts that are no power of two, every other slope of the next one."""
    power = 2 ** math.floor(math.log2(num_heads))
    start = 2 ** (-(2 ** -(math.log2(power) - 3)))
    slopes = [start ** (index + 1) for index in range(power)]
    if power == num_heads:
        return slopes
    return slopes + alibi_slopes(2 * power)[0::2][: num_heads - power]


def position_distances(positions: torch.Tensor, euclidean: bool = False) -> torch.Tensor:
    """Distances between positions, as ALiBi takes them.

    Args:
        positions: `(batch_size, sequence_length)`, or `(batch_size, sequence_length, num_dims)` for a grid.
        euclidean: Straight distances on a grid instead of Manhattan distances.

    Returns:
        `(batch_size, sequence_length, sequence_length)`, float32.
    """
    if positions.dim() == 2:
        positions = positions.unsqueeze(-1)
    differences = positions.unsqueeze(-2) - positions.unsqueeze(-3)
    distances = differences.square().sum(-1).sqrt() if euclidean else differences.abs().sum(-1)
    return distances.float()


def make_layer_norm(config: Data2Vec2Config) -> nn.LayerNorm:
    return LayerNorm(config.hidden_size, eps=config.layer_norm_eps, elementwise_affine=config.layer_norm_affine)


def make_layers(
    config: Data2Vec2Config, num_layers: int, layerdrop: float, drop_path_rates: Sequence[float]
) -> nn.ModuleList:
    first, last = drop_path_rates
    step = (last - first) / max(1, num_layers - 1)
    return nn.ModuleList(Data2Vec2Layer(config, layerdrop, first + index * step) for index in range(num_layers))


class Data2Vec2ContextEncoder(nn.Module):
    """Positions, extra tokens and prenet: what stands between the local features and the trunk.

    Args:
        config: The model's configuration.
        position_encoder: Module that maps features `(batch_size, sequence_length, hidden_size)` and a frame mask to
            positions of the same shape, which are added; `None` if the local features already have theirs.
        attention_bias: Gives the biases of attention, if any.
        num_extra_tokens: Learned tokens that stand before the frames, such as an image's CLS token.
        has_layer_norm: Whether there is a layer norm before the prenet of a post-norm model.
    """

    def __init__(
        self,
        config: Data2Vec2Config,
        position_encoder: nn.Module | None = None,
        attention_bias: AttentionBias | None = None,
        num_extra_tokens: int = 0,
        has_layer_norm: bool = True,
    ):
        super().__init__()
        self.config = config
        self.position_encoder = position_encoder
        self.attention_bias = attention_bias
        self.num_extra_tokens = num_extra_tokens
        self.extra_tokens: nn.Parameter | None = None
        if num_extra_tokens > 0:
            self.extra_tokens = nn.Parameter(torch.zeros(1, num_extra_tokens, config.hidden_size))
        self.layer_norm = make_layer_norm(config) if has_layer_norm and not config.layer_norm_first else None
        self.dropout = Dropout(config.prenet_dropout)
        self.layers = make_layers(
            config, config.num_prenet_layers, config.prenet_layerdrop, config.prenet_drop_path_rates
        )

    def forward(
        self,
        features: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        visible_frames: VisibleFrames | None = None,
        **kwargs,
    ) -> tuple[torch.Tensor, list[ScoreBias]]:
        """
        Args:
            features: Local features, `(batch_size, sequence_length, hidden_size)`.
            frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.
            visible_frames: Encode only these frames; all of them if `None`.

        Returns:
            The trunk's input, `(batch_size, num_extra_tokens + num_frames, hidden_size)`, and its attention bias for
            each layer.
        """
        if self.position_encoder is not None:
            convolved_mask = None if self.config.convolve_padding else frame_mask
            features = features + self.position_encoder(features, convolved_mask)
        key_mask = frame_mask
        positions = torch.arange(features.shape[1], device=features.device).unsqueeze(0)
        if visible_frames is not None:
            positions = visible_frames.positions
            features = gather_frames(features, positions)
            key_mask = visible_frames.is_real
            if frame_mask is not None:
                key_mask = key_mask & frame_mask.gather(1, positions)
        if self.extra_tokens is not None:
            extra_tokens = self.extra_tokens.expand(features.shape[0], -1, -1)
            features = torch.cat([extra_tokens.to(features.dtype), features], dim=1)
            key_mask = None if key_mask is None else F.pad(key_mask, (self.num_extra_tokens, 0), value=True)
        biases = self._attention_biases(positions, key_mask, features)
        hidden_states = self.dropout(features if self.layer_norm is None else self.layer_norm(features))
        for layer, bias in zip(self.layers, biases, strict=False):
            hidden_states = layer(hidden_states, *bias, **kwargs)
        return hidden_states, biases[len(self.layers) :]

    def _attention_biases(
        self, positions: torch.Tensor, key_mask: torch.Tensor | None, features: torch.Tensor
    ) -> list[ScoreBias]:
        """One bias per layer of prenet and trunk: ALiBi, and a very low score at keys that are not real."""
        biases = [ScoreBias()]
        if self.attention_bias is not None:
            biases = self.attention_bias(positions, self.num_extra_tokens)
        if key_mask is not None:
            mask = mask_scores(key_mask[:, None, None], features.dtype)
            biases = [bias._replace(mask=mask) for bias in biases]
        if not (torch.is_grad_enabled() and chooses_attention(self.config, features)):
            biases = [self._written_out(bias, features) for bias in biases]  # once for all layers that share a scale
        num_layers = self.config.num_prenet_layers + self.config.num_hidden_layers
        return biases if len(biases) == num_layers else biases * num_layers

    def _written_out(self, bias: ScoreBias, features: torch.Tensor) -> ScoreBias:
        """With one matrix per head, of the type that attention will compute in."""
        dense, device = bias.dense(), features.device.type
        if dense is None:
            return bias
        if self.config._attn_implementation == "flex_attention":  # it indexes the bias, and so cannot broadcast it
            shape = (features.shape[0], self.config.num_attention_heads, features.shape[1], features.shape[1])
            dense = dense.expand(*shape)
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype
        return ScoreBias(relative=dense.to(dtype))


class Data2Vec2Trunk(nn.Module):
    """The transformer whose layers make the targets."""

    def __init__(self, config: Data2Vec2Config):
        super().__init__()
        self.config = config
        self.input_dropout = Dropout(config.input_dropout)
        self.layers = make_layers(config, config.num_hidden_layers, config.layerdrop, config.drop_path_rates)
        self.layer_norm = make_layer_norm(config) if config.layer_norm_first else None

    def forward(
        self,
        hidden_states: torch.Tensor,
        biases: list[ScoreBias],
        layer_outputs: LayerOutputs | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """
        Args:
            hidden_states: `(batch_size, num_frames, hidden_size)`.
            biases: Of attention scores, one per layer.
            layer_outputs: If given, every layer's contribution to the targets (`config.target_source`) is appended.
        """
        collect_ffn = layer_outputs if self.config.target_source == "ffn" else None
        collect_blocks = layer_outputs if self.config.target_source == "block" else None
        hidden_states = self.input_dropout(hidden_states)
        for layer, bias in zip(self.layers, biases, strict=True):
            hidden_states = layer(hidden_states, *bias, ffn_outputs=collect_ffn, **kwargs)
            if collect_blocks is not None:
                collect_blocks.append(hidden_states)
        return hidden_states if self.layer_norm is None else self.layer_norm(hidden_states)


class Data2Vec2PreTrainedModel(PreTrainedModel):
    """Weights' initialisation and loading, common to all models of data2vec 2.0."""

    config: Data2Vec2Config
    supports_gradient_checkpointing = True
    _no_split_modules = ["Data2Vec2Layer"]
    _supports_sdpa = True
    _supports_flex_attn = True
    _can_record_outputs = {
        "hidden_states": Data2Vec2Layer,
        "attentions": OutputRecorder(Data2Vec2Attention, index=1),
    }

    def __init__(self, config: Data2Vec2Config):
        check_layers(
            num_hidden_layers=config.num_hidden_layers,
            num_prenet_layers=config.num_prenet_layers,
            decoder_num_layers=config.decoder_num_layers,
        )
        super().__init__(config)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """BERT's initialisation for the transformer, torch's own for decoder and positions, as in the original.

        Every weight is set on the very module that owns it: what a parent sets is ignored for weights that are missing
        from a checkpoint, because their owner has been marked as initialised by then.
        """
        if isinstance(module, nn.Conv1d | DecoderProjection):
            init_like_torch(module)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm | nn.GroupNorm):
            if module.weight is not None:
                init.ones_(module.weight)
                init.zeros_(module.bias)
        elif isinstance(module, AttentionBias):
            init.constant_(module.scale, float(self.config.alibi_scale))
        elif isinstance(module, Data2Vec2ContextEncoder):
            if module.extra_tokens is not None:
                init.normal_(module.extra_tokens)
        elif isinstance(module, EMATeacher):
            init.zeros_(module.num_updates)


@dataclass
class Data2Vec2ForPreTrainingOutput(ModelOutput):
    """
    Output of pre-training with data2vec 2.0.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`):
            Sum over predicted frames of the loss of a frame, divided by their number in the (global) batch; with the
            loss of the CLS token where the model has one.
        predictions (`torch.FloatTensor` of shape `(num_predicted, hidden_size)`):
            The decoder's output at predicted frames, ordered by utterance, mask and time.
        targets (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`):
            The teacher's targets for all frames; those of padded frames are meaningless.
        prediction_mask (`torch.BoolTensor` of shape `(batch_size, num_masks, sequence_length)`):
            Which frames were predicted.
        mask_time_indices (`torch.BoolTensor` of shape `(batch_size, num_masks, sequence_length)`):
            Which frames were hidden from the student.
        frame_mask (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
            Which frames are real; `None` if all are.
        regression_loss, cls_loss (`torch.FloatTensor` of shape `()`, *optional*):
            The parts of `loss` where there are two.
        local_features (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`, *optional*):
            What the student's convolutions make of the whole input, without gradient, for monitors; none of text.
        predicted_targets (`torch.FloatTensor` of shape `(num_predicted, hidden_size)`):
            Those of `targets` that `predictions` are compared with.
        predicted_mask (`torch.BoolTensor` of shape `(num_predicted,)`, *optional*):
            `False` at filler among `predictions`; `None` if there is none, as without `predicted_positions`.

    A frame of an image is a patch.
    """

    loss: torch.Tensor | None = None
    predictions: torch.Tensor | None = None
    targets: torch.Tensor | None = None
    prediction_mask: torch.Tensor | None = None
    mask_time_indices: torch.Tensor | None = None
    frame_mask: torch.Tensor | None = None
    regression_loss: torch.Tensor | None = None
    cls_loss: torch.Tensor | None = None
    local_features: torch.Tensor | None = None
    predicted_targets: torch.Tensor | None = None
    predicted_mask: torch.Tensor | None = None


class EncodedFrames(NamedTuple):
    """What the student made of the visible frames of every masked copy.

    Attributes:
        extra_tokens: `(batch_size * num_masks, num_extra_tokens, hidden_size)`.
        hidden_states: `(batch_size * num_masks, max_visible, hidden_size)`.
        visible_frames: Where they belong.
        decoder_mask: `(batch_size * num_masks, sequence_length)`, `True` at frames that the decoder convolves; `None`
            for all.
    """

    extra_tokens: torch.Tensor
    hidden_states: torch.Tensor
    visible_frames: VisibleFrames
    decoder_mask: torch.Tensor | None


def make_decoder_1d(config: Data2Vec2SequenceConfig) -> ConvDecoder1d:
    """The decoder of sequences in time, as configured."""
    check_layers(decoder_num_projections=config.decoder_num_projections)
    return ConvDecoder1d(
        hidden_size=config.hidden_size,
        decoder_hidden_size=config.decoder_hidden_size,
        num_layers=config.decoder_num_layers,
        kernel_size=config.decoder_kernel_size,
        groups=config.decoder_groups,
        residual=config.decoder_residual,
        num_projections=config.decoder_num_projections,
        projection_ratio=config.decoder_projection_ratio,
    )


def gather_targets(targets: torch.Tensor, predicted: PredictedFrames, num_masks: int) -> torch.Tensor:
    """Targets at predicted frames, `(num_predicted, hidden_size)`.

    Args:
        targets: `(batch_size, sequence_length, hidden_size)`, which all copies of an utterance share.
        predicted: From [`~masking.find_predicted`]; a row is a masked copy.
        num_masks: Copies of an utterance.
    """
    return targets[predicted.rows // num_masks, predicted.times]


class Data2Vec2PreTrainingObjective(SelfDistillationModel, Data2Vec2PreTrainedModel):
    """Student, decoder and teacher: everything of the pre-training step that does not depend on the modality.

    A modality's class gives its base model and decoder to `_set_up_objective` and writes a forward of three calls:
    `teacher_targets`, `student_predictions` (or its halves `encode_visible` and `predict_hidden`), `regression_loss`.
    """

    decoder: ConvDecoder

    def _set_up_objective(self, decoder: ConvDecoder) -> None:
        """Adds decoder and teacher to a model whose base model is in place, and initialises all weights."""
        self.decoder = decoder
        self.decoder_dropout = Dropout(self.config.decoder_input_dropout)
        self.teacher = EMATeacher(self._student_stages())
        self.post_init()
        self.teacher.copy_from(self._student_stages())

    @property
    def _context_encoder(self) -> Any:
        return self.base_model.get_submodule("context_encoder")

    @property
    def _trunk(self) -> nn.Module:
        return self.base_model.get_submodule("trunk")

    def _student_stages(self) -> Mapping[str, nn.Module]:
        """The student's modules that the teacher averages."""
        return {name: self.base_model.get_submodule(name) for name in TEACHER_STAGES[self.config.teacher_scope]}

    @torch.no_grad()
    def teacher_targets(
        self, raw_inputs: torch.Tensor, local_features: torch.Tensor, frame_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Targets for all frames from one pass of the teacher over the unmasked input (section 3.1).

        Where the teacher's scope leaves out a stage, the student's is used; in training with the student's dropout,
        as in the original.

        Args:
            raw_inputs: What the local encoder reads.
            local_features: The student's, `(batch_size, sequence_length, hidden_size)`.
            frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.

        Returns:
            `(batch_size, sequence_length, hidden_size)`, float32.
        """
        scope, teacher = self.config.teacher_scope, self.teacher
        if scope == "model":
            local_features = teacher.get_submodule("local_encoder")(raw_inputs)
        context_encoder = self._context_encoder if scope == "trunk" else teacher.get_submodule("context_encoder")
        dtype = next(teacher.parameters()).dtype  # float32 also beside a student in half precision
        if scope != "trunk":
            local_features = local_features.to(dtype)
        hidden_states, biases = context_encoder(local_features, frame_mask)
        cast = {id(bias): bias.to(dtype) for bias in biases}  # layers may share it
        layer_outputs = LayerOutputs()
        teacher.get_submodule("trunk")(hidden_states.to(dtype), [cast[id(bias)] for bias in biases], layer_outputs)
        num_extra_tokens = self._context_encoder.num_extra_tokens
        return average_layers(
            [layer_output[:, num_extra_tokens:] for layer_output in layer_outputs.tensors],
            top_k=self.config.average_top_k_layers,
            layer_norms=self.config.target_layer_norms,
            target_norms=self.config.target_norms,
            frame_mask=None if self.config.norm_targets_over_padding else frame_mask,
        )

    def student_predictions(
        self,
        local_features: torch.Tensor,
        frame_mask: torch.Tensor | None,
        mask_time_indices: torch.Tensor,
        predicted: PredictedFrames,
        mask_noise: torch.Tensor | None = None,
        visible_positions: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Encodes the visible frames of every masked copy and decodes the hidden ones (sections 3.2 and 3.3).

        Args:
            local_features: `(batch_size, sequence_length, hidden_size)`, shared by all copies of an utterance.
            frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.
            mask_time_indices: `(batch_size, num_masks, sequence_length)`, `True` at hidden frames.
            predicted: The frames to predict, from [`~masking.find_predicted`]; a row is a masked copy.
            mask_noise: `(batch_size, num_masks, sequence_length, hidden_size)`: what the decoder sees at hidden
                frames; drawn if absent.
            visible_positions: `(batch_size, num_masks, max_visible)`, see [`~masking.find_visible_frames`].

        Returns:
            `(num_predicted, hidden_size)`.
        """
        encoded = self.encode_visible(local_features, frame_mask, mask_time_indices, visible_positions)
        return self.predict_hidden(encoded, predicted, mask_noise)

    def encode_visible(
        self,
        local_features: torch.Tensor,
        frame_mask: torch.Tensor | None,
        mask_time_indices: torch.Tensor,
        visible_positions: torch.Tensor | None = None,
    ) -> EncodedFrames:
        """The first half of `student_predictions`: the visible frames of every masked copy, encoded."""
        num_masks = mask_time_indices.shape[1]
        hidden_mask = mask_time_indices.flatten(0, 1)
        features = local_features.repeat_interleave(num_masks, dim=0)
        frame_mask = None if frame_mask is None else frame_mask.repeat_interleave(num_masks, dim=0)
        features = self._hide_frames(features, hidden_mask)

        decoder_mask = None if self.config.convolve_padding else frame_mask
        visible_frames = find_visible_frames(
            ~hidden_mask if decoder_mask is None else ~hidden_mask & decoder_mask,
            None if visible_positions is None else visible_positions.flatten(0, 1),
        )
        hidden_states, biases = self._context_encoder(features, frame_mask, visible_frames)
        hidden_states = self.decoder_dropout(self._trunk(hidden_states, biases))
        num_extra_tokens = self._context_encoder.num_extra_tokens
        return EncodedFrames(
            hidden_states[:, :num_extra_tokens], hidden_states[:, num_extra_tokens:], visible_frames, decoder_mask
        )

    def predict_hidden(
        self, encoded: EncodedFrames, predicted: PredictedFrames, mask_noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The second half of `student_predictions`: noise where frames are hidden, and the decoder."""
        visible, hidden_states = encoded.visible_frames.visible, encoded.hidden_states
        if mask_noise is None:
            noise = self._draw_noise(hidden_states.new_empty(*visible.shape, hidden_states.shape[-1]))
        else:
            noise = mask_noise.flatten(0, 1).to(hidden_states.dtype)
        decoded = self.decoder(scatter_visible(hidden_states, visible, noise), encoded.decoder_mask)
        return self.decoder.project(predicted.of(decoded))

    def _hide_frames(self, features: torch.Tensor, hidden_mask: torch.Tensor) -> torch.Tensor:
        """What stands at hidden frames for stages that see them, as convolutional positions do; no others are."""
        return features

    def _draw_noise(self, like: torch.Tensor) -> torch.Tensor:
        return torch.randn_like(like) * self.config.mask_noise_std


class Data2Vec2SequenceObjective(Data2Vec2PreTrainingObjective):
    """The objective for sequences in time, of different lengths in a batch: masks stay off the padding."""

    def draw_masks(self, lengths: list[int], sequence_length: int) -> torch.Tensor:
        """Masks as configured for sequences of `lengths` real frames; `(batch_size, num_masks, sequence_length)`."""
        raise NotImplementedError("Every modality draws masks of its own.")

    def _checked_mask(
        self, mask_time_indices: torch.Tensor | None, local_features: torch.Tensor, frame_mask: torch.Tensor | None
    ) -> torch.Tensor:
        batch_size, sequence_length = local_features.shape[:2]
        if mask_time_indices is None:
            lengths = [sequence_length] * batch_size
            if frame_mask is not None:
                shortest_right_padded(frame_mask)
                lengths = frame_mask.sum(-1).tolist()
            return self.draw_masks(lengths, sequence_length).to(local_features.device)
        shape = tuple(mask_time_indices.shape)
        if len(shape) != 3 or (shape[0], shape[2]) != (batch_size, sequence_length) or shape[1] == 0:
            raise ValueError(
                "`mask_time_indices` must have shape (batch_size, num_masks, sequence_length) = "
                f"({batch_size}, any number, {sequence_length}), but has {shape}. The sequence length is that of the "
                "local encoder's output."
            )
        check_mask_type("mask_time_indices", mask_time_indices)
        mask_time_indices = mask_time_indices.bool()
        self._check_off_padding("mask_time_indices", mask_time_indices, frame_mask)
        return mask_time_indices

    def _prediction_mask(
        self, labels: torch.Tensor | None, mask_time_indices: torch.Tensor, frame_mask: torch.Tensor | None
    ) -> torch.Tensor:
        if labels is None:
            return mask_time_indices
        if labels.shape != mask_time_indices.shape:
            raise ValueError(
                f"`labels` must have the shape of `mask_time_indices`, {tuple(mask_time_indices.shape)}, but have "
                f"{tuple(labels.shape)}."
            )
        check_integer_labels(labels)
        self._check_off_padding("labels", labels != -100, frame_mask)
        return labels != -100

    @staticmethod
    def _check_off_padding(name: str, marked: torch.Tensor, frame_mask: torch.Tensor | None) -> None:
        """`(batch_size, num_masks, sequence_length)` against the real frames, `(batch_size, sequence_length)`."""
        check_marks_real_steps(name, marked, None if frame_mask is None else frame_mask.unsqueeze(1))
