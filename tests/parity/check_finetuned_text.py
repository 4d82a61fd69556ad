# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A fine-tuned classifier of texts, the public way: convert, `from_pretrained`, forward, and back."""

from pathlib import Path

import torch
from parity.check_data2vec2_text import check_way_back
from parity.golden import GoldenCase
from transformers import AutoModelForSequenceClassification

import hf_ssl  # noqa: F401  (registers the classes)
from hf_ssl.conversion import convert_checkpoint


def check(case: GoldenCase, folder: Path) -> None:
    case.load()
    checkpoint = case.folder / "checkpoint.pt"
    convert_checkpoint(checkpoint, folder)
    check_way_back(checkpoint, folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.num_labels == case.meta["num_classes"]
    assert model.config.classifier_dropout == case.meta["cfg_model_top_level"]["pooler_dropout"]
    attention_mask = (~case.use("input.padding_mask").bool()).long()
    with torch.no_grad():
        outputs = model(case.use("input.tokens"), attention_mask=attention_mask, output_hidden_states=True)
    case.compare("logits", outputs.logits)
    case.compare("encoder_x", outputs.hidden_states[-1])
    case.assert_all_compared()
