#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Which trains better: targets normalised over real frames, or over padding too, as in the original?

    python training_scripts/benchmarks/padding_in_targets.py --output_dir FOLDER

Pre-trains the demo's network on the demo's synthetic speech, in batches of random lengths so that there is padding,
once per setting and seed, and probes for words in voices that were never heard. Every run is printed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from transformers import Wav2Vec2FeatureExtractor, set_seed

from hf_ssl import Data2Vec2AudioForPreTraining
from hf_ssl.data import AudioDataset, SkippedFiles
from hf_ssl.data.collators_pretraining import DataCollatorForData2Vec2Audio
from hf_ssl.demo.arms import has_fast_bfloat16
from hf_ssl.demo.data import MIN_SECONDS, SAMPLING_RATE, DemoData, synthetic_data
from hf_ssl.demo.families import DATA2VEC2_AUDIO_FIELDS
from hf_ssl.evaluation.encoders import load_frozen_encoder
from hf_ssl.evaluation.features import extract_features
from hf_ssl.evaluation.items import clips_of
from hf_ssl.evaluation.probing import linear_probe
from hf_ssl.training import SelfDistillationTrainer
from hf_ssl.training.arguments import PreTrainingArguments
from hf_ssl.training.model_sizes import data2vec2_audio_config
from hf_ssl.training.running import override_config

BATCH_SIZE = 4
CROP_SECONDS = 4.0
SETTINGS = {
    "statistics over real frames": {},
    "statistics over padding too": {"norm_targets_over_padding": True},
    "statistics and convolutions over padding too": {"norm_targets_over_padding": True, "convolve_padding": True},
}


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", required=True, metavar="FOLDER")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--hours", type=float, default=1.0, help="of synthetic speech (default: %(default)s)")
    arguments = parser.parse_args(argv)
    folder = Path(arguments.output_dir)
    skipped = SkippedFiles(str(folder / "skipped_files.jsonl"))
    data = synthetic_data(folder / "corpus", arguments.hours, seed=0, skipped=skipped)

    accuracies: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
    for seed in arguments.seeds:
        for setting, overrides in SETTINGS.items():
            out = folder / f"{setting.replace(' ', '_')}_{seed}"
            padding = pretrain(data, overrides, out, arguments.steps, seed, skipped)
            accuracies[setting].append(probe_words(data, out, seed))
            print(
                f"{setting:<46} seed {seed}: {accuracies[setting][-1]:6.1%} of words, {padding:.0%} padding",
                flush=True,
            )
    for setting, values in accuracies.items():
        print(f"{setting:<46} mean {np.mean(values):6.1%}, from {min(values):.1%} to {max(values):.1%}")
    return accuracies


def pretrain(data: DemoData, overrides: dict, out: Path, num_steps: int, seed: int, skipped: SkippedFiles) -> float:
    """Pre-trains into `out`; returns the share of padding in its batches."""
    set_seed(seed)
    config = override_config(
        data2vec2_audio_config("small"),
        DATA2VEC2_AUDIO_FIELDS | {"ema_anneal_end_step": num_steps * 2 // 3} | overrides,
    )
    collator = CountingCollator(
        Wav2Vec2FeatureExtractor(sampling_rate=SAMPLING_RATE, do_normalize=True, return_attention_mask=True), config
    )
    trainer = SelfDistillationTrainer(
        model=Data2Vec2AudioForPreTraining(config),
        args=PreTrainingArguments(
            output_dir=str(out),
            max_steps=num_steps,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=1.5e-3,
            warmup_steps=0.2,
            train_sampling_strategy="random",
            use_cpu=True,
            bf16=has_fast_bfloat16(),
            dataloader_num_workers=0,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            seed=seed,
        ),
        train_dataset=AudioDataset(
            data.recordings,
            sampling_rate=SAMPLING_RATE,
            min_seconds=MIN_SECONDS,
            max_seconds=CROP_SECONDS,
            seed=seed,
            skipped=skipped,
        ),
        data_collator=collator,
        processing_class=collator.feature_extractor,
        sampling_rate=SAMPLING_RATE,
    )
    trainer.train()
    trainer.save_model()
    return collator.padded_samples / collator.samples


class CountingCollator(DataCollatorForData2Vec2Audio):
    """Counts samples, real ones and padding."""

    samples, padded_samples = 0, 0

    def __call__(self, features):
        batch = super().__call__(features)
        self.samples += batch["attention_mask"].numel()
        self.padded_samples += int((batch["attention_mask"] == 0).sum())
        return batch


def probe_words(data: DemoData, model: Path, seed: int) -> float:
    words = data.probes[0]
    encoder = load_frozen_encoder(str(model))
    train, validation, test = (
        (extract_features(encoder, clips_of(table)).statistics, table[words.column][:])
        for table in (words.train, words.validation, words.test)
    )
    return linear_probe(*train, *test, validation=validation, seed=seed).accuracy


if __name__ == "__main__":
    main()
