# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec 2.0 for speech: waveform encoder, convolutional positions, pre-training, and heads for fine-tuning."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.wav2vec2.modeling_wav2vec2 import AMSoftmaxLoss
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .audio_heads import draw_time_mask, mask_channels, replace_frames
from .checkpointed_inputs import input_of_checkpoints
from .configuration_data2vec2 import Data2Vec2AudioConfig
from .convolutions import FrameConv1d
from .layer_norm import LayerNorm
from .masking import draw_span_masks, find_predicted
from .modeling_data2vec2 import (
    AttentionBias,
    Data2Vec2ContextEncoder,
    Data2Vec2ForPreTrainingOutput,
    Data2Vec2PreTrainedModel,
    Data2Vec2SequenceObjective,
    Data2Vec2Trunk,
    gather_targets,
    make_decoder_1d,
)
from .size_checks import check_layers
from .strided_convolution import apply_layer
from .torch_init import init_like_torch
from .waveform_models import (
    WaveformForAudioFrameClassification,
    WaveformForCTC,
    WaveformForSequenceClassification,
    WaveformForXVector,
    WaveformHeadModel,
    WaveformModel,
    scale_gradient,
)
from .waveforms import find_real_frames, frame_mask_of_output


class WaveformConv1d(nn.Conv1d):
    """Convolution of its own type, because it starts from other weights than the other convolutions."""


class FeatureProjection(nn.Linear):
    """Linear layer of its own type, because it starts from other weights than the transformer's."""


class Data2Vec2AudioConvLayer(GradientCheckpointingLayer):
    """One strided convolution of the waveform encoder, normalised, with GELU."""

    def __init__(self, config: Data2Vec2AudioConfig, layer_index: int):
        super().__init__()
        in_channels = config.conv_dim[layer_index - 1] if layer_index > 0 else 1
        out_channels = config.conv_dim[layer_index]
        self.conv = WaveformConv1d(
            in_channels,
            out_channels,
            config.conv_kernel[layer_index],
            stride=config.conv_stride[layer_index],
            bias=config.conv_bias,
        )
        self.layer_norm: nn.LayerNorm | None = None
        self.group_norm: nn.GroupNorm | None = None
        if config.feat_extract_norm == "layer":
            self.layer_norm = LayerNorm(out_channels)
        elif layer_index == 0:
            self.group_norm = nn.GroupNorm(out_channels, out_channels)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(batch_size, in_channels, num_steps)` -> `(batch_size, out_channels, fewer_steps)`.

        With a layer norm in every layer, the channels of what is returned lie side by side in memory.
        """
        if self.layer_norm is not None:
            return apply_layer(self.conv, self.layer_norm, hidden_states)
        if hidden_states.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # In bfloat16 on a CPU (torch 2.13, AMX) the weight's gradient is not finite once in thousands of steps.
            with torch.autocast("cpu", enabled=False):
                hidden_states = self.conv(hidden_states.to(self.conv.weight.dtype))
        else:
            hidden_states = self.conv(hidden_states)
        return F.gelu(hidden_states if self.group_norm is None else self.group_norm(hidden_states))


class Data2Vec2AudioLocalEncoder(nn.Module):
    """Waveform -> local features: strided convolutions, layer norm, projection."""

    def __init__(self, config: Data2Vec2AudioConfig):
        super().__init__()
        self.config = config
        self.conv_layers = nn.ModuleList(
            Data2Vec2AudioConvLayer(config, index) for index in range(config.num_feat_extract_layers)
        )
        self.layer_norm = LayerNorm(config.conv_dim[-1])
        self.projection = FeatureProjection(config.conv_dim[-1], config.hidden_size)

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        """`(batch_size, num_samples)` -> `(batch_size, sequence_length, hidden_size)`."""
        hidden_states = input_values.unsqueeze(1).to(self.projection.weight.dtype)
        if self.training:
            hidden_states = input_of_checkpoints(hidden_states, self.conv_layers)
        for layer in self.conv_layers:
            hidden_states = layer(hidden_states)
        hidden_states = scale_gradient(hidden_states, float(self.config.local_grad_scale))
        return self.projection(self.layer_norm(hidden_states.transpose(1, 2)))


class Data2Vec2AudioPositionEncoder(nn.Module):
    """Relative positions from a stack of convolutions over the local features."""

    def __init__(self, config: Data2Vec2AudioConfig):
        super().__init__()
        check_layers(num_conv_pos_embeddings=config.num_conv_pos_embeddings)
        self.layer_norm = LayerNorm(config.hidden_size) if config.conv_pos_layer_norm_first else None
        self.layers = nn.ModuleList(
            FrameConv1d(
                config.hidden_size,
                config.hidden_size,
                config.conv_pos_kernel_size,
                config.num_conv_pos_embedding_groups,
            )
            for _ in range(config.num_conv_pos_embeddings)
        )

    def forward(self, features: torch.Tensor, frame_mask: torch.Tensor | None = None) -> torch.Tensor:
        positions = features if self.layer_norm is None else self.layer_norm(features)
        for layer in self.layers:
            positions = layer(positions, frame_mask)
        return positions


class Data2Vec2AudioPreTrainedModel(WaveformModel, Data2Vec2PreTrainedModel):
    config: Data2Vec2AudioConfig
    config_class = Data2Vec2AudioConfig
    base_model_prefix = "data2vec2_audio"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, WaveformConv1d):
            init.kaiming_normal_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, FeatureProjection):
            init_like_torch(module)
        elif isinstance(module, AMSoftmaxLoss):
            init.normal_(module.weight)
        else:
            super()._init_weights(module)


# What a pre-training folder has more than an encoder needs; no reason for a warning.
_PRETRAINING_KEYS = [r"^teacher\.", r"^decoder\."]


class Data2Vec2AudioModel(Data2Vec2AudioPreTrainedModel):
    """The encoder: waveform in, one vector per frame out.

    Args:
        config ([`Data2Vec2AudioConfig`]): Its configuration.
    """

    _keys_to_ignore_on_load_unexpected = _PRETRAINING_KEYS

    def __init__(self, config: Data2Vec2AudioConfig):
        super().__init__(config)
        self.local_encoder = Data2Vec2AudioLocalEncoder(config)
        self.context_encoder = Data2Vec2ContextEncoder(
            config, Data2Vec2AudioPositionEncoder(config), AttentionBias(config) if config.use_alibi else None
        )
        self.trunk = Data2Vec2Trunk(config)
        self.post_init()

    def freeze_feature_encoder(self) -> None:
        """Stops training the convolutions of the waveform encoder (usual in fine-tuning)."""
        self.local_encoder.conv_layers.requires_grad_(False)

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        mask_time_indices: torch.Tensor | None = None,
        **kwargs,
    ) -> BaseModelOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, num_samples)`):
                Normalised waveforms, from `Wav2Vec2FeatureExtractor`.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_samples)`, *optional*):
                1 at real samples, 0 at padding (on the right).
            mask_time_indices (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Frames to replace by noise. Drawn in training if `config.apply_spec_augment`.

        Returns:
            `last_hidden_state` of shape `(batch_size, sequence_length, hidden_size)`; on request `hidden_states` of
            prenet and trunk and `attentions`.
        """
        frame_mask = find_real_frames(input_values, attention_mask, self.config)
        features = self.local_encoder(input_values)
        features = self._augment(features, frame_mask, mask_time_indices)
        hidden_states, biases = self.context_encoder(features, frame_mask, **kwargs)
        hidden_states = self.trunk(hidden_states, biases, **kwargs)
        return BaseModelOutput(last_hidden_state=hidden_states)

    def _augment(
        self, features: torch.Tensor, frame_mask: torch.Tensor | None, mask_time_indices: torch.Tensor | None
    ) -> torch.Tensor:
        """SpecAugment-like masks of fine-tuning: noise at spans of frames, zeros at spans of channels."""
        draws = self.training and self.config.apply_spec_augment
        if draws and mask_time_indices is None:
            mask_time_indices = draw_time_mask(self.config, features, frame_mask)
        if mask_time_indices is not None:
            features = replace_frames(features, mask_time_indices, self.config.mask_noise_std)
        return mask_channels(self.config, features) if draws else features


class Data2Vec2AudioForPreTraining(Data2Vec2AudioPreTrainedModel, Data2Vec2SequenceObjective):
    """data2vec 2.0 pre-training: predict the teacher's view of the whole utterance from what a mask leaves visible.

    Example:

    ```python
    >>> import torch
    >>> from hf_ssl import Data2Vec2AudioConfig, Data2Vec2AudioForPreTraining

    >>> model = Data2Vec2AudioForPreTraining(Data2Vec2AudioConfig(num_hidden_layers=2, average_top_k_layers=2))
    >>> optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    >>> loss = model(torch.randn(2, 16000)).loss
    >>> loss.backward()
    >>> optimizer.step()
    >>> decay = model.update_teacher()  # the Trainer of hf_ssl.training does this for you
    ```
    """

    def __init__(self, config: Data2Vec2AudioConfig):
        super().__init__(config)
        self.data2vec2_audio = Data2Vec2AudioModel(config)
        self._set_up_objective(make_decoder_1d(config))

    def freeze_feature_encoder(self) -> None:
        """Stops training the convolutions of the waveform encoder."""
        self.data2vec2_audio.freeze_feature_encoder()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        mask_time_indices: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        mask_noise: torch.Tensor | None = None,
        visible_positions: torch.Tensor | None = None,
        predicted_positions: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> Data2Vec2ForPreTrainingOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, num_samples)`):
                Normalised waveforms.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_samples)`, *optional*):
                1 at real samples, 0 at padding (on the right).
            mask_time_indices (`torch.BoolTensor` of shape `(batch_size, num_masks, sequence_length)`, *optional*):
                Frames to hide from the student. In training they come from the data collator; drawn here if absent.
            labels (`torch.LongTensor` of shape `(batch_size, num_masks, sequence_length)`, *optional*):
                -100 at frames that are not predicted, any other value at those that are; `mask_time_indices` if
                absent. The `Trainer` counts them to normalise the loss over devices and accumulation steps.
            mask_noise (`torch.FloatTensor` of shape `(batch_size, num_masks, sequence_length, hidden_size)`,
                *optional*):
                What the decoder sees at hidden frames; drawn if absent.
            visible_positions (`torch.LongTensor` of shape `(batch_size, num_masks, max_visible)`, *optional*):
                Positions of the frames that stay visible, in order, then -1, as the data collator gives them.
            predicted_positions (`torch.LongTensor` of shape `(batch_size, num_masks, max_predicted)`, *optional*):
                The same of the frames that are predicted. Their shapes say how many there are: without them the
                forward asks the device, and a compiled graph breaks there.
            num_items_in_batch (`int`, *optional*):
                Predicted frames of the global batch, by which the loss is divided; this batch's if absent.
        """
        if self.training and not torch.compiler.is_compiling():
            self.teacher.assert_updated(self._student_stages())
        frame_mask = find_real_frames(input_values, attention_mask, self.config)
        local_features = self.data2vec2_audio.local_encoder(input_values)
        mask_time_indices = self._checked_mask(mask_time_indices, local_features, frame_mask)
        prediction_mask = self._prediction_mask(labels, mask_time_indices, frame_mask)

        targets = self.teacher_targets(input_values, local_features, frame_mask)
        predicted = find_predicted(prediction_mask, predicted_positions)
        predictions = self.student_predictions(
            local_features, frame_mask, mask_time_indices, predicted, mask_noise, visible_positions
        )
        predicted_targets = gather_targets(targets, predicted, prediction_mask.shape[1])
        loss = self.regression_loss(predictions, predicted_targets, num_items_in_batch, predicted.is_real)

        return Data2Vec2ForPreTrainingOutput(
            loss=loss,
            predictions=predictions,
            targets=targets,
            prediction_mask=prediction_mask,
            mask_time_indices=mask_time_indices,
            frame_mask=frame_mask_of_output(frame_mask, attention_mask, local_features),
            predicted_targets=predicted_targets,
            predicted_mask=predicted.is_real,
            local_features=local_features.detach(),
        )

    def draw_masks(self, lengths: list[int], sequence_length: int) -> torch.Tensor:
        """Masks as configured for utterances of `lengths` real frames; `(batch_size, num_masks, sequence_length)`."""
        config = self.config
        masks = torch.zeros(len(lengths), config.num_masks, sequence_length, dtype=torch.bool)
        for utterance, length in enumerate(lengths):
            masks[utterance, :, :length] = draw_span_masks(
                length,
                config.num_masks,
                mask_prob=config.mask_prob,
                mask_length=config.mask_length,
                mask_prob_adjust=config.mask_prob_adjust,
                mask_dropout=config.mask_dropout,
                inverse=config.inverse_mask,
            )
        return masks

    def _hide_frames(self, features: torch.Tensor, hidden_mask: torch.Tensor) -> torch.Tensor:
        """Zeros, or noise, where a frame is hidden: the convolutional positions look at hidden frames too."""
        if self.config.encoder_zero_mask:
            return features * (~hidden_mask).unsqueeze(-1).to(features.dtype)
        return torch.where(hidden_mask.unsqueeze(-1), self._draw_noise(features), features)


class Data2Vec2AudioHeadModel(Data2Vec2AudioPreTrainedModel, WaveformHeadModel):
    """What the fine-tuned models have in common."""

    _keys_to_ignore_on_load_unexpected = _PRETRAINING_KEYS

    def __init__(self, config: Data2Vec2AudioConfig):
        super().__init__(config)
        self.data2vec2_audio = Data2Vec2AudioModel(config)
        self._set_up_head(num_hidden_states=config.num_prenet_layers + config.num_hidden_layers + 1)


class Data2Vec2AudioForCTC(WaveformForCTC, Data2Vec2AudioHeadModel):
    """Speech recognition: a linear layer over frames, trained with connectionist temporal classification."""


class Data2Vec2AudioForSequenceClassification(WaveformForSequenceClassification, Data2Vec2AudioHeadModel):
    """One or several labels per utterance: mean of the real frames, then a linear layer."""


class Data2Vec2AudioForAudioFrameClassification(WaveformForAudioFrameClassification, Data2Vec2AudioHeadModel):
    """Labels for every frame, for example who speaks when."""


class Data2Vec2AudioForXVector(WaveformForXVector, Data2Vec2AudioHeadModel):
    """Speaker embeddings: time-delay network, statistics pooling, additive-margin softmax (as in wav2vec 2.0's)."""


__all__ = [
    "Data2Vec2AudioForAudioFrameClassification",
    "Data2Vec2AudioForCTC",
    "Data2Vec2AudioForPreTraining",
    "Data2Vec2AudioForSequenceClassification",
    "Data2Vec2AudioForXVector",
    "Data2Vec2AudioModel",
    "Data2Vec2AudioPreTrainedModel",
]
