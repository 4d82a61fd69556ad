# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Reading checkpoints of the fairseq toolkit without running anything that they contain."""

import ast
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from .fairseq_dictionary import FairseqDictionary
from .safe_loading import check_weights, load_weights_only

MAX_CONV_SPEC_LENGTH = 1000  # characters
MAX_CONV_LAYERS = 100


class ArgumentsStandIn:
    """Stands in for `argparse.Namespace`, of which old checkpoints have one. Its fields are not read."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or not all(type(name) is str for name in state):
            raise ValueError("the pickled arguments (argparse.Namespace) have no state of named fields")


class NumpyNumberStandIn:
    """Stands in for a number of numpy, as meters of training may hold, and for its type. Its value is not read."""

    def __init__(self, *parts: Any) -> None:
        """Takes what numpy would be given, and keeps nothing."""

    def __setstate__(self, state: Any) -> None:
        """The same."""


# The only classes, beside torch's own list of tensors and containers, that a checkpoint may name.
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (ArgumentsStandIn, "argparse.Namespace"),
    (FairseqDictionary, "fairseq.data.dictionary.Dictionary"),
    (NumpyNumberStandIn, "numpy.core.multiarray.scalar"),
    (NumpyNumberStandIn, "numpy._core.multiarray.scalar"),  # its name from numpy 2 on
    (NumpyNumberStandIn, "numpy.dtype"),
]


class FairseqCheckpoint(NamedTuple):
    """What a fairseq checkpoint holds.

    Attributes:
        path: The file.
        model: Weights by name.
        teacher: Weights of the EMA teacher, if any.
        config: `cfg`, plain dictionaries.
        num_updates: Optimizer steps taken.
        dictionary: Symbols of a fine-tuned model's outputs, if the file has them.
        other: All further entries of the file.
    """

    path: str
    model: dict[str, torch.Tensor]
    teacher: dict[str, torch.Tensor] | None
    config: dict[str, Any]
    num_updates: int
    dictionary: FairseqDictionary | None
    other: dict[str, Any]


# Where data2vec for text has its teacher; all others have `_ema`.
TEXT_TEACHER = "encoder._ema"


def load_fairseq_checkpoint(path: str | os.PathLike) -> FairseqCheckpoint:
    """Reads a checkpoint with torch's weights-only unpickler: tensors, containers, numbers, strings, and inert
    stand-ins for three kinds of objects; anything else in the file is an error, and nothing is executed. Zip files
    are mapped into memory, so that a file of several GB is not held twice.

    Raises:
        FileNotFoundError: There is no such file.
        UnsafeCheckpointError: The file wants other objects to be created.
        ValueError: It is no checkpoint, not one of fairseq, or damaged.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no checkpoint file at {path!r}.")
    state = load_weights_only(path, STAND_INS)
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise ValueError(
            f"{path!r} is no fairseq checkpoint: expected a dictionary with `model` and `cfg`, but found "
            f"{sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__}."
        )
    if not isinstance(state.get("cfg"), dict):
        raise ValueError(
            f"{path!r} has no `cfg`: it was written by a fairseq before 0.10, which has none of the models that can "
            "be converted."
        )
    model = dict(state["model"])
    teacher = model.pop("_ema", None)
    teacher = model.pop(TEXT_TEACHER, None) if teacher is None else teacher
    try:
        for weights in (model, {} if teacher is None else teacher):
            check_weights(weights)
        num_updates = read_num_updates(state.get("optimizer_history"))
        dictionary = _dictionary(state.get("task_state"))
    except ValueError as error:
        raise ValueError(f"{path!r} is no sound checkpoint: {error}.") from None
    other = {name: entry for name, entry in state.items() if name not in ("model", "cfg")}
    return FairseqCheckpoint(path, model, teacher, state["cfg"], num_updates, dictionary, other)


def read_num_updates(history: Any) -> int:
    """Optimizer steps that the last entry of `optimizer_history` tells of; 0 if there is no history.

    Raises:
        ValueError: It is no such history.
    """
    if history is None or history == []:
        return 0
    if not isinstance(history, list) or not isinstance(history[-1], dict):
        raise ValueError(f"its `optimizer_history` is no list of dictionaries but {str(history)[:80]!r}")
    num_updates = history[-1].get("num_updates", 0)
    if type(num_updates) is not int or not 0 <= num_updates < 2**63:
        raise ValueError(f"its `optimizer_history` counts {str(num_updates)[:80]!r} updates")
    return num_updates


def _dictionary(task_state: Any) -> FairseqDictionary | None:
    """The symbols that `task_state` of a fine-tuned model has, unless the task found them in its data folder."""
    if task_state is None:
        return None
    if not isinstance(task_state, dict):
        raise ValueError(f"its `task_state` is no dictionary but {type(task_state).__name__}")
    dictionary = task_state.get("target_dictionary")
    if dictionary is not None and not isinstance(dictionary, FairseqDictionary):
        raise ValueError(f"its `task_state` has {type(dictionary).__name__} where a dictionary of fairseq should be")
    return dictionary


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
