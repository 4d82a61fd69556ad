# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Which lines of a results file are of the model that is in a folder now."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hf_ssl.own_results import ResultsOfModel, compared_health, compared_probes, results_of_model, told_settings
from hf_ssl.weights import weights_sha256

PROBE = {
    "what": "probe", "arm": "run", "number": 0, "task": "classification", "data": "DIGITS", "column": "label",
    "method": "linear", "metric": "accuracy", "seed": None, "test": 0.5,
}  # fmt: skip
HEALTH = {"what": "health", "arm": "run", "data": "CLIPS", "num_items": 8, "layers": []}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    train(tmp_path / "run", b"first")
    return tmp_path / "run"


def train(folder: Path, weights: bytes) -> str:
    """The fingerprint of a model that is in the folder then."""
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights)
    return str(weights_sha256(folder))


def results(folder: Path, lines: Sequence[dict[str, Any]], *names: str, **given: Any) -> ResultsOfModel:
    path = folder.parent / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return results_of_model(path, folder, names, **given)


def figures(found: ResultsOfModel) -> list[float]:
    return [compared.line["test"] for compared in found.probes]


def test_figures_of_an_earlier_model_in_the_folder_are_left_out(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    line = PROBE | {"model": str(run)}
    first = train(run, b"first")
    lines = [line | {"weights_sha256": first, "test": 0.25}, line | {"weights_sha256": first, "method": "neighbours"}]
    lines += [HEALTH | {"model": str(run), "weights_sha256": first}]
    assert results(run, lines).notes == ()
    second = train(run, b"second")
    # Of the measurement that was not repeated the old figure must not stay beside the new one.
    lines += [line | {"weights_sha256": second, "test": 0.75}]
    found = results(run, lines)
    assert (figures(found), found.health) == ([0.75], [])
    assert found.notes == tuple(caplog.messages)
    assert found.notes == (
        f"3 lines of probes and health are left out: measured on other weights than {run} has now, as before it was "
        f"trained anew. For figures of those that it has now, measure again (hf-ssl probe {run}, hf-ssl health {run}, "
        "with --results FILE).",
    )
    train(run, b"first")  # and back
    found = results(run, lines)
    assert (figures(found), len(found.health)) == ([0.25, 0.5], 1)
    assert found.notes[0].startswith("1 line of probes and health is left out")


def test_a_model_of_which_only_earlier_figures_are_known_has_none(run: Path) -> None:
    lines = [PROBE | {"model": str(run), "weights_sha256": "0123456789abcdef"}]
    with pytest.raises(ValueError, match=r"no probe or health of the model that is in .*run now\. 1 line of .* measu"):
        results(run, lines)


def test_lines_of_before_there_were_fingerprints_count_as_ever(run: Path) -> None:
    lines = [PROBE | {"model": str(run)}, PROBE | {"model": str(run), "method": "neighbours", "weights_sha256": None}]
    assert figures(results(run, lines)) == [0.5, 0.5]
    train(run, b"second")
    assert results(run, lines).notes == ()


def test_the_same_weights_in_another_place_are_the_same_model(run: Path) -> None:
    lines = [PROBE | {"model": "you/model", "arm": "you/model", "weights_sha256": weights_sha256(run)}]
    assert figures(results(run, lines, "you/model")) == [0.5]
    with pytest.raises(ValueError, match="left out"):
        results(run, [lines[0] | {"weights_sha256": "0" * 16}], "you/model")


def test_other_arms_have_figures_of_one_model_each(run: Path) -> None:
    """Of seeds of heads that were measured on two models in one folder, those of the one that was measured last."""
    own = [PROBE | {"model": str(run), "seed": seed, "weights_sha256": weights_sha256(run)} for seed in (0, 1)]
    other = PROBE | {"model": "OTHER", "arm": "OTHER"}
    old = [other | {"seed": seed, "test": 0.1, "weights_sha256": "old"} for seed in (0, 1)]
    new = [other | {"seed": 0, "test": 0.9, "weights_sha256": "new"}]
    twin = [other | {"seed": 0, "test": 0.3, "arm": "OTHER, untrained", "weights_sha256": None}]
    found = results(run, [*old, *own, *twin, *new])
    assert sorted(figures(found)) == [0.3, 0.5, 0.5, 0.9]
    assert found.notes == ()


def test_a_run_whose_weights_are_gone_says_that_nothing_was_checked(run: Path) -> None:
    lines = [PROBE | {"model": str(run), "weights_sha256": weights_sha256(run)}]
    (run / "model.safetensors").unlink()
    found = results(run, lines)
    assert figures(found) == [0.5]
    assert "has no weights: it cannot be checked" in found.notes[0]


def test_the_weights_of_a_run_that_was_stopped_are_in_its_checkpoint(run: Path) -> None:
    (run / "model.safetensors").unlink()
    checkpoint = run / "checkpoint-2"
    lines = [PROBE | {"model": str(checkpoint), "weights_sha256": train(checkpoint, b"half")}]
    assert results(run, lines, str(checkpoint), model_folder=checkpoint).notes == ()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("weights_sha256", 3, "Expected digits in `weights_sha256` of a line of results, got 3"),
        ("weights_sha256", ["a"], "Expected digits"),
        ("settings", "max_seconds", "Expected settings by name in `settings` of a line of results, got 'max_seconds'"),
        ("settings", None, "Expected settings by name"),
    ],
)
def test_what_is_no_fingerprint_and_no_settings_is_an_error(run: Path, field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        results(run, [PROBE | {"model": str(run), field: value}])


def test_measurements_with_other_settings_do_not_hide_each_other() -> None:
    line = PROBE | {"model": "a"}
    short = line | {"settings": {"max_seconds": 10.0}, "test": 0.7}
    lines = [line, short, short | {"model": "b", "test": 0.8}, line | {"model": "c", "settings": {}, "test": 0.9}]
    found = [(told_settings(own.line), own.line["model"]) for own in compared_probes(lines, ["a"])]
    assert found == [("", "a"), ("max_seconds 10", "a"), ("max_seconds 10", "b"), ("", "c")]
    # What nobody compares the model with in its settings is not its measurement.
    assert [own.line["model"] for own in compared_probes(lines, ["c"])] == ["a", "c"]
    health = HEALTH | {"model": "a", "settings": {"split": "validation"}}
    assert len(compared_health([HEALTH | {"model": "a"}, health, health], ["a"])) == 2


def test_settings_are_told_in_words() -> None:
    settings = {"max_seconds": 30.0, "epochs": 5, "splits": ["train", "dev", "eval"], "min_seconds": 0.25}
    told = "epochs 5, max_seconds 30, min_seconds 0.25, splits train dev eval"
    assert told_settings({"settings": settings}) == told
    assert told_settings({}) == told_settings({"settings": {}}) == ""
