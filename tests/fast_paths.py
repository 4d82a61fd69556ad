# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Which of the hand-written autograd functions run: their conditions may fail silently, for torch gives the same."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch

from hf_ssl.models import activated_linear, attention, blocked_attention, dropout, layer_norm, strided_convolution

FUNCTIONS: dict[str, type[torch.autograd.Function]] = {
    "waveform layer": strided_convolution._BlockedLayer,
    "attention": blocked_attention._BlockedAttention,
    "activated linear": activated_linear._GeluLinear,
    "layer norm": layer_norm._LayerNorm,
    "dropout": dropout._Keep,
}


@contextmanager
def functions_that_run() -> Iterator[set[str]]:
    """Names of those that ran so far; attention takes blocks whatever its size."""
    names: set[str] = set()
    with ExitStack() as stack:
        stack.enter_context(patch.object(attention, "_MANY_SCORES", 0))
        for name, function in FUNCTIONS.items():
            stack.enter_context(patch.object(function, "apply", _recording(function.apply, names, name)))
        yield names


def _recording(apply: Callable[..., Any], names: set[str], name: str) -> Callable[..., Any]:
    def record(*args: Any) -> Any:
        names.add(name)
        return apply(*args)

    return record
