# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
from pathlib import Path
from typing import Any

import pytest

from hf_ssl.replication.cells import Cell, Filled
from hf_ssl.replication.chart import draw_chart, is_chart_of
from hf_ssl.replication.plan import Method, Plan, Task
from hf_ssl.replication.table import markdown_table, mean_and_spread

METHODS = {"a": Method("a", script="a.py"), "random": Method("random", untrained="a")}


def task(name: str, metric: str = "cer") -> Task:
    return Task(name, script="t.py", metric=metric, learning_rates=[0.1])


def figure(metric: str, test: float) -> dict[str, Any]:
    return {"reader": "fine-tuning", "metric": metric, "test": test}


def plan_of(*tasks: Task) -> Plan:
    return Plan(["POOL"], 2, [1, 2, 3], METHODS, {task.name: task for task in tasks})


def cells_of(table: str) -> list[list[str]]:
    return [[entry.strip() for entry in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def test_a_figure_of_fewer_seeds_than_its_row_says_so() -> None:
    plan = plan_of(task("x"), task("y"), task("z"))
    figures = {(Cell("a", "steps", seed), "x"): [figure("cer", 0.25 * seed)] for seed in (1, 2, 3)}
    figures |= {(Cell("a", "steps", 1), "y"): [figure("cer", 0.6)]}
    figures |= {(Cell("a", "steps", seed), "z"): [figure("cer", 0.25 * seed)] for seed in (1, 2)}
    figures |= {(Cell("random", "none", 1), "y"): [figure("cer", 0.5)]}
    trained, random = cells_of(markdown_table(plan, Filled({}, figures)))
    assert trained[2] == "3"
    assert trained[-3:] == ["50.0% (25.0% to 75.0%)", "60.0% (1 seed)", "37.5% (25.0% to 50.0%; 2 seeds)"]
    assert (random[2], random[-3:]) == ("1", ["-", "50.0%", "-"])


def test_only_shares_are_written_in_per_cent() -> None:
    plan = plan_of(task("x"), task("y", "loss"))
    cell = Cell("random", "none", 1)
    filled = Filled({}, {(cell, "x"): [figure("cer", 0.5)], (cell, "y"): [figure("loss", 2.0)]})
    assert cells_of(markdown_table(plan, filled))[1][-2:] == ["50.0%", "2.000"]
    assert mean_and_spread([1.0, 2.0], "{:.1f}", "2 seeds") == "1.5 (1.0 to 2.0; 2 seeds)"


def test_the_chart_has_no_empty_frame_and_names_all_methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **options: drawn.append(self))
    plan = plan_of(*(task(name, "loss" if name == "z" else "cer") for name in "wxyz"))
    trained, random = Cell("a", "steps", 1), Cell("random", "none", 1)
    figures = {(trained, name): [figure("cer", 0.25)] for name in "wxy"}
    figures |= {(random, "z"): [figure("loss", 2.0)]}
    draw_chart(plan, Filled({trained: {"cpu_seconds": 60.0}}, figures), tmp_path / "chart.png")
    (picture,) = drawn
    assert [chart.get_visible() for chart in picture.axes] == [True] * 4 + [False] * 2
    assert [text.get_text() for text in picture.legends[0].get_texts()] == ["a", "random"]
    assert [chart.get_ylabel() for chart in picture.axes[:4]] == ["cer, test (%)"] * 3 + ["loss, test"]
    assert picture.axes[0].lines[0].get_ydata()[0] == 25.0
    assert picture.axes[3].lines[0].get_ydata()[0] == 2.0
    assert picture.axes[0].get_xlim()[0] == 0.0


def test_a_chart_knows_of_which_figures_it_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    cell, path = Cell("a", "steps", 1), tmp_path / "chart.png"
    plan = plan_of(task("x"))

    def filled(test: float, seconds: float = 60.0) -> Filled:
        return Filled({cell: {"cpu_seconds": seconds}}, {(cell, "x"): [figure("cer", test)]})

    assert not is_chart_of(path, plan, filled(0.25))
    draw_chart(plan, filled(0.25), path)
    assert is_chart_of(path, plan, filled(0.25))
    assert not is_chart_of(path, plan, filled(0.26))
    assert not is_chart_of(path, plan, filled(0.25, seconds=61.0))
    assert not is_chart_of(path, plan_of(task("y")), Filled({}, {}))
