# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A table of tiny models of speech, filled by the real scripts, in this process."""

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import soundfile
import yaml
from training_helpers import load_script, write_metadata, write_recordings

from hf_ssl.evaluation.probe_data import ProbeTask
from hf_ssl.replication import running
from hf_ssl.replication.budgets import num_steps, total_time_steps
from hf_ssl.replication.cells import Cell, Filled
from hf_ssl.replication.plan import Plan, read_plan
from hf_ssl.replication.running import Replication, ScriptRunner, command_line
from hf_ssl.replication.table import markdown_table
from hf_ssl.results import read_results

COMMON = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "dataloader_num_workers": 0}


class InProcess(ScriptRunner):
    """Runs scripts here, which takes seconds less, and pretends that data2vec 2.0 takes four times as long."""

    def __init__(self) -> None:
        super().__init__(Path("."))
        self.ran: list[tuple[str, Mapping[str, Any]]] = []

    def __call__(self, script: str, recipe: str | None, flags: Mapping[str, Any], log: Path) -> dict[str, float]:
        self.ran.append((script, flags))
        load_script(script.removesuffix(".py")).main(command_line(flags))
        seconds = flags.get("max_steps", 1) * (4.0 if flags.get("model_type") == "data2vec2-audio" else 1.0)
        return {"wall_seconds": seconds, "cpu_seconds": seconds}


@pytest.fixture(scope="module")
def plan_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed, (split, count) in enumerate((("train", 12), ("validation", 8), ("test", 8))):
        write_metadata(write_recordings(folder / "TONES" / split, count=count, seed=seed))
    tones = str(folder / "TONES")
    plan = {
        "data": [f"{tones}/train"],
        "steps": 2,
        "seeds": [5],
        "time_of": "data2vec2",
        "pretraining": {
            **COMMON, "save_strategy": "no", "min_seconds": 0.3, "per_device_train_batch_size": 4, "logging_steps": 1,
        },
        "methods": {
            "data2vec2": {
                "script": "pretrain_speech.py",
                "flags": {"model_type": "data2vec2-audio", "model_size": "tiny"},
            },
            "best-rq": {"script": "pretrain_speech.py", "flags": {"model_type": "best-rq", "model_size": "tiny"}},
            "random": {"untrained": "data2vec2"},
            "log-mel": {"without_network": True},
        },
        "tasks": {
            "tones": {"probe": "classification", "data": tones, "column": "label", "readers": ["linear"]},
            "reading": {
                "script": "finetune_ctc.py",
                "metric": "cer",
                "learning_rates": [1e-3, 2e-3],
                "untrained_learning_rates": [1e-3],
                "flags": {
                    **COMMON, "data": tones, "eval_data": tones, "test_split": "test", "max_steps": 1,
                    "save_strategy": "no",
                },
            },
        },
    }  # fmt: skip
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def filled(plan_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("table")
    replication = Replication(read_plan(plan_path), folder, InProcess(), ["replicate.py", "plan.yaml"])
    assert len(list(replication.fill())) == 3 + 5 + 4  # trainings, probes, fine-tunings
    return folder


def test_every_cell_is_filled_once(plan_path, filled):
    lines = read_results(filled / "results.jsonl")
    pretrained = {(line["method"], line["budget"]): line["steps"] for line in lines if line["what"] == "pretraining"}
    # Equal time: BEST-RQ gets the updates that fit into two of data2vec 2.0.
    assert pretrained == {("data2vec2", "steps"): 2, ("best-rq", "steps"): 2, ("best-rq", "time"): 8}
    figures = [line for line in lines if line["what"] == "replication"]
    assert len(figures) == 5 + 4
    assert all(line["seed"] == 5 and line["command"] == "replicate.py plan.yaml" for line in figures)
    assert {line["reader"] for line in figures if line["task"] == "tones"} == {"linear"}
    reading = {(line["method"], line["budget"]): line for line in figures if line["task"] == "reading"}
    assert set(reading) == {("data2vec2", "steps"), ("best-rq", "steps"), ("best-rq", "time"), ("random", "none")}
    assert set(reading["best-rq", "time"]["tried"]) == {"0.001", "0.002"}
    assert set(reading["random", "none"]["tried"]) == {"0.001"}
    assert reading["data2vec2", "steps"]["steps"] == 1
    assert 0 < reading["data2vec2", "steps"]["training_share"] <= 1
    tried = reading["data2vec2", "steps"]["tried"]
    assert tried[str(reading["data2vec2", "steps"]["chosen"]["learning_rate"])] == min(tried.values())


def test_what_is_filled_is_not_run_again_and_a_changed_task_is(plan_path, filled, tmp_path):
    folder = tmp_path / "table"
    shutil.copytree(filled, folder)
    runner = InProcess()
    assert list(Replication(read_plan(plan_path), folder, runner, []).fill()) == []

    changed = yaml.safe_load(plan_path.read_text())
    changed["tasks"]["tones"]["readers"] = ["neighbours"]
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    replication = Replication(read_plan(tmp_path / "plan.yaml"), folder, runner, [])
    assert len(list(replication.fill(methods=["log-mel"]))) == 1
    assert runner.ran == []  # no training
    table = markdown_table(replication.plan, replication.filled())
    assert "tones: accuracy (neighbours)" in table
    assert "tones: accuracy (linear)" not in table  # figures of the old plan are not in the new one's table


def add_segments(split: Path) -> None:
    """A column with the segments that `label_frames` reads: the first half of a recording, then the second."""
    with open(split / "metadata.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        seconds = soundfile.info(split / row["file_name"]).duration
        row["segments"] = json.dumps([[0, seconds / 2, row["label"]], [seconds / 2, seconds, "end"]])
    with open(split / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_plan_may_have_every_task_of_probes(plan_path, filled, tmp_path):
    folder, tones = tmp_path / "table", tmp_path / "TONES"
    shutil.copytree(filled, folder)
    shutil.copytree(plan_path.parent / "TONES", tones)
    for split in tones.iterdir():
        add_segments(split)
    columns = {"classification": "label", "multilabel": "tags", "recognition": "transcription", "frames": "segments",
               "verification": "label"}  # fmt: skip
    assert set(columns) == set(get_args(ProbeTask))
    changed = yaml.safe_load(plan_path.read_text())
    changed["tasks"] = {
        name: {"probe": name, "data": str(tones), "column": column} for name, column in columns.items()
    }
    replication = Replication(read_plan_of(changed, tmp_path), folder, InProcess(), [])
    assert len(list(replication.fill(methods=["data2vec2", "log-mel"]))) == 2 * len(columns)
    assert {task for _, task in replication.filled().figures} == set(columns)


def test_only_chosen_seeds_are_filled(plan_path, filled, tmp_path):
    folder = tmp_path / "table"
    shutil.copytree(filled, folder)
    changed = yaml.safe_load(plan_path.read_text())
    changed["seeds"] = [5, 6, 7]
    replication = Replication(read_plan_of(changed, tmp_path), folder, InProcess(), [])
    assert len(list(replication.fill(methods=["random", "log-mel"], seeds=[5, 7]))) == 3
    seeds = {cell.seed for cell, _ in replication.filled().figures}
    assert seeds == {5, 7}


def test_only_chosen_budgets_are_filled(plan_path, filled, tmp_path):
    folder = tmp_path / "table"
    shutil.copytree(filled, folder)
    (folder / "results.jsonl").unlink()
    replication = Replication(read_plan(plan_path), folder, InProcess(), [])
    assert len(list(replication.fill(budgets=["steps"], tasks=["tones"]))) == 2 + 2
    assert {cell.budget for cell in replication.filled().pretraining} == {"steps"}
    assert {cell.budget for cell, _ in replication.filled().figures} == {"steps"}
    assert len(list(replication.fill(budgets=["time", "none"], tasks=["tones"]))) == 1 + 3
    assert {cell.budget for cell, _ in replication.filled().figures} == {"steps", "time", "none"}


def test_a_further_learning_rate_costs_only_itself(plan_path, filled, tmp_path):
    folder = tmp_path / "table"
    shutil.copytree(filled, folder)
    changed = yaml.safe_load(plan_path.read_text())
    changed["tasks"]["reading"]["learning_rates"] = [1e-3, 2e-3, 4e-3]
    runner = InProcess()
    replication = Replication(read_plan_of(changed, tmp_path), folder, runner, [])
    assert len(list(replication.fill(methods=["best-rq"], tasks=["reading"]))) == 2  # equal updates, equal time
    assert [flags["learning_rate"] for _, flags in runner.ran] == [4e-3, 4e-3]
    figures = replication.filled().figures[Cell("best-rq", "steps", 5), "reading"]
    assert [set(figure["tried"]) for figure in figures] == [{"0.001", "0.002", "0.004"}]


def test_the_table_has_a_row_per_method_and_budget(plan_path, filled):
    replication = Replication(read_plan(plan_path), filled, InProcess(), [])
    rows = [
        [entry.strip() for entry in row.strip("|").split("|")]
        for row in markdown_table(replication.plan, replication.filled()).splitlines()
    ]
    assert rows[0][3:] == [
        "updates", "pre-training, cpu minutes", "between_utterance_share at the end", "codebook_usage at the end",
        "tones: accuracy (linear)", "reading: cer (fine-tuning)",
    ]  # fmt: skip
    assert [row[:4] for row in rows[2:]] == [
        ["data2vec2", "equal updates", "1", "2"],
        ["best-rq", "equal updates", "1", "2"],
        ["best-rq", "equal time", "1", "8"],
        ["random", "", "1", "-"],
        ["log-mel", "", "1", "-"],
    ]
    assert rows[-1][-1] == "-"  # nothing to fine-tune
    assert [row[5] == "-" for row in rows[2:]] == [False, True, True, True, True]  # of data2vec's family only
    assert [row[6] == "-" for row in rows[2:]] == [True, False, False, True, True]
    assert all(row[7].endswith("%") for row in rows[2:])


def test_the_script_writes_table_and_chart(plan_path, filled, tmp_path, capsys):
    folder = tmp_path / "table"
    shutil.copytree(filled, folder)
    script = load_script("replicate")
    script.main([str(plan_path), "--output_dir", str(folder), "--show"])
    printed = capsys.readouterr().out
    assert "9 of 9 cells are filled." in printed
    assert (folder / "table.md").read_text() in printed
    pytest.importorskip("matplotlib")
    assert (folder / "chart.png").read_bytes().startswith(b"\x89PNG")
    for wrong in (["--methods", "hubert"], ["--tasks", "words"], ["--seeds", "7"], ["--folder", "DIGITS"]):
        with pytest.raises(SystemExit, match=r"replicate\.py: error"):
            script.main([str(plan_path), "--output_dir", str(folder), "--show", *wrong])


def test_random_weights_need_the_network_they_belong_to(plan_path, tmp_path):
    replication = Replication(read_plan(plan_path), tmp_path, InProcess(), [])
    with pytest.raises(ValueError, match=r"random \(no training\), seed 5 has the network of a model that is not"):
        list(replication.fill(methods=["random"]))


def test_equal_time_needs_to_know_what_an_update_takes(plan_path):
    plan = read_plan(plan_path)
    with pytest.raises(ValueError, match="run the cell data2vec2, equal updates, first"):
        num_steps(plan, Cell("best-rq", "time", 5), {})


def plan_with_total_time(plan_path: Path) -> Plan:
    given = yaml.safe_load(plan_path.read_text())
    given["methods"]["random, total time"] = {"untrained": "data2vec2", "total_time": True}
    return read_plan_of(given, plan_path.parent)


def test_the_total_time_is_that_of_pretraining_and_fine_tuning(plan_path):
    plan = plan_with_total_time(plan_path)
    trained, random = Cell("data2vec2", "steps", 5), Cell("random, total time", "none", 5)
    figure = {"cpu_seconds": 1.25, "training_share": 0.8}  # one second for the one update
    filled = Filled({trained: {"cpu_seconds": 60.0}}, {(trained, "reading"): [figure]})
    assert total_time_steps(plan, random, plan.tasks["reading"], filled) == 1 + 60
    with pytest.raises(ValueError, match="run it for data2vec2, equal updates, first"):
        total_time_steps(plan, random, plan.tasks["reading"], Filled({}, {}))


def test_random_weights_are_fine_tuned_for_the_total_time_at_the_rate_found_before(plan_path, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "total_time_steps", lambda plan, cell, task, filled: 3)
    runner = InProcess()
    replication = Replication(plan_with_total_time(plan_path), tmp_path, runner, [])
    with pytest.raises(ValueError, match="has the network of a model that is not pre-trained yet"):
        list(replication.fill(methods=["random"], tasks=["reading"]))
    for _ in replication.fill(methods=["data2vec2"], tasks=["reading"]):
        if runner.ran[-1][0] == "pretrain_speech.py":
            break
    with pytest.raises(ValueError, match=r"run random \(no training\), seed 5 first"):
        list(replication.fill(methods=["random, total time"]))
    runner.ran.clear()
    list(replication.fill(methods=["random", "random, total time"], tasks=["tones", "reading"]))
    assert [(flags["learning_rate"], flags["max_steps"]) for _, flags in runner.ran] == [(1e-3, 1), (1e-3, 3)]
    lines = [line for line in read_results(tmp_path / "results.jsonl") if line["what"] == "replication"]
    assert [(line["method"], line["task"]) for line in lines] == [
        ("random", "tones"), ("random", "reading"), ("random, total time", "reading"),
    ]  # fmt: skip


def read_plan_of(given: dict[str, Any], folder: Path) -> Plan:
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False))
    return read_plan(path)


def test_time_that_is_up_begins_nothing_new(plan_path, tmp_path):
    runner = InProcess()
    replication = Replication(read_plan(plan_path), tmp_path, runner, [])
    assert len(list(replication.fill(minutes=0.0))) == 1
    assert [script for script, _ in runner.ran] == ["pretrain_speech.py"]


def test_scripts_run_as_processes_and_their_failures_are_shown(tmp_path):
    (tmp_path / "good.py").write_text("import sys; print(sys.argv[1:]); sum(range(3_000_000))")
    (tmp_path / "bad.py").write_text("raise SystemExit('no such recipe')")
    runner = ScriptRunner(tmp_path)
    flags = {"data": ["a", "b"], "bf16": True, "seed": None, "overrides": {"size": 3}}
    seconds = runner("good.py", "recipe.yaml", flags, tmp_path / "log.txt")
    said = (tmp_path / "log.txt").read_text()
    assert f"['{tmp_path}/recipe.yaml', '--data', 'a', 'b', '--bf16', 'True', '--overrides={{\"size\": 3}}']" in said
    assert seconds["cpu_seconds"] > 0
    assert seconds["wall_seconds"] > 0
    with pytest.raises(RuntimeError, match=r"bad.py ended with status 1[\s\S]*no such recipe"):
        runner("bad.py", None, {}, tmp_path / "log.txt")
