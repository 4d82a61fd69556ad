# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The driver's side of step_protocol.py: a process that takes training steps."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from step_protocol import END, STEP


class Worker:
    """A process that takes a training step when told so (step_protocol.py).

    Args:
        command: How it is started.
        environment: Its environment.

    Raises:
        RuntimeError: It ended; with the last lines of its standard error.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = command
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the worker)
        self._process = subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self.about = self._read()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def step(self) -> tuple[float, float]:
        """Seconds and loss of one more update."""
        answer = self._ask(STEP)
        return answer["seconds"], answer["loss"]

    def end(self) -> int:
        """Ends it; gives the highest memory in bytes."""
        return self._ask(END)["peak_bytes"]

    def _ask(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # ended: _read says why
            self._process.stdin.write(f"{order}\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            last = "".join(self._errors.readlines()[-15:])
            raise RuntimeError(f"{' '.join(self._command)} ended with status {status}:\n{last}")
        return json.loads(line)
