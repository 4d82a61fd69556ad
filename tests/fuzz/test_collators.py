# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Every collator on items of all kinds: a finite batch, or an error that says what was expected and what came."""

import pytest
from fuzz.budget import at_every_run, before_a_release
from fuzz.collator_cases import CollatorCase, make_collator_cases
from fuzz.properties import Case, check_collator, check_error
from hypothesis import given
from hypothesis import strategies as st

NAMES = (
    "data2vec2-audio",
    "data2vec-audio",
    "data2vec-aqc",
    "augmenting",
    "best-rq",
    "ctc",
    "classification",
    "log-mel classification",
    "several labels",
    "vectors of labels",
    "data2vec2-vision",
    "data2vec-vision",
    "image classification",
    "mixed images",
    "data2vec2-text",
    "data2vec-text",
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CollatorCase]:
    return make_collator_cases(tmp_path_factory.mktemp("collators"))


def draw_case(data: st.DataObject, case: CollatorCase) -> Case:
    """One to three items, one of them with a fault or none."""
    items = [case.draw_item(data.draw) for _ in range(data.draw(st.integers(1, 3)))]
    fault = data.draw(st.none() | st.sampled_from(sorted(case.faults)), label="fault")
    if fault is not None:
        place = data.draw(st.integers(0, len(items) - 1))
        items[place] = case.faults[fault](items[place])
    return Case({"features": items}, fault, is_training=False)


def test_all_are_here(cases: dict[str, CollatorCase]) -> None:
    assert tuple(cases) == NAMES


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@at_every_run(4)
def test_a_few_items(name: str, cases: dict[str, CollatorCase], data: st.DataObject) -> None:
    check_collator(cases[name].collator, draw_case(data, cases[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@before_a_release(200)
def test_many_items(name: str, cases: dict[str, CollatorCase], data: st.DataObject) -> None:
    check_collator(cases[name].collator, draw_case(data, cases[name]))


@pytest.mark.parametrize("name", NAMES)
def test_no_items(name: str, cases: dict[str, CollatorCase]) -> None:
    check_error(lambda: cases[name].collator([]))
