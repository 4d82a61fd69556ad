# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""transformers' own model tests, run on the pre-training classes over transformers' data2vec encoders.

Tests that the suite itself leaves out say why; what is left out here has its reason beside it.
"""

import unittest

import torch
from transformers.testing_utils import torch_device
from transformers_suite import PreTrainingOutput, declare_model_classes, load_model_tester_mixin

from hf_ssl import (
    Data2VecAudioForPreTraining,
    Data2VecAudioPreTrainingConfig,
    Data2VecTextForPreTraining,
    Data2VecTextPreTrainingConfig,
    Data2VecVisionForPreTraining,
    Data2VecVisionPreTrainingConfig,
)

suite = load_model_tester_mixin()
declare_model_classes("data2vec-audio", {"MODEL_FOR_PRETRAINING_MAPPING_NAMES": "Data2VecAudioForPreTraining"})
declare_model_classes("data2vec-text", {"MODEL_FOR_PRETRAINING_MAPPING_NAMES": "Data2VecTextForPreTraining"})
declare_model_classes("data2vec-vision", {"MODEL_FOR_PRETRAINING_MAPPING_NAMES": "Data2VecVisionForPreTraining"})


class Data2VecPreTrainingSuite(PreTrainingOutput, suite.ModelTesterMixin):
    """What the tests of all modalities share."""

    has_attentions = False  # `Data2VecForPreTrainingOutput` has neither attentions nor hidden states


class Data2VecAudioPreTrainingTester:
    """Makes the tiny config and the inputs; the suite reads the attributes."""

    batch_size = 7  # the suite's sdpa test makes batches of 7, to which the masks have to fit
    seq_length = 1024  # samples
    is_training = True
    hidden_size = 16
    num_hidden_layers = 2
    num_attention_heads = 2

    @property
    def encoder_seq_length(self) -> int:
        """Frames of `seq_length` samples."""
        return self.get_config().num_frames(self.seq_length)

    def get_config(self) -> Data2VecAudioPreTrainingConfig:
        return Data2VecAudioPreTrainingConfig(
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
            average_top_k_layers=2,
            layerdrop=0.0,  # the suite expects a gradient for every parameter
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[Data2VecAudioPreTrainingConfig, dict[str, torch.Tensor]]:
        attention_mask = torch.ones(self.batch_size, self.seq_length, dtype=torch.long, device=torch_device)
        attention_mask[1:, 900:] = 0
        input_values = suite.floats_tensor([self.batch_size, self.seq_length])
        return self.get_config(), {"input_values": input_values, "attention_mask": attention_mask}


class Data2VecAudioForPreTrainingTest(Data2VecPreTrainingSuite, unittest.TestCase):
    all_model_classes = (Data2VecAudioForPreTraining,)
    test_resize_embeddings = False  # audio has no token embeddings

    def setUp(self) -> None:
        self.model_tester = Data2VecAudioPreTrainingTester()

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        # Masks drawn anew in every forward would make any two outputs differ.
        shape = (self.model_tester.batch_size, self.model_tester.encoder_seq_length)
        mask_time_indices = torch.zeros(shape, dtype=torch.bool, device=torch_device)
        mask_time_indices[:, 2:6] = True
        return inputs | {"mask_time_indices": mask_time_indices}

    def test_config(self) -> None:
        config_tester = suite.ConfigTester(
            self, config_class=Data2VecAudioPreTrainingConfig, hidden_size=48, average_top_k_layers=2
        )
        config_tester.run_common_tests()

    @unittest.skip(reason="transformers' own encoder, of 2022, is older than the rule, and exempt from it there")
    def test_can_init_all_missing_weights(self) -> None:
        pass

    @unittest.skip(reason="audio has no token embeddings")
    def test_model_get_set_embeddings(self) -> None:
        pass


class Data2VecTextPreTrainingTester:
    """Makes the tiny config and the inputs; the suite reads the attributes."""

    batch_size = 7  # as above
    seq_length = 12
    is_training = True
    hidden_size = 16
    num_hidden_layers = 2
    num_attention_heads = 2
    vocab_size = 99

    def get_config(self) -> Data2VecTextPreTrainingConfig:
        return Data2VecTextPreTrainingConfig(
            vocab_size=self.vocab_size,
            max_position_embeddings=64,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=20,
            average_top_k_layers=2,
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[Data2VecTextPreTrainingConfig, dict[str, torch.Tensor]]:
        attention_mask = torch.ones(self.batch_size, self.seq_length, dtype=torch.long, device=torch_device)
        attention_mask[1:, 10:] = 0
        # ids from 4 on: nothing but the mask is padding
        input_ids = suite.ids_tensor([self.batch_size, self.seq_length], self.vocab_size - 4) + 4
        return self.get_config(), {"input_ids": input_ids, "attention_mask": attention_mask}


class Data2VecTextForPreTrainingTest(Data2VecPreTrainingSuite, unittest.TestCase):
    all_model_classes = (Data2VecTextForPreTraining,)

    def setUp(self) -> None:
        self.model_tester = Data2VecTextPreTrainingTester()

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        labels = torch.full((self.model_tester.batch_size, self.model_tester.seq_length), -100, device=torch_device)
        labels[:, 2:6] = 5  # what was masked there
        return inputs | {"labels": labels}

    def test_config(self) -> None:
        config_tester = suite.ConfigTester(
            self, config_class=Data2VecTextPreTrainingConfig, hidden_size=48, average_top_k_layers=2
        )
        config_tester.run_common_tests()


class Data2VecVisionPreTrainingTester:
    """Makes the tiny config and the inputs; the suite reads the attributes."""

    batch_size = 7  # as above
    is_training = True
    hidden_size = 16
    num_hidden_layers = 2
    num_attention_heads = 2

    def get_config(self) -> Data2VecVisionPreTrainingConfig:
        return Data2VecVisionPreTrainingConfig(
            image_size=16,
            patch_size=4,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=20,
            out_indices=[0, 0, 1, 1],
            layer_scale_init_value=0.1,
            drop_path_rate=0.0,
            num_mask_patches=6,
            min_mask_patches_per_block=2,
            max_mask_patches_per_block=6,
            average_top_k_layers=2,
        )

    def prepare_config_and_inputs_for_common(
        self,
    ) -> tuple[Data2VecVisionPreTrainingConfig, dict[str, torch.Tensor]]:
        config = self.get_config()
        shape = [self.batch_size, config.num_channels, config.image_size, config.image_size]
        return config, {"pixel_values": suite.floats_tensor(shape)}


class Data2VecVisionForPreTrainingTest(Data2VecPreTrainingSuite, unittest.TestCase):
    all_model_classes = (Data2VecVisionForPreTraining,)
    test_resize_embeddings = False  # images have no token embeddings

    def setUp(self) -> None:
        self.model_tester = Data2VecVisionPreTrainingTester()

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        shape = (self.model_tester.batch_size, self.model_tester.get_config().num_patches)
        bool_masked_pos = torch.zeros(shape, dtype=torch.bool, device=torch_device)
        bool_masked_pos[:, 2:8] = True
        return inputs | {"bool_masked_pos": bool_masked_pos}

    def test_config(self) -> None:
        config_tester = suite.ConfigTester(
            self,
            config_class=Data2VecVisionPreTrainingConfig,
            has_text_modality=False,
            hidden_size=48,
            average_top_k_layers=2,
        )
        config_tester.run_common_tests()

    @unittest.skip(reason="images have no token embeddings")
    def test_model_get_set_embeddings(self) -> None:
        pass
