# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Inputs of layers under activation checkpointing."""

import torch
from torch import nn


def input_of_checkpoints(hidden_states: torch.Tensor, layers: nn.ModuleList) -> torch.Tensor:
    """The input of layers in training, with a gradient if activation checkpointing needs one.

    Reentrant checkpointing drops the gradients of layers whose input has none, as behind frozen layers. In a graph
    there is no reentrant checkpointing.

    Args:
        hidden_states: Of any shape; a tensor of the caller's own, for it is changed.
        layers: Which of them checkpoint, and whether their weights are trained.
    """
    needs_one = (
        torch.is_grad_enabled()
        and not hidden_states.requires_grad
        and any(layer.gradient_checkpointing for layer in layers)
        and any(parameter.requires_grad for parameter in layers.parameters())
    )
    if needs_one and not torch.compiler.is_compiling():
        hidden_states.requires_grad_(True)
    return hidden_states
