# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Files of frames that are written piece by piece: the memory does not grow with the recording."""

import io
import json
import math
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow
import pyarrow.parquet

FEATURE_FORMATS = ("npy", "safetensors", "parquet")


class FeatureFile:
    """A file of features under a temporary name until it is complete: no half file is ever taken for a whole one.

    To be used as a context; what is incomplete at its end is removed.

    Args:
        path (`Path`): What it is called in the end.
        kind (`str`): `"npy"`, `"safetensors"` (tensor `hidden_states`) or `"parquet"` (a row per frame, a column
            `layer_K` per layer, a row group per window).
        shape (`tuple[int, int, int]`):
            `(num_frames, num_layers, hidden_size)`; with one layer npy and safetensors have `(num_frames,
            hidden_size)`. Known in advance from the number of samples: their headers come before the data.
        dtype (`str`): `"float32"` or `"float16"`.
        layers (`list[int]`): The numbers of the layers.
    """

    def __init__(self, path: Path, kind: str, shape: tuple[int, int, int], dtype: str, layers: list[int]) -> None:
        self.path = path
        self._unfinished = path.with_name(path.name + ".part")
        self._num_missing = shape[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer: _RawWriter | _ParquetWriter
        if kind == "parquet":
            self._writer = _ParquetWriter(self._unfinished, shape[-1], dtype, layers)
        else:
            stored_shape = shape if len(layers) > 1 else (shape[0], shape[2])
            header = {"npy": _npy_header, "safetensors": _safetensors_header}[kind](stored_shape, dtype)
            self._writer = _RawWriter(self._unfinished, header)

    @property
    def is_complete(self) -> bool:
        """Whether all frames have been written."""
        return self._num_missing == 0

    def write(self, frames: np.ndarray) -> None:
        """Appends `(num_frames, num_layers, hidden_size)`."""
        self._num_missing -= len(frames)
        self._writer.write(frames)

    def __enter__(self) -> "FeatureFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.close()
        if error is None and self.is_complete:
            self._unfinished.replace(self.path)
        else:
            self._unfinished.unlink()


class _RawWriter:
    """A header, then the numbers in order: npy and safetensors are both no more than that."""

    def __init__(self, path: Path, header: bytes) -> None:
        self._file = open(path, "wb")  # noqa: SIM115  # closed by `close`
        self._file.write(header)

    def write(self, frames: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(frames).data)

    def close(self) -> None:
        self._file.close()


class _ParquetWriter:
    def __init__(self, path: Path, hidden_size: int, dtype: str, layers: list[int]) -> None:
        value = pyarrow.list_({"float32": pyarrow.float32(), "float16": pyarrow.float16()}[dtype], hidden_size)
        self._schema = pyarrow.schema([(f"layer_{layer}", value) for layer in layers])
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, use_dictionary=False)  # floats do not repeat

    def write(self, frames: np.ndarray) -> None:
        columns = [
            pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(frames[:, position].ravel()), type=field.type)
            for position, field in enumerate(self._schema)
        ]
        self._writer.write_table(pyarrow.table(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    header = io.BytesIO()
    description = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(header, {"descr": description, "fortran_order": False, "shape": shape})
    return header.getvalue()


def _safetensors_header(shape: tuple[int, ...], dtype: str) -> bytes:
    num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    tensor = {
        "dtype": {"float32": "F32", "float16": "F16"}[dtype],
        "shape": list(shape),
        "data_offsets": [0, num_bytes],
    }
    content = json.dumps({"hidden_states": tensor}).encode()
    content += b" " * (-len(content) % 8)  # the data begin at a multiple of eight bytes
    return len(content).to_bytes(8, "little") + content
