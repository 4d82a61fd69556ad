# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Counts, on a CPU, how often a GPU's host would wait for an answer of the device."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from hf_ssl.models import clustering, input_checks, masking, teacher, token_checks

# Where the package asks for what only a CPU has at hand.
MODULES = (input_checks, token_checks, clustering, masking, teacher)
ASKS = {"_local_scalar_dense", "equal", "nonzero", "masked_select", "bincount", "_unique2"}
INDEXES = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}


class _Operations(TorchDispatchMode):
    """Operations whose result, or its shape, the host has to know, also those of the backward pass."""

    def __init__(self, waits: Counter[str]):
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = func.__name__.split(".")[0]
        by_mask = name in INDEXES and any(index is not None and index.dtype == torch.bool for index in args[1])
        if by_mask and len(args) > 2 and args[2].numel() == 1 and not any(args[3:]):
            by_mask = False  # one value for all, which is put in without asking where
        if by_mask or name in ASKS:
            self.waits["mask" if by_mask else name] += 1
        return func(*args, **(kwargs or {}))


class _Calls(TorchFunctionMode):
    """Calls that are no operations on a CPU: a list of a tensor, and a tensor of a list that the device has to get."""

    def __init__(self, waits: Counter[str]):
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is F.one_hot:  # which checks its argument on a CPU only
            before = self.waits.copy()
            result = func(*args, **(kwargs or {}))
            self.waits.clear()
            self.waits.update(before)
            return result
        if func is torch.Tensor.tolist or (func is torch.tensor and "device" in (kwargs or {})):
            self.waits[func.__name__] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def counted_waits() -> Iterator[Counter[str]]:
    """How often each kind was asked for so far; checks that ask on a CPU only are left out, as on a GPU."""
    waits: Counter[str] = Counter()
    with ExitStack() as stack:
        for module in MODULES:
            stack.enter_context(patch.object(module, "can_ask", lambda tensor: False))
        with _Calls(waits), _Operations(waits):
            yield waits
