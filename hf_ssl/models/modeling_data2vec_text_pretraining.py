# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec pre-training on text, over transformers' own `Data2VecTextModel`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.data2vec.configuration_data2vec_text import Data2VecTextConfig
from transformers.models.data2vec.modeling_data2vec_text import (
    Data2VecTextEncoder,
    Data2VecTextModel,
    Data2VecTextPreTrainedModel,
)
from transformers.utils.generic import can_return_tuple

from .configuration_data2vec_pretraining import Data2VecTextPreTrainingConfig, as_pretraining_config, longest_text
from .input_checks import check_integer_labels, check_marks_real_steps
from .masking import find_predicted
from .modeling_data2vec_pretraining import Data2VecForPreTrainingOutput, Data2VecPreTrainingObjective
from .size_checks import check_layers
from .token_checks import check_texts, check_token_ids, check_token_shapes


class Data2VecTextForPreTraining(Data2VecPreTrainingObjective, Data2VecTextPreTrainedModel):
    """data2vec pre-training: predict the teacher's view of the whole text where tokens are masked.

    What it saves opens in transformers' own classes, such as `Data2VecTextForSequenceClassification`, without this
    package. It opens any folder of theirs: the teacher is then a copy of the student. `AutoModelForPreTraining` opens
    transformers' masked language model instead, whose place that is: name this class.

    Batches are those of [`~hf_ssl.data.collators_text.DataCollatorForData2VecText`], which masks spans as the original
    does, or of transformers' `DataCollatorForLanguageModeling`: masked `input_ids`, and `labels` with the tokens that
    were there.

    Args:
        config ([`Data2VecTextPreTrainingConfig`] or `Data2VecTextConfig`):
            transformers' own configuration gets the default fields of the objective.
    """

    config_class = Data2VecTextConfig
    config: Data2VecTextPreTrainingConfig

    def __init__(self, config: Data2VecTextConfig):
        check_layers(num_hidden_layers=config.num_hidden_layers)
        super().__init__(as_pretraining_config(config, Data2VecTextPreTrainingConfig))
        check_layers(regression_num_layers=self.config.regression_num_layers)
        self.data2vec_text = Data2VecTextModel(self.config, add_pooling_layer=False)
        self.regression_head = _regression_head(self.config.hidden_size, self.config.regression_num_layers)
        self._set_up_teacher()

    def _student_stages(self) -> Mapping[str, nn.Module]:
        return {"embeddings": self.data2vec_text.embeddings, "encoder": self.data2vec_text.encoder}

    def _copied_stages(self) -> Mapping[str, nn.Module]:
        return {"embeddings": self.data2vec_text.embeddings} if self.config.teacher_scope == "layers" else {}

    def resize_token_embeddings(self, *args, **kwargs) -> nn.Embedding:
        """As everywhere in transformers. The teacher's table goes with it: it keeps its own vectors, and tokens that
        are new get the student's."""
        table = super().resize_token_embeddings(*args, **kwargs)
        averages = self.teacher.get_submodule("embeddings.word_embeddings")
        assert isinstance(averages, nn.Embedding)
        old, new = averages.weight[: len(table.weight)], table.weight[len(averages.weight) :]
        averages.weight = nn.Parameter(torch.cat([old, new.detach().to(old)]), requires_grad=False)
        averages.num_embeddings, averages.padding_idx = table.num_embeddings, table.padding_idx
        return table

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        predicted_positions: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> Data2VecForPreTrainingOutput:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens, some of them masked.
            attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                1 at real tokens, 0 at padding.
            token_type_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Parts of the text.
            labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
                The tokens that were masked, which the teacher sees and the student predicts the targets of; -100
                elsewhere.
            predicted_positions (`torch.LongTensor` of shape `(batch_size, max_predicted)`, *optional*):
                Positions of the tokens that are predicted, in order, then -1, as the data collator gives them. Their
                shape says how many there are: without them the forward asks the device, and a compiled graph breaks
                there.
            num_items_in_batch (`int`, *optional*):
                Predicted tokens of the global batch, by which the loss is divided; this batch's if absent.
        """
        self._check_teacher_is_updated()
        self._check_tokens(input_ids, attention_mask)
        token_mask = None if attention_mask is None else attention_mask.bool()
        prediction_mask = _prediction_mask(input_ids, labels, token_mask, self.config.vocab_size)
        inputs = {"attention_mask": attention_mask, "token_type_ids": token_type_ids}

        targets = self.teacher_targets(torch.where(prediction_mask, labels, input_ids), **inputs)  # type: ignore[arg-type]
        encoded = self.data2vec_text(input_ids, **inputs).last_hidden_state
        predicted = find_predicted(prediction_mask, predicted_positions)
        predictions = self.regression_head(predicted.of(encoded))
        predicted_targets = predicted.of(targets)
        loss = self.regression_loss(predictions, predicted_targets, num_items_in_batch, predicted.is_real)

        return Data2VecForPreTrainingOutput(
            loss=loss,
            predictions=predictions,
            targets=targets,
            prediction_mask=prediction_mask,
            mask_time_indices=prediction_mask,
            frame_mask=token_mask,
            predicted_targets=predicted_targets,
            predicted_mask=predicted.is_real,
        )

    def _check_tokens(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> None:
        check_token_shapes(input_ids, input_ids.dim(), attention_mask, longest_text(self.config))
        check_token_ids(input_ids, self.config.vocab_size)
        if attention_mask is not None and not torch.compiler.is_compiling():
            check_texts(attention_mask)

    @torch.no_grad()
    def teacher_targets(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Targets for all tokens from one pass of the teacher over the unmasked text (section 3.2).

        Args:
            input_ids, attention_mask, token_type_ids: `(batch_size, sequence_length)`.

        Returns:
            `(batch_size, sequence_length, hidden_size)`, float32.
        """
        teacher: Any = self.teacher  # whose modules are known by name only
        embeddings = teacher.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        token_mask = None if attention_mask is None else attention_mask.bool()
        return self._average_layers(ffn_outputs(teacher.encoder, embeddings, attention_mask), token_mask)


def ffn_outputs(
    encoder: Data2VecTextEncoder, embeddings: torch.Tensor, attention_mask: torch.Tensor | None
) -> list[torch.Tensor]:
    """What each layer's feed-forward network adds to the residual: the targets' raw material (section 3.2).

    transformers' forward of the encoder gives whole layers only, so it is written out here, without dropout.

    Args:
        encoder: In evaluation mode.
        embeddings: `(batch_size, sequence_length, hidden_size)`.
        attention_mask: `(batch_size, sequence_length)`, 1 at real tokens; `None` if all are.

    Returns:
        One tensor per layer, of the shape of `embeddings`.
    """
    mask = create_bidirectional_mask(config=encoder.config, inputs_embeds=embeddings, attention_mask=attention_mask)
    hidden_states, outputs = embeddings, []
    layer: Any
    for layer in encoder.layer:
        attended = layer.attention(hidden_states, mask)[0]
        outputs.append(layer.output.dense(layer.intermediate(attended)))
        hidden_states = layer.output.LayerNorm(outputs[-1] + attended)
    return outputs


def _regression_head(hidden_size: int, num_layers: int) -> nn.Sequential:
    """The head, which starts from BERT's weights as the encoder does, unlike that of speech."""
    layers: list[nn.Module] = []
    width = hidden_size
    for _ in range(num_layers - 1):
        layers += [nn.Linear(width, 2 * hidden_size), nn.GELU()]
        width = 2 * hidden_size
    return nn.Sequential(*layers, nn.Linear(width, hidden_size))


def _prediction_mask(
    input_ids: torch.Tensor, labels: torch.Tensor | None, token_mask: torch.Tensor | None, vocab_size: int
) -> torch.Tensor:
    if labels is None:
        raise ValueError(
            "`labels` are needed: the tokens that are masked in `input_ids`, and -100 elsewhere. "
            "`DataCollatorForData2VecText` makes both."
        )
    if labels.shape != input_ids.shape:
        raise ValueError(
            f"`labels` must have the shape of `input_ids`, {tuple(input_ids.shape)}, but have {tuple(labels.shape)}."
        )
    check_integer_labels(labels)
    check_marks_real_steps("labels", labels != -100, token_mask, "tokens")
    check_token_ids(labels.masked_fill(labels == -100, 0), vocab_size)
    return labels != -100


__all__ = ["Data2VecTextForPreTraining"]
