# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""How beside_originals.py and its workers speak: lines on standard input and output.

A worker says once what it is, takes a training step for every line `step`, and says its highest memory at `end`. It
needs torch and nothing else of this repository, because the originals have Python environments of their own.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

STEP, END = "step", "end"
_BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024

Step = Callable[[], float]
"""One update of a model; gives its loss."""


def serve(make_step: Callable[[], tuple[Step, int]], device: str) -> None:
    """Answers the driver until it says `end` or is gone.

    Args:
        make_step: Makes the model; gives the step and its number of trained parameters.
        device: Of the model, `"cpu"` or `"cuda"`: on a GPU every reading waits for what was begun before.
    """
    # Only answers go to standard output: what libraries print goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(values: dict[str, Any]) -> None:
        print(json.dumps(values), file=answers, flush=True)

    step, num_parameters = make_step()
    about = {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": device_name(device)}
    answer(about | {"num_parameters": num_parameters})
    for line in sys.stdin:
        if line.strip() == END:
            break
        started = now(device)
        loss = step()
        answer({"seconds": now(device) - started, "loss": loss})
    answer({"peak_bytes": peak_bytes(device)})


def now(device: str) -> float:
    """Seconds, when all is done that the device was told to do."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_bytes(device: str) -> int:
    """Highest memory: of tensors on the GPU, or resident of the process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_OF_MAXRSS


def device_name(device: str) -> str:
    """Such as `"NVIDIA H100"`, or `"cpu"`."""
    return torch.cuda.get_device_name() if device == "cuda" else device
