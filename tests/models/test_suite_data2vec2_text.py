# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""transformers' own model tests, run on every data2vec 2.0 text class.

Tests that the suite itself leaves out say why; what is left out here has its reason beside it.
"""

import unittest

import torch
from transformers.testing_utils import torch_device
from transformers_suite import PreTrainingOutput, declare_model_classes, load_model_tester_mixin

from hf_ssl import (
    Data2Vec2TextConfig,
    Data2Vec2TextForPreTraining,
    Data2Vec2TextForQuestionAnswering,
    Data2Vec2TextForSequenceClassification,
    Data2Vec2TextForTokenClassification,
    Data2Vec2TextModel,
)

suite = load_model_tester_mixin()
declare_model_classes(
    "data2vec2-text",
    {
        "MODEL_MAPPING_NAMES": "Data2Vec2TextModel",
        "MODEL_FOR_PRETRAINING_MAPPING_NAMES": "Data2Vec2TextForPreTraining",
        "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES": "Data2Vec2TextForSequenceClassification",
        "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES": "Data2Vec2TextForTokenClassification",
        "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES": "Data2Vec2TextForQuestionAnswering",
    },
)


class Data2Vec2TextModelTester:
    """Makes the tiny config and the inputs; the suite reads the attributes."""

    batch_size = 7  # the suite's sdpa test makes batches of 7, to which the masks have to fit
    seq_length = 12
    is_training = True
    hidden_size = 16
    num_hidden_layers = 2
    num_attention_heads = 2
    vocab_size = 99
    num_labels = 3

    def get_config(self) -> Data2Vec2TextConfig:
        return Data2Vec2TextConfig(
            vocab_size=self.vocab_size,
            max_position_embeddings=64,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=20,
            decoder_hidden_size=16,
            decoder_num_layers=2,
            decoder_kernel_size=3,
            average_top_k_layers=2,
            num_masks=2,
            mask_noise_std=0.0,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            embedding_dropout=0.0,
            num_labels=self.num_labels,
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[Data2Vec2TextConfig, dict[str, torch.Tensor]]:
        attention_mask = torch.ones(self.batch_size, self.seq_length, dtype=torch.long, device=torch_device)
        attention_mask[1:, 10:] = 0
        # ids from 4 on: nothing but the mask is padding
        input_ids = suite.ids_tensor([self.batch_size, self.seq_length], self.vocab_size - 4) + 4
        return self.get_config(), {"input_ids": input_ids, "attention_mask": attention_mask}


class Data2Vec2TextSuite(suite.ModelTesterMixin):
    """What the encoder's and the pre-training model's tests share."""

    def setUp(self) -> None:
        self.model_tester = Data2Vec2TextModelTester()


class Data2Vec2TextModelTest(Data2Vec2TextSuite, unittest.TestCase):
    all_model_classes = (
        Data2Vec2TextForSequenceClassification,  # first: some tests take the first class alone
        Data2Vec2TextModel,
        Data2Vec2TextForTokenClassification,
        Data2Vec2TextForQuestionAnswering,
    )

    def test_config(self) -> None:
        config_tester = suite.ConfigTester(self, config_class=Data2Vec2TextConfig, hidden_size=48)
        config_tester.run_common_tests()


class Data2Vec2TextForPreTrainingTest(PreTrainingOutput, Data2Vec2TextSuite, unittest.TestCase):
    all_model_classes = (Data2Vec2TextForPreTraining,)
    has_attentions = False  # `Data2Vec2ForPreTrainingOutput` has neither attentions nor hidden states

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        # Masks drawn anew in every forward would make any two outputs differ.
        length = self.model_tester.seq_length
        mask_time_indices = torch.zeros(self.model_tester.batch_size, 2, length, dtype=torch.bool, device=torch_device)
        mask_time_indices[:, 0, 2:6] = True
        mask_time_indices[:, 1, 5:9] = True
        return inputs | {"mask_time_indices": mask_time_indices}
