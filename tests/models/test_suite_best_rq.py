# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""transformers' own model tests, run on every BEST-RQ class.

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
    BestRqConfig,
    BestRqForAudioFrameClassification,
    BestRqForCTC,
    BestRqForPreTraining,
    BestRqForSequenceClassification,
    BestRqForXVector,
    BestRqModel,
)

suite = load_model_tester_mixin()
declare_model_classes(
    "best-rq",
    {
        "MODEL_MAPPING_NAMES": "BestRqModel",
        "MODEL_FOR_PRETRAINING_MAPPING_NAMES": "BestRqForPreTraining",
        "MODEL_FOR_CTC_MAPPING_NAMES": "BestRqForCTC",
        "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES": "BestRqForSequenceClassification",
        # not MODEL_FOR_AUDIO_XVECTOR_MAPPING_NAMES, for whose classes the suite drops the attention mask
    },
)


class BestRqModelTester:
    """Makes the tiny config and the inputs; the suite reads the attributes."""

    batch_size = 7  # the suite's sdpa test makes batches of 7, to which the masks have to fit
    seq_length = 60  # mel frames
    is_training = True
    hidden_size = 16
    num_hidden_layers = 2
    num_attention_heads = 2
    vocab_size = 32
    encoder_type = "conformer"

    @property
    def encoder_seq_length(self) -> int:
        """Frames of `seq_length` mel frames: the side of the attention maps."""
        return self.get_config().num_frames(self.seq_length)

    def get_config(self) -> BestRqConfig:
        return BestRqConfig(
            vocab_size=self.vocab_size,
            num_mel_bins=8,
            conv_dim=(4, 4),
            encoder_type=self.encoder_type,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=20,
            conv_kernel_size=3,
            codebook_size=12,
            codebook_dim=4,
            mask_length=8,
            mask_noise_std=0.0,
            ctc_zero_infinity=True,
            tdnn_dim=(32, 32),
            tdnn_kernel=(5, 3),
            tdnn_dilation=(1, 2),
            xvector_output_dim=32,
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[BestRqConfig, dict[str, torch.Tensor]]:
        config = self.get_config()
        attention_mask = torch.ones(self.batch_size, self.seq_length, dtype=torch.long, device=torch_device)
        attention_mask[1:, 52:] = 0
        input_features = suite.floats_tensor([self.batch_size, self.seq_length, config.num_mel_bins])
        return config, {"input_features": input_features, "attention_mask": attention_mask}


class BestRqSuite(suite.ModelTesterMixin):
    """What the tests of all classes share. Each skipped test says why it cannot apply."""

    test_resize_embeddings = False  # audio has no token embeddings

    def setUp(self) -> None:
        self.model_tester = BestRqModelTester()

    @unittest.skip(reason="audio has no token embeddings")
    def test_model_get_set_embeddings(self) -> None:
        pass

    def labels_for(self, model_class: type) -> torch.Tensor | None:
        """Labels that transformers' lists do not choose, or choose too long: CTC needs fewer labels than frames."""
        batch_size, frames = self.model_tester.batch_size, self.model_tester.encoder_seq_length
        if model_class is BestRqForCTC:
            return torch.ones(batch_size, frames // 2, dtype=torch.long, device=torch_device)
        if model_class is BestRqForAudioFrameClassification:
            return torch.zeros(batch_size, frames, dtype=torch.long, device=torch_device)
        if model_class is BestRqForXVector:
            return torch.zeros(batch_size, dtype=torch.long, device=torch_device)
        return None

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        labels = self.labels_for(model_class)
        if return_labels and labels is not None:
            inputs["labels"] = labels
        return inputs


@expect_refusal_of_left_padding
class BestRqModelTest(BestRqSuite, unittest.TestCase):
    all_model_classes = (
        BestRqForCTC,  # first: some tests take the first class alone
        BestRqModel,
        BestRqForSequenceClassification,
        BestRqForAudioFrameClassification,
        BestRqForXVector,
    )

    def test_config(self) -> None:
        config_tester = suite.ConfigTester(self, config_class=BestRqConfig, hidden_size=48)
        config_tester.run_common_tests()


@expect_refusal_of_left_padding
class BestRqTransformerTest(BestRqSuite, unittest.TestCase):
    """The same with the other encoder; heads do not know the difference."""

    all_model_classes = (BestRqModel,)

    def setUp(self) -> None:
        super().setUp()
        self.model_tester.encoder_type = "transformer"


class BestRqForPreTrainingTest(PreTrainingOutput, BestRqSuite, unittest.TestCase):
    all_model_classes = (BestRqForPreTraining,)
    has_attentions = False  # `BestRqForPreTrainingOutput` has neither attentions nor hidden states

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        # Masks drawn anew in every forward would make any two outputs differ.
        batch_size, frames = self.model_tester.batch_size, self.model_tester.encoder_seq_length
        mask_time_indices = torch.zeros(batch_size, frames, dtype=torch.bool, device=torch_device)
        mask_time_indices[:, 2:6] = True
        return inputs | {"mask_time_indices": mask_time_indices}
