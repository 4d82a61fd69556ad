# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Reading files of torch without running anything that they contain."""

import pickle
import zipfile
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

import torch

WEIGHT_DTYPES = (torch.float32, torch.float16, torch.bfloat16)  # float32 holds them all exactly


class UnsafeCheckpointError(ValueError):
    """The file wants to create objects that have no business in a checkpoint. Nothing of it was executed."""


def load_weights_only(path: str, stand_ins: Sequence[Callable[..., Any] | tuple[Callable[..., Any], str]] = ()) -> Any:
    """Reads a file with torch's weights-only unpickler: tensors, containers, numbers, strings, and `stand_ins`. Zip
    files are mapped into memory.

    Raises:
        UnsafeCheckpointError: The file wants other objects to be created.
        ValueError: It is no such file, or damaged.
    """
    try:
        is_zip = zipfile.is_zipfile(path)
        if is_zip:
            _check_archive(path)
        with torch.serialization.safe_globals(list(stand_ins)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        reason = _unpickler_reason(str(error))
        if "GLOBAL" in reason:
            raise UnsafeCheckpointError(
                f"{path!r} asks for objects other than tensors and plain containers, and was refused; nothing of it "
                f"was executed. The unpickler said: {reason}"
            ) from None
        raise ValueError(f"{path!r} cannot be read as a checkpoint: {reason}") from None
    except Exception as error:  # what damaged bytes make the unpickler and the zip reader raise has no common type
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ValueError(f"{path!r} cannot be read as a checkpoint: {reason}") from None


def _check_archive(path: str) -> None:
    """torch writes its records uncompressed and under plain names; nothing else needs to be tolerated."""
    with zipfile.ZipFile(path) as archive:
        for record in archive.infolist():
            name = PurePosixPath(record.filename)
            if name.is_absolute() or ".." in name.parts or "\\" in record.filename:
                raise ValueError(f"its record {record.filename!r} points outside of the archive")
            if record.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"its record {record.filename!r} is compressed, which torch never does")


def _unpickler_reason(message: str) -> str:
    """What is wrong, out of torch's long message, most of which advises to load the file unsafely."""
    for line in message.splitlines():
        if "GLOBAL" in line:
            return line.partition(" Please use")[0].strip().removeprefix("WeightsUnpickler error: ")
    _, _, reason = message.partition("WeightsUnpickler error:")
    return (reason.strip() or message).splitlines()[0]


def check_weights(weights: Any) -> None:
    """
    Raises:
        ValueError: These are no weights by name: dense tensors of a floating type whose values were all stored.
    """
    if not isinstance(weights, dict):
        raise ValueError(f"it has {type(weights).__name__} where the teacher's weights should be")
    for name, weight in weights.items():
        if type(name) is not str:
            raise ValueError(f"it has a weight whose name is no text but {name!r}")
        if not isinstance(weight, torch.Tensor):
            raise ValueError(f"it has a weight {name!r} that is no tensor but {type(weight).__name__}")
        if weight.dtype not in WEIGHT_DTYPES or weight.layout != torch.strided or weight.device.type != "cpu":
            raise ValueError(
                f"its weight {name!r} is {weight.dtype}, {weight.layout}, on {weight.device}; expected one of "
                f"{WEIGHT_DTYPES}, dense, with its values in the file"
            )
        # strides of zero make a tensor of any size out of one number
        if weight.numel() * weight.element_size() > weight.untyped_storage().nbytes():
            raise ValueError(f"its weight {name!r} of shape {tuple(weight.shape)} has more elements than were stored")
