# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""transformers' own model tests, run on every data2vec 2.0 image class. What is left out here has its reason beside
it."""

import unittest

import torch
from transformers.testing_utils import torch_device
from transformers_suite import PreTrainingOutput, declare_model_classes, load_model_tester_mixin

from hf_ssl import (
    Data2Vec2VisionConfig,
    Data2Vec2VisionForImageClassification,
    Data2Vec2VisionForPreTraining,
    Data2Vec2VisionModel,
)
from hf_ssl.training.model_sizes import data2vec2_vision_config

suite = load_model_tester_mixin()
declare_model_classes(
    "data2vec2-vision",
    {
        "MODEL_MAPPING_NAMES": "Data2Vec2VisionModel",
        "MODEL_FOR_PRETRAINING_MAPPING_NAMES": "Data2Vec2VisionForPreTraining",
        "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES": "Data2Vec2VisionForImageClassification",
    },
)


class Data2Vec2VisionModelTester:
    """Makes the tiny config and the inputs; the suite reads the attributes."""

    batch_size = 7  # the suite's sdpa test makes batches of 7, to which the masks have to fit
    is_training = True
    hidden_size = 32
    num_hidden_layers = 2  # one of the prenet, one of the trunk
    num_attention_heads = 4

    @property
    def seq_length(self) -> int:
        """Tokens: the side of the attention maps."""
        config = self.get_config()
        return config.num_extra_tokens + config.num_patches

    def get_config(self) -> Data2Vec2VisionConfig:
        return data2vec2_vision_config("tiny", num_hidden_layers=1, average_top_k_layers=1, mask_noise_std=0.0)

    def prepare_config_and_inputs_for_common(self) -> tuple[Data2Vec2VisionConfig, dict[str, torch.Tensor]]:
        config = self.get_config()
        shape = [self.batch_size, config.num_channels, config.image_size, config.image_size]
        return config, {"pixel_values": suite.floats_tensor(shape)}


class Data2Vec2VisionSuite(suite.ModelTesterMixin):
    """What the encoder's and the pre-training model's tests share. Each skipped test says why it cannot apply."""

    test_resize_embeddings = False  # images have no token embeddings

    def setUp(self) -> None:
        self.model_tester = Data2Vec2VisionModelTester()

    @unittest.skip(reason="images have no token embeddings")
    def test_model_get_set_embeddings(self) -> None:
        pass

    @unittest.skip(reason="images have no token embeddings")
    def test_inputs_embeds(self) -> None:
        pass


class Data2Vec2VisionModelTest(Data2Vec2VisionSuite, unittest.TestCase):
    all_model_classes = (Data2Vec2VisionForImageClassification, Data2Vec2VisionModel)

    def test_config(self) -> None:
        config_tester = suite.ConfigTester(
            self, config_class=Data2Vec2VisionConfig, has_text_modality=False, hidden_size=48
        )
        config_tester.run_common_tests()


class Data2Vec2VisionForPreTrainingTest(PreTrainingOutput, Data2Vec2VisionSuite, unittest.TestCase):
    all_model_classes = (Data2Vec2VisionForPreTraining,)
    has_attentions = False  # `Data2Vec2ForPreTrainingOutput` has neither attentions nor hidden states

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        # Masks drawn anew in every forward would make any two outputs differ.
        config = self.model_tester.get_config()
        bool_masked_pos = torch.zeros(
            self.model_tester.batch_size, config.num_masks, config.num_patches, dtype=torch.bool, device=torch_device
        )
        bool_masked_pos[:, 0, 2:10] = True
        bool_masked_pos[:, 1, 5:13] = True
        return inputs | {"bool_masked_pos": bool_masked_pos}
