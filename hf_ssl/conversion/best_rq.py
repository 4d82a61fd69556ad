# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""BEST-RQ: checkpoint folders of the SpeechBrain toolkit <-> our folders."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoFeatureExtractor

from ..models.configuration_best_rq import BestRqConfig
from ..models.feature_extraction_best_rq import BestRqFeatureExtractor
from ..models.modeling_best_rq import BestRqForPreTraining
from .best_rq_weights import (
    DECODER_POSITIONS,
    HEAD,
    INVERSE_FREQUENCIES,
    MODEL,
    QUANTIZER,
    decoder_positions,
    inverse_frequencies,
    original_name,
    our_name,
    to_original,
    to_ours,
)
from .filling import check_counts, fill_model
from .problems import Problems, one_line
from .safe_loading import check_weights, load_weights_only

NORMALIZER = "normalize"
DECODER_LENGTH = 2500  # of the original's positions for a decoder

# What the recipe does that no file of a checkpoint says. Conversion sets it; the card of the folder names it.
RECIPE_OPTIONS: dict[str, Any] = {
    "hidden_act": "gelu",
    "symmetric_positions": True,
    "scale_attention_by_hidden_size": True,
    "pad_start": True,
    "convolve_padding": True,
    "mask_prob": 0.15,
    "mask_length": 4,
    "mask_sampling": "grid",
    "one_mask_per_batch": True,
    "dynamic_chunk_prob": 0.6,
}


class SpeechBrainCheckpoint(NamedTuple):
    """What a checkpoint folder of a BEST-RQ recipe holds.

    Attributes:
        folder: `CKPT+...`.
        weights: By file and name: `{"model": {...}, "quantizer": {...}, "linear": {...}}`.
        normalizer: `count`, `glob_mean` and `glob_std`; `None` if there is no such file.
        ignored: Names of the folder's other files: optimizer, counters.
    """

    folder: Path
    weights: dict[str, dict[str, torch.Tensor]]
    normalizer: dict[str, Any] | None
    ignored: list[str]


class BestRqConversion(NamedTuple):
    """What a checkpoint becomes.

    Attributes:
        model: With the original's weights.
        feature_extractor: What the original does to waveforms.
        limits: What the folder's card has to say, sentences.
    """

    model: BestRqForPreTraining
    feature_extractor: BestRqFeatureExtractor
    limits: list[str]


def load_speechbrain_checkpoint(path: str | os.PathLike) -> SpeechBrainCheckpoint:
    """Reads a checkpoint folder, or the one checkpoint of a `save` folder. Nothing in it is executed.

    Raises:
        FileNotFoundError: There is no such folder, or a file of it is missing.
        UnsafeCheckpointError: A file wants objects other than tensors and plain containers to be created.
        ValueError: The folder holds several checkpoints, or a file is damaged.
    """
    folder = _checkpoint_folder(Path(path))
    missing = [f"{name}.ckpt" for name in (MODEL, QUANTIZER, HEAD) if not (folder / f"{name}.ckpt").is_file()]
    if missing:
        raise FileNotFoundError(
            f"{os.fspath(folder)!r} lacks {', '.join(missing)}. A checkpoint of SpeechBrain's BEST-RQ recipe has "
            "model.ckpt, quantizer.ckpt and linear.ckpt."
        )
    weights = {name: _load_weights(folder / f"{name}.ckpt") for name in (MODEL, QUANTIZER, HEAD)}
    normalizer_file = folder / f"{NORMALIZER}.ckpt"
    normalizer = _load_normalizer(normalizer_file) if normalizer_file.is_file() else None
    read = {f"{name}.ckpt" for name in (*weights, NORMALIZER)}
    ignored = sorted(file.name for file in folder.iterdir() if file.name not in read)
    return SpeechBrainCheckpoint(folder, weights, normalizer, ignored)


def _checkpoint_folder(path: Path) -> Path:
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {os.fspath(path)!r}.")
    checkpoints = sorted(folder for folder in path.glob("CKPT+*") if folder.is_dir())
    if (path / f"{MODEL}.ckpt").is_file() or not checkpoints:
        return path
    if len(checkpoints) > 1:
        names = ", ".join(folder.name for folder in checkpoints)
        raise ValueError(f"{os.fspath(path)!r} holds several checkpoints: {names}. Name the one to convert.")
    return checkpoints[0]


def _load_weights(file: Path) -> dict[str, torch.Tensor]:
    weights = load_weights_only(os.fspath(file))
    try:
        check_weights(weights)
    except ValueError as error:
        raise ValueError(f"{os.fspath(file)!r} is no sound checkpoint: {error}.") from None
    return {name: tensor.float() for name, tensor in weights.items()}


def _load_normalizer(file: Path) -> dict[str, Any]:
    state = load_weights_only(os.fspath(file))
    is_sound = isinstance(state, dict) and type(state.get("count")) is int
    if not is_sound or not all(isinstance(state.get(name), torch.Tensor) for name in ("glob_mean", "glob_std")):
        raise ValueError(
            f"{os.fspath(file)!r} is no normaliser of SpeechBrain: expected a dictionary with the number `count` and "
            "the tensors `glob_mean` and `glob_std`."
        )
    return state


def convert_best_rq(checkpoint: SpeechBrainCheckpoint) -> BestRqConversion:
    """A checkpoint of the open-source BEST-RQ.

    Raises:
        ValueError: Weights do not fit together, or have no counterpart here; all that do not are listed.
    """
    problems = Problems()
    fields = _fields(checkpoint.weights, problems)
    problems.raise_if_any(checkpoint.folder)
    config = _config(fields, problems)
    problems.raise_if_any(checkpoint.folder)
    assert config is not None  # or there would have been a problem
    weights = _rename(checkpoint.weights, config.num_attention_heads, problems)
    model = None
    if check_counts({"layers": config.num_hidden_layers}, weights, problems):
        model = fill_model(BestRqForPreTraining, config, weights, problems)
    _check_buffers(checkpoint.weights, config, problems)
    feature_extractor = _feature_extractor(checkpoint.normalizer, config, problems)
    problems.raise_if_any(checkpoint.folder)
    assert model is not None
    assert feature_extractor is not None
    return BestRqConversion(model, feature_extractor, _limits(checkpoint))


def _fields(weights: dict[str, dict[str, torch.Tensor]], problems: Problems) -> dict[str, Any]:
    """Sizes, which only the shapes of the weights tell."""
    layer = "1.transformer.encoder.layers.0."
    shapes = {name: tuple(tensor.shape) for file in weights.values() for name, tensor in file.items()}
    needed = {
        "1.transformer.custom_src_module.layers.0.w.weight": 2,
        layer + "mha_layer.pos_bias_u": 2,
        layer + "ffn_module1.1.ffn.0.weight": 2,
        layer + "convolution_module.conv.weight": 3,
        "0.convblock_0.convs.norm_0.norm.weight": 2,
        "P": 2,
        "CB": 2,
    }
    problems.missing_weights += [name for name in needed if name not in shapes]
    problems.misshapen_weights += [
        f"{name} has shape {shapes[name]} instead of {dims} dimensions without sizes of 0"
        for name, dims in needed.items()
        if name in shapes and (len(shapes[name]) != dims or 0 in shapes[name])
    ]
    if problems.missing_weights or problems.misshapen_weights:
        return {}
    conv_dim: list[int] = []
    while (name := f"0.convblock_{len(conv_dim)}.convs.conv_0.conv.weight") in shapes:
        conv_dim.append(shapes[name][0])
    num_layers = 0
    while f"1.transformer.encoder.layers.{num_layers}.mha_layer.pos_bias_u" in shapes:
        num_layers += 1
    return {
        "num_mel_bins": shapes["P"][0] // 2 ** len(conv_dim),
        "conv_dim": conv_dim,
        "hidden_size": shapes["1.transformer.custom_src_module.layers.0.w.weight"][0],
        "num_hidden_layers": num_layers,
        "num_attention_heads": shapes[layer + "mha_layer.pos_bias_u"][1],
        "intermediate_size": shapes[layer + "ffn_module1.1.ffn.0.weight"][0],
        "conv_kernel_size": shapes[layer + "convolution_module.conv.weight"][2],
        "codebook_size": shapes["CB"][0],
        "codebook_dim": shapes["CB"][1],
    }


def _config(fields: dict[str, Any], problems: Problems) -> BestRqConfig | None:
    try:
        return BestRqConfig(**fields, **RECIPE_OPTIONS)
    except (StrictDataclassError, ArithmeticError) as error:
        problems.options.append(f"The shapes of the weights make no model: {one_line(error)}")
        return None


def _rename(
    weights: dict[str, dict[str, torch.Tensor]], num_heads: int, problems: Problems
) -> dict[str, torch.Tensor]:
    """Weights by our names and in our shapes."""
    renamed = {}
    for file, tensors in weights.items():
        for name, tensor in tensors.items():
            ours = our_name(file, name)
            if ours is None:
                if name not in (INVERSE_FREQUENCIES, DECODER_POSITIONS):
                    problems.unknown_weights.append(f"{file}.ckpt: {name}")
                continue
            try:
                renamed[ours] = to_ours(ours, tensor, num_heads)
            except (RuntimeError, IndexError):
                problems.misshapen_weights.append(f"{name} has shape {tuple(tensor.shape)}")
    return renamed


def _check_buffers(weights: dict[str, dict[str, torch.Tensor]], config: BestRqConfig, problems: Problems) -> None:
    """What the original stores and we compute must agree; and the codebook must be of the fixed quantizer."""
    frequencies = weights[MODEL].get(INVERSE_FREQUENCIES)
    expected = inverse_frequencies(config.hidden_size)
    if frequencies is None or frequencies.shape != expected.shape or not torch.allclose(frequencies, expected):
        problems.options.append("The encoder's positions are not the sinusoids of `RelPosEncXL`")
    lengths = weights[QUANTIZER]["CB"].norm(dim=-1)
    if not torch.allclose(lengths, torch.ones_like(lengths), atol=1e-4):
        problems.options.append(
            "The codebook's vectors do not have length 1: the checkpoint is of before 2025, when the recipe "
            "normalised along the wrong dimension, and its codes cannot be reproduced"
        )


def _feature_extractor(
    normalizer: dict[str, Any] | None, config: BestRqConfig, problems: Problems
) -> BestRqFeatureExtractor | None:
    if normalizer is None or normalizer["count"] == 0:
        return BestRqFeatureExtractor(feature_size=config.num_mel_bins, normalization="recipe")
    mean, std = normalizer["glob_mean"], normalizer["glob_std"]
    if not mean.shape == std.shape == (config.num_mel_bins,):
        problems.options.append(
            f"The normaliser has statistics of shapes {tuple(mean.shape)} and {tuple(std.shape)} for "
            f"{config.num_mel_bins} mel bins"
        )
        return None
    return BestRqFeatureExtractor(
        feature_size=config.num_mel_bins, normalization="dataset", mean=mean.tolist(), std=std.tolist()
    )


def _limits(checkpoint: SpeechBrainCheckpoint) -> list[str]:
    limits = [
        "A checkpoint of SpeechBrain holds weights and no options. Activations, dropouts, masks, chunks and features "
        "are those of the published recipe (`BEST-RQ.yaml`); if yours differed, change the configuration.",
    ]
    if checkpoint.normalizer is None:
        limits.append("There was no normaliser in the checkpoint: features are normalised per utterance.")
    elif checkpoint.normalizer["count"] > 0:
        limits.append("Padded mel frames are zeros behind the data set's normalisation; the original normalises them.")
    if checkpoint.ignored:
        limits.append(f"Not kept of the original folder: {', '.join(checkpoint.ignored)}.")
    return limits


def convert_to_speechbrain(folder: str | os.PathLike, path: str | os.PathLike) -> Path:
    """Writes a checkpoint folder that SpeechBrain's BEST-RQ recipe loads, out of a pre-training folder.

    Weights have the original's names, shapes and values. The normaliser of `normalization="dataset"` counts one batch.
    The optimizer, the scheduler and the counters are missing, without which a SpeechBrain run does not resume but
    starts from these weights.

    Args:
        folder: As written by `save_pretrained`, with its feature extractor.
        path: Folder to write, `CKPT+...` by SpeechBrain's custom; it must not exist.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: `path` exists, or the model or its features have what the original does not have; all is listed.
    """
    folder, path = Path(folder), Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {os.fspath(folder)!r}.")
    if path.exists():
        raise ValueError(f"{os.fspath(path)!r} exists already; name a folder that does not.")
    config = AutoConfig.from_pretrained(folder)
    if config.architectures != ["BestRqForPreTraining"]:
        raise ValueError(
            f"{os.fspath(folder)!r} holds {config.architectures}. What the original has is BestRqForPreTraining."
        )
    feature_extractor = AutoFeatureExtractor.from_pretrained(folder)
    _check_representable(config, feature_extractor, folder)
    model = BestRqForPreTraining.from_pretrained(folder, config=config, dtype=torch.float32)
    files = original_files(model.state_dict(), config)
    files[NORMALIZER] = _normalizer_state(feature_extractor)
    path.mkdir(parents=True)
    for name, content in files.items():
        torch.save(content, path / f"{name}.ckpt")
    return path


def original_files(weights: dict[str, torch.Tensor], config: BestRqConfig) -> dict[str, dict[str, Any]]:
    """The content of model.ckpt, quantizer.ckpt and linear.ckpt."""
    files: dict[str, dict[str, Any]] = {
        MODEL: {
            INVERSE_FREQUENCIES: inverse_frequencies(config.hidden_size),
            DECODER_POSITIONS: decoder_positions(config.hidden_size, DECODER_LENGTH),
        },
        QUANTIZER: {},
        HEAD: {},
    }
    for name, tensor in weights.items():
        original = original_name(name)
        assert original is not None, name
        files[original.file][original.name] = to_original(name, tensor, config.num_attention_heads)
    return files


def _check_representable(config: BestRqConfig, feature_extractor: Any, folder: Path) -> None:
    fixed = {
        "encoder_type": "conformer",
        "conv_norm": "layer",
        "conv_causal": False,
        "symmetric_positions": True,
        "scale_attention_by_hidden_size": True,
        "num_codebooks": 1,
        "layer_norm_eps": 1e-5,
        "final_layer_norm_eps": 1e-6,
    }
    values = config.to_dict()
    problems = Problems()
    problems.unsupported_options += [
        f"`{name}` = {values[name]!r} (the original has {value!r})"
        for name, value in fixed.items()
        if values[name] != value
    ]
    if not isinstance(feature_extractor, BestRqFeatureExtractor):
        problems.options.append(f"The features are those of {type(feature_extractor).__name__}")
    elif feature_extractor.normalization == "none":
        problems.options.append("The feature extractor's `normalization` is 'none'")
    problems.raise_if_any(folder)


def _normalizer_state(feature_extractor: BestRqFeatureExtractor) -> dict[str, Any]:
    if feature_extractor.normalization != "dataset":
        return {"count": 0, "glob_mean": torch.empty(0), "glob_std": torch.empty(0)}
    return {
        "count": 1,
        "glob_mean": torch.tensor(feature_extractor.mean),
        "glob_std": torch.tensor(feature_extractor.std),
    }
