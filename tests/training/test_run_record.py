# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a run writes down about itself, and the page that every script ends with."""

import json
import logging
from pathlib import Path

import pytest
from training_helpers import QUICK, load_script

from hf_ssl.training.arguments import PreTrainingArguments
from hf_ssl.training.run_record import RUN_RECORD_NAME, changed_settings, environment, recorded_warnings


def events_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / RUN_RECORD_NAME).read_text(encoding="utf-8").splitlines()]


def pretrain(recordings: Path, folder: Path, *flags: str):
    argv = ["--data", str(recordings), "--output_dir", str(folder), "--min_seconds", "0.3", "--logging_steps", "1"]
    argv += ["--model_size", "tiny", "--max_steps", "2", "--save_steps", "1", *QUICK, *flags]
    return load_script("pretrain_speech").main(argv)


def test_a_run_its_end_and_its_resuming(recordings, tmp_path, caplog):
    out = tmp_path / "out"
    with caplog.at_level(logging.INFO, "hf_ssl"):
        pretrain(recordings, out)
    assert f"Report: {out / '_report.html'}" in caplog.text
    assert (out / "_report.html").stat().st_size > 10_000
    pretrain(recordings, out, "--max_steps", "3", "--resume_from_checkpoint", "last")
    events = events_of(out)
    assert [(event["what"], event["step"]) for event in events] == [
        ("begin", 0),
        ("end", 2),
        ("resume", 2),
        ("end", 3),
    ]
    assert events[0]["environment"]["device"] == "cpu"
    assert events[0]["settings"]["logging_steps"] == 1
    assert str(tmp_path) not in (out / RUN_RECORD_NAME).read_text()
    assert "It was stopped and went on once." in (out / "_report.html").read_text()


def test_a_report_that_fails_does_not_fail_the_run(recordings, tmp_path, caplog):
    (tmp_path / "out" / "_report.html").mkdir(parents=True)
    with caplog.at_level(logging.WARNING, "hf_ssl"):
        trainer = pretrain(recordings, tmp_path / "out")
    assert trainer.state.global_step == 2
    assert "The report on the run could not be written (IsADirectoryError" in caplog.text


def test_warnings_and_errors_are_written_down(tmp_path):
    args = PreTrainingArguments(output_dir=str(tmp_path / "out"), use_cpu=True, report_to="none")
    guard, other = logging.getLogger("hf_ssl.training.health"), logging.getLogger("elsewhere")

    @recorded_warnings(args)
    def run():
        guard.warning("Step 3: something is wrong.")
        guard.info("all is well")
        other.warning("of no concern")
        raise RuntimeError("over")

    with pytest.raises(RuntimeError, match="over"):
        run()
    guard.warning("after the run")
    assert [(event["what"], event["message"]) for event in events_of(tmp_path / "out")] == [
        ("warning", "Step 3: something is wrong."),
        ("error", "RuntimeError: over"),
    ]


def test_settings_are_what_was_changed_and_no_words_of_the_users(tmp_path):
    args = PreTrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, hub_token="hf_secret", run_name="my run", learning_rate=0.5, seed=3,
        lr_scheduler_type="linear", adam_beta1=0.8, report_to="none",
    )  # fmt: skip
    settings = changed_settings(args)
    assert (
        settings.items() >= {"learning_rate": 0.5, "seed": 3, "lr_scheduler_type": "linear", "adam_beta1": 0.8}.items()
    )
    assert "weight_decay" not in settings
    assert "hf_secret" not in json.dumps(settings)
    assert "my run" not in json.dumps(settings)
    assert environment(args)["precision"] == "float32"
