# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec pre-training on speech, over transformers' own `Data2VecAudioModel`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.activations import GELUActivation
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.data2vec.configuration_data2vec_audio import Data2VecAudioConfig
from transformers.models.data2vec.modeling_data2vec_audio import (
    Data2VecAudioAttention,
    Data2VecAudioConvLayer,
    Data2VecAudioEncoder,
    Data2VecAudioEncoderLayer,
    Data2VecAudioFeatureEncoder,
    Data2VecAudioFeatureProjection,
    Data2VecAudioFeedForward,
    Data2VecAudioModel,
    Data2VecAudioPreTrainedModel,
)
from transformers.utils.generic import can_return_tuple

from .activated_linear import activated_linear
from .attention import attend, chooses_attention, mask_scores
from .audio_heads import numpy_generators
from .blocked_attention import ScoreBias
from .configuration_data2vec_pretraining import Data2VecAudioPreTrainingConfig, as_pretraining_config
from .dropout import Dropout
from .input_checks import check_marks_real_steps, check_mask_type
from .layer_norm import sum_gradients_in_float32
from .masking import PredictedFrames, draw_mask_indices, find_predicted
from .modeling_data2vec_pretraining import (
    Data2VecForPreTrainingOutput,
    Data2VecPreTrainingObjective,
    RegressionLayer,
    checked_prediction_mask,
)
from .size_checks import check_layers
from .strided_convolution import apply_layer
from .waveforms import find_real_frames


class FasterConvLayer(Data2VecAudioConvLayer):
    """transformers' layer of the waveform encoder: same weights, same results, channels side by side in memory."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(batch_size, in_channels, num_steps)` -> `(batch_size, out_channels, fewer_steps)`."""
        if not isinstance(self.activation, GELUActivation):
            return super().forward(hidden_states)
        return apply_layer(self.conv, self.layer_norm, hidden_states)


def faster_conv_layers(config: Data2VecAudioConfig) -> nn.ModuleList:
    """The layers of a waveform encoder, to be put into one of transformers'.

    Their layer norms are ours already, for [`apply_layer`] takes no others.
    """
    layers = nn.ModuleList(FasterConvLayer(config, layer_id) for layer_id in range(config.num_feat_extract_layers))
    sum_gradients_in_float32(layers)
    return layers


class FasterAttention(Data2VecAudioAttention):
    """transformers' self-attention: same weights, same results, in the form that is fastest on a CPU."""

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
    """transformers' feed-forward network: same weights, same results, with less kept for the backward pass where
    nothing is dropped between its layers."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(batch_size, sequence_length, hidden_size)` -> the same."""
        if self.training and self.intermediate_dropout.p > 0:
            return super().forward(hidden_states)
        hidden_states = self.intermediate_dense(hidden_states)
        return self.output_dropout(activated_linear(hidden_states, self.intermediate_act_fn, self.output_dense))


def speed_up_layer(layer: Data2VecAudioEncoderLayer, config: Data2VecAudioConfig) -> None:
    """Puts attention and dropout that are faster on CPUs, and a leaner feed-forward network, into a new layer of
    transformers'."""
    layer.feed_forward.__class__ = LeanerFeedForward  # whose weights are drawn already
    layer.attention = FasterAttention(
        config.hidden_size, config.num_attention_heads, dropout=config.attention_dropout, config=config
    )
    layer.dropout = Dropout(config.hidden_dropout)
    layer.feed_forward.intermediate_dropout = Dropout(config.activation_dropout)
    layer.feed_forward.output_dropout = Dropout(config.hidden_dropout)


class Data2VecAudioForPreTraining(Data2VecPreTrainingObjective, Data2VecAudioPreTrainedModel):
    """data2vec pre-training: predict the teacher's view of the whole utterance from a masked one.

    What it saves opens in transformers' own classes, such as `Data2VecAudioForCTC`, without this package. It opens any
    folder of theirs: the teacher is then a copy of the student.

    Example:

    ```python
    >>> import torch
    >>> from hf_ssl import Data2VecAudioForPreTraining, Data2VecAudioPreTrainingConfig

    >>> config = Data2VecAudioPreTrainingConfig(num_hidden_layers=2, average_top_k_layers=2)
    >>> model = Data2VecAudioForPreTraining(config)
    >>> optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    >>> loss = model(torch.randn(2, 16000)).loss
    >>> loss.backward()
    >>> optimizer.step()
    >>> decay = model.update_teacher()  # the Trainer of hf_ssl.training does this for you
    ```

    Args:
        config ([`Data2VecAudioPreTrainingConfig`] or `Data2VecAudioConfig`):
            transformers' own configuration gets the default fields of the objective.
    """

    # transformers' own, under which the Auto classes know this one; `__init__` makes the other of it
    config_class = Data2VecAudioConfig
    config: Data2VecAudioPreTrainingConfig

    def __init__(self, config: Data2VecAudioConfig):
        check_layers(
            num_hidden_layers=config.num_hidden_layers, num_conv_pos_embeddings=config.num_conv_pos_embeddings
        )
        super().__init__(as_pretraining_config(config, Data2VecAudioPreTrainingConfig))
        self.data2vec_audio = Data2VecAudioModel(self.config)
        self.data2vec_audio.feature_extractor.conv_layers = faster_conv_layers(self.config)
        for layer in self.data2vec_audio.encoder.layers:
            assert isinstance(layer, Data2VecAudioEncoderLayer)
            speed_up_layer(layer, self.config)
        if self.config.mask_time_prob == 0 and self.config.mask_feature_prob == 0:
            # transformers makes the mask embedding only if fine-tuning masks; pre-training always does
            self.data2vec_audio.masked_spec_embed = nn.Parameter(torch.empty(self.config.hidden_size).uniform_())
        self.final_proj = RegressionLayer(self.config.hidden_size, self.config.hidden_size)
        self._set_up_teacher()

    def freeze_feature_encoder(self) -> None:
        """Stops training the convolutions of the waveform encoder."""
        self.data2vec_audio.freeze_feature_encoder()

    def _student_stages(self) -> Mapping[str, nn.Module]:
        names = ["encoder"]
        if self.config.teacher_scope == "model":
            names = ["feature_extractor", "feature_projection", "encoder"]
        return {name: self.data2vec_audio.get_submodule(name) for name in names}

    def _copied_stages(self) -> Mapping[str, nn.Module]:
        if self.config.teacher_scope != "layers":
            return {}
        return {"encoder.pos_conv_embed": self.data2vec_audio.encoder.pos_conv_embed}

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        mask_time_indices: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        predicted_positions: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> Data2VecForPreTrainingOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, num_samples)`):
                Normalised waveforms.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_samples)`, *optional*):
                1 at real samples, 0 at padding (on the right).
            mask_time_indices (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Frames to hide from the student. In training they come from the data collator; drawn here if absent.
            labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                -100 at frames that are not predicted, any other value at those that are; `mask_time_indices` if
                absent. The `Trainer` counts them to normalise the loss over devices and accumulation steps.
            predicted_positions (`torch.LongTensor` of shape `(batch_size, max_predicted)`, *optional*):
                Positions of the frames that are predicted, in order, then -1, as the data collator gives them. Their
                shape says how many there are: without them the forward asks the device, and a compiled graph breaks
                there.
            num_items_in_batch (`int`, *optional*):
                Predicted frames of the global batch, by which the loss is divided; this batch's if absent.
        """
        self._check_teacher_is_updated()
        frame_mask = find_real_frames(input_values, attention_mask, self.config)
        student = self.data2vec_audio
        features = local_features(student.feature_extractor, student.feature_projection, input_values)
        mask_time_indices = self._checked_mask(mask_time_indices, features, frame_mask)
        prediction_mask = checked_prediction_mask(labels, mask_time_indices, "mask_time_indices", frame_mask)

        targets = self.teacher_targets(input_values, features, frame_mask)
        predicted = find_predicted(prediction_mask, predicted_positions)
        predictions = self.student_predictions(features, frame_mask, mask_time_indices, predicted)
        predicted_targets = predicted.of(targets)
        loss = self.regression_loss(predictions, predicted_targets, num_items_in_batch, predicted.is_real)

        return Data2VecForPreTrainingOutput(
            loss=loss,
            predictions=predictions,
            targets=targets,
            prediction_mask=prediction_mask,
            mask_time_indices=mask_time_indices,
            frame_mask=frame_mask,
            local_features=features.detach(),
            predicted_targets=predicted_targets,
            predicted_mask=predicted.is_real,
        )

    @torch.no_grad()
    def teacher_targets(
        self, input_values: torch.Tensor, features: torch.Tensor, frame_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Targets for all frames from one pass of the teacher over the unmasked input (section 3.2).

        Args:
            input_values: `(batch_size, num_samples)`.
            features: The student's projected features without dropout, `(batch_size, sequence_length, hidden_size)`:
                what the teacher reads unless its scope is `"model"`.
            frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.

        Returns:
            `(batch_size, sequence_length, hidden_size)`, float32.
        """
        teacher: Any = self.teacher  # whose modules are known by name only
        if self.config.teacher_scope == "model":
            features = local_features(teacher.feature_extractor, teacher.feature_projection, input_values)
        features = features.to(next(teacher.parameters()).dtype)  # float32 also beside a student in half precision
        return self._average_layers(ffn_outputs(teacher.encoder, features, frame_mask), frame_mask)

    def student_predictions(
        self,
        features: torch.Tensor,
        frame_mask: torch.Tensor | None,
        mask_time_indices: torch.Tensor,
        predicted: PredictedFrames,
    ) -> torch.Tensor:
        """Encodes the features with hidden frames replaced by the mask embedding (section 3.1).

        Args:
            features: As projected, `(batch_size, sequence_length, hidden_size)`.
            frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.
            mask_time_indices: `(batch_size, sequence_length)`, `True` at hidden frames.
            predicted: The frames to predict, from [`~masking.find_predicted`].

        Returns:
            `(num_predicted, hidden_size)`.
        """
        student = self.data2vec_audio
        hidden_states = student.feature_projection.dropout(features)
        # not the student's own `_mask_hidden_states`, which `apply_spec_augment` of fine-tuning may switch off
        mask_embedding = student.masked_spec_embed.to(hidden_states.dtype)
        hidden_states = torch.where(mask_time_indices.unsqueeze(-1), mask_embedding, hidden_states)
        encoded = student.encoder(hidden_states, attention_mask=frame_mask).last_hidden_state
        return self.final_proj(predicted.of(encoded))

    def _checked_mask(
        self, mask_time_indices: torch.Tensor | None, features: torch.Tensor, frame_mask: torch.Tensor | None
    ) -> torch.Tensor:
        batch_size, sequence_length = features.shape[:2]
        if mask_time_indices is None:
            lengths = [sequence_length] * batch_size if frame_mask is None else frame_mask.sum(-1).tolist()
            masks = draw_masks(self.config, lengths, sequence_length, numpy_generators(batch_size))
            return masks.to(features.device)
        if mask_time_indices.shape != (batch_size, sequence_length):
            raise ValueError(
                "`mask_time_indices` must have shape (batch_size, sequence_length) = "
                f"{(batch_size, sequence_length)}, but has {tuple(mask_time_indices.shape)}. "
                "`config.num_frames(num_samples)` gives the sequence length."
            )
        check_mask_type("mask_time_indices", mask_time_indices)
        mask_time_indices = mask_time_indices.bool()
        check_marks_real_steps("mask_time_indices", mask_time_indices, frame_mask)
        return mask_time_indices


def draw_masks(
    config: Data2VecAudioPreTrainingConfig,
    lengths: Sequence[int],
    sequence_length: int,
    generators: Sequence[np.random.Generator],
) -> torch.Tensor:
    """Masks of pre-training for utterances of `lengths` real frames, `(batch_size, sequence_length)`, bool."""
    return draw_mask_indices(
        lengths,
        sequence_length,
        mask_prob=config.mask_prob,
        mask_length=config.mask_length,
        min_masks=1,
        same_count=config.require_same_masks,
        mask_dropout=config.mask_dropout,
        generators=generators,
    )


def local_features(
    feature_extractor: Data2VecAudioFeatureEncoder,
    feature_projection: Data2VecAudioFeatureProjection,
    input_values: torch.Tensor,
) -> torch.Tensor:
    """`(batch_size, num_samples)` -> `(batch_size, sequence_length, hidden_size)`, without the projection's dropout,
    which the teacher does not share."""
    input_values = input_values.to(feature_projection.projection.weight.dtype)
    extracted = feature_extractor(input_values).transpose(1, 2)
    return feature_projection.projection(feature_projection.layer_norm(extracted))


def ffn_outputs(
    encoder: Data2VecAudioEncoder, features: torch.Tensor, frame_mask: torch.Tensor | None
) -> list[torch.Tensor]:
    """What each layer's feed-forward network adds to the residual: the targets' raw material (section 3.2).

    transformers' forward of the encoder gives whole layers only, so it is written out here, without dropout.

    Args:
        encoder: In evaluation mode.
        features: `(batch_size, sequence_length, hidden_size)`.
        frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.

    Returns:
        One tensor per layer, of the shape of `features`.
    """
    if frame_mask is not None:
        features = features.masked_fill(~frame_mask.unsqueeze(-1), 0)
    attention_mask = create_bidirectional_mask(
        config=encoder.config, inputs_embeds=features, attention_mask=frame_mask
    )
    hidden_states = encoder.layer_norm(features + encoder.pos_conv_embed(features))
    outputs: list[torch.Tensor] = []
    layer: Any
    for layer in encoder.layers:
        attended, _ = layer.attention(hidden_states, attention_mask=attention_mask)
        hidden_states = layer.layer_norm(hidden_states + attended)
        outputs.append(layer.feed_forward(hidden_states))
        hidden_states = layer.final_layer_norm(hidden_states + outputs[-1])
    return outputs


__all__ = ["Data2VecAudioForPreTraining"]
