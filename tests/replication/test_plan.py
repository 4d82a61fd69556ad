# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import TrainingArguments

from hf_ssl.replication.cells import Cell, cells, pretraining_mark, task_mark
from hf_ssl.replication.plan import Method, Plan, Task, read_plan
from hf_ssl.replication.running import command_line
from hf_ssl.training.arguments import parse_arguments

PLANS = Path(__file__).parents[2] / "training_scripts" / "replications"


TUNING = {"script": "c.py", "metric": "cer", "learning_rates": [1e-3]}
RECOGNITION = {"probe": "recognition", "data": "READ", "column": "transcription"}
TOTAL_TIME = {"slow": {"script": "a.py"}, "random": {"untrained": "slow", "total_time": True}}


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "data": ["POOL/train"],
        "steps": 4,
        "seeds": [1, 2],
        "time_of": "slow",
        "methods": {
            "slow": {"script": "a.py", "flags": {"noise": "NOISE/x"}},
            "fast": {"script": "b.py", "recipe": "r.yaml"},
            "random": {"untrained": "slow"},
            "log-mel": {"without_network": True},
        },
        "tasks": {
            "digits": {"probe": "classification", "data": "DIGITS", "column": "label"},
            "reading": {"script": "c.py", "metric": "cer", "learning_rates": [1e-3], "flags": {"data": "READ"}},
        },
    } | changes


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(fields(**changes), sort_keys=False))
    return path


def test_a_plan_is_read(tmp_path):
    plan = read_plan(write(tmp_path), folders={"DIGITS": "/data/digits", "NOISE": "/n", "POOL": "/pool"})
    assert plan.data == ["/pool/train"]
    assert plan.methods["slow"] == Method("slow", script="a.py", flags={"noise": "/n/x"})
    assert plan.tasks["digits"] == Task("digits", probe="classification", data="/data/digits", column="label")
    assert plan.tasks["reading"].flags == {"data": "READ"}
    assert read_plan(write(tmp_path), data=["/mine"]).data == ["/mine"]


@pytest.mark.parametrize("name", sorted(path.stem for path in PLANS.glob("*.yaml")))
def test_our_plans_are_whole(name):
    plan = read_plan(PLANS / f"{name}.yaml")
    scripts = PLANS.parent
    for method in plan.methods.values():
        for name in (method.script, method.recipe):
            assert name is None or (scripts / name).is_file()
    for task in plan.tasks.values():
        assert task.script is None or (scripts / task.script).is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "Unknown fields of the plan: colour"),
        ({"steps": 0}, "steps of at least 1"),
        ({"seeds": []}, "and a seed"),
        ({"clock": "sun"}, "clock cpu or wall"),
        ({"time_of": "random"}, "'random' is no method with a script; those are slow, fast"),
        ({"methods": {"a": {}}}, "one of script, untrained and without_network for the method 'a'"),
        ({"methods": {"a": {"untrained": "b"}}, "time_of": None}, "'b' is no method with a script"),
        ({"methods": {"a": 3}}, "Expected fields of the method 'a', got 3"),
        ({"tasks": {"t": {}}}, "either probe or script for the task 't'"),
        ({"tasks": {"t": {"probe": "classification"}}}, "data and column for the probe 't'"),
        (
            {"tasks": {"t": RECOGNITION | {"readers": ["linear"]}}},
            "no method linear .readers of 't'., only weighted_sum",
        ),
        ({"tasks": {"t": RECOGNITION | {"probe": "words"}}}, "one of the tasks classification, .*got 'words'"),
        ({"tasks": {"t": {"script": "c.py"}}}, "metric and learning_rates"),
        ({"methods": TOTAL_TIME, "tasks": {"t": TUNING}}, "max_steps among the flags of the task 't'"),
        ({"methods": TOTAL_TIME, "tasks": {}}, "expected another method with untrained: slow"),
        ({"methods": {"a": {"script": "a.py", "total_time": True}}}, "total_time of the method 'a' needs untrained"),
        ({"tasks": {"t": {"prob": "classification"}}}, "Unknown fields of the task 't': prob"),
        ({"tasks": {"t": TUNING | {"learning_rates": ["high"]}}}, "list of numbers as learning_rates of the task 't'"),
        ({"tasks": {"t": TUNING | {"untrained_learning_rates": 3}}}, "numbers as untrained_learning_rates"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_plan(write(tmp_path, **changes))


def test_a_plan_of_cpus_on_a_gpu(tmp_path, monkeypatch):
    cpu = {"use_cpu": True}
    methods = {"slow": {"script": "a.py", "flags": cpu}, "fast": {"script": "b.py"}, "random": {"untrained": "slow"}}
    tasks = {
        "digits": {"probe": "classification", "data": "DIGITS", "column": "label"},
        "reading": TUNING | {"flags": cpu | {"data": "READ"}},
        "others": TUNING | {"untrained_flags": cpu | {"data": "READ"}},
    }
    path = write(tmp_path, methods=methods, tasks=tasks, pretraining=cpu | {"max_seconds": 5})
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    with pytest.raises(ValueError, match=r"--gpu needs an accelerator, but torch .* sees none"):
        read_plan(path, gpu=True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda"))
    on_cpu, on_gpu = read_plan(path), read_plan(path, gpu=True)
    assert (on_cpu.clock, on_gpu.clock) == ("cpu", "wall")
    assert on_cpu.pretraining["use_cpu"] is True
    not_cpu = {"use_cpu": False}
    assert on_gpu.pretraining == not_cpu | {"max_seconds": 5}
    assert [on_gpu.methods[name].flags for name in ("slow", "fast")] == [not_cpu, {}]
    assert on_gpu.tasks["reading"].flags == not_cpu | {"data": "READ"}
    assert on_gpu.tasks["reading"].untrained_flags is None
    assert on_gpu.tasks["others"].untrained_flags == not_cpu | {"data": "READ"}
    assert on_gpu.tasks["digits"] == on_cpu.tasks["digits"]
    trained = [cell for cell in cells(on_cpu) if cell.budget != "none"]
    assert trained
    assert all(pretraining_mark(on_cpu, cell) != pretraining_mark(on_gpu, cell) for cell in trained)
    assert task_mark(on_cpu.tasks["reading"]) != task_mark(on_gpu.tasks["reading"])


def test_a_recipe_of_cpus_does_not_win_over_the_flag(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("use_cpu: true\n")
    flags = command_line({"use_cpu": False, "output_dir": str(tmp_path)})
    (arguments,) = parse_arguments(TrainingArguments, argv=[str(recipe), *flags])
    assert arguments.use_cpu is False


def test_a_plan_that_is_missing_or_no_mapping_or_incomplete(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_plan(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match="must map names to values, got list"):
        read_plan(tmp_path / "list.yaml")
    (tmp_path / "short.yaml").write_text("steps: 3\n")
    with pytest.raises(ValueError, match=r"The plan is incomplete: .*'data'"):
        read_plan(tmp_path / "short.yaml")


def test_cells_go_seed_by_seed_and_models_come_before_what_is_derived_from_them(tmp_path):
    of_seed = [
        ("slow", "steps"),
        ("fast", "steps"),
        ("random", "none"),
        ("log-mel", "none"),
        ("fast", "time"),
    ]
    assert list(cells(read_plan(write(tmp_path)))) == [
        Cell(method, budget, seed) for seed in (1, 2) for method, budget in of_seed
    ]
    without_time = read_plan(write(tmp_path, time_of=None))
    assert not [cell for cell in cells(without_time) if cell.budget == "time"]


def test_marks_change_with_the_settings_they_stand_for_and_no_others(tmp_path):
    def plan(**changes: Any) -> Plan:
        return read_plan(write(tmp_path, **changes))

    steps, equal_time, random = Cell("fast", "steps", 1), Cell("fast", "time", 1), Cell("random", "none", 1)
    base = plan()
    marks = {cell: pretraining_mark(base, cell) for cell in (steps, equal_time, random)}
    assert len(set(marks.values())) == 3
    other_clock = plan(clock="wall")
    assert pretraining_mark(other_clock, steps) == marks[steps]
    assert pretraining_mark(other_clock, equal_time) != marks[equal_time]
    more = plan(steps=5)
    assert pretraining_mark(more, steps) != marks[steps]
    assert pretraining_mark(more, random) == marks[random]
    others = plan(pretraining={"max_seconds": 5})
    assert all(pretraining_mark(others, cell) != marks[cell] for cell in marks)
    task = base.tasks["digits"]
    assert task_mark(task) == task_mark(plan(steps=5).tasks["digits"]) != task_mark(base.tasks["reading"])
    assert task_mark(replace(task, readers=["linear"])) != task_mark(task)
    # A field that is left as it is does not count, so that old figures outlive fields that are added.
    assert task_mark(replace(task, untrained_flags=None)) == task_mark(task)


def test_rates_that_yaml_reads_as_text_are_numbers():
    as_text, as_numbers = (
        Task("reading", script="c.py", metric="cer", learning_rates=rates, untrained_learning_rates=rates)
        for rates in (["5e-4", "1e-3"], [5.0e-4, 1.0e-3])
    )
    assert as_text == as_numbers
    assert task_mark(as_text) == task_mark(as_numbers)


def test_a_folder_that_nothing_in_the_plan_stands_for_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="begins with 'DIGIT', for which a folder was given"):
        read_plan(write(tmp_path), folders={"DIGITS": "/data/digits", "DIGIT": "/data/digits"})
    # The plan's own name is none that was mistyped, though the data are others.
    assert read_plan(write(tmp_path), data=["/mine"], folders={"POOL": "/pool"}).data == ["/mine"]
    assert read_plan(write(tmp_path), data=["MINE/a"], folders={"MINE": "/my"}).data == ["/my/a"]


def test_random_weights_for_the_total_time_come_after_those_that_find_their_rate(tmp_path):
    methods = {
        "total": {"untrained": "slow", "total_time": True},
        "slow": {"script": "a.py"},
        "log-mel": {"without_network": True},
        "random": {"untrained": "slow"},
    }
    plan = read_plan(write(tmp_path, methods=methods, tasks={}))
    assert [cell.method for cell in cells(plan) if cell.seed == 1] == ["slow", "log-mel", "random", "total"]


def test_marks_of_figures_that_are_published_stay(tmp_path):
    plan = read_plan(write(tmp_path))
    assert [
        pretraining_mark(plan, cell)
        for cell in (Cell("slow", "steps", 1), Cell("random", "none", 1), Cell("log-mel", "none", 1))
    ] == ["6f8c08a5", "71994f4f", "21c8be12"]
    assert [task_mark(task) for task in plan.tasks.values()] == ["b6745168", "36b10368"]


def test_marks_change_with_all_that_sets_the_number_of_updates(tmp_path):
    methods = {
        "slow": {"script": "a.py"},
        "fast": {"script": "b.py"},
        "random": {"untrained": "slow"},
        "total": {"untrained": "slow", "total_time": True},
    }
    timed, total, random = Cell("fast", "time", 1), Cell("total", "none", 1), Cell("random", "none", 1)

    def marks(**changes: Any) -> dict[Cell, str]:
        plan = read_plan(write(tmp_path, **{"methods": methods, "tasks": {}, **changes}))
        return {cell: pretraining_mark(plan, cell) for cell in (timed, total, random)}

    base = marks()
    assert base[total] != base[random]
    for changes in ({"steps": 5}, {"clock": "wall"}, {"seeds": [2, 1]}):
        changed = marks(**changes)
        assert changed[timed] != base[timed]
        assert changed[total] != base[total]
        assert changed[random] == base[random]
    assert marks(seeds=[1, 2, 3]) == base
    for slower in ({"script": "a.py", "flags": {"x": 1}}, {"script": "a.py", "recipe": "r.yaml"}):
        assert marks(methods=methods | {"slow": slower})[timed] != base[timed]
    assert marks(methods=methods | {"other": {"script": "c.py"}}) == base
