# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Reading checkpoints of the fairseq toolkit without running anything that they contain."""

import argparse
import ast
import os
import pickle
import zipfile
from typing import Any, NamedTuple

import torch


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
            f"{sorted(state) if isinstance(state, dict) else type(state).__name__}."
        )
    if not isinstance(state.get("cfg"), dict):
        raise ValueError(
            f"{os.fspath(path)!r} has no `cfg`: it was written by a fairseq before 0.10, which has none of the models "
            "that can be converted."
        )
    model = dict(state["model"])
    teacher = model.pop("_ema", None)
    history = state.get("optimizer_history") or [{}]
    return FairseqCheckpoint(model, teacher, state["cfg"], int(history[-1].get("num_updates", 0)))


def _load_weights_only(path: str | os.PathLike) -> Any:
    # mapped into memory where the format allows, so that a file of several GB is not read twice
    is_zip = zipfile.is_zipfile(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        if "global" in str(error).lower():
            raise UnsafeCheckpointError(
                f"{os.fspath(path)!r} asks for objects other than tensors and plain containers, and was refused; "
                f"nothing of it was executed. The unpickler said: {_unpickler_reason(str(error))}"
            ) from None
        raise ValueError(f"{os.fspath(path)!r} cannot be read as a checkpoint: {reason}") from None
    except (EOFError, RuntimeError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{os.fspath(path)!r} cannot be read as a checkpoint: {error}") from None


def _unpickler_reason(message: str) -> str:
    """The line of torch's long message that names the forbidden object."""
    lines = [line.strip() for line in message.splitlines() if "global" in line.lower() or "GLOBAL" in line]
    return lines[0] if lines else message.splitlines()[0]


def parse_conv_spec(spec: str) -> list[tuple[int, int, int]]:
    """Evaluates a layer list such as `"[(512, 10, 5)] + [(512, 3, 2)] * 4"`; the original passes it to `eval`.

    Only lists, tuples, integers, `+` and `*` are understood.

    Returns:
        `(channels, kernel size, stride)` of each layer.

    Raises:
        ValueError: The text contains anything else.
    """
    try:
        layers = _evaluate(ast.parse(spec, mode="eval").body)
        return [(int(channels), int(kernel), int(stride)) for channels, kernel, stride in layers]
    except (SyntaxError, TypeError, ValueError):
        raise ValueError(
            "Expected a list of (channels, kernel size, stride) such as '[(512, 10, 5)] + [(512, 3, 2)] * 4', but "
            f"the checkpoint says {spec!r}."
        ) from None


def _evaluate(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        return [_evaluate(element) for element in node.elts]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _evaluate(node.left) + _evaluate(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = _evaluate(node.left), _evaluate(node.right)
        if isinstance(right, int) and right > 100:
            raise ValueError("more repetitions than any network has layers")
        return left * right
    raise ValueError(f"unexpected {type(node).__name__}")
