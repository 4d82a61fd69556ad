# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Silence for what libraries tell of loading and of heads that are new, which is noise in the demo."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import transformers


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Only errors of transformers, only warnings of this package, no progress bars but the demo's own."""
    verbosity = transformers.utils.logging.get_verbosity()
    progress_bars = transformers.utils.logging.is_progress_bar_enabled()
    dataset_progress_bars = datasets.utils.logging.is_progress_bar_enabled()
    level = logging.getLogger("hf_ssl").level
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.utils.logging.disable_progress_bar()
    logging.getLogger("hf_ssl").setLevel(logging.WARNING)
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
        if progress_bars:
            transformers.utils.logging.enable_progress_bar()
        if dataset_progress_bars:
            datasets.utils.logging.enable_progress_bar()
        logging.getLogger("hf_ssl").setLevel(level)
