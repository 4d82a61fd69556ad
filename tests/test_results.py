# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import json
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaitingError
from pathlib import Path

import pytest

from hf_ssl import __version__
from hf_ssl.evaluation.probe_data import DataConfig
from hf_ssl.results import (
    append_result,
    chosen_settings,
    cpu_model,
    describe_machine,
    provenance,
    read_results,
)
from hf_ssl.shared_files import lock


def test_lines_are_appended_with_where_they_come_from(tmp_path):
    path = tmp_path / "results.jsonl"
    append_result(path, {"what": "probe", "test": 0.5}, command=["hf-ssl", "probe", "a b"])
    written = append_result(path, {"what": "probe", "test": 0.6, "name": "é"}, command=["hf-ssl"])
    first, second = read_results(path)
    assert second == written
    assert (first["test"], second["test"], second["name"]) == (0.5, 0.6, "é")
    assert first["command"] == "hf-ssl probe 'a b'"
    assert first["version"] == __version__
    assert first["machine"] == describe_machine()
    assert set(provenance()) == {"version", "commit", "machine"}


def test_a_cpu_beside_a_gpu_is_named_where_it_computed(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H100")
    assert describe_machine() == describe_machine("cuda") == "NVIDIA H100"
    assert describe_machine("cpu").startswith("CPU (")
    assert provenance("cpu")["machine"] == describe_machine("cpu")
    line = append_result(tmp_path / "results.jsonl", {"what": "probe"}, command=["hf-ssl"], device="cpu")
    assert line["machine"] == describe_machine("cpu")


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="there is no /proc/cpuinfo")
def test_a_cpu_is_named_as_the_system_names_it():
    named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    assert not named or named[0].endswith(f": {cpu_model()}")
    assert cpu_model()


def test_only_settings_that_are_not_as_usual_are_told():
    assert chosen_settings(DataConfig("data", "label")) == {}
    assert chosen_settings(DataConfig("data", "label", max_seconds=30.0, text_column="text")) == {"max_seconds": 30.0}


@pytest.mark.parametrize("result", [{"test": 0.5}, {"what": 1}])
def test_a_result_says_what_it_is(tmp_path, result):
    with pytest.raises(ValueError, match="Expected a result that says what it is"):
        append_result(tmp_path / "results.jsonl", result, command=[])


def test_what_is_no_number_is_not_written(tmp_path):
    path = tmp_path / "results.jsonl"
    with pytest.raises(ValueError, match="JSON"):
        append_result(path, {"what": "probe", "test": float("nan")}, command=[])
    assert not path.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "Line 2 of .* is no JSON"), ("[]", "Expected an object with `what` in line 2"), ("{}", "in line 2")],
)
def test_a_damaged_line_is_named(tmp_path, line, message):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps({"what": "probe"}) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="there is no"):
        read_results(tmp_path / "results.jsonl")


def test_half_a_line_of_a_killed_process_spoils_no_other(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text('{"what": "pro')
    append_result(path, {"what": "probe", "test": 0.5}, command=[])
    with pytest.raises(ValueError, match=r"Line 1 of .* is no JSON"):
        read_results(path)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert [line["test"] for line in read_results(path)] == [0.5]


def test_a_name_with_any_character_stays_one_line(tmp_path):
    path = tmp_path / "results.jsonl"
    append_result(path, {"what": "probe", "name": "a\u2028b\x85c"}, command=[])
    assert [line["name"] for line in read_results(path)] == ["a\u2028b\x85c"]


def test_processes_take_turns_at_a_results_file(tmp_path):
    path = tmp_path / "results.jsonl"
    provenance()  # takes its time once
    with open(path, "a") as file:
        lock(file)
        with ThreadPoolExecutor() as pool:
            appended = pool.submit(append_result, path, {"what": "probe"}, command=[])
            with pytest.raises(StillWaitingError):
                appended.result(timeout=0.5)
            file.close()
            assert [appended.result(timeout=300)] == read_results(path)
