# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Memory of this process and of the machine, as Linux tells it; elsewhere nothing is known."""

import mmap
from pathlib import Path
from typing import NamedTuple

_MEMINFO = Path("/proc/meminfo")
_OWN = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


class MemoryLimit(NamedTuple):
    """What this process can have in all, and what is left of it, in bytes."""

    total: int
    left: int


def resident_bytes() -> int:
    """Resident size of this process; 0 where it is not known."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * mmap.PAGESIZE if status.exists() else 0


def available_bytes() -> int | None:
    """What the machine, and every control group that this process is in, has left; `None` where it is not known."""
    return min((limit.left for limit in memory_limits()), default=None)


def memory_limits() -> list[MemoryLimit]:
    """The machine's memory, and the limits of the control groups (version 2) that this process is in."""
    if not _MEMINFO.exists():
        return []
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
    total, left = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    of_groups = [_limit_of_group(group) for group in _own_groups()]
    return [MemoryLimit(total, left), *(limit for limit in of_groups if limit is not None)]


def _own_groups() -> list[Path]:
    """The folder of this process' group, and those of the groups around it."""
    lines = _OWN.read_text().splitlines() if _OWN.exists() else []
    names = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
    groups = [_GROUPS, *(_GROUPS / name for name in names)]
    around = [parent for group in groups for parent in group.parents if _GROUPS in parent.parents]
    return list(dict.fromkeys([*groups, *around]))


def _limit_of_group(group: Path) -> MemoryLimit | None:
    """The limit, and it less what cannot be given back; `None` without a limit."""
    limit, statistics = group / "memory.max", group / "memory.stat"
    if not (limit.exists() and statistics.exists()) or limit.read_text().strip() == "max":
        return None
    held = dict(line.split() for line in statistics.read_text().splitlines())
    total = int(limit.read_text())
    return MemoryLimit(total, total - int(held["anon"]))
