# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Every recipe for images: it loads, its model has the published size, and it trains when shrunk."""

import json
import re
from pathlib import Path

import pytest
import torch
from training_helpers import QUICK, SCRIPTS, load_script, write_images
from transformers import AutoModelForPreTraining

from hf_ssl import Data2Vec2VisionForPreTraining
from hf_ssl.models.image_processing_data2vec2 import make_image_processor
from hf_ssl.training.arguments import read_recipe
from hf_ssl.training.image_arguments import ImageModelArguments
from hf_ssl.training.model_sizes import DATA2VEC2_VISION_TINY, DATA2VEC_VISION_TINY, data2vec2_vision_config

PRETRAINING = sorted((SCRIPTS / "recipes").glob("data2vec*_vision_*.yaml"))
FINETUNING = sorted((SCRIPTS / "recipes").glob("image_*.yaml"))
# Trainable parameters with decoder, and without the teacher.
NUM_PARAMETERS = {
    "data2vec2_vision_base": 88_233_216,
    "data2vec2_vision_large": 309_067_776,
    "data2vec2_vision_huge": 637_306_112,
    "data2vec2_vision_small": 22_071_168,
    "data2vec2_vision_laptop": 2_868_864,
    "data2vec_vision_base": 86_256_720,
    "data2vec_vision_laptop": 2_746_584,
}
GLOBAL_BATCH = {  # 512 otherwise
    "data2vec2_vision_small": 256,
    "data2vec2_vision_laptop": 32,
    "data2vec_vision_base": 2048,
    "data2vec_vision_laptop": 32,
}


def name(path: Path) -> str:
    return path.stem


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images")


def test_no_recipe_is_left_out() -> None:
    assert {path.stem for path in PRETRAINING} == set(NUM_PARAMETERS)
    assert {path.stem for path in FINETUNING} == {"image_classification_base", "image_classification_large"}


@pytest.mark.parametrize("path", PRETRAINING, ids=name)
def test_full_size_models(path: Path) -> None:
    recipe = read_recipe(path)
    arguments = {key: recipe[key] for key in ("model_type", "model_size", "config_overrides") if key in recipe}
    with torch.device("meta"):
        config = load_script("pretrain_vision").make_config(ImageModelArguments(**arguments))
        model = AutoModelForPreTraining.from_config(config)
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trainable == NUM_PARAMETERS[path.stem]


@pytest.mark.parametrize("path", PRETRAINING + FINETUNING, ids=name)
def test_every_way_to_the_global_batch_gives_it(path: Path) -> None:
    """Each `per-device x processes x accumulation` of the comment, and the recipe's own numbers, multiply to it."""
    expected = GLOBAL_BATCH.get(path.stem, 512)
    text = path.read_text(encoding="utf-8")
    products = [int(a) * int(b) * int(c) for a, b, c in re.findall(r"(\d+) x (\d+) x (\d+)", text)]
    assert len(products) >= 3
    assert set(products) == {expected}
    recipe = read_recipe(path)
    own = f"{recipe['per_device_train_batch_size']} x %s x {recipe['gradient_accumulation_steps']}"
    assert re.search((own % r"\d+"), text)


@pytest.mark.parametrize("path", PRETRAINING, ids=name)
def test_pre_training_shrunk(path: Path, images: Path, tmp_path: Path) -> None:
    tiny = DATA2VEC_VISION_TINY if path.name.startswith("data2vec_") else DATA2VEC2_VISION_TINY
    shrunk = read_recipe(path).get("config_overrides", {}) | tiny
    flags = ["--data", str(images), "--output_dir", str(tmp_path / "out"), "--max_steps", "2"]
    flags += ["--config_overrides", json.dumps(shrunk), "--logging_steps", "1", "--save_strategy", "no", *QUICK]
    trainer = load_script("pretrain_vision").main([str(path), *flags, "--per_device_train_batch_size", "4"])
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert all(torch.tensor(losses).isfinite())


def test_data2vec_as_published() -> None:
    """The command of the original's repository: 800 epochs of ImageNet-1K in batches of 2,048, 10 of them warm-up."""
    recipe = read_recipe(SCRIPTS / "recipes" / "data2vec_vision_base.yaml")
    updates = 1_281_167 // 2048
    assert (recipe["max_steps"], recipe["warmup_steps"]) == (800 * updates, 10 * updates)
    arguments = ImageModelArguments(model_type=recipe["model_type"], model_size=recipe["model_size"])
    config = load_script("pretrain_vision").make_config(arguments)
    assert (config.use_shared_relative_position_bias, config.use_relative_position_bias) == (True, False)
    assert (config.num_mask_patches, config.average_top_k_layers, config.loss_beta) == (120, 6, 2.0)
    assert (config.drop_path_rate, config.attention_probs_dropout_prob) == (0.25, 0.05)


@pytest.mark.parametrize("path", FINETUNING, ids=name)
def test_fine_tuning_shrunk(path: Path, images: Path, tmp_path: Path) -> None:
    Data2Vec2VisionForPreTraining(data2vec2_vision_config("tiny")).save_pretrained(tmp_path / "model")
    make_image_processor(32).save_pretrained(tmp_path / "model")
    flags = ["--model_name_or_path", str(tmp_path / "model"), "--data", str(images), "--max_steps", "2"]
    flags += ["--output_dir", str(tmp_path / "out"), "--logging_steps", "1", "--save_strategy", "no", *QUICK]
    flags += ["--per_device_train_batch_size", "4"]
    trainer = load_script("finetune_image_classification").main([str(path), *flags])
    assert trainer.model.config.drop_path_rates[1] == read_recipe(path)["drop_path_rate"]
    assert trainer.lr_scheduler.get_last_lr()[0] > 0
