# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Activation checkpointing, under whichever name the installed transformers has for it.

transformers 5.20, the last for Python 3.10, only knows `gradient_checkpointing`; newer ones call it
`activation_checkpointing`, warn of the old name, and remove it in version 6. Here both names mean the same in flags,
recipes and settings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from transformers import PreTrainedModel, TrainingArguments

_NEW_NAMES = {
    "gradient_checkpointing": "activation_checkpointing",
    "gradient_checkpointing_kwargs": "activation_checkpointing_kwargs",
}
_HAS_NEW_NAMES = "activation_checkpointing" in {field.name for field in fields(TrainingArguments)}
_INSTALLED_NAMES = _NEW_NAMES if _HAS_NEW_NAMES else {new: old for old, new in _NEW_NAMES.items()}


def installed_name(name: str) -> str:
    """What the installed transformers calls a training argument."""
    return _INSTALLED_NAMES.get(name, name)


def with_installed_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Training arguments under the names that the installed transformers has for them.

    Raises:
        ValueError: One is given under both of its names.
    """
    for name, installed in _INSTALLED_NAMES.items():
        if name in settings and installed in settings:
            raise ValueError(f"{name!r} and {installed!r} are two names of one setting. Give one of them.")
    return {installed_name(name): value for name, value in settings.items()}


def flags_with_installed_names(flags: Iterable[str]) -> list[str]:
    """The same for a command line; whatever is no such flag stays as it is."""
    return [_renamed(part) if part.startswith("--") else part for part in flags]


def _renamed(flag: str) -> str:
    name, *value = flag.removeprefix("--").split("=", 1)
    plain = name.replace("-", "_")
    return "=".join([f"--{_INSTALLED_NAMES[plain]}", *value]) if plain in _INSTALLED_NAMES else flag


def checkpoints_activations(args: TrainingArguments) -> bool:
    """Whether layers are computed a second time in the backward pass instead of keeping their activations."""
    return bool(vars(args)[installed_name("activation_checkpointing")])


def enable_activation_checkpointing(model: PreTrainedModel, **checkpoint_kwargs: Any) -> None:
    """Computes the model's layers a second time in the backward pass instead of keeping their activations.

    Args:
        model: Whose `supports_gradient_checkpointing` is true.
        **checkpoint_kwargs: Of `torch.utils.checkpoint.checkpoint`; `use_reentrant` is `False` if absent.
    """
    checkpoint_kwargs = {"use_reentrant": False} | checkpoint_kwargs
    if _HAS_NEW_NAMES:
        model.activation_checkpointing_enable(checkpoint_kwargs)
    else:
        model.gradient_checkpointing_enable(checkpoint_kwargs)
