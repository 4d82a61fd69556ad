# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of the list of skipped files."""

import json
import multiprocessing
import pickle

import pytest

from hf_ssl.data import SkippedFiles


@pytest.mark.parametrize("with_file", [False, True])
def test_counts_each_file_once(tmp_path, with_file):
    skipped = SkippedFiles(str(tmp_path / "run" / "skipped.jsonl") if with_file else None)
    assert (skipped.count, skipped.summary()) == (0, "no file was skipped")
    skipped.add("a.wav", "too short: 0.1 s")
    skipped.add("b.wav", "too short: 0.2 s")
    skipped.add("c.wav", "empty: zero bytes")
    skipped.add("a.wav", "empty: zero bytes")
    assert skipped.count == 3
    assert skipped.by_reason() == {"too short": 2, "empty": 1}
    assert skipped.files["a.wav"] == "too short: 0.1 s"
    assert skipped.summary().startswith("3 file(s) skipped (2 too short, 1 empty)")
    assert ("skipped.jsonl" in skipped.summary()) == with_file


def test_file_holds_one_json_object_per_line(tmp_path):
    path = tmp_path / "skipped.jsonl"
    skipped = SkippedFiles(str(path))
    skipped.add('new\nline "ü" \udcff.wav', "unreadable: x")  # a surrogate: a file name that is not valid UTF-8
    skipped.add("b.wav", "empty")
    entries = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [set(entry) for entry in entries] == [{"file", "reason"}] * 2
    assert entries[0]["file"].startswith('new\nline "ü"')
    assert SkippedFiles(str(path)).count == 2


def test_several_processes_write_one_file(tmp_path):
    skipped = SkippedFiles(str(tmp_path / "skipped.jsonl"))
    skipped.add("before.wav", "empty")
    context = multiprocessing.get_context("fork")
    files = ["1.wav", "2.wav", "3.wav", "3.wav"]
    processes = [context.Process(target=skipped.add, args=(file, "unreadable: x" * 20)) for file in files]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(skipped.files) == ["1.wav", "2.wav", "3.wav", "before.wav"]
    assert skipped.by_reason() == {"unreadable": 3, "empty": 1}


def test_resumed_run_does_not_list_a_file_again(tmp_path):
    path = tmp_path / "skipped.jsonl"
    SkippedFiles(str(path)).add("a.wav", "empty: zero bytes")
    resumed = SkippedFiles(str(path))
    resumed.add("a.wav", "empty: zero bytes")
    resumed.add("b.wav", "empty: zero bytes")
    assert len(path.read_text().splitlines()) == 2
    assert resumed.count == 2


def test_torn_line_of_a_killed_process(tmp_path):
    path = tmp_path / "skipped.jsonl"
    path.write_text('{"file": "a.wav", "reason": "empty"}\n{"file": "b.w')
    skipped = SkippedFiles(str(path))
    assert skipped.count == 1
    skipped.add("c.wav", "empty")
    assert sorted(SkippedFiles(str(path)).files) == ["a.wav", "c.wav"]


def test_pickles(tmp_path):
    skipped = SkippedFiles(str(tmp_path / "skipped.jsonl"))
    skipped.add("a.wav", "empty")
    copy = pickle.loads(pickle.dumps(skipped))
    copy.add("b.wav", "empty")
    assert skipped.count == copy.count == 2
