# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The training scripts for images, end to end at tiny size."""

import json
from pathlib import Path

import pytest
import torch
from training_helpers import QUICK, load_script, read_json, write_images
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForPreTraining,
    pipeline,
    set_seed,
)

from hf_ssl import Data2Vec2VisionForImageClassification, Data2Vec2VisionForPreTraining
from hf_ssl.models.image_processing_data2vec2 import make_image_processor
from hf_ssl.training.image_finetuning import (
    ImageAugmentationArguments,
    ImageFineTuningArguments,
    ImageFineTuningTrainer,
    drop_path_overrides,
    layer_scale,
)
from hf_ssl.training.model_sizes import data2vec2_vision_config


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for seed, split in enumerate(("train", "validation", "test")):
        write_images(tmp_path / "images" / split, seed=seed)
    return tmp_path / "images"


@pytest.fixture
def pretrained_images(tmp_path: Path) -> Path:
    set_seed(0)
    folder = tmp_path / "pretrained_images"
    Data2Vec2VisionForPreTraining(data2vec2_vision_config("tiny", initializer_range=0.1)).save_pretrained(folder)
    make_image_processor(32).save_pretrained(folder)
    return folder


def pretrain(images: Path, output_dir: Path, *flags: str):
    argv = ["--data", str(images), "--output_dir", str(output_dir), "--logging_steps", "1", "--max_steps", "2"]
    return load_script("pretrain_vision").main([*argv, *QUICK, *flags])


def finetune(model: Path, images: Path, output_dir: Path, *flags: str):
    argv = ["--model_name_or_path", str(model), "--data", str(images), "--eval_data", str(images)]
    argv += ["--output_dir", str(output_dir), "--max_steps", "2", "--logging_steps", "1", *QUICK]
    return load_script("finetune_image_classification").main([*argv, *flags])


def test_pre_training(images: Path, tmp_path: Path) -> None:
    (images / "train" / "dark" / "0.png").write_bytes(b"no image")
    trainer = pretrain(images, tmp_path / "out", "--model_size", "tiny", "--eval_data", str(images))
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 2
    for name in ("images_per_second", "between_utterance_share", "target_std", "cls_loss_share", "ema_decay"):
        assert logged[0][name] > 0
    assert logged[0]["masked_share"] == pytest.approx(13 / 16)
    assert "padding_share" not in logged[0]
    assert read_json(tmp_path / "out" / "eval_results.json")["eval_loss"] > 0
    (listed,) = map(json.loads, (tmp_path / "out" / "_skipped_files.jsonl").read_text().splitlines())
    assert listed["file"].endswith("0.png")
    model = AutoModelForPreTraining.from_pretrained(tmp_path / "out")
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert int(model.teacher.num_updates) == 2
    assert AutoImageProcessor.from_pretrained(tmp_path / "out").crop_size["height"] == 32


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(images: Path, tmp_path: Path) -> None:
    flags = ["--model_size", "tiny", "--per_device_train_batch_size", "4", "--max_steps", "4"]  # an epoch is 2 updates
    whole = pretrain(images, tmp_path / "whole", *flags)
    pretrain(images, tmp_path / "out", *flags, "--save_steps", "3")
    resumed = pretrain(
        images, tmp_path / "out", *flags, "--resume_from_checkpoint", str(tmp_path / "out/checkpoint-3")
    )
    losses = [[entry["loss"] for entry in run.state.log_history if "loss" in entry] for run in (whole, resumed)]
    assert losses[0] == losses[1]


def test_pre_training_goes_on_with_a_model(images: Path, pretrained_images: Path, tmp_path: Path) -> None:
    flags = ["--model_name_or_path", str(pretrained_images), "--config_overrides", '{"num_masks": 3}']
    trainer = pretrain(images, tmp_path / "out", *flags, "--reset_teacher")
    assert trainer.model.config.num_masks == 3


def test_bad_input_to_pre_training(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected --data with at least one"):
        load_script("pretrain_vision").main(["--model_size", "tiny", "--output_dir", str(tmp_path / "out")])
    with pytest.raises(ValueError, match="two rising shares"):
        pretrain(images, tmp_path / "out", "--model_size", "tiny", "--crop_scale", "0.5", "0.2")
    (tmp_path / "config.json").write_text('{"model_type": "data2vec2-audio"}')
    with pytest.raises(ValueError, match="is a model of type 'data2vec2-audio', not of type 'data2vec2-vision'"):
        pretrain(images, tmp_path / "out", "--config", str(tmp_path / "config.json"))
    with pytest.raises(ValueError, match=r"--pad_to_multiple_of_seconds is for clips of audio.* got a ImageDataset"):
        pretrain(images, tmp_path / "out", "--model_size", "tiny", "--pad_to_multiple_of_seconds", "1")


def test_fine_tuning(images: Path, pretrained_images: Path, tmp_path: Path) -> None:
    trainer = finetune(pretrained_images, images, tmp_path / "out", "--test_split", "test")
    assert trainer.model.config.label2id == {"dark": 0, "light": 1}
    assert list(trainer.model.config.drop_path_rates) == pytest.approx([0.05, 0.1])
    results = read_json(tmp_path / "out" / "all_results.json")
    assert {"eval_accuracy", "eval_f1", "test_accuracy"} <= set(results)
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "out")
    assert model.config.problem_type == "single_label_classification"
    classify = pipeline("image-classification", model=str(tmp_path / "out"))
    answer = classify(str(images / "test" / "dark" / "0.png"))
    assert {entry["label"] for entry in answer} == {"dark", "light"}
    assert sum(entry["score"] for entry in answer) == pytest.approx(1)


def test_a_linear_probe_learns_what_is_easy(images: Path, pretrained_images: Path, tmp_path: Path) -> None:
    flags = ["--freeze_base_model", "--max_steps", "30", "--learning_rate", "0.05", "--warmup_steps", "3"]
    flags += ["--mixup", "0", "--cutmix", "0", "--label_smoothing", "0", "--random_erasing", "0"]
    trainer = finetune(pretrained_images, images, tmp_path / "out", *flags)
    before = AutoModelForPreTraining.from_pretrained(pretrained_images).base_model.state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.model.base_model.state_dict().items())
    assert read_json(tmp_path / "out" / "eval_results.json")["eval_accuracy"] == 1.0


def test_from_scratch_starts_with_other_weights(images: Path, pretrained_images: Path, tmp_path: Path) -> None:
    trainer = finetune(pretrained_images, images, tmp_path / "out", "--from_scratch", "--learning_rate", "1e-9")
    pretrained = AutoModelForPreTraining.from_pretrained(pretrained_images).base_model
    weights = [model.trunk.layers[0].mlp.fc1.weight for model in (trainer.model.base_model, pretrained)]
    assert not torch.allclose(weights[0], weights[1], atol=1e-3)


def test_bad_input_to_fine_tuning(images: Path, pretrained_images: Path, pretrained: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no column 'species'"):
        finetune(pretrained_images, images, tmp_path / "out", "--label_column", "species")
    with pytest.raises(ValueError, match="--layer_decay must be in"):
        finetune(pretrained_images, images, tmp_path / "out", "--layer_decay", "0")
    with pytest.raises(ValueError, match="is a model of type 'data2vec2-audio', not of type 'data2vec2-vision'"):
        finetune(pretrained, images, tmp_path / "out")
    with pytest.raises(ValueError, match="--drop_path_rate 1 would drop"):
        ImageAugmentationArguments(drop_path_rate=1.0)
    with pytest.raises(ValueError, match="--mixup_prob must be between 0 and 1"):
        ImageAugmentationArguments(mixup_prob=2)


def test_learning_rates_decay_from_layer_to_layer(tmp_path: Path) -> None:
    model = Data2Vec2VisionForImageClassification(data2vec2_vision_config("tiny"))
    arguments = ImageFineTuningArguments(
        output_dir=str(tmp_path), learning_rate=1.0, layer_decay=0.5, use_cpu=True, report_to="none"
    )
    optimizer = ImageFineTuningTrainer(model=model, args=arguments).create_optimizer()
    rates = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    encoder = model.data2vec2_vision
    assert len(rates) == len(list(model.parameters()))
    assert rates[id(model.classifier.weight)] == (1.0, 0.05)
    assert rates[id(model.classifier.bias)] == (1.0, 0.0)
    assert rates[id(encoder.local_encoder.patch_embedding.weight)] == (1.0, 0.05)
    assert rates[id(encoder.trunk.layers[1].mlp.fc1.weight)] == (0.5, 0.05)
    assert rates[id(encoder.trunk.layers[0].mlp.fc1.bias)] == (0.25, 0.0)
    assert rates[id(encoder.context_encoder.layers[0].attention.qkv.weight)] == (0.125, 0.05)


def test_layer_scales_of_the_published_base_model() -> None:
    assert layer_scale("data2vec2_vision.trunk.layers.9.mlp.fc1.weight", 2, 10, 0.65) == 0.65
    assert layer_scale("data2vec2_vision.context_encoder.layers.0.mlp.fc1.weight", 2, 10, 0.65) == 0.65**12
    assert layer_scale("data2vec2_vision.context_encoder.extra_tokens", 2, 10, 0.65) == 1


def test_stochastic_depth_rises_evenly() -> None:
    rates = drop_path_overrides(data2vec2_vision_config("base"), 0.11)
    assert rates["prenet_drop_path_rates"] == pytest.approx([0.0, 0.01])
    assert rates["drop_path_rates"] == pytest.approx([0.02, 0.11])
    assert drop_path_overrides(data2vec2_vision_config("large"), 0.2)["drop_path_rates"] == [0.0, 0.2]
