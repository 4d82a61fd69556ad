# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Steps beside the originals' code: how processes take turns, and what is made of their times. Small programs stand in
for the originals."""

import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from pages import tables_of
from training_helpers import SCRIPTS, load_script

from hf_ssl.results import cpu_model, read_results

# Takes steps of as many seconds as given, times the number of the step, and notes down that it was its turn.
WORKER = """
import json, sys
name, seconds, log = sys.argv[1], float(sys.argv[2]), sys.argv[3]
answer = lambda values: print(json.dumps(values), flush=True)
answer({"torch": "2.0", "threads": 1, "num_parameters": 12345})
for number, line in enumerate(sys.stdin, start=1):
    if line.strip() == "end":
        answer({"peak_bytes": int(seconds * 2**30)})
        break
    open(log, "a").write(name)
    answer({"seconds": seconds * number, "loss": number / 2})
"""

SERVER = """
from step_protocol import serve

def make_step():
    print("a library says something")
    return lambda: print("and again") or 0.25, 7

serve(make_step, "cpu")
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS / "benchmarks")
    return load_script("benchmarks/beside_originals")


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    path = tmp_path / "worker.py"
    path.write_text(WORKER)
    return path


def make_clone(folder: Path) -> str:
    """A repository of one file; gives its commit."""
    folder.mkdir(parents=True)
    (folder / "model.py").write_text("pass\n")
    git = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for order in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "First"]):
        subprocess.run([*git, *order], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def test_arms_take_turns_and_warm_up_does_not_count(script: ModuleType, worker: Path, tmp_path: Path) -> None:
    original, ours = script.Arm("original", "float32"), script.Arm("ours", "float32")
    log = tmp_path / "turns"
    commands = {
        original: [sys.executable, str(worker), "a", "2.0", str(log)],
        ours: [sys.executable, str(worker), "b", "0.5", str(log)],
    }
    measured = script.measure(commands, os.environ, 3)
    assert log.read_text() == "ab" * 5
    assert measured[original].seconds == [6.0, 8.0, 10.0]
    assert measured[ours].seconds == [1.5, 2.0, 2.5]
    assert measured[ours].loss == 2.5
    assert measured[original].peak_bytes == 2 * 2**30
    assert measured[ours].about["num_parameters"] == 12345


def test_protocol_is_not_disturbed_by_what_libraries_print(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "server.py"
    path.write_text(SERVER)
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS / "benchmarks")}
    with script.Worker([sys.executable, str(path)], environment) as one:
        assert (one.about["num_parameters"], one.about["device"]) == (7, "cpu")
        seconds, loss = one.step()
        assert 0 <= seconds < 1
        assert loss == 0.25
        assert 2**24 < one.end() < 2**34


def test_worker_that_ends_says_why(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "worker.py"
    path.write_text("raise ImportError('no such original')")
    with pytest.raises(RuntimeError, match=r"(?s)worker\.py ended with status 1.*no such original"):
        script.Worker([sys.executable, str(path)], os.environ)


def test_worker_that_ends_between_steps_says_why(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "worker.py"
    path.write_text("print('{}', flush=True)\ninput()\nraise MemoryError('too large')")
    with (
        script.Worker([sys.executable, str(path)], os.environ) as one,
        pytest.raises(RuntimeError, match="MemoryError: too large"),
    ):
        one.step()


def test_ratios_are_of_rounds_and_table_has_them(script: ModuleType) -> None:
    original, ours = script.Arm("original", "float32"), script.Arm("ours", "bfloat16")
    measured = {
        original: script.Measured([10.0, 12.0, 30.0], 2.5, 8 * 2**30, {}),
        ours: script.Measured([5.0, 3.0, 10.0], 2.25, 2 * 2**30, {}),
    }
    (comparison,) = script.compare("best-rq", measured)
    assert comparison.ratios == [2.0, 4.0, 3.0]
    assert comparison.memory_share == 0.25
    line = "| best-rq | ours, bfloat16 | 5.00 | original, float32 | 12.00 | 3.00 (2.00 to 4.00) | 2.00 | 8.00 | 0.25 |"
    assert script.table([comparison]).splitlines()[2] == f"{line} 2.25 | 2.5 |"


@pytest.mark.parametrize(
    ("precisions", "together", "expected"),
    [
        (["float32"], False, ["o32 u32"]),
        (["bfloat16"], False, ["o32 o16", "o32 u16", "o16 u16"]),
        (["float32", "bfloat16"], False, ["o32 u32", "o32 o16", "o32 u16", "o16 u16"]),
        (["float32", "bfloat16"], True, ["o32 u32 o16 u16"]),
    ],
)
def test_runs_have_every_pair(script: ModuleType, precisions: list[str], together: bool, expected: list[str]) -> None:
    short = {
        script.Arm(side, precision): letter + digits
        for side, letter in (("original", "o"), ("ours", "u"))
        for precision, digits in (("float32", "32"), ("bfloat16", "16"))
    }
    assert [" ".join(short[arm] for arm in arms) for arms in script.runs("best-rq", precisions, together)] == expected


def test_code_that_stops_under_autocast_is_not_run_so(script: ModuleType) -> None:
    (arms,) = script.runs("data2vec-aqc", ["float32", "bfloat16"], True)
    assert [str(arm) for arm in arms] == ["original, float32", "ours, float32", "ours, bfloat16"]


def test_all_together_are_compared_as_in_pairs(script: ModuleType) -> None:
    (arms,) = script.runs("best-rq", ["float32", "bfloat16"], True)
    measured = {arm: script.Measured([1.0], 1.0, 1, {}) for arm in arms}
    compared = [(one.baseline, one.arm) for one in script.compare("best-rq", measured)]
    assert compared == [tuple(pair) for pair in script.runs("best-rq", ["float32", "bfloat16"], False)]


def test_clones_are_named_with_what_is_wrong_with_them(script: ModuleType, tmp_path: Path) -> None:
    commit = make_clone(tmp_path / "fairseq")
    assert script.clone_state(tmp_path, "fairseq", commit) == f"fairseq {commit[:12]}"
    (tmp_path / "fairseq" / "built.so").write_text("not tracked")
    assert script.clone_state(tmp_path, "fairseq", commit) == f"fairseq {commit[:12]}"
    (tmp_path / "fairseq" / "model.py").write_text("changed\n")
    other = "0" * 40
    expected = f"fairseq {commit[:12]} (not {other[:12]}, files changed)"
    assert script.clone_state(tmp_path, "fairseq", other) == expected


def test_missing_clone_is_asked_for(script: ModuleType, tmp_path: Path) -> None:
    arguments = ["--repositories", str(tmp_path), "--original_python", sys.executable, "--methods", "best-rq"]
    with pytest.raises(
        SystemExit, match=r"Expected a git clone of speechbrain \(commit 9c826ef3937b\) in .*speechbrain"
    ):
        script.main(arguments)


def test_unusable_arguments(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--original_python", str(tmp_path / "python")], "is no program that can be started"),
        (["--original_python", sys.executable, "--rounds", "0"], "--rounds must be at least 1, got 0"),
        (["--original_python", sys.executable, "--results", str(tmp_path)], "Expected --results to name a file"),
    ):
        with pytest.raises(SystemExit, match="2"):
            script.main(["--repositories", str(tmp_path), *arguments])
        assert message in capsys.readouterr().err


def test_figures_are_printed_and_written(
    script: ModuleType,
    worker: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commit = make_clone(tmp_path / "speechbrain")
    seconds = {"original": "3.0", "ours": "1.0"}
    monkeypatch.setattr(
        script,
        "worker_command",
        lambda method, arm, arguments: [sys.executable, str(worker), "a", seconds[arm.side], str(tmp_path / "turns")],
    )
    arguments = ["--repositories", str(tmp_path), "--original_python", sys.executable, "--methods", "best-rq"]
    script.main([*arguments, "--rounds", "2", "--results", str(tmp_path / "figures.jsonl")])
    printed = capsys.readouterr().out
    assert "MALLOC_MMAP_MAX_=0" in printed
    assert f"speechbrain {commit[:12]} (not 9c826ef3937b)" in printed
    assert "| best-rq | ours, float32 | 3.50 | original, float32 | 10.50 | 3.00 (3.00 to 3.00) |" in printed
    (result,) = read_results(tmp_path / "figures.jsonl")
    assert result["times_as_fast"] == pytest.approx(3)
    assert result["memory_share"] == pytest.approx(1 / 3)
    assert (result["least"], result["most"]) == pytest.approx((3, 3))
    assert (result["seconds"], result["baseline_seconds"], result["peak_gib"]) == (3.5, 10.5, 1.0)
    assert result["cpu"] == cpu_model()
    assert result["measured"]["seconds"] == [3.0, 4.0]
    assert result["original"].startswith(f"speechbrain {commit[:12]}")
    (summary,) = tables_of([result], result["what"], ["README.md"])
    assert "| BEST-RQ | 3.00 (3.00 to 3.00); 0.33 |" in summary
    details = tables_of([result], result["what"], ["training_scripts/benchmarks/RESULTS.md"])
    assert details
    assert all("| 3.5 | 10.5 | 3.00 (3.00 to 3.00) | 1.0 | 0.33 |" in table for table in details)
    settings = result["settings"]
    assert (settings["items"], settings["seconds"], settings["threads"]) == (2, 10.0, 1)
    assert settings["flops_per_second"]["float32"] > 1e6


def test_readings_of_a_gpu_wait_for_it_and_are_of_its_memory(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = load_script("benchmarks/step_protocol")
    waited = []
    monkeypatch.setattr(protocol.torch.cuda, "synchronize", lambda: waited.append(True))
    monkeypatch.setattr(protocol.torch.cuda, "max_memory_allocated", lambda: 12345)
    assert protocol.now("cpu") <= protocol.now("cuda")
    assert waited == [True]
    assert protocol.peak_bytes("cuda") == 12345 < protocol.peak_bytes("cpu")


def test_a_gpu_is_given_to_both_sides_and_named(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clone(tmp_path / "speechbrain")
    started = []

    def measure(commands: dict, environment: object, rounds: int) -> dict:
        started.extend(commands.values())
        about = {"num_parameters": 7, "torch": "2.0", "device": "NVIDIA H100"}
        return {arm: script.Measured([1.0], 0.5, 2**30, about) for arm in commands}

    monkeypatch.setattr(script, "measure", measure)
    monkeypatch.setattr(script, "usable_device", lambda device: device)
    monkeypatch.setattr(script, "gemm_flops_per_second", lambda device, dtype: {"cuda": 1e12}[device])
    monkeypatch.setattr(script, "describe_machine", lambda device: {"cuda": "NVIDIA H100"}[device])
    arguments = ["--repositories", str(tmp_path), "--original_python", sys.executable, "--methods", "best-rq"]
    script.main([*arguments, "--device", "cuda", "--results", str(tmp_path / "figures.jsonl")])
    assert capsys.readouterr().out.startswith("NVIDIA H100; 1 threads")
    assert [command[-2:] for command in started] == [["--device", "cuda"]] * 2
    (result,) = read_results(tmp_path / "figures.jsonl")
    assert result["gpu"] == "NVIDIA H100"
    assert "cpu" not in result
    assert result["settings"]["device"] == "cuda"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        script.main(["--repositories", ".", "--original_python", sys.executable, "--device", "cuda"])
    assert "got 'cuda'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "hidden_size", "num_hidden_layers"),
    [
        ("best-rq", 576, 12),
        ("data2vec-aqc", 768, 12),
        ("data2vec2-audio", 768, 12),
        ("data2vec2-vision", 768, 10),
    ],
)
def test_our_side_is_the_published_base_model(
    script: ModuleType, method: str, hidden_size: int, num_hidden_layers: int
) -> None:
    recipe = load_script("benchmarks/our_steps").read_recipe(method, 1.5)
    assert (recipe.config.hidden_size, recipe.config.num_hidden_layers) == (hidden_size, num_hidden_layers)
    assert recipe.longest_item == (1.0 if method == "data2vec2-vision" else 1.5)
    assert method != "best-rq" or recipe.config.dynamic_chunk_prob == 0


def test_our_steps_learn_from_new_masks(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = load_script("benchmarks/our_steps")
    monkeypatch.setitem(steps.RECIPES, "best-rq", "best_rq_laptop")
    drawn = []
    make_collator = steps.make_collator

    def watched(*arguments: object) -> object:
        collator = make_collator(*arguments)
        return lambda items: drawn.append(collator(items)) or drawn[-1]

    monkeypatch.setattr(steps, "make_collator", watched)
    namespace = load_script("benchmarks/beside_originals").argparse.Namespace
    step, num_parameters = steps.make_step(
        namespace(method="best-rq", precision="float32", device="cpu", items=1, seconds=1.0)
    )
    assert num_parameters > 0
    assert all(math.isfinite(step()) for _ in range(2))
    first, second = (batch["mask_time_indices"] for batch in drawn)
    assert first.sum() > 0
    assert not first.equal(second)


def test_original_asks_for_its_repository(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = load_script("benchmarks/original_steps")
    assert set(steps.MAKERS) == set(script.ORIGINALS)
    with pytest.raises(SystemExit, match="2"):
        steps.main(["--method", "best-rq", "--repository", str(tmp_path / "nowhere")])
    assert "nowhere is no folder" in capsys.readouterr().err
