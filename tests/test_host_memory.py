# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
from pathlib import Path

import pytest

from hf_ssl import host_memory
from hf_ssl.host_memory import available_bytes, memory_limits, resident_bytes


def write_group(group: Path, limit: str, held: int) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.stat").write_text(f"anon {held}\nfile 12345\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 1,000 KiB with 800 left, and the folder of its control groups; this process is in `jobs/7/step`."""
    (tmp_path / "meminfo").write_text("MemTotal:  1000 kB\nMemFree: 5 kB\nMemAvailable:  800 kB\n")
    (tmp_path / "own").write_text("4:memory:/old\n0::/jobs/7/step\n")
    for name in ("meminfo", "own", "groups"):
        monkeypatch.setattr(host_memory, f"_{name.upper()}", tmp_path / name)
    return tmp_path / "groups"


def test_without_control_groups_it_is_the_machines_memory(machine: Path) -> None:
    assert memory_limits() == [(1000 * 1024, 800 * 1024)]
    assert available_bytes() == 800 * 1024


def test_limits_of_the_own_group_and_of_those_around_it_count(machine: Path) -> None:
    write_group(machine, "max", 7)
    write_group(machine / "jobs", "max", 7)
    write_group(machine / "jobs/7", "600000", 100000)  # what a scheduler gave the job
    write_group(machine / "jobs/7/step", "max", 7)
    write_group(machine / "jobs/8", "10", 9)  # another's
    assert memory_limits() == [(1000 * 1024, 800 * 1024), (600000, 500000)]
    assert available_bytes() == 500000
    write_group(machine, "400000", 0)  # of a container
    assert available_bytes() == 400000


def test_other_systems_tell_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "_MEMINFO", machine / "none")
    assert memory_limits() == []
    assert available_bytes() is None


def test_of_this_machine() -> None:
    if not host_memory._MEMINFO.exists():
        assert resident_bytes() == 0
        return
    for limit in memory_limits():
        assert 2**20 < limit.left <= limit.total < 2**50
    assert 2**20 < resident_bytes() < memory_limits()[0].total
