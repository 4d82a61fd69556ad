# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Hostile folders of our own models: refused with a reason, and nothing in them is executed.

What reads them is transformers. Two things it does not refuse, and which execute nothing: weights of integers, which
it casts, and an index that names a safetensors file outside of the folder.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conversion.test_hostile_files import Call
from families import FAMILIES, FAMILY_NAMES, Family, make_model, opener
from transformers import AutoFeatureExtractor, AutoModelForPreTraining, AutoTokenizer

from hf_ssl.inference import load_encoder

Change = Callable[[Path], Any]
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sound folder of every family."""
    root = tmp_path_factory.mktemp("folders")
    for family in FAMILIES:
        make_model(family, "AutoModelForPreTraining").save_pretrained(root / family.name)
        family.save_processors(root / family.name)
    return {family.name: root / family.name for family in FAMILIES}


@pytest.fixture
def change_folder(folders: dict[str, Path], tmp_path: Path) -> Callable[[Change, str], Path]:
    """`change_folder(change, family)`: a changed copy, with code beside it that leaves a canary."""

    def change_copy(change: Change, family: str = "data2vec2-audio") -> Path:
        folder = tmp_path / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(folders[family], folder)
        (folder / "evil.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')\nclass Evil:\n    pass\n")
        change(folder)
        return folder

    return change_copy


def with_fields(file: str, **fields: Any) -> Change:
    def change(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(content | fields))

    return change


def with_weights(change: Callable[[bytes], bytes]) -> Change:
    return lambda folder: (folder / WEIGHTS).write_bytes(change((folder / WEIGHTS).read_bytes()))


DAMAGED_WEIGHTS: dict[str, Change] = {
    "none": lambda folder: (folder / WEIGHTS).unlink(),
    "empty": with_weights(lambda content: b""),
    "truncated": with_weights(lambda content: content[: len(content) // 2]),
    "a header of 2**62 bytes": with_weights(lambda content: (2**62).to_bytes(8, "little") + content[8:]),
    "a header that is no JSON": with_weights(lambda content: content[:8] + b"x" * (len(content) - 8)),
    "another file": with_weights(lambda content: b"PK\x03\x04" + content),
}
HOSTILE_CONFIGS: dict[str, Change] = {
    "no JSON": lambda folder: (folder / "config.json").write_text("{"),
    "a list": lambda folder: (folder / "config.json").write_text("[]"),
    "a billion layers": with_fields("config.json", num_hidden_layers=10**9),
    "negative layers": with_fields("config.json", num_hidden_layers=-1),
    "layers of text": with_fields("config.json", num_hidden_layers="2"),
    "a billion channels": with_fields("config.json", hidden_size=10**9),
    "no channels": with_fields("config.json", hidden_size=0),
    "channels of null": with_fields("config.json", hidden_size=None),
    "no heads": with_fields("config.json", num_attention_heads=0),
    "negative heads": with_fields("config.json", num_attention_heads=-4),
    "an activation that is a function": with_fields("config.json", hidden_act="os.system"),
    "another size": with_fields("config.json", intermediate_size=8),
}


def assert_refused(folder: Path, canary: Path, auto_class: Any = AutoModelForPreTraining) -> None:
    with pytest.raises(Exception, match=r"(?s)\w+ \w+") as error:  # a sentence
        auto_class.from_pretrained(folder, trust_remote_code=False)
    assert not isinstance(error.value, AttributeError | ZeroDivisionError | IndexError | MemoryError)
    assert not canary.exists()


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_damaged_weights(family: Family, change_folder: Callable, tmp_path: Path) -> None:
    auto_class = opener(family, "AutoModelForPreTraining")
    for change in DAMAGED_WEIGHTS.values():
        assert_refused(change_folder(change, family.name), tmp_path / "canary", auto_class)


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_hostile_configurations(family: Family, change_folder: Callable, tmp_path: Path) -> None:
    auto_class = opener(family, "AutoModelForPreTraining")
    for change in HOSTILE_CONFIGS.values():
        assert_refused(change_folder(change, family.name), tmp_path / "canary", auto_class)


@pytest.mark.parametrize("change", [*DAMAGED_WEIGHTS.values(), *HOSTILE_CONFIGS.values()])
def test_our_commands_name_the_folder(change: Change, change_folder: Callable) -> None:
    with pytest.raises(ValueError, match=r"folder"):
        load_encoder(str(change_folder(change)), device="cpu")


def test_pickled_weights(change_folder: Callable, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        torch.save({"weight": Call(os.system, f"touch {tmp_path / 'canary'}")}, folder / "pytorch_model.bin")

    folder = change_folder(change)
    assert_refused(folder, tmp_path / "canary")
    with pytest.raises(ValueError, match="cannot open the model"):
        load_encoder(str(folder), device="cpu")
    assert not (tmp_path / "canary").exists()


EVIL_CODE = {"AutoConfig": "evil.Evil", "AutoModelForPreTraining": "evil.Evil", "AutoModel": "evil.Evil"}


def test_code_of_a_folder_is_not_run(change_folder: Callable, tmp_path: Path) -> None:
    """Of our own model type the package's class is taken, another one is refused."""
    folder = change_folder(with_fields("config.json", auto_map=EVIL_CODE))
    AutoModelForPreTraining.from_pretrained(folder)
    AutoModelForPreTraining.from_pretrained(folder, trust_remote_code=False)
    load_encoder(str(folder), device="cpu")
    assert not (tmp_path / "canary").exists()
    for model_type in ("evil", "../../evil"):
        assert_refused(
            change_folder(with_fields("config.json", model_type=model_type, auto_map=EVIL_CODE)), tmp_path / "canary"
        )


@pytest.mark.parametrize(
    "fields",
    [
        {"feature_extractor_type": "evil.Evil", "auto_map": {"AutoFeatureExtractor": "evil.Evil"}},
        {"feature_extractor_type": "os.system"},
        {"feature_extractor_type": "../../evil"},
        {"processor_class": "evil.Evil", "auto_map": {"AutoProcessor": "evil.Evil"}},
    ],
    ids=str,
)
def test_code_of_a_preprocessor_is_not_run(fields: dict, change_folder: Callable, tmp_path: Path) -> None:
    """Whether transformers refuses the name or takes the class that belongs to the model."""

    def change(folder: Path) -> None:
        content = {"feature_size": 1, "sampling_rate": 16_000, **fields}
        (folder / "processor_config.json").unlink()
        (folder / "preprocessor_config.json").write_text(json.dumps(content))

    folder = change_folder(change)
    try:
        extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError):
        extractor = None
    assert extractor is None or type(extractor).__module__.startswith("transformers.")
    assert not (tmp_path / "canary").exists()


def test_code_of_a_tokenizer_is_not_run(change_folder: Callable, tmp_path: Path) -> None:
    code = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    folder = change_folder(with_fields("tokenizer_config.json", **code))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError):
        tokenizer = None
    assert tokenizer is None or type(tokenizer).__module__.startswith("transformers.")
    assert not (tmp_path / "canary").exists()


def test_the_code_would_have_run(change_folder: Callable, tmp_path: Path) -> None:
    """Or else the canary proves nothing."""
    folder = change_folder(with_fields("config.json", model_type="evil", auto_map=EVIL_CODE))
    with pytest.raises(Exception, match=r"\w"):
        AutoModelForPreTraining.from_pretrained(folder, trust_remote_code=True)
    assert (tmp_path / "canary").exists()
