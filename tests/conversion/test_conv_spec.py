# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The original passes its list of layers to `eval`; we do not."""

import tracemalloc
from typing import Any

import pytest

from hf_ssl.conversion.fairseq_checkpoint import parse_conv_spec


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]",
            [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2,
        ),
        (
            "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2",
            [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2,
        ),
        ("[(512, 10, 5)] + [(512, 8, 4)] + [(512, 4, 2)] * 3", [(512, 10, 5), (512, 8, 4)] + [(512, 4, 2)] * 3),
        ("2 * [(64, 3, 2)]", [(64, 3, 2)] * 2),
        ("[(8, 2, 1), (16, 3, 2)]", [(8, 2, 1), (16, 3, 2)]),
        ("[[8, 2, 1]]", [(8, 2, 1)]),
    ],
)
def test_published_layer_lists(spec: str, expected: list[tuple[int, int, int]]) -> None:
    assert parse_conv_spec(spec) == expected


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "[]",
        "512",
        "[512, 10, 5]",
        "[(512, 10)]",
        "[(512, 10, 5, 1)]",
        "[(512.0, 10, 5)]",
        "[('512', 10, 5)]",
        "[(True, 10, 5)]",
        "[(0, 10, 5)]",
        "[(512, 10, 0)]",
        "[(512, 10, 5)] * 0",
        "[(512, 10, 5)] - 1",
        "[(512, 10, 5)] * -1",
        "[(512, 10, 5)] * 2.0",
        "[(512, 10, 5)] ** 2",
        "[(512, 10, 5)] * 1000000000",
        "1000000000 * [(512, 10, 5)]",
        "[(512, 10, 5)] * 90 * 90 * 90 * 90 * 90 * 90",
        "[(9, 9, 9) * 100 * 100 * 100 * 100 * 100]",
        "[(512, [10], 5)]",
        "[(512, 10, 5)] + 'a'",
        "[(x, 10, 5) for x in (1, 2)]",
        "__import__('os').system('true')",
        "[(__import__('os').system('true'), 10, 5)]",
        "(lambda: [(512, 10, 5)])()",
        "[(512, 10, 5)][0:1]",
        "import os",
        "[(512, 10, 5)]\0",
        "(" * 5000 + ")" * 5000,
        "[(512, 10, 5)]" + " + [(512, 10, 5)]" * 5000,
        None,
        7,
    ],
    ids=lambda spec: str(spec)[:40],
)
def test_everything_else_is_refused(spec: Any) -> None:
    with pytest.raises(ValueError, match="Expected a list of"):
        parse_conv_spec(spec)


@pytest.mark.parametrize("spec", ["1000000 * [(1, 1, 1)]", "[(1, 1, 1)]" + " * 90" * 3])
def test_a_refused_layer_list_costs_no_memory(spec: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="Expected a list of"):
            parse_conv_spec(spec)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
