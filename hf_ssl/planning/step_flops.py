# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Floating-point operations that a model's training step needs, those of attention apart.

What is only computed because it was not kept does not count: recomputed layers of activation checkpointing, and scores
that attention computes again in its backward pass. So the share of a machine's speed that these operations come to is
model FLOPs utilisation (MFU; Chowdhery et al., 2022, appendix B), which no such saving of memory can raise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import Node
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, bmm_flop
from torch.utils.hooks import RemovableHandle

from ..models.cross_contrast import CrossContrastiveObjective
from ..models.quantizers import RandomProjectionQuantizer
from .flops import OPERATIONS, Shape

# Modules with products of batches of matrices that are not attention's: codes, contrast and k-means.
_OTHERS = (RandomProjectionQuantizer, CrossContrastiveObjective)
# In whose backward pass one of five products is that of the scores again.
_BLOCKED_ATTENTION = "_BlockedAttentionBackward"


class StepFlops(FlopCounterMode):
    """A context that counts the operations of training steps; `flops` and `attention_flops` afterwards.

    Args:
        model: Is called in the context.
    """

    def __init__(self, model: nn.Module) -> None:
        products = {torch.ops.aten.bmm: self._product, torch.ops.aten.baddbmm: self._sum_and_product}
        super().__init__(display=False, custom_mapping=OPERATIONS | products)
        self._model = model
        self._handles: list[RemovableHandle] = []
        self._repetitions: list[FlopCounterMode] = []
        self._num_others = 0  # of modules and nodes of the graph that are being computed, one within the other
        self._in_blocks = False
        self._of_others = 0

    @property
    def flops(self) -> int:
        """All that count."""
        return self.get_total_flops() - sum(counter.get_total_flops() for counter in self._repetitions)

    @property
    def attention_flops(self) -> int:
        """Those of attention's products, which grow with the square of the length."""
        repeated = sum(_batched_products(counter) for counter in self._repetitions)
        return _batched_products(self) - self._of_others - repeated

    @contextmanager
    def repetition(self) -> Iterator[None]:
        """What is computed in here was counted before. For the second context of torch's `checkpoint`."""
        in_blocks, self._in_blocks = self._in_blocks, False
        self._repetitions.append(FlopCounterMode(display=False, custom_mapping=OPERATIONS))
        try:
            with self._repetitions[-1]:
                yield
        finally:
            self._in_blocks = in_blocks

    def __enter__(self) -> "StepFlops":
        self._handles.append(self._model.register_forward_hook(self._watch_attention, with_kwargs=True))
        for module in self._model.modules():
            if isinstance(module, _OTHERS):
                self._handles.append(module.register_forward_pre_hook(lambda *_: self._move(1)))
                self._handles.append(module.register_forward_hook(self._leave_others, with_kwargs=True))
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        return super().__exit__(*exception)

    def _product(self, left: Shape, right: Shape, *args: Any, **kwargs: Any) -> int:
        flops = bmm_flop(left, right)
        if self._in_blocks and right[2] > 1:  # which only gradients of ALiBi's slopes are not
            flops = 4 * flops // 5
        self._of_others += flops * bool(self._num_others)
        return flops

    def _sum_and_product(self, total: Shape, left: Shape, right: Shape, *args: Any, **kwargs: Any) -> int:
        return self._product(left, right)

    def _move(self, step: int) -> None:
        self._num_others += step

    def _leave_others(self, module: nn.Module, inputs: Any, named: Any, outputs: Any) -> None:
        """Ends such a module's forward pass, and finds its nodes for the backward pass."""
        self._move(-1)
        for node in _nodes_between((inputs, named), outputs):
            self._handles.append(node.register_prehook(lambda *_: self._move(1)))
            self._handles.append(node.register_hook(lambda *_: self._move(-1)))

    def _watch_attention(self, module: nn.Module, inputs: Any, named: Any, outputs: Any) -> None:
        for node in _nodes_between((inputs, named), outputs):
            if node.name() == _BLOCKED_ATTENTION:
                self._handles.append(node.register_prehook(lambda *_: self._set_in_blocks(True)))
                self._handles.append(node.register_hook(lambda *_: self._set_in_blocks(False)))

    def _set_in_blocks(self, in_blocks: bool) -> None:
        self._in_blocks = in_blocks


def _batched_products(counter: FlopCounterMode) -> int:
    """Of fused attention, and of batches of matrices."""
    counts = {str(operation): count for operation, count in counter.get_flop_counts().get("Global", {}).items()}
    return sum(count for name, count in counts.items() if "attention" in name or name.endswith("bmm"))


def _nodes_between(inputs: Any, outputs: Any) -> set[Node]:
    """Those of the graph behind tensors in `outputs` that are not behind those in `inputs`; leaves' are left out."""
    seen = set(_nodes_of(inputs))
    found: set[Node] = set()
    waiting = _nodes_of(outputs)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            found.add(node)
            waiting += [following for following, _ in node.next_functions if following is not None]
    return {node for node in found if node.next_functions}


def _nodes_of(values: Any) -> list[Node]:
    return [
        leaf.grad_fn for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor) and leaf.grad_fn is not None
    ]
