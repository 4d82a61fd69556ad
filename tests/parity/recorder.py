# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What modules saw and gave during a forward."""

import torch
from torch import nn
from transformers.utils import ModelOutput


class Recorder:
    """Keeps inputs and outputs of named modules during forwards."""

    def __init__(self) -> None:
        self.inputs: dict[str, torch.Tensor] = {}
        self.outputs: dict[str, torch.Tensor] = {}

    def watch(self, name: str, module: nn.Module) -> None:
        def hook(_: nn.Module, inputs: tuple, output: torch.Tensor | tuple | ModelOutput) -> None:
            self.inputs[name] = inputs[0].detach().clone()
            self.outputs[name] = (output if isinstance(output, torch.Tensor) else output[0]).detach().clone()

        module.register_forward_hook(hook)
