# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Initialisation that torch's own layers start from."""

import math

from torch import nn
from transformers import initialization as init


def init_like_torch(module: nn.Linear | nn.Conv1d | nn.Conv2d) -> None:
    """Uniform in `+-1 / sqrt(fan_in)`: what `reset_parameters` of torch's linear and convolution layers does."""
    bound = 1 / math.sqrt(module.weight[0].numel())
    init.uniform_(module.weight, a=-bound, b=bound)
    if module.bias is not None:
        init.uniform_(module.bias, a=-bound, b=bound)
