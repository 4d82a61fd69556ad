#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Attention of a training step on a CPU, forward and backward: torch's fused function, written out, and in blocks.

    python training_scripts/benchmarks/attention.py
    python training_scripts/benchmarks/attention.py --dropout 0 --no_bias

Sizes are those of students: data2vec 2.0 base on 2 clips of 10 s with 8 masks, data2vec base on the same clips, and
data2vec 2.0 for images, base and small. The bias is ALiBi's with a learned slope. Medians of alternating rounds after
two that are not counted; ratios to the fused function.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ssl.models.attention import eager_attention_forward
from hf_ssl.models.blocked_attention import ScoreBias, attend_in_blocks
from hf_ssl.training.allocator import keep_freed_memory

WARM_UP = 2
# batch, heads, sequence, size of a head
SIZES = {
    "speech, masked copies": (16, 12, 250, 64),
    "speech, whole clips": (2, 12, 500, 64),
    "images, base": (32, 12, 40, 64),
    "images, small": (256, 6, 20, 32),
}


def fused(query: Tensor, key: Tensor, value: Tensor, bias: ScoreBias, p: float) -> Tensor:
    dense = bias.dense()
    mask = None if dense is None else dense.to(query.dtype)
    return F.scaled_dot_product_attention(query, key, value, mask, p).transpose(1, 2)


def written_out(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: ScoreBias, p: float
) -> torch.Tensor:
    dense, scaling = bias.dense(), query.shape[-1] ** -0.5
    position_bias = None if dense is None else dense.to(query.dtype)
    module = torch.nn.Identity()
    return eager_attention_forward(module, query, key, value, None, scaling, p, position_bias)[0]


def in_blocks(query: Tensor, key: Tensor, value: Tensor, bias: ScoreBias, p: float) -> Tensor:
    return attend_in_blocks(query, key, value, bias, scaling=query.shape[-1] ** -0.5, dropout=p)


ARMS: dict[str, Callable] = {"fused": fused, "written out": written_out, "in blocks": in_blocks}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dropout", type=float, default=0.1, help="of the weights (default: %(default)s)")
    parser.add_argument("--no_bias", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    keeps = keep_freed_memory()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, freed memory kept: {keeps}")
    for name, size in SIZES.items():
        for dtype in (torch.float32, torch.bfloat16):
            times = measure(size, dtype, arguments)
            baseline = torch.tensor(times["fused"])
            for arm, seconds in times.items():
                ratio = (baseline / torch.tensor(seconds)).median()
                milliseconds = 1000 * torch.tensor(seconds).median()
                print(f"{name:<24}{str(dtype)[6:]:<10}{arm:<14}{milliseconds:8.1f} ms{ratio:8.2f} x")


def measure(
    size: tuple[int, int, int, int], dtype: torch.dtype, arguments: argparse.Namespace
) -> dict[str, list[float]]:
    """Seconds of each round of each arm."""
    batch_size, num_heads, length, head_size = size
    torch.manual_seed(0)
    qkv = torch.randn(batch_size, length, 3, num_heads, head_size).to(dtype).requires_grad_()
    positions = torch.arange(length).float()
    distances = (positions[:, None] - positions).abs().expand(batch_size, -1, -1)
    slopes = (2.0 ** -torch.arange(1.0, num_heads + 1)).requires_grad_()
    bias = ScoreBias() if arguments.no_bias else ScoreBias(distances, slopes)
    gradient = torch.randn(batch_size, length, num_heads, head_size).to(dtype)
    times: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for number in range(WARM_UP + arguments.rounds):
        for arm, attend in ARMS.items():
            started = time.perf_counter()
            attend(*qkv.permute(2, 0, 3, 1, 4), bias, arguments.dropout).backward(gradient)
            if number >= WARM_UP:
                times[arm].append(time.perf_counter() - started)
    return times


if __name__ == "__main__":
    main()
