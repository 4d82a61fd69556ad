# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import platform
import subprocess
import sys

import pytest

from hf_ssl.host_memory import MemoryLimit
from hf_ssl.training import allocator, callbacks, running
from hf_ssl.training.callbacks import FreedMemoryCallback

# Page faults of writing 64 MiB five times over, which the system counts for every page that it fills with zeros.
COUNT_FAULTS = """
import resource, sys, torch
from hf_ssl.training.allocator import keep_freed_memory
if "keep" in sys.argv: assert keep_freed_memory()
write = lambda: torch.empty(2**24).fill_(1)
for _ in range(5): write()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): write()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_large_tensors_get_memory_that_was_used_before() -> None:
    faults = [
        int(subprocess.run([sys.executable, "-c", COUNT_FAULTS, word], capture_output=True, check=True).stdout)
        for word in ("keep", "give back")
    ]
    assert faults[0] < 100 < faults[1]


# Resident MiB before 64 tensors of 4 MiB are freed, between 64 that are not, afterwards, and after an update.
COUNT_RESIDENT = """
import torch
from hf_ssl.host_memory import resident_bytes
from hf_ssl.training.allocator import keep_freed_memory
from hf_ssl.training.callbacks import FreedMemoryCallback
assert keep_freed_memory()
freed, held = map(list, zip(*[(torch.ones(2**20), torch.ones(2**10)) for _ in range(64)]))
print(resident_bytes() // 2**20)
freed.clear()
print(resident_bytes() // 2**20)
FreedMemoryCallback(share=1.0).on_step_end(None, None, None)
print(resident_bytes() // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_memory_is_given_back_when_it_is_short() -> None:
    run = subprocess.run([sys.executable, "-c", COUNT_RESIDENT], capture_output=True, check=True, text=True)
    before, kept, given_back = map(int, run.stdout.split())
    assert kept > before - 32
    assert given_back < before - 224  # of 256
    assert "Memory is short" in run.stderr


def test_it_is_kept_while_there_is_enough_and_the_warning_comes_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(callbacks, "give_back_freed_memory", lambda: given_back.append(1) or True)
    callback = FreedMemoryCallback()
    for left in (11, 9, 8, 12):
        monkeypatch.setattr(callbacks, "memory_limits", lambda left=left: [MemoryLimit(100, left)])
        callback.on_step_end(None, None, None)  # type: ignore[arg-type]
    assert len(given_back) == 2
    assert caplog.text.count("Memory is short") == 1


@pytest.mark.parametrize("name", ["MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"])
def test_what_the_user_has_set_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "131072")
    monkeypatch.setattr(allocator.ctypes, "CDLL", None)  # would fail if it were called
    assert not allocator.keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", None)  # would fail if it were called
    assert not allocator.keep_freed_memory()
    assert not allocator.give_back_freed_memory()


@pytest.mark.parametrize(("has_gpu", "is_done"), [(False, True), (False, False), (True, True)])
def test_scripts_say_that_memory_is_kept(
    has_gpu: bool, is_done: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running.torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(running, "keep_freed_memory", lambda: is_done)
    running.run_script(lambda argv: None)
    messages = [record.getMessage() for record in caplog.records]
    assert any("memory of freed tensors is kept" in message for message in messages) == (is_done and not has_gpu)
