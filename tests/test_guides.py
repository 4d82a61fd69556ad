# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Every code block of training_scripts/guides runs, in a folder that has what their names in capitals stand for.

Training is cut down to the smallest model and a few updates; everything else is as written.
"""

import csv
import re
import shlex
import shutil
from pathlib import Path

import datasets
import pytest
import torch
from pages import ROOT, blocks, commands
from training_helpers import QUICK, SCRIPTS, load_script, write_images, write_metadata, write_recordings
from transformers import Wav2Vec2FeatureExtractor, set_seed

from hf_ssl import BestRqForPreTraining, Data2Vec2AudioForPreTraining
from hf_ssl.cli import main as hf_ssl
from hf_ssl.conversion.best_rq import RECIPE_OPTIONS, original_files
from hf_ssl.training.model_sizes import best_rq_config, data2vec2_audio_config

WITH_CODE = [page for page in sorted((SCRIPTS / "guides").glob("*.md")) if blocks(page)]

FEW_UPDATES = [*QUICK, "--bf16", "false", "--max_steps", "2", "--per_device_train_batch_size", "2"]
FEW_UPDATES += ["--gradient_accumulation_steps", "1", "--logging_steps", "1", "--warmup_steps", "0"]
FEW_UPDATES += ["--dataloader_persistent_workers", "false"]
TINY = ["--model_size", "tiny", "--config_overrides", "{}"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guides' names in capitals stand for."""
    folder = tmp_path_factory.mktemp("guides")
    (folder / "training_scripts").symlink_to(SCRIPTS)
    write_recordings(folder / "RECORDINGS", count=6)
    for seed, split in enumerate(("train", "validation", "test")):
        write_metadata(write_recordings(folder / "TRANSCRIBED" / split, count=8, seed=seed))
        shutil.copytree(folder / "TRANSCRIBED" / split, folder / "LABELLED" / split)
    shutil.copy(folder / "RECORDINGS" / "00.wav", folder / "speech.wav")
    set_seed(0)
    Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny")).save_pretrained(folder / "MODEL")
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder / "MODEL")
    shutil.copy(ROOT / "tests/fixtures/golden/d2v2_audio_large_padded/checkpoint.pt", folder / "CHECKPOINT.pt")
    config = best_rq_config("tiny", **RECIPE_OPTIONS | {"mask_length": 4})
    (folder / "CKPT+RUN").mkdir()
    for name, content in original_files(BestRqForPreTraining(config).state_dict(), config).items():
        torch.save(content, folder / "CKPT+RUN" / f"{name}.ckpt")
    _prepare_images(folder)
    _prepare_texts(folder)
    return folder


def _prepare_images(folder: Path) -> None:
    write_images(folder / "IMAGES" / "train")
    write_images(folder / "IMAGES" / "validation", seed=1)
    flags = ["--data", str(folder / "IMAGES"), "--model_size", "tiny", "--output_dir", str(folder / "IMAGE_MODEL")]
    load_script("pretrain_vision").main([*flags, *FEW_UPDATES, "--save_strategy", "no"])


def _prepare_texts(folder: Path) -> None:
    texts = [f"{word} {'morning' if row % 2 else 'night'}" for row in range(40) for word in ("good", "bad")]
    (folder / "texts.txt").write_text("\n".join(texts * 5) + "\n")
    for name in ("train", "validation"):
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *((text, text.split()[1]) for text in texts[:12])])
    flags = ["--data", str(folder / "texts.txt"), "--model_size", "tiny", "--train_tokenizer", "280"]
    flags += ["--block_size", "16", "--output_dir", str(folder / "TEXT_MODEL"), "--save_strategy", "no"]
    load_script("pretrain_text").main([*flags, *FEW_UPDATES])


@pytest.fixture
def folder(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it for each page, as the current folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    copy = tmp_path / "here"
    shutil.copytree(prepared, copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_every_code_block_runs(page: Path, folder: Path) -> None:
    pytest.importorskip("sklearn")
    for language, code in blocks(page):
        match language:
            case "bash":
                for command in commands(code):
                    run(command)
            case "python":
                exec(compile(code, str(page), "exec"), {"__name__": "guide"})
            case _:
                pytest.fail(f"{page.name} has a block of {language or 'no language'}: it is not tested")


def run(command: list[str]) -> None:
    """Runs one of the commands that guides may have, here and at the smallest size."""
    match command:
        case ["hf-ssl", "benchmark", *arguments]:
            assert hf_ssl(["benchmark", *quick_benchmark(arguments)]) == 0
        case ["hf-ssl", *arguments]:
            assert hf_ssl(arguments) == 0
        case ["python", script, *arguments]:
            run_script(script, arguments)
        case ["accelerate", "launch", "--config_file", config, script, *arguments]:
            assert Path(config).is_file()
            run_script(script, arguments)
        case _:
            pytest.fail(f"Not a command that can be tested: {shlex.join(command)}")


def quick_benchmark(arguments: list[str]) -> list[str]:
    """One value of a curve, one round, the smallest model."""
    shortened = [re.sub(r"^(items=\d+),.*", r"\1", argument) for argument in arguments]
    tiny = ["--set", "model_size=tiny", "--set", "config_overrides={}", "--set", "min_seconds=0.3"]
    return [*shortened, *tiny, "--rounds", "1"]


def run_script(path: str, arguments: list[str]) -> None:
    for name in (name for name in arguments if name.endswith(".yaml")):
        assert Path(name).is_file()
    script = load_script(path.removeprefix("training_scripts/").removesuffix(".py"))
    small = []
    if "replicate" not in path:
        small = [*FEW_UPDATES, *([] if "--model_name_or_path" in arguments else TINY)]
        small += ["--min_seconds", "0.3"] if "pretrain_speech" in path else []
        small += ["--max_steps", "3"] if "--resume_from_checkpoint" in arguments else ["--save_steps", "1"]
    script.main([*arguments, *small])
