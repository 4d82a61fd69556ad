# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checks of what models are given: what they refuse, and that they ask the device for nothing they need not."""

import pytest
import torch

from hf_ssl import BestRqConfig, Data2Vec2AudioConfig, Data2Vec2AudioModel
from hf_ssl.models.input_checks import (
    check_classes,
    check_marks_real_steps,
    check_several_labels,
    shortest_right_padded,
)
from hf_ssl.models.losses import mean_over_items
from hf_ssl.models.quantizers import RandomProjectionQuantizer
from hf_ssl.models.token_checks import check_texts, check_token_ids


@pytest.mark.parametrize("dtype", [torch.long, torch.bool, torch.float32, torch.float16])
def test_right_padding_of_any_type(dtype: torch.dtype) -> None:
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]).to(dtype)
    assert shortest_right_padded(mask) == 1


@pytest.mark.parametrize(
    "row", [[0, 1, 1], [1, 0, 1], [2, 2, 0], [0.5, 0.5, 0.0], [0.0, -1e9, -1e9], [1.0, float("nan"), 0.0]]
)
def test_other_padding_is_refused(row: list) -> None:
    with pytest.raises(ValueError, match="ones, for what is real, and then zeros"):
        shortest_right_padded(torch.tensor([row, [1] * 3]))


def test_marked_frames_are_real_ones() -> None:
    mask = torch.tensor([[True, False, True], [False, True, False]])
    frame_mask = torch.tensor([[True, True, False], [True, True, True]])
    check_marks_real_steps("mask_time_indices", mask, None)
    check_marks_real_steps("mask_time_indices", mask & frame_mask, frame_mask)
    with pytest.raises(ValueError, match="`mask_time_indices` marks 1 padded frames"):
        check_marks_real_steps("mask_time_indices", mask, frame_mask)
    check_marks_real_steps("mask_time_indices", mask.to("meta"), frame_mask.to("meta"))  # which would have to be asked


def test_a_loss_without_items_is_zero() -> None:
    for number in (0, torch.tensor(0)):
        assert mean_over_items(torch.tensor(0.0), number, 5) == 0
    assert mean_over_items(torch.tensor(6.0), None, 3) == 2
    assert mean_over_items(torch.tensor(6.0), torch.tensor(2), 3) == 3


@pytest.mark.parametrize("label", [3, -1, -99])
def test_classes_out_of_range(label: int) -> None:
    with pytest.raises(ValueError, match=rf"from 0 to 2, or -100 .*, but got labels from {min(label, 0)} to"):
        check_classes(torch.tensor([0, label]), (2,), 3)


def test_ignored_classes() -> None:
    check_classes(torch.tensor([0, -100]), (2,), 3)
    with pytest.raises(ValueError, match="got labels from -100 to 0"):
        check_classes(torch.tensor([0, -100]), (2,), 3, may_be_ignored=False)


@pytest.mark.parametrize("number", [2.0, -1.0, float("nan"), float("inf")])
def test_shares_out_of_range(number: float) -> None:
    with pytest.raises(ValueError, match="Expected zeros and ones"):
        check_several_labels(torch.tensor([[0.0, number]]), (1, 2))


def test_values_on_a_device_are_not_asked_for() -> None:
    """The meta device has none to give, and would say so."""
    check_classes(torch.empty(2, dtype=torch.long, device="meta"), (2,), 3)
    check_several_labels(torch.empty(2, 3, device="meta"), (2, 3))


def test_texts() -> None:
    check_texts(torch.tensor([[0, 1], [1, 0]]))
    with pytest.raises(ValueError, match="nothing but padding"):
        check_texts(torch.tensor([[0, 0], [1, 0]]))
    with pytest.raises(ValueError, match="other numbers"):
        check_texts(torch.tensor([[0, 2], [1, 0]]))
    with pytest.raises(ValueError, match=r"must be integers, but are torch\.float32"):
        check_token_ids(torch.zeros(1, 2), 5)


@pytest.mark.parametrize(
    ("config_class", "fields", "message"),
    [
        (Data2Vec2AudioConfig, {"hidden_size": 0}, "`hidden_size` must be from 1 to"),
        (Data2Vec2AudioConfig, {"num_attention_heads": -4}, "`num_attention_heads` must be from 1 to"),
        (Data2Vec2AudioConfig, {"intermediate_size": 2**40}, "`intermediate_size` must be from 1 to"),
        (BestRqConfig, {"hidden_act": "os.system"}, "`hidden_act` must be one of .*, but is 'os.system'"),
        (BestRqConfig, {"num_hidden_layers": -1}, "`num_hidden_layers` must be at least 1"),
    ],
)
def test_sizes_of_no_model(config_class: type, fields: dict, message: str) -> None:
    with pytest.raises(Exception, match=message):
        config_class(**fields)


def test_layers_and_codebooks_without_end() -> None:
    """Said at once: to make them would take hours, or all memory."""
    with pytest.raises(ValueError, match="at most 1000 layers, but `num_hidden_layers` is 1000000000"):
        Data2Vec2AudioModel(Data2Vec2AudioConfig(num_hidden_layers=10**9))
    with pytest.raises(ValueError, match="codebooks of at most"):
        RandomProjectionQuantizer(320, 1, 10**9, 16)
