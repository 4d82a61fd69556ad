# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""transformers' own model tests, run on every data2vec 2.0 audio class.

Tests that the suite itself leaves out say why (no token embeddings, no accelerator, no subconfigs, ...); what is left
out here has its reason beside it.
"""

import unittest

import torch
from transformers.testing_utils import torch_device
from transformers_suite import (
    PreTrainingOutput,
    declare_model_classes,
    expect_refusal_of_left_padding,
    load_model_tester_mixin,
)

from hf_ssl import (
    Data2Vec2AudioConfig,
    Data2Vec2AudioForAudioFrameClassification,
    Data2Vec2AudioForCTC,
    Data2Vec2AudioForPreTraining,
    Data2Vec2AudioForSequenceClassification,
    Data2Vec2AudioForXVector,
    Data2Vec2AudioModel,
)

suite = load_model_tester_mixin()
declare_model_classes(
    "data2vec2-audio",
    {
        "MODEL_MAPPING_NAMES": "Data2Vec2AudioModel",
        "MODEL_FOR_PRETRAINING_MAPPING_NAMES": "Data2Vec2AudioForPreTraining",
        "MODEL_FOR_CTC_MAPPING_NAMES": "Data2Vec2AudioForCTC",
        "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES": "Data2Vec2AudioForSequenceClassification",
        # not MODEL_FOR_AUDIO_XVECTOR_MAPPING_NAMES, for whose classes the suite drops the attention mask
    },
)


class Data2Vec2AudioModelTester:
    """Makes the tiny config and the inputs; the suite reads the attributes."""

    batch_size = 7  # the suite's sdpa test makes batches of 7, to which the masks have to fit
    seq_length = 1024  # samples
    is_training = True
    hidden_size = 16
    num_hidden_layers = 2
    num_attention_heads = 2
    vocab_size = 32

    @property
    def encoder_seq_length(self) -> int:
        """Frames of `seq_length` samples: the side of the attention maps."""
        return self.get_config().num_frames(self.seq_length)

    def get_config(self) -> Data2Vec2AudioConfig:
        return Data2Vec2AudioConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=20,
            conv_dim=(32, 32, 32),
            conv_kernel=(8, 8, 8),
            conv_stride=(4, 4, 4),
            num_conv_pos_embeddings=2,
            conv_pos_kernel_size=3,
            num_conv_pos_embedding_groups=2,
            decoder_hidden_size=16,
            decoder_num_layers=2,
            decoder_kernel_size=3,
            decoder_groups=2,
            average_top_k_layers=2,
            num_masks=2,
            mask_length=2,
            layerdrop=0.0,  # the suite expects a gradient for every parameter
            prenet_layerdrop=0.0,
            mask_noise_std=0.0,
            ctc_zero_infinity=True,
            tdnn_dim=(32, 32),
            tdnn_kernel=(5, 3),
            tdnn_dilation=(1, 2),
            xvector_output_dim=32,
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[Data2Vec2AudioConfig, dict[str, torch.Tensor]]:
        attention_mask = torch.ones(self.batch_size, self.seq_length, dtype=torch.long, device=torch_device)
        attention_mask[1:, 900:] = 0
        input_values = suite.floats_tensor([self.batch_size, self.seq_length])
        return self.get_config(), {"input_values": input_values, "attention_mask": attention_mask}


class Data2Vec2AudioSuite(suite.ModelTesterMixin):
    """What the encoder's and the pre-training model's tests share. Each skipped test says why it cannot apply."""

    test_resize_embeddings = False  # audio has no token embeddings

    def setUp(self) -> None:
        self.model_tester = Data2Vec2AudioModelTester()

    @unittest.skip(reason="audio has no token embeddings")
    def test_model_get_set_embeddings(self) -> None:
        pass

    def labels_for(self, model_class: type) -> torch.Tensor | None:
        """Labels that transformers' lists do not choose, or choose too long: CTC needs fewer labels than frames."""
        batch_size, frames = self.model_tester.batch_size, self.model_tester.encoder_seq_length
        if model_class is Data2Vec2AudioForCTC:
            return torch.ones(batch_size, frames // 2, dtype=torch.long, device=torch_device)
        if model_class is Data2Vec2AudioForAudioFrameClassification:
            return torch.zeros(batch_size, frames, dtype=torch.long, device=torch_device)
        if model_class is Data2Vec2AudioForXVector:
            return torch.zeros(batch_size, dtype=torch.long, device=torch_device)
        return None

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        labels = self.labels_for(model_class)
        if return_labels and labels is not None:
            inputs["labels"] = labels
        return inputs


@expect_refusal_of_left_padding
class Data2Vec2AudioModelTest(Data2Vec2AudioSuite, unittest.TestCase):
    all_model_classes = (
        Data2Vec2AudioForCTC,  # first: some tests take the first class alone
        Data2Vec2AudioModel,
        Data2Vec2AudioForSequenceClassification,
        Data2Vec2AudioForAudioFrameClassification,
        Data2Vec2AudioForXVector,
    )

    def test_config(self) -> None:
        config_tester = suite.ConfigTester(self, config_class=Data2Vec2AudioConfig, hidden_size=48)
        config_tester.run_common_tests()


class Data2Vec2AudioForPreTrainingTest(PreTrainingOutput, Data2Vec2AudioSuite, unittest.TestCase):
    all_model_classes = (Data2Vec2AudioForPreTraining,)
    has_attentions = False  # `Data2Vec2ForPreTrainingOutput` has neither attentions nor hidden states

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        # Masks drawn anew in every forward would make any two outputs differ.
        frames = self.model_tester.encoder_seq_length
        mask_time_indices = torch.zeros(self.model_tester.batch_size, 2, frames, dtype=torch.bool, device=torch_device)
        mask_time_indices[:, 0, 2:6] = True
        mask_time_indices[:, 1, 5:9] = True
        return inputs | {"mask_time_indices": mask_time_indices}
