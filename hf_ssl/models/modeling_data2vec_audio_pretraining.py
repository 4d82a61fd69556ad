# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec pre-training on speech, over transformers' own `Data2VecAudioModel`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.models.data2vec.configuration_data2vec_audio import Data2VecAudioConfig
from transformers.models.data2vec.modeling_data2vec_audio import (
    Data2VecAudioFeatureEncoder,
    Data2VecAudioFeatureProjection,
    Data2VecAudioModel,
    Data2VecAudioPreTrainedModel,
)
from transformers.utils.generic import can_return_tuple

from .audio_heads import numpy_generators
from .configuration_data2vec_pretraining import Data2VecAudioPreTrainingConfig, as_pretraining_config
from .data2vec_audio_encoder import make_faster
from .input_checks import check_marks_real_steps, check_mask_type
from .masking import PredictedFrames, draw_mask_indices, find_predicted
from .modeling_data2vec_pretraining import (
    Data2VecForPreTrainingOutput,
    Data2VecPreTrainingObjective,
    RegressionLayer,
    checked_prediction_mask,
)
from .size_checks import check_layers
from .teacher import LayerOutputs
from .waveforms import find_real_frames, frame_mask_of_output


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
    _no_split_modules = ["Data2VecAudioLayer"]

    def __init__(self, config: Data2VecAudioConfig):
        check_layers(
            num_hidden_layers=config.num_hidden_layers, num_conv_pos_embeddings=config.num_conv_pos_embeddings
        )
        super().__init__(as_pretraining_config(config, Data2VecAudioPreTrainingConfig))
        self.data2vec_audio = Data2VecAudioModel(self.config)
        make_faster(self.data2vec_audio)
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
            frame_mask=frame_mask_of_output(frame_mask, attention_mask, features),
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
        dtype = next(teacher.parameters()).dtype  # float32 also beside a student in half precision
        layer_outputs = LayerOutputs()
        teacher.encoder(features.detach().to(dtype), frame_mask, layer_outputs)
        return self._average_layers(layer_outputs.tensors, frame_mask)

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
        encoded = student.encoder(hidden_states, frame_mask).last_hidden_state
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
    extracted = feature_extractor(input_values).transpose(1, 2)
    return feature_projection.projection(feature_projection.layer_norm(extracted))


__all__ = ["Data2VecAudioForPreTraining"]
