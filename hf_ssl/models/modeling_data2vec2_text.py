# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec 2.0 for text: token and position embeddings, pre-training, and heads for fine-tuning."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_outputs import (
    BaseModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_data2vec2_text import Data2Vec2TextConfig
from .decoders import DecoderProjection
from .dropout import Dropout
from .input_checks import is_integer
from .layer_norm import LayerNorm
from .losses import classification_loss, mean_squared_loss
from .masking import draw_random_masks, draw_span_masks, find_predicted
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
from .token_checks import check_no_position_ids, check_texts, check_token_ids, check_token_shapes


class Data2Vec2TextLocalEncoder(nn.Module):
    """Token ids -> embeddings: tokens plus learned positions, layer norm, dropout."""

    def __init__(self, config: Data2Vec2TextConfig):
        super().__init__()
        self.pad_token_id = config.pad_token_id
        num_positions = config.max_position_embeddings + config.pad_token_id + 1
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(num_positions, config.hidden_size, padding_idx=config.pad_token_id)
        self.layer_norm = LayerNorm(config.hidden_size)
        self.dropout = Dropout(config.embedding_dropout)

    def forward(
        self, input_ids: torch.Tensor | None = None, inputs_embeds: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Args:
            input_ids: `(batch_size, sequence_length)`.
            inputs_embeds: Instead of them, token embeddings, `(batch_size, sequence_length, hidden_size)`.

        Returns:
            `(batch_size, sequence_length, hidden_size)`.
        """
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds = self.word_embeddings(input_ids)
            positions = self._positions(input_ids)
        else:
            steps = torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device)
            positions = (steps + self.pad_token_id + 1).unsqueeze(0)
        embeddings = inputs_embeds + self.position_embeddings(positions)
        return self.dropout(self.layer_norm(embeddings))

    def _positions(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Tokens are counted from `pad_token_id + 1` on; padding is not, and has the position `pad_token_id`."""
        is_token = (input_ids != self.pad_token_id).long()
        return is_token.cumsum(dim=1) * is_token + self.pad_token_id


class Data2Vec2TextPreTrainedModel(Data2Vec2PreTrainedModel):
    config: Data2Vec2TextConfig
    config_class = Data2Vec2TextConfig
    base_model_prefix = "data2vec2_text"
    main_input_name = "input_ids"
    input_modalities = "text"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """BERT's initialisation, for the decoder's projection too, unlike in other modalities: as in the original."""
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
            if module.padding_idx is not None:
                init.zeros_(module.weight[module.padding_idx])
        elif isinstance(module, DecoderProjection):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
            init.zeros_(module.bias)
        else:
            super()._init_weights(module)

    def get_input_embeddings(self) -> nn.Module:
        """The table of token embeddings."""
        return self.base_model.get_submodule("local_encoder").get_submodule("word_embeddings")

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replaces the table of token embeddings."""
        self.base_model.get_submodule("local_encoder").add_module("word_embeddings", value)

    def _frame_mask(
        self, input_ids: torch.Tensor | None, attention_mask: torch.Tensor | None, inputs_embeds: torch.Tensor | None
    ) -> torch.Tensor | None:
        """Checks the input and says which tokens are real: those that are not padding if there is no mask; `None`,
        that is all, of embeddings without a mask."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give either `input_ids` or `inputs_embeds`.")
        inputs = input_ids if inputs_embeds is None else inputs_embeds
        assert inputs is not None
        num_dims = inputs.dim() - (inputs_embeds is not None)
        check_token_shapes(inputs, num_dims, attention_mask, self.config.max_position_embeddings)
        if input_ids is not None:
            check_token_ids(input_ids, self.config.vocab_size)
        if attention_mask is None:
            if input_ids is None:
                return None
            attention_mask = input_ids != self.config.pad_token_id
        if not torch.compiler.is_compiling():
            check_texts(attention_mask)
        return attention_mask.bool()


# What a pre-training folder has more than an encoder needs; no reason for a warning.
_PRETRAINING_KEYS = [r"^teacher\.", r"^decoder\."]


class Data2Vec2TextModel(Data2Vec2TextPreTrainedModel):
    """The encoder: token ids in, one vector per token out.

    Args:
        config ([`Data2Vec2TextConfig`]): Its configuration.
    """

    _keys_to_ignore_on_load_unexpected = _PRETRAINING_KEYS

    def __init__(self, config: Data2Vec2TextConfig):
        super().__init__(config)
        self.local_encoder = Data2Vec2TextLocalEncoder(config)
        # as in the original, where the embeddings' layer norm is enough for a model without prenet
        self.context_encoder = Data2Vec2ContextEncoder(
            config,
            attention_bias=AttentionBias(config) if config.use_alibi else None,
            has_layer_norm=config.num_prenet_layers > 0,
        )
        self.trunk = Data2Vec2Trunk(config)
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs,
    ) -> BaseModelOutput:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
                Token ids, from the tokenizer. Positions are counted over those that are not `config.pad_token_id`.
            attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                1 at real tokens, 0 at padding; taken from `input_ids` if absent.
            inputs_embeds (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`, *optional*):
                Token embeddings instead of `input_ids`; all are taken for real if there is no mask.

        Returns:
            `last_hidden_state` of shape `(batch_size, sequence_length, hidden_size)`; on request `hidden_states` of
            prenet and trunk and `attentions`.
        """
        check_no_position_ids(kwargs)
        frame_mask = self._frame_mask(input_ids, attention_mask, inputs_embeds)
        features = self.local_encoder(input_ids, inputs_embeds)
        hidden_states, biases = self.context_encoder(features, frame_mask, **kwargs)
        hidden_states = self.trunk(hidden_states, biases, **kwargs)
        return BaseModelOutput(last_hidden_state=hidden_states)


class Data2Vec2TextForPreTraining(Data2Vec2TextPreTrainedModel, Data2Vec2SequenceObjective):
    """data2vec 2.0 pre-training: predict the teacher's view of the whole text from what a mask leaves visible.

    Example:

    ```python
    >>> import torch
    >>> from hf_ssl import Data2Vec2TextConfig, Data2Vec2TextForPreTraining

    >>> model = Data2Vec2TextForPreTraining(
    ...     Data2Vec2TextConfig(vocab_size=100, num_hidden_layers=2, average_top_k_layers=2)
    ... )
    >>> optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4)
    >>> loss = model(torch.randint(4, 100, (2, 64))).loss
    >>> loss.backward()
    >>> optimizer.step()
    >>> decay = model.update_teacher()  # the Trainer of hf_ssl.training does this for you
    ```
    """

    def __init__(self, config: Data2Vec2TextConfig):
        super().__init__(config)
        self.data2vec2_text = Data2Vec2TextModel(config)
        self._set_up_objective(make_decoder_1d(config))

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
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
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
                Token ids.
            attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                1 at real tokens, 0 at padding; taken from `input_ids` if absent.
            mask_time_indices (`torch.BoolTensor` of shape `(batch_size, num_masks, sequence_length)`, *optional*):
                Tokens to hide from the student. In training they come from the data collator; drawn here if absent.
            labels (`torch.LongTensor` of shape `(batch_size, num_masks, sequence_length)`, *optional*):
                -100 at tokens that are not predicted, any other value at those that are; `mask_time_indices` if
                absent. The `Trainer` counts them to normalise the loss over devices and accumulation steps.
            mask_noise (`torch.FloatTensor` of shape `(batch_size, num_masks, sequence_length, hidden_size)`,
                *optional*):
                What the decoder sees at hidden tokens; drawn if absent.
            visible_positions (`torch.LongTensor` of shape `(batch_size, num_masks, max_visible)`, *optional*):
                Positions of the tokens that stay visible, in order, then -1, as the data collator gives them.
            predicted_positions (`torch.LongTensor` of shape `(batch_size, num_masks, max_predicted)`, *optional*):
                The same of the tokens that are predicted. Their shapes say how many there are: without them the
                forward asks the device, and a compiled graph breaks there.
            num_items_in_batch (`int`, *optional*):
                Predicted tokens of the global batch, by which the loss is divided; this batch's if absent.
        """
        if self.training and not torch.compiler.is_compiling():
            self.teacher.assert_updated(self._student_stages())
        check_no_position_ids(kwargs)
        frame_mask = self._frame_mask(input_ids, attention_mask, None)
        local_features = self.data2vec2_text.local_encoder(input_ids)
        maskable = None if self.config.mask_padding else frame_mask
        mask_time_indices = self._checked_mask(mask_time_indices, local_features, maskable)
        prediction_mask = self._prediction_mask(labels, mask_time_indices, maskable)

        targets = self.teacher_targets(input_ids, local_features, frame_mask)
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
            frame_mask=frame_mask,
            predicted_targets=predicted_targets,
            predicted_mask=predicted.is_real,
        )

    def draw_masks(self, lengths: list[int], sequence_length: int) -> torch.Tensor:
        """Masks as configured for texts of `lengths` real tokens; `(batch_size, num_masks, sequence_length)`."""
        masks = torch.zeros(len(lengths), self.config.num_masks, sequence_length, dtype=torch.bool)
        for text, length in enumerate(lengths):
            masks[text, :, :length] = draw_text_masks(self.config, length)
        return masks

    def resize_token_embeddings(self, *args, **kwargs) -> nn.Embedding:
        """As everywhere in transformers.

        Raises:
            ValueError: The teacher has a table of its own, which would no longer fit.
        """
        if self.config.teacher_scope == "model":
            raise ValueError(
                'With `teacher_scope="model"` the teacher averages the token embeddings, so that their number cannot '
                "change. Set `config.vocab_size` before the model is made."
            )
        return super().resize_token_embeddings(*args, **kwargs)


def draw_text_masks(
    config: Data2Vec2TextConfig, length: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Masks for one text of `length` tokens, as configured; `(num_masks, length)`, bool."""
    if config.mask_length == 1:
        return draw_random_masks(length, config.num_masks, mask_prob=config.mask_prob, generator=generator)
    return draw_span_masks(
        length, config.num_masks, mask_prob=config.mask_prob, mask_length=config.mask_length, generator=generator
    )


class Data2Vec2TextHeadModel(Data2Vec2TextPreTrainedModel):
    """What the fine-tuned models have in common."""

    accepts_loss_kwargs = True
    _keys_to_ignore_on_load_unexpected = _PRETRAINING_KEYS

    def __init__(self, config: Data2Vec2TextConfig):
        super().__init__(config)
        self.num_labels: int = config.num_labels or 1
        self.data2vec2_text = Data2Vec2TextModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)

    def freeze_base_model(self) -> None:
        """Stops training everything but the head."""
        self.data2vec2_text.requires_grad_(False)


class Data2Vec2TextClassificationHead(nn.Module):
    """RoBERTa's classifier of sentences: the first token's vector, dense layer, tanh, output."""

    def __init__(self, config: Data2Vec2TextConfig, num_labels: int):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.out_proj = nn.Linear(config.hidden_size, num_labels)

    def forward(self, first_token: torch.Tensor) -> torch.Tensor:
        """`(batch_size, hidden_size)` -> `(batch_size, num_labels)`."""
        hidden_states = torch.tanh(self.dense(self.dropout(first_token)))
        return self.out_proj(self.dropout(hidden_states))


class Data2Vec2TextForSequenceClassification(Data2Vec2TextHeadModel):
    """A label, several, or a number per text or pair of texts (the tasks of GLUE)."""

    def __init__(self, config: Data2Vec2TextConfig):
        super().__init__(config)
        self.classifier = Data2Vec2TextClassificationHead(config, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Token ids.
            attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*): 1 at real tokens.
            inputs_embeds (`torch.FloatTensor`, *optional*): Token embeddings instead of `input_ids`.
            labels (*optional*):
                `torch.LongTensor` of shape `(batch_size,)` for one label per text; a float tensor of shape
                `(batch_size, num_labels)` of zeros and ones for several; a float tensor of shape `(batch_size,)` for
                regression. `config.problem_type` says which; if it is not set, a single label is regression, and the
                labels' shape tells one from several.
            num_items_in_batch (`int`, *optional*): Labels of the global batch; this batch's if absent.

        Returns:
            `logits` of shape `(batch_size, num_labels)`, and `loss` if there are labels.
        """
        outputs = self.data2vec2_text(input_ids, attention_mask, inputs_embeds, **kwargs)
        logits = self.classifier(outputs.last_hidden_state[:, 0])
        loss = None if labels is None else self._loss(logits, labels, num_items_in_batch)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    def _loss(
        self, logits: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None
    ) -> torch.Tensor:
        problem_type = self.config.problem_type
        if problem_type == "regression" or (problem_type is None and self.num_labels == 1):
            return mean_squared_loss(logits, labels, num_items_in_batch)
        is_multi_label = labels.dim() == 2 if problem_type is None else problem_type.startswith("multi_label")
        return classification_loss(logits, labels, is_multi_label, num_items_in_batch)


class Data2Vec2TextForTokenClassification(Data2Vec2TextHeadModel):
    """A label per token, for example names of persons and places."""

    def __init__(self, config: Data2Vec2TextConfig):
        super().__init__(config)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> TokenClassifierOutput:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Token ids.
            attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*): 1 at real tokens.
            inputs_embeds (`torch.FloatTensor`, *optional*): Token embeddings instead of `input_ids`.
            labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                A label per token, -100 where there is none.
            num_items_in_batch (`int`, *optional*): Labels of the global batch; this batch's if absent.

        Returns:
            `logits` of shape `(batch_size, sequence_length, num_labels)`, and `loss` if there are labels.
        """
        outputs = self.data2vec2_text(input_ids, attention_mask, inputs_embeds, **kwargs)
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = None if labels is None else classification_loss(logits, labels, False, num_items_in_batch)
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class Data2Vec2TextForQuestionAnswering(Data2Vec2TextHeadModel):
    """Where in a text the answer to a question begins and ends."""

    def __init__(self, config: Data2Vec2TextConfig):
        super().__init__(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        start_positions: torch.Tensor | None = None,
        end_positions: torch.Tensor | None = None,
        **kwargs,
    ) -> QuestionAnsweringModelOutput:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Token ids of question and text.
            attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*): 1 at real tokens.
            inputs_embeds (`torch.FloatTensor`, *optional*): Token embeddings instead of `input_ids`.
            start_positions, end_positions (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
                First and last token of the answer; answers beyond the end of the text (it was cut) are left out.

        Returns:
            `start_logits` and `end_logits` of shape `(batch_size, sequence_length)`, and `loss` if there are both
            positions.
        """
        outputs = self.data2vec2_text(input_ids, attention_mask, inputs_embeds, **kwargs)
        start_logits, end_logits = self.qa_outputs(self.dropout(outputs.last_hidden_state)).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = (_position_loss(start_logits, start_positions) + _position_loss(end_logits, end_positions)) / 2
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start_logits,
            end_logits=end_logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def _position_loss(logits: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of positions, `(batch_size,)`, within `logits`, `(batch_size, sequence_length)`; 0 if none of them
    is within."""
    length = logits.shape[1]
    if positions.numel() != len(logits) or not is_integer(positions):
        raise ValueError(
            f"Expected the position of a token per text, {len(logits)} integers, but got {positions.dtype} of shape "
            f"{tuple(positions.shape)}."
        )
    positions = positions.flatten().long().clamp(0, length)
    loss = F.cross_entropy(logits.float(), positions, ignore_index=length, reduction="sum")
    return loss / (positions < length).sum().clamp_min(1)


__all__ = [
    "Data2Vec2TextForPreTraining",
    "Data2Vec2TextForQuestionAnswering",
    "Data2Vec2TextForSequenceClassification",
    "Data2Vec2TextForTokenClassification",
    "Data2Vec2TextModel",
    "Data2Vec2TextPreTrainedModel",
]
