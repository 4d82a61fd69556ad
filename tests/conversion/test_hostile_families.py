# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Hostile original checkpoints of every family: refused by name, nothing executed, nothing written.

`test_hostile_files.py` has every kind of gadget, tensor and archive for one family; here are those that matter with
every reader: gadgets wherever a family reads, absurd weights and options, damaged files, dictionaries and byte-pair
encodings.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conversion.test_best_rq import write_checkpoint as write_speechbrain
from conversion.test_data2vec_aqc import save_pretraining as save_data2vec_aqc
from conversion.test_hostile_files import ABSURD_TENSORS, GADGETS
from conversion.test_text import write_checkpoint as write_text_checkpoint

from hf_ssl.conversion import UnsafeCheckpointError, convert_checkpoint, convert_to_fairseq
from hf_ssl.conversion.fairseq_dictionary import read_dictionary
from hf_ssl.conversion.roberta_tokenizer import read_byte_pair_encoding

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

GOLDEN = Path(__file__).parents[1] / "fixtures" / "golden"
State = dict[str, Any]
FAMILIES = (
    "data2vec audio",
    "data2vec audio, CTC",
    "data2vec 2.0 audio",
    "data2vec 2.0 audio, CTC",
    "data2vec 2.0 vision",
    "data2vec 2.0 vision, classifier",
    "data2vec 2.0 text",
    "data2vec-aqc",
)
SPEECHBRAIN_FILES = ("model", "quantizer", "linear", "normalize")
NORMALIZER = {"count": 1, "glob_mean": torch.zeros(80), "glob_std": torch.ones(80)}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sound checkpoint of every family."""
    folder = tmp_path_factory.mktemp("originals")
    save_data2vec_aqc(folder / "aqc")
    cases = ("d2v1_audio_base_padded", "ft_wav2vec_ctc_d2v1", "d2v2_audio_large_padded", "ft_wav2vec_ctc_d2v2")
    cases += ("d2v2_image_base", "ft_mae_image_classification")
    return dict(
        zip(
            FAMILIES,
            [
                *(GOLDEN / case / "checkpoint.pt" for case in cases),
                write_text_checkpoint(folder / "text", folder / "text.pt"),
                convert_to_fairseq(folder / "aqc", folder / "aqc.pt"),
            ],
            strict=True,
        )
    )


def changed(path: Path, change: Callable[[State], Any], out: Path) -> Path:
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, out)
    return out


def options_of(state: State) -> State:
    """Of the network: those of the student, where a fine-tuned model names what it was made of."""
    model = state["cfg"]["model"]
    for name in ("w2v_args", "pretrained_model_args"):
        if name in model:
            return model[name]["model"]
    return model


def first_weight(state: State) -> str:
    return next(
        name for name, tensor in state["model"].items() if isinstance(tensor, torch.Tensor) and tensor.dim() > 1
    )


def assert_refused(path: Path, canary: Path, kind: type[ValueError] = ValueError) -> str:
    with pytest.raises(kind, match=r"checkpoint|CKPT") as error:
        convert_checkpoint(path, canary.parent / "out")
    assert not canary.exists()
    assert not (canary.parent / "out").exists()
    return str(error.value)


PLACES: dict[str, Callable[[State, Any], Any]] = {
    "options": lambda state, gadget: options_of(state).update(extra=[{"deep": gadget}]),
    "weights": lambda state, gadget: state["model"].update({first_weight(state): gadget}),
    "task": lambda state, gadget: state.update(task_state={"target_dictionary": gadget}),
    "optimizer": lambda state, gadget: state.update(last_optimizer_state=gadget),
}


@pytest.mark.parametrize("place", sorted(PLACES))
@pytest.mark.parametrize("family", FAMILIES)
def test_gadgets(family: str, place: str, originals: dict[str, Path], tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for gadget in ("os.system", "getattr", "a class of torch", "numpy array"):
        path = changed(
            originals[family],
            lambda state, gadget=gadget: PLACES[place](state, GADGETS[gadget](canary)),
            tmp_path / "checkpoint.pt",
        )
        assert_refused(path, canary, UnsafeCheckpointError)


@pytest.mark.filterwarnings("ignore:.*quantiz.*")
@pytest.mark.parametrize("family", FAMILIES)
def test_absurd_weights(family: str, originals: dict[str, Path], tmp_path: Path) -> None:
    for tensor in sorted(ABSURD_TENSORS):
        path = changed(
            originals[family],
            lambda state, tensor=tensor: state["model"].update({first_weight(state): ABSURD_TENSORS[tensor]()}),
            tmp_path / "checkpoint.pt",
        )
        assert_refused(path, tmp_path / "canary")


@pytest.mark.parametrize("value", [2**62, -1, 0, 1.5, "four", None], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_absurd_sizes(family: str, value: Any, originals: dict[str, Path], tmp_path: Path) -> None:
    """Of whatever a family says its layers, heads and widths are. No memory is asked for, and nothing loops."""
    sizes = ("depth", "num_heads", "embed_dim", "encoder_layers", "encoder_attention_heads", "encoder_embed_dim")
    options = options_of(torch.load(originals[family], weights_only=True))
    for name in [name for name in sizes if name in options]:
        path = changed(
            originals[family],
            lambda state, name=name: options_of(state).update({name: value}),
            tmp_path / "checkpoint.pt",
        )
        assert_refused(path, tmp_path / "canary")


@pytest.mark.parametrize("family", FAMILIES)
def test_damaged_files(family: str, originals: dict[str, Path], tmp_path: Path) -> None:
    content = originals[family].read_bytes()
    path = tmp_path / "checkpoint.pt"
    for share in (0.0, 0.01, 0.5, 0.999):
        path.write_bytes(content[: int(len(content) * share)])
        assert_refused(path, tmp_path / "canary")


@pytest.mark.parametrize("family", FAMILIES)
def test_missing_and_further_weights(family: str, originals: dict[str, Path], tmp_path: Path) -> None:
    for change in (
        lambda state: state["model"].pop(first_weight(state)),
        lambda state: state["model"].update({"../../evil": torch.zeros(1)}),
        lambda state: state["model"].update({first_weight(state): torch.zeros(1)}),
    ):
        assert_refused(changed(originals[family], change, tmp_path / "checkpoint.pt"), tmp_path / "canary")
    assert not list(tmp_path.rglob("evil*"))


# BEST-RQ


@pytest.mark.parametrize("name", SPEECHBRAIN_FILES)
@pytest.mark.parametrize("gadget", ["os.system", "getattr", "a class of torch", "numpy array", "path"])
def test_gadgets_in_a_folder_of_speechbrain(name: str, gadget: str, tmp_path: Path) -> None:
    folder = write_speechbrain(tmp_path / "CKPT+a", NORMALIZER)
    for content in (GADGETS[gadget](tmp_path / "canary"), {"weight": GADGETS[gadget](tmp_path / "canary")}):
        torch.save(content, folder / f"{name}.ckpt")
        assert_refused(folder, tmp_path / "canary", UnsafeCheckpointError)


@pytest.mark.filterwarnings("ignore:.*quantiz.*")
@pytest.mark.parametrize("name", SPEECHBRAIN_FILES)
def test_absurd_files_in_a_folder_of_speechbrain(name: str, tmp_path: Path) -> None:
    folder = write_speechbrain(tmp_path / "CKPT+a", NORMALIZER)
    file = folder / f"{name}.ckpt"
    sound = torch.load(file, weights_only=True)
    key = next(key for key, value in sound.items() if isinstance(value, torch.Tensor))
    for tensor in ABSURD_TENSORS.values():
        torch.save(sound | {key: tensor()}, file)
        assert_refused(folder, tmp_path / "canary")
    for content in ([1, 2], {}, {1: torch.zeros(1)}, {"weight": [1]}, 3):
        torch.save(content, file)
        assert_refused(folder, tmp_path / "canary")
    file.write_bytes(b"not a checkpoint")
    assert_refused(folder, tmp_path / "canary")


def test_a_folders_other_files_are_not_read(tmp_path: Path) -> None:
    """Optimizer and counters of SpeechBrain are pickles too, and the recipe's hyper-parameters YAML with tags."""
    folder = write_speechbrain(tmp_path / "CKPT+a")
    torch.save(GADGETS["os.system"](tmp_path / "canary"), folder / "optimizer.ckpt")
    (folder / "CKPT.yaml").write_text(f"!!python/object/apply:os.system ['touch {tmp_path / 'canary'}']\n")
    convert_checkpoint(folder, tmp_path / "out")
    assert not (tmp_path / "canary").exists()


# dictionaries and byte-pair encodings, which are text


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00bad 1\n",  # no UTF-8
        b"\x80\x02cos\nsystem\n",
        b"A\n",
        b"A -1\n",
        b"A 1e9\n",
        b"A 0x10\n",
        b" 1\n",
        b"A 1\n\nB 1\n",
        b"A 1\nA 2\n",
        b"<s> 1\n",
        b"A " + b"9" * 5000 + b"\n",  # more digits than Python turns into a number
    ],
)
def test_hostile_dictionaries(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "dict.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is no dictionary of fairseq"):
        read_dictionary(path)


def test_symbols_are_no_paths(tmp_path: Path) -> None:
    """Whatever a symbol is, it stays text."""
    path = tmp_path / "dict.txt"
    path.write_text("../../../evil 1\n${HOME} 2\n| 3\n")
    assert read_dictionary(path).symbols[4:] == ("../../../evil", "${HOME}", "|")


@pytest.mark.parametrize(
    "encoder",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,  # nested deeper than the parser's stack
        b"[1, 2]",
        b'{"a": "1"}',
        b'{"a": true}',
        b'{"a": 1.5}',
        b'{"a": NaN}',
        b'{"a": null}',
        b'{"a": 1, "b": 1}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": {"__class__": "os.system"}}',
    ],
    ids=lambda content: content[:30].decode("latin-1"),
)
def test_hostile_byte_pair_encodings(encoder: bytes, tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_bytes(encoder)
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\n")
    with pytest.raises(ValueError, match=r"encoder\.json' (is no JSON|must map tokens to numbers)"):
        read_byte_pair_encoding(tmp_path)


@pytest.mark.parametrize("merges", [b"\xff\xfe", b"a\n", b"a b c\n", b" b\n", b"a ..\n", b"../a b\n"])
def test_hostile_merges(merges: bytes, tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_text(json.dumps({"a": 0, "b": 1, "ab": 2}))
    (tmp_path / "vocab.bpe").write_bytes(merges)
    with pytest.raises(ValueError, match=r"vocab\.bpe"):
        read_byte_pair_encoding(tmp_path)


def test_the_canaries_would_have_appeared(tmp_path: Path) -> None:
    """Or else they prove nothing."""
    torch.save({"weight": GADGETS["os.system"](tmp_path / "canary")}, tmp_path / "model.ckpt")
    torch.load(tmp_path / "model.ckpt", weights_only=False)
    assert os.path.exists(tmp_path / "canary")
    assert isinstance(GADGETS["numpy array"](tmp_path), np.ndarray)
