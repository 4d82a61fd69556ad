# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Every golden case that can be found is computed by our code and compared, tensor by tensor.

`pytest tests/parity --golden DIR` (repeatable) looks for cases elsewhere. What to do with a case is decided by
what its `meta.json` says, never by its name.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from families import FAMILIES
from parity import (
    check_best_rq,
    check_data2vec2_audio,
    check_data2vec2_text,
    check_data2vec2_vision,
    check_data2vec_aqc,
    check_data2vec_audio,
    check_finetuned_ctc,
    check_finetuned_images,
    check_finetuned_text,
    check_functions,
)
from parity.golden import GoldenCase, find_cases
from torch._dynamo.backends.debugging import aot_eager
from transformers import PreTrainedModel
from transformers.integrations import flex_attention

from hf_ssl.models import attention

CHECKS: dict[tuple[str, str], Callable[[GoldenCase, Path], None]] = {
    ("data2vec2", "AUDIO"): check_data2vec2_audio.check,
    ("data2vec2", "IMAGE"): check_data2vec2_vision.check,
    ("data2vec1-audio", ""): check_data2vec_audio.check,
    ("data2vec-aqc", ""): check_data2vec_aqc.check,
    ("finetuned", "wav2vec_ctc of data2vec-aqc"): check_finetuned_ctc.check_aqc,
    ("finetuned", "wav2vec_ctc of data2vec1"): check_finetuned_ctc.check,
    ("finetuned", "wav2vec_ctc of data2vec2"): check_finetuned_ctc.check,
    ("finetuned", "mae_image_classification"): check_finetuned_images.check,
    ("data2vec2", "TEXT"): check_data2vec2_text.check,
    ("finetuned", "data2vec_text_classification"): check_finetuned_text.check,
    ("functions", ""): check_functions.check,
    ("BEST-RQ", ""): check_best_rq.check,
    ("BEST-RQ mask", ""): check_best_rq.check_masks,
    ("BEST-RQ quantizer", ""): check_best_rq.check_quantizer,
}

# Families whose attention is ours: not those that transformers' own classes compute, nor functions without a network.
ATTENDING = [kind for kind in CHECKS if kind[0] in ("data2vec2", "data2vec1-audio", "data2vec-aqc", "BEST-RQ")] + [
    ("finetuned", "wav2vec_ctc of data2vec2"),
    ("finetuned", "mae_image_classification"),
    ("finetuned", "data2vec_text_classification"),
]
# The ways that attention is computed on a CPU, each for all layers instead of where it is fastest.
ATTENTION: dict[str, dict[str, Any]] = {
    "fused": {"_is_fused_badly": lambda *_: False},
    "written out": {"_is_fused_badly": lambda *_: True, "_MANY_SCORES": inf},
    "in blocks": {"_is_fused_badly": lambda *_: True, "_MANY_SCORES": 0},
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = find_cases(metafunc.config.getoption("--golden"))
        if {"way", "graphs", "flex"}.intersection(metafunc.fixturenames):
            cases = [case for case in cases if case.kind in ATTENDING]
        if "flex" in metafunc.fixturenames:  # which has no backward pass on a CPU
            cases = [case for case in cases if case.kind[0] == "finetuned"]
        is_slow = {"data2vec-aqc"} if "graphs" in metafunc.fixturenames else set()  # more than a minute
        marks = {True: [pytest.mark.slow], False: []}
        metafunc.parametrize(
            "case", [pytest.param(case, id=case.folder.name, marks=marks[case.kind[0] in is_slow]) for case in cases]
        )


def test_there_are_cases(request: pytest.FixtureRequest) -> None:
    assert find_cases(request.config.getoption("--golden")), "no golden case was found: the parity test tested nothing"


def test_parity(case: GoldenCase, tmp_path: Path) -> None:
    assert case.kind in CHECKS, f"{case.folder} is of the unknown family {case.kind}"
    CHECKS[case.kind](case, tmp_path / "converted")


@pytest.mark.parametrize("way", ATTENTION)
def test_parity_of_every_way_of_attention(
    case: GoldenCase, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small cases would take one way only; and the way that is meant is the one that runs."""
    for name, value in ATTENTION[way].items():
        monkeypatch.setattr(attention, name, value)
    kernels = {
        "fused": (attention.F, "scaled_dot_product_attention"),
        "written out": (attention, "eager_attention_forward"),
        "in blocks": (attention, "attend_in_blocks"),
    }
    spies = {name: Mock(wraps=getattr(*kernel)) for name, kernel in kernels.items()}
    for name, kernel in kernels.items():
        monkeypatch.setattr(*kernel, spies[name])
    CHECKS[case.kind](case, tmp_path / "converted")
    called = {name for name, spy in spies.items() if spy.called}
    # transformers' own encoder, whose features are compared too, has its own choice: fused.
    assert called == ({way, "fused"} if case.kind[0] == "data2vec1-audio" else {way})


class Graphs:
    """A backend of `torch.compile` that traces forward and backward, and notes what is in the graphs."""

    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable:
        self.operations.update(getattr(node.target, "__name__", str(node.target)) for node in graph.graph.nodes)
        return aot_eager(graph, inputs)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Graphs:
    """All classes of ours for pre-training and fine-tuning are compiled from here on."""
    torch.compiler.reset()
    backend = Graphs()
    for cls in {cls for family in FAMILIES for name, cls in family.classes.items() if name != "AutoModel"}:
        monkeypatch.setattr(cls, "forward", torch.compile(cls.forward, backend=backend))
    return backend


def test_parity_of_compiled_models(case: GoldenCase, graphs: Graphs, tmp_path: Path) -> None:
    """In graphs nothing is for CPUs only: this is the code that a GPU runs, compiled or not."""
    CHECKS[case.kind](case, tmp_path / "converted")
    assert graphs.operations["scaled_dot_product_attention"] > 0


@pytest.fixture
def flex(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mock]:
    """Models are opened with flex attention from here on, which is not compiled."""
    original = PreTrainedModel.from_pretrained.__func__

    def from_pretrained(cls: type[PreTrainedModel], *args: Any, **kwargs: Any) -> PreTrainedModel:
        return original(cls, *args, **{"attn_implementation": "flex_attention"} | kwargs)

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(from_pretrained))
    kernel = Mock(wraps=flex_attention.compile_friendly_flex_attention)
    monkeypatch.setattr(flex_attention, "compile_friendly_flex_attention", kernel)
    with torch.compiler.set_stance("force_eager"):
        yield kernel


def test_parity_of_flex_attention(case: GoldenCase, flex: Mock, tmp_path: Path) -> None:
    CHECKS[case.kind](case, tmp_path / "converted")
    assert flex.called
