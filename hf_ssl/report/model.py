# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Opens the model of a run."""

from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

import hf_ssl  # noqa: F401  (registers the classes with the Auto classes)

from .run_folder import Run

# What transformers and the libraries below it raise where a folder is damaged or hostile.
_REFUSALS = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, StrictDataclassError)


def open_part(auto_class: Any, run: Run) -> Any:
    """What an Auto class makes of the run's folder; code in the folder is not executed.

    Raises:
        ValueError: It cannot be opened.
    """
    try:
        return auto_class.from_pretrained(run.model_folder, trust_remote_code=False, local_files_only=True)
    except _REFUSALS as error:
        raise ValueError(
            f"{run.model_folder} cannot be opened with {auto_class.__name__} ({type(error).__name__}: {error})."
        ) from error


def open_model(auto_class: Any, run: Run) -> Any:
    """A model as of [`open_part`], in evaluation mode, with the weights in safetensors."""
    if not any(run.model_folder.glob("model*.safetensors")):
        raise ValueError(f"{run.model_folder} has no weights (model.safetensors).")
    return open_part(auto_class, run).eval()
