# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl plan`: recipes are read, memory and operations extrapolate, and what does not fit is said."""

import dataclasses
from pathlib import Path

import pytest
import torch
from training_helpers import SCRIPTS
from transformers import AutoModelForPreTraining

from hf_ssl.cli import main
from hf_ssl.planning.measuring import SavedBytes, measure
from hf_ssl.planning.memory import GIB, count_parameters, fit_batches, memory_of
from hf_ssl.planning.recipes import GlobalBatch, PlannedRecipe, load_recipe, parse_settings
from hf_ssl.planning.step_flops import StepFlops
from hf_ssl.planning.synthetic import make_batch
from hf_ssl.training.model_sizes import (
    best_rq_config,
    data2vec2_audio_config,
    data2vec2_text_config,
    data2vec2_vision_config,
    data2vec_aqc_config,
    data2vec_audio_config,
    data2vec_text_config,
    data2vec_vision_config,
)

PRETRAINING = sorted((SCRIPTS / "recipes").glob("data2vec*.yaml")) + sorted(
    (SCRIPTS / "recipes").glob("best_rq*.yaml")
)
# With 5 layers, so that one and two of them say something of the whole.
DEEP = {"num_hidden_layers": 5}
TINY = {
    "data2vec2-audio": (data2vec2_audio_config("tiny", **DEEP, layerdrop=0.0), "seconds", 1.0),
    "data2vec2-vision": (data2vec2_vision_config("tiny", **DEEP), "images", 1.0),
    "data2vec2-text": (data2vec2_text_config("tiny", **DEEP), "tokens", 24.0),
    "data2vec-audio": (data2vec_audio_config("tiny", **DEEP, layerdrop=0.0), "seconds", 1.0),
    "data2vec-text": (data2vec_text_config("tiny", **DEEP), "tokens", 24.0),
    "data2vec-vision": (data2vec_vision_config("tiny", **DEEP, drop_path_rate=0.0), "images", 1.0),
    "data2vec-aqc": (data2vec_aqc_config("tiny", **DEEP, layerdrop=0.0), "seconds", 1.0),
    "best-rq": (best_rq_config("tiny", **DEEP), "seconds", 1.0),
}


def tiny_recipe(family: str) -> PlannedRecipe:
    config, unit, longest = TINY[family]
    return PlannedRecipe(
        config=config,
        unit=unit,
        longest_item=longest,
        global_batch=GlobalBatch(8, 8 * longest, "a test"),
        items_per_device=2,
        accumulation=1,
        max_steps=10,
        half_precision=False,
        checkpointing=False,
        augmented=family == "data2vec-aqc",
    )


@pytest.mark.parametrize("path", PRETRAINING, ids=lambda path: path.stem)
def test_every_recipe_of_pretraining_is_read(path: Path) -> None:
    recipe = load_recipe(str(path), {})
    assert recipe.global_batch.source == "the recipe's comment"
    assert recipe.max_steps >= 5000
    # Items of a mean length that is no longer than the longest (5 s of 20 s were it wrong by a number of GPUs).
    mean = recipe.global_batch.amount / recipe.global_batch.items
    assert 0.15 * recipe.longest_item < mean <= recipe.longest_item
    assert recipe.global_batch.items % recipe.items_per_device == 0


def test_flags_and_comments_decide(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("model_size: tiny\nmax_seconds: 4.0\nmax_steps: 7\nbatch_seconds: 9.0\nbf16: true\n")
    recipe = load_recipe(str(path), parse_settings(["gradient_accumulation_steps=3"]))
    assert (recipe.items_per_device, recipe.global_batch.items, recipe.global_batch.amount) == (2, 6, 24.0)
    assert recipe.half_precision
    assert "no comment" in recipe.global_batch.source
    assert load_recipe(str(path), {}, global_items=5).global_batch.amount == 20.0
    padded = load_recipe(str(path), {"pad_to_multiple_of_seconds": "1.5"})
    assert (padded.longest_item, padded.items_per_device) == (4.5, 2)
    assert load_recipe(str(path), {"pad_to_multiple_of_seconds": "0.8"}).longest_item == 4.0
    path.write_text("# Global batch: about 30 s of audio: it must stay\n# 10.\n" + path.read_text())
    assert load_recipe(str(path), {}).global_batch == GlobalBatch(10, 30.0, "the recipe's comment")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_size: tiny\nmax_seconds: 4.0\nmax_stepz: 7\n", "did you mean 'max_steps'"),
        ("model_size: tiny\nmax_seconds: 4.0\n", "--set max_steps=N"),
        ("model_size: tiny\nmax_steps: 4\n", "speech, images or text"),
        ("model_size: tiny\nmax_steps: 4\nmax_seconds: null\n", "--set max_seconds"),
        ("- 1\n", "must map names"),
    ],
)
def test_bad_recipes_are_explained(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert main(["plan", str(path), "--gpus", "1", "--gpu-memory", "16"]) == 1
    assert message in capsys.readouterr().err


def test_bad_settings_are_explained() -> None:
    with pytest.raises(ValueError, match="KEY=VALUE, got 'max_steps'"):
        parse_settings(["max_steps"])


@pytest.mark.parametrize("family", list(TINY))
def test_few_layers_tell_what_all_of_them_take(family: str) -> None:
    recipe = tiny_recipe(family)
    extrapolated, measured = measure(recipe, device="cpu"), measure(recipe, whole_model=True, device="cpu")
    assert (extrapolated.depths, measured.depths) == ((1, 2), (extrapolated.num_layers,))
    assert extrapolated.bytes_per_item == pytest.approx(measured.bytes_per_item, rel=0.05)
    assert extrapolated.flops_per_item == pytest.approx(measured.flops_per_item, rel=0.05)
    assert measured.flops_per_second > 0


def test_saved_bytes_are_those_of_tensors_kept_for_backward() -> None:
    layer, inputs = torch.nn.Linear(4, 8), torch.ones(10, 4, requires_grad=True)
    with SavedBytes(list(layer.parameters())) as saved:
        outputs = torch.relu(layer(inputs))  # keeps the inputs, and its own output
        (outputs * 2).sum()
    assert saved.total == 4 * (10 * 4 + 10 * 8)


@pytest.mark.parametrize("family", [name for name, (_, unit, _) in TINY.items() if unit != "images"])
def test_attentions_products_grow_with_the_square_of_the_length(family: str) -> None:
    recipe = tiny_recipe(family)
    length = 24.0 if recipe.unit == "tokens" else 1.0
    short, long = (_count(dataclasses.replace(recipe, longest_item=times * length)) for times in (1, 2))
    assert 0 < short[0] < 0.5 * short[1]
    assert long[0] == pytest.approx(4 * short[0], rel=0.1)
    assert long[1] - long[0] == pytest.approx(2 * (short[1] - short[0]), rel=0.05)


def _count(recipe: PlannedRecipe) -> tuple[int, int]:
    """Operations of attention's products, and of the whole, in a forward and a backward pass."""
    torch.manual_seed(0)
    model = AutoModelForPreTraining.from_config(recipe.config).train()
    with StepFlops(model) as counter:
        model(**make_batch(recipe, recipe.config, 2)).loss.backward()
    return counter.attention_flops, counter.flops


def test_checkpointing_keeps_less() -> None:
    recipe = tiny_recipe("data2vec2-text")
    kept = [
        measure(dataclasses.replace(recipe, checkpointing=on), device="cpu").bytes_per_item for on in (True, False)
    ]
    assert kept[0] < 0.7 * kept[1]


def test_parameters_and_their_memory() -> None:
    config = data2vec2_audio_config("base")
    parameters = count_parameters(config)
    assert parameters.trained == 93_783_308
    assert 85e6 < parameters.teacher < 95e6
    alone, several, shared = (
        memory_of(parameters, num_devices=number, sharded=sharded)
        for number, sharded in ((1, False), (4, False), (4, True))
    )
    assert alone.total == 4 * (4 * parameters.trained + parameters.teacher + parameters.other)
    assert several.total == alone.total + 4 * parameters.trained
    assert shared.total == alone.total / 4


def test_batches_reach_the_global_batch() -> None:
    recipe = tiny_recipe("best-rq")
    measurement = dataclasses.replace(measure(recipe, device="cpu"), fixed_bytes=0, bytes_per_item=1.0 * GIB)
    memory = memory_of(count_parameters(recipe.config), num_devices=2, sharded=False)
    batches = fit_batches(4.5 * GIB, memory, measurement, num_devices=2, items=24, amount=120.0, longest=10.0)
    assert (batches.most_items, batches.items, batches.accumulation) == (4, 4, 3)
    assert (batches.amount, batches.amount_accumulation) == (30.0, 2)
    with pytest.raises(ValueError, match=r"--set max_seconds=.* or --fsdp"):
        fit_batches(0.9 * GIB, memory, measurement, num_devices=2, items=24, amount=120.0, longest=10.0)
    with pytest.raises(ValueError, match=r"More accumulation does not help.*fsdp2\.yaml"):
        fit_batches(1000.0, memory, measurement, num_devices=2, items=24, amount=120.0, longest=10.0)


def test_command_says_where_every_figure_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("model_size: tiny\nmin_seconds: 0.2\nmax_seconds: 1.0\nmax_steps: 3600\n")
    command = ["plan", str(path), "--gpus", "4", "--gpu-memory", "8", "--global_batch", "64", "--data", "2", "64"]
    assert main([*command, "--peak_tflops", "100", "--utilisation", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    sources = ("read", "counted", "measured here", "extrapolated", "sum", "follows")
    assert all(any(f"  {source}" in line for source in sources) for line in lines)
    printed = " ".join(" ".join(lines).split())
    assert "16 x 4 x 1 follows" in printed
    assert "16.0 x 4 x 1 follows" in printed
    assert "data seen 64 hours" in printed
    assert "of 2 hours 32.00 epochs" in printed
    assert "100 x 10^12 operations/s each, of which 50% are reached (both assumed)" in printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--gpus", "0"], "at least one GPU"),
        (["--gpu-memory", "inf"], "at least one GPU with a positive memory"),
        (["--global_batch", "0"], "--global_batch of at least 1"),
        (["--data", "8", "-1"], "above 0, got [8.0, -1.0]"),
        (["--data", "nan"], "above 0, got [nan]"),
        (["--set", "gradient_accumulation_steps=0"], "gradient_accumulation_steps of at least 1"),
    ],
)
def test_what_cannot_be_planned_is_said_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    monkeypatch.setattr("hf_ssl.planning.command.measure", lambda *_, **__: pytest.fail("it was measured"))
    assert main(["plan", str(PRETRAINING[0]), "--gpus", "1", "--gpu-memory", "8", *flags]) == 1
    assert message in capsys.readouterr().err
