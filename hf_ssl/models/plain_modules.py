# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Whether a module's weights may be read past the module, as fast paths do."""

import torch
from torch import nn

_PLAIN_TENSORS = (nn.Parameter, torch.Tensor)


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether calling the module would do nothing but `kind.forward` with its own weights.

    It would do more with hooks, with adapters or quantized weights (another `forward`, or tensors of another type),
    and where somebody has put another `forward` in, as offloading does, whose weights are elsewhere until then.

    Args:
        module: The module.
        kind: The class whose function is known, such as `torch.nn.Linear`.
    """
    return (
        isinstance(module, kind)
        and type(module).forward is kind.forward
        and "forward" not in vars(module)
        and not _has_hooks(module)
        and are_plain(*module._parameters.values())
    )


def are_plain(*tensors: torch.Tensor | None) -> bool:
    """Whether the tensors are of torch's own types, and not quantized or distributed ones."""
    return all(tensor is None or type(tensor) in _PLAIN_TENSORS for tensor in tensors)


def is_run_as_written() -> bool:
    """Whether operations run one by one, and the code is not being compiled, traced or transformed."""
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active())


def _has_hooks(module: nn.Module) -> bool:
    """Whether somebody is to be told when the module is called."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )
