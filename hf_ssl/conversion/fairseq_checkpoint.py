# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Reading checkpoints of the fairseq toolkit without running anything that they contain."""

import argparse
import ast
import os
import pickle
import zipfile
from typing import Any, NamedTuple

import torch

MAX_CONV_SPEC_LENGTH = 1000  # characters
MAX_CONV_LAYERS = 100


class UnsafeCheckpointError(ValueError):
    """The file wants to create objects that have no business in a checkpoint. Nothing of it was executed."""


class FairseqCheckpoint(NamedTuple):
    """`model`: weights by name. `teacher`: weights of the EMA teacher, if any. `config`: `cfg`, plain dictionaries.
    `num_updates`: optimizer steps taken."""

    model: dict[str, torch.Tensor]
    teacher: dict[str, torch.Tensor] | None
    config: dict[str, Any]
    num_updates: int


def load_fairseq_checkpoint(path: str | os.PathLike) -> FairseqCheckpoint:
    """Reads a checkpoint with torch's weights-only unpickler: tensors, containers, numbers, strings and
    `argparse.Namespace`; anything else in the file is an error, and nothing is executed.

    Raises:
        FileNotFoundError: There is no such file.
        UnsafeCheckpointError: The file wants other objects to be created.
        ValueError: It is no checkpoint, or not one of fairseq.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no checkpoint file at {os.fspath(path)!r}.")
    state = _load_weights_only(path)
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise ValueError(
            f"{os.fspath(path)!r} is no fairseq checkpoint: expected a dictionary with `model` and `cfg`, but found "
            f"{sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__}."
        )
    if not isinstance(state.get("cfg"), dict):
        raise ValueError(
            f"{os.fspath(path)!r} has no `cfg`: it was written by a fairseq before 0.10, which has none of the models "
            "that can be converted."
        )
    model = dict(state["model"])
    teacher = model.pop("_ema", None)
    for weights in (model, {} if teacher is None else teacher):
        _check_weights(weights, path)
    history = state.get("optimizer_history") or [{}]
    return FairseqCheckpoint(model, teacher, state["cfg"], int(history[-1].get("num_updates", 0)))


def _check_weights(weights: Any, path: str | os.PathLike) -> None:
    if not isinstance(weights, dict):
        raise ValueError(f"{os.fspath(path)!r} has {type(weights).__name__} where the teacher's weights should be.")
    for name, weight in weights.items():
        if not isinstance(weight, torch.Tensor):
            raise ValueError(
                f"{os.fspath(path)!r} has a weight {name!r} that is no tensor but {type(weight).__name__}."
            )


def _load_weights_only(path: str | os.PathLike) -> Any:
    try:
        # mapped into memory where the format allows, so that a file of several GB is not read twice
        is_zip = zipfile.is_zipfile(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        reason = _unpickler_reason(str(error))
        if "GLOBAL" in reason:
            raise UnsafeCheckpointError(
                f"{os.fspath(path)!r} asks for objects other than tensors and plain containers, and was refused; "
                f"nothing of it was executed. The unpickler said: {reason}"
            ) from None
        raise ValueError(f"{os.fspath(path)!r} cannot be read as a checkpoint: {reason}") from None
    except Exception as error:  # what damaged bytes make the unpickler and the zip reader raise has no common type
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{os.fspath(path)!r} cannot be read as a checkpoint: {reason}") from None


def _unpickler_reason(message: str) -> str:
    """What is wrong, out of torch's long message, most of which advises to load the file unsafely."""
    for line in message.splitlines():
        if "GLOBAL" in line:
            return line.partition(" Please use")[0].strip().removeprefix("WeightsUnpickler error: ")
    _, _, reason = message.partition("WeightsUnpickler error:")
    return (reason.strip() or message).splitlines()[0]


def parse_conv_spec(spec: str) -> list[tuple[int, int, int]]:
    """Evaluates a layer list such as `"[(512, 10, 5)] + [(512, 3, 2)] * 4"`; the original passes it to `eval`.

    Only lists, tuples, integers, `+` and `*` are understood.

    Returns:
        `(channels, kernel size, stride)` of each layer.

    Raises:
        ValueError: The text contains anything else.
    """
    try:
        if len(spec) > MAX_CONV_SPEC_LENGTH:
            raise ValueError("so long that parsing it may exhaust the stack")
        layers = [_checked_layer(layer) for layer in _evaluate(ast.parse(spec, mode="eval").body)]
        if not layers:
            raise ValueError("no layers")
        return layers
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):
        raise ValueError(
            "Expected a list of (channels, kernel size, stride) such as '[(512, 10, 5)] + [(512, 3, 2)] * 4', but "
            f"the checkpoint says {str(spec)[:200]!r}."
        ) from None


def _checked_layer(layer: Any) -> tuple[int, int, int]:
    channels, kernel, stride = layer
    if not all(isinstance(size, int) and size > 0 for size in layer):
        raise ValueError("sizes must be positive integers")
    return channels, kernel, stride


def _evaluate(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        return [_evaluate(element) for element in node.elts]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _evaluate(node.left), _evaluate(node.right)
        if isinstance(left, list) and isinstance(right, list):
            return left + right
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = _evaluate(node.left), _evaluate(node.right)
        layers, count = (right, left) if isinstance(left, int) else (left, right)
        # checked before the list is made: a few characters can ask for more than any memory
        if isinstance(layers, list) and isinstance(count, int) and len(layers) * count <= MAX_CONV_LAYERS:
            return layers * count
    raise ValueError(f"unexpected {type(node).__name__}")
