# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf_ssl.export` and `hf-ssl export`: the encoder alone, with the weights that were asked for."""

from pathlib import Path

import pytest
import torch
from families import (
    EVERY_CLASS,
    EVERY_CLASS_NAMES,
    FAMILIES,
    FAMILY_NAMES,
    WITH_TEACHER,
    WITH_TEACHER_NAMES,
    Family,
    make_model,
)
from safetensors.torch import load_file
from transformers import AutoModel, AutoProcessor

from hf_ssl.cli import main
from hf_ssl.export import export_encoder


def save(family: Family, auto_class: str, folder: Path):
    model = make_model(family, auto_class)
    model.save_pretrained(folder)
    family.save_processors(folder)
    return model


@pytest.mark.parametrize(("family", "auto_class"), EVERY_CLASS, ids=EVERY_CLASS_NAMES)
def test_student_of_every_class(family: Family, auto_class: str, tmp_path: Path) -> None:
    model = save(family, auto_class, tmp_path / "model")
    folder = export_encoder(tmp_path / "model", tmp_path / "encoder")
    written = load_file(folder / "model.safetensors")
    assert set(written) == set(model.base_model.state_dict())
    encoder = AutoModel.from_pretrained(folder).eval()
    inputs = family.make_inputs(2, family.lengths[0])
    with torch.no_grad():
        exported, original = (part(**inputs).last_hidden_state for part in (encoder, model.base_model))
        torch.testing.assert_close(exported, original, atol=1e-5, rtol=1e-5)  # transformers' own code, where it has it
    assert AutoProcessor.from_pretrained(folder) is not None


@pytest.mark.parametrize("family", WITH_TEACHER, ids=WITH_TEACHER_NAMES)
def test_teacher_has_its_own_weights_and_the_students_elsewhere(family: Family, tmp_path: Path) -> None:
    model = make_model(family, "AutoModelForPreTraining")
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(1)
    model.save_pretrained(tmp_path / "model")
    family.save_processors(tmp_path / "model")
    folder = export_encoder(tmp_path / "model", tmp_path / "encoder", weights="teacher")
    written, teacher = load_file(folder / "model.safetensors"), model.teacher.state_dict()
    student = model.base_model.state_dict()
    assert set(written) == set(student)
    assert any(name in teacher for name in written)
    for name, tensor in written.items():
        assert torch.equal(tensor, teacher[name] if name in teacher else student[name]), name


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_command_line(family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(family, "AutoModelForPreTraining", tmp_path / "model")
    command = ["export", str(tmp_path / "model"), str(tmp_path / "encoder"), "--dtype", "bfloat16"]
    assert main(command) == 0
    written = load_file(tmp_path / "encoder" / "model.safetensors")
    # buffers, such as fixed positions, keep their precision
    assert {written[name].dtype for name, _ in model.base_model.named_parameters()} == {torch.bfloat16}
    assert str(tmp_path / "encoder") in capsys.readouterr().out
    assert main(command) == 1
    assert "holds a model already" in capsys.readouterr().err


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_model_without_teacher_is_refused(family: Family, tmp_path: Path) -> None:
    save(family, "AutoModel", tmp_path / "model")
    with pytest.raises(ValueError, match="has no teacher"):
        export_encoder(tmp_path / "model", tmp_path / "encoder", weights="teacher")
    with pytest.raises(ValueError, match="'student' or the 'teacher'"):
        export_encoder(tmp_path / "model", tmp_path / "encoder", weights="decoder")  # type: ignore[arg-type]
    assert not (tmp_path / "encoder").exists()
