# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A fine-tuned classifier of images, the public way: convert, `from_pretrained`, forward."""

from pathlib import Path

import torch
from parity.golden import GoldenCase
from transformers import AutoModelForImageClassification

import hf_ssl  # noqa: F401  (registers the classes)
from hf_ssl.conversion import convert_checkpoint


def check(case: GoldenCase, folder: Path) -> None:
    case.load()
    convert_checkpoint(case.folder / "checkpoint.pt", folder)
    model = AutoModelForImageClassification.from_pretrained(folder)
    with torch.no_grad():
        images = case.use("input.imgs")
        case.compare("logits", model(images).logits)
        hidden_states = model.base_model(images).last_hidden_state
    case.compare("features", hidden_states[:, model.config.num_extra_tokens :])
    case.assert_all_compared()
    options = case.meta["cfg_model_top_level"]
    assert model.config.pooling == {"MEAN_POOLING": "mean", "CLS_TOKEN": "cls"}[options["prediction_mode"]]
    assert model.config.use_pooled_layer_norm == options["use_fc_norm"]
    assert model.num_labels == options["num_classes"]
