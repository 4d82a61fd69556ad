# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What every test shares: no Hub, one thread per worker, and the `slow` and `gpu` markers."""

import os

# Set before anything imports transformers, datasets or torch, which read them once, on import.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers that each start a thread per core fight for the cores and become several times slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options must be declared in this file: pytest reads deeper `conftest.py` files too late for the command line."""
    parser.addoption(
        "--golden",
        action="append",
        default=[],
        metavar="DIR",
        help="a directory of golden cases for tests/parity; may be repeated; replaces the default directories",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip `slow` tests that the command did not ask for, and `gpu` tests where there is no accelerator."""
    skip_slow = pytest.mark.skip(reason="takes minutes; run with `-m slow`")
    skip_gpu = pytest.mark.skip(reason="needs an accelerator, and torch.cuda.is_available() is False")
    for item in items:
        if item.get_closest_marker("slow") and "slow" not in config.option.markexpr:
            item.add_marker(skip_slow)
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(skip_gpu)
