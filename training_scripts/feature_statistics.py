#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Computes mean and deviation of a data set's log-mel features, for BEST-RQ with `normalization="dataset"`.

    python feature_statistics.py --data RECORDINGS --output_dir PREPROCESSOR
    python pretrain_speech.py --model_type best-rq --model_size small --preprocessor PREPROCESSOR \
        --data RECORDINGS --output_dir MODEL

The result is a folder with preprocessor_config.json. Recordings that cannot be used are skipped and listed in it.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import datasets
import torch

from hf_ssl import BestRqFeatureExtractor
from hf_ssl.data import AudioDataset, SkippedFiles
from hf_ssl.models.feature_extraction_best_rq import DatasetStatistics, dataset_statistics
from hf_ssl.training.arguments import SpeechPreTrainingDataArguments, parse_arguments, refuse_flags
from hf_ssl.training.running import SKIPPED_FILES_NAME, Reading, load_train_table, run_script

logger = logging.getLogger("hf_ssl.feature_statistics")


@dataclass
class StatisticsArguments:
    """What to compute, and where to write it."""

    output_dir: str | None = field(default=None, metadata={"help": "Folder for preprocessor_config.json."})
    max_recordings: int | None = field(
        default=None, metadata={"help": "Use so many clips, drawn at random, instead of all."}
    )
    streaming_model: bool = field(
        default=False,
        metadata={"help": "For models that read streams, whose loudest value is not known: without `top_db`."},
    )
    seed: int = field(default=0, metadata={"help": "Determines which clips are drawn."})

    def __post_init__(self) -> None:
        if self.output_dir is None:
            raise ValueError("Expected --output_dir, the folder for preprocessor_config.json, got none.")
        if self.max_recordings is not None and self.max_recordings < 1:
            raise ValueError(f"--max_recordings must be at least 1, got {self.max_recordings}.")


def main(argv: Sequence[str] | None = None) -> BestRqFeatureExtractor:
    data_args, args = parse_arguments(SpeechPreTrainingDataArguments, StatisticsArguments, argv=argv)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logging.getLogger("hf_ssl").setLevel(logging.INFO)
    refuse_flags({name: getattr(data_args, name) for name in ("streaming", "eval_data", "log_mel_on_device")})

    top_db = None if args.streaming_model else 80.0
    unnormalised = BestRqFeatureExtractor(normalization="none", top_db=top_db)
    skipped = SkippedFiles(os.path.join(args.output_dir, SKIPPED_FILES_NAME))
    table = load_train_table(data_args, Reading(unnormalised.sampling_rate, skipped))
    statistics = compute_statistics(choose_clips(table, args), data_args, unnormalised, skipped)
    normalised = BestRqFeatureExtractor(
        normalization="dataset", top_db=top_db, mean=statistics.mean, std=statistics.std
    )
    normalised.save_pretrained(args.output_dir)
    hours = statistics.num_mel_frames * normalised.hop_length / normalised.sampling_rate / 3600
    logger.info(f"Data: {skipped.summary()}.")
    logger.info(f"Statistics of {hours:.2f} hours are in {args.output_dir}.")
    return normalised


def choose_clips(table: datasets.Dataset, args: StatisticsArguments) -> datasets.Dataset:
    if args.max_recordings is None or args.max_recordings >= len(table):
        return table
    return table.shuffle(seed=args.seed).select(range(args.max_recordings))


def compute_statistics(
    table: datasets.Dataset,
    data_args: SpeechPreTrainingDataArguments,
    feature_extractor: BestRqFeatureExtractor,
    skipped: SkippedFiles,
) -> DatasetStatistics:
    clips = AudioDataset(
        table,
        sampling_rate=feature_extractor.sampling_rate,
        max_seconds=data_args.max_seconds,
        min_seconds=data_args.min_seconds,
        seed=0,
        skipped=skipped,
        random_crop=False,
    )
    return dataset_statistics(features_of(clips, feature_extractor))


def features_of(clips: AudioDataset, feature_extractor: BestRqFeatureExtractor) -> Iterator[torch.Tensor]:
    for index in range(len(clips)):
        yield feature_extractor(clips[index]["input_values"], return_tensors="pt")["input_features"][0]


if __name__ == "__main__":
    run_script(main)
