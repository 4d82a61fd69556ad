# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Inputs of layers under activation checkpointing."""

import torch
from torch import nn


def input_of_checkpoints(hidden_states: torch.Tensor, layers: nn.ModuleList) -> torch.Tensor:
    """The input of layers in training, with a gradient if their activation checkpointing needs one.

    Reentrant checkpointing drops the gradients of layers whose input has none, as behind frozen layers. In a graph
    there is no reentrant checkpointing.

    Args:
        hidden_states: Of any shape; a tensor of the caller's own, for it is changed.
        layers: Which of them checkpoint and how, and whether their weights are trained.
    """
    needs_one = (
        not torch.compiler.is_compiling()
        and torch.is_grad_enabled()
        and not hidden_states.requires_grad
        and any(_is_reentrant(layer) for layer in layers)
        and any(parameter.requires_grad for parameter in layers.parameters())
    )
    if needs_one:
        hidden_states.requires_grad_(True)
    return hidden_states


def _is_reentrant(layer: nn.Module) -> bool:
    if not layer.gradient_checkpointing:
        return False
    keywords = getattr(layer._gradient_checkpointing_func, "keywords", {})  # of a `functools.partial`
    return keywords.get("use_reentrant", True)
