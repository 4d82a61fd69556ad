# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The demo from end to end, in seconds instead of minutes: it learns nothing, but everything must run."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import transformers
from pages import tables_of

from hf_ssl import BestRqForPreTraining, Data2Vec2AudioForPreTraining
from hf_ssl.demo.families import LearningRates
from hf_ssl.demo.run import LOG_MEL, PRETRAINED, SAME_TIME, UNTRAINED, DemoConfig, _too_few_steps, run_demo
from hf_ssl.results import append_result, read_results

QUICK = {
    "pretraining_minutes": 0.03,
    "finetuning_minutes": 0.01,
    "batch_size": 4,
    "finetuning_batch_size": 4,
    "num_transcripts": 12,
    "learning_rates": LearningRates(pretraining=1.5e-3, finetuning=5e-4, untrained=(1e-3,)),
}


def write_clips(folder: Path, num_clips: int, columns: dict[str, list[str]]) -> None:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    names = [f"{index}.wav" for index in range(num_clips)]
    for name in names:
        soundfile.write(folder / name, 0.1 * generator.standard_normal(8000), 16_000)
    if columns:
        with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
            rows = zip(names, *columns.values(), strict=True)
            csv.writer(file).writerows([("file_name", *columns), *rows])


def test_synthetic_demo_prints_and_saves_every_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("espeakng_loader", reason='eSpeak NG is not installed: pip install "hf-ssl[demo]"')
    results = run_demo(DemoConfig(output_dir=str(tmp_path), num_hours=0.06, **QUICK))
    arms = {(result["task"], result["arm"], result["metric"]) for result in results}
    assert arms == {
        *((task, arm, "accuracy") for task in ("words", "voices") for arm in (PRETRAINED, UNTRAINED, LOG_MEL)),
        *(("ctc", arm, metric) for arm in (PRETRAINED, UNTRAINED, SAME_TIME) for metric in ("wer", "cer")),
    }
    printed = capsys.readouterr().out
    assert all(arm in printed for arm in (PRETRAINED, UNTRAINED, LOG_MEL, SAME_TIME))
    assert "said:" in printed
    assert (tmp_path / "demo.png").stat().st_size > 10_000
    assert f"figures   {tmp_path / 'results.jsonl'}" in printed
    lines = read_results(tmp_path / "results.jsonl")
    assert [{name: line[name] for name in result} for line, result in zip(lines, results, strict=True)] == json.loads(
        json.dumps(results)
    )
    assert {(line["what"], line["model_type"], line["data"]) for line in lines} == {
        ("demo", "data2vec2-audio", "synthetic speech")
    }
    steps = {result["arm"]: result["num_steps"] for result in results if result["task"] == "ctc"}
    assert steps[SAME_TIME] > steps[UNTRAINED] == steps[PRETRAINED]
    model = Data2Vec2AudioForPreTraining.from_pretrained(tmp_path / "pretrained")
    assert int(model.teacher.num_updates) == lines[0]["pretraining_steps"]
    # Lines have what the tables of the page ask for, which are of other runs.
    runs = [{"pretraining_minutes": 2.5}, {"pretraining_minutes": 3.0}, {"model_type": "best-rq"}]
    tables = tables_of([line | run for run in runs for line in lines], "demo", ["README.md"])
    assert len(tables) == 5
    assert all("no pre-training" in table for table in tables)


def test_own_recordings_with_labels(tmp_path: Path) -> None:
    labels = ["dog", "cat"] * 20
    write_clips(tmp_path / "own", 40, {"animal": labels, "transcription": labels})
    config = DemoConfig(
        output_dir=str(tmp_path / "out"),
        data=str(tmp_path / "own"),
        label_columns=("animal",),
        results=str(tmp_path / "mine.jsonl"),
        command=["hf-ssl", "demo", "--data", "own"],
        **QUICK,
    )
    append_result(config.results, {"what": "other"}, command=[])
    tasks = {result["task"] for result in run_demo(config)}
    assert tasks == {"animal", "ctc"}
    lines = read_results(config.results)[1:]
    assert {line["task"] for line in lines} == tasks
    assert {(line["data"], line["command"]) for line in lines} == {(config.data, "hf-ssl demo --data own")}
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_best_rq_does_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["dog", "cat"] * 20
    write_clips(tmp_path / "own", 40, {"animal": labels, "transcription": labels})
    results = run_demo(
        DemoConfig(
            output_dir=str(tmp_path / "out"),
            model_type="best-rq",
            data=str(tmp_path / "own"),
            label_columns=("animal",),
            **QUICK,
        )
    )
    arms = {(result["task"], result["arm"], result["metric"]) for result in results}
    assert arms == {
        *(("animal", arm, "accuracy") for arm in (PRETRAINED, UNTRAINED, LOG_MEL)),
        *(("ctc", arm, metric) for arm in (PRETRAINED, UNTRAINED, SAME_TIME) for metric in ("wer", "cer")),
    }
    printed = capsys.readouterr().out
    assert "BEST-RQ" in printed
    assert "data2vec" not in printed
    assert "masked codes predicted right" in printed
    assert (tmp_path / "out" / "demo.png").stat().st_size > 10_000
    lines = read_results(tmp_path / "out" / "results.jsonl")
    assert {(line["model_type"], line["pretraining_learning_rate"]) for line in lines} == {("best-rq", 1.5e-3)}
    assert {line["learning_rate"] for line in lines if line["arm"] == UNTRAINED and line["task"] == "ctc"} == {1e-3}
    BestRqForPreTraining.from_pretrained(tmp_path / "out" / "pretrained")


def test_own_recordings_without_labels_are_pretrained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clips(tmp_path / "own", 12, {})
    assert run_demo(DemoConfig(output_dir=str(tmp_path / "out"), data=str(tmp_path / "own"), **QUICK)) == []
    assert (tmp_path / "out" / "demo.png").is_file()
    printed = capsys.readouterr().out
    assert "No transcripts" in printed
    assert "figures" not in printed
    report = tmp_path / "out" / "pretrained" / "_report.html"
    assert f"report    {report}" in printed
    assert "Spread of the targets" in report.read_text()


def test_too_few_steps_are_said_with_the_time_that_more_would_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "own", 12, {})
    quick = QUICK | {"pretraining_minutes": 0.001}  # 20 steps, the fewest
    run_demo(DemoConfig(output_dir=str(tmp_path / "out"), data=str(tmp_path / "own"), **quick))
    assert "20 steps in 0.001 minutes teach little" in capsys.readouterr().out
    assert "`--minutes 16` would be about 400 steps" in _too_few_steps(66, 2.5)


def test_unknown_label_column_is_named(tmp_path: Path) -> None:
    write_clips(tmp_path / "own", 4, {"animal": ["dog"] * 4})
    config = DemoConfig(
        output_dir=str(tmp_path / "out"), data=str(tmp_path / "own"), label_columns=("colour",), **QUICK
    )
    verbosity = transformers.utils.logging.get_verbosity()
    with pytest.raises(ValueError, match=r"no column 'colour'.*animal"):
        run_demo(config)
    assert transformers.utils.logging.get_verbosity() == verbosity  # the demo silences libraries for itself alone


def test_folder_without_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with pytest.raises(ValueError, match="own"):
        run_demo(DemoConfig(output_dir=str(tmp_path / "out"), data=str(tmp_path / "own"), **QUICK))


def test_results_that_cannot_be_written_are_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Cannot write --results .*: there is no folder"):
        run_demo(DemoConfig(output_dir=str(tmp_path / "out"), results=str(tmp_path / "no" / "r.jsonl"), **QUICK))
    assert not (tmp_path / "out").exists()


def test_unknown_model_type_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data2vec2-audio or best-rq, got 'wav2vec2'"):
        run_demo(DemoConfig(output_dir=str(tmp_path / "out"), model_type="wav2vec2", **QUICK))
    assert not (tmp_path / "out").exists()
