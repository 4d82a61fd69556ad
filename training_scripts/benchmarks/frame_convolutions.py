#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Forward and backward of grouped convolutions over frames on a CPU, ours beside torch's `nn.Conv1d`, in one run.

    OMP_NUM_THREADS=1 taskset -c 0 python training_scripts/benchmarks/frame_convolutions.py
    python training_scripts/benchmarks/frame_convolutions.py --layers "audio base, decoder" --rounds 9

A layer is convolution, layer norm and GELU, with the same weights in both arms, in float32 and under autocast.
Both run under the same setting of the allocator, printed with the threads. Medians of alternating rounds after two
that are not counted, in processor time: other programs on the machine disturb it less than the clock's.
"""

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from hf_ssl.models.convolutions import FrameConv1d
from hf_ssl.training.allocator import keep_freed_memory

WARM_UP = 2


class Size(NamedTuple):
    """Of a layer and its input."""

    batch_size: int
    num_frames: int
    in_channels: int
    out_channels: int
    kernel_size: int
    groups: int


SIZES = {
    "audio base, positions": Size(2, 499, 768, 768, 19, 16),
    "audio base, first of decoder": Size(16, 499, 768, 384, 7, 16),
    "audio base, decoder": Size(16, 499, 384, 384, 7, 16),
    "audio laptop, positions": Size(8, 150, 192, 192, 9, 8),
    "audio laptop, decoder": Size(64, 150, 128, 128, 7, 8),
}


class PlainLayer(nn.Module):
    """The layer as one would write it."""

    def __init__(self, conv: nn.Conv1d):
        super().__init__()
        self.conv = conv

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = self.conv(hidden_states.transpose(1, 2)).transpose(1, 2)
        return F.gelu(F.layer_norm(hidden_states, hidden_states.shape[-1:]))


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", choices=SIZES, default=list(SIZES), metavar="LAYER", help=str([*SIZES]))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    keeps = keep_freed_memory()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, freed memory kept: {keeps}")
    ratios = {}
    for name in arguments.layers:
        for autocast in (False, True):
            times = measure(SIZES[name], autocast, arguments.rounds)
            label = f"{name}, {'bfloat16' if autocast else 'float32'}"
            ratios[label] = print_row(label, times)
    return ratios


def measure(size: Size, autocast: bool, rounds: int) -> torch.Tensor:
    """Seconds of forward and backward, `(rounds, 2)`: torch's, ours."""
    torch.manual_seed(0)
    ours = FrameConv1d(size.in_channels, size.out_channels, size.kernel_size, size.groups)
    dtype = torch.bfloat16 if autocast else torch.float32
    frames = torch.randn(size.batch_size, size.num_frames, size.in_channels, dtype=dtype)
    gradient = torch.randn(size.batch_size, size.num_frames, size.out_channels, dtype=dtype)
    layers = (PlainLayer(ours.conv), ours)
    times = [[step(layer, frames, gradient, autocast) for layer in layers] for _ in range(WARM_UP + rounds)]
    return torch.tensor(times[WARM_UP:], dtype=torch.float64)


def step(layer: nn.Module, frames: torch.Tensor, gradient: torch.Tensor, autocast: bool) -> float:
    layer.zero_grad()
    frames = frames.clone().requires_grad_()
    started = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        convolved = layer(frames)
    convolved.backward(gradient)
    return time.process_time() - started


def print_row(label: str, times: torch.Tensor) -> float:
    """Median milliseconds of both, and how many times faster ours is: median, least and most of all rounds."""
    ratio = times[:, 0] / times[:, 1]
    plain, ours = (1e3 * times.median(dim=0).values).tolist()
    print(
        f"{label:<42}{plain:8.1f} ms{ours:8.1f} ms{ratio.median():6.2f} x  ({ratio.min():.2f} to {ratio.max():.2f})",
        flush=True,
    )
    return ratio.median().item()


if __name__ == "__main__":
    main()
