# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import json
import re
from pathlib import Path

import pytest
from training_helpers import load_script

from hf_ssl.health_and_probes import MEASURES
from hf_ssl.results_tables import Pivot, outdated_charts, pivot_table, refresh

LINES = [
    {"what": "probe", "arm": "b", "data": "DIGITS", "method": "linear", "test": 0.5},
    {"what": "probe", "arm": "a", "data": "DIGITS", "method": "linear", "test": 0.25},
    {"what": "probe", "arm": "a", "data": "DIGITS", "method": "linear", "test": 0.75},
    {"what": "probe", "arm": "a", "data": "ORDERS", "method": "linear", "test": 0.1},
    {"what": "probe", "arm": "a", "data": "ORDERS", "method": "neighbours", "test": 0.9},
    {"what": "other", "arm": "c"},
]
TIMES = [
    {"what": "steps", "of": "a", "items": 1, "at": "old", "ratio": 2, "least": 1.5, "share": 0.125, "rates": [0.1]},
    {"what": "steps", "of": "a", "items": 4, "at": "old", "ratio": 0.9751, "least": 0.5, "share": 1, "rates": [1, 2]},
    {"what": "steps", "of": "b", "items": 4, "at": "new", "ratio": 3, "least": 3, "share": 0.5, "rates": []},
]
COMMENT = '<!-- results: {"where": {"what": "probe", "method": "linear"}, "rows": "arm", "columns": ["data"]} -->'


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def test_a_table_has_means_and_spreads_and_dashes():
    table = pivot_table(LINES, Pivot({"what": "probe", "method": ["linear"]}, "arm", ["data"]))
    assert table.splitlines() == [
        "|  | DIGITS | ORDERS |",
        "| --- | --- | --- |",
        "| b | 50.0 % | - |",
        "| a | 50.0 % (25.0 % to 75.0 %) | 10.0 % |",
    ]


def test_rows_and_columns_can_be_named_and_ordered():
    pivot = Pivot(
        {"what": "probe"},
        "arm",
        ["data", "method"],
        names={"b": "ours", "linear": "probe"},
        order=["a", "ORDERS, probe"],
    )
    lines = pivot_table(LINES, pivot).splitlines()
    assert lines[0] == "|  | ORDERS, probe | DIGITS, probe | ORDERS, neighbours |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| a", "| ours"]


def test_cells_are_written_by_their_templates():
    cells = {"times as fast": "{ratio:.2f} ({least:g})", "": "{share:.1%} {rates}"}
    table = pivot_table(TIMES, Pivot({"what": "steps"}, "of", ["items"], cells=cells, names={"4": "4 clips"}))
    assert table.splitlines() == [
        "|  | 1, times as fast | 1 | 4 clips, times as fast | 4 clips |",
        "| --- | --- | --- | --- | --- |",
        "| a | 2.00 (1.5) | 12.5 % [0.1] | 0.98 (0.5) | 100.0 % [1, 2] |",
        "| b | - | - | 3.00 (3) | 50.0 % [] |",
    ]


def test_several_fields_can_be_a_row_with_a_title_each():
    pivot = Pivot({}, ["of", "items"], cells={"s": "{ratio}"}, names={"of": "method", "b": "BEST"}, order=["BEST, 4"])
    assert pivot_table(TIMES, pivot).splitlines() == [
        "| method | items | s |",
        "| --- | --- | --- |",
        "| BEST | 4 | 3 |",
        "| a | 1 | 2 |",
        "| a | 4 | 0.9751 |",
    ]


@pytest.mark.parametrize(
    ("pivot", "message"),
    [
        (Pivot({}, "arm"), r"Expected the field 'arm' in every line of the table, but one has what, of, items"),
        (Pivot({}, "of", ["machine"]), "Expected the field 'machine'"),
        (Pivot({}, "of"), "Expected the field 'test'"),
        (Pivot({}, "of", cells={"": "{ratio}"}), "one line of the results for a cell, got 2, of commits None, None"),
        (Pivot({}, "of", ["items"], cells={"": "{test:.2f}"}), "does not fit a line that has what, .*KeyError"),
        (Pivot({}, "of", ["items"], cells={"": "{of:.1%}"}), "'{of:.1%}' does not fit a line .*ValueError"),
        (Pivot({}, "of", ["items"], cells={"": "{rates:.1f}"}), "does not fit a line .*TypeError"),
        (Pivot({}, "of", ["items"], cells={"": "{of.best}"}), "does not fit a line .*AttributeError"),
    ],
)
def test_lines_that_do_not_fit_a_table_are_an_error(pivot, message):
    with pytest.raises(ValueError, match=message):
        pivot_table(TIMES, pivot)


def test_tables_in_a_text_are_written_anew_and_the_rest_stays(results, tmp_path):
    text = f"# Title\n\n{COMMENT}\nold\n<!-- end of results -->\n\nText <!-- results are good -->\n"
    new = refresh(text, results, tmp_path)
    assert new.startswith(f"# Title\n\n{COMMENT}\n\n|  | DIGITS |")
    assert new.endswith("|\n\n<!-- end of results -->\n\nText <!-- results are good -->\n")
    assert "old" not in new
    assert refresh(new, results, tmp_path) == new


def test_health_beside_probes(tmp_path):
    lines = []
    for model, offset in (("a", 0.01), ("b", 0.02), ("c", 0.03)):
        layers = [dict.fromkeys(MEASURES, 0.5) | {"rankme": depth, "mean_share": -offset} for depth in (1, 2)]
        lines.append({"what": "health", "arm": model, "model": model, "layers": layers})
        probe = {"what": "probe", "arm": model, "model": model, "number": 0, "method": "linear"}
        probe |= {"task": "classification"}
        lines.append(probe | {"data": "DIGITS", "column": "label", "by_layer": [0.1 + offset, 0.5 + offset]})
    # neither data with too few models nor other tasks matter to the table
    lines += [lines[-1] | {"data": "OTHER"}, lines[-1] | {"task": "frames", "by_layer": [0.9, 0.1]}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    block = '<!-- health and probes: {"words": "DIGITS, label"} -->\n<!-- end of health and probes -->\n'
    table = refresh(block, tmp_path / "r.jsonl", tmp_path).splitlines()
    assert table[2:6] == [
        "|  | words |",
        "| --- | --- |",
        "| `rankme` | +nan, +.88 |",
        "| `collapse_auc` | +nan, +nan |",
    ]
    assert "| `mean_share` | -1.00, -.48 |" in table
    with pytest.raises(ValueError, match="READ, sex: expected at least 3 models with health and probes, got 0"):
        refresh(block.replace("DIGITS, label", "READ, sex"), tmp_path / "r.jsonl", tmp_path)
    with pytest.raises(ValueError, match="Expected a mapping of titles to data"):
        refresh(block.replace('{"words": "DIGITS, label"}', "3"), tmp_path / "r.jsonl", tmp_path)


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("<!-- results: {rows} -->", "Expected JSON in the comment"),
        (COMMENT.replace("linear", "cosine"), "No line of the results has"),
        (COMMENT.replace("rows", "row"), "Expected the settings of a table in the comment '<!-- results.*'row'"),
        (
            COMMENT.replace('"rows": "arm"', '"rows": []'),
            "Expected a field, or a list of fields, as the rows of a table",
        ),
        (COMMENT.replace('"rows": "arm"', '"rows": 3'), "as the rows of a table, got 3"),
        ("<!-- results: 3 -->", "Expected the settings of a table in the comment '<!-- results: 3 -->'"),
    ],
)
def test_what_cannot_be_written_is_an_error(results, tmp_path, comment, message):
    with pytest.raises(ValueError, match=message):
        refresh(f"{comment}\n<!-- end of results -->\n", results, tmp_path)


@pytest.mark.parametrize("given", ["3", '{"chart": "c.png"}', '{"plan": "p.yaml", "picture": "c.png"}'])
def test_what_is_no_plan_and_chart_is_an_error(results, tmp_path, given):
    text = f"<!-- replication: {given} -->\n<!-- end of replication -->\n"
    for reader in (refresh, outdated_charts):
        with pytest.raises(ValueError, match="Expected the path of a plan, or a mapping of plan and chart to paths"):
            reader(text, results, tmp_path)


def test_charts_that_are_missing_or_of_other_figures_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    script = load_script("benchmarks/refresh_tables")
    root, results = script.ROOT, script.RESULTS
    plan = (root / "training_scripts" / "replications" / "text.yaml").as_posix()
    chart = tmp_path / "chart.png"
    block = "<!-- replication: {} -->\n<!-- end of replication -->\n"
    assert outdated_charts(block.format(json.dumps(plan)), results, root) == []
    text = block.format(json.dumps({"plan": plan, "chart": str(chart)}))
    (asked,) = outdated_charts(text, results, root)
    assert asked.path == chart
    script.draw_chart(*asked)
    assert outdated_charts(text, results, root) == []


def test_our_pages_have_the_figures_of_our_results_file():
    script = load_script("benchmarks/refresh_tables")
    texts = "".join(script.read(page) for page in script.pages())
    kinds = "(results|replication|health and probes)"
    begun = re.findall(f"^<!-- {kinds}: ", texts, re.MULTILINE)
    assert begun == re.findall(f"^<!-- end of {kinds} -->", texts, re.MULTILINE)
    assert set(begun) == {"results", "replication", "health and probes"}
    assert script.main(["--check"]) == 0
