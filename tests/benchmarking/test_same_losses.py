# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Steps of the same weights beside the originals' code, for which our own models stand in."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from families import FAMILIES
from training_helpers import SCRIPTS, load_script

from hf_ssl.conversion import convert_to_fairseq
from hf_ssl.results import read_results


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS / "benchmarks")
    return load_script("benchmarks/same_losses")


class StandIn:
    """Stores what our model computes under the original's names, as `original_steps.py --store` would.

    Args:
        script: The program under test.
        distort: The parameter whose gradient is stored twice as large in float32.
    """

    def __init__(self, script: ModuleType, distort: str | None = None) -> None:
        self.script, self.distort = script, distort

    def __call__(self, method: str, folder: Path, precision: str, arguments: SimpleNamespace) -> dict[str, Any]:
        ours = self.script.METHODS[method]
        family = next(family for family in FAMILIES if family.name == method)
        config = family.make_config()
        config.mask_noise_std = 0.0
        config.cls_loss_reduction = "sum"  # the original's, which conversion sets; of images only
        torch.manual_seed(0)
        model = ours.model(config).train()
        model.save_pretrained(folder / "model")
        family.save_processors(folder / "model")
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        convert_to_fairseq(folder / "model", folder / "checkpoint.pt")
        inputs = family.make_inputs(2, family.lengths[1])[ours.source]
        inputs = inputs[:, : inputs.shape[1] * 3 // 4] if method.endswith("audio") else inputs
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            masks = model(**{ours.source: inputs}).mask_time_indices
            loss = model(**{ours.source: inputs, ours.masks: masks}).loss
        loss.backward()
        return {
            "source": inputs,
            "precomputed_mask": masks.flatten(0, 1),
            "loss": loss.detach(),
            "gradients": self._gradients(ours, model, folder, precision),
        }

    def _gradients(self, ours: Any, model: torch.nn.Module, folder: Path, precision: str) -> dict[str, torch.Tensor]:
        weights = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
        found = {}
        for name in weights:
            try:
                gradient = model.get_parameter(ours.our_name(name)).grad
            except (ValueError, AttributeError):  # the teacher's weights, and buffers
                continue
            if gradient is not None:
                found[name] = 2 * gradient if name == self.distort and precision == "float32" else gradient
        return found


def run(script: ModuleType, stand_in: StandIn, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.setattr(script, "run_original", stand_in)
    monkeypatch.setattr(script, "clone_states", lambda arguments: {method: "fairseq 3d262bb"})
    results = tmp_path / "results.jsonl"
    places = ["--repositories", str(tmp_path), "--original_python", sys.executable, "--results", str(results)]
    script.main([*places, "--methods", method])
    return read_results(results)[-1]


@pytest.mark.parametrize("method", ["data2vec2-audio", "data2vec2-vision"])
def test_the_same_model_has_the_same_loss_and_gradients(script, method, tmp_path, monkeypatch, capsys):
    figures = run(script, StandIn(script), method, tmp_path, monkeypatch)
    assert figures["original_loss"] > 0
    assert figures["original"] == "fairseq 3d262bb"
    assert figures["relative_difference"] < 1e-6
    assert figures["furthest"] < 1e-5
    assert 0 < figures["rounding"] < 0.1
    assert figures["rounding"] == pytest.approx(figures["original_rounding"], rel=1e-3)
    assert figures["most_rounded"] == pytest.approx(1, rel=1e-3)
    table = capsys.readouterr().out
    assert f"| {method} | {figures['original_loss']:.6f} |" in table


def test_a_gradient_that_differs_is_told(script, tmp_path, monkeypatch, capsys):
    name = "blocks.0.mlp.fc1.weight"
    figures = run(script, StandIn(script, distort=name), "data2vec2-audio", tmp_path, monkeypatch)
    assert figures["furthest_tensor"] == "data2vec2_audio.trunk.layers.0.mlp.fc1.weight"
    assert figures["furthest"] == pytest.approx(0.5)
    assert figures["relative_difference"] < 1e-6
    assert f"{figures['furthest_tensor']})" in capsys.readouterr().out


def test_gradients_of_other_parameters_are_refused(script):
    with pytest.raises(ValueError, match="Only one side has gradients of b"):
        script.distances({"a": torch.ones(1), "b": torch.ones(1)}, {"a": torch.ones(1)})
    with pytest.raises(ValueError, match="The original has gradients of nothing, which Data2Vec2Audio"):
        script.METHODS["data2vec2-audio"].our_name("nothing")


def test_zeros_to_compare_with_are_refused(script):
    with pytest.raises(ValueError, match="The gradients of a are all zero"):
        script.distances({"a": torch.ones(2)}, {"a": torch.zeros(2)})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"--original_python": "no/such/python"}, "no/such/python is no program"),
        ({"--results": "no/such/folder/file"}, "--results"),
        ({}, "Expected a git clone of fairseq"),
    ],
)
def test_what_is_missing_is_told_before_anything_runs(script, changed, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "run_original", None)
    given = {"--repositories": str(tmp_path), "--original_python": sys.executable} | changed
    with pytest.raises(SystemExit) as ended:
        script.main([word for pair in given.items() for word in pair])
    assert message in capsys.readouterr().err + str(ended.value)


def test_an_original_that_fails_is_told(script, tmp_path):
    (tmp_path / "fairseq").mkdir()
    arguments = SimpleNamespace(repositories=tmp_path, original_python=sys.executable, items=2, seconds=1.0)
    with pytest.raises(SystemExit, match=r"original_steps.py ended with status 1:(.|\n)*ModuleNotFoundError"):
        script.run_original("data2vec2-audio", tmp_path, "float32", arguments)


def test_only_data2vec2_is_stored(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(SCRIPTS / "benchmarks")
    original_steps = load_script("benchmarks/original_steps")
    with pytest.raises(SystemExit):
        original_steps.main(["--method", "best-rq", "--repository", str(tmp_path), "--store", str(tmp_path)])
    assert "--store is for data2vec 2.0" in capsys.readouterr().err
