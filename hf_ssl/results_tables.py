# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tables and charts of Markdown files, made from a results file, so that no figure in them is typed by hand.

A table stands between two comments. The first says what is in it, as JSON; everything up to the second is replaced:

    <!-- results: {"where": {"what": "probe"}, "rows": "arm", "columns": ["data", "method"], "value": "test"} -->
    <!-- end of results -->
    <!-- replication: "training_scripts/replications/speech.yaml" -->
    <!-- end of replication -->
    <!-- health and probes: {"digits": "DIGITS, label"} -->
    <!-- end of health and probes -->

The last is what [`~hf_ssl.health_and_probes.correlation_table`] makes of titles and data. Instead of a plan's path, a
mapping asks for a chart too, a file that the page may show where it likes:

    <!-- replication: {"plan": "training_scripts/replications/speech.yaml", "chart": "training_scripts/chart.png"} -->

Values are shares, written in per cent: the mean over the lines of a cell, and where they differ the smallest and the
largest. Other figures, and several of a line, are written as `cells` says, of one line per cell:

    "cells": {"times as fast": "{times_as_fast:.2f} ({least:.2f} to {most:.2f})", "GiB": "{peak_gib:.1f}"}
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .health_and_probes import correlation_table
from .replication.cells import Filled, read_filled
from .replication.chart import is_chart_of
from .replication.plan import Plan, read_plan
from .replication.table import markdown_rows, markdown_table, mean_and_spread
from .results import read_results

_BLOCK = re.compile(
    r"^(?P<begin><!-- (?P<kind>results|replication|health and probes): (?P<given>.*?) -->\n)"
    r"(?P<table>.*?)^(?P<end><!-- end of (?P=kind) -->)",
    re.DOTALL | re.MULTILINE,
)
_PERCENT = re.compile(r"(?<=\d)%")

# What a row or a column is called, field by field.
_Names = tuple[str, ...]


@dataclass(frozen=True)
class Pivot:
    """A table of a results file.

    Args:
        where: Fields and the value, or list of values, that lines must have.
        rows: The field that a row stands for, or fields that together are a row, each with a column and a title.
        columns: The fields whose values together are a column.
        value: The field with the figure.
        cells: Instead of `value`: templates of `str.format` over the fields of a line, by the title that each adds to
            the columns; an empty one stands for `value`.
        names: What to write instead of a value, of any field, or instead of a field as a title.
        order: Rows and columns that come first, by the names that are written; the others as they come.
    """

    where: Mapping[str, Any]
    rows: str | Sequence[str]
    columns: Sequence[str] = ()
    value: str = "test"
    cells: Mapping[str, str] = field(default_factory=dict)
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

    def render(block: re.Match[str]) -> str:
        given = _given(block)
        match block["kind"]:
            case "results":
                table = pivot_table(read_results(results_path), _pivot(given, block["begin"].strip()))
            case "replication":
                table = replication_table(root / _plan_and_chart(given)[0], results_path)
            case _:
                table = correlation_table(read_results(results_path), _columns(given))
        return f"{block['begin']}\n{table}\n{block['end']}"

    return _BLOCK.sub(render, text)


class Chart(NamedTuple):
    """A chart that a text asks for: of which plan and figures, and in which file."""

    plan: Plan
    filled: Filled
    path: Path


def outdated_charts(text: str, results_path: Path, root: Path) -> list[Chart]:
    """The charts that a Markdown text asks for and that are missing or not of the results file's figures.

    Args, Raises: as of `refresh`.
    """
    asked = [_plan_and_chart(_given(match)) for match in _BLOCK.finditer(text) if match["kind"] == "replication"]
    charts = [Chart(*_read(root / plan, results_path), root / path) for plan, path in asked if path is not None]
    return [chart for chart in charts if not is_chart_of(chart.path, chart.plan, chart.filled)]


def pivot_table(results: Sequence[Mapping[str, Any]], pivot: Pivot) -> str:
    """The Markdown of one table; a dash stands in an empty cell.

    Raises:
        ValueError: No result is what the pivot asks for, one lacks a field, a template does not fit it, or several
            belong to the cell of a template.
    """
    fields = [pivot.rows] if isinstance(pivot.rows, str) else pivot.rows
    if not isinstance(fields, list | tuple) or not fields:
        raise ValueError(f"Expected a field, or a list of fields, as the rows of a table, got {pivot.rows!r}.")
    found: dict[tuple[_Names, _Names], list[Mapping[str, Any]]] = {}
    for result in _selected(results, pivot.where):
        place = _named(result, fields, pivot.names), _named(result, pivot.columns, pivot.names)
        found.setdefault(place, []).append(result)
    if not found:
        raise ValueError(f"No line of the results has {dict(pivot.where)}.")
    rows = _ordered((row for row, _ in found), pivot.order)
    columns = _ordered((column for _, column in found), pivot.order)
    cells = pivot.cells or {"": ""}
    header = [""] if isinstance(pivot.rows, str) else [pivot.names.get(name, name) for name in fields]
    header += [", ".join(filter(None, (*column, title))) for column in columns for title in cells]
    lines = [header, ["---"] * len(header)]
    for row in rows:
        in_row = [found.get((row, column), []) for column in columns]
        told = [_cell(results, pivot.value, template) for results in in_row for template in cells.values()]
        lines.append([*row, *told])
    return markdown_rows(lines)


def replication_table(plan_path: Path, results_path: Path) -> str:
    """The Markdown table of a plan, of the lines that its present settings made.

    Raises:
        ValueError: There is none.
    """
    return markdown_table(*_read(plan_path, results_path))


def _read(plan_path: Path, results_path: Path) -> tuple[Plan, Filled]:
    plan = read_plan(plan_path)
    filled = read_filled(plan, results_path)
    if not filled.figures:
        raise ValueError(f"{results_path} has no figure that the settings of {plan_path} made.")
    return plan, filled


def _given(match: re.Match[str]) -> Any:
    """The settings in a block's first comment."""
    try:
        return json.loads(match["given"])
    except ValueError as error:
        raise ValueError(f"Expected JSON in the comment {match['begin'].strip()!r}: {error}.") from error


def _plan_and_chart(given: Any) -> tuple[str, str | None]:
    """What the comment of a replication says: the plan's path, and that of the chart if there is to be one."""
    settings = {"plan": given} if isinstance(given, str) else given
    if not isinstance(settings, dict) or not {"plan"} <= set(settings) <= {"plan", "chart"}:
        raise ValueError(f"Expected the path of a plan, or a mapping of plan and chart to paths, got {given!r}.")
    return settings["plan"], settings.get("chart")


def _columns(given: Any) -> dict[str, str]:
    """What the comment of health and probes says: titles of columns and their data."""
    if not isinstance(given, dict) or not all(isinstance(data, str) for data in given.values()):
        raise ValueError(f"Expected a mapping of titles to data, such as 'DIGITS, label', got {given!r}.")
    return given


def _pivot(given: Any, comment: str) -> Pivot:
    try:
        return Pivot(**given)
    except TypeError as error:
        raise ValueError(f"Expected the settings of a table in the comment {comment!r}: {error}.") from error


def _named(result: Mapping[str, Any], fields: Sequence[str], names: Mapping[str, str]) -> _Names:
    values = [str(_figure(result, name)) for name in fields]
    return tuple(names.get(value, value) for value in values)


def _figure(result: Mapping[str, Any], name: str) -> Any:
    if name not in result:
        raise ValueError(f"Expected the field {name!r} in every line of the table, but one has {', '.join(result)}.")
    return result[name]


def _cell(results: Sequence[Mapping[str, Any]], value: str, template: str) -> str:
    """By the template, or if it is empty the mean and spread of a value."""
    if not template:
        text = mean_and_spread([_figure(result, value) for result in results])
    elif len(results) > 1:
        commits = ", ".join(str(result.get("commit")) for result in results)
        raise ValueError(f"Expected one line of the results for a cell, got {len(results)}, of commits {commits}.")
    else:
        text = _filled(template, results[0]) if results else "-"
    return _PERCENT.sub(" %", text)


def _filled(template: str, result: Mapping[str, Any]) -> str:
    try:
        return template.format_map(result)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        fields = ", ".join(result)
        raise ValueError(f"The template {template!r} does not fit a line that has {fields}: {error!r}.") from error


def _ordered(found: Iterable[_Names], order: Sequence[str]) -> list[_Names]:
    """Each row or column once: those of the order first."""
    places = {name: place for place, name in enumerate(order)}
    return sorted(dict.fromkeys(found), key=lambda names: places.get(", ".join(names), len(order)))


def _selected(results: Sequence[Mapping[str, Any]], where: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for result in results:
        if all(result.get(name) in (value if isinstance(value, list) else [value]) for name, value in where.items()):
            yield result
