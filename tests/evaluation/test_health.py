# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl health` from the command line, on every modality, and its table."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor, set_seed

from hf_ssl import BestRqFeatureExtractor, BestRqForPreTraining, BestRqModel, Data2VecAqcForPreTraining, __version__
from hf_ssl.cli import main
from hf_ssl.evaluation.codebooks import CodebookHealth, load_quantizing_model
from hf_ssl.evaluation.encoders import load_frozen_encoder
from hf_ssl.evaluation.health import ModelHealth, measure_layers
from hf_ssl.evaluation.health_table import health_table, in_words
from hf_ssl.evaluation.items import LoadedClip, Text, TokenBlock, clips_of
from hf_ssl.evaluation.representation_health import RepresentationHealth, measure_health
from hf_ssl.evaluation.unlabelled import spread_rows
from hf_ssl.training.model_sizes import best_rq_config, data2vec_aqc_config
from hf_ssl.weights import weights_sha256


def health(folder: Path, *arguments: Any) -> list[dict[str, Any]]:
    """The results that the command writes."""
    assert main(["health", *map(str, arguments), "--results", str(folder / "r.jsonl")]) == 0
    return [json.loads(line) for line in (folder / "r.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def best_rq(tmp_path: Path) -> Path:
    set_seed(0)
    BestRqForPreTraining(best_rq_config("tiny")).save_pretrained(tmp_path / "best_rq")
    BestRqFeatureExtractor().save_pretrained(tmp_path / "best_rq")
    return tmp_path / "best_rq"


def test_speech(
    wav2vec2: Path, best_rq: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = health(tmp_path, wav2vec2, best_rq, "--data", recordings, "--untrained", "--max_items", 4, "--by_layer")
    assert [(line["arm"], len(line["layers"])) for line in results] == [
        (str(wav2vec2), 3), (f"{wav2vec2}, untrained", 3), (str(best_rq), 3), (f"{best_rq}, untrained", 3),
    ]  # fmt: skip
    for line in results:
        assert (line["what"], line["version"], line["num_items"]) == ("health", __version__, 4)
        assert line["settings"] == {}
        is_untrained = line["arm"].endswith(", untrained")
        assert line["weights_sha256"] == (None if is_untrained else weights_sha256(line["model"]))
        assert line["command"].startswith("hf-ssl health")
        assert all(1 <= layer["rankme"] <= layer["feature_size"] for layer in line["layers"])
    assert results[0]["codebook"] is results[1]["codebook"] is None
    codebook = results[2]["codebook"]
    assert codebook["codebook_size"] == best_rq_config("tiny").codebook_size
    assert 1 <= codebook["codebook_perplexity"] <= codebook["codebook_size"] * codebook["codebook_usage"]
    printed = capsys.readouterr().out
    assert "4 items" in printed
    assert "4 of 8, spread evenly" in printed
    assert len([line for line in printed.splitlines() if line.startswith(f"{wav2vec2}  ")]) == 3
    assert "of the quantizer's" in printed
    assert "no accuracy" in printed


def test_the_same_clips_give_the_same_figures_as_the_functions(
    wav2vec2: Path, recordings: Path, tmp_path: Path
) -> None:
    from hf_ssl.data.skipped import SkippedFiles
    from hf_ssl.data.sources import load_audio_sources

    (line,) = health(tmp_path, wav2vec2, "--data", recordings, "--max_seconds", 19)
    assert line["settings"] == {"max_seconds": 19.0}
    table = load_audio_sources([str(recordings)], min_seconds=0.5, max_seconds=20, skipped=SkippedFiles())
    states = list(load_frozen_encoder(str(wav2vec2)).hidden_states(clips_of(table)))
    expected = measure_health([clip[2] for clip in states])
    assert RepresentationHealth(**line["layers"][2]) == expected


def test_images(vit: Path, images: Path, tmp_path: Path) -> None:
    (line,) = health(tmp_path, vit, "--data", images)
    assert [layer["num_vectors"] for layer in line["layers"]] == [8 * 16] * 3


def test_texts(roberta: Path, texts: Path, tmp_path: Path) -> None:
    (line,) = health(tmp_path, roberta, "--data", texts / "train.csv", "--max_items", 7)
    assert line["num_items"] == 7


def test_codes_of_data2vec_aqc(recordings: Path, tmp_path: Path) -> None:
    set_seed(0)
    config = data2vec_aqc_config("tiny")
    Data2VecAqcForPreTraining(config).save_pretrained(tmp_path / "aqc")
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "aqc")
    (line,) = health(tmp_path, tmp_path / "aqc", "--data", recordings)
    assert line["codebook"]["codebook_size"] == config.num_codevectors_per_group
    assert line["codebook"]["num_codes"] == line["layers"][0]["num_vectors"]
    assert 0 < line["codebook"]["codebook_usage"] <= 1


def test_a_model_without_its_quantizer_has_no_codes(tmp_path: Path, wav2vec2: Path) -> None:
    BestRqModel(best_rq_config("tiny")).save_pretrained(tmp_path / "encoder")
    assert load_quantizing_model(str(tmp_path / "encoder"), torch.device("cpu")) is None
    assert load_quantizing_model(str(wav2vec2), torch.device("cpu")) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max_items", "1"], "at least 2 items"),
        (["--data", "nowhere/else.wav"], "does not exist"),
        (["--batch_size", "0"], "--batch_size of at least 1"),
        (["--device", "gpu9"], "got 'gpu9'"),
        (["--results", "no/such/folder/r.jsonl"], "there is no folder no/such/folder"),
    ],
)
def test_what_cannot_be_used(
    wav2vec2: Path, recordings: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["health", str(wav2vec2), "--data", str(recordings), *arguments]) == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_models_of_two_modalities(
    wav2vec2: Path, vit: Path, recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["health", str(wav2vec2), str(vit), "--data", str(recordings)]) == 1
    assert "Expected models of speech only" in capsys.readouterr().err


def test_tokens_are_measured_as_their_text_is(roberta: Path) -> None:
    encoder = load_frozen_encoder(str(roberta))
    block = TokenBlock(tuple(encoder.processor("red green blue")["input_ids"]))
    of_text, of_block = measure_layers(encoder, [Text("red green blue")]), measure_layers(encoder, [block])
    assert of_text == of_block
    assert of_block[0].num_vectors == 3
    with pytest.raises(ValueError, match="only marks of beginning and end"):
        encoder.prepare(TokenBlock((0, 2)))


def test_a_loaded_clip_has_its_rate() -> None:
    clip = LoadedClip(torch.zeros(10).numpy(), 16_000)
    assert len(clip.read(16_000)) == 10
    with pytest.raises(ValueError, match="Expected a clip at 8000 Hz, got one at 16000 Hz"):
        clip.read(8_000)


HEALTHY = RepresentationHealth(40.0, 0.7, 0.3, 0.1, 0.2, 0.8, 0.05, 10, 1000, 64)


def words(**changes: Any) -> str:
    return in_words([ModelHealth("ours", "ours", [HEALTHY, replace(HEALTHY, **changes)])])


def test_words_for_what_is_wrong() -> None:
    assert "40 of 64 possible directions" in words()
    assert "20% lies between items and 80% within" in words()
    for alarm in ("NEXT TO NOTHING", "POSITION ALONE", "hardly differ", "more items", "diverged"):
        assert alarm not in words()
    assert "NEXT TO NOTHING" in words(rankme=1.2)
    assert "POSITION ALONE" in words(position_share=0.9)
    assert "hardly differ" in words(mean_share=0.99)
    assert "more items" in words(num_vectors=100)
    assert "diverged" in words(rankme=float("nan"))


def test_words_for_codes() -> None:
    layers = [HEALTHY]
    few = in_words([ModelHealth("ours", "ours", layers, CodebookHealth(0.01, 3.0, 1000, 5000))])
    many = in_words([ModelHealth("ours", "ours", layers, CodebookHealth(0.9, 500.0, 1000, 5000))])
    assert "as good as 3 equally frequent ones" in few
    assert "THAT IS FEW" in few
    assert "THAT IS FEW" not in many


def test_the_table_has_the_last_layer_or_all() -> None:
    measured = [ModelHealth("ours", "ours", [HEALTHY, replace(HEALTHY, rankme=7.0)])]
    assert "40.0" not in health_table(measured, by_layer=False)
    assert "40.0" in health_table(measured, by_layer=True)


def test_rows_are_spread() -> None:
    assert spread_rows(5, 10) == [0, 1, 2, 3, 4]
    assert spread_rows(101, 5) == [0, 25, 50, 75, 100]
