# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Hidden states of audio files of any length, one file of features per file of audio."""

import json
import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import torch
from tqdm import tqdm

from .batching import Forward, Recording, encode_files, in_groups
from .feature_files import FeatureFile
from .inputs import Failures, InputFile
from .loading import LoadedModel, check_frames, probe_frames

INDEX_NAME = "index.jsonl"


def extract_features(
    files: Sequence[InputFile],
    loaded: LoadedModel,
    out_dir: str | os.PathLike,
    *,
    layer: int | None,
    kind: str = "npy",
    batch_size: int = 8,
    window_seconds: float = 30.0,
    overlap_seconds: float = 3.0,
    failures: Failures,
) -> int:
    """Writes the hidden states of files, and `index.jsonl`, with a progress bar on stderr.

    The number of frames is that of one pass over the whole file. Recordings longer than a window are encoded in
    windows, and since attention (and group norm, where a model has it) sees all of its window and nothing else, their
    values are close to, not the same as, those of one pass. Frames are float16 where the model computes in float16,
    else float32 (numpy has no bfloat16).

    The index has one line per file, as they are finished: `source`, `output` (relative), `frames`, `frame_rate` (per
    second), `seconds`, `layer`, `model`.

    Args:
        files: From [`list_inputs`].
        loaded: From [`load_encoder`].
        out_dir: Folder to write; must be empty or new.
        layer:
            Number of the layer as in transformers' `hidden_states`: 0 for the input of the first layer, K for the
            output of the K-th, -1 for the last; all if `None`, as `(num_frames, num_layers + 1, hidden_size)`.
        kind: `"npy"`, `"safetensors"` or `"parquet"`, see [`FeatureFile`].
        batch_size: Windows that the model sees at once.
        window_seconds: Length of a window.
        overlap_seconds: Part of it at either end that is only context.
        failures: Gets the files that cannot be used; the others go on.

    Returns:
        `int`: Number of files written.

    Raises:
        ValueError: There is no such layer, or the folder is not empty, or the windows make no sense.
    """
    size = loaded.window_size(window_seconds, overlap_seconds)
    layers = resolve_layers(loaded, layer)
    forward = _hidden_states(loaded, layers)
    index_path = _make_folder(Path(out_dir)) / INDEX_NAME
    num_written = 0
    with (
        open(index_path, "w", encoding="utf-8") as index,
        tqdm(desc="features", unit="s", unit_scale=True, disable=None) as progress,
    ):
        for group in in_groups(files, batch_size):
            encoded = encode_files(
                group, loaded, forward, size=size, batch_size=batch_size, failures=failures, progress=progress
            )
            for recording, windows in groupby(encoded, key=lambda item: item.recording):
                feature_file = _new_file(Path(out_dir), recording, loaded, kind, layers)
                with feature_file:
                    for _, _, frames in windows:
                        feature_file.write(_storable(frames).numpy())
                if feature_file.is_complete:  # otherwise reading failed on the way
                    entry = _index_entry(recording, feature_file.path.relative_to(out_dir), loaded, layer, layers)
                    print(json.dumps(entry, ensure_ascii=False), file=index, flush=True)
                    num_written += 1
    return num_written


def resolve_layers(loaded: LoadedModel, layer: int | None) -> list[int]:
    """Numbers of the layers asked for, as a look at the model's `hidden_states` shows them.

    Raises:
        ValueError: There is no such layer, or the layers have another frame rate than the convolutions before them.
    """
    with torch.inference_mode():
        hidden_states = loaded.model(probe_frames(loaded), output_hidden_states=True).hidden_states
    check_frames(hidden_states[-1], loaded.model)
    last = len(hidden_states) - 1
    if layer is None:
        return list(range(last + 1))
    if not -1 <= layer <= last:
        raise ValueError(f"expected a layer from 0 (input of the first) to {last}, -1 (the last) or all, got {layer}")
    return [last if layer == -1 else layer]


def _hidden_states(loaded: LoadedModel, layers: Sequence[int]) -> Forward:
    def forward(inputs: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        outputs = loaded.model(inputs, attention_mask=attention_mask, output_hidden_states=True)
        return torch.stack([outputs.hidden_states[layer] for layer in layers], dim=2)

    return forward


def _make_folder(out_dir: Path) -> Path:
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise ValueError(f"expected a new or empty folder for the features, {out_dir} is not: choose another")
    out_dir.mkdir(parents=True, exist_ok=True)
    return out_dir


def _new_file(out_dir: Path, recording: Recording, loaded: LoadedModel, kind: str, layers: list[int]) -> FeatureFile:
    shape = (recording.num_frames, len(layers), loaded.model.config.hidden_size)
    dtype = "float16" if loaded.model.dtype == torch.float16 else "float32"
    return FeatureFile(out_dir / f"{recording.file.name}.{kind}", kind, shape, dtype, layers)


def _storable(frames: torch.Tensor) -> torch.Tensor:
    return frames.float() if frames.dtype == torch.bfloat16 else frames


def _index_entry(
    recording: Recording, output: Path, loaded: LoadedModel, layer: int | None, layers: list[int]
) -> dict[str, str | int | float | None]:
    return {
        "source": recording.file.path,
        "output": output.as_posix(),
        "frames": recording.num_frames,
        "frame_rate": loaded.inputs.steps_per_second / loaded.inputs.geometry.stride,
        "seconds": round(recording.num_samples / loaded.inputs.sampling_rate, 3),
        "layer": "all" if layer is None else layers[0],
        "model": loaded.model.config.name_or_path,
    }
