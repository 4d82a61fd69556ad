# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Where a figure is measured: machine, versions, and how memory is managed."""

from collections.abc import Mapping
from typing import Any

import torch
import transformers

from ..results import cpu_model, provenance
from ..training.allocator import keep_freed_memory

_KEPT, _AS_IT_IS = "freed memory kept", "allocator as it is"


def settle(device: str) -> dict[str, Any]:
    """On a CPU tells the allocator to keep freed memory, as the training scripts do.

    Args:
        device: `"cpu"` or `"cuda"`, where it will be measured.

    Returns:
        Version, commit, machine, versions of torch and transformers, allocator; of a CPU also the processor.
    """
    place = provenance(device) | {"torch": torch.__version__, "transformers": transformers.__version__}
    if device != "cpu":
        return place | {"allocator": "torch's allocator of the GPU"}
    return place | {"cpu": cpu_model(), "allocator": _KEPT if keep_freed_memory() else _AS_IT_IS}


def describe_place(where: Mapping[str, Any]) -> str:
    """In words; what a file of an earlier version does not say is left out."""
    words = [f"{where['machine']}"]
    words += [str(where["cpu"])] if "cpu" in where else []
    words += [f"{name} {where[name]}" for name in ("torch", "transformers") if name in where]
    return ", ".join([*words, *([where["allocator"]] if "allocator" in where else [])])
