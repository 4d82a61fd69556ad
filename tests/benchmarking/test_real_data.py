# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Batches of real data are those of training, and the data loader is measured by itself."""

from pathlib import Path

import datasets
import pytest
import torch
from training_helpers import QUICK, load_script, write_images, write_recordings

from hf_ssl.benchmarking.benchmark import BenchmarkConfig, run_benchmark
from hf_ssl.benchmarking.loader import measure_loader
from hf_ssl.benchmarking.real_data import TrainingData, open_training_data
from hf_ssl.benchmarking.table import format_benchmark, read_benchmark, write_benchmark
from hf_ssl.cli import main
from hf_ssl.planning.recipes import plan_recipe, read_arguments

SPEECH = "model_type: data2vec2-audio\nmodel_size: tiny\nmin_seconds: 0.3\nmax_seconds: 1.0\n"
IMAGES = "model_size: tiny\ncrop_scale: [0.2, 1.0]\n"
TEXT = "model_size: tiny\ntrain_tokenizer: 280\nblock_size: 16\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")


def write_recipe(folder: Path, text: str) -> str:
    path = folder / "recipe.yaml"
    path.write_text(f"{text}max_steps: 10\nper_device_train_batch_size: 3\nuse_cpu: true\n")
    return str(path)


def write_texts(path: Path) -> Path:
    path.write_text("".join(f"{word} morning, number {row}\n" for row in range(40) for word in ("good", "bad")))
    return path


def open_data(recipe: str, source: Path, **settings: str) -> TrainingData:
    arguments = read_arguments(recipe, settings, [str(source)])
    return open_training_data(plan_recipe(recipe, arguments), arguments, [str(source)], None)


@pytest.mark.parametrize("batches", [{}, {"batch_seconds": "2.5"}, {"gain_prob": "1.0"}], ids=str)
def test_batches_are_those_of_training(batches: dict[str, str], tmp_path: Path) -> None:
    recipe, recordings = write_recipe(tmp_path, SPEECH), write_recordings(tmp_path / "recordings", count=7)
    flags = [f"--{name}={value}" for name, value in batches.items()]
    flags += [*QUICK, "--data", str(recordings), "--output_dir", str(tmp_path / "run")]
    trained_on = _batches_of_trainer([recipe, *flags])
    loader = iter(open_data(recipe, recordings, **batches).loader(0, "cpu"))
    for of_trainer in trained_on:
        ours = next(loader)
        assert ours.keys() == of_trainer.keys()
        for name, tensor in of_trainer.items():
            torch.testing.assert_close(ours[name], tensor, rtol=0, atol=0)


def _batches_of_trainer(argv: list[str]) -> list[dict[str, torch.Tensor]]:
    """All batches of the first epoch."""
    script = load_script("pretrain_speech")
    model_args, data_args, augmentation_args, training_args = script.parse_arguments(
        script.ModelArguments,
        script.SpeechPreTrainingDataArguments,
        script.AugmentationArguments,
        script.PreTrainingArguments,
        argv=argv,
    )
    reading = script.Reading(16_000, script.open_skipped_files(training_args))
    table = script.load_train_table(data_args, reading)
    trainer = script.make_trainer(
        script.make_model(model_args),
        script.make_feature_extractor(model_args),
        script.make_augmentation(augmentation_args, reading),
        args=training_args,
        train_dataset=script.make_train_dataset(table, data_args, training_args, reading),
    )
    return list(trainer.get_train_dataloader())


def test_speech_is_loaded_and_its_padding_counted(tmp_path: Path) -> None:
    recipe, recordings = write_recipe(tmp_path, SPEECH), write_recordings(tmp_path / "recordings", count=7)
    benchmark = run_benchmark(BenchmarkConfig(recipe, data=(str(recordings),), rounds=2, items=2))
    assert benchmark.items == 2
    assert 0.8 < benchmark.amount < 2.4  # two clips of 0.4 to 1.2 s
    assert 0 < benchmark.padding < 0.5
    assert benchmark.seconds == pytest.approx(sum(benchmark.step_seconds) / 2)
    assert next(iter(benchmark.phases)) == "data"
    assert benchmark.phases["data"] > 0
    text = format_benchmark(benchmark)
    assert "without workers" in text
    assert "padding" in text
    assert "real data" in text


def test_images_and_texts_are_loaded(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images")
    data = open_data(write_recipe(tmp_path, IMAGES), images)
    batch = next(iter(data.loader(0, "cpu")))
    assert data.amounts(batch) == (3.0, 3.0)
    assert batch["pixel_values"].shape[0] == 3

    recipe, texts = write_recipe(tmp_path, TEXT), write_texts(tmp_path / "texts.txt")
    benchmark = run_benchmark(BenchmarkConfig(recipe, data=(str(texts),), rounds=1, tokens=8, phases=False))
    assert (benchmark.items, benchmark.unit) == (3, "tokens")
    assert 16 < benchmark.amount <= 24  # the last block of the text is shorter
    assert benchmark.padding == pytest.approx(1 - benchmark.amount / 24)
    data = open_data(recipe, texts)
    assert data.config.vocab_size == len(data.dataset.tokenizer)
    assert data.most_workers == 1


def test_log_mel_features_of_the_device_are_a_phase(tmp_path: Path) -> None:
    recipe, recordings = write_recipe(tmp_path, SPEECH), write_recordings(tmp_path / "recordings", count=4)
    settings = {"model_type": "best-rq", "model_size": "tiny"}
    benchmarks = [
        run_benchmark(BenchmarkConfig(recipe, data=(str(recordings),), rounds=1, settings=settings | extra))
        for extra in ({}, {"log_mel_on_device": "true"})
    ]
    assert "features" not in benchmarks[0].phases
    assert benchmarks[1].phases["features"] > 0
    assert benchmarks[0].amount == benchmarks[1].amount
    with pytest.raises(ValueError, match="log_mel_on_device needs real data"):
        run_benchmark(BenchmarkConfig(recipe, rounds=1, settings=settings | {"log_mel_on_device": "true"}))


def test_the_loader_is_measured_and_set_beside_the_step(tmp_path: Path) -> None:
    recipe, texts = write_recipe(tmp_path, TEXT), write_texts(tmp_path / "texts.txt")
    data = open_data(recipe, texts)
    speed = measure_loader(data, workers=2, device="cpu", seconds=0.1)
    assert (speed.workers, speed.used_workers) == (2, 1)
    assert speed.batches >= 4
    assert speed.seconds >= 0.1
    assert speed.items == 3 * speed.batches
    assert 24 * speed.batches < speed.amount <= 48 * speed.batches
    assert speed.amount_per_second > speed.items_per_second > 0
    with pytest.raises(ValueError, match="--workers of 0 or more"):
        measure_loader(data, workers=-1, device="cpu")


def test_figures_of_the_loader_are_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    recipe, recordings = write_recipe(tmp_path, SPEECH), write_recordings(tmp_path / "recordings", count=4)
    path = str(tmp_path / "figures.json")
    monkeypatch.setattr("hf_ssl.benchmarking.loader._SECONDS", 0.1)
    flags = ["--data", str(recordings), "--loader", "--workers", "0", "--rounds", "1", "--output", path]
    assert main(["benchmark", recipe, *flags]) == 0
    printed = capsys.readouterr().out
    assert "loader, 0 workers: " in printed
    assert "times what the model consumes" in printed
    benchmark = read_benchmark(path)
    assert benchmark.loader is not None
    assert benchmark.loader.amount_per_second > 0
    write_benchmark(benchmark, path)
    assert read_benchmark(path) == benchmark


def test_data_that_cannot_be_used_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    recordings, images = write_recordings(tmp_path / "recordings", count=3), write_images(tmp_path / "images")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.png").write_bytes(b"no image")
    for recipe, source, message in (
        (SPEECH, images, "no audio"),
        (SPEECH, tmp_path / "nowhere", "nowhere"),
        (SPEECH.replace("0.3", "0.9") + "noise_prob: 1.0\n", recordings, "--noise_data"),
        (SPEECH + "streaming: true\n", recordings, "--set streaming=false"),
        (IMAGES, recordings, "Expected images"),
        (IMAGES, tmp_path / "empty", "Expected images"),
        (IMAGES, tmp_path / "broken", "cannot be loaded"),
        (TEXT, images, "has no .txt"),
        (TEXT, tmp_path / "nowhere.txt", "no file or folder"),
    ):
        path = write_recipe(tmp_path, recipe)
        assert main(["benchmark", path, "--data", str(source), "--rounds", "1"]) == 1, (recipe, source)
        assert message in capsys.readouterr().err
