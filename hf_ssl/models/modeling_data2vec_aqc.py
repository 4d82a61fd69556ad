# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec-aqc: the encoder of data2vec for speech, pre-training, and heads for fine-tuning."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.data2vec.modeling_data2vec_audio import (
    Data2VecAudioAttention,
    Data2VecAudioFeatureProjection,
)
from transformers.models.wav2vec2.modeling_wav2vec2 import AMSoftmaxLoss
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .audio_heads import draw_time_mask, mask_channels, numpy_generators
from .configuration_data2vec_aqc import Data2VecAqcConfig
from .cross_contrast import ContrastiveDraws, CrossContrast, CrossContrastiveObjective, Projection, SlotFeatures
from .data2vec_audio_encoder import Data2VecAudioLayer, FasterEncoder, FasterFeatureEncoder, make_faster
from .input_checks import check_marks_real_steps, check_mask_type
from .layer_norm import sum_gradients_in_float32
from .losses import at_least_one
from .masking import PredictedFrames, find_predicted, find_visible_frames, gather_frames
from .modeling_data2vec_audio_pretraining import draw_masks
from .modeling_data2vec_pretraining import Data2VecPreTrainingObjective, RegressionLayer, checked_prediction_mask
from .quantizers import CodeScores, GumbelVectorQuantizer
from .size_checks import check_layers
from .teacher import LayerOutputs
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
from .waveforms import check_waveforms, find_real_frames, frame_mask_of_output


class Data2VecAqcFeatureEncoder(FasterFeatureEncoder):
    """Waveform -> what its strided convolutions make of it."""

    def __init__(self, config: Data2VecAqcConfig):
        super().__init__(config)
        self.grad_scale = float(config.local_grad_scale)

    def forward(self, input_values: torch.Tensor, is_augmented: bool = False) -> torch.Tensor:
        """`(batch_size, num_samples)` -> `(batch_size, sequence_length, conv_dim[-1])`, not normalised.

        The gradient of an augmented view is not scaled, as in the original, unless the scale is 0: the original then
        trains these layers with neither view.
        """
        grad_scale = 1.0 if is_augmented and self.grad_scale > 0 else self.grad_scale
        return scale_gradient(super().forward(input_values), grad_scale).transpose(1, 2)


class Data2VecAqcEncoder(FasterEncoder):
    """data2vec's encoder, whose positions know where an utterance ends."""

    def _positions(self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None) -> torch.Tensor:
        """Padded frames are zeroed before every convolution, as if the utterance ended there; with
        `config.convolve_padding` only before the first."""
        if frame_mask is None or self.config.convolve_padding:
            return super()._positions(hidden_states, frame_mask)
        weights = frame_mask.unsqueeze(1).to(hidden_states.dtype)
        hidden_states = hidden_states.transpose(1, 2)
        for layer in self.pos_conv_embed.layers:
            hidden_states = layer(hidden_states) * weights
        return hidden_states.transpose(1, 2)


class _PositionalConv(nn.Conv1d):
    """Convolution of the positions, of its own type because it starts from torch's own initialisation."""


class Data2VecAqcPreTrainedModel(WaveformModel):
    config: Data2VecAqcConfig
    config_class = Data2VecAqcConfig
    base_model_prefix = "data2vec_aqc"
    supports_gradient_checkpointing = True
    _no_split_modules = ["Data2VecAudioLayer"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _can_record_outputs = {
        "hidden_states": Data2VecAudioLayer,
        "attentions": OutputRecorder(Data2VecAudioAttention, index=1),
    }

    def __init__(self, config: Data2VecAqcConfig):
        check_layers(
            num_hidden_layers=config.num_hidden_layers,
            num_conv_pos_embeddings=config.num_conv_pos_embeddings,
            quantizer_depth=config.quantizer_depth,
        )
        super().__init__(config)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """BERT's initialisation for the transformer, He's for the waveform encoder, torch's own for positions and
        projections, as in the original."""
        if isinstance(module, _PositionalConv | Projection):
            init_like_torch(module)
        elif isinstance(module, nn.Conv1d):
            init.kaiming_normal_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            is_scores = isinstance(module, CodeScores)
            init.normal_(module.weight, mean=0.0, std=1.0 if is_scores else self.config.initializer_range)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm) and module.weight is not None:
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, Data2VecAqcModel):
            init.uniform_(module.masked_spec_embed)
        elif isinstance(module, GumbelVectorQuantizer):
            init.uniform_(module.codevectors)
        elif isinstance(module, AMSoftmaxLoss):
            init.normal_(module.weight)


# What a pre-training folder has more than an encoder needs; no reason for a warning.
_PRETRAINING_KEYS = [r"^teacher\.", r"^contrast\.", r"^final_proj\."]


class Data2VecAqcModel(Data2VecAqcPreTrainedModel):
    """The encoder: waveform in, one vector per frame out.

    Its weights have the names of transformers' `Data2VecAudioModel`, and it computes the same with
    `config.convolve_padding`.

    Args:
        config ([`Data2VecAqcConfig`]): Its configuration.
    """

    _keys_to_ignore_on_load_unexpected = _PRETRAINING_KEYS

    def __init__(self, config: Data2VecAqcConfig):
        super().__init__(config)
        self.feature_extractor = Data2VecAqcFeatureEncoder(config)
        self.feature_projection = Data2VecAudioFeatureProjection(config)
        self.masked_spec_embed = nn.Parameter(torch.empty(config.hidden_size))
        self.encoder = Data2VecAqcEncoder(config)
        make_faster(self)
        sum_gradients_in_float32(self)
        # of their own types, for they begin otherwise than other layers
        self.feature_projection.projection.__class__ = Projection
        for layer in self.encoder.pos_conv_embed.layers:
            layer.conv.__class__ = _PositionalConv
        self.post_init()

    def freeze_feature_encoder(self) -> None:
        """Stops training the convolutions of the waveform encoder (usual in fine-tuning)."""
        self.feature_extractor.requires_grad_(False)

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
                Frames to replace by the mask's vector. Drawn in training if `config.apply_spec_augment`.

        Returns:
            `last_hidden_state` of shape `(batch_size, sequence_length, hidden_size)`; on request `hidden_states` and
            `attentions`.
        """
        frame_mask = find_real_frames(input_values, attention_mask, self.config)
        features, _ = self.feature_projection(self.feature_extractor(input_values))
        features = self._augment(features, frame_mask, mask_time_indices)
        return self.encoder(features, frame_mask, **kwargs)

    def hide_frames(self, features: torch.Tensor, mask_time_indices: torch.Tensor) -> torch.Tensor:
        """The mask's learned vector at masked frames of `features`, `(batch_size, sequence_length, hidden_size)`."""
        if mask_time_indices.shape != features.shape[:2]:
            raise ValueError(
                "`mask_time_indices` must have shape (batch_size, sequence_length) = "
                f"{tuple(features.shape[:2])}, but has {tuple(mask_time_indices.shape)}."
            )
        check_mask_type("mask_time_indices", mask_time_indices)
        hidden = mask_time_indices.bool().to(features.device).unsqueeze(-1)
        return torch.where(hidden, self.masked_spec_embed.to(features.dtype), features)

    def _augment(
        self, features: torch.Tensor, frame_mask: torch.Tensor | None, mask_time_indices: torch.Tensor | None
    ) -> torch.Tensor:
        """SpecAugment-like masks of fine-tuning: the mask's vector at spans of frames, zeros at spans of channels."""
        draws = self.training and self.config.apply_spec_augment
        if draws and mask_time_indices is None:
            mask_time_indices = draw_time_mask(self.config, features, frame_mask)
        if mask_time_indices is not None:
            features = self.hide_frames(features, mask_time_indices)
        return mask_channels(self.config, features) if draws else features


class LocalFeatures(NamedTuple):
    """A view behind the waveform encoder.

    `raw`, `normalized`: `(batch_size, sequence_length, conv_dim[-1])`, before and after the layer norm.
    `projected`: `(batch_size, sequence_length, hidden_size)`, without dropout.
    """

    raw: torch.Tensor
    normalized: torch.Tensor
    projected: torch.Tensor


@dataclass
class Data2VecAqcForPreTrainingOutput(ModelOutput):
    """
    Output of pre-training with data2vec-aqc.

    Masked frames stand in slots: row `b` has those of utterance `b` in order of time, then filler.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`):
            Weighted sum of the parts below, over the predicted frames of the (global) batch.
        regression_loss, student_contrastive_loss, teacher_contrastive_loss (`torch.FloatTensor` of shape `(1,)`):
            Parts of the loss, not weighted, averaged over the predicted frames of this batch.
        diversity_loss, features_penalty (`torch.FloatTensor` of shape `(1,)`): Further parts, not weighted.
        predictions (`torch.FloatTensor` of shape `(num_predicted, hidden_size)`):
            The student's predictions, ordered by utterance and time.
        targets (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`):
            The teacher's targets for all frames; those of padded frames are meaningless.
        student_logits, teacher_logits (`torch.FloatTensor` of shape `(batch_size, num_slots, 1 + num_negatives)`):
            What the contrastive losses are of, the positive first.
        slot_mask (`torch.BoolTensor` of shape `(batch_size, num_slots)`): Which slots have a frame.
        codes (`torch.LongTensor` of shape `(batch_size, num_slots, num_codevector_groups)`): Of the clean view.
        probability_perplexity, code_perplexity (`torch.FloatTensor` of shape `(1,)`):
            Of the clean view, summed over groups: at most `num_codevector_groups * num_codevectors_per_group`.
        dead_cluster_share (`torch.FloatTensor` of shape `(1,)`): Clusters without a point.
        cluster_mate_share, collision_share (`torch.FloatTensor` of shape `(1,)`):
            Negatives of the student that are in the positive's cluster, and that have its very code.
        prediction_mask (`torch.BoolTensor` of shape `(batch_size, sequence_length)`): Which frames were predicted.
        mask_time_indices (`torch.BoolTensor` of shape `(batch_size, sequence_length)`): Which were hidden.
        frame_mask (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
            Which frames are real; `None` if all are.
        local_features (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`):
            What the student's convolutions make of the clean view, without gradient, for monitors.
        predicted_targets (`torch.FloatTensor` of shape `(num_predicted, hidden_size)`):
            Those of `targets` that `predictions` are compared with.
        predicted_mask (`torch.BoolTensor` of shape `(num_predicted,)`, *optional*):
            `False` at filler among `predictions`; `None` if there is none, as without `predicted_positions`.
    """

    loss: torch.Tensor | None = None
    regression_loss: torch.Tensor | None = None
    student_contrastive_loss: torch.Tensor | None = None
    teacher_contrastive_loss: torch.Tensor | None = None
    diversity_loss: torch.Tensor | None = None
    features_penalty: torch.Tensor | None = None
    predictions: torch.Tensor | None = None
    targets: torch.Tensor | None = None
    student_logits: torch.Tensor | None = None
    teacher_logits: torch.Tensor | None = None
    slot_mask: torch.Tensor | None = None
    codes: torch.Tensor | None = None
    probability_perplexity: torch.Tensor | None = None
    code_perplexity: torch.Tensor | None = None
    dead_cluster_share: torch.Tensor | None = None
    cluster_mate_share: torch.Tensor | None = None
    collision_share: torch.Tensor | None = None
    prediction_mask: torch.Tensor | None = None
    mask_time_indices: torch.Tensor | None = None
    frame_mask: torch.Tensor | None = None
    local_features: torch.Tensor | None = None
    predicted_targets: torch.Tensor | None = None
    predicted_mask: torch.Tensor | None = None


class Data2VecAqcForPreTraining(Data2VecPreTrainingObjective, Data2VecAqcPreTrainedModel):
    """data2vec-aqc pre-training: predict the teacher's view of the clean utterance from a masked, augmented one, and
    tell its quantized frames from others.

    Example:

    ```python
    >>> import torch
    >>> from hf_ssl import Data2VecAqcConfig, Data2VecAqcForPreTraining

    >>> model = Data2VecAqcForPreTraining(Data2VecAqcConfig(num_hidden_layers=2, average_top_k_layers=2))
    >>> optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    >>> clean = torch.randn(2, 16000)
    >>> loss = model(clean, augmented_values=clean + 0.1 * torch.randn(2, 16000)).loss
    >>> loss.backward()
    >>> optimizer.step()
    >>> decay = model.update_teacher()  # the Trainer of hf_ssl.training does this for you
    ```
    """

    def __init__(self, config: Data2VecAqcConfig):
        super().__init__(config)
        self.data2vec_aqc = Data2VecAqcModel(config)
        self.final_proj = RegressionLayer(config.hidden_size, config.hidden_size)
        self.contrast = CrossContrastiveObjective(config)
        self._set_up_teacher()

    def _student_stages(self) -> Mapping[str, nn.Module]:
        names = ["encoder"]
        if self.config.teacher_scope == "model":
            names = ["feature_extractor", "feature_projection", "encoder"]
        return {name: self.data2vec_aqc.get_submodule(name) for name in names}

    def _copied_stages(self) -> Mapping[str, nn.Module]:
        if self.config.teacher_scope != "layers":
            return {}
        return {"encoder.pos_conv_embed": self.data2vec_aqc.encoder.pos_conv_embed}

    def freeze_feature_encoder(self) -> None:
        """Stops training the convolutions of the waveform encoder."""
        self.data2vec_aqc.freeze_feature_encoder()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        augmented_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        mask_time_indices: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        predicted_positions: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        draws: ContrastiveDraws | None = None,
        **kwargs,
    ) -> Data2VecAqcForPreTrainingOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, num_samples)`):
                Normalised clean waveforms, which the teacher sees.
            augmented_values (`torch.FloatTensor` of shape `(batch_size, num_samples)`, *optional*):
                The same utterances, sample by sample, with noise, reverberation, ...: what the student sees. The clean
                waveforms if absent.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_samples)`, *optional*):
                1 at real samples, 0 at padding (on the right).
            mask_time_indices (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Frames to hide from the student. In training they come from the data collator; drawn here if absent.
            labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                -100 at frames that are not predicted, any other value at those that are; `mask_time_indices` if
                absent. The `Trainer` counts them to normalise the loss over devices and accumulation steps.
            predicted_positions (`torch.LongTensor` of shape `(batch_size, num_slots)`, *optional*):
                Positions of the frames that are predicted, in order, then -1, as the data collator gives them. Their
                shape says how many there are: without them the forward asks the device, and a compiled graph breaks
                there.
            num_items_in_batch (`int`, *optional*):
                Predicted frames of the global batch, by which the loss is divided; this batch's if absent.
            draws (`ContrastiveDraws`, *optional*): What is otherwise drawn at random.
        """
        self._check_teacher_is_updated()
        frame_mask = find_real_frames(input_values, attention_mask, self.config)
        clean, augmented = self.local_features(input_values, augmented_values)
        mask_time_indices = self._checked_mask(mask_time_indices, clean.projected, frame_mask)
        prediction_mask = checked_prediction_mask(labels, mask_time_indices, "mask_time_indices", frame_mask)

        targets = self.teacher_targets(input_values, clean.projected, frame_mask)
        encoded = self.encode_masked(augmented.projected, frame_mask, mask_time_indices, **kwargs)
        predicted = find_predicted(prediction_mask, predicted_positions)
        predictions = self.final_proj(predicted.of(encoded))
        slots = find_visible_frames(prediction_mask, predicted_positions, "predicted_positions")
        features = SlotFeatures(
            clean=gather_frames(clean.normalized, slots.positions),
            augmented=gather_frames(augmented.normalized, slots.positions),
            student=gather_frames(encoded, slots.positions),
            teacher=gather_frames(targets, slots.positions),
            is_real=slots.is_real,
            frame_counts=self._frame_counts(encoded, frame_mask),
            max_frames=encoded.shape[1],
        )
        contrast = self.contrast(features, self.teacher.num_updates, draws or ContrastiveDraws())

        predicted_targets = predicted.of(targets)
        losses = self._losses(predictions, predicted_targets, contrast, predicted)
        losses["features_penalty"] = self._features_penalty(clean.raw, frame_mask)
        return Data2VecAqcForPreTrainingOutput(
            loss=self._weighted_loss(losses, predicted.num_predicted, num_items_in_batch),
            **{name: loss.detach() for name, loss in losses.items()},
            predictions=predictions,
            targets=targets,
            **self._figures(contrast),
            slot_mask=slots.is_real,
            prediction_mask=prediction_mask,
            mask_time_indices=mask_time_indices,
            frame_mask=frame_mask_of_output(frame_mask, attention_mask, clean.projected),
            local_features=clean.projected.detach(),
            predicted_targets=predicted_targets,
            predicted_mask=predicted.is_real,
        )

    def local_features(
        self, input_values: torch.Tensor, augmented_values: torch.Tensor | None
    ) -> tuple[LocalFeatures, LocalFeatures]:
        """Both views behind the waveform encoder; the same one twice without an augmented one."""
        if augmented_values is None:
            features = self._local_features(input_values)
            return features, features
        if augmented_values.shape != input_values.shape:
            raise ValueError(
                "`augmented_values` must be the same utterances, sample by sample, and so have the shape of "
                f"`input_values`, {tuple(input_values.shape)}, but have {tuple(augmented_values.shape)}."
            )
        check_waveforms("augmented_values", augmented_values)
        return self._local_features(input_values), self._local_features(augmented_values, is_augmented=True)

    def _local_features(self, waveforms: torch.Tensor, is_augmented: bool = False) -> LocalFeatures:
        raw = self.data2vec_aqc.feature_extractor(waveforms, is_augmented)
        normalized = self.data2vec_aqc.feature_projection.layer_norm(raw)
        return LocalFeatures(raw, normalized, self.data2vec_aqc.feature_projection.projection(normalized))

    def encode_masked(
        self, features: torch.Tensor, frame_mask: torch.Tensor | None, mask_time_indices: torch.Tensor, **kwargs
    ) -> torch.Tensor:
        """The student's output for its masked view; all of `(batch_size, sequence_length, hidden_size)`."""
        features = self.data2vec_aqc.feature_projection.dropout(features)
        hidden = self.data2vec_aqc.hide_frames(features, mask_time_indices)
        return self.data2vec_aqc.encoder(hidden, frame_mask, **kwargs).last_hidden_state

    @torch.no_grad()
    def teacher_targets(
        self, input_values: torch.Tensor, projected_features: torch.Tensor, frame_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Targets for all frames from one pass of the teacher over the clean, unmasked utterance.

        Args:
            input_values: Clean waveforms, `(batch_size, num_samples)`.
            projected_features: The student's, `(batch_size, sequence_length, hidden_size)`; the teacher reads them
                unless its scope has the waveform encoder.
            frame_mask: `(batch_size, sequence_length)`, `True` at real frames; `None` if all are.

        Returns:
            `(batch_size, sequence_length, hidden_size)`, float32.
        """
        teacher = self.teacher
        if self.config.teacher_scope == "model":
            raw = teacher.get_submodule("feature_extractor")(input_values)
            projected_features, _ = teacher.get_submodule("feature_projection")(raw)
        dtype = next(teacher.parameters()).dtype  # float32 also beside a student in half precision
        layer_outputs = LayerOutputs()
        teacher.get_submodule("encoder")(projected_features.detach().to(dtype), frame_mask, layer_outputs)
        return self._average_layers(layer_outputs.tensors, frame_mask)

    def _losses(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        contrast: CrossContrast,
        predicted: PredictedFrames,
    ) -> dict[str, torch.Tensor]:
        """Parts of the loss, each averaged over the predicted frames of this batch."""
        num_predicted = at_least_one(predicted.num_predicted)
        num_codes = self.config.num_codevector_groups * self.config.num_codevectors_per_group
        return {
            "regression_loss": self.regression_loss(predictions, targets, is_real=predicted.is_real),
            "student_contrastive_loss": contrast.student.loss / num_predicted,
            "teacher_contrastive_loss": contrast.teacher.loss / num_predicted,
            "diversity_loss": (num_codes - contrast.quantized.probability_perplexity) / num_codes,
        }

    def _features_penalty(self, raw: torch.Tensor, frame_mask: torch.Tensor | None) -> torch.Tensor:
        """Mean square of local features, `(batch_size, sequence_length, conv_dim[-1])`, at real frames."""
        squares = raw.float().square().mean(dim=-1)
        if frame_mask is None or self.config.norm_targets_over_padding:
            return squares.mean()
        return (squares * frame_mask).sum() / frame_mask.sum()

    def _weighted_loss(
        self,
        losses: Mapping[str, torch.Tensor],
        num_predicted: torch.Tensor | int,
        num_items_in_batch: torch.Tensor | int | None,
    ) -> torch.Tensor:
        """The whole loss; this batch's share of the global one if `num_items_in_batch` is given."""
        weights = {
            "regression_loss": 1.0,
            "student_contrastive_loss": self.config.student_contrastive_weight,
            "teacher_contrastive_loss": self.config.teacher_contrastive_weight,
            "diversity_loss": self.config.diversity_loss_weight,
            "features_penalty": self.config.features_penalty_weight,
        }
        loss = torch.stack([weight * losses[name] for name, weight in weights.items()]).sum()
        return loss if num_items_in_batch is None else loss * num_predicted / at_least_one(num_items_in_batch)

    def _figures(self, contrast: CrossContrast) -> dict[str, torch.Tensor]:
        """What a monitor needs of the contrastive part."""
        is_dead = (contrast.clusters.counts == 0) & contrast.clusters.is_cluster
        return {
            "student_logits": contrast.student.logits,
            "teacher_logits": contrast.teacher.logits,
            "codes": contrast.quantized.codes,
            "probability_perplexity": contrast.quantized.probability_perplexity.detach(),
            "code_perplexity": contrast.quantized.code_perplexity,
            "dead_cluster_share": is_dead.sum() / contrast.clusters.is_cluster.sum(),
            "cluster_mate_share": contrast.student.cluster_mate_share,
            "collision_share": contrast.student.collision_share,
        }

    def _frame_counts(self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None) -> torch.Tensor:
        batch_size, sequence_length = hidden_states.shape[:2]
        if frame_mask is None:
            return torch.full((batch_size,), sequence_length, device=hidden_states.device)
        return frame_mask.sum(dim=-1)

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
                f"({batch_size}, {sequence_length}), but has {tuple(mask_time_indices.shape)}. "
                "`config.num_frames(num_samples)` gives the sequence length."
            )
        check_mask_type("mask_time_indices", mask_time_indices)
        mask_time_indices = mask_time_indices.bool()
        check_marks_real_steps("mask_time_indices", mask_time_indices, frame_mask)
        return mask_time_indices


class Data2VecAqcHeadModel(Data2VecAqcPreTrainedModel, WaveformHeadModel):
    """What the fine-tuned models have in common."""

    _keys_to_ignore_on_load_unexpected = _PRETRAINING_KEYS

    def __init__(self, config: Data2VecAqcConfig):
        super().__init__(config)
        self.data2vec_aqc = Data2VecAqcModel(config)
        self._set_up_head(num_hidden_states=config.num_hidden_layers + 1)


class Data2VecAqcForCTC(WaveformForCTC, Data2VecAqcHeadModel):
    """Speech recognition: a linear layer over frames, trained with connectionist temporal classification."""


class Data2VecAqcForSequenceClassification(WaveformForSequenceClassification, Data2VecAqcHeadModel):
    """One or several labels per utterance: mean of the real frames, then a linear layer."""


class Data2VecAqcForAudioFrameClassification(WaveformForAudioFrameClassification, Data2VecAqcHeadModel):
    """Labels for every frame, for example who speaks when."""


class Data2VecAqcForXVector(WaveformForXVector, Data2VecAqcHeadModel):
    """Speaker embeddings: time-delay network, statistics pooling, additive-margin softmax (as in wav2vec 2.0's)."""


__all__ = [
    "Data2VecAqcForAudioFrameClassification",
    "Data2VecAqcForCTC",
    "Data2VecAqcForPreTraining",
    "Data2VecAqcForSequenceClassification",
    "Data2VecAqcForXVector",
    "Data2VecAqcModel",
    "Data2VecAqcPreTrainedModel",
]
