# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl demo`: pre-train a small speech model here and now, and see what it learned.

Every comparison is with the same network without pre-training. In recognition the untrained network gets its own
choice of learning rate, and a second time as much wall time as pre-training and fine-tuning took together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, PreTrainedModel, set_seed

from ..data import SkippedFiles
from ..data.collators import SpeechFeatureExtractor
from ..evaluation.baselines import LogMel
from ..evaluation.encoders import Representer, SpeechEncoder
from ..evaluation.features import extract_features
from ..evaluation.items import clips_of
from ..evaluation.probing import linear_probe
from ..output_files import check_writable
from ..report import write_report
from ..report.probes import ProbeFigure
from ..results import append_result
from ..training.finetuning import transcript_table
from .arms import CTCResult, CTCTask, PreTrained, has_fast_bfloat16, pretrain
from .data import DemoData, LabelledSplits, own_data, synthetic_data, total_seconds
from .families import DemoFamily, LearningRates, demo_family
from .plots import plot_demo
from .quiet import quiet_libraries

PRETRAINED, UNTRAINED, LOG_MEL = "pre-trained", "no pre-training", "log-mel, no network"
SAME_TIME = "no pre-training, same total time"
SYNTHETIC_SPEECH = "synthetic speech"
FEW_STEPS = 200  # with fewer, features know little that those of random weights do not


@dataclass(frozen=True)
class DemoConfig:
    """What the demo does.

    Args:
        output_dir: Where everything goes.
        model_type: Which family of models: `"data2vec2-audio"` or `"best-rq"`.
        data: Folder with a person's own recordings; the synthetic corpus if `None`.
        text_column: Column of transcripts in its metadata.csv.
        label_columns: Columns with a label per clip, to probe for.
        seed: Of everything random.
        pretraining_minutes: Wall time of pre-training; the number of steps is chosen by measuring some.
        num_hours: Hours of synthetic speech to pre-train on.
        batch_size, finetuning_batch_size: Clips per step.
        num_transcripts: Transcribed clips to fine-tune on.
        finetuning_minutes: Wall time of each fine-tuning run; the number of steps, the same for all, is measured too.
        learning_rates: Of all arms; the family's if `None`.
        results: File of JSON lines to append the figures to; `results.jsonl` in `output_dir` if `None`.
        command: What was typed, for the results.
    """

    output_dir: str = "hf_ssl_demo"
    model_type: str = "data2vec2-audio"
    data: str | None = None
    text_column: str = "transcription"
    label_columns: tuple[str, ...] = ()
    seed: int = 0
    pretraining_minutes: float = 2.5
    num_hours: float = 1.0
    batch_size: int = 8
    finetuning_batch_size: int = 4
    num_transcripts: int = 200
    finetuning_minutes: float = 1.3
    learning_rates: LearningRates | None = None
    results: str | None = None
    command: Sequence[str] = ("hf-ssl", "demo")

    def with_minutes(self, minutes: float) -> DemoConfig:
        """The same with so many minutes of pre-training."""
        if not 0 < minutes < inf:
            raise ValueError(f"--minutes must be positive, got {minutes}.")
        return replace(self, pretraining_minutes=minutes)


@dataclass(frozen=True)
class _Run:
    """What all parts of a run share."""

    config: DemoConfig
    family: DemoFamily
    learning_rates: LearningRates
    feature_extractor: SpeechFeatureExtractor
    folder: Path
    skipped: SkippedFiles


@quiet_libraries()
def run_demo(config: DemoConfig) -> list[dict[str, Any]]:
    """Runs the whole demo.

    Returns:
        The results that are drawn and appended to `config.results`: dictionaries with `task`, `arm`, `metric`, `test`.

    Raises:
        ValueError: There is no such model type, or the data cannot be used; the message says why.
    """
    started = time.perf_counter()
    run = _start(config)
    data = _open_data(run)

    pretrained = _pretrain(run, data)
    results = [result for task in data.probes for result in _probe(run, task, pretrained.folder)]
    results += _recognise(run, data, pretrained)

    plot_demo(pretrained.history, run.family.curves, results, run.folder / "demo.png")
    path = _append_results(run, pretrained, results)
    print(f"\nAll of it took {(time.perf_counter() - started) / 60:.1f} minutes. {run.skipped.summary()}")
    print(f"  model     {pretrained.folder}   (AutoModel.from_pretrained reads it)")
    print(f"  curves    {run.folder / 'demo.png'}")
    if results:
        print(f"  figures   {path}")
    print(f"  report    {_report(run, pretrained, results)}")
    return results


def _start(config: DemoConfig) -> _Run:
    family, folder = demo_family(config.model_type), Path(config.output_dir)
    check_writable(config.results, "--results")
    return _Run(
        config=config,
        family=family,
        learning_rates=config.learning_rates or family.learning_rates,
        feature_extractor=family.make_feature_extractor(),
        folder=folder,
        skipped=SkippedFiles(str(folder / "skipped_files.jsonl")),
    )


def _open_data(run: _Run) -> DemoData:
    config = run.config
    if config.data is None:
        _headline("1. Speech to learn from")
        print(f"Synthesising {config.num_hours:g} hours of speech in many voices (eSpeak NG) ...", flush=True)
        data = synthetic_data(run.folder / "corpus", config.num_hours, config.seed, run.skipped)
    else:
        _headline("1. Your recordings")
        data = own_data(Path(config.data), config.text_column, config.label_columns, config.seed, run.skipped)
    print(f"{total_seconds(data.recordings) / 60:.0f} minutes in {len(data.recordings)} clips, used without labels.")
    return data


def _pretrain(run: _Run, data: DemoData) -> PreTrained:
    _headline(f"2. Pre-training: {run.family.name} {run.family.idea}")
    settings: dict[str, Any] = {
        "learning_rate": run.learning_rates.pretraining,
        "batch_size": run.config.batch_size,
        "seed": run.config.seed,
        "skipped": run.skipped,
    }
    inputs = (run.family, run.feature_extractor, data.recordings)
    trial = pretrain(_new_model(run, 24), *inputs, run.folder / "trial", num_steps=24, **settings)
    num_steps = max(20, round(run.config.pretraining_minutes * 60 / trial.step_seconds))
    model = _new_model(run, num_steps)
    size = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    precision = "bfloat16" if has_fast_bfloat16() else "float32"
    print(f"{size / 1e6:.1f} million parameters, {precision}, {num_steps} steps.")
    if num_steps < FEW_STEPS:
        print(_too_few_steps(num_steps, run.config.pretraining_minutes))
    pretrained = pretrain(model, *inputs, run.folder / "pretrained", num_steps=num_steps, **settings)
    first, last = (next(entry for entry in order if "loss" in entry) for order in _both_ways(pretrained.history))
    print(run.family.summarise(first, last))
    return pretrained


def _too_few_steps(num_steps: int, minutes: float) -> str:
    enough = ceil(2 * minutes * FEW_STEPS / num_steps)
    return (
        f"{num_steps} steps in {minutes:g} minutes teach little: this machine is slow, or busy with something else. "
        f"`--minutes {enough}` would be about {2 * FEW_STEPS} steps at this speed."
    )


def _both_ways(history: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return history, history[::-1]


def _new_model(run: _Run, num_steps: int) -> PreTrainedModel:
    set_seed(run.config.seed)
    return AutoModelForPreTraining.from_config(run.family.make_config(num_steps))


def _probe(run: _Run, task: LabelledSplits, pretrained: Path) -> list[dict[str, Any]]:
    """Linear classifiers on frozen features: of the pre-trained network, of its untrained twin, and of none."""
    _headline(f"3. What do the frozen features know? Linear probe: {task.task}")
    set_seed(run.config.seed)
    encoders: dict[str, Representer] = {
        PRETRAINED: SpeechEncoder(AutoModel.from_pretrained(pretrained), run.feature_extractor),
        UNTRAINED: SpeechEncoder(AutoModel.from_config(AutoConfig.from_pretrained(pretrained)), run.feature_extractor),
        LOG_MEL: LogMel(),
    }
    tables = (task.train, task.validation, task.test)
    labels = [table[task.column][:] for table in tables]
    features = {
        arm: [extract_features(encoder, clips_of(table)).statistics for table in tables]
        for arm, encoder in encoders.items()
    }
    results = []
    for arm, (train, validation, test) in features.items():
        probe = linear_probe(
            train, labels[0], test, labels[2], validation=(validation, labels[1]), seed=run.config.seed
        )
        print(f"  {arm:<34} {probe.accuracy:6.1%}   (layer {probe.best_layer})")
        results.append(
            {
                "task": task.task,
                "arm": arm,
                "metric": "accuracy",
                "test": probe.accuracy,
                "chance": probe.majority_accuracy,
                "by_layer": probe.by_layer,
            }
        )
    print(f"  always the most frequent answer    {results[0]['chance']:6.1%}   ({len(labels[2])} test clips)")
    return results


def _recognise(run: _Run, data: DemoData, pretrained: PreTrained) -> list[dict[str, Any]]:
    config, folder = run.config, run.folder
    if data.transcribed is None:
        print(f"\nNo transcripts (column {config.text_column!r} of metadata.csv), so no speech recognition.")
        return []
    labelled = data.transcribed.train.shuffle(seed=config.seed)
    labelled = labelled.select(range(min(config.num_transcripts, len(labelled))))
    _headline(f"4. Speech recognition from {len(labelled)} transcripts ({total_seconds(labelled) / 60:.1f} minutes)")
    task = CTCTask(
        run.family,
        data.transcribed,
        labelled,
        run.feature_extractor,
        config.finetuning_batch_size,
        config.seed,
        run.skipped,
    )

    trial = task.finetune(pretrained.folder, folder / "trial", from_scratch=True, learning_rate=1e-5, num_steps=30)
    num_steps = max(20, round(config.finetuning_minutes * 60 / trial.step_seconds))
    learning_rates = {PRETRAINED: (run.learning_rates.finetuning,), UNTRAINED: run.learning_rates.untrained}
    best = {
        arm: _best_learning_rate(task, pretrained.folder, folder, arm, rates, num_steps)
        for arm, rates in learning_rates.items()
    }
    steps_per_second = best[UNTRAINED].num_steps / best[UNTRAINED].seconds
    total = pretrained.seconds + best[PRETRAINED].seconds
    best[SAME_TIME] = task.finetune(
        pretrained.folder,
        folder / "ctc_same_time",
        from_scratch=True,
        learning_rate=best[UNTRAINED].learning_rate,
        num_steps=round(total * steps_per_second),
    )
    _print_arm(SAME_TIME, best[SAME_TIME])
    for arm in (PRETRAINED, SAME_TIME):
        print(f"\n{arm}:\n{transcript_table(best[arm].references, best[arm].hypotheses, limit=5)}")
    return [
        {"task": "ctc", "arm": arm, "metric": metric, "test": value, **_details(result)}
        for arm, result in best.items()
        for metric, value in (("wer", result.test_wer), ("cer", result.test_cer))
    ]


def _best_learning_rate(
    task: CTCTask, pretrained: Path, folder: Path, arm: str, learning_rates: Sequence[float], num_steps: int
) -> CTCResult:
    """Trains an arm at every learning rate; prints all, keeps the best on validation."""
    outcomes = []
    for learning_rate in learning_rates:
        outcome = task.finetune(
            pretrained,
            folder / f"ctc_{arm.replace(' ', '_')}_{learning_rate:g}",
            from_scratch=arm == UNTRAINED,
            learning_rate=learning_rate,
            num_steps=num_steps,
        )
        _print_arm(arm, outcome)
        outcomes.append(outcome)
    return min(outcomes, key=lambda outcome: outcome.validation_cer)


def _print_arm(arm: str, result: CTCResult) -> None:
    print(
        f"  {arm:<34} learning rate {result.learning_rate:<7g} {result.num_steps:5d} steps {result.seconds:4.0f} s   "
        f"WER {result.test_wer:6.1%}   CER {result.test_cer:6.1%}   (validation CER {result.validation_cer:.1%})",
        flush=True,
    )


def _details(result: CTCResult) -> dict[str, Any]:
    return {
        "learning_rate": result.learning_rate,
        "num_steps": result.num_steps,
        "seconds": round(result.seconds, 1),
        "validation_cer": result.validation_cer,
    }


def _append_results(run: _Run, pretrained: PreTrained, results: list[dict[str, Any]]) -> Path:
    """Adds a line for each figure, with what the whole run shares; says where."""
    config, path = run.config, Path(run.config.results or run.folder / "results.jsonl")
    shared = {
        "what": "demo",
        "model_type": config.model_type,
        "data": config.data or SYNTHETIC_SPEECH,
        "seed": config.seed,
        "pretraining_minutes": config.pretraining_minutes,
        "pretraining_steps": pretrained.num_steps,
        "pretraining_seconds": round(pretrained.seconds, 1),
        "pretraining_learning_rate": run.learning_rates.pretraining,
        "finetuning_minutes": config.finetuning_minutes,
    }
    for result in results:
        append_result(path, {**shared, **result}, command=config.command)
    return path


def _report(run: _Run, pretrained: PreTrained, results: list[dict[str, Any]]) -> str:
    """Writes a page on pre-training with what the probes found; the demo does not fail by it. Says where it is."""
    probes = [
        ProbeFigure(
            arm=result["arm"],
            task="classification",
            data="test",
            column=result["task"],
            method="linear",
            metric=result["metric"],
            test=result["test"],
            by_layer=tuple(result["by_layer"]),
        )
        for result in results
        if "by_layer" in result
    ]
    try:
        path = write_report(pretrained.folder, probes=probes)
    except Exception as error:
        return f"could not be written ({type(error).__name__}: {error})"
    return f"{path}   (for a browser; `hf-ssl report` with --data shows a sample too)"


def _headline(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)
