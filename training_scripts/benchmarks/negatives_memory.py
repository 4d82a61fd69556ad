#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Memory of the contrastive loss of data2vec-aqc: negatives as vectors, as in the original, and picked out of one
matrix product, as here. Both give the same loss.

    python negatives_memory.py
    python negatives_memory.py --batch_size 19 --num_masked 320 --num_negatives 100 --size 256

What counts is what a forward keeps for its backward, each memory once; on a GPU the peak is printed too.
"""

import argparse
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from hf_ssl.models.contrast import contrastive_logits, contrastive_loss, draw_negatives

MEBIBYTE = 2**20
Logits = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Prints, and returns, the MiB of either way and both losses."""
    arguments = parse_arguments(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    figures: dict[str, float] = {}
    for name, logits_of in (("materialised", materialised_logits), ("picked", picked_logits)):
        loss, saved, peak = measure(logits_of, arguments, device)
        figures |= {f"{name}_mib": saved / MEBIBYTE, f"{name}_loss": loss}
        on_gpu = "" if peak is None else f", peak {peak / MEBIBYTE:.0f} MiB"
        print(f"{name}: loss {loss:.4f} per frame, {saved / MEBIBYTE:.1f} MiB kept for the backward{on_gpu}")
    print(f"{figures['materialised_mib'] / figures['picked_mib']:.1f} times less")
    return figures


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch_size", type=int, default=8, help="utterances (default: %(default)s)")
    parser.add_argument("--num_masked", type=int, default=250, help="masked frames of each (default: %(default)s)")
    parser.add_argument("--num_negatives", type=int, default=100, help="of each frame (default: %(default)s)")
    parser.add_argument("--size", type=int, default=256, help="of the vectors (default: %(default)s)")
    return parser.parse_args(argv)


def materialised_logits(anchors: torch.Tensor, pool: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
    """Every negative as a vector of its own."""
    rows = torch.arange(len(pool), device=pool.device).view(-1, 1, 1)
    candidates = torch.cat([pool.unsqueeze(2), pool[rows, negatives]], dim=2)
    return F.cosine_similarity(anchors.unsqueeze(2), candidates, dim=-1) / 0.1


def picked_logits(anchors: torch.Tensor, pool: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
    return contrastive_logits(anchors, pool, negatives, 0.1)


def measure(logits_of: Logits, arguments: argparse.Namespace, device: torch.device) -> tuple[float, int, int | None]:
    """Loss per frame, bytes that the forward keeps, and, on a GPU, the peak of forward and backward."""
    torch.manual_seed(0)
    shape = (arguments.batch_size, arguments.num_masked, arguments.size)
    anchors = torch.randn(shape, device=device, requires_grad=True)
    pool = torch.randn(shape, device=device, requires_grad=True)
    is_real = torch.ones(shape[:2], dtype=torch.bool, device=device)
    negatives = draw_negatives(is_real, arguments.num_negatives)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = contrastive_loss(logits_of(anchors, pool, negatives), is_real) / is_real.sum()
    loss.backward()
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    return loss.item(), sum(kept.values()), peak


if __name__ == "__main__":
    main()
