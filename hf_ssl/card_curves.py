# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The course of a run as a table: what was logged, at a few updates from the first log to the last."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_NUM_COLUMNS = 6
_NOT_SHOWN = ("epoch", "step", "total_flos", "codes_counted", "visible_share", "num_input_tokens_seen")


def course_table(log: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a row per figure of training, a column per update; values are those of that log, or a dash.

    Args:
        log: The trainer's, oldest entry first.

    Returns:
        The table; an empty string if fewer than two updates were logged.
    """
    entries = [entry for entry in log if "loss" in entry and "step" in entry]
    if len(entries) < 2:
        return ""
    chosen = [entries[row] for row in np.unique(np.linspace(0, len(entries) - 1, _NUM_COLUMNS).round().astype(int))]
    names = dict.fromkeys(name for entry in chosen for name in entry if _is_shown(name))
    lines = [
        "| after so many updates | " + " | ".join(f"{entry['step']:,}" for entry in chosen) + " |",
        "|---" * (len(chosen) + 1) + "|",
        *("| " + " | ".join([name, *(_value(entry.get(name)) for entry in chosen)]) + " |" for name in names),
    ]
    return "\n".join(lines)


def _is_shown(name: str) -> bool:
    return name not in _NOT_SHOWN and not name.endswith("_per_second")


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "-"
