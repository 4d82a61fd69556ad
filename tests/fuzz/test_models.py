# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Every class on input of all kinds: valid input gives finite outputs, losses and gradients; NaN shows in the loss;
anything else is an error that says what was expected and what came."""

import pytest
import torch
from fuzz.budget import at_every_run, before_a_release
from fuzz.classes import CLASSES, NAMES, Fuzzed, draw_case, make_fuzzed
from fuzz.properties import check_model
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module", params=CLASSES, ids=NAMES)
def fuzzed(request: pytest.FixtureRequest) -> Fuzzed:
    return make_fuzzed(request.param, torch.float32)


@pytest.fixture(scope="module", params=CLASSES, ids=NAMES)
def fuzzed_in_half(request: pytest.FixtureRequest) -> Fuzzed:
    return make_fuzzed(request.param, torch.bfloat16)


@given(data=st.data())
@at_every_run(5)
def test_a_few_inputs(fuzzed: Fuzzed, data: st.DataObject) -> None:
    check_model(fuzzed.model, draw_case(data, fuzzed))


@pytest.mark.slow
@given(data=st.data())
@before_a_release(200)
def test_many_inputs(fuzzed: Fuzzed, data: st.DataObject) -> None:
    check_model(fuzzed.model, draw_case(data, fuzzed))


@pytest.mark.slow
@given(data=st.data())
@before_a_release(50)
def test_many_inputs_in_half_precision(fuzzed_in_half: Fuzzed, data: st.DataObject) -> None:
    check_model(fuzzed_in_half.model, draw_case(data, fuzzed_in_half))
