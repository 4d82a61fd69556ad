# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
from pathlib import Path

import pytest

from hf_ssl.training.arguments import (
    ModelArguments,
    PreTrainingArguments,
    SpeechPreTrainingDataArguments,
    parse_arguments,
)
from hf_ssl.training.image_arguments import ImageDataArguments
from hf_ssl.training.text_arguments import TextDataArguments

ALL = (ModelArguments, SpeechPreTrainingDataArguments, PreTrainingArguments)


def parse(tmp_path: Path, *flags: str, recipe: str | None = None):
    argv = [*flags, "--data", "A", "--output_dir", str(tmp_path), "--use_cpu"]
    if recipe is not None:
        (tmp_path / "recipe.yaml").write_text(recipe)
        argv.insert(0, str(tmp_path / "recipe.yaml"))
    return parse_arguments(*ALL, argv=argv)


def test_defaults_are_what_a_user_need_not_know(tmp_path):
    _, data, training = parse(tmp_path, "--model_size", "tiny")
    assert (data.min_seconds, data.max_seconds) == (2.0, 20.0)
    assert training.train_sampling_strategy == "group_by_length"
    assert (training.remove_unused_columns, training.prediction_loss_only) == (False, True)
    assert training.average_tokens_across_devices
    assert training.label_names == ["labels"]
    assert (training.adam_beta1, training.adam_beta2, training.adam_epsilon) == (0.9, 0.98, 1e-6)
    assert training.lr_scheduler_type == "cosine"


def test_flags_win_over_the_recipe(tmp_path):
    recipe = "model_size: base\nlearning_rate: 1e-3\nmax_steps: 7\nbf16: false\nmax_seconds: 3\n"
    model, data, training = parse(tmp_path, "--max_steps", "9", "--max-seconds=4", recipe=recipe)
    assert model.model_size == "base"
    # YAML reads 1e-3 as a text
    assert (training.learning_rate, training.max_steps, data.max_seconds) == (1e-3, 9, 4.0)


def test_values_of_recipes_have_their_types(tmp_path):
    recipe = (
        "model_size: tiny\nconfig_overrides: {num_masks: 3, conv_bias: true}\ndata: [B, C]\nmax_seconds: null\n"
        "remove_unused_columns: false\naverage_tokens_across_devices: false\n"
    )
    (tmp_path / "recipe.yaml").write_text(recipe)
    model, data, training = parse_arguments(
        *ALL, argv=[str(tmp_path / "recipe.yaml"), "--output_dir", str(tmp_path), "--use_cpu"]
    )
    assert model.config_overrides == {"num_masks": 3, "conv_bias": True}
    assert data.data == ["B", "C"]
    assert data.max_seconds is None
    assert training.average_tokens_across_devices is False


def test_overrides_on_the_command_line_are_json(tmp_path):
    assert parse(tmp_path, "--model_size", "tiny", "--config_overrides", '{"num_masks": 4}')[0].config_overrides == {
        "num_masks": 4
    }
    with pytest.raises(ValueError, match="must be a JSON object"):
        parse(tmp_path, "--model_size", "tiny", "--config_overrides", "num_masks=4")


def test_a_flag_displaces_the_recipes_alternative(tmp_path):
    model, _, _ = parse(tmp_path, "--model_name_or_path", "M", recipe="model_size: base\n")
    assert (model.model_size, model.model_name_or_path) == (None, "M")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], "none of them"),
        (["--model_size", "tiny", "--config", "c.json"], "--model_size tiny and --config c.json"),
        (["--model_size", "tiny", "--model_name_or_path", "m"], "--model_name_or_path m"),
    ],
)
def test_exactly_one_model_is_wanted(tmp_path, flags, named):
    with pytest.raises(ValueError, match=f"exactly one of.*{named}"):
        parse(tmp_path, *flags)


def test_unknown_keys_of_a_recipe_are_named_with_the_valid_ones(tmp_path):
    with pytest.raises(
        ValueError, match=r"'learning_rat', did you mean 'learning_rate'\?.*Valid keys are: .*max_steps"
    ):
        parse(tmp_path, recipe="model_size: tiny\nlearning_rat: 1\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lerning_rate", "1"], "unknown argument '--lerning_rate', did you mean 'learning_rate'"),
        (["--max_steps", "many"], "invalid int value: 'many'"),
        (["--model_size", "huge"], "invalid choice: 'huge'"),
    ],
)
def test_wrong_flags_end_with_one_line(tmp_path, capsys, flags, message):
    with pytest.raises(SystemExit) as stopped:
        parse(tmp_path, *flags)
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_wrong_types_in_a_recipe_end_like_wrong_flags(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse(tmp_path, recipe="model_size: tiny\nmax_steps: many\n")
    assert "invalid int value: 'many'" in capsys.readouterr().err


def test_recipes_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        parse_arguments(*ALL, argv=["missing.yaml"])
    with pytest.raises(ValueError, match="must map"):
        parse(tmp_path, recipe="- 1\n")


def test_what_must_be_given(tmp_path):
    with pytest.raises(ValueError, match="--output_dir"):
        parse_arguments(*ALL, argv=["--model_size", "tiny", "--data", "A"])
    with pytest.raises(ValueError, match="--data"):
        parse_arguments(*ALL, argv=["--model_size", "tiny", "--output_dir", str(tmp_path)])
    with pytest.raises(ValueError, match="reset_teacher is for"):
        parse(tmp_path, "--model_size", "tiny", "--reset_teacher")
    with pytest.raises(ValueError, match="must stay False"):
        parse(tmp_path, "--model_size", "tiny", "--remove_unused_columns", "true")


@pytest.mark.parametrize("arguments", [SpeechPreTrainingDataArguments, ImageDataArguments, TextDataArguments])
def test_a_split_of_no_data(arguments):
    with pytest.raises(ValueError, match="--eval_split dev is a split of --eval_data: give that too"):
        arguments(data=["A"], eval_split="dev")
    assert arguments(data=["A"], eval_data=["B"], eval_split="dev").eval_split == "dev"
