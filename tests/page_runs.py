# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Runs commands of pages: what their names in capitals stand for, and how they are cut down to seconds.

Training takes the smallest model and a few updates, heads of probes two epochs, benchmarks one round, a replication
shows what there is; layers and blocks of tokens are those of small models. Everything else is as written.
"""

import csv
import io
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from inference_helpers import STREAM_STATISTICS, save_best_rq
from pages import ROOT
from report_helpers import recogniser_run
from training_helpers import QUICK, SCRIPTS, load_script, write_images, write_metadata, write_recordings
from transformers import Wav2Vec2FeatureExtractor, set_seed

from hf_ssl import BestRqFeatureExtractor, BestRqForPreTraining, Data2Vec2AudioForPreTraining
from hf_ssl.cli import main as hf_ssl
from hf_ssl.conversion.best_rq import RECIPE_OPTIONS, original_files
from hf_ssl.training.model_sizes import best_rq_config, data2vec2_audio_config

FEW_UPDATES = [*QUICK, "--bf16", "false", "--max_steps", "2", "--per_device_train_batch_size", "2"]
FEW_UPDATES += ["--gradient_accumulation_steps", "1", "--logging_steps", "1", "--warmup_steps", "0"]
FEW_UPDATES += ["--dataloader_persistent_workers", "false"]
TINY = ["--model_size", "tiny", "--config_overrides", "{}"]
TINY_WAV2VEC2 = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "codevector_dim": 8, "proj_codevector_dim": 8,
}  # fmt: skip
SPLITS = ("train", "validation", "test")
# Folders with `train/` and so on, of which metadata.csv says whatever one may ask.
LABELLED = ("TRANSCRIBED", "LABELLED", "CLIPS", "SPEAKERS", "OTHER_SPEAKERS", "READ", "DIGITS")
UNLABELLED = ("RECORDINGS", "MORE_RECORDINGS", "LIBRISPEECH", "SPEECHOCEAN", "ORDERS", "recordings")
RUNS = ("RUN", "RUN1", "RUN2", "RUN_DIR")


def prepare(folder: Path) -> Path:
    """What the pages' names stand for."""
    (folder / "training_scripts").symlink_to(SCRIPTS)
    _prepare_recordings(folder)
    _prepare_speech_models(folder)
    shutil.copy(ROOT / "tests/fixtures/golden/d2v2_audio_large_padded/checkpoint.pt", folder / "CHECKPOINT.pt")
    config = best_rq_config("tiny", **RECIPE_OPTIONS | {"mask_length": 4})
    original = original_files(BestRqForPreTraining(config).state_dict(), config)
    for checkpoint in ("CKPT+RUN", "CKPT+..."):
        (folder / checkpoint).mkdir()
        for name, content in original.items():
            torch.save(content, folder / checkpoint / f"{name}.ckpt")
    _prepare_images(folder)
    _prepare_texts(folder)
    return folder


def _prepare_recordings(folder: Path) -> None:
    for seed, split in enumerate(SPLITS):
        clips = write_metadata(write_recordings(folder / "TRANSCRIBED" / split, count=8, seed=seed))
        header, *rows = (clips / "metadata.csv").read_text().splitlines()
        more = [f"{row},{row.rsplit(',', 1)[1]},{number % 4}" for number, row in enumerate(rows)]
        (clips / "metadata.csv").write_text("\n".join([f"{header},labels,speaker_id", *more]) + "\n")
    for name in LABELLED[1:]:
        shutil.copytree(folder / "TRANSCRIBED", folder / name)
    for name in UNLABELLED:
        write_recordings(folder / name, count=6)
        write_recordings(folder / name / "train", count=2, seed=1)
    shutil.copy(folder / "RECORDINGS" / "00.wav", folder / "speech.wav")
    soundfile.write(folder / "speech.flac", *soundfile.read(folder / "speech.wav"))


def _prepare_speech_models(folder: Path) -> None:
    set_seed(0)
    model = Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny"))
    for name in ("MODEL", "facebook/wav2vec2-base"):  # a folder here is opened before the model on the Hub
        model.save_pretrained(folder / name)
        Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder / name)
    recogniser_run(folder / "RECOGNISER")
    streamable = BestRqFeatureExtractor(top_db=None, **STREAM_STATISTICS)
    save_best_rq(folder / "STREAMING", streamable, chunk_size=4, left_context_chunks=3, conv_causal=True)
    flags = ["--data", str(folder / "RECORDINGS"), "--model_size", "tiny", "--min_seconds", "0.3"]
    flags += ["--output_dir", str(folder / "RUN"), *FEW_UPDATES, "--save_strategy", "no"]
    load_script("pretrain_speech").main(flags)
    for name in RUNS[1:]:
        shutil.copytree(folder / "RUN", folder / name)
    line = {"what": "probe", "arm": "RUN_DIR", "model": "RUN_DIR", "number": 0, "task": "classification",
            "data": "LABELLED", "column": "label", "method": "linear", "metric": "accuracy", "seed": None,
            "test": 0.5, "by_layer": [0.25, 0.5]}  # fmt: skip
    (folder / "FILE").write_text(json.dumps(line) + "\n")


def _prepare_images(folder: Path) -> None:
    write_images(folder / "IMAGES" / "train")
    write_images(folder / "IMAGES" / "validation", seed=1)
    flags = ["--data", str(folder / "IMAGES"), "--model_size", "tiny", "--output_dir", str(folder / "IMAGE_MODEL")]
    load_script("pretrain_vision").main([*flags, *FEW_UPDATES, "--save_strategy", "no"])


def _prepare_texts(folder: Path) -> None:
    texts = [f"{word} {'morning' if row % 2 else 'night'}" for row in range(40) for word in ("good", "bad")]
    (folder / "TEXTS").mkdir()
    for name in ("texts.txt", "TEXTS/texts.txt", "wikitext2.txt", "shakespeare.txt"):
        (folder / name).write_text("\n".join(texts * 5) + "\n")
    for name in SPLITS:
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *((text, text.split()[1]) for text in texts[:12])])
    flags = ["--data", str(folder / "texts.txt"), "--model_size", "tiny", "--train_tokenizer", "280"]
    flags += ["--block_size", "16", "--output_dir", str(folder / "TEXT_MODEL"), "--save_strategy", "no"]
    load_script("pretrain_text").main([*flags, *FEW_UPDATES])


def run(command: list[str]) -> None:
    """Runs one of the commands that pages may have, here and at the smallest size."""
    match command:
        case ["hf-ssl", "benchmark", *arguments]:
            assert hf_ssl(["benchmark", *quick_benchmark(arguments)]) == 0
        case ["hf-ssl", "probe", *arguments]:
            assert hf_ssl(["probe", *arguments, "--epochs", "2"]) == 0
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
    script.main([*arguments, *_small(path, arguments)])


def _small(path: str, arguments: list[str]) -> list[str]:
    """Flags that cut a script down; the last one of a kind counts."""
    if "replicate" in path:
        return [] if "--show" in arguments else ["--show"]
    if "step_time" in path:
        return ["--rounds", "1", "--seconds", "0.5"]
    small = [*FEW_UPDATES, *([] if "--model_name_or_path" in arguments else TINY)]
    if "pretrain_wav2vec2" in path:
        small = [*FEW_UPDATES, "--config_overrides", json.dumps(TINY_WAV2VEC2)]
    small += ["--min_seconds", "0.3"] if path.endswith(("pretrain_speech.py", "pretrain_wav2vec2.py")) else []
    small += ["--block_size", "16"] if "pretrain_text" in path else []
    small += ["--max_steps", "3"] if "--resume_from_checkpoint" in arguments else ["--save_steps", "1"]
    return small


def run_here(command: list[str], made: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of a command that stands for itself: it makes what it writes to anew, and reads a MODEL that fits.

    Args:
        command: As on the page, with what is before and behind it.
        made: What the commands before it have made; it is added to.
        monkeypatch: Puts raw samples on the standard input.
    """
    if "|" in command:
        samples = (3000 * np.random.default_rng(0).standard_normal(8000)).astype("<i2")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(samples.tobytes())))
        command = command[command.index("|") + 1 :]
    if "[--dictionary" in command:  # for checkpoints of another kind
        command = command[: command.index("[--dictionary")]
    command = command[: command.index(">")] if ">" in command else command
    output = _output_of(command)
    for name, stand_in in _stand_ins(command).items():
        if name in command and name not in {output, *made}:
            _remove(Path(name))
            shutil.copytree(stand_in, name)
    if output is not None:
        _remove(Path(output))
        made.add(output)
    run([("1" if before == "--layer" else word) for before, word in zip(["", *command], command, strict=False)])


def _stand_ins(command: list[str]) -> dict[str, str]:
    """What stands for a name where it does not stand for speech, or for a model that does not read streams."""
    match command:
        case ["hf-ssl", "transcribe", *arguments] if "--stream" in arguments:
            return {"RECOGNISER": "STREAMING"}
        case ["python", "training_scripts/finetune_glue.py", *_]:
            return {"MODEL": "TEXT_MODEL"}
        case ["python", "training_scripts/finetune_image_classification.py", *_]:
            return {"MODEL": "IMAGE_MODEL", "LABELLED": "IMAGES"}
    return {}


def _output_of(command: list[str]) -> str | None:
    match command:
        case ["hf-ssl", "convert", "--to", _, _, output] | ["hf-ssl", "convert", _, output, *_]:
            return output
    return command[command.index("--output_dir") + 1] if "--output_dir" in command else None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
