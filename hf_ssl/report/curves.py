# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The sections with curves over the steps."""

import math
from statistics import median

from .charts import Chart, ChartGroup, Reading, groups_of, num_not_finite, points_of
from .line_chart import Series, line_chart
from .markup import Markup, element
from .numbers import format_number, format_share
from .run_folder import Run
from .section import Section


def curve_sections(run: Run) -> list[Section]:
    """A section for each group of charts that the log has figures for."""
    return [_section(group, run) for group in groups_of(run)]


def _section(group: ChartGroup, run: Run) -> Section:
    charts = element("div", [_card(chart, run) for chart in group.charts], class_="grid-of-charts")
    introduction = element("p", group.introduction, class_="introduction") if group.introduction else None
    return Section(group.title, [introduction, charts])


def _card(chart: Chart, run: Run) -> Markup:
    series = [Series(label, points_of(run, name)) for name, label in chart.figures.items()]
    names = ", ".join(chart.figures)
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", chart.title, element("small", chart.unit) if chart.unit else None),
            element("p", _readings(chart, run), class_="readout"),
        ),
        line_chart(chart.title, series, is_share=chart.kind == "share", limit=chart.limit),
        element(
            "div",
            element("p", chart.caption, class_="caption") if chart.caption else None,
            _gaps(chart, run),
            element("p", element("code", names), class_="source"),
        ),
    )


def _readings(chart: Chart, run: Run) -> list[Markup]:
    """What a chart says in one number of each line; with several lines the names, in their colours."""
    show = format_share if chart.kind == "share" else format_number
    readings = []
    for number, (name, label) in enumerate(chart.figures.items()):
        text = element("b", show(_summary(chart.reading, [value for _, value in points_of(run, name)])))
        word = "" if chart.reading == "last" else chart.reading
        name_of_line = f"{label if len(chart.figures) > 1 else word} "
        readings.append(element("span", name_of_line, text, class_=f"reading s{number}"))
    return readings


def _summary(reading: Reading, values: list[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    if reading == "last" or not finite:
        return values[-1]
    return max(finite) if reading == "highest" else median(finite)


def _gaps(chart: Chart, run: Run) -> Markup | None:
    missing = {label: num_not_finite(run, name) for name, label in chart.figures.items()}
    told = [f"{count} logged values ({label}) are NaN or infinite." for label, count in missing.items() if count]
    return element("p", " ".join(told), class_="caption bad") if told else None
