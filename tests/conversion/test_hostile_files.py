# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Files that are no checkpoints, damaged ones, and files that want to run something."""

import argparse
import builtins
import copy
import ctypes
import functools
import importlib
import io
import marshal
import operator
import os
import pickle
import re
import subprocess
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conversion.original import SYMBOLS, Original, OriginalCTC, dictionary_fields, pickled_dictionary
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_ssl.conversion import UnsafeCheckpointError, convert_checkpoint, load_fairseq_checkpoint

# torch warns while it refuses some of these files, and about the way in which others are made
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content", [b"", b"hello, world\n", b"\x00" * 100, b"PK\x03\x04 not a zip", b"\x80\x02}q\x00.", pickle.dumps({})]
)
def test_files_that_are_no_checkpoints(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoint"):
        load_fairseq_checkpoint(write(tmp_path / "checkpoint.pt", content))


def test_the_reason_is_given_and_not_the_advice_to_load_unsafely(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unsupported operand 110") as error:
        load_fairseq_checkpoint(write(tmp_path / "checkpoint.pt", b"not a checkpoint\n"))
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_checkpoint(share: float, is_zip: bool, tmp_path: Path) -> None:
    path = Original().save(tmp_path / "checkpoint.pt", _use_new_zipfile_serialization=is_zip)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"cannot be read as a checkpoint"):
        load_fairseq_checkpoint(write(path, content[: int(len(content) * share)]))


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.pt"):
        with pytest.raises(FileNotFoundError, match="no checkpoint file"):
            load_fairseq_checkpoint(path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1, 2], "found list"),
        ({"weights": {}}, r"found \['weights'\]"),
        ({1: 2, "b": 3}, "no fairseq checkpoint"),
        ({"model": {}}, "has no `cfg`"),
        ({"model": {}, "cfg": {}}, "no section 'model', but None"),
        ({"model": {}, "cfg": {"model": "data2vec_multi"}}, "no section 'model', but 'data2vec_multi'"),
        ({"model": {"_ema": [1]}, "cfg": {}}, "has list where the teacher's weights should be"),
    ],
)
def test_other_content_is_no_checkpoint(state: Any, message: str, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(tmp_path / "checkpoint.pt", tmp_path / "out")


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, bytes]:
    """A small checkpoint as bytes, by whether it is a zip file."""
    state = {"model": {"weight": torch.arange(6.0)}, "cfg": {"model": {"depth": 3}}, "extra": [1, "two", 3.0, None]}
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.pt"
    saved = {}
    for is_zip in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=is_zip)
        saved[is_zip] = path.read_bytes()
    return saved


@given(
    is_zip=st.booleans(),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
)
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_checkpoint_is_read_or_refused_by_name(
    contents: dict[bool, bytes], is_zip: bool, changes: list[tuple[float, int]], tmp_path: Path
) -> None:
    """Whatever bytes are changed, the outcome is a checkpoint or a `ValueError`, never another exception."""
    content = bytearray(contents[is_zip])
    for position, value in changes:
        content[int(position * len(content))] = value
    path = write(tmp_path / "checkpoint.pt", bytes(content))
    try:
        checkpoint = load_fairseq_checkpoint(path)
    except ValueError as error:
        message = str(error)
    else:
        message = f"{path}: {len(checkpoint.model)} weights"
    assert "checkpoint.pt" in message


# files that want to run something


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


class Stateful:
    """Pickles as an object of our own, whose state a careless reader would set."""

    def __init__(self) -> None:
        self.field = 1


GADGETS: dict[str, Callable[[Path], Any]] = {
    "os.system": lambda canary: Call(os.system, f"touch {canary}"),
    "eval": lambda canary: Call(eval, f"open({str(canary)!r}, 'w')"),
    "exec": lambda canary: Call(exec, f"open({str(canary)!r}, 'w')"),
    "open": lambda canary: Call(open, str(canary), "w"),
    "getattr": lambda canary: Call(getattr, [], "append"),
    "subprocess": lambda canary: Call(subprocess.Popen, ["touch", str(canary)]),
    "a function of numpy": lambda canary: Call(np.save, str(canary), np.zeros(1)),
    "a function of torch": lambda canary: Call(torch.save, 1, str(canary)),
    "torch.load": lambda canary: Call(torch.load, str(canary)),
    "a class of torch": lambda canary: torch.nn.Linear(1, 1),
    "a class of ours": lambda canary: Stateful(),
    "numpy array": lambda canary: np.zeros(3),  # numpy's _reconstruct
    "path": lambda canary: canary,
    "import": lambda canary: Call(builtins.__import__, "os"),
    "importlib": lambda canary: Call(importlib.import_module, "os"),
    "functools.partial": lambda canary: functools.partial(os.system, f"touch {canary}"),
    "operator.attrgetter": lambda canary: operator.attrgetter("system"),
    "a method by name": lambda canary: Call(operator.methodcaller, "unlink"),
    "getattr of a module": lambda canary: Call(getattr, Call(importlib.import_module, "os"), "system"),
    "pickle in a pickle": lambda canary: Call(pickle.loads, pickle.dumps(Call(os.system, f"touch {canary}"))),
    "marshalled code": lambda canary: Call(marshal.loads, marshal.dumps(1)),
    "TorchScript": lambda canary: Call(torch.jit.load, str(canary)),
    "a shared library": lambda canary: Call(ctypes.CDLL, str(canary)),
    "arguments": lambda canary: argparse.Namespace(field=Call(os.system, f"touch {canary}")),
}
PLACES: dict[str, Callable[[dict, Any], Any]] = {
    "whole file": lambda state, gadget: gadget,
    "cfg": lambda state, gadget: (
        state["cfg"]["model"]["modalities"]["audio"].update(extra=[{"deep": gadget}]) or state
    ),
    "weights": lambda state, gadget: state["model"].update(weight=gadget) or state,
    "arguments": lambda state, gadget: state.update(args=argparse.Namespace(field=gadget)) or state,
    "optimizer": lambda state, gadget: state.update(last_optimizer_state=gadget) or state,
}


def assert_refused(path: Path, canary: Path) -> None:
    with pytest.raises(UnsafeCheckpointError, match=r"was refused; nothing of it was executed") as error:
        convert_checkpoint(path, path.parent / "out")
    assert "weights_only" not in str(error.value)
    assert "safe_globals" not in str(error.value)
    assert not canary.exists()
    assert not (path.parent / "out").exists()


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("gadget", sorted(GADGETS))
def test_what_is_not_allowed_is_refused_before_it_runs(gadget: str, is_zip: bool, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    state = copy.deepcopy(Original().state())
    state["extra_state"]["gadget"] = GADGETS[gadget](canary)
    torch.save(state, tmp_path / "checkpoint.pt", _use_new_zipfile_serialization=is_zip)
    canary.unlink(missing_ok=True)
    assert_refused(tmp_path / "checkpoint.pt", canary)


@pytest.mark.parametrize("place", sorted(PLACES))
def test_it_is_refused_wherever_it_hides(place: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    state = PLACES[place](copy.deepcopy(Original().state()), GADGETS["os.system"](canary))
    torch.save(state, tmp_path / "checkpoint.pt")
    assert_refused(tmp_path / "checkpoint.pt", canary)


def test_the_gadget_would_have_run(tmp_path: Path) -> None:
    """Or else the canary proves nothing."""
    canary = tmp_path / "canary"
    torch.save(GADGETS["os.system"](canary), tmp_path / "checkpoint.pt")
    torch.load(tmp_path / "checkpoint.pt", weights_only=False)
    assert canary.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch canary'\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n(cbuiltins\n__dict__\nS'eval'\ntR.",
        b"ctorch\nload\n(S'canary'\ntR.",
        b"cargparse\nArgumentParser\n(tR.",
        b"cfairseq.data.dictionary\nDictionary.load\n(S'canary'\ntR.",
        b"cfairseq.data.dictionary\nDictionary.__init__\n(tR.",
        b"cfairseq.data\nDictionary\n)\x81.",
        b"chf_ssl.conversion.fairseq_dictionary\nread_dictionary\n(S'canary'\ntR.",
        b"cargparse\nNamespace\n)\x81}X\x09\x00\x00\x00__class__cos\nsystem\nsb.",
    ],
)
def test_bare_pickle_programs_are_refused(program: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafeCheckpointError, match="was refused"):
        load_fairseq_checkpoint(write(tmp_path / "checkpoint.pt", program))
    assert not (tmp_path / "canary").exists()


def test_extensions_registered_with_copyreg_are_refused(tmp_path: Path) -> None:
    """Protocol 2's short names for globals."""
    buffer = io.BytesIO(b"\x80\x02\x82\x01.")
    with pytest.raises(ValueError, match="checkpoint"):
        load_fairseq_checkpoint(write(tmp_path / "checkpoint.pt", buffer.getvalue()))


def test_the_allow_list_is_not_left_wider(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    load_fairseq_checkpoint(Original().save(tmp_path / "checkpoint.pt"))
    assert set(torch.serialization.get_safe_globals()) == before
    assert argparse.Namespace not in before


# stand-ins for the two classes that a checkpoint may name


def save_with_dictionary_state(state: Any, path: Path) -> Path:
    with pickled_dictionary(state) as dictionary:
        torch.save(OriginalCTC().state() | {"task_state": {"target_dictionary": dictionary}}, path)
    return path


@pytest.mark.parametrize("field", ["symbols", "count", "indices", "__class__", "__setstate__", "__dict__"])
def test_a_gadget_in_the_dictionarys_state(field: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    state = dictionary_fields(SYMBOLS) | {field: Call(os.system, f"touch {canary}")}
    assert_refused(save_with_dictionary_state(state, tmp_path / "checkpoint.pt"), canary)


@pytest.mark.parametrize(
    "state",
    [
        "a string",
        ["symbols"],
        # of an object with slots: the second part would be set as attributes
        ({"symbols": []}, {"__class__": argparse.Namespace}),
        {"symbols": "abc", "count": [1, 1, 1]},
        {"symbols": [*SYMBOLS, 7], "count": [1] * (len(SYMBOLS) + 1)},
        {"symbols": [*SYMBOLS, ""], "count": [1] * (len(SYMBOLS) + 1)},
        {"symbols": [*SYMBOLS, ["X"]], "count": [1] * (len(SYMBOLS) + 1)},
        {"symbols": [*SYMBOLS, "E"], "count": [1] * (len(SYMBOLS) + 1)},
        {"symbols": list(SYMBOLS), "count": [1]},
        {"symbols": list(SYMBOLS), "count": ["1"] * len(SYMBOLS)},
        {"symbols": list(reversed(SYMBOLS)), "count": [1] * len(SYMBOLS)},
        {"symbols": [], "count": []},
        {"symbols": list(SYMBOLS), "count": argparse.Namespace()},
        {7: list(SYMBOLS)},
    ],
    ids=lambda state: str(state)[:60],
)
def test_a_dictionary_with_an_odd_state(state: Any, tmp_path: Path) -> None:
    path = save_with_dictionary_state(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"cannot be read as a checkpoint: ValueError: the .*dictionary"):
        convert_checkpoint(path, tmp_path / "out")


def test_further_fields_of_the_dictionary_are_not_kept(tmp_path: Path) -> None:
    state = dictionary_fields(SYMBOLS) | {"symbols_": 1, "__init__": 2, "bos_word": argparse.Namespace()}
    checkpoint = load_fairseq_checkpoint(save_with_dictionary_state(state, tmp_path / "checkpoint.pt"))
    assert checkpoint.dictionary is not None
    assert vars(checkpoint.dictionary) == {"symbols": SYMBOLS, "counts": tuple(range(len(SYMBOLS)))}


DICTIONARY = b"cfairseq.data.dictionary\nDictionary\n"


@pytest.mark.parametrize(
    "program",
    [
        DICTIONARY + b".",  # the class itself
        DICTIONARY + b")R.",  # called, without arguments and with some
        DICTIONARY + b"(S'abc'\nI5\ntR.",
        DICTIONARY + b"(I1\nt\x81.",
        DICTIONARY + b")\x81X\x01\x00\x00\x00aK\x01s.",  # an entry set as in a dictionary
        DICTIONARY + b")\x81K\x01a.",  # an element appended as to a list
        DICTIONARY + b"}b.",  # a state for the class
        b"cargparse\nNamespace\n)\x81K\x01b.",
        b"cargparse\nNamespace\n)\x81}K\x01K\x02sb.",
        b"cargparse\nNamespace\n)\x81}}X\x09\x00\x00\x00__class__cargparse\nNamespace\ns\x86b.",
        b"cargparse\nNamespace\n(S'a'\ntR.",
    ],
)
def test_odd_uses_of_the_stand_ins(program: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoint"):
        load_fairseq_checkpoint(write(tmp_path / "checkpoint.pt", program))


def test_a_dictionary_without_state_is_no_vocabulary(tmp_path: Path) -> None:
    state = OriginalCTC().state()
    with pickled_dictionary(None) as dictionary:  # an empty state is not pickled at all
        torch.save(state | {"task_state": {"target_dictionary": dictionary}}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="has 4 symbols"):
        convert_checkpoint(tmp_path / "checkpoint.pt", tmp_path / "out")


# tensors that are not what they claim to be


def rebuilt(numel: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> Call:
    """A tensor of any claimed shape over a storage of `numel` numbers."""
    storage = torch.arange(float(numel)).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    return Call(torch._utils._rebuild_tensor_v2, typed, offset, size, stride, False, OrderedDict())


ABSURD_TENSORS: dict[str, Callable[[], Any]] = {
    "more elements than stored": lambda: rebuilt(2, (10**12,), (1,)),
    "behind its storage": lambda: rebuilt(2, (2,), (1,), offset=10**12),
    "negative size": lambda: rebuilt(2, (-3,), (1,)),
    "negative stride": lambda: rebuilt(2, (2,), (-1,)),
    "one number as a trillion": lambda: rebuilt(1, (10**6, 10**6), (0, 0)),
    "expanded": lambda: torch.zeros(1).expand(3 * 16, 16),
    "sparse": lambda: torch.eye(16).to_sparse(),
    "quantized": lambda: torch.quantize_per_tensor(torch.zeros(16), 1.0, 0, torch.qint8),
    "complex": lambda: torch.zeros(16, dtype=torch.complex64),
    "double precision": lambda: torch.zeros(16, dtype=torch.float64),
    "integers": lambda: torch.zeros(16, dtype=torch.int64),
    "without values": lambda: torch.zeros(16, device="meta"),
}


@pytest.mark.filterwarnings("ignore:.*quantiz.*")
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("tensor", sorted(ABSURD_TENSORS))
def test_absurd_tensors_are_refused(tensor: str, is_zip: bool, tmp_path: Path) -> None:
    state = Original().state()
    state["model"]["blocks.0.norm1.weight"] = ABSURD_TENSORS[tensor]()
    torch.save(state, tmp_path / "checkpoint.pt", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(ValueError, match=r"cannot be read as a checkpoint|is no sound checkpoint|asks for objects"):
        convert_checkpoint(tmp_path / "checkpoint.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def rewrite(path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """The archive with changed records."""
    with zipfile.ZipFile(path) as archive:
        records = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    return path


def test_a_storage_that_claims_more_than_the_file(tmp_path: Path) -> None:
    """It ends where the file ends: no memory is asked for, and none is read that is not the file's."""
    torch.save({"model": {"weight": torch.arange(77.0)}, "cfg": {}}, tmp_path / "checkpoint.pt")
    program = (2**40).to_bytes(6, "little")

    def enlarge(name: str, content: bytes) -> bytes:
        if not name.endswith("data.pkl"):
            return content
        changed, count = re.subn(rb"(?<=cpuq.)K\x4d", lambda _: b"\x8a\x06" + program, content)
        assert count == 1
        return changed

    path = rewrite(tmp_path / "checkpoint.pt", enlarge)
    weight = load_fairseq_checkpoint(path).model["weight"]
    assert weight.untyped_storage().nbytes() <= path.stat().st_size
    assert torch.equal(weight, torch.arange(77.0))


@pytest.mark.parametrize("name", ["../../evil", "/evil", "archive/../../../evil", "..\\evil"])
def test_records_that_point_outside_of_the_archive(name: str, tmp_path: Path) -> None:
    path = Original().save(tmp_path / "checkpoint.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(ValueError, match="points outside of the archive"):
        load_fairseq_checkpoint(path)
    assert not list(tmp_path.rglob("evil"))


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    """A few bytes could become more than any memory."""
    path = rewrite(Original().save(tmp_path / "checkpoint.pt"), lambda name, content: content, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="is compressed, which torch never does"):
        load_fairseq_checkpoint(path)


def test_torchscript_and_tar_archives_are_refused(tmp_path: Path) -> None:
    path = Original().save(tmp_path / "checkpoint.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("checkpoint/constants.pkl", b"x")
    with pytest.raises(ValueError, match=r"cannot be read as a checkpoint: .*TorchScript"):
        load_fairseq_checkpoint(path)
    with tarfile.open(tmp_path / "old.pt", "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_fairseq_checkpoint(tmp_path / "old.pt")
