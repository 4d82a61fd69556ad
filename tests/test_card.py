# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl card`: what a finished run knows and what was measured, as the Hub reads it, and no path of this machine."""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from training_helpers import QUICK, load_script, read_json, write_recordings
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioForSequenceClassification,
    TrainingArguments,
    Wav2Vec2FeatureExtractor,
)

from hf_ssl.card import CARD_MARK, CardWords, Run, last_figures, make_card, read_run
from hf_ssl.card_methods import method_of
from hf_ssl.card_record import (
    LOCAL_FOLDER,
    read_record,
    record_run,
    told_command,
    told_model,
    without_paths,
    write_record,
)
from hf_ssl.card_results import probe_results, probe_table, probes_of, run_results, short_name
from hf_ssl.card_use import use_section
from hf_ssl.cli import main
from hf_ssl.evaluation.representation_health import measure_health
from hf_ssl.own_results import compared_probes
from hf_ssl.results import append_result
from hf_ssl.weights import weights_sha256


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the real script."""
    folder = tmp_path_factory.mktemp("runs")
    recordings = write_recordings(folder / "recordings", count=8)
    argv = ["--model_size", "tiny", "--data", str(recordings), "--eval_data", str(recordings), "--max_steps", "4"]
    argv += ["--logging_steps", "2", "--min_seconds", "0.3", "--output_dir", str(folder / "mine"), *QUICK]
    argv += ["--save_strategy", "no", "--health_measures_steps", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["/somewhere/pretrain_speech.py", *argv, "--hub_token", "hf_secret"])
        load_script("pretrain_speech").main(argv)
    return folder / "mine"


def write_probes(path: Path, model: Path) -> Path:
    common = {"what": "probe", "task": "classification", "data": str(path.parent / "digits"), "column": "label",
              "metric": "accuracy", "number": 0}  # fmt: skip
    for method, arm, of_model, seed, test in (
        ("linear", "ours", str(model), None, 0.75),
        ("linear", "ours, untrained", str(model), None, 0.25),
        ("linear", "log-mel, no network", None, None, 0.5),
        ("weighted_sum", "ours", str(model), 0, 0.6),
        ("weighted_sum", "ours", str(model), 1, 0.7),
        ("neighbours", "/elsewhere/theirs", "/elsewhere/theirs", None, 0.9),
    ):
        line = {**common, "method": method, "arm": arm, "model": of_model, "seed": seed, "test": test}
        append_result(path, line, command=["hf-ssl", "probe"])
    health = asdict(measure_health([torch.eye(4)[:3], torch.eye(4)])) | {"position_share": None}
    common = {"what": "health", "data": str(path.parent / "clips"), "layers": [health], "codebook": None}
    for arm, of_model, num_items in (
        ("/elsewhere/theirs", "/elsewhere/theirs", 3),
        (f"{model}, untrained", str(model), 2),
        (str(model), str(model), 2),
    ):
        line = {**common, "arm": arm, "model": of_model, "num_items": num_items}
        append_result(path, line, command=["hf-ssl", "health"])
    return path


def card(run_dir: Path, *arguments: Any) -> ModelCard:
    assert main(["card", str(run_dir), *map(str, arguments), "--write"]) == 0
    return ModelCard.load(run_dir / "README.md")


def test_the_card_of_a_run(run_dir: Path, tmp_path: Path) -> None:
    results = write_probes(tmp_path / "results.jsonl", run_dir)
    said = ["--license", "cc-by-4.0", "--language", "en", "--dataset_name", "ada/digits"]
    written = card(run_dir, "--results", results, *said, "--dataset_license", "cc0-1.0", "--title", "Mine")
    assert written.data.license == "cc-by-4.0"
    assert written.data.language == ["en"]
    assert written.data.datasets == ["ada/digits"]
    assert written.data.tags == ["data2vec2-audio", "hf_ssl"]
    assert written.data.model_name == "Mine"
    assert [(result.metric_name, result.metric_value) for result in written.data.eval_results] == [
        ("accuracy of label (linear, 1 runs)", 0.75),
        ("accuracy of label (weighted_sum, 2 runs)", 0.65),
    ]
    for result in written.data.eval_results:
        assert (result.task_type, result.metric_type) == ("audio-classification", "accuracy")
        assert (result.dataset_name, result.dataset_split) == ("digits", "test")
    text = written.text
    assert "4 updates" in text
    assert "[arXiv:2212.07525](https://arxiv.org/abs/2212.07525)" in text
    assert "baevski2023data2vec2" in text
    assert "- Licence of the data: cc0-1.0" in text
    assert "pretrain_speech.py --model_size tiny --data recordings" in text
    assert "| precision | float32 |" in text
    assert "| learning_rate | 0.00075 |" in text
    assert "| eval_loss | " in text
    assert "| health/rankme | " in text
    assert "| classification, digits, label | linear, accuracy | ours, untrained | 25.0% | 1 |" in text
    assert "| weighted_sum, accuracy | this model | 65.0% (60.0% to 70.0%) | 2 |" in text
    assert "| data | | layer | RankMe | of |" in text
    assert "| clips, 2 items | this model | 0 | " in text
    assert "| clips, 2 items | mine, untrained | 0 | " in text
    assert "AutoModelForPreTraining.from_pretrained" in text
    assert "trust_remote_code=True" in text
    for private in (str(run_dir.parent), str(tmp_path), "/somewhere", "/elsewhere", "theirs", "hf_secret"):
        assert private not in written.content


def test_the_model_index_goes_there_and_back(run_dir: Path, tmp_path: Path) -> None:
    written = card(run_dir, "--results", write_probes(tmp_path / "results.jsonl", run_dir))
    index = eval_results_to_model_index(written.data.model_name, written.data.eval_results)
    name, results = model_index_to_eval_results(index)
    assert name == "mine"
    assert results == written.data.eval_results
    again = ModelCard(written.content)
    assert again.data.to_dict() == written.data.to_dict()


def test_a_card_without_words_or_results(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(run_dir)]) == 0
    printed = ModelCard(capsys.readouterr().out)
    assert printed.data.to_dict() == {"library_name": "transformers", "tags": ["data2vec2-audio", "hf_ssl"]}
    assert "Not said by whoever trained it: data, licence of the data, language." in printed.text
    assert "No licence was given" in printed.text
    assert "Probes" not in printed.text


def test_a_card_of_somebody_is_kept(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited = card(run_dir).content.replace(CARD_MARK, "")
    (run_dir / "README.md").write_text(edited, encoding="utf-8")
    assert main(["card", str(run_dir), "--write"]) == 1
    assert "Somebody wrote or edited" in capsys.readouterr().err
    assert (run_dir / "README.md").read_text(encoding="utf-8") == edited
    (run_dir / "README.md").unlink()


def test_what_is_no_finished_run(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(tmp_path)]) == 1
    assert "has no weights" in capsys.readouterr().err
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text("[]")
    assert main(["card", str(tmp_path)]) == 1
    assert "Expected an object in" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{")
    assert main(["card", str(tmp_path)]) == 1
    assert "its config.json cannot be read" in capsys.readouterr().err
    results = write_probes(tmp_path / "results.jsonl", tmp_path / "another")
    assert main(["card", str(run_dir), "--results", str(results)]) == 1
    assert "has no probe or health of" in capsys.readouterr().err
    assert main(["card", str(run_dir), "--results", str(results), "--model_name", str(tmp_path / "another")]) == 0


def test_a_card_has_no_figures_of_an_earlier_model_in_the_folder(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    line = {"what": "probe", "task": "classification", "data": "digits", "column": "label", "method": "linear",
            "metric": "accuracy", "number": 0, "seed": None, "arm": "mine", "model": str(run_dir)}  # fmt: skip
    results = tmp_path / "results.jsonl"
    append_result(results, line | {"test": 0.125, "weights_sha256": "0123456789abcdef"}, command=["hf-ssl", "probe"])
    assert main(["card", str(run_dir), "--results", str(results)]) == 1
    assert "no probe or health of the model that is in" in capsys.readouterr().err
    present = {"test": 0.375, "weights_sha256": weights_sha256(run_dir)}
    append_result(results, line | present, command=["hf-ssl", "probe"])
    append_result(results, line | present | {"test": 0.625, "settings": {"max_seconds": 2.0}}, command=["hf-ssl"])
    append_result(results, line | present | {"test": 0.875, "data": "orders"}, command=["hf-ssl"])
    assert main(["card", str(run_dir), "--results", str(results)]) == 0
    text = capsys.readouterr().out
    assert "| classification, digits, label | linear, accuracy | this model | 37.5% | 1 |" in text
    assert "| classification, digits, label (max_seconds 2) | linear, accuracy | this model | 62.5% | 1 |" in text
    assert [(result.dataset_name, result.metric_name) for result in ModelCard(text).data.eval_results] == [
        ("digits", "accuracy of label (linear, 1 runs)"),
        ("digits", "accuracy of label (linear, 1 runs, max_seconds 2)"),
        ("orders", "accuracy of label (linear, 1 runs)"),
    ]
    assert "12.5" not in text
    assert "left out" not in text  # which is of interest to nobody who reads the card
    (note,) = caplog.messages
    assert note.startswith("1 line of probes and health is left out: measured on other weights than")


def test_a_run_of_before_there_were_records(run_dir: Path, tmp_path: Path) -> None:
    for name in ("config.json", "trainer_state.json", "model.safetensors"):
        (tmp_path / name).write_bytes((run_dir / name).read_bytes())
    run = read_run(str(tmp_path))
    assert (run.record, run.started_from, run.modality, run.steps) == (None, None, "audio", 4)
    assert "What was typed" not in make_card(run, CardWords("old"))
    (tmp_path / "run.json").write_text('{"command": "x"}')
    with pytest.raises(ValueError, match="Expected the record of a run in"):
        read_run(str(tmp_path))


def test_the_record_tells_no_path(run_dir: Path) -> None:
    record = read_record(run_dir)
    assert record is not None
    assert record.num_parameters > 1000
    assert (record.started_from, record.num_processes, record.was_resumed) == (None, 1, False)
    assert record.arguments["seed"] == 42
    assert str(run_dir.parent) not in json.dumps(read_json(run_dir / "run.json"))


def test_a_record_goes_there_and_back(tmp_path: Path) -> None:
    from hf_ssl import Data2Vec2VisionModel
    from hf_ssl.training.model_sizes import data2vec2_vision_config

    args = TrainingArguments(output_dir=str(tmp_path), resume_from_checkpoint="last", use_cpu=True, bf16=True)
    model = Data2Vec2VisionModel(data2vec2_vision_config("tiny"))
    record = record_run(args, model, ["train.py"], str(tmp_path))
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert (record.started_from, record.modality, record.precision) == (LOCAL_FOLDER, "image", "bfloat16")
    assert record.was_resumed
    assert record.versions["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["/usr/bin/train.py", "--data", "/home/ada/speech/", "user/name"], "train.py --data speech user/name"),
        (["train.py", "--data=/home/ada/speech"], "train.py --data=speech"),
        (["train.py", "--hub_token", "hf_x", "--seed", "1"], "train.py --seed 1"),
        (["train.py", "--hub_token=hf_x", "--hub-token=hf_y", "a"], "train.py a"),
        (["train.py", "~/speech", "recipes/a.yaml", "../b"], "train.py speech recipes/a.yaml ../b"),
        (["train.py", '{"a": "/home/ada/x", "b": 1}'], """train.py '{"a": "x", "b": 1}'"""),
        (["train.py", "--data", "/home/ada miller/secret study/rec"], "train.py --data rec"),
        (["train.py", "--data=/home/ada miller/a study/rec/"], "train.py --data=rec"),
        (["train.py", "--folder=DIGITS=~/ada miller/digits"], "train.py --folder=DIGITS=digits"),
        (["train.py", '{"a": "/home/ada miller/x", "b": "/y"}'], """train.py '{"a": "x", "b": "y"}'"""),
        (["train.py", "https://host/path", "C:\\Users\\ada"], "train.py https://host/path ada"),
    ],
)
def test_commands_are_told_without_paths_and_tokens(command: list[str], told: str) -> None:
    assert told_command(command) == told


def test_models_and_data_are_told_without_paths(tmp_path: Path) -> None:
    assert (told_model(None), told_model("ada/base"), told_model(str(tmp_path))) == (None, "ada/base", LOCAL_FOLDER)
    assert (short_name("ada/digits"), short_name(str(tmp_path / "digits"))) == ("ada/digits", "digits")
    assert without_paths("log-mel, no network") == "log-mel, no network"


def test_figures_of_a_recogniser_are_its_results() -> None:
    log = [{"loss": 3.0}, {"eval_wer": 0.5, "eval_loss": 1.0, "eval_runtime": 2.0}, {"test_wer": 0.25}]
    run = Run("Data2Vec2AudioForCTC", "data2vec2-audio", "audio", 10, 1.0, log, "ada/base")
    written = ModelCard(make_card(run, CardWords("reader", {"datasets": ["ada/read"]})))
    assert written.data.base_model == "ada/base"
    assert [
        (result.task_type, result.dataset_name, result.dataset_split, result.metric_type, result.metric_value)
        for result in written.data.eval_results
    ] == [
        ("automatic-speech-recognition", "ada/read", "evaluation split", "wer", 0.5),
        ("automatic-speech-recognition", "ada/read", "test split", "wer", 0.25),
    ]
    assert "AutoModelForCTC" in written.text
    assert "It started from [ada/base]" in written.text


@pytest.mark.parametrize(
    ("data", "on_hub", "expected"),
    [
        ("ada/digits", True, ("ada/digits", None)),
        ("nyu-mll/glue:rte", True, ("nyu-mll/glue", "rte")),
        ("data/digits", False, ("local", "data/digits")),  # a folder on the machine that probed
        ("data/digits", None, ("local", "data/digits")),  # of before this was written down
    ],
)
def test_data_on_the_hub_are_named_in_the_model_index(
    data: str, on_hub: bool | None, expected: tuple[str, str | None]
) -> None:
    line = {"what": "probe", "arm": "a", "model": "a", "number": 0, "task": "classification", "data": data,
            "column": "c", "method": "linear", "metric": "accuracy", "seed": 0, "test": 0.5}  # fmt: skip
    line |= {} if on_hub is None else {"data_on_hub": on_hub}
    (result,) = probe_results(probes_of(compared_probes([line], ["a"])), "text")
    assert (result.dataset_type, result.dataset_config) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("ada/read", ("ada/read", None)),
        ("ada/read:clean", ("ada/read", "clean")),
        ("ada/read, ada/more", ("local", None)),
        ("my recordings", ("local", None)),
    ],
)
def test_data_of_a_run_on_the_hub_are_named_too(said: str, expected: tuple[str, str | None]) -> None:
    (result,) = run_results({"test_wer": 0.5}, "automatic-speech-recognition", said)
    assert (result.dataset_type, result.dataset_config, result.dataset_name) == (*expected, said)


def test_losses_are_no_results() -> None:
    assert run_results({"eval_loss": 1.0, "loss": 2.0, "test_samples": 3}, "audio-classification", "data") == []
    assert last_figures([{"loss": 2.0, "grad_norm": 1.0}, {"loss": 1.0, "eval_steps_per_second": 4}]) == {"loss": 1.0}


def test_the_later_of_two_equal_measurements_counts(tmp_path: Path) -> None:
    line = {"what": "probe", "arm": "a", "model": "a", "number": 0, "task": "frames", "data": "d", "column": "c",
            "method": "linear", "metric": "macro-F1", "seed": 0, "test": 0.1}  # fmt: skip
    (probe,) = probes_of(compared_probes([line, {**line, "test": 0.2}], ["a"]))
    assert probe.values == (0.2,)
    assert probe_results([probe], "audio")[0].task_type == "audio-frame-classification"
    assert "| frames, d, c | linear, macro-F1 | this model | 20.0% | 1 |" in probe_table([probe])
    with pytest.raises(ValueError, match="Expected the field 'seed'"):
        compared_probes([{name: value for name, value in line.items() if name != "seed"}], ["a"])


@pytest.mark.parametrize(
    ("model_type", "paper"),
    [
        ("data2vec2-vision", "2212.07525"),
        ("data2vec-audio", "2202.03555"),
        ("data2vec-aqc", "2211.01246"),
        ("best-rq", "2202.01855"),
    ],
)
def test_methods(model_type: str, paper: str) -> None:
    method = method_of(model_type)
    assert method is not None
    assert method.paper == paper
    assert f"arXiv:{paper}" in method.citation


def test_other_types_have_no_method_of_ours() -> None:
    assert method_of("wav2vec2") is None
    text = make_card(Run("Wav2Vec2ForCTC", "wav2vec2", "audio", 1, 1.0, []), CardWords("other"))
    assert "## Method" not in text
    assert "## Citation" not in text


def run_use_of(text: str, folder: Path, **given: Any) -> Any:
    """What the code on a card makes of what it is given."""
    (code,) = re.findall(r"## Use\n+```python\n(.*?)```", text, re.DOTALL)
    exec(code.replace("FOLDER_OR_REPOSITORY", str(folder)), given)
    return given["outputs"]


def test_the_code_of_a_card_runs(run_dir: Path, tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    assert torch.isfinite(
        run_use_of(make_card(read_run(str(run_dir)), CardWords("mine")), run_dir, waveform=waveform).loss
    )

    config = Data2VecAudioConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=[8] * 7,
        num_conv_pos_embeddings=2, num_labels=3,
    )  # fmt: skip
    Data2VecAudioForSequenceClassification(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    run = Run("Data2VecAudioForSequenceClassification", "data2vec-audio", "audio", 1, 1.0, [])
    assert run_use_of(make_card(run, CardWords("mine")), tmp_path, waveform=waveform).logits.shape == (1, 3)


@pytest.mark.parametrize(
    ("model_class", "model_type", "modality", "lines"),
    [
        ("Data2Vec2AudioForCTC", "data2vec2-audio", "audio", ["import hf_ssl", "processor = AutoProcessor."]),
        ("BestRqForXVector", "best-rq", "audio", ["import hf_ssl", "feature_extractor = AutoFeatureExtractor."]),
        ("Data2Vec2VisionForPreTraining", "data2vec2-vision", "image", ["import hf_ssl", "= AutoImageProcessor."]),
        ("Data2VecVisionForImageClassification", "data2vec-vision", "image", ["image_processor(image, return"]),
        ("Data2VecTextForSequenceClassification", "data2vec-text", "text", ["tokenizer = AutoTokenizer."]),
        (
            "Data2VecTextForPreTraining",
            "data2vec-text",
            "text",
            ["from hf_ssl import Data2VecText", "tokenizer(text,"],
        ),
        ("Data2VecAudioForPreTraining", "data2vec-audio", "audio", ["import hf_ssl", "trust_remote_code=True"]),
    ],
)
def test_the_code_of_a_card_has_what_its_kind_needs(
    model_class: str, model_type: str, modality: str, lines: list[str]
) -> None:
    text = use_section(model_class, model_type, modality)
    for line in lines:
        assert line in text
    is_of_transformers = model_type.startswith("data2vec-") and not model_class.endswith("ForPreTraining")
    assert ("hf_ssl" not in text and "trust_remote_code" not in text) == is_of_transformers
