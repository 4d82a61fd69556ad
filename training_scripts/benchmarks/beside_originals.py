#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Whole training steps, ours beside the originals' code, which is run as it is.

    python training_scripts/benchmarks/beside_originals.py --repositories CLONES \
        --original_python ENVIRONMENT/bin/python --methods data2vec2-audio best-rq --precisions float32 bfloat16

CLONES has fairseq (facebookresearch, commit 3d262bb), data2vec-aqc (Speech-Lab-IITM, c80cc99) and speechbrain
(9c826ef), as far as the methods need them. original_steps.py says what the ENVIRONMENT needs, and calls their code.

A step is a batch of noise, all clips of one length: masks, drawn by each side's own rule, forward pass in training
mode with the published dropout, backward pass, optimizer and teacher. The models are the base models as published.
Every side is a process of its own under the same settings of allocator and threads; they take turns, step by step,
after two rounds that are not counted, and only one computes at a time. Ratios are medians over rounds.

A process keeps its highest memory until it ends. So by default two are alive at a time, one such pair per line of the
table; `--together` runs all of a method's at once, which takes less time and more memory. `taskset -c 0` before the
command keeps all of them on one core.

With `--device cuda` both sides compute on a GPU, to which either moves its batch within the step; memory is then that
of tensors on the GPU. That was never run yet.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from step_worker import Worker

from hf_ssl.benchmarking.gemm import gemm_flops_per_second
from hf_ssl.devices import usable_device
from hf_ssl.output_files import check_writable
from hf_ssl.replication.table import markdown_rows
from hf_ssl.results import append_result, cpu_model, describe_machine

HERE = Path(__file__).parent
WARM_UP = 2
# Folder and commit of the original's code.
ORIGINALS = {
    "best-rq": ("speechbrain", "9c826ef3937bac885c8a6ca86c6889a30f256fb5"),
    "data2vec-aqc": ("data2vec-aqc", "c80cc996669e12c9c32201a9ff1515300e64b13a"),
    "data2vec2-audio": ("fairseq", "3d262bb25690e4eb2e7d3c1309b1e9c406ca4b99"),
    "data2vec2-vision": ("fairseq", "3d262bb25690e4eb2e7d3c1309b1e9c406ca4b99"),
}
# Whose code stops under autocast: data2vec-aqc puts a float32 mask embedding into bfloat16 features.
NO_AUTOCAST = ("data2vec-aqc",)
# glibc keeps freed memory, as our training scripts tell it to. By default every large tensor is new memory, filled
# with zeros page by page, which makes the originals slower still.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_TOP_PAD_": "1000000000"}
HEADER = [
    "method",
    "measured",
    "s",
    "against",
    "s",
    "times as fast (least to most)",
    "GiB",
    "GiB",
    "share of memory",
    "loss",
    "loss",
]


class Arm(NamedTuple):
    """Whose code, and in which precision."""

    side: str
    precision: str

    def __str__(self) -> str:
        return f"{self.side}, {self.precision}"


@dataclass(frozen=True)
class Measured:
    """Of one arm in one run.

    Attributes:
        seconds: Of every step that counts.
        loss: Of the last.
        peak_bytes: Highest memory: resident of the process, or of tensors on the GPU.
        about: Versions, threads, number of parameters.
    """

    seconds: list[float]
    loss: float
    peak_bytes: int
    about: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Two arms that took turns in one run."""

    method: str
    arm: Arm
    baseline: Arm
    measured: Measured
    against: Measured

    @property
    def ratios(self) -> list[float]:
        """Of every round: how many times as fast the arm was."""
        return [theirs / ours for ours, theirs in zip(self.measured.seconds, self.against.seconds, strict=True)]

    @property
    def memory_share(self) -> float:
        return self.measured.peak_bytes / self.against.peak_bytes


def main(argv: Sequence[str] | None = None) -> list[Comparison]:
    arguments = parse(argv)
    states = clone_states(arguments)
    environment = os.environ | ALLOCATOR | {"OMP_NUM_THREADS": str(arguments.threads)}
    speeds = product_speeds(arguments.threads, arguments.device)
    print(describe(arguments, speeds))
    settings = {name: vars(arguments)[name] for name in ("items", "seconds", "threads", "device")}
    settings |= {"environment": ALLOCATOR, "flops_per_second": speeds}
    device = ["--device", arguments.device]
    comparisons = []
    for method, state in states.items():
        for arms in runs(method, arguments.precisions, arguments.together):
            commands = {arm: [*worker_command(method, arm, arguments), *device] for arm in arms}
            measured = measure(commands, environment, arguments.rounds)
            found = compare(method, measured)
            comparisons += found
            print_run(found, state)
            if arguments.results is not None:
                write(arguments.results, found, state, settings, sys.argv if argv is None else [__file__, *argv])
    print()
    print(table(comparisons))
    return comparisons


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repositories", type=Path, required=True, metavar="CLONES", help="folder of the clones")
    parser.add_argument("--original_python", required=True, metavar="PYTHON", help="of the originals' environment")
    parser.add_argument("--methods", nargs="+", choices=sorted(ORIGINALS), default=sorted(ORIGINALS))
    parser.add_argument(
        "--precisions", nargs="+", choices=("float32", "bfloat16"), default=["float32"], help="bfloat16: autocast"
    )
    parser.add_argument("--rounds", type=int, default=5, help="that count (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument("--items", type=int, default=2, help="clips or images of a batch (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a clip (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of every process (default: %(default)s)")
    parser.add_argument("--together", action="store_true", help="all of a method's processes alive at once")
    parser.add_argument("--results", metavar="FILE", help="JSON lines to append the figures to")
    arguments = parser.parse_args(argv)
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {arguments.rounds}")
    check_places(parser, arguments)
    try:
        usable_device(arguments.device)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def check_places(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Ends the program where what is needed after minutes is not there."""
    if shutil.which(arguments.original_python) is None:
        parser.error(f"--original_python {arguments.original_python} is no program that can be started")
    try:
        check_writable(arguments.results, "--results")
    except ValueError as error:
        parser.error(str(error))


def clone_states(arguments: argparse.Namespace) -> dict[str, str]:
    """What is measured against, by method; ends the program where a clone is missing."""
    try:
        return {method: clone_state(arguments.repositories, *ORIGINALS[method]) for method in arguments.methods}
    except ValueError as error:
        raise SystemExit(f"{Path(sys.argv[0]).name}: {error}") from error


def clone_state(repositories: Path, name: str, expected: str) -> str:
    """The commit of a clone, and whether it is not what the figures should be of.

    Raises:
        ValueError: There is no clone.
    """
    folder = repositories / name
    if not (folder / ".git").exists():
        raise ValueError(f"Expected a git clone of {name} (commit {expected[:12]}) in {folder}, found none.")
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    notes = [f"not {expected[:12]}"] * (commit != expected) + ["files changed"] * bool(changed)
    return f"{name} {commit[:12]}" + (f" ({', '.join(notes)})" if notes else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"git cannot read {folder}: {done.stderr.strip()}")
    return done.stdout.strip()


def product_speeds(threads: int, device: str) -> dict[str, float]:
    """Floating-point operations per second of large matrix products, by precision."""
    torch.set_num_threads(threads)
    return {
        "float32": gemm_flops_per_second(device, torch.float32),
        "bfloat16": gemm_flops_per_second(device, torch.bfloat16),
    }


def describe(arguments: argparse.Namespace, speeds: Mapping[str, float]) -> str:
    """Machine, its speed, and settings."""
    allocator = " ".join(f"{name}={value}" for name, value in ALLOCATOR.items())
    products = ", ".join(f"{speed / 1e9:,.0f} x 10^9/s in {precision}" for precision, speed in speeds.items())
    return (
        f"{device_of(arguments.device)}; {arguments.threads} threads; matrix products at {products}\n{allocator}\n"
        f"{arguments.items} clips of {arguments.seconds:g} s or images of 224 x 224; {arguments.rounds} rounds after "
        f"{WARM_UP}"
    )


def device_of(device: str) -> str:
    """The model of the processor or GPU that computes."""
    return cpu_model() if device == "cpu" else describe_machine(device)


def runs(method: str, precisions: Sequence[str], together: bool) -> list[list[Arm]]:
    """Which arms take turns: every pair that is compared, or all together."""
    pairs = [pair for pair in comparable(method) if {arm.precision for arm in pair} <= {"float32", *precisions}]
    if "float32" not in precisions:
        pairs = [pair for pair in pairs if pair[1].precision != "float32"]
    if not together:
        return [list(pair) for pair in pairs]
    return [list(dict.fromkeys(arm for pair in pairs for arm in pair))]


def comparable(method: str) -> list[tuple[Arm, Arm]]:
    """Baselines and what is compared with them."""
    original, original_autocast = Arm("original", "float32"), Arm("original", "bfloat16")
    ours, ours_autocast = Arm("ours", "float32"), Arm("ours", "bfloat16")
    pairs = [
        (original, ours),
        (original, original_autocast),
        (original, ours_autocast),
        (original_autocast, ours_autocast),
    ]
    return [pair for pair in pairs if method not in NO_AUTOCAST or original_autocast not in pair]


def worker_command(method: str, arm: Arm, arguments: argparse.Namespace) -> list[str]:
    batch = ["--items", str(arguments.items), "--seconds", str(arguments.seconds)]
    common = ["--method", method, "--precision", arm.precision, *batch]
    if arm.side == "ours":
        return [sys.executable, str(HERE / "our_steps.py"), *common]
    repository = arguments.repositories / ORIGINALS[method][0]
    script = str(HERE / "original_steps.py")
    return [arguments.original_python, script, *common, "--repository", str(repository.resolve())]


def measure(commands: Mapping[Arm, Sequence[str]], environment: Mapping[str, str], rounds: int) -> dict[Arm, Measured]:
    """Lets the arms take turns.

    Raises:
        RuntimeError: A process ended; with the last lines of its standard error.
    """
    with ExitStack() as stack:
        workers = {arm: stack.enter_context(Worker(command, environment)) for arm, command in commands.items()}
        steps = [{arm: worker.step() for arm, worker in workers.items()} for _ in range(WARM_UP + rounds)]
        return {
            arm: Measured([step[arm][0] for step in steps[WARM_UP:]], steps[-1][arm][1], worker.end(), worker.about)
            for arm, worker in workers.items()
        }


def compare(method: str, measured: Mapping[Arm, Measured]) -> list[Comparison]:
    """All comparisons that a run has both arms of."""
    return [
        Comparison(method, arm, baseline, measured[arm], measured[baseline])
        for baseline, arm in comparable(method)
        if baseline in measured and arm in measured
    ]


def print_run(comparisons: Sequence[Comparison], state: str) -> None:
    for one in comparisons:
        print(
            f"{one.method}: {one.arm} ({one.measured.about['num_parameters']:,} parameters, torch "
            f"{one.measured.about['torch']}) {median(one.ratios):.2f} x as fast as {one.baseline} "
            f"({one.against.about['num_parameters']:,}, torch {one.against.about['torch']}) of {state}",
            flush=True,
        )


def table(comparisons: Sequence[Comparison]) -> str:
    """Markdown, a line per comparison."""
    rows = [HEADER, ["---"] * len(HEADER)]
    for one in comparisons:
        times = [f"{median(measured.seconds):.2f}" for measured in (one.measured, one.against)]
        memory = [f"{measured.peak_bytes / 2**30:.2f}" for measured in (one.measured, one.against)]
        losses = [f"{measured.loss:.4g}" for measured in (one.measured, one.against)]
        ratio = f"{median(one.ratios):.2f} ({min(one.ratios):.2f} to {max(one.ratios):.2f})"
        row = [one.method, str(one.arm), times[0], str(one.baseline), times[1], ratio]
        rows.append([*row, *memory, f"{one.memory_share:.2f}", *losses])
    return markdown_rows(rows)


def write(
    path: str,
    comparisons: Sequence[Comparison],
    state: str,
    settings: Mapping[str, Any],
    command: Sequence[str],
) -> None:
    """Appends comparisons to the results file: what tables have, and all that it is made of."""
    for one in comparisons:
        result = {
            "what": "step beside the original",
            "method": one.method,
            "arm": str(one.arm),
            "baseline": str(one.baseline),
            "seconds": median(one.measured.seconds),
            "baseline_seconds": median(one.against.seconds),
            "times_as_fast": median(one.ratios),
            "least": min(one.ratios),
            "most": max(one.ratios),
            "peak_gib": one.measured.peak_bytes / 2**30,
            "memory_share": one.memory_share,
            # by which tables choose: those of a processor are not of a GPU beside it
            "cpu" if settings["device"] == "cpu" else "gpu": device_of(settings["device"]),
            "measured": one.arm._asdict() | asdict(one.measured),
            "against": one.baseline._asdict() | asdict(one.against),
            "original": state,
            "settings": settings,
        }
        append_result(path, result, command=["python", *command], device=settings["device"])


if __name__ == "__main__":
    main()
