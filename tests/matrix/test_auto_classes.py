# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Auto classes with the package installed: every folder of a family opens as every class, without remote code."""

from pathlib import Path

import pytest
import torch
import transformers
from families import (
    EVERY_CLASS,
    EVERY_CLASS_NAMES,
    FAMILIES,
    FAMILY_NAMES,
    WITH_OWN_ENCODER,
    WITH_OWN_ENCODER_NAMES,
    WITH_TEACHER,
    WITH_TEACHER_NAMES,
    Family,
    main_output,
    make_model,
    opener,
)
from transformers import AutoConfig


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_auto_map_names_what_is_registered(family: Family) -> None:
    expected: dict[str, type] = {
        auto_class: family.classes[auto_class] for entry, auto_class in EVERY_CLASS if entry is family
    }
    if family.has_own_encoder:
        expected["AutoConfig"] = type(family.make_config())
    assert {name: reference.split(".")[-1] for name, reference in family.auto_map.items()} == {
        name: model_class.__name__ for name, model_class in expected.items()
    }
    assert {name: reference.split(".")[0] for name, reference in family.auto_map.items()} == {
        name: model_class.__module__.split(".")[-1] for name, model_class in expected.items()
    }
    assert family.make_config().auto_map == family.auto_map


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_config_from_elsewhere_names_the_code_beside_it(family: Family, tmp_path: Path) -> None:
    """A configuration that came from a repository names it; saved again, the code lies beside it."""
    config = type(family.make_config())(auto_map={"AutoModel": "somebody/something--modeling.Model"})
    config.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).auto_map == family.auto_map


@pytest.mark.parametrize(("family", "saved_as"), EVERY_CLASS, ids=EVERY_CLASS_NAMES)
def test_folder_opens_as_every_class(family: Family, saved_as: str, tmp_path: Path) -> None:
    model = make_model(family, saved_as)
    model.save_pretrained(tmp_path)
    for auto_class, model_class in family.classes.items():
        # heads of the same name may have different shapes, as in transformers' own families
        opened = opener(family, auto_class).from_pretrained(tmp_path, ignore_mismatched_sizes=auto_class != saved_as)
        assert type(opened) is model_class
        encoder, original = opened.base_model, model.base_model
        assert all(torch.equal(tensor, encoder.state_dict()[name]) for name, tensor in original.state_dict().items())


@pytest.mark.parametrize(("family", "auto_class"), EVERY_CLASS, ids=EVERY_CLASS_NAMES)
def test_save_and_load_gives_the_same_output(family: Family, auto_class: str, tmp_path: Path) -> None:
    model = make_model(family, auto_class)
    model.save_pretrained(tmp_path)
    opened = opener(family, auto_class).from_pretrained(tmp_path)
    inputs = family.make_inputs(2, family.lengths[0])
    with torch.no_grad():
        assert torch.equal(main_output(opened, inputs), main_output(model, inputs))


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_processors_resolve(family: Family, tmp_path: Path) -> None:
    make_model(family, "AutoModel").save_pretrained(tmp_path)
    family.save_processors(tmp_path)
    for name in family.processors:
        assert getattr(transformers, name).from_pretrained(tmp_path) is not None


@pytest.mark.parametrize("family", WITH_OWN_ENCODER, ids=WITH_OWN_ENCODER_NAMES)
def test_encoder_of_a_pretrained_folder_loads_without_noise(
    family: Family, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_model(family, "AutoModelForPreTraining").save_pretrained(tmp_path)
    capfd.readouterr()
    _, report = transformers.AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    noise = capfd.readouterr()
    assert "UNEXPECTED" not in noise.out + noise.err
    assert "MISSING" not in noise.out + noise.err


@pytest.mark.parametrize("family", WITH_TEACHER, ids=WITH_TEACHER_NAMES)
def test_teacher_keeps_float32_under_any_dtype(family: Family, tmp_path: Path) -> None:
    make_model(family, "AutoModelForPreTraining").save_pretrained(tmp_path)
    for dtype in (torch.bfloat16, torch.float16):
        model = opener(family, "AutoModelForPreTraining").from_pretrained(tmp_path, dtype=dtype)
        assert {parameter.dtype for parameter in model.teacher.parameters()} == {torch.float32}
        assert {parameter.dtype for parameter in model.base_model.parameters()} == {dtype}
