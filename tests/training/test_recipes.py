# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Every recipe: it loads, its model has the published size, and it trains when shrunk."""

import json
import re
from pathlib import Path

import pytest
import torch
from training_helpers import QUICK, SCRIPTS, load_script
from transformers import (
    AutoModelForPreTraining,
    Data2VecAudioConfig,
    HubertConfig,
    Wav2Vec2Config,
    get_scheduler,
)

from hf_ssl import (
    Data2Vec2AudioConfig,
    Data2Vec2AudioForCTC,
    Data2VecAqcConfig,
    Data2VecAudioPreTrainingConfig,
    Data2VecTextPreTrainingConfig,
)
from hf_ssl.models.configuration_data2vec_pretraining import longest_text
from hf_ssl.training.arguments import ModelArguments, parse_arguments, read_recipe
from hf_ssl.training.finetuning import FineTunedModelArguments
from hf_ssl.training.glue import TASKS, GlueDataArguments, GlueTrainingArguments
from hf_ssl.training.model_sizes import (
    BEST_RQ_TINY,
    DATA2VEC2_AUDIO_TINY,
    DATA2VEC2_TEXT_TINY,
    DATA2VEC_AQC_TINY,
    DATA2VEC_AUDIO_TINY,
    DATA2VEC_TEXT_TINY,
    data2vec2_audio_config,
    data2vec2_text_config,
    data2vec_text_config,
)
from hf_ssl.training.running import override_config
from hf_ssl.training.text_arguments import TextModelArguments

IMAGES = ("data2vec2_vision", "data2vec_vision", "image_")  # in test_image_recipes.py
RECIPES = sorted(path for path in (SCRIPTS / "recipes").glob("*.yaml") if not path.stem.startswith(IMAGES))
PRETRAINING = [
    path for path in RECIPES if path.name.startswith(("data2vec2_audio", "data2vec_audio", "data2vec_aqc", "best_rq"))
]
PRETRAINING_TEXT = [path for path in RECIPES if path.name.startswith(("data2vec2_text", "data2vec_text"))]
GLUE = [path for path in RECIPES if path.name.startswith("glue_")]
PUBLISHED_CTC = [path for path in RECIPES if path.stem in ("ctc_10min", "ctc_1h", "ctc_10h", "ctc_100h", "ctc_960h")]
# Other recipes that start from a pre-trained model, and the script and flags of each.
STARTING_FROM_A_MODEL = {
    "continue_pretraining": ("pretrain_speech", ["--min_seconds", "0.3"]),
    "ctc_telephone": ("finetune_ctc", []),
    "ctc_best_rq": ("finetune_ctc", []),
    "ctc_best_rq_streaming": ("finetune_ctc", []),
    "audio_tagging": ("finetune_audio_classification", ["--label_column", "tags"]),
    "speaker_verification": (
        "finetune_speaker_verification",
        ["--speaker_column", "label", "--min_seconds", "0.3", "--freeze_encoder_steps", "1"],
    ),
}

# Trainable parameters: with data2vec 2.0's decoder (93.8 M are published for base) and BEST-RQ's head over codes, and
# without the teacher.
NUM_PARAMETERS = {
    "data2vec2_audio_base_librispeech": 93_783_308,
    "data2vec2_audio_large_librilight": 315_184_144,
    "data2vec2_audio_one_gpu": 93_783_308,
    "data2vec2_audio_one_gpu_augmented": 93_783_308,
    "data2vec2_audio_laptop": 3_709_894,
    "data2vec2_audio_cpu_hour": 1_263_748,
    "data2vec_audio_base": 93_754_880,
    "data2vec_audio_one_gpu": 93_754_880,
    "data2vec_audio_one_gpu_augmented": 93_754_880,
    "data2vec_audio_laptop": 3_671_808,
    "data2vec_aqc_base": 94_427_776,
    "data2vec_aqc_base_360h": 94_427_776,
    "data2vec_aqc_telephone": 94_427_776,
    "data2vec_aqc_one_gpu": 94_427_776,
    "data2vec_aqc_laptop": 3_754_112,
    "best_rq_open_source_base": 94_029_024,
    "best_rq_paper_xl": 613_920_288,
    "best_rq_one_gpu": 94_029_024,
    "best_rq_laptop": 5_634_384,
    "best_rq_cpu_hour": 1_776_976,
    "data2vec2_text_base": 152_961_792,
    "data2vec2_text_large": 385_379_584,
    "data2vec2_text_laptop": 5_448_192,
    "data2vec_text_base": 126_416_640,
    "data2vec_text_laptop": 4_452_480,
}
SHRUNK = {
    "data2vec2-audio": DATA2VEC2_AUDIO_TINY | {"num_prenet_layers": 1},
    "data2vec-audio": DATA2VEC_AUDIO_TINY,
    "data2vec-aqc": DATA2VEC_AQC_TINY,
    "best-rq": BEST_RQ_TINY,
}
# Clips per update that the comment of each recipe promises.
GLOBAL_BATCH = {
    "data2vec2_audio_base_librispeech": 40,
    "data2vec2_audio_large_librilight": 48,
    "data2vec2_audio_one_gpu": 24,
    "data2vec2_audio_one_gpu_augmented": 24,
    "data2vec2_audio_laptop": 8,
    "data2vec2_audio_cpu_hour": 4,
    "data2vec_audio_base": 320,
    "data2vec_audio_one_gpu": 96,
    "data2vec_audio_one_gpu_augmented": 96,
    "data2vec_audio_laptop": 8,
    "data2vec_aqc_base": 320,
    "data2vec_aqc_base_360h": 320,
    "data2vec_aqc_telephone": 160,
    "data2vec_aqc_one_gpu": 96,
    "data2vec_aqc_laptop": 8,
    "best_rq_open_source_base": 576,
    "best_rq_paper_xl": 512,
    "best_rq_one_gpu": 96,
    "best_rq_laptop": 8,
    "best_rq_cpu_hour": 8,
    "continue_pretraining": 24,
    "ctc_telephone": 32,
    "ctc_best_rq": 128,
    "ctc_best_rq_streaming": 128,
    "audio_tagging": 48,
    "speaker_verification": 50,
    "data2vec2_text_base": 64,
    "data2vec2_text_large": 64,
    "data2vec2_text_laptop": 16,
    "data2vec_text_base": 256,
    "data2vec_text_laptop": 16,
    **{f"glue_{task}": 16 for task in ("cola", "mrpc", "rte", "stsb")},
    **{f"glue_{task}": 32 for task in ("mnli", "qnli", "qqp", "sst2")},
}


def name(path: Path) -> str:
    return path.stem


def test_no_recipe_is_left_out():
    assert {path.stem for path in PRETRAINING + PRETRAINING_TEXT} == set(NUM_PARAMETERS)
    assert len(PUBLISHED_CTC) == 5
    assert {path.stem for path in GLUE} == {f"glue_{task}" for task in TASKS if task != "wnli"}
    listed = {path.stem for path in PRETRAINING + PRETRAINING_TEXT + PUBLISHED_CTC + GLUE}
    assert listed | set(STARTING_FROM_A_MODEL) == set(map(name, RECIPES))


@pytest.mark.parametrize("path", PRETRAINING, ids=name)
def test_full_size_models_for_pre_training(path):
    recipe = read_recipe(path)
    script = load_script("pretrain_speech")
    model_recipe = {key: recipe[key] for key in ("model_type", "model_size", "config_overrides") if key in recipe}
    with torch.device("meta"):
        model = AutoModelForPreTraining.from_config(script.make_config(ModelArguments(**model_recipe)))
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trainable == NUM_PARAMETERS[path.stem]


@pytest.mark.parametrize("path", PRETRAINING_TEXT, ids=name)
def test_full_size_models_for_text(path):
    recipe = read_recipe(path)
    overrides = {"vocab_size": recipe.get("train_tokenizer", 50_265)} | recipe.get("config_overrides", {})
    make_config = data2vec_text_config if path.name.startswith("data2vec_") else data2vec2_text_config
    with torch.device("meta"):
        model = AutoModelForPreTraining.from_config(make_config(recipe["model_size"], **overrides))
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trainable == NUM_PARAMETERS[path.stem]


@pytest.mark.parametrize("path", PRETRAINING_TEXT, ids=name)
def test_text_shrunk(path, tmp_path):
    (tmp_path / "text.txt").write_text("one two three four\n" * 200)
    fields = DATA2VEC_TEXT_TINY if path.name.startswith("data2vec_") else DATA2VEC2_TEXT_TINY
    tiny = {key: value for key, value in fields.items() if key != "vocab_size"}
    shrunk = read_recipe(path).get("config_overrides", {}) | tiny
    flags = ["--data", str(tmp_path / "text.txt"), "--output_dir", str(tmp_path / "out"), "--max_steps", "2"]
    flags += ["--train_tokenizer", "270", "--block_size", "16", "--config_overrides", json.dumps(shrunk)]
    flags += ["--logging_steps", "1", "--save_strategy", "no", *QUICK]
    trainer = load_script("pretrain_text").main([str(path), *flags])
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert all(torch.tensor(losses).isfinite())


@pytest.mark.parametrize("path", GLUE, ids=name)
def test_glue_recipes_are_the_published_ones(path, tmp_path):
    """Steps of warm-up and in all, batch and learning rate (config/v2/text_finetuning), as the script reads them."""
    published = {
        "glue_cola": (320, 5336, 16, 2e-5),
        "glue_mnli": (7432, 123_873, 32, 2e-5),
        "glue_mrpc": (137, 2296, 16, 2e-5),
        "glue_qnli": (1986, 33_112, 32, 2e-5),
        "glue_qqp": (28_318, 113_272, 32, 2e-5),
        "glue_rte": (122, 2036, 16, 2e-5),
        "glue_sst2": (1256, 20_935, 32, 2e-5),
        "glue_stsb": (214, 3598, 16, 4e-5),
    }
    data, training = parse_arguments(
        GlueDataArguments, GlueTrainingArguments, argv=[str(path), "--output_dir", str(tmp_path), "--use_cpu"]
    )
    assert data.task_name == path.stem.removeprefix("glue_")
    settings = (
        training.warmup_steps,
        training.max_steps,
        training.per_device_train_batch_size,
        training.learning_rate,
    )
    assert settings == published[path.stem]
    assert (training.weight_decay, training.adam_beta2, training.adam_epsilon) == (0.1, 0.98, 1e-6)
    assert training.lr_scheduler_type == "linear"


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
    recipe = read_recipe(path)
    shrunk = recipe.get("config_overrides", {}) | SHRUNK[recipe["model_type"]]
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
    flags += ["--noise_data", str(recordings)] if "noise_prob" in recipe else []
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


@pytest.mark.parametrize("stem", [*(path.stem for path in PUBLISHED_CTC), "ctc_telephone", "speaker_verification"])
@pytest.mark.parametrize(
    "config",
    [Data2Vec2AudioConfig(), Data2VecAudioConfig(), Data2VecAqcConfig(), Wav2Vec2Config(), HubertConfig()],
    ids=lambda config: config.model_type,
)
def test_fine_tuning_recipes_fit_every_family_that_reads_waveforms(config, stem):
    recipe = read_recipe(SCRIPTS / "recipes" / f"{stem}.yaml")
    given = {name: recipe[name] for name in ("config_overrides", "family_overrides")}
    changed = override_config(config, FineTunedModelArguments("model", **given).overrides(config)).to_dict()
    assert {name: changed[name] for name in given["config_overrides"]} == given["config_overrides"]
    for name, value in given["family_overrides"].items():
        assert changed.get(name, value) == value


def test_what_a_family_has_not_is_left_out_and_named(caplog):
    arguments = FineTunedModelArguments("model", family_overrides='{"prenet_dropout": 0.0, "layerdrop": 0.5}')
    with caplog.at_level("INFO", logger="hf_ssl"):
        assert arguments.overrides(Wav2Vec2Config()) == {"layerdrop": 0.5}
    assert "Wav2Vec2Config has no prenet_dropout: left out." in caplog.text


@pytest.mark.parametrize("stem", STARTING_FROM_A_MODEL)
def test_recipe_that_starts_from_a_model(stem, pretrained, pretrained_best_rq, transcribed, tmp_path):
    script, flags = STARTING_FROM_A_MODEL[stem]
    path = SCRIPTS / "recipes" / f"{stem}.yaml"
    model = pretrained_best_rq if stem.startswith("ctc_best_rq") else pretrained
    flags = ["--model_name_or_path", str(model), "--data", str(transcribed), *flags]
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


def test_data2vec_as_published(tmp_path):
    """The tri-stage schedule of the original, which decays to a hundredth."""
    argv = [str(SCRIPTS / "recipes" / "data2vec_audio_base.yaml"), "--data", "D", "--use_cpu"]
    script = load_script("pretrain_speech")
    model, _, training = parse_arguments(
        ModelArguments,
        script.SpeechPreTrainingDataArguments,
        script.PreTrainingArguments,
        argv=[*argv, "--output_dir", str(tmp_path)],
    )
    assert (training.learning_rate, training.max_steps) == (5e-4, 400_000)
    assert (training.tri_stage_phases, training.tri_stage_final_scale) == ([0.03, 0.9, 0.07], 0.01)
    config = script.make_config(model)
    assert config.to_dict() == Data2VecAudioPreTrainingConfig().to_dict()


def test_data2vec_of_text_as_published():
    """base.yaml of the original: what the script makes of the recipe."""
    path = SCRIPTS / "recipes" / "data2vec_text_base.yaml"
    recipe = read_recipe(path)
    assert (recipe["max_steps"], recipe["warmup_steps"], float(recipe["learning_rate"])) == (1_000_000, 10_000, 2e-4)
    assert recipe["max_grad_norm"] == 5.0
    config = load_script("pretrain_text").new_config(
        TextModelArguments(model_type="data2vec-text", model_size="base", tokenizer="roberta-base")
    )
    defaults = Data2VecTextPreTrainingConfig().to_dict()
    changed = {name for name, value in config.to_dict().items() if value != defaults[name]}
    assert changed == {"vocab_size", "max_position_embeddings", "type_vocab_size", "layer_norm_eps"}
    assert (config.mask_prob, config.mask_length, config.average_top_k_layers) == (0.35, 4, 10)
    assert longest_text(config) == recipe["block_size"]


def test_best_rq_as_published():
    """SpeechBrain's masks and schedule; `inverse_sqrt` is its NoamScheduler."""
    recipe = read_recipe(SCRIPTS / "recipes" / "best_rq_open_source_base.yaml")
    config = load_script("pretrain_speech").make_config(
        ModelArguments(model_type="best-rq", model_size="base", config_overrides=recipe["config_overrides"])
    )
    masks = (config.mask_prob, config.mask_length, config.mask_sampling, config.mask_noise_std)
    assert masks == (0.15, 4, "grid", 0.1)
    assert (config.dynamic_chunk_prob, config.dynamic_left_context_prob) == (0.6, 0.75)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=float(recipe["learning_rate"]))
    schedule = get_scheduler(recipe["lr_scheduler_type"], optimizer, num_warmup_steps=recipe["warmup_steps"])
    factors = {step: schedule.lr_lambdas[0](step) for step in (5_000, 25_000, 100_000)}
    assert factors == pytest.approx({5_000: 0.2, 25_000: 1.0, 100_000: 0.5})
