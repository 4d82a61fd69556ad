# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from pages import tables_of
from torch import nn

from hf_ssl.benchmarking.benchmark import Benchmark, BenchmarkConfig, TrainingStep, run_benchmark
from hf_ssl.benchmarking.gemm import gemm_flops_per_second
from hf_ssl.benchmarking.inference import compare_with_transformers, counterpart, format_inference
from hf_ssl.benchmarking.memory import peak_memory
from hf_ssl.benchmarking.phases import Stopwatch, watch
from hf_ssl.benchmarking.place import settle
from hf_ssl.benchmarking.table import (
    differences,
    format_benchmark,
    format_comparison,
    read_benchmark,
    write_benchmark,
)
from hf_ssl.cli import main
from hf_ssl.host_memory import resident_bytes
from hf_ssl.planning.recipes import load_recipe
from hf_ssl.planning.step_flops import StepFlops
from hf_ssl.planning.synthetic import make_batch
from hf_ssl.results import cpu_model, read_results
from hf_ssl.training.model_sizes import best_rq_config, data2vec2_audio_config, data2vec2_vision_config


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "# Global batch: 2 s of audio; must stay 4\nmodel_type: data2vec2-audio\nmodel_size: tiny\n"
        "min_seconds: 0.1\nmax_seconds: 0.5\nmax_steps: 10\nper_device_train_batch_size: 4\nuse_cpu: true\n"
    )
    return str(path)


def test_a_step_is_measured_whole_and_by_phase(recipe):
    benchmark = run_benchmark(BenchmarkConfig(recipe, rounds=2))
    assert (benchmark.model_type, benchmark.precision, benchmark.items) == ("data2vec2-audio", "float32", 4)
    assert (benchmark.amount, benchmark.unit) == (2.0, "seconds")
    assert len(benchmark.step_seconds) == 2
    parts = {"local_encoder", "context_encoder", "trunk", "decoder", "teacher", "backward", "optimizer"}
    assert parts | {"teacher's update", "loss and the rest"} <= set(benchmark.phases)
    assert all(seconds >= 0 for seconds in benchmark.phases.values())
    assert benchmark.flops > 1e6
    assert 0 < benchmark.utilisation < 1
    assert benchmark.peak_bytes > 2**20
    text = format_benchmark(benchmark)
    assert "2 s of audio" in text
    assert "local_encoder" in text


def test_length_batch_and_precision_can_be_chosen(recipe):
    benchmark = run_benchmark(BenchmarkConfig(recipe, items=1, seconds=0.25, precision="bfloat16", rounds=1))
    assert (benchmark.items, benchmark.amount, benchmark.precision) == (1, 0.25, "bfloat16")


def test_the_file_of_a_benchmark_can_be_compared_with(recipe, tmp_path, capsys):
    path = str(tmp_path / "before.json")
    assert main(["benchmark", recipe, "--rounds", "1", "--output", path]) == 0
    before = read_benchmark(path)
    assert main(["benchmark", recipe, "--rounds", "1", "--items", "2", "--compare", path]) == 0
    assert "not the same: items: 4 before, 2 now" in capsys.readouterr().out
    same = format_comparison(before, before)
    assert "step 1.00 times as fast, memory 1.00 times as much" in same
    assert "not the same" not in same
    write_benchmark(before, path)
    assert read_benchmark(path) == before


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ({"settings": {"layerdrop": "0"}}, "settings: {'layerdrop': '0'} before, {} now"),
        ({"compile": True}, "compile: True before, False now"),
        ({"attention": "eager"}, "attention: eager before, sdpa now"),
        ({"flops": 7}, "flops: 7 before, 2000 now"),
        ({"unit": "tokens"}, "unit: tokens before, seconds now"),
        ({"step_seconds": [1.0]}, "rounds: 1 before, 2 now"),
        ({"where": {"machine": "b", "torch": "2.0", "commit": "c"}}, "machine: b before, a now"),
        ({"where": {"machine": "a", "torch": "1.9", "commit": "c"}}, "torch: 1.9 before, 2.0 now"),
    ],
)
def test_other_work_and_other_machines_are_told_from_the_same(before, line):
    benchmark = Benchmark(
        recipe="recipe.yaml",
        model_type="best-rq",
        device="cpu",
        precision="float32",
        num_parameters=1000,
        items=2,
        amount=2.0,
        unit="seconds",
        step_seconds=[1.0, 1.0],
        phases={},
        flops=2000,
        peak_flops_per_second=1e12,
        peak_bytes=2**30,
        where={"machine": "a", "torch": "2.0", "commit": "c"},
        settings={},
        compile=False,
        attention="sdpa",
    )
    assert differences(benchmark, benchmark) == []
    assert differences(benchmark, replace(benchmark, **before)) == [line]


def test_what_cannot_be_compared_or_measured_is_an_error(recipe, tmp_path, capsys):
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.json").write_text("{")
    for name, message in (
        ("none.json", "there is no"),
        ("list.json", "was not written by"),
        ("broken.json", "no JSON"),
    ):
        assert main(["benchmark", recipe, "--compare", str(tmp_path / name)]) == 1
        assert message in capsys.readouterr().err
    assert main(["benchmark", recipe, "--rounds", "0"]) == 1
    assert "--rounds of at least 1" in capsys.readouterr().err
    images = Path(__file__).parents[2] / "training_scripts/recipes/data2vec2_vision_laptop.yaml"
    assert main(["benchmark", str(images), "--seconds", "2"]) == 1
    assert "--seconds is for recipes of speech" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("flags", [[], ["--against", "transformers"]])
def test_a_gpu_that_is_not_there_is_an_error(recipe, capsys, flags):
    assert main(["benchmark", recipe, "--device", "cuda", *flags]) == 1
    assert "one that torch can use here (cpu), got 'cuda'" in capsys.readouterr().err


def test_stages_are_watched_only_within_the_context(recipe):
    step = TrainingStep(load_recipe(recipe, {}), "cpu", "float32")
    stopwatch = Stopwatch("cpu")
    waveforms = torch.randn(2, 4000)
    with watch(step.model, stopwatch):
        step.model(input_values=waveforms)
    step.model.update_teacher()
    seconds = dict(stopwatch.seconds)
    assert seconds["teacher"] > 0
    step.model(input_values=waveforms)
    assert stopwatch.seconds == seconds
    assert "teacher_targets" not in vars(step.model)


@pytest.mark.parametrize(("limit", "expected"), [("0.5", 0.5), ("0.0", float("inf"))])
def test_a_step_clips_as_its_recipe_says_and_numbers_updates_of_the_teacher(recipe, monkeypatch, limit, expected):
    clipped, updates = [], []
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda _, max_norm: clipped.append(max_norm))
    planned = load_recipe(recipe, {"max_grad_norm": limit})
    step = TrainingStep(planned, "cpu", "float32")
    monkeypatch.setattr(step.model, "update_teacher", lambda number: updates.append(number))
    batch = make_batch(planned, planned.config, 1)
    assert all(torch.isfinite(step(batch)) for _ in range(2))
    assert (clipped, updates) == ([expected] * 2, [1, 2])
    TrainingStep(replace(planned, max_grad_norm=None), "cpu", "float32")(batch)
    assert clipped == [expected] * 2


def test_only_the_outer_of_nested_phases_counts():
    stopwatch = Stopwatch("cpu")
    with stopwatch.phase("outer"), stopwatch.phase("inner"):
        pass
    assert set(stopwatch.seconds) == {"outer"}


def test_operations_of_grouped_convolutions_are_those_of_their_groups():
    convolution = nn.Conv1d(8, 16, kernel_size=3, groups=4)
    inputs = torch.randn(2, 8, 12, requires_grad=True)
    with StepFlops(convolution) as counter:
        convolution(inputs).sum().backward()
    forward = 2 * (2 * 16 * 10) * (8 // 4 * 3)  # two per product and sum
    assert counter.flops == 3 * forward


def test_the_speed_of_matrix_products_and_memory_are_measured():
    assert gemm_flops_per_second("cpu", torch.float32) > 1e8
    before = resident_bytes()
    with peak_memory("cpu") as peak:
        block = torch.ones(2**26)
    assert peak.bytes >= before
    assert block.numel() == 2**26


def test_encoders_are_set_beside_those_of_transformers(recipe):
    arms = compare_with_transformers(BenchmarkConfig(recipe, rounds=1, items=1))
    assert [(arm.name, arm.attention) for arm in arms] == [
        ("Data2Vec2AudioModel", "eager"),
        ("Data2VecAudioModel", "eager"),
        ("Data2Vec2AudioModel", "sdpa"),
        ("Data2VecAudioModel", "sdpa"),
    ]
    text = format_inference(arms)
    assert "one item, latency (0.5 s of audio), float32, eager:" in text
    assert "ours " in text
    ours = data2vec2_audio_config("base")
    theirs = counterpart(ours)
    assert (theirs.hidden_size, theirs.num_hidden_layers) == (768, 12)
    assert list(theirs.conv_dim) == list(ours.conv_dim)
    assert counterpart(data2vec2_vision_config("base")).num_hidden_layers == 12  # two of ours are the prenet's


def test_the_conformer_is_set_beside_parakeets_of_equal_size(tmp_path):
    path = tmp_path / "best_rq.yaml"
    path.write_text("model_type: best-rq\nmodel_size: tiny\nmin_seconds: 0.2\nmax_seconds: 1.0\nmax_steps: 10\n")
    arms = compare_with_transformers(BenchmarkConfig(str(path), rounds=1, items=2, device="cpu"))
    assert [arm.name for arm in arms] == ["BestRqModel", "ParakeetEncoder"] * 2
    assert all(f"{arm.num_parameters / 1e6:.2f} M" in format_inference(arms) for arm in arms)
    ours = best_rq_config("base")
    theirs = counterpart(ours)
    assert (theirs.hidden_size, theirs.num_hidden_layers) == (ours.hidden_size, ours.num_hidden_layers)
    assert (theirs.conv_kernel_size, theirs.subsampling_factor, theirs.num_mel_bins) == (31, 4, 80)
    with pytest.raises(ValueError, match="none beside its plain layers"):
        counterpart(best_rq_config("tiny", encoder_type="transformer"))


@pytest.mark.parametrize("name", ["data2vec_audio_laptop", "data2vec_text_base", "data2vec_vision_laptop"])
def test_transformers_own_encoders_are_not_set_beside_themselves(name, capsys):
    recipe = Path(__file__).parents[2] / "training_scripts/recipes" / f"{name}.yaml"
    assert main(["benchmark", str(recipe), "--against", "transformers", "--device", "cpu"]) == 1
    assert "trains is transformers' own encoder: there is no other to set beside it" in capsys.readouterr().err


def test_encoders_are_compared_for_several_batches_in_both_precisions(recipe, tmp_path, capsys):
    path = tmp_path / "inference.json"
    flags = ["--curve", "items=1,2", "--precision", "both", "--seconds", "0.25", "--rounds", "1"]
    lines = tmp_path / "results.jsonl"
    lines.write_text('{"what": "before"}\n')
    files = ["--output", str(path), "--results", str(lines)]
    assert main(["benchmark", recipe, "--against", "transformers", *flags, *files]) == 0
    printed = capsys.readouterr().out
    assert "one item, latency (0.25 s of audio), float32, eager:" in printed
    assert "2 items (0.5 s of audio), bfloat16, sdpa:" in printed
    arms = json.loads(path.read_text())["arms"]
    settings = [(arm["items"], arm["precision"], arm["attention"]) for arm in arms[::2]]
    assert settings == [(n, p, a) for n in (1, 2) for p in ("float32", "bfloat16") for a in ("eager", "sdpa")]
    assert all(len(arm["seconds"]) == 1 for arm in arms)
    before, *results = read_results(lines)
    assert before == {"what": "before"}
    assert [(one["items"], one["precision"], one["attention"]) for one in results] == settings
    for one, ours, theirs in zip(results, arms[::2], arms[1::2], strict=True):
        ratio = theirs["seconds"][0] / ours["seconds"][0]
        assert (one["times_as_fast"], one["least"], one["most"]) == (ratio, ratio, ratio)
        assert (one["measured"], one["against"]) == (ours, theirs)
    assert {(one["recipe"], one["baseline"]) for one in results} == {(Path(recipe).stem, "Data2VecAudioModel")}
    assert {one["length"] for one in results} == {0.25}
    on_pages = [one | {"recipe": "best_rq_open_source_base", "length": 20.0} for one in results]  # in both tables
    tables = tables_of(on_pages, results[0]["what"], ["training_scripts/benchmarks/RESULTS.md"])
    for table, row in zip(tables, ("| best_rq_open_source_base |", "|"), strict=True):
        header, _, first, second = table.splitlines()
        assert header.endswith("| float32, eager | float32, sdpa | bfloat16, eager | bfloat16, sdpa |")
        assert first.startswith(f"{row} 1 | {results[0]['times_as_fast']:.2f} (")
        assert second.startswith(f"{row} 2 | {results[4]['times_as_fast']:.2f} (")
    assert results[0]["command"].startswith(f"hf-ssl benchmark {recipe} --against transformers --curve")


def test_a_file_of_an_earlier_version_can_be_compared_with(recipe, tmp_path):
    path = tmp_path / "before.json"
    benchmark = run_benchmark(BenchmarkConfig(recipe, rounds=1, phases=False))
    write_benchmark(benchmark, str(path))
    later = {"attention_flops", "rest_bytes", "data", "padding", "loader", "settings", "compile", "attention"}
    given = json.loads(path.read_text())
    assert later < set(given)
    path.write_text(json.dumps({name: value for name, value in given.items() if name not in later}))
    comparison = format_comparison(benchmark, read_benchmark(str(path)))
    assert "step 1.00 times as fast" in comparison
    assert "not the same: settings: unknown before, {} now" in comparison


def test_figures_are_json_that_others_can_read(recipe, tmp_path):
    write_benchmark(run_benchmark(BenchmarkConfig(recipe, rounds=1)), str(tmp_path / "b.json"))
    given = json.loads((tmp_path / "b.json").read_text())
    assert {"step_seconds", "phases", "flops", "peak_flops_per_second", "peak_bytes", "where"} <= set(given)
    assert {"version", "commit", "machine", "torch", "transformers", "allocator"} <= set(given["where"])


def test_a_cpu_beside_a_gpu_keeps_freed_memory_and_is_named(recipe, monkeypatch, capsys):
    kept = []
    monkeypatch.setattr("hf_ssl.benchmarking.place.keep_freed_memory", lambda: kept.append(True) or True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H100")
    # the optimizer of a CUDA build would ask the GPU, which is not there, for its stream
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    gpu = settle("cuda")
    assert (gpu["machine"], gpu["allocator"], kept) == ("NVIDIA H100", "torch's allocator of the GPU", [])
    place = settle("cpu")
    assert place["machine"].startswith("CPU (")
    assert (place["cpu"], place["allocator"], kept) == (cpu_model(), "freed memory kept", [True])
    for command in ([], ["--against", "transformers"]):
        assert main(["benchmark", recipe, "--rounds", "1", "--items", "1", "--device", "cpu", *command]) == 0
        printed = capsys.readouterr().out
        assert f"torch {torch.__version__}, transformers {transformers.__version__}, freed memory kept" in printed
        assert "NVIDIA" not in printed


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 GB")],
)
def test_a_batch_that_does_not_fit_is_told_with_what_to_do(recipe, monkeypatch, capsys, error):
    def run_out(*_):
        raise error

    monkeypatch.setattr("hf_ssl.benchmarking.command.run_benchmark", run_out)
    assert main(["benchmark", recipe, "--items", "4096"]) == 1
    printed = capsys.readouterr().err
    assert f"A batch of 4096 items does not fit into memory ({error})" in printed
    assert "Take fewer --items" in printed
    monkeypatch.setattr("hf_ssl.benchmarking.inference._run_in_turn", run_out)
    assert main(["benchmark", recipe, "--items", "1", "--against", "transformers"]) == 1
    assert f"1 items do not fit into memory ({error})" in capsys.readouterr().err


def test_other_errors_are_not_taken_for_a_lack_of_memory(recipe, monkeypatch):
    def fail(*_):
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr("hf_ssl.benchmarking.command.run_benchmark", fail)
    with pytest.raises(RuntimeError, match="sizes do not match"):
        main(["benchmark", recipe])
