# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A device beside the CPU where there is none: tensors that say they are on it, and compute on the CPU.

They find what a GPU would find, without one: operands on two devices, tensors made on the wrong one, and paths of code
that a CPU does not take. Kernels, precision and autocast of a real device they do not have.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# The only kind of device, but "meta", whose backward pass torch runs without a driver of its own.
OTHER = torch.device("lazy", 0)
# Operations that may have tensors of two devices, as on a GPU.
MIXED = {"copy_", "_to_copy", "to", "_foreach_copy_"}
INDEXES = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}


class OtherDeviceTensor(torch.Tensor):
    """Says that it is on `OTHER`; `inner` has the values."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "OtherDeviceTensor":
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=OTHER
        )
        tensor.inner = inner
        return tensor

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OtherDeviceTensor({self.inner})"

    def tolist(self) -> Any:
        """Which torch has not for subclasses."""
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Gets what has no tensor among its arguments too, as `torch.zeros(3, device=OTHER)`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _compute(func, args, kwargs or {})


def _compute(func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    on_other = _check_devices(func, args, kwargs)
    result = func(*tree_map(_to_cpu, args), **tree_map(_to_cpu, kwargs))
    if result is None:
        return None
    if func.__name__.split(".")[0].endswith("_"):  # in place
        return args[0]
    if "out" in kwargs:
        return kwargs["out"]
    for device in tree_leaves((args, kwargs)):
        if isinstance(device, torch.device):
            on_other = device.type == OTHER.type
    return tree_map(_to_other, result) if on_other else result


def _check_devices(func: Any, args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether the result is on `OTHER`; refuses operands on both devices as a GPU does."""
    name = func.__name__.split(".")[0]
    if name in MIXED:
        return any(isinstance(leaf, OtherDeviceTensor) for leaf in tree_leaves(args[0]))
    operands = [args[0], *args[2:]] if name in INDEXES and isinstance(args[0], OtherDeviceTensor) else [args, kwargs]
    tensors = [leaf for leaf in tree_leaves(operands) if isinstance(leaf, torch.Tensor)]
    kinds = {isinstance(tensor, OtherDeviceTensor) for tensor in tensors if tensor.dim() > 0}
    if len(kinds) > 1:
        raise RuntimeError(f"Expected all tensors of {func} to be on one device, got {OTHER} and cpu.")
    return any(isinstance(tensor, OtherDeviceTensor) for tensor in tensors)


def _to_cpu(leaf: Any) -> Any:
    if isinstance(leaf, OtherDeviceTensor):
        return leaf.inner
    return torch.device("cpu") if isinstance(leaf, torch.device) and leaf.type == OTHER.type else leaf


def _to_other(leaf: Any) -> Any:
    return OtherDeviceTensor(leaf) if isinstance(leaf, torch.Tensor) else leaf


def move(model: nn.Module) -> None:
    """Parameters and buffers go to `OTHER`; those that are one stay one."""
    moved: dict[int, Any] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in moved:
                moved[id(parameter)] = nn.Parameter(OtherDeviceTensor(parameter.detach()), parameter.requires_grad)
            module._parameters[name] = None if parameter is None else moved[id(parameter)]
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else OtherDeviceTensor(buffer)


@contextmanager
def other_device() -> Iterator[torch.device]:
    """Within it, tensors and generators can be made on `OTHER`, which knows no autocast."""
    autocast, is_enabled, generator, tensor = torch.autocast, torch.is_autocast_enabled, torch.Generator, torch.tensor

    def without_autocast(device_type: str, *args: Any, **kwargs: Any) -> Any:
        if device_type != OTHER.type:
            return autocast(device_type, *args, **kwargs)
        assert kwargs == {"enabled": False}
        return autocast("cpu", enabled=False)

    def enabled(device_type: str | None = None) -> bool:
        return device_type != OTHER.type and (is_enabled(device_type) if device_type else is_enabled())

    def make_tensor(data: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        is_there = device is not None and torch.device(device).type == OTHER.type
        return tensor(data, **kwargs).to(OTHER) if is_there else tensor(data, device=device, **kwargs)

    with (
        patch.object(torch, "tensor", make_tensor),
        patch.object(torch, "autocast", without_autocast),
        patch.object(torch, "is_autocast_enabled", enabled),
        patch.object(torch, "Generator", lambda device="cpu": generator(_to_cpu(device))),
        _Mode(),
    ):
        yield OTHER
