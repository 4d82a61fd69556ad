# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Charts: what is drawn, where, and how gaps and extremes are dealt with."""

import json
import math
import re
from dataclasses import fields
from html import unescape
from itertools import pairwise

import pytest
from report_helpers import a_log

from hf_ssl.evaluation.representation_health import RepresentationHealth
from hf_ssl.report.charts import HEALTH, TARGETS, Limit, groups_of, num_not_finite
from hf_ssl.report.layer_chart import Layers, layer_chart
from hf_ssl.report.line_chart import HEIGHT, WIDTH, Series, line_chart, smoothed
from hf_ssl.report.run_folder import read_run


def data_of(svg: str) -> list[dict]:
    found = re.search(r'data-series="([^"]*)"', svg)
    assert found is not None
    return json.loads(unescape(found[1]))


def test_points_lie_in_the_picture_and_say_their_values():
    svg = line_chart("Loss", [Series("a", [(10, 4.0), (20, 2.0), (30, 3.0)])])
    (line,) = data_of(svg)
    assert [(step, text) for step, _, _, text in line["points"]] == [(10, "4.00"), (20, "2.00"), (30, "3.00")]
    heights = [y for _, _, y, _ in line["points"]]
    assert heights[0] < heights[2] < heights[1]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for _, x, y, _ in line["points"])


@pytest.mark.parametrize(
    "points", [[(5, 1.0)], [(5, 0.0)], [(1, 2.0), (2, 2.0)], [(1, 1e300), (2, -1e300)], [(0, 1e-300), (2**53, 1e-12)]]
)
def test_degenerate_lines(points):
    svg = line_chart("x", [Series("a", points)])
    assert "nan" not in svg.lower()
    assert len(data_of(svg)[0]["points"]) == len(points)


def test_values_that_are_not_finite_are_gaps():
    svg = line_chart(
        "x", [Series("a", [(1, 1.0), (2, 2.0), (3, math.nan), (4, 1.0), (5, math.inf), (6, 2.0), (7, 3.0)])]
    )
    assert svg.count('class="line"') == 3
    assert svg.count('class="dot"') == 1  # step 4 stands alone
    assert len(data_of(svg)[0]["points"]) == 5
    assert "No value" in line_chart("x", [Series("a", [(1, math.nan)])])


def test_a_spike_is_drawn_on_a_logarithmic_axis():
    svg = line_chart("x", [Series("a", [(step, 1.0 + 0.01 * step) for step in range(50)] + [(50, 1e5)])])
    heights = [y for _, _, y, _ in data_of(svg)[0]["points"]]
    assert heights[0] - heights[49] > 3  # on a linear axis less than a thousandth of a pixel


def test_the_guards_limit_is_in_sight():
    svg = line_chart("x", [Series("a", [(1, 0.6), (2, 0.7)])], limit=Limit(0.1))
    assert "guard: below 0.1" in svg
    assert "guard: above 0.5" in line_chart("x", [Series("a", [(1, 0.6)])], is_share=True, limit=Limit(0.5, False))


def test_long_logs_are_thinned_and_rough_ones_smoothed():
    svg = line_chart("x", [Series("a", [(step, float(step % 2)) for step in range(5000)])])
    assert 200 < len(data_of(svg)[0]["points"]) <= 400
    rough = line_chart("x", [Series("a", [(step, float(step % 2)) for step in range(100)])])
    assert "line raw" in rough
    assert "line raw" not in line_chart("x", [Series("a", [(step, float(step)) for step in range(100)])])
    assert smoothed([(step, 2.0 * step) for step in range(50)]) == [(step, 2.0 * step) for step in range(50)]


def test_groups_have_what_was_logged(make_run):
    log = [entry | {"health/new_measure": 1.0, "my_own_figure": 2.0} for entry in a_log()]
    groups = {group.title: [chart.title for chart in group.charts] for group in groups_of(read_run(make_run(log)))}
    assert groups[TARGETS.title] == ["Spread of the targets", "Spread of the predictions", "Variance between items"]
    assert groups[HEALTH.title] == ["Effective rank", "new measure"]
    assert groups["Other figures"] == ["my own figure"]
    assert "Norm of the gradient" in groups["How it was optimised"]


def test_a_step_that_is_logged_twice_counts_once(make_run):
    run = read_run(make_run([{"step": 1, "loss": math.nan}, {"step": 1, "loss": 2.0}, {"step": 2, "loss": math.nan}]))
    assert num_not_finite(run, "loss") == 1


def test_lines_of_layers_are_named_without_overlap():
    lines = [Layers(f"model {number}", number, [[0.1, 0.5, 0.3], [0.2, 0.4, 0.3]]) for number in range(6)]
    svg = layer_chart("x", lines)
    places = sorted(float(y) for y in re.findall(r'<text class="name s\d" x="[\d.]+" y="([\d.]+)"', svg))
    assert len(places) == 6
    assert all(right - left >= 14 for left, right in pairwise(places))
    assert svg.count('class="band"') == 6


def test_measures_of_health_are_drawn_under_the_names_that_training_logs():
    logged = {f"health/{field.name}" for field in fields(RepresentationHealth)}
    drawn = {name for chart in HEALTH.charts for name in chart.figures}
    assert drawn
    assert drawn <= logged
