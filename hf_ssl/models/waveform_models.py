# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What all models over waveforms have in common: lengths, and heads for fine-tuning."""

from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_outputs import (
    BaseModelOutput,
    CausalLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
    XVectorOutput,
)
from transformers.modeling_utils import PreTrainedModel
from transformers.models.wav2vec2.modeling_wav2vec2 import AMSoftmaxLoss, TDNNLayer
from transformers.utils.generic import can_return_tuple

from .audio_heads import ctc_loss, pool_mean, pool_statistics, weighted_layer_sum
from .input_checks import check_classes
from .losses import at_least_one, classification_loss
from .waveforms import count_frames


def scale_gradient(hidden_states: torch.Tensor, scale: float) -> torch.Tensor:
    """Same values, gradient times `scale`."""
    if scale == 1:
        return hidden_states
    return hidden_states.detach() + scale * (hidden_states - hidden_states.detach())


class WaveformModel(PreTrainedModel):
    """Lengths, to be put before the family's `PreTrainedModel` in a class's bases.

    The configuration has `conv_kernel` and `conv_stride`.
    """

    main_input_name = "input_values"
    input_modalities = "audio"

    def _get_feat_extract_output_lengths(self, input_lengths: Any) -> Any:
        """Frames of waveforms of `input_lengths` samples; a tensor or a number, as what is given."""
        return count_frames(input_lengths, self.config.conv_kernel, self.config.conv_stride)

    def _get_feature_vector_attention_mask(
        self, feature_vector_length: int, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Real frames, `(batch_size, feature_vector_length)`, bool, of real samples, `(batch_size, num_samples)`."""
        lengths = self._get_feat_extract_output_lengths(attention_mask.long().sum(-1))
        return torch.arange(feature_vector_length, device=attention_mask.device) < lengths.unsqueeze(-1)


class WaveformHeadModel(WaveformModel):
    """What the fine-tuned models have in common. A family's class sets its base model and calls `_set_up_head`."""

    accepts_loss_kwargs = True
    dropout: nn.Dropout
    layer_weights: nn.Parameter | None

    def _set_up_head(self, num_hidden_states: int) -> None:
        """Adds what stands between the base model and the head.

        Args:
            num_hidden_states: How many the base model gives, that of its input included.
        """
        self.num_labels: int = self.config.num_labels or 1
        self.dropout = nn.Dropout(self.config.final_dropout)
        self.layer_weights = None
        if self.config.use_weighted_layer_sum:
            self.layer_weights = nn.Parameter(torch.full((num_hidden_states,), 1 / num_hidden_states))

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, WaveformHeadModel) and module.layer_weights is not None:
            init.constant_(module.layer_weights, 1 / len(module.layer_weights))

    def freeze_feature_encoder(self) -> None:
        """Stops training the convolutions of the waveform encoder."""
        encoder: Any = self.base_model
        encoder.freeze_feature_encoder()

    def freeze_base_model(self) -> None:
        """Stops training everything but the head."""
        self.base_model.requires_grad_(False)

    def _encode(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor | None, **kwargs
    ) -> tuple[torch.Tensor, BaseModelOutput]:
        """Frames for the head, `(batch_size, sequence_length, hidden_size)`, and the encoder's whole output."""
        if self.layer_weights is None:
            outputs = self.base_model(input_values, attention_mask=attention_mask, **kwargs)
            return self.dropout(outputs.last_hidden_state), outputs
        kwargs["output_hidden_states"] = True
        outputs = self.base_model(input_values, attention_mask=attention_mask, **kwargs)
        return self.dropout(weighted_layer_sum(self.layer_weights, outputs.hidden_states)), outputs

    def _frame_lengths(self, input_values: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        if attention_mask is None:
            attention_mask = torch.ones_like(input_values, dtype=torch.long)
        return self._get_feat_extract_output_lengths(attention_mask.long().sum(-1))


class WaveformForCTC(WaveformHeadModel):
    """Speech recognition: a linear layer over frames, trained with connectionist temporal classification."""

    def __init__(self, config: PreTrainedConfig):
        super().__init__(config)
        if config.pad_token_id is None:
            raise ValueError(
                "`config.pad_token_id` must be set: it is the blank of connectionist temporal classification."
            )
        self.blank_id = config.pad_token_id
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> CausalLMOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, num_samples)`): Normalised waveforms.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_samples)`, *optional*): 1 at real samples.
            labels (`torch.LongTensor` of shape `(batch_size, target_length)`, *optional*):
                Tokens of the transcripts, -100 at padding. The blank is `config.pad_token_id`.
            num_items_in_batch (`int`, *optional*): Target tokens of the global batch; this batch's if absent.

        Returns:
            `logits` of shape `(batch_size, sequence_length, vocab_size)`, and `loss` if there are labels.
        """
        hidden_states, outputs = self._encode(input_values, attention_mask, **kwargs)
        logits = self.lm_head(hidden_states)
        loss = None
        if labels is not None:
            lengths = self._frame_lengths(input_values, attention_mask)
            loss = ctc_loss(
                logits,
                labels,
                lengths,
                num_items_in_batch,
                blank=self.blank_id,
                reduction=self.config.ctc_loss_reduction,
                zero_infinity=self.config.ctc_zero_infinity,
            )
        return CausalLMOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class WaveformForSequenceClassification(WaveformHeadModel):
    """One or several labels per utterance: mean of the real frames, then a linear layer."""

    def __init__(self, config: PreTrainedConfig):
        super().__init__(config)
        self.projector = nn.Linear(config.hidden_size, config.classifier_proj_size)
        self.classifier = nn.Linear(config.classifier_proj_size, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, num_samples)`): Normalised waveforms.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_samples)`, *optional*): 1 at real samples.
            labels (*optional*):
                `torch.LongTensor` of shape `(batch_size,)` for one label per utterance, or a float tensor of shape
                `(batch_size, num_labels)` of zeros and ones for several (`config.problem_type =
                "multi_label_classification"`, taken from the labels' shape if it is not set).
            num_items_in_batch (`int`, *optional*): Labels of the global batch; this batch's if absent.

        Returns:
            `logits` of shape `(batch_size, num_labels)`, and `loss` if there are labels.
        """
        hidden_states, outputs = self._encode(input_values, attention_mask, **kwargs)
        logits = self.classifier(self._pool(self.projector(hidden_states), input_values, attention_mask))
        loss = None
        if labels is not None:
            problem_type = self.config.problem_type
            is_multi_label = labels.dim() == 2 if problem_type is None else problem_type.startswith("multi_label")
            loss = classification_loss(logits, labels, is_multi_label, num_items_in_batch)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    def _pool(
        self, hidden_states: torch.Tensor, input_values: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> torch.Tensor:
        if attention_mask is None:
            return pool_mean(hidden_states, None)
        return pool_mean(
            hidden_states, self._get_feature_vector_attention_mask(hidden_states.shape[1], attention_mask)
        )


class WaveformForAudioFrameClassification(WaveformHeadModel):
    """Labels for every frame, for example who speaks when."""

    def __init__(self, config: PreTrainedConfig):
        super().__init__(config)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> TokenClassifierOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, num_samples)`): Normalised waveforms.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_samples)`, *optional*): 1 at real samples.
            labels (*optional*):
                `torch.LongTensor` of shape `(batch_size, sequence_length)`, -100 where there is none; or, for several
                labels per frame, a float tensor of shape `(batch_size, sequence_length, num_labels)`, -100 likewise.
            num_items_in_batch (`int`, *optional*): Labels of the global batch; this batch's if absent.

        Returns:
            `logits` of shape `(batch_size, sequence_length, num_labels)`, and `loss` if there are labels.
        """
        hidden_states, outputs = self._encode(input_values, attention_mask, **kwargs)
        logits = self.classifier(hidden_states)
        loss = None
        if labels is not None:
            if labels.shape[:2] != logits.shape[:2]:
                raise ValueError(
                    "`labels` must have one entry per frame, shape (batch_size, sequence_length[, num_labels]) with "
                    f"sequence_length {logits.shape[1]}, but have {tuple(labels.shape)}."
                )
            loss = classification_loss(logits, labels, labels.dim() == 3, num_items_in_batch)
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class WaveformForXVector(WaveformHeadModel):
    """Speaker embeddings: time-delay network, statistics pooling, additive-margin softmax (as in wav2vec 2.0's)."""

    def __init__(self, config: PreTrainedConfig):
        super().__init__(config)
        self.projector = nn.Linear(config.hidden_size, config.tdnn_dim[0])
        self.tdnn = nn.ModuleList(TDNNLayer(config, index) for index in range(len(config.tdnn_dim)))
        self.feature_extractor = nn.Linear(config.tdnn_dim[-1] * 2, config.xvector_output_dim)
        self.classifier = nn.Linear(config.xvector_output_dim, config.xvector_output_dim)
        self.objective = AMSoftmaxLoss(config.xvector_output_dim, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> XVectorOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, num_samples)`): Normalised waveforms.
            attention_mask (`torch.LongTensor` of shape `(batch_size, num_samples)`, *optional*): 1 at real samples.
            labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*): Speakers.
            num_items_in_batch (`int`, *optional*): Utterances of the global batch; this batch's if absent.

        Returns:
            `embeddings` and `logits` of shape `(batch_size, xvector_output_dim)`, and `loss` if there are labels.
        """
        hidden_states, outputs = self._encode(input_values, attention_mask, **kwargs)
        lengths = self._tdnn_lengths(self._frame_lengths(input_values, attention_mask))
        hidden_states = self.projector(hidden_states)
        for layer in self.tdnn:
            hidden_states = layer(hidden_states)
        embeddings = self.feature_extractor(pool_statistics(hidden_states, lengths))
        logits = self.classifier(embeddings)
        loss = None
        if labels is not None:
            check_classes(labels, tuple(logits.shape[:1]), self.num_labels, may_be_ignored=False)
            loss = self.objective(logits, labels.long())
            if num_items_in_batch is not None:
                loss = loss * len(labels) / at_least_one(num_items_in_batch)
        return XVectorOutput(
            loss=loss,
            logits=logits,
            embeddings=embeddings,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _tdnn_lengths(self, frame_lengths: torch.Tensor) -> torch.Tensor:
        context = sum(
            (kernel - 1) * dilation
            for kernel, dilation in zip(self.config.tdnn_kernel, self.config.tdnn_dilation, strict=True)
        )
        # a compiled graph cannot ask for values
        shortest = context + 1 if torch.compiler.is_compiling() else int(frame_lengths.min())
        if shortest <= context:
            raise ValueError(
                f"An utterance of {shortest} frames is too short for the time-delay network, which needs at least "
                f"{context + 1} frames ({self.config.receptive_field + context * self.config.inputs_to_logits_ratio} "
                "samples)."
            )
        return frame_lengths - context


__all__ = [
    "WaveformForAudioFrameClassification",
    "WaveformForCTC",
    "WaveformForSequenceClassification",
    "WaveformForXVector",
    "WaveformHeadModel",
    "WaveformModel",
    "scale_gradient",
]
