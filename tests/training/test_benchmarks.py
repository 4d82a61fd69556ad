# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The scripts behind figures of the docs run, and measure what they say."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from training_helpers import QUICK, SCRIPTS, load_script, write_recordings
from transformers import AutoModelForMaskedLM, AutoTokenizer, Wav2Vec2Config, Wav2Vec2FeatureExtractor

from hf_ssl import BestRqFeatureExtractor, BestRqForCTC, Data2Vec2AudioForPreTraining
from hf_ssl.health_and_probes import MEASURES
from hf_ssl.models import strided_convolution
from hf_ssl.report import REPORT_NAME
from hf_ssl.training.finetuning import build_vocabulary, make_processor
from hf_ssl.training.model_sizes import best_rq_config, data2vec2_audio_config


def test_wav2vec2_baseline_trains(tmp_path: Path) -> None:
    write_recordings(tmp_path / "data", count=8)
    script = load_script("benchmarks/pretrain_wav2vec2")
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    quantizer = {"codevector_dim": 8, "proj_codevector_dim": 8, "num_codevectors_per_group": 4, "num_negatives": 5}
    overrides = json.dumps(tiny | quantizer | {"conv_dim": [8] * 7, "mask_time_prob": 0.5, "mask_time_length": 2})
    arguments = ["--data", str(tmp_path / "data"), "--min_seconds", "0.1", "--output_dir", str(tmp_path / "out")]
    trainer = script.main([*arguments, *QUICK, "--config_overrides", overrides, "--max_steps", "4"])
    history = [entry for entry in trainer.state.log_history if "train_loss" in entry]
    assert 0.5 < history[0]["train_loss"] < 3  # log(6) = 1.8 for guesses, and the diversity of the codes
    assert trainer.model.quantizer.temperature == pytest.approx(0.5)
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert "wav2vec 2.0, speech: pre-training" in (tmp_path / "out" / REPORT_NAME).read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"has no use for --eval_data, --log_mel_on_device: leave out"):
        script.main([*arguments, *QUICK, "--log_mel_on_device", "true", "--eval_data", "HELD_OUT"])


def test_masked_language_model_baseline_trains(tmp_path: Path) -> None:
    words = np.random.default_rng(0).choice(["a", "fine", "day", "for", "two", "walks"], size=(200, 8))
    (tmp_path / "text.txt").write_text("\n".join(map(" ".join, words)), encoding="utf-8")
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    arguments = ["--data", str(tmp_path / "text.txt"), "--output_dir", str(tmp_path / "out"), "--block_size", "16"]
    arguments += ["--train_tokenizer", "280", "--config_overrides", json.dumps(tiny), "--logging_steps", "1"]
    trainer = load_script("benchmarks/pretrain_masked_lm").main([*arguments, *QUICK, "--max_steps", "3"])
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses == pytest.approx([np.log(280)] * 3, rel=0.1)  # guesses among the tokens, so far
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert model.config.vocab_size == len(tokenizer) == 280
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert "roberta: training" in (tmp_path / "out" / REPORT_NAME).read_text(encoding="utf-8")


def test_step_time_compares_in_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS / "benchmarks")
    best_rq_config("tiny").save_pretrained(tmp_path / "ours")
    BestRqFeatureExtractor().save_pretrained(tmp_path / "ours")
    Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=[8] * 7,
        codevector_dim=8,
        proj_codevector_dim=8,
        num_codevectors_per_group=4,
        num_negatives=5,
        mask_time_prob=0.5,
    ).save_pretrained(tmp_path / "theirs")
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path / "theirs")
    arguments = [str(tmp_path / "ours"), str(tmp_path / "theirs"), "--rounds", "2", "--seconds", "0.5"]
    ratio = load_script("benchmarks/step_time").main(arguments)
    assert ratio > 0
    assert f"median ratio {ratio:.1f}" in capsys.readouterr().out


def test_batches_of_seconds_pad_less_than_random_ones(tmp_path: Path) -> None:
    write_recordings(tmp_path / "data", count=24)
    arguments = ["--data", str(tmp_path / "data"), "--batch_seconds", "4", "--rounds", "1", "--model_size", "tiny"]
    results = load_script("benchmarks/batches").main(arguments)
    of_seconds, streamed, similar, random = results.values()
    assert of_seconds.padding < random.padding
    assert streamed.padding < random.padding
    assert streamed.most_seconds <= 4
    assert similar.padding < random.padding
    assert of_seconds.most_seconds <= 4
    assert all(result.speed > 0 for result in results.values())
    assert 0 <= of_seconds.filler < random.filler < 1


def test_filler_of_the_student_is_what_the_longest_visible_row_has_more(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load_script("benchmarks/batches")
    model = Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny"))
    masks = torch.zeros(2, 1, 49, dtype=torch.bool)
    masks[0, 0, :9] = masks[1, 0, :4] = True
    monkeypatch.setattr(model, "draw_masks", lambda lengths, length: masks)
    frames = model._get_feat_extract_output_lengths(torch.tensor([16_000, 8_000])).tolist()
    visible = [frames[0] - 9, frames[1] - 4]
    filler = script.student_filler(model, [[0, 1]], np.array([1.0, 0.5]))
    assert filler == pytest.approx(1 - sum(visible) / (2 * max(visible)))


def test_unit_costs_of_own_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recordings(tmp_path / "data", count=4)
    arguments = ["--data", str(tmp_path / "data"), "--clips", "3", "--rows", "2000", "--hours", "10"]
    results = load_script("benchmarks/unit_costs").main(arguments)
    formats = results["formats"]
    assert set(formats) == {"wav", "flac", "mp3", "ogg", "opus"}
    assert formats["wav"].megabytes_per_hour == pytest.approx(115.2, rel=0.02)  # 16 bits, 16 kHz
    assert all(0 < cost.megabytes_per_hour < 115.2 for name, cost in formats.items() if name not in ("wav", "ogg"))
    assert results["table"].table_bytes > 60
    assert results["checkpoint"].bytes_per_parameter == pytest.approx(16, rel=0.05)
    printed = capsys.readouterr().out
    assert printed.index("measured: ") < printed.index("extrapolated: ")


def test_streaming_measures_minute_by_minute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = load_script("benchmarks/streaming")
    model = BestRqForCTC(best_rq_config("tiny", vocab_size=31, chunk_size=32, left_context_chunks=1))
    model.save_pretrained(tmp_path / "model")
    feature_extractor = BestRqFeatureExtractor(normalization="none", top_db=None)
    make_processor(feature_extractor, build_vocabulary(["abcdefghijklmnopqrstuvwxyz"])).save_pretrained(
        tmp_path / "model"
    )
    first, second = script.main([str(tmp_path / "model"), "--minutes", "2", "--plot", str(tmp_path / "stream.png")])
    assert (first.number, second.number) == (1, 2)
    for minute in (first, second):
        assert 0 < minute.median <= minute.p99 <= minute.longest
        assert minute.real_time_factor > 0
        assert minute.process_mebibytes > 50
    assert first.cache_kibibytes == second.cache_kibibytes > 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == script.HEADER
    assert "median ms, first 1 min:" in printed
    assert (tmp_path / "stream.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_padding_in_targets_compares_all_settings(tmp_path: Path) -> None:
    script = load_script("benchmarks/padding_in_targets")
    accuracies = script.main(["--output_dir", str(tmp_path), "--steps", "4", "--seeds", "1", "2", "--hours", "0.03"])
    assert list(accuracies) == list(script.SETTINGS)
    assert all(len(values) == 2 for values in accuracies.values())


def test_picked_negatives_cost_less_and_lose_nothing() -> None:
    script = load_script("benchmarks/negatives_memory")
    figures = script.main(["--batch_size", "2", "--num_masked", "40", "--num_negatives", "30", "--size", "64"])
    assert figures["picked_loss"] == pytest.approx(figures["materialised_loss"], rel=1e-5)
    assert figures["picked_mib"] < figures["materialised_mib"] / 5


def test_micro_batch_statistics_of_aqc(tmp_path: Path) -> None:
    """The regression's gradient does not depend on micro-batches; the diversity of codes does."""
    write_recordings(tmp_path / "data", count=4)
    script = load_script("benchmarks/micro_batch_statistics")
    results = script.main(["--data", str(tmp_path / "data"), "--clips", "4", "--model_size", "tiny"])
    assert list(results) == list(script.SETTINGS)
    assert max(results["regression alone"].values()) < 1e-5
    assert results["regression, diversity, penalty"]["once more"] < 1e-5
    assert results["regression, diversity, penalty"]["4 parts"] > 1e-4
    with pytest.raises(ValueError, match="multiple of 4"):
        script.main(["--data", str(tmp_path / "data"), "--clips", "6"])


def test_cluster_mates_of_both_scopes_and_of_fewer_iterations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    for index in range(3):
        soundfile.write(tmp_path / f"{index}.wav", 0.1 * generator.standard_normal(72_000), 16_000)
    script = load_script("benchmarks/cluster_mates")
    monkeypatch.setattr(script, "FEWER_ITERATIONS", (1, 100))
    rows = script.main(["--data", str(tmp_path), "--batch_sizes", "2", "3"])
    scopes, iterations = rows[:4], rows[4:]
    assert [(row["scope"], row["batch_size"]) for row in scopes] == [
        (scope, size) for scope in ("utterance", "batch") for size in (2, 3)
    ]
    assert all(0 < row["cluster_mate_share"] < 1 for row in scopes)
    assert [row["iterations"] for row in iterations] == [1, 100]
    assert iterations[0]["judged_otherwise"] > 0
    assert iterations[0]["mates_missed"] > 0
    assert iterations[1]["judged_otherwise"] == iterations[1]["mates_missed"] == 0  # the same draws


def test_waveform_encoders_are_timed_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seconds", "0.2", "--channels", "8", "--rounds", "2", "--bf16", "--device", "cpu"]
    ratios = load_script("benchmarks/waveform_encoder").main(arguments)
    arms = ["transformers, float32", "ours, float32", "transformers, bfloat16", "ours, bfloat16"]
    assert list(ratios) == arms
    assert ratios["transformers, float32"] == 1
    printed = capsys.readouterr().out
    assert all(arm in printed for arm in arms)


def test_timed_waveform_encoder_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of seven layers the fast path is taken in ours, and in no layer of transformers'."""
    calls = []
    fast = strided_convolution.convolve_and_normalize
    monkeypatch.setattr(
        strided_convolution, "convolve_and_normalize", lambda *args, **kwargs: calls.append(1) or fast(*args, **kwargs)
    )
    counts = {}
    for arm in load_script("benchmarks/waveform_encoder").make_arms(8, False, "cpu"):
        calls.clear()
        arm.encoder(torch.randn(1, 800))
        counts[arm.name] = len(calls)
    assert counts == {"transformers, float32": 0, "ours, float32": 7}


def test_ways_of_attention_are_timed_side_by_side(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script("benchmarks/attention")
    monkeypatch.setattr(script, "SIZES", {"tiny": (2, 2, 5, 4)})
    script.main(["--rounds", "1"])
    printed = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[:2] for line in printed] == [
        ["tiny", dtype] for dtype in ("float32", "bfloat16") for _ in "123"
    ]
    assert all(float(line.split()[-2]) > 0 for line in printed)


def test_convolutions_over_frames_are_timed_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    script = load_script("benchmarks/frame_convolutions")
    script.SIZES["tiny"] = script.Size(2, 9, 8, 4, 3, 2)
    ratios = script.main(["--layers", "tiny", "--rounds", "2"])
    assert list(ratios) == ["tiny, float32", "tiny, bfloat16"]
    assert all(ratio > 0 for ratio in ratios.values())
    printed = capsys.readouterr().out
    assert all(f"{arm} " in printed for arm in ratios)


def test_label_free_measures_are_set_beside_probes(tmp_path, capsys):
    lines = []
    for model, offset in (("a", 0.01), ("b", 0.02), ("c", 0.03)):
        accuracies = [offset + depth / 10 for depth in (1, 2, 3)]
        constant = dict.fromkeys(MEASURES, 0.5)
        # One measure that rises with the depth but falls from model to model.
        layers = [
            constant | {"rankme": accuracy, "mean_share": depth - offset} for depth, accuracy in enumerate(accuracies)
        ]
        lines.append({"what": "health", "arm": model, "model": model, "layers": layers})
        probe = {
            "what": "probe",
            "arm": model,
            "model": model,
            "number": 0,
            "task": "classification",
            "method": "linear",
            "by_layer": accuracies,
        }
        lines.append(probe | {"data": "DIGITS", "column": "label"})
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    load_script("benchmarks/health_and_probes").main([str(path)])
    printed = capsys.readouterr().out
    assert "DIGITS, label, 3 models" in printed
    assert "| rankme | +1.00 | +1.00 | +1.00 |" in printed
    assert "| mean_share | +0.80 | +1.00 | -1.00 |" in printed
    assert "| isoscore | +nan | +nan | +nan |" in printed  # it never changes
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:2]))
    with pytest.raises(SystemExit, match="at least 3 models"):
        load_script("benchmarks/health_and_probes").main([str(path)])
