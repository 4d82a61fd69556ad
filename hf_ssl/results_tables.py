# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tables in Markdown files, written from a results file, so that no figure in them is typed by hand.

A table stands between two comments. The first says what is in it, as JSON; everything up to the second is replaced:

    <!-- results: {"where": {"what": "probe"}, "rows": "arm", "columns": ["data", "method"], "value": "test"} -->
    <!-- end of results -->
    <!-- replication: "training_scripts/replications/speech.yaml" -->
    <!-- end of replication -->

Values are shares, written in per cent: the mean over the lines of a cell, and where they differ the smallest and the
largest.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .replication.cells import read_filled
from .replication.plan import read_plan
from .replication.table import markdown_rows, markdown_table, mean_and_spread
from .results import read_results

_BLOCK = re.compile(
    r"^(?P<begin><!-- (?P<kind>results|replication): (?P<given>.*?) -->\n)"
    r"(?P<table>.*?)^(?P<end><!-- end of (?P=kind) -->)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Pivot:
    """A table of a results file.

    Args:
        where: Fields and the value, or list of values, that lines must have.
        rows: The field that a row stands for.
        columns: The fields whose values together are a column.
        value: The field with the figure.
        names: What to write instead of a value, of any field.
        order: Rows and columns that come first, by the names that are written; the others as they come.
    """

    where: Mapping[str, Any]
    rows: str
    columns: Sequence[str]
    value: str = "test"
    names: Mapping[str, str] = field(default_factory=dict)
    order: Sequence[str] = ()


def refresh(text: str, results_path: Path, root: Path) -> str:
    """A Markdown text with all its tables written anew.

    Args:
        text: With comments as in the module's docstring.
        results_path: The results file.
        root: What paths of plans are relative to.

    Raises:
        ValueError: A comment cannot be understood, or no line of the file belongs to its table.
    """

    def render(match: re.Match[str]) -> str:
        try:
            given = json.loads(match["given"])
        except ValueError as error:
            raise ValueError(f"Expected JSON in the comment {match['begin'].strip()!r}: {error}.") from error
        table = (
            pivot_table(read_results(results_path), Pivot(**given))
            if match["kind"] == "results"
            else replication_table(root / given, results_path)
        )
        return f"{match['begin']}\n{table}\n{match['end']}"

    return _BLOCK.sub(render, text)


def pivot_table(results: Sequence[Mapping[str, Any]], pivot: Pivot) -> str:
    """The Markdown of one table; a dash stands in an empty cell.

    Raises:
        ValueError: No result is what the pivot asks for, or one has no such field.
    """
    cells: dict[tuple[str, str], list[float]] = {}
    for result in _selected(results, pivot.where):
        row = pivot.names.get(result[pivot.rows], result[pivot.rows])
        column = ", ".join(pivot.names.get(result[name], str(result[name])) for name in pivot.columns)
        cells.setdefault((row, column), []).append(result[pivot.value])
    if not cells:
        raise ValueError(f"No line of the results has {dict(pivot.where)}.")
    rows = _ordered([row for row, _ in cells], pivot.order)
    columns = _ordered([column for _, column in cells], pivot.order)
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    for row in rows:
        figures = [mean_and_spread(cells.get((row, column), [])) for column in columns]
        lines.append([row, *(figure.replace("%", " %") for figure in figures)])
    return markdown_rows(lines)


def replication_table(plan_path: Path, results_path: Path) -> str:
    """The Markdown table of a plan, of the lines that its present settings made.

    Raises:
        ValueError: There is none.
    """
    plan = read_plan(plan_path)
    filled = read_filled(plan, results_path)
    if not filled.figures:
        raise ValueError(f"{results_path} has no figure that the settings of {plan_path} made.")
    return markdown_table(plan, filled)


def _ordered(names: Sequence[str], order: Sequence[str]) -> list[str]:
    """Each name once: those of the order first."""
    found = dict.fromkeys(names)
    return [name for name in order if name in found] + [name for name in found if name not in order]


def _selected(results: Sequence[Mapping[str, Any]], where: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for result in results:
        if all(result.get(name) in (value if isinstance(value, list) else [value]) for name, value in where.items()):
            yield result
