# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Numbers of configurations that no training can have are refused, by name, before a model is made of them."""

import math
from typing import Any

import pytest
from huggingface_hub.errors import StrictDataclassError

from hf_ssl import (
    Data2Vec2AudioConfig,
    Data2Vec2TextConfig,
    Data2Vec2VisionConfig,
    Data2VecAqcConfig,
    Data2VecAudioPreTrainingConfig,
    Data2VecTextPreTrainingConfig,
    Data2VecVisionPreTrainingConfig,
)

FAMILIES = (
    Data2Vec2AudioConfig,
    Data2Vec2TextConfig,
    Data2Vec2VisionConfig,
    Data2VecAqcConfig,
    Data2VecAudioPreTrainingConfig,
    Data2VecTextPreTrainingConfig,
    Data2VecVisionPreTrainingConfig,
)
OBJECTIVE = (
    ({"loss_beta": -1.0}, "`loss_beta` must be a finite number and not negative, but is -1.0"),
    ({"loss_scale": math.nan}, "`loss_scale` must be a finite number and not negative, but is nan"),
    ({"ema_decay": 2.0}, "`ema_decay` must lie between 0 and 1, but is 2.0"),
    ({"ema_end_decay": math.nan}, "`ema_end_decay` must lie between 0 and 1, but is nan"),
    ({"ema_anneal_end_step": -1}, "`ema_anneal_end_step` must be a finite number and not negative, but is -1"),
)
OWN = (
    (Data2Vec2AudioConfig, {"mask_dropout": 2.0}, "`mask_dropout` must lie between 0 and 1"),
    (Data2Vec2AudioConfig, {"mask_noise_std": -0.1}, "`mask_noise_std` must be a finite number and not negative"),
    (Data2Vec2AudioConfig, {"local_grad_scale": math.nan}, "`local_grad_scale` must be a finite number"),
    (Data2Vec2AudioConfig, {"decoder_groups": 0}, "`decoder_groups` must be at least 1, but is 0"),
    (Data2Vec2VisionConfig, {"mask_dropout": -0.5}, "`mask_dropout` must lie between 0 and 1"),
    (Data2Vec2VisionConfig, {"cls_loss_weight": -1.0}, "`cls_loss_weight` must be a finite number and not negative"),
    (Data2VecAudioPreTrainingConfig, {"mask_dropout": 2.0}, "`mask_dropout` must be at least 0 and below 1"),
    (Data2VecAqcConfig, {"mask_dropout": math.nan}, "`mask_dropout` must be at least 0 and below 1"),
)


@pytest.mark.parametrize("config_class", FAMILIES)
@pytest.mark.parametrize(("fields", "message"), OBJECTIVE)
def test_impossible_objectives_are_refused(config_class: type, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(StrictDataclassError, match=message):
        config_class(**fields)


@pytest.mark.parametrize(("config_class", "fields", "message"), OWN)
def test_impossible_numbers_are_refused(config_class: type, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(StrictDataclassError, match=message):
        config_class(**fields)


@pytest.mark.parametrize("config_class", FAMILIES)
def test_the_ends_of_the_ranges_are_possible(config_class: type) -> None:
    """A teacher that is frozen, one that is the student, a decay that falls, a loss that weighs nothing."""
    config_class(ema_decay=1.0, ema_end_decay=0.0, ema_anneal_end_step=0, loss_beta=0, loss_scale=0)
