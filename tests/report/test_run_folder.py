# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Reading a run's folder: what is damaged or hostile is named, and nothing is executed."""

import math
import pickle
from pathlib import Path

import pytest
from report_helpers import a_log, write_header, write_json, write_lines

from hf_ssl.report.run_folder import read_run


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        read_run(tmp_path / "none")
    with pytest.raises(ValueError, match=r"no trainer_state\.json, and neither has a checkpoint"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1, 2]", "nonsense", "", "[" * 100_000])
def test_damaged_state(make_run, text):
    folder = make_run()
    (folder / "trainer_state.json").write_text(text)
    with pytest.raises(ValueError, match=r"trainer_state\.json is damaged"):
        read_run(folder)


def test_a_run_that_was_stopped_is_read_from_its_newest_checkpoint(make_run):
    folder = make_run()
    for step in (100, 200):
        (folder / f"checkpoint-{step}").mkdir()
        write_json(
            folder / f"checkpoint-{step}" / "trainer_state.json",
            {"global_step": step, "log_history": a_log(step // 10)},
        )
    (folder / "checkpoint-300").mkdir()
    (folder / "checkpoint-300" / "trainer_state.json").write_text('{"glob')
    (folder / "checkpoint-200" / "complete.json").write_text("{}")
    (folder / "trainer_state.json").unlink()
    run = read_run(folder)
    assert run.state["global_step"] == 200
    assert run.model_folder == folder / "checkpoint-200"
    assert run.checkpoints == {100: False, 200: True, 300: False}
    assert any("damaged" in problem for problem in run.problems)
    assert any("has not ended" in problem for problem in run.problems)


def test_values_that_are_no_numbers(make_run):
    log = [
        {"step": 1, "loss": math.nan, "grad_norm": math.inf, "note": "words", "flag": True},
        {"step": 2, "loss": 10**400, "grad_norm": -(10**400)},
        {"loss": 3.0},
        "nonsense",
        {"step": -1, "loss": 3.0},
    ]
    run = read_run(make_run(log))
    assert [sorted(entry.figures) for entry in run.log] == [["grad_norm", "loss"]] * 2
    assert math.isnan(run.log[0].figures["loss"])
    assert run.last("loss") == math.inf
    assert run.last("grad_norm") == -math.inf
    assert any("3 entries" in problem for problem in run.problems)


@pytest.mark.parametrize("log", [[], {}, [{"step": 3}]])
def test_a_log_with_nothing_in_it(make_run, log):
    assert any("Nothing was logged" in p or "is no list" in p for p in read_run(make_run(log)).problems)


def test_damaged_files_are_problems(make_run):
    folder = make_run()
    (folder / "config.json").write_text("{")
    (folder / "train_results.json").write_text("[]")
    (folder / "preprocessor_config.json").write_bytes(b"\xff\xfe")
    (folder / "model.safetensors").write_bytes(b"\x00\x01")
    (folder / "_eval_transcripts.tsv").write_text("reference\thypothesis\nonly one\na\tb\n")
    (folder / "_skipped_files.jsonl").write_text('{"file": "a", "reason": "r"}\n{"fi')
    run = read_run(folder)
    assert (run.config, run.preprocessor, run.results["train"], run.parameters) == ({}, {}, {}, {})
    assert run.transcripts == {"eval": [("a", "b")]}
    assert run.skipped == {"a": "r"}
    for name in (
        "config.json",
        "train_results.json",
        "preprocessor_config.json",
        "model.safetensors",
        "_eval_transcripts",
    ):
        assert any(name in problem for problem in run.problems), name


def test_pickles_are_not_opened(make_run, tmp_path):
    folder = make_run()
    for name in ("training_args.bin", "optimizer.pt", "pytorch_model.bin"):
        (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    read_run(folder)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("shape", [["x"], 3, None, [1e400]])
def test_hostile_headers_of_weights(make_run, shape):
    folder = make_run()
    write_header(folder / "model.safetensors", {"a.b": shape})
    assert isinstance(read_run(folder).parameters, dict)


def test_parameters_are_counted_by_part(make_run):
    assert read_run(make_run()).parameters == {"trunk": 12, "teacher": 12}


def test_events_are_of_the_newest_run(make_run):
    folder = make_run()
    write_lines(
        folder / "_run_record.jsonl",
        [{"what": "begin"}, {"what": "warning", "message": "old"}, {"what": "begin"}, {"what": "resume"}, 3],
    )
    assert [event["what"] for event in read_run(folder).events] == ["begin", "resume"]
