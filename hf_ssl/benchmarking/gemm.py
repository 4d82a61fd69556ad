# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The speed of large matrix products on this machine: what a step's speed is a share of."""

import time

import torch

_SIZES = {"cpu": 2048, "cuda": 8192}
_ROUNDS = 5


def gemm_flops_per_second(device: str, dtype: torch.dtype) -> float:
    """The best of some rounds of a square product, floating-point operations per second."""
    size = _SIZES[device]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(_ROUNDS):
        started = _now(device)
        left @ right
        best = max(best, 2 * size**3 / (_now(device) - started))
    return best


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
