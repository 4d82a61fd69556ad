# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""One setting with two names: both are understood whichever transformers is installed, and neither warns."""

from pathlib import Path

import pytest

from hf_ssl import Data2VecVisionForPreTraining
from hf_ssl.planning.recipes import load_recipe
from hf_ssl.training.activation_checkpointing import (
    checkpoints_activations,
    enable_activation_checkpointing,
    flags_with_installed_names,
    installed_name,
)
from hf_ssl.training.arguments import PreTrainingArguments, parse_arguments
from hf_ssl.training.model_sizes import data2vec_vision_config
from hf_ssl.training.run_record import changed_settings

pytestmark = pytest.mark.filterwarnings("error::FutureWarning")

RECIPES = Path(__file__).parents[2] / "training_scripts" / "recipes"
NAMES = ("gradient_checkpointing", "activation_checkpointing")


def parse(tmp_path: Path, *flags: str, recipe: str = "seed: 1\n") -> PreTrainingArguments:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe)
    required = ["--output_dir", str(tmp_path), "--use_cpu", "--report_to", "none"]
    (args,) = parse_arguments(PreTrainingArguments, argv=[str(path), *required, *flags])
    return args


@pytest.mark.parametrize("name", NAMES)
def test_flags_and_recipes_may_use_either_name(name, tmp_path):
    assert not checkpoints_activations(parse(tmp_path))
    for flags in ([f"--{name}"], [f"--{name}", "true"], [f"--{name}=true"], [f"--{name.replace('_', '-')}"]):
        assert checkpoints_activations(parse(tmp_path, *flags))
    args = parse(tmp_path, recipe=f"{name}: true\n{name}_kwargs: {{use_reentrant: true}}\n")
    assert checkpoints_activations(args)
    assert vars(args)[installed_name(f"{name}_kwargs")] == {"use_reentrant": True}


@pytest.mark.parametrize("in_recipe", NAMES)
@pytest.mark.parametrize("in_flag", NAMES)
def test_flags_win_over_the_recipe_whatever_they_call_it(in_recipe, in_flag, tmp_path):
    assert not checkpoints_activations(parse(tmp_path, f"--{in_flag}", "false", recipe=f"{in_recipe}: true\n"))


def test_other_parts_of_a_command_line_stay_as_they_are():
    flags = ["--data", "gradient_checkpointing", "-v", "--seed=1", "--", "--model-size", "tiny"]
    assert flags_with_installed_names(flags) == flags


def test_a_recipe_with_both_names_is_refused(tmp_path):
    with pytest.raises(ValueError, match="two names of one setting"):
        parse(tmp_path, recipe="gradient_checkpointing: true\nactivation_checkpointing: false\n")


@pytest.mark.parametrize("name", NAMES)
def test_planning_understands_either_name(name):
    recipe = str(RECIPES / "data2vec2_vision_huge.yaml")
    assert load_recipe(recipe, {}).checkpointing
    assert not load_recipe(recipe, {name: "false"}).checkpointing
    assert load_recipe(str(RECIPES / "data2vec2_audio_laptop.yaml"), {name: "true"}).checkpointing


def test_the_record_of_a_run_names_it_once_and_only_if_it_is_on(tmp_path):
    def recorded(*flags: str) -> dict[str, bool]:
        return {name: value for name, value in changed_settings(parse(tmp_path, *flags)).items() if name in NAMES}

    assert recorded() == {}
    assert recorded("--activation_checkpointing") == {installed_name("activation_checkpointing"): True}


def test_models_are_told_without_a_warning():
    model = Data2VecVisionForPreTraining(data2vec_vision_config("tiny"))
    layers = model.data2vec_vision.encoder.layer
    assert not any(layer.gradient_checkpointing for layer in layers)
    enable_activation_checkpointing(model, use_reentrant=True)
    assert all(layer.gradient_checkpointing for layer in layers)
    assert layers[0]._gradient_checkpointing_func.keywords == {"use_reentrant": True}
