# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Training of data2vec on texts and images: both scripts, what they log, and folders that transformers opens alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from training_helpers import QUICK, load_script, read_json, write_images
from transformers import (
    AutoModelForImageClassification,
    AutoModelForPreTraining,
    AutoTokenizer,
    Data2VecTextConfig,
    Data2VecTextForMaskedLM,
    Data2VecTextForSequenceClassification,
    Data2VecVisionConfig,
    Data2VecVisionForImageClassification,
    Data2VecVisionModel,
    pipeline,
)

from hf_ssl import Data2VecTextForPreTraining, Data2VecVisionForPreTraining
from hf_ssl.models.image_processing_data2vec2 import make_image_processor
from hf_ssl.training.image_finetuning import data2vec_layer_scale, drop_path_overrides, scale_of_parameter
from hf_ssl.training.model_sizes import (
    DATA2VEC_TEXT_TINY,
    DATA2VEC_VISION_TINY,
    data2vec_text_config,
    data2vec_vision_config,
)
from hf_ssl.training.text_tokenizers import train_tokenizer

TEXTS = ["fine great nice day", "awful poor sad day", "lovely great fine day", "poor awful thing"]

# Run where this package cannot be imported: opens both folders in transformers' classes, prints what was missing.
OPEN_ALONE = """
import json, sys
sys.modules["hf_ssl"] = None
from transformers import Data2VecTextForSequenceClassification, Data2VecVisionForImageClassification
classes = (Data2VecTextForSequenceClassification, Data2VecVisionForImageClassification)
reports = [cls.from_pretrained(path, output_loading_info=True)[1] for cls, path in zip(classes, sys.argv[1:])]
print(json.dumps([sorted(report["missing_keys"]) for report in reports]))
"""


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(TEXTS * 30) + "\n")
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for seed, split in enumerate(("train", "validation")):
        write_images(tmp_path / "images" / split, seed=seed)
    return tmp_path / "images"


def script(name: str, *flags: str) -> Any:
    return load_script(name).main(["--logging_steps", "1", "--max_steps", "2", *QUICK, *flags])


def pretrain_text(text: Path, out: Path, *flags: str) -> Any:
    common = ["--model_type", "data2vec-text", "--data", str(text), "--output_dir", str(out), "--block_size", "16"]
    return script("pretrain_text", *common, "--per_device_train_batch_size", "4", *flags)


def pretrain_images(images: Path, out: Path, *flags: str) -> Any:
    common = ["--model_type", "data2vec-vision", "--data", str(images), "--output_dir", str(out)]
    return script("pretrain_vision", *common, "--per_device_train_batch_size", "4", *flags)


def logs_of(trainer: Any) -> list[dict[str, float]]:
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def check_logs(trainer: Any, *names: str) -> None:
    """What the guards watch, and other figures of the family, are in every entry."""
    assert len(logs_of(trainer)) == trainer.state.max_steps
    for entry in logs_of(trainer):
        for name in ("target_std", "prediction_std", "masked_share", "ema_decay", *names):
            assert entry[name] > 0, name
        assert 0 < entry["between_utterance_share"] < 2
        assert "cls_loss_share" not in entry


def test_both_folders_open_without_this_package(tmp_path: Path) -> None:
    """All weights of the encoders are found, and nothing but those of the heads is new."""
    models = (
        Data2VecTextForPreTraining(data2vec_text_config("tiny")),
        Data2VecVisionForPreTraining(data2vec_vision_config("tiny")),
    )
    for name, model in zip(("text", "vision"), models, strict=True):
        model.save_pretrained(tmp_path / name)
    command = [sys.executable, "-c", OPEN_ALONE, str(tmp_path / "text"), str(tmp_path / "vision")]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    text, vision = json.loads(result.stdout.splitlines()[-1])
    assert {name.split(".")[0] for name in text} == {"classifier"}
    assert vision == [
        "classifier.bias",
        "classifier.weight",
        "data2vec_vision.pooler.layernorm.bias",
        "data2vec_vision.pooler.layernorm.weight",
    ]


NEW_TEXT_MODEL = ["--model_size", "tiny", "--train_tokenizer", "270"]


def test_text_from_nothing_to_a_classifier_of_transformers_alone(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    trainer = pretrain_text(text, out, *NEW_TEXT_MODEL, "--eval_data", str(text), "--save_strategy", "no")
    check_logs(trainer, "tokens_per_second")
    assert "convolution_rank" not in logs_of(trainer)[0]
    assert read_json(out / "eval_results.json")["eval_loss"] > 0
    saved = Data2VecTextForPreTraining.from_pretrained(out)
    assert int(saved.teacher.num_updates) == 2
    assert saved.config.vocab_size == len(AutoTokenizer.from_pretrained(out))
    assert all(torch.equal(tensor, saved.state_dict()[name]) for name, tensor in trainer.model.state_dict().items())

    table = tmp_path / "table.csv"
    table.write_text("text,label\n" + "".join(f"{text},{'bad' if 'awful' in text else 'good'}\n" for text in TEXTS))
    flags = ["--model_name_or_path", str(out), "--train_file", str(table), "--validation_file", str(table)]
    flags += ["--text_columns", "text", "--save_strategy", "no", "--output_dir", str(tmp_path / "classes")]
    tuned = script("finetune_glue", *flags)
    assert type(tuned.model) is Data2VecTextForSequenceClassification
    assert "eval_accuracy" in read_json(tmp_path / "classes" / "eval_results.json")
    labels = {entry["label"] for entry in pipeline("text-classification", str(tmp_path / "classes"))([*TEXTS])}
    assert labels <= {"good", "bad"}


def test_text_longer_than_the_positions_is_cut_in_fine_tuning(text: Path, tmp_path: Path) -> None:
    pretrain_text(text, tmp_path / "out", *NEW_TEXT_MODEL, "--save_strategy", "no")
    table = tmp_path / "table.csv"
    table.write_text(
        "text,label\n" + "".join(f"{' '.join([words] * 30)},{number}\n" for number, words in enumerate(TEXTS))
    )
    flags = ["--model_name_or_path", str(tmp_path / "out"), "--train_file", str(table), "--text_columns", "text"]
    flags += ["--freeze_base_model", "--output_dir", str(tmp_path / "classes"), "--save_strategy", "no"]
    trainer = script("finetune_glue", *flags)
    assert {len(row["input_ids"]) for row in trainer.train_dataset} == {64}
    trained = {name.split(".")[0] for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert trained == {"classifier"}


def test_text_goes_on_with_a_folder_of_transformers(text: Path, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=266, model_max_length=64)
    encoder = {name: value for name, value in DATA2VEC_TEXT_TINY.items() if name not in ("vocab_size", "ema_decay")}
    objective = ("average_top_k_layers", "ema_anneal_end_step")
    fields = {name: value for name, value in encoder.items() if name not in objective}
    stock = Data2VecTextForMaskedLM(Data2VecTextConfig(vocab_size=len(tokenizer), **fields))
    stock.save_pretrained(tmp_path / "stock")
    tokenizer.save_pretrained(tmp_path / "stock")
    flags = ["--model_name_or_path", str(tmp_path / "stock"), "--learning_rate", "0", "--save_strategy", "no"]
    model = pretrain_text(text, tmp_path / "out", *flags, "--config_overrides", '{"mask_prob": 0.5}').model
    assert (model.config.mask_prob, model.config.average_top_k_layers) == (0.5, 2)
    for name, tensor in stock.data2vec_text.state_dict().items():
        assert torch.equal(model.data2vec_text.state_dict()[name], tensor)
    with pytest.raises(ValueError, match="is a model of type 'data2vec-text', but --model_type is 'data2vec2-text'"):
        pretrain_text(text, tmp_path / "other", "--model_type", "data2vec2-text", *flags)


def test_bad_text_and_bad_models(text: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--block_size 65 is longer than the model's 64 positions"):
        pretrain_text(text, tmp_path / "out", *NEW_TEXT_MODEL, "--block_size", "65")
    with pytest.raises(ValueError, match="Expected the size tiny, small or base, got 'large'"):
        pretrain_text(text, tmp_path / "out", "--model_size", "large", "--train_tokenizer", "270")
    (tmp_path / "config.json").write_text(json.dumps(DATA2VEC_TEXT_TINY | {"model_type": "data2vec2-text"}))
    with pytest.raises(ValueError, match="of a model of type 'data2vec2-text', but --model_type is 'data2vec-text'"):
        pretrain_text(text, tmp_path / "out", "--config", str(tmp_path / "config.json"), "--train_tokenizer", "270")


def test_a_resumed_run_on_text_is_the_run_that_was_not_stopped(text: Path, tmp_path: Path) -> None:
    flags = [*NEW_TEXT_MODEL, "--max_steps", "4", "--save_steps", "3"]
    whole = pretrain_text(text, tmp_path / "out", *flags)
    resumed = pretrain_text(
        text, tmp_path / "out", *flags, "--resume_from_checkpoint", str(tmp_path / "out/checkpoint-3")
    )
    assert [entry["loss"] for entry in logs_of(whole)] == [entry["loss"] for entry in logs_of(resumed)]


def test_images_from_nothing_to_a_classifier_of_transformers_alone(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ["--model_size", "tiny", "--eval_data", str(images), "--color_jitter", "0.4", "--save_strategy", "no"]
    trainer = pretrain_images(images, out, *flags)
    check_logs(trainer, "images_per_second", "convolution_rank")
    assert logs_of(trainer)[0]["masked_share"] <= 9 / 16
    assert read_json(out / "eval_results.json")["eval_loss"] > 0
    saved = AutoModelForPreTraining.from_pretrained(out)
    assert type(saved) is Data2VecVisionForPreTraining
    assert int(saved.teacher.num_updates) == 2
    assert all(torch.equal(tensor, saved.state_dict()[name]) for name, tensor in trainer.model.state_dict().items())

    flags = ["--model_name_or_path", str(out), "--data", str(images), "--eval_data", str(images)]
    tuned = script("finetune_image_classification", *flags, "--output_dir", str(tmp_path / "classes"))
    assert type(tuned.model) is Data2VecVisionForImageClassification
    assert tuned.model.config.drop_path_rate == 0.1
    assert not tuned.model.config.use_mask_token
    assert "eval_accuracy" in read_json(tmp_path / "classes" / "eval_results.json")
    answer = pipeline("image-classification", str(tmp_path / "classes"))(str(images / "train" / "dark" / "0.png"))
    assert sum(entry["score"] for entry in answer) == pytest.approx(1)


def test_a_frozen_encoder_of_images_stays_as_it_is(images: Path, tmp_path: Path) -> None:
    Data2VecVisionForPreTraining(data2vec_vision_config("tiny")).save_pretrained(tmp_path / "model")
    make_image_processor(32).save_pretrained(tmp_path / "model")
    flags = ["--model_name_or_path", str(tmp_path / "model"), "--data", str(images), "--freeze_base_model"]
    trainer = script("finetune_image_classification", *flags, "--output_dir", str(tmp_path / "out"))
    before = AutoModelForImageClassification.from_pretrained(tmp_path / "model").base_model.state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.model.base_model.state_dict().items())
    assert trainer.model.config.drop_path_rate == 0


def test_images_go_on_with_a_folder_of_transformers(images: Path, tmp_path: Path) -> None:
    objective = ("mask_patches", "average_top_k", "ema_")
    encoder = {name: v for name, v in DATA2VEC_VISION_TINY.items() if not any(part in name for part in objective)}
    stock = Data2VecVisionModel(Data2VecVisionConfig(**encoder))
    stock.save_pretrained(tmp_path / "stock")
    make_image_processor(32).save_pretrained(tmp_path / "stock")
    flags = ["--model_name_or_path", str(tmp_path / "stock"), "--learning_rate", "0", "--save_strategy", "no"]
    model = pretrain_images(images, tmp_path / "out", *flags).model
    assert (model.config.num_mask_patches, model.config.average_top_k_layers) == (9, 2)  # 120 of 196, of 16 patches
    blocks = (model.config.min_mask_patches_per_block, model.config.max_mask_patches_per_block)
    assert blocks == (1, 16)
    for name, tensor in stock.state_dict().items():
        assert name.startswith("pooler.") or torch.equal(model.data2vec_vision.state_dict()[name], tensor)


def test_bad_models_of_images(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected the size tiny, small, base or large, got 'huge'"):
        pretrain_images(images, tmp_path / "out", "--model_size", "huge")
    with pytest.raises(ValueError, match="--color_jitter must be between 0 and 1"):
        pretrain_images(images, tmp_path / "out", "--model_size", "tiny", "--color_jitter", "2")
    overrides = ["--config_overrides", '{"image_size": [32, 48], "patch_size": 8}']
    with pytest.raises(ValueError, match="Expected a model of square images"):
        pretrain_images(images, tmp_path / "out", "--model_size", "tiny", *overrides)
    (tmp_path / "config.json").write_text('{"model_type": "data2vec2-vision"}')
    with pytest.raises(ValueError, match="of type 'data2vec2-vision', not of type 'data2vec-vision'"):
        pretrain_images(images, tmp_path / "out", "--config", str(tmp_path / "config.json"))


def test_a_resumed_run_on_images_is_the_run_that_was_not_stopped(images: Path, tmp_path: Path) -> None:
    flags = ["--model_size", "tiny", "--max_steps", "4", "--save_steps", "3"]
    whole = pretrain_images(images, tmp_path / "out", *flags)
    checkpoint = str(tmp_path / "out/checkpoint-3")
    resumed = pretrain_images(images, tmp_path / "out", *flags, "--resume_from_checkpoint", checkpoint)
    assert [entry["loss"] for entry in logs_of(whole)] == [entry["loss"] for entry in logs_of(resumed)]


def test_learning_rates_decay_from_layer_to_layer_as_in_beit() -> None:
    config = data2vec_vision_config("base")
    assert data2vec_layer_scale("classifier.weight", 12, 0.5) == 1
    assert data2vec_layer_scale("data2vec_vision.pooler.layernorm.weight", 12, 0.5) == 1
    assert data2vec_layer_scale("data2vec_vision.encoder.relative_position_bias.table", 12, 0.5) == 1
    assert scale_of_parameter("data2vec_vision.encoder.layer.11.lambda_1", config, 0.5) == 0.5
    assert scale_of_parameter("data2vec_vision.encoder.layer.0.output.dense.bias", config, 0.5) == 0.5**12
    assert scale_of_parameter("data2vec_vision.embeddings.cls_token", config, 0.5) == 0.5**13
    assert drop_path_overrides(config, 0.2) == {"drop_path_rate": 0.2}
