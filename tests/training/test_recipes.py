# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Every recipe: it loads, its model has the published size, and it trains when shrunk."""

import json
import re
from pathlib import Path

import pytest
import torch
from training_helpers import QUICK, SCRIPTS, load_script

from hf_ssl import Data2Vec2AudioForCTC, Data2Vec2AudioForPreTraining
from hf_ssl.training.arguments import ModelArguments, parse_arguments, read_recipe
from hf_ssl.training.model_sizes import DATA2VEC2_AUDIO_TINY, data2vec2_audio_config
from hf_ssl.training.running import override_config

RECIPES = sorted((SCRIPTS / "recipes").glob("*.yaml"))
PRETRAINING = [path for path in RECIPES if path.name.startswith("data2vec2_audio")]
PUBLISHED_CTC = [path for path in RECIPES if path.stem in ("ctc_10min", "ctc_1h", "ctc_10h", "ctc_100h", "ctc_960h")]
# Other recipes that start from a pre-trained model, and the script and flags of each.
STARTING_FROM_A_MODEL = {
    "continue_pretraining": ("pretrain_speech", ["--min_seconds", "0.3"]),
    "ctc_telephone": ("finetune_ctc", []),
    "audio_tagging": ("finetune_audio_classification", ["--label_column", "tags"]),
    "speaker_verification": (
        "finetune_speaker_verification",
        ["--speaker_column", "label", "--min_seconds", "0.3", "--freeze_encoder_steps", "1"],
    ),
}

# Trainable parameters, the decoder's among them and the teacher's not. Base: 93.8 M are published.
NUM_PARAMETERS = {
    "data2vec2_audio_base_librispeech": 93_783_308,
    "data2vec2_audio_large_librilight": 315_184_144,
    "data2vec2_audio_one_gpu": 93_783_308,
    "data2vec2_audio_laptop": 3_709_894,
    "data2vec2_audio_cpu_hour": 1_263_748,
}
# Clips per update that the comment of each recipe promises.
GLOBAL_BATCH = {
    "data2vec2_audio_base_librispeech": 40,
    "data2vec2_audio_large_librilight": 48,
    "data2vec2_audio_one_gpu": 24,
    "data2vec2_audio_laptop": 8,
    "data2vec2_audio_cpu_hour": 4,
    "continue_pretraining": 24,
    "ctc_telephone": 32,
    "audio_tagging": 48,
    "speaker_verification": 50,
}


def name(path: Path) -> str:
    return path.stem


def test_no_recipe_is_left_out():
    assert {path.stem for path in PRETRAINING} == set(NUM_PARAMETERS)
    assert len(PUBLISHED_CTC) == 5
    assert {path.stem for path in PRETRAINING + PUBLISHED_CTC} | set(STARTING_FROM_A_MODEL) == set(map(name, RECIPES))


@pytest.mark.parametrize("path", PRETRAINING, ids=name)
def test_full_size_models_for_pre_training(path):
    recipe = read_recipe(path)
    script = load_script("pretrain_speech")
    model_recipe = {key: recipe[key] for key in ("model_type", "model_size", "config_overrides") if key in recipe}
    with torch.device("meta"):
        model = Data2Vec2AudioForPreTraining(script.make_config(ModelArguments(**model_recipe)))
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trainable == NUM_PARAMETERS[path.stem]


@pytest.mark.parametrize("path", PUBLISHED_CTC, ids=name)
def test_full_size_models_for_ctc(path):
    config = override_config(data2vec2_audio_config("base"), read_recipe(path)["config_overrides"])
    with torch.device("meta"):
        model = Data2Vec2AudioForCTC(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == 93_188_140


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_every_way_to_the_global_batch_gives_it(path):
    """Each `per-device x processes x accumulation` of the comment, and the recipe's own numbers, multiply to it."""
    expected = GLOBAL_BATCH.get(path.stem, 128)
    text = path.read_text(encoding="utf-8")
    products = [
        int(clips) * int(processes) * int(steps)
        for clips, processes, steps in re.findall(r"(\d+) x (\d+) x (\d+)", text)
    ]
    assert len(products) >= 3
    assert set(products) == {expected}
    recipe = read_recipe(path)
    own = f"{recipe['per_device_train_batch_size']} x %s x {recipe['gradient_accumulation_steps']}"
    assert re.search((own % r"\d+"), text)


@pytest.mark.parametrize("path", PRETRAINING, ids=name)
def test_pre_training_shrunk(path, recordings, tmp_path):
    shrunk = read_recipe(path).get("config_overrides", {}) | DATA2VEC2_AUDIO_TINY | {"num_prenet_layers": 1}
    flags = [
        "--data",
        str(recordings),
        "--output_dir",
        str(tmp_path / "out"),
        "--max_steps",
        "2",
        "--min_seconds",
        "0.3",
    ]
    flags += ["--config_overrides", json.dumps(shrunk), "--logging_steps", "1", "--save_strategy", "no", *QUICK]
    trainer = load_script("pretrain_speech").main([str(path), *flags])
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert all(torch.tensor(losses).isfinite())


@pytest.mark.parametrize("path", PUBLISHED_CTC, ids=name)
def test_ctc_shrunk(path, pretrained, transcribed, tmp_path):
    flags = [
        "--model_name_or_path",
        str(pretrained),
        "--data",
        str(transcribed),
        "--output_dir",
        str(tmp_path / "out"),
    ]
    flags += ["--max_steps", "2", "--logging_steps", "1", "--save_strategy", "no", *QUICK]
    trainer = load_script("finetune_ctc").main([str(path), *flags, "--dataloader_persistent_workers", "false"])
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert all(torch.tensor(losses).isfinite())
    assert trainer.model.config.mask_time_prob == read_recipe(path)["config_overrides"]["mask_time_prob"]


@pytest.mark.parametrize("stem", STARTING_FROM_A_MODEL)
def test_recipe_that_starts_from_a_model(stem, pretrained, transcribed, tmp_path):
    script, flags = STARTING_FROM_A_MODEL[stem]
    path = SCRIPTS / "recipes" / f"{stem}.yaml"
    flags = ["--model_name_or_path", str(pretrained), "--data", str(transcribed), *flags]
    flags += ["--output_dir", str(tmp_path / "out"), "--max_steps", "2", "--logging_steps", "1"]
    flags += ["--save_strategy", "no", *QUICK, "--dataloader_persistent_workers", "false"]
    trainer = load_script(script).main([str(path), *flags])
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert all(torch.tensor(losses).isfinite())
    for field, value in read_recipe(path)["config_overrides"].items():
        assert trainer.model.config.to_dict()[field] == value


def test_recipes_are_accepted_by_their_scripts_parsers(tmp_path):
    """Not only the keys: the values too."""
    script = load_script("pretrain_speech")
    argv = [str(SCRIPTS / "recipes" / "data2vec2_audio_base_librispeech.yaml"), "--data", "D", "--use_cpu"]
    _, data, training = parse_arguments(
        ModelArguments,
        script.SpeechPreTrainingDataArguments,
        script.PreTrainingArguments,
        argv=[*argv, "--output_dir", str(tmp_path)],
    )
    assert (training.learning_rate, training.max_steps, training.warmup_steps) == (7.5e-4, 400_000, 8000)
    assert (data.min_seconds, data.max_seconds) == (2.0, 20.0)
