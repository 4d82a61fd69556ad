# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Representations of a whole split, in memory and, if wanted, in files, so that an encoder runs once."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..shared_files import written_whole
from .encoders import FrozenEncoder, Representer
from .items import Item

logger = logging.getLogger(__name__)

# Counted up when the same encoder and items shall give other features.
_FORMAT = 1


class Features(NamedTuple):
    """Representations of the items of one split.

    Attributes:
        frames: One tensor per item, `(num_layers, num_frames, feature_size)`, float16; where only their mean is
            wanted, that, `(num_layers, 1, feature_size)`, float32.
        statistics: `(num_layers, num_items, statistics_size)`, float32.
    """

    frames: list[torch.Tensor]
    statistics: np.ndarray


def extract_features(encoder: Representer, items: Sequence[Item], *, all_frames: bool = False) -> Features:
    """Represents all items.

    Args:
        encoder: An encoder, or a baseline.
        items: At least one.
        all_frames: Keep every frame, which takes much memory, instead of their mean.

    Raises:
        ValueError: There is no item, one cannot be used, or what comes of it is not finite.
    """
    if not items:
        raise ValueError("Expected at least one item to represent, got none.")
    frames, statistics = [], []
    for item, representation in zip(items, encoder.represent(items), strict=True):
        if not torch.isfinite(representation.statistics).all():
            raise ValueError(f"The features of {item.name} hold NaN or infinite values. Has the model diverged?")
        frames.append(representation.frames if all_frames else representation.frames.float().mean(1, keepdim=True))
        statistics.append(representation.statistics)
    return Features(frames, torch.stack(statistics, dim=1).numpy())


def cached_features(
    encoder: FrozenEncoder, items: Sequence[Item], folder: Path, *, all_frames: bool = False
) -> Features:
    """The same from a file in `folder` if it has them, and otherwise into one.

    The name of the file is a hash of the encoder's weights, its configuration and its processor's, and of the items
    (texts and contents; of files their path, size and time of writing): what has changed is encoded anew, under
    another name. Old files are never deleted. A file that cannot be read, or holds something else, is told of and
    written anew.
    """
    key = json.dumps([_FORMAT, encoder.fingerprint(), all_frames, [item.fingerprint() for item in items]])
    path = folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.safetensors"
    if path.exists():
        try:
            return _read(path, len(items))
        except (SafetensorError, OSError, ValueError) as error:
            logger.warning(f"The cached features in {path} are broken ({error}): encoding again.")
    features = extract_features(encoder, items, all_frames=all_frames)
    _write(path, features)
    return features


def _write(path: Path, features: Features) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        "frames": torch.cat(features.frames, dim=1),
        "num_frames": torch.tensor([frames.shape[1] for frames in features.frames]),
        "statistics": torch.from_numpy(features.statistics).contiguous(),
    }
    with written_whole(path) as beside:
        save_file(tensors, beside)


def _read(path: Path, num_items: int) -> Features:
    with safe_open(path, framework="pt") as file:
        missing = {"frames", "num_frames", "statistics"}.difference(file.keys())
        if missing:
            raise ValueError(f"there is no {min(missing)!r} in it")
        frames, num_frames, statistics = (file.get_tensor(name) for name in ("frames", "num_frames", "statistics"))
    if len(num_frames) != num_items or statistics.shape[1] != num_items or frames.shape[1] != num_frames.sum():
        raise ValueError(f"expected {num_items} items, got {len(num_frames)}")
    return Features(list(frames.split(num_frames.tolist(), dim=1)), statistics.numpy())
