# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Curves of costs: every value by itself, until one does not fit; what is said of them follows from the figures."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hf_ssl.benchmarking import curve as curve_module
from hf_ssl.benchmarking.benchmark import Benchmark, BenchmarkConfig
from hf_ssl.benchmarking.curve import Curve, Sweep, expected_bytes, parse_sweep, run_curve
from hf_ssl.benchmarking.curve_table import format_curve, growth_begins, sentences, write_curve
from hf_ssl.benchmarking.table import read_benchmark
from hf_ssl.cli import main

MIB = 2**20


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "model_type: data2vec2-audio\nmodel_size: tiny\nmin_seconds: 0.1\nmax_seconds: 0.5\nmax_steps: 10\n"
        "per_device_train_batch_size: 2\nuse_cpu: true\n"
    )
    return str(path)


def make_point(
    items: int = 2, length: float = 1.0, seconds: float = 1.0, batch_mib: float = 10.0, attention: float = 0.1
) -> Benchmark:
    amount = items * length
    return Benchmark(
        recipe="recipe.yaml",
        model_type="data2vec2-audio",
        device="cpu",
        precision="float32",
        num_parameters=1000,
        items=items,
        amount=amount,
        unit="seconds",
        step_seconds=[0.99 * seconds, seconds, 1.02 * seconds],
        phases={},
        flops=int(amount * 1e9 * (1 + attention)),
        peak_flops_per_second=1e12,
        peak_bytes=int((100 + batch_mib) * MIB),
        where={"machine": "a test", "commit": None},
        attention_flops=int(amount * 1e9 * (1 + attention) * attention),
        rest_bytes=100 * MIB,
    )


def measure_until(most_items: int) -> Callable[[BenchmarkConfig], Benchmark]:
    def measure(config: BenchmarkConfig) -> Benchmark:
        assert config.items is not None
        assert not config.phases
        if config.items > most_items:
            raise MemoryError("a test's memory is full")
        return make_point(items=config.items, seconds=1 + config.items, batch_mib=10.0 * config.items)

    return measure


def test_sweeps_are_read() -> None:
    assert parse_sweep("items=1,2,8") == Sweep("items", [1, 2, 8])
    assert parse_sweep("seconds=0.5,2") == Sweep("seconds", [0.5, 2.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("items", "Expected --curve items=1,2,4"),
        ("items=", "Expected --curve items=1,2,4"),
        ("items=1,x", "Expected --curve items=1,2,4"),
        ("layers=1,2", "Expected --curve items=1,2,4"),
        ("seconds=1,inf", "Expected --curve items=1,2,4"),
        ("items=2,1", "rising values"),
        ("items=0,1", "above 0"),
        ("tokens=1.5,2", "whole numbers of tokens"),
    ],
)
def test_other_sweeps_are_errors(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_sweep(text)


def test_a_curve_ends_where_memory_does(recipe: str) -> None:
    config, sweep = BenchmarkConfig(recipe), Sweep("items", [1, 2, 4, 8])
    curve = run_curve(config, sweep, measure_until(2))
    assert curve.values == [1, 2]
    assert [point.items for point in curve.points] == [1, 2]
    assert curve.stopped == "Stopped at 4 items: it does not fit into memory: a test's memory is full."
    assert curve.stopped in format_curve(curve)
    assert run_curve(config, sweep, measure_until(8)).stopped is None
    with pytest.raises(ValueError, match="Stopped at 1 items"):
        run_curve(config, sweep, measure_until(0))


def test_what_will_not_fit_into_a_cpus_memory_is_not_tried(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve_module, "available_bytes", lambda: 150 * MIB)
    curve = run_curve(BenchmarkConfig(recipe), Sweep("items", [1, 4, 8]), measure_until(100))
    assert curve.values == [1, 4]  # 140 MiB, and then 180
    assert curve.stopped is not None
    assert "are expected" in curve.stopped
    monkeypatch.setattr(curve_module, "available_bytes", lambda: None)
    assert run_curve(BenchmarkConfig(recipe), Sweep("items", [1, 4, 8]), measure_until(100)).stopped is None


def test_memory_is_extrapolated_with_the_power_that_was_seen() -> None:
    one, two = make_point(batch_mib=10.0), make_point(batch_mib=40.0)
    assert expected_bytes([1], [one], 3) == pytest.approx(130 * MIB)
    assert expected_bytes([1, 2], [one, two], 4) == pytest.approx(260 * MIB)  # with the square
    assert expected_bytes([1, 2], [two, two], 4) == pytest.approx(180 * MIB)  # at least in proportion


def test_it_is_said_where_time_grows_with_the_length() -> None:
    costs = {2.0: 1.2, 5.0: 1.0, 10.0: 1.03, 20.0: 1.2, 30.0: 1.5}  # seconds per second of audio
    points = [make_point(1, length, cost * length, attention=length / 100) for length, cost in costs.items()]
    assert growth_begins(points) == 3
    (growth, memory) = sentences(Curve("seconds", list(costs), points))
    assert "begins to grow with the length at 20 s" in growth
    assert "above the least, at 5 s" in growth
    assert "20.0% of the operations there and 2.0% at 2 s" in growth
    assert "grow by 27.5% from 2 to 30 s" in growth  # 1.30 / 1.02
    assert "takes 0 MiB" in memory
    assert growth_begins(points[:3]) is None
    assert "does not grow by more than 5% up to 10 s" in sentences(Curve("seconds", [2, 5, 10], points[:3]))[0]
    assert growth_begins([replace(points[3], step_seconds=[19.0, 24.0, 24.0]), points[1]]) is None


def test_it_is_said_which_batch_is_large_enough() -> None:
    values = [1, 2, 4, 8]
    points = [
        make_point(items, 1.0, seconds=items / throughput, batch_mib=3.0 * items)
        for items, throughput in zip(values, (10, 15, 19.5, 20), strict=True)
    ]
    throughput, memory = sentences(Curve("items", list(values), points))
    assert throughput.startswith("Throughput: 4 items reach 95%")
    assert "a further second of audio takes 3 MiB (3 to 3 between neighbours)" in memory
    assert sentences(Curve("items", [1], points[:1])) == []


def test_a_value_is_measured_in_a_process_of_its_own(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "curve.json"
    flags = ["--curve", "seconds=0.25", "--items", "1", "--rounds", "1", "--output", str(path)]
    assert main(["benchmark", recipe, *flags]) == 0
    printed = capsys.readouterr().out
    assert "every value in a process of its own" in printed
    assert "0.25" in printed
    given = json.loads(path.read_text())
    assert (given["quantity"], given["values"], given["stopped"]) == ("seconds", [0.25], None)
    (point,) = given["points"]
    assert (point["items"], point["amount"]) == (1, 0.25)
    assert 0 < point["attention_flops"] < point["flops"]
    assert point["peak_bytes"] >= point["rest_bytes"] // 2 > 0
    with pytest.raises(ValueError, match="for one batch"):
        read_benchmark(str(path))


def test_curves_that_cannot_be_are_errors(recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "before.json").write_text("{}")
    for flags, message in (
        (["--curve", "seconds=0.001,1"], "receptive field"),
        (["--curve", "tokens=8,16"], "--tokens is for recipes of text"),
        (["--curve", "items=1,2", "--items", "2"], "not both"),
        (["--curve", "seconds=1,2", "--data", str(tmp_path)], "leave --data out"),
        (["--curve", "items=1,2", "--data", str(tmp_path), "--loader"], "leave --curve out"),
        (["--curve", "items=1,2", "--compare", str(tmp_path / "before.json")], "leave --curve and --against out"),
        (["--curve", "seconds=1,2", "--against", "transformers"], "takes --curve items"),
        (["--loader"], "--loader needs --data"),
        (["--workers", "2"], "--workers is for --loader"),
        (["--precision", "both"], "for --against transformers"),
        (["--against", "transformers", "--data", str(tmp_path)], "leave --data out"),
        (["--items", "0"], "--items of at least 1"),
        (["--items", "0", "--against", "transformers"], "--items of at least 1"),
        (["--seconds", "inf"], "--seconds above 0"),
        (["--set", "per_device_train_batch_size=0"], "per_device_train_batch_size of at least 1"),
        (["--set", "max_seconds=0"], "longest item of more than 0 seconds"),
        (["--output", "no/such/folder/b.json"], "there is no folder no/such/folder"),
        (["--output", str(tmp_path)], "is a folder"),
        (["--results", str(tmp_path / "results.jsonl")], "--results is for --against transformers"),
        (["--results", str(tmp_path), "--against", "transformers"], "Expected --results to name a file"),
    ):
        assert main(["benchmark", recipe, *flags]) == 1, flags
        assert message in capsys.readouterr().err


def test_a_curve_is_written_as_it_is(tmp_path: Path) -> None:
    write_curve(Curve("items", [2.0], [make_point()], "Stopped."), str(tmp_path / "curve.json"))
    given = json.loads((tmp_path / "curve.json").read_text())
    assert given["stopped"] == "Stopped."
    assert given["points"][0]["rest_bytes"] == 100 * MIB
