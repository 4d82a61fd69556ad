# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What is filled, in which order and by whom, with scripts that only pretend to train."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hf_ssl.replication.cells import Cell, read_filled
from hf_ssl.replication.plan import Method, Plan, Task
from hf_ssl.replication.running import Replication, ScriptRunner
from hf_ssl.results import append_result, read_results

NAN = float("nan")


class Pretending(ScriptRunner):
    """Leaves the files of a training. `errors` of fine-tuning by learning rate, on validation and test."""

    def __init__(self, errors: Mapping[float, float] | None = None) -> None:
        super().__init__(Path("."))
        self.errors = {} if errors is None else errors
        self.ran: list[tuple[str, Mapping[str, Any]]] = []
        self.trained = 0

    def __call__(self, script: str, recipe: str | None, flags: Mapping[str, Any], log: Path) -> dict[str, float]:
        self.ran.append((script, flags))
        output = Path(flags["output_dir"])
        write(output / "trainer_state.json", {"global_step": flags["max_steps"], "log_history": [{"loss": 1.0}]})
        if script == "pretrain.py":
            write(output / "config.json", {})
            self.trained += 1
            (output / "model.safetensors").write_bytes(bytes([self.trained]))  # other weights every time
        else:
            error = self.errors.get(flags["learning_rate"], 0.5)
            write(output / "train_results.json", {"train_runtime": 2.0})
            for split in ("eval", "test"):
                write(output / f"{split}_results.json", {f"{split}_cer": error, f"{split}_loss": 2.0})
        return {"wall_seconds": 4.0, "cpu_seconds": 4.0}

    @property
    def scripts_run(self) -> list[str]:
        return [script for script, _ in self.ran]


def write(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "POOL").mkdir()
    return tmp_path


def plan_of(*methods: Method, seeds: tuple[int, ...] = (1,), **task: Any) -> Plan:
    fields = {"script": "finetune.py", "metric": "cer", "learning_rates": [0.1], "flags": {"max_steps": 4}} | task
    found = methods or (Method("a", script="pretrain.py"),)
    return Plan(["POOL"], 2, seeds, {method.name: method for method in found}, {"reading": Task("reading", **fields)})


def table(plan: Plan, folder: Path, errors: Mapping[float, float] | None = None) -> tuple[Replication, Pretending]:
    runner = Pretending(errors)
    return Replication(plan, folder / "TABLE", runner, ["replicate.py"]), runner


def without_lines(replication: Replication, *kinds: str) -> None:
    """Deletes lines of the results file."""
    lines = [line for line in read_results(replication.results) if line["what"] not in kinds]
    replication.results.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_figures_of_a_model_that_is_trained_again_are_measured_again(folder: Path) -> None:
    replication, runner = table(plan_of(), folder)
    list(replication.fill())
    assert runner.scripts_run == ["pretrain.py", "finetune.py"]
    without_lines(replication, "replication")
    list(replication.fill())
    assert len(runner.ran) == 2  # the figures were kept
    without_lines(replication, "pretraining", "replication")
    list(replication.fill())
    assert runner.scripts_run[2:] == ["pretrain.py", "finetune.py"]
    without_lines(replication, "pretraining")  # figures of the old model do not stand for the new one
    list(replication.fill())
    assert runner.scripts_run[4:] == ["pretrain.py", "finetune.py"]


def test_figures_that_do_not_tell_their_model_count_if_they_came_after_it(folder: Path) -> None:
    replication, runner = table(plan_of(), folder)
    list(replication.fill())
    (kept,) = (replication.folder / "fine-tuned").glob("*/_figures.json")
    write(kept, {name: value for name, value in json.loads(kept.read_text()).items() if name != "model"})
    without_lines(replication, "replication")
    list(replication.fill())
    assert len(runner.ran) == 2
    weights = replication.model_folder(Cell("a", "steps", 1)) / "model.safetensors"
    later = kept.stat().st_mtime + 10
    os.utime(weights, (later, later))
    without_lines(replication, "replication")
    list(replication.fill())
    assert runner.scripts_run[2:] == ["finetune.py"]


def test_figures_of_random_weights_outlive_the_weights_of_the_model_whose_network_they_have(folder: Path) -> None:
    replication, runner = table(plan_of(Method("a", script="pretrain.py"), Method("random", untrained="a")), folder)
    list(replication.fill())
    without_lines(replication, "pretraining", "replication")
    runner.ran.clear()
    list(replication.fill())
    assert runner.scripts_run == ["pretrain.py", "finetune.py"]  # that of the model


def test_of_two_lines_of_a_cell_the_later_counts_once(folder: Path) -> None:
    replication, _ = table(plan_of(), folder)
    list(replication.fill())
    text = replication.results.read_text()
    replication.results.write_text(text + text.replace('"test": 0.5', '"test": 0.25'))
    filled = read_filled(replication.plan, replication.results)
    assert [line["test"] for line in filled.figures[Cell("a", "steps", 1), "reading"]] == [0.25]


def test_what_another_process_is_at_is_left_to_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    methods = Method("a", script="pretrain.py"), Method("b", script="pretrain.py")
    ours, _ = table(plan_of(*methods), folder)
    theirs, they_ran = table(plan_of(*methods), folder)
    seen = []

    def train(*arguments: Any) -> dict[str, float]:
        if not seen:
            seen.append("first")
            with caplog.at_level(logging.INFO, logger="hf_ssl.replication.running"):
                list(theirs.fill())  # while we train
        return Pretending()(*arguments)

    ours.run_script = train  # type: ignore[assignment]
    list(ours.fill())
    assert they_ran.scripts_run == ["pretrain.py", "finetune.py"]
    assert all("/b-steps-1" in flags.get("model_name_or_path", flags["output_dir"]) for _, flags in they_ran.ran)
    assert "a (equal updates), seed 1: pre-training: another process is at it" in caplog.text
    lines = read_results(ours.results)
    assert sorted((line["what"], line["method"]) for line in lines if line["what"] == "pretraining") == [
        ("pretraining", "a"), ("pretraining", "b"),
    ]  # fmt: skip
    assert len(lines) == 4


def test_what_somebody_filled_in_the_meantime_is_not_filled_again(folder: Path) -> None:
    replication, runner = table(plan_of(), folder)
    filling = replication.fill()
    next(filling)
    other, other_ran = table(replication.plan, folder)
    list(other.fill())
    assert other_ran.scripts_run == ["finetune.py"]
    assert list(filling) == []
    assert runner.scripts_run == ["pretrain.py"]


def test_what_cannot_be_filled_does_not_stop_the_rest_and_is_named_at_the_end(folder: Path) -> None:
    methods = Method("a", script="pretrain.py"), Method("random", untrained="a"), Method("b", script="pretrain.py")
    replication, runner = table(plan_of(*methods, seeds=(1, 2)), folder)
    with pytest.raises(ValueError, match=r"could be filled:\nrandom .*, seed 1 has .*\nrandom .*, seed 2 has"):
        list(replication.fill(methods=["random", "b"]))
    assert runner.scripts_run == ["pretrain.py", "finetune.py"] * 2


def test_the_network_of_random_weights_is_that_of_any_seed(folder: Path) -> None:
    plan = plan_of(Method("a", script="pretrain.py"), Method("random", untrained="a"), seeds=(1, 2, 3))
    replication, runner = table(plan, folder)
    list(replication.fill(seeds=[2]))
    name = runner.ran[-1][1]["output_dir"]
    assert "/a-steps-2" in runner.ran[-1][1]["model_name_or_path"]
    list(replication.fill(methods=["random"], seeds=[3]))
    assert "/a-steps-2" in runner.ran[-1][1]["model_name_or_path"]
    # The figures are found again where the network is found in another folder.
    list(replication.fill(methods=["a"], seeds=[1]))
    without_lines(replication, "replication")
    runner.ran.clear()
    replication.model_folder(Cell("a", "steps", 2)).rename(folder / "elsewhere")
    list(replication.fill(methods=["random"], seeds=[2]))
    assert runner.ran == []
    assert Path(name, "_figures.json").is_file()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"metric": "wer"}, r"does not measure 'wer', the metric of the task 'reading'.* there are cer, loss\."),
        ({"script": "no_test.py"}, r"no_test.py measured nothing on test: .*test_results.json"),
    ],
)
def test_a_metric_that_is_not_measured_is_named(folder: Path, task: dict[str, Any], message: str) -> None:
    replication, runner = table(plan_of(**task), folder)

    def train(script: str, *arguments: Any) -> dict[str, float]:
        seconds = Pretending.__call__(runner, script, *arguments)
        if script == "no_test.py":
            (Path(runner.ran[-1][1]["output_dir"]) / "test_results.json").unlink()
        return seconds

    replication.run_script = train  # type: ignore[assignment]
    with pytest.raises(ValueError, match=message):
        list(replication.fill())


@pytest.mark.parametrize("rates", [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])
def test_what_is_no_number_is_worse_than_any(folder: Path, rates: list[float]) -> None:
    replication, _ = table(plan_of(learning_rates=rates), folder, {0.1: NAN, 0.2: 0.9, 0.3: NAN})
    list(replication.fill())
    (line,) = replication.filled().figures[Cell("a", "steps", 1), "reading"]
    assert (line["test"], line["chosen"]) == (0.9, {"learning_rate": 0.2})
    assert line["tried"] == {"0.1": None, "0.2": 0.9, "0.3": None}


def test_a_task_without_any_number_is_left_out_and_named(folder: Path) -> None:
    plan = plan_of(Method("a", script="pretrain.py"), Method("b", script="pretrain.py"), learning_rates=[0.1, 0.2])
    replication, runner = table(plan, folder, {0.1: NAN, 0.2: NAN})
    with pytest.raises(ValueError, match=r"cer of the task 'reading' is no number at the learning rates 0\.1, 0\.2"):
        list(replication.fill())
    assert len(runner.ran) == 2 + 4
    assert not replication.filled().figures


def test_a_script_holds_the_claim_on_its_cell(folder: Path) -> None:
    (folder / "held.py").write_text(
        "import os, pathlib\n"
        "held = []\n"
        "for number in range(3, 64):\n"
        "    try: held.append(os.fstat(number).st_ino)\n"
        "    except OSError: pass\n"
        "(claim,) = pathlib.Path('TABLE/claims').iterdir()\n"
        "raise SystemExit(f'held: {claim.stat().st_ino in held}')\n"
    )
    plan = plan_of(Method("a", script="held.py"))
    replication = Replication(plan, folder / "TABLE", ScriptRunner(folder), [])
    with pytest.raises(RuntimeError, match="held: True"):
        list(replication.fill())


def test_data_that_are_missing_are_named_before_the_first_training(folder: Path) -> None:
    flags = {"data": str(folder / "READ"), "eval_data": None, "test_file": ["./a.csv", "POOL"], "max_steps": 4}
    replication, runner = table(plan_of(flags=flags), folder)
    with pytest.raises(ValueError, match=r"do not exist: \S+/READ \(for the task 'reading'\), ./a.csv \(for the task"):
        list(replication.fill())
    (folder / "POOL").rmdir()
    replication.plan = Plan([str(folder / "POOL")], 2, [1], replication.plan.methods, plan_of().tasks)
    with pytest.raises(ValueError, match=r"POOL \(for pre-training\)"):
        list(replication.fill())
    assert runner.ran == []


def test_data_of_what_is_filled_may_be_gone(folder: Path) -> None:
    plan = plan_of()
    plan = Plan([str(folder / "POOL")], 2, [1], plan.methods, plan.tasks)
    replication, _ = table(plan, folder)
    list(replication.fill())
    (folder / "POOL").rmdir()
    without_lines(replication, "replication")
    assert len(list(replication.fill())) == 1


@pytest.mark.parametrize(("error", "is_missing"), [(FileNotFoundError, True), (ConnectionError, False)])
def test_a_name_that_may_be_on_the_hub_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError], is_missing: bool
) -> None:
    asked = []

    def ask(name: str, config: str | None) -> list[str]:
        asked.append((name, config))
        raise error

    monkeypatch.setattr("datasets.get_dataset_split_names", ask)
    replication, runner = table(plan_of(flags={"data": "ada/read:en", "max_steps": 4}), folder)
    if is_missing:
        with pytest.raises(ValueError, match=r"ada/read:en \(for the task 'reading'\)"):
            list(replication.fill())
    else:
        list(replication.fill())
    assert asked == [("ada/read", "en")]
    assert len(runner.ran) == (0 if is_missing else 2)


def test_lines_of_other_tables_do_not_matter(folder: Path) -> None:
    replication, _ = table(plan_of(), folder)
    append_result(replication.results, {"what": "probe"}, command=[])
    assert len(list(replication.fill())) == 2
