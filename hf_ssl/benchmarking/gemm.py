# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The speed of large matrix products on this machine: what a step's speed is a share of."""

import torch

from .phases import Stopwatch

_SIZES = {"cpu": 2048, "cuda": 8192}
_ROUNDS = 5


def gemm_flops_per_second(device: str, dtype: torch.dtype) -> float:
    """The best of some rounds of a square product, floating-point operations per second."""
    size = _SIZES[device]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    stopwatch, best = Stopwatch(device), 0.0
    for _ in range(_ROUNDS):
        started = stopwatch.now()
        left @ right
        best = max(best, 2 * size**3 / (stopwatch.now() - started))
    return best
