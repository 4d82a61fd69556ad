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


def serve(make_step: Callable[[], tuple[Step, int]]) -> None:
    """Answers the driver until it says `end` or is gone.

    Args:
        make_step: Makes the model; gives the step and its number of trained parameters.
    """
    # Only answers go to standard output: what libraries print goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(values: dict[str, Any]) -> None:
        print(json.dumps(values), file=answers, flush=True)

    step, num_parameters = make_step()
    answer({"torch": torch.__version__, "threads": torch.get_num_threads(), "num_parameters": num_parameters})
    for line in sys.stdin:
        if line.strip() == END:
            break
        started = time.perf_counter()
        loss = step()
        answer({"seconds": time.perf_counter() - started, "loss": loss})
    answer({"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_OF_MAXRSS})
