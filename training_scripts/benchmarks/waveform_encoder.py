#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The waveform encoder's forward and backward pass, ours beside transformers', side by side in one run.

    python training_scripts/benchmarks/waveform_encoder.py --seconds 10 --batch_size 2
    python training_scripts/benchmarks/waveform_encoder.py --bf16

Both have the same weights and the size of data2vec's base model, in float32 and, with `--bf16`, also under autocast;
transformers' layers are the baseline as they are. Both run under the same setting of the allocator, printed with the
threads. Medians of alternating rounds after two that are not counted.
"""

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from transformers import Data2VecAudioConfig
from transformers.models.data2vec.modeling_data2vec_audio import Data2VecAudioFeatureEncoder

from hf_ssl.models.data2vec_audio_encoder import make_faster
from hf_ssl.models.layer_norm import sum_gradients_in_float32
from hf_ssl.training.allocator import keep_freed_memory

WARM_UP = 2


class Arm(NamedTuple):
    """An encoder and a precision."""

    name: str
    encoder: nn.Module
    autocast: bool

    def step(self, input_values: torch.Tensor, gradient: torch.Tensor) -> float:
        """Seconds of forward and backward."""
        self.encoder.zero_grad()
        started = time.perf_counter()
        with torch.autocast(input_values.device.type, torch.bfloat16, enabled=self.autocast):
            frames = self.encoder(input_values.clone())
        frames.backward(gradient.to(frames.dtype))
        if input_values.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - started


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a clip (default: %(default)s)")
    parser.add_argument("--channels", type=int, default=512, help="of every layer (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bf16", action="store_true", help="also under autocast")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args(argv)
    keeps = keep_freed_memory()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, freed memory kept: {keeps}")

    torch.manual_seed(0)
    arms = make_arms(arguments.channels, arguments.bf16, arguments.device)
    input_values = torch.randn(arguments.batch_size, int(arguments.seconds * 16_000), device=arguments.device)
    gradient = torch.randn_like(arms[0].encoder(input_values.clone()))
    times: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for number in range(WARM_UP + arguments.rounds):
        for arm in arms:
            seconds = arm.step(input_values, gradient)
            if number >= WARM_UP:
                times[arm.name].append(seconds)
    return print_table(times)


def make_arms(channels: int, bf16: bool, device: str) -> list[Arm]:
    config = Data2VecAudioConfig(conv_dim=(channels,) * 7)
    baseline = Data2VecAudioFeatureEncoder(config).to(device)
    ours = Data2VecAudioFeatureEncoder(config).to(device)
    make_faster(ours)
    sum_gradients_in_float32(ours)
    ours.load_state_dict(baseline.state_dict())
    return [
        Arm(f"{name}, {'bfloat16' if autocast else 'float32'}", encoder, autocast)
        for autocast in ([False, True] if bf16 else [False])
        for name, encoder in (("transformers", baseline), ("ours", ours))
    ]


def print_table(times: dict[str, list[float]]) -> dict[str, float]:
    """Median seconds, and how many times faster than the first arm: median, least and most of all rounds."""
    baseline = torch.tensor(next(iter(times.values())))
    ratios = {}
    for name, seconds in times.items():
        measured = torch.tensor(seconds)
        ratio = baseline / measured
        ratios[name] = ratio.median().item()
        print(f"{name:<24}{measured.median():7.3f} s{ratios[name]:8.2f} x  ({ratio.min():.2f} to {ratio.max():.2f})")
    return ratios


if __name__ == "__main__":
    main()
