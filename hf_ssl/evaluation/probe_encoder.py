# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""All figures of a task for one encoder: it represents the three splits, and small heads read that."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from .baselines import LogMel
from .encoders import FrozenEncoder, Representer, SpeechEncoder
from .features import Features, cached_features, extract_features
from .frame_tasks import FrameTimes
from .items import Item
from .probe_data import ProbeData, ProbeTask, clips_in
from .probe_tasks import Figure, Method, SplitFeatures, measure

logger = logging.getLogger(__name__)

# Their heads look at every frame of every layer; those of the other tasks at means.
TASKS_OF_FRAMES: tuple[ProbeTask, ...] = ("recognition", "frames")
# From here on one is told how much memory that takes.
MUCH_GIB = 4.0


def probe_encoder(
    task: ProbeTask,
    encoder: Representer,
    data: ProbeData,
    *,
    seeds: Sequence[int],
    methods: Sequence[Method] | None = None,
    num_epochs: int | None = None,
    cache: Path | None = None,
) -> Iterator[Figure]:
    """All figures of a task.

    Args:
        task: What to do.
        encoder: An encoder, or a baseline.
        data: Items and labels.
        seeds, methods, num_epochs: See [`measure`].
        cache: Folder with the features of networks, if wanted.

    Raises:
        ValueError: The encoder cannot represent an item, or does not fit the task.
    """
    if task in TASKS_OF_FRAMES:
        _warn_of_memory(task, encoder, data)
    features = SplitFeatures(*(_features(task, encoder, split.items, cache) for split in data[:3]))
    return measure(
        task,
        features,
        data,
        seeds=seeds,
        methods=methods,
        num_epochs=num_epochs,
        frame_times=_frame_times(encoder),
    )


def gib_of_frames(encoder: Representer, data: ProbeData) -> float:
    """How much memory all frames of all layers take, in GiB, by those of the first clip and the clips' lengths."""
    clips = [clip for split in data[:3] for clip in clips_in(split)]
    frames = next(iter(encoder.represent(clips[:1]))).frames
    return frames.nbytes / clips[0].duration * sum(clip.duration for clip in clips) / 2**30


def _warn_of_memory(task: ProbeTask, encoder: Representer, data: ProbeData) -> None:
    gib = gib_of_frames(encoder, data)
    if gib > MUCH_GIB:
        logger.warning(
            f"--task {task} keeps every frame of every layer: about {gib:.1f} GiB of memory. If that is too much, "
            "give fewer or shorter clips (--max_seconds SECONDS leaves longer ones out), or a smaller model."
        )


def _frame_times(encoder: Representer) -> FrameTimes | None:
    return encoder.frame_times if isinstance(encoder, SpeechEncoder | LogMel) else None


def _features(task: ProbeTask, encoder: Representer, items: Sequence[Item], cache: Path | None) -> Features:
    all_frames = task in TASKS_OF_FRAMES
    if cache is None or not isinstance(encoder, FrozenEncoder):
        return extract_features(encoder, items, all_frames=all_frames)
    return cached_features(encoder, items, cache, all_frames=all_frames)
