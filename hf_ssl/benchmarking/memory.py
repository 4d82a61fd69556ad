# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Memory of a step: of the GPU's allocator, or of this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..host_memory import resident_bytes

_PERIOD = 0.005  # seconds


class PeakMemory:
    """`bytes`: the most so far."""

    def __init__(self) -> None:
        self.bytes = 0


@contextmanager
def peak_memory(device: str) -> Iterator[PeakMemory]:
    """Watches memory while the context is open. On a CPU a thread reads the resident size every 5 ms, so that a higher
    value of less time may be missed; Linux only, 0 elsewhere."""
    peak = PeakMemory()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated()
        return
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            peak.bytes = max(peak.bytes, resident_bytes())
            time.sleep(_PERIOD)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield peak
    finally:
        stop.set()
        reader.join()


def held_bytes(device: str) -> int:
    """What is in use now."""
    return torch.cuda.memory_allocated() if device == "cuda" else resident_bytes()


def is_out_of_memory(error: Exception) -> bool:
    """Whether there was no room: a GPU's error has a class of its own, that of torch on a CPU has not."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
