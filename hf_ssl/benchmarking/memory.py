# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Memory of a step: of the GPU's allocator, or of this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

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


def resident_bytes() -> int:
    """Resident size of this process; 0 where the system does not say it as Linux does."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 if status.exists() else 0


def is_out_of_memory(error: Exception) -> bool:
    """Whether there was no room: a GPU's error has a class of its own, that of torch on a CPU has not."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def available_bytes() -> int | None:
    """What this machine, or the control group that this process is in, has left; `None` where it is not Linux."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    of_machine = int(lines["MemAvailable"].split()[0]) * 1024
    return min([of_machine, *_left_in_group(Path("/sys/fs/cgroup"))])


def _left_in_group(group: Path) -> list[int]:
    """The limit of a control group (version 2) less what cannot be given back; nothing without a limit."""
    limit, statistics = group / "memory.max", group / "memory.stat"
    if not (limit.exists() and statistics.exists()) or limit.read_text().strip() == "max":
        return []
    held = dict(line.split() for line in statistics.read_text().splitlines())
    return [int(limit.read_text()) - int(held["anon"])]
