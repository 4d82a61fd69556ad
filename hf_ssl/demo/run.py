# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl demo`: pre-train a small data2vec 2.0 here and now, and see what it learned.

Every comparison is with the same network without pre-training. In recognition the untrained network gets its own
choice of learning rate, and a second time as much wall time as pre-training and fine-tuning took together.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from transformers import Wav2Vec2FeatureExtractor, set_seed

from .. import Data2Vec2AudioConfig, Data2Vec2AudioForPreTraining, Data2Vec2AudioModel
from ..data import SkippedFiles
from ..evaluation.probing import extract_pooled_features, linear_probe, log_mel_features
from ..training.finetuning import transcript_table
from ..training.model_sizes import data2vec2_audio_config
from ..training.running import override_config
from .arms import CTCResult, CTCTask, PreTrained, has_fast_bfloat16, pretrain
from .data import SAMPLING_RATE, DemoData, LabelledSplits, own_data, read_waveforms, synthetic_data, total_seconds
from .plots import plot_demo
from .quiet import quiet_libraries

# The `small` size again smaller, so that it sees a few thousand batches in minutes.
MODEL = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "conv_dim": [64, 128, 192],
    "average_top_k_layers": 3,
    "num_masks": 4,
}
PRETRAINED, UNTRAINED, LOG_MEL = "pre-trained", "no pre-training", "log-mel, no network"
SAME_TIME = "no pre-training, same total time"


@dataclass(frozen=True)
class DemoConfig:
    """What the demo does.

    Args:
        output_dir: Where everything goes.
        data: Folder with a person's own recordings; the synthetic corpus if `None`.
        text_column: Column of transcripts in its metadata.csv.
        label_columns: Columns with a label per clip, to probe for.
        seed: Of everything random.
        pretraining_minutes: Wall time of pre-training; the number of steps is chosen by measuring some.
        num_hours: Hours of synthetic speech to pre-train on.
        batch_size, finetuning_batch_size: Clips per step.
        learning_rate: Of pre-training.
        num_transcripts: Transcribed clips to fine-tune on.
        finetuning_minutes: Wall time of each fine-tuning run; the number of steps, the same for all, is measured too.
        finetuning_learning_rate: Of the pre-trained network.
        untrained_learning_rates: The network without pre-training is trained at each of these and keeps what does best
            on validation.
    """

    output_dir: str = "hf_ssl_demo"
    data: str | None = None
    text_column: str = "transcription"
    label_columns: tuple[str, ...] = ()
    seed: int = 0
    pretraining_minutes: float = 2.5
    num_hours: float = 1.0
    batch_size: int = 8
    finetuning_batch_size: int = 4
    learning_rate: float = 1.5e-3
    num_transcripts: int = 200
    finetuning_minutes: float = 1.3
    finetuning_learning_rate: float = 5e-4
    untrained_learning_rates: tuple[float, ...] = (5e-4, 1e-3)

    def with_minutes(self, minutes: float) -> DemoConfig:
        """The same with so many minutes of pre-training."""
        if minutes <= 0:
            raise ValueError(f"--minutes must be positive, got {minutes}.")
        return replace(self, pretraining_minutes=minutes)


@quiet_libraries()
def run_demo(config: DemoConfig) -> list[dict[str, Any]]:
    """Runs the whole demo.

    Returns:
        The results that are drawn and written to `results.json`: dictionaries with `task`, `arm`, `metric`, `value`.

    Raises:
        ValueError: The data cannot be used; the message says why.
    """
    started = time.perf_counter()
    folder = Path(config.output_dir)
    skipped = SkippedFiles(str(folder / "skipped_files.jsonl"))
    data = _open_data(config, folder, skipped)
    feature_extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLING_RATE, do_normalize=True, return_attention_mask=True
    )

    pretrained = _pretrain(config, folder, data, feature_extractor, skipped)
    results = [
        result for task in data.probes for result in _probe(task, pretrained.folder, feature_extractor, config.seed)
    ]
    results += _recognise(config, folder, data, pretrained, feature_extractor, skipped)

    plot_demo(pretrained.history, results, folder / "demo.png")
    _write_results(config, folder, pretrained, results)
    print(f"\nAll of it took {(time.perf_counter() - started) / 60:.1f} minutes. {skipped.summary()}")
    print(f"  model     {pretrained.folder}   (AutoModel.from_pretrained reads it)")
    print(f"  curves    {folder / 'demo.png'}")
    print(f"  figures   {folder / 'results.json'}")
    return results


def _open_data(config: DemoConfig, folder: Path, skipped: SkippedFiles) -> DemoData:
    if config.data is None:
        _headline("1. Speech to learn from")
        print(f"Synthesising {config.num_hours:g} hours of speech in many voices (eSpeak NG) ...", flush=True)
        data = synthetic_data(folder / "corpus", config.num_hours, config.seed, skipped)
    else:
        _headline("1. Your recordings")
        data = own_data(Path(config.data), config.text_column, config.label_columns, config.seed, skipped)
    print(f"{total_seconds(data.recordings) / 60:.0f} minutes in {len(data.recordings)} clips, used without labels.")
    return data


def _pretrain(
    config: DemoConfig,
    folder: Path,
    data: DemoData,
    feature_extractor: Wav2Vec2FeatureExtractor,
    skipped: SkippedFiles,
) -> PreTrained:
    _headline("2. Pre-training: data2vec 2.0 predicts its own view of what is hidden")
    settings: dict[str, Any] = {
        "learning_rate": config.learning_rate,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "skipped": skipped,
    }
    trial = pretrain(
        _new_model(config.seed), feature_extractor, data.recordings, folder / "trial", num_steps=24, **settings
    )
    num_steps = max(20, round(config.pretraining_minutes * 60 / trial.step_seconds))
    model = _new_model(config.seed, num_steps)
    size = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    precision = "bfloat16" if has_fast_bfloat16() else "float32"
    print(f"{size / 1e6:.1f} million parameters, {precision}, {num_steps} steps.")
    pretrained = pretrain(
        model, feature_extractor, data.recordings, folder / "pretrained", num_steps=num_steps, **settings
    )
    first, last = (next(entry for entry in order if "target_std" in entry) for order in _both_ways(pretrained.history))
    print(
        f"Loss {first['loss']:.2f} -> {last['loss']:.2f}; spread of the targets {first['target_std']:.2f} -> "
        f"{last['target_std']:.2f}; share of it between utterances {first['between_utterance_share']:.2f} -> "
        f"{last['between_utterance_share']:.2f} (near 0 would be a collapse)."
    )
    return pretrained


def _both_ways(history: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return history, history[::-1]


def _new_model(seed: int, num_steps: int = 1000) -> Data2Vec2AudioForPreTraining:
    """The small model; its teacher's schedule, published for 400,000 steps, is fitted to so few."""
    set_seed(seed)
    config = override_config(
        data2vec2_audio_config("small"), MODEL | {"ema_anneal_end_step": max(1, num_steps * 2 // 3)}
    )
    return Data2Vec2AudioForPreTraining(config)


def _probe(
    task: LabelledSplits, pretrained: Path, feature_extractor: Wav2Vec2FeatureExtractor, seed: int
) -> list[dict[str, Any]]:
    """Linear classifiers on frozen features: of the pre-trained network, of its untrained twin, and of none."""
    _headline(f"3. What do the frozen features know? Linear probe: {task.task}")
    config = Data2Vec2AudioConfig.from_pretrained(pretrained)
    set_seed(seed)
    networks = {PRETRAINED: Data2Vec2AudioModel.from_pretrained(pretrained), UNTRAINED: Data2Vec2AudioModel(config)}
    tables = (task.train, task.validation, task.test)
    waveforms = [read_waveforms(table) for table in tables]
    labels = [table[task.column][:] for table in tables]
    features = {
        arm: [extract_pooled_features(network, feature_extractor, clips) for clips in waveforms]
        for arm, network in networks.items()
    }
    features[LOG_MEL] = [log_mel_features(clips, sampling_rate=SAMPLING_RATE) for clips in waveforms]
    results = []
    for arm, (train, validation, test) in features.items():
        probe = linear_probe(train, labels[0], test, labels[2], validation=(validation, labels[1]), seed=seed)
        print(f"  {arm:<34} {probe.accuracy:6.1%}   (layer {probe.best_layer})")
        results.append(
            {
                "task": task.task,
                "arm": arm,
                "metric": "accuracy",
                "value": probe.accuracy,
                "chance": probe.majority_accuracy,
                "by_layer": probe.by_layer,
            }
        )
    print(f"  always the most frequent answer    {results[0]['chance']:6.1%}   ({len(labels[2])} test clips)")
    return results


def _recognise(
    config: DemoConfig,
    folder: Path,
    data: DemoData,
    pretrained: PreTrained,
    feature_extractor: Wav2Vec2FeatureExtractor,
    skipped: SkippedFiles,
) -> list[dict[str, Any]]:
    if data.transcribed is None:
        print(f"\nNo transcripts (column {config.text_column!r} of metadata.csv), so no speech recognition.")
        return []
    labelled = data.transcribed.train.shuffle(seed=config.seed)
    labelled = labelled.select(range(min(config.num_transcripts, len(labelled))))
    _headline(f"4. Speech recognition from {len(labelled)} transcripts ({total_seconds(labelled) / 60:.1f} minutes)")
    task = CTCTask(data.transcribed, labelled, feature_extractor, config.finetuning_batch_size, config.seed, skipped)

    trial = task.finetune(pretrained.folder, folder / "trial", from_scratch=True, learning_rate=1e-5, num_steps=30)
    num_steps = max(20, round(config.finetuning_minutes * 60 / trial.step_seconds))
    learning_rates = {
        PRETRAINED: (config.finetuning_learning_rate,),
        UNTRAINED: config.untrained_learning_rates,
    }
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
        {"task": "ctc", "arm": arm, "metric": metric, "value": value, **_details(result)}
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


def _write_results(config: DemoConfig, folder: Path, pretrained: PreTrained, results: list[dict[str, Any]]) -> None:
    summary = {
        "config": asdict(config),
        "pretraining": {"num_steps": pretrained.num_steps, "seconds": round(pretrained.seconds, 1)},
        "results": results,
    }
    (folder / "results.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _headline(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)
