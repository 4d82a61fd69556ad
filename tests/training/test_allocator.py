# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import platform
import subprocess
import sys

import pytest

from hf_ssl.training import allocator, running

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


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", None)  # would fail if it were called
    assert not allocator.keep_freed_memory()


@pytest.mark.parametrize(("has_gpu", "is_done"), [(False, True), (False, False), (True, True)])
def test_scripts_say_that_memory_is_kept(
    has_gpu: bool, is_done: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running.torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(running, "keep_freed_memory", lambda: is_done)
    running.run_script(lambda argv: None)
    messages = [record.getMessage() for record in caplog.records]
    assert any("memory of freed tensors is kept" in message for message in messages) == (is_done and not has_gpu)
