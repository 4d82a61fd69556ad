# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What stands in the way of a conversion, gathered so that one error lists all of it."""

import os
from dataclasses import dataclass, field


@dataclass
class Problems:
    """Each list holds texts or names for the error. `options` are whole sentences without their full stop."""

    unsupported_options: list[str] = field(default_factory=list)
    missing_options: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    unknown_weights: list[str] = field(default_factory=list)
    missing_weights: list[str] = field(default_factory=list)
    misshapen_weights: list[str] = field(default_factory=list)

    def raise_if_any(self, path: str | os.PathLike) -> None:
        """
        Raises:
            ValueError: There are problems; all of them are in its message.
        """
        texts = [
            _listing("Options that have no counterpart here", self.unsupported_options),
            _listing("The configuration lacks options", [repr(name) for name in self.missing_options]),
            *(f"{text}." for text in self.options),
            f"Weights that are not known: {self.unknown_weights}." if self.unknown_weights else "",
            f"Weights that are missing (our names): {self.missing_weights}." if self.missing_weights else "",
            _listing("Weights that do not fit the configuration", self.misshapen_weights),
        ]
        found = [text for text in texts if text]
        if found:
            raise ValueError(f"{os.fspath(path)!r} cannot be converted. {' '.join(found)}")


def one_line(error: Exception) -> str:
    """What an exception says, for the middle of a sentence: configurations and torch explain themselves at length."""
    return " ".join(str(error).split()).rstrip(".")


def _listing(introduction: str, entries: list[str]) -> str:
    return f"{introduction}: {', '.join(entries)}." if entries else ""
