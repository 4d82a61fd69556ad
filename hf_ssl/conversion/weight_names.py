# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Rules that turn the names of an original's weights into ours and back."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import torch

from .problems import Problems

_PLACEHOLDERS = {r"\{layer\}": r"(?P<layer>0|[1-9][0-9]{0,5})", r"\{kind\}": "(?P<kind>weight|bias)"}


class NameRule(NamedTuple):
    """A name there and here, with the placeholders `{layer}` (a number) and `{kind}` (`weight` or `bias`).

    The original's number is `first + step * number`.
    """

    original: str
    ours: str
    first: int = 0
    step: int = 1

    def to_ours(self, name: str) -> str | None:
        found = _match(self.original, name)
        if found is None or "layer" not in found:
            return None if found is None else self.ours.format(**found)
        number, remainder = divmod(int(found["layer"]) - self.first, self.step)
        return None if number < 0 or remainder else self.ours.format(**found | {"layer": str(number)})

    def to_original(self, name: str) -> str | None:
        found = _match(self.ours, name)
        if found is None or "layer" not in found:
            return None if found is None else self.original.format(**found)
        return self.original.format(**found | {"layer": str(self.first + self.step * int(found["layer"]))})


def _match(template: str, name: str) -> dict[str, str] | None:
    pattern = re.escape(template)
    for placeholder, meaning in _PLACEHOLDERS.items():
        pattern = pattern.replace(placeholder, meaning)
    match = re.fullmatch(pattern, name)
    return match.groupdict() if match else None


def first_name(names: Iterable[str | None]) -> str | None:
    """The first that is a name; `None` if none is."""
    return next((name for name in names if name is not None), None)


def our_name(name: str, rules: Iterable[NameRule]) -> str | None:
    """Our name of an original's weight; `None` if no rule knows it."""
    return first_name(rule.to_ours(name) for rule in rules)


def original_name(ours: str, rules: Iterable[NameRule]) -> str:
    """The original's name of a weight of ours.

    Raises:
        ValueError: No rule knows it.
    """
    name = first_name(rule.to_original(ours) for rule in rules)
    if name is None:
        raise ValueError(f"The weight {ours!r} has no counterpart in the original.")
    return name


def store_weight(
    weights: dict[str, torch.Tensor], name: str, ours: str | None, tensor: torch.Tensor, problems: Problems
) -> None:
    """Keeps the file's own memory where it can: only half precision and views are copied."""
    if ours is None or ours in weights:
        problems.unknown_weights.append(name)
        return
    if ours.endswith("attention_bias.scale") and tensor.dim() in (4, 5):
        # (layers, 1, heads, 1, 1), and without the first dimension in the oldest checkpoints
        tensor = tensor.reshape(-1 if tensor.dim() == 5 else 1, tensor.shape[-3])
    is_view = tensor.untyped_storage().nbytes() != tensor.numel() * tensor.element_size() or not tensor.is_contiguous()
    weights[ours] = tensor.detach().clone() if is_view else tensor.detach()
    weights[ours] = weights[ours].float()
