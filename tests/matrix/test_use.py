# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What people do with a loaded model: adapt it with LoRA, compile it, export it."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import transformers
from families import EVERY_CLASS, FAMILIES, FAMILY_NAMES, WITH_ENCODER_OF_TRANSFORMERS, Family, main_output, make_model
from peft import LoraConfig, PeftModel, get_peft_model
from torch.export import Dim

# Every class of ours, and the encoders of transformers that some of ours pre-train.
CLASSES = EVERY_CLASS + [(family, "AutoModel") for family in WITH_ENCODER_OF_TRANSFORMERS]
CLASS_NAMES = [f"{family.name}-{auto_class}" for family, auto_class in CLASSES]
EXPORTED = ("AutoModel", "AutoModelForCTC", "AutoModelForImageClassification", "AutoModelForSequenceClassification")
CLASSES_TO_EXPORT = [(family, auto_class) for family, auto_class in CLASSES if auto_class in EXPORTED]
CLASS_NAMES_TO_EXPORT = [f"{family.name}-{auto_class}" for family, auto_class in CLASSES_TO_EXPORT]


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_lora_trains_saves_loads_and_merges(family: Family, tmp_path: Path) -> None:
    model = make_model(family, "AutoModel")
    model.save_pretrained(tmp_path / "base")
    inputs = family.make_inputs(2, family.lengths[0])
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)

    adapted.train()
    before = {name: parameter.detach().clone() for name, parameter in adapted.named_parameters()}
    optimizer = torch.optim.SGD([parameter for parameter in adapted.parameters() if parameter.requires_grad], lr=0.1)
    adapted(**inputs).last_hidden_state.square().mean().backward()
    optimizer.step()
    changed = {name for name, parameter in adapted.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed
    assert changed <= set(trained)

    adapted.eval()
    with torch.no_grad():
        expected = adapted(**inputs).last_hidden_state
        adapted.save_pretrained(tmp_path / "adapter")
        base = transformers.AutoModel.from_pretrained(tmp_path / "base")
        assert not torch.allclose(base(**inputs).last_hidden_state, expected, atol=1e-3)
        loaded = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
        torch.testing.assert_close(loaded(**inputs).last_hidden_state, expected)
        merged = loaded.merge_and_unload()
        assert type(merged) is family.classes["AutoModel"]
        torch.testing.assert_close(merged(**inputs).last_hidden_state, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("family", "auto_class"), CLASSES, ids=CLASS_NAMES)
def test_whole_forward_is_one_graph(family: Family, auto_class: str) -> None:
    if auto_class == "AutoModelForPreTraining":
        pytest.skip("a step of pre-training is one graph for a collator's batches: test_training_step.py")
    model = make_model(family, auto_class)
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    inputs = family.make_inputs(2, family.lengths[0])
    with torch.no_grad():
        torch.testing.assert_close(main_output(compiled, inputs), main_output(model, inputs))


@pytest.mark.parametrize(("family", "auto_class"), CLASSES_TO_EXPORT, ids=CLASS_NAMES_TO_EXPORT)
def test_export_with_any_batch_and_length(family: Family, auto_class: str) -> None:
    model = make_model(family, auto_class)
    inputs = family.make_inputs(2, family.lengths[0])
    program = torch.export.export(model, (), kwargs=inputs, dynamic_shapes=any_batch_and_length(inputs))
    others = family.make_inputs(3, family.lengths[1])
    with torch.no_grad():
        output = program.module()(**others)
        torch.testing.assert_close(output[0], main_output(model, others))


@pytest.mark.parametrize(("family", "auto_class"), CLASSES_TO_EXPORT, ids=CLASS_NAMES_TO_EXPORT)
def test_onnx_with_any_batch_and_length(family: Family, auto_class: str, tmp_path: Path) -> None:
    # torch 2.13 cannot decompose sdpa on a CPU with dynamic shapes
    model = make_model(family, auto_class, attn_implementation="eager")
    inputs = family.make_inputs(2, family.lengths[0])
    torch.onnx.export(
        model,
        (),
        f=tmp_path / "model.onnx",
        kwargs=inputs,
        input_names=list(inputs),
        output_names=["output"],
        dynamic_shapes=any_batch_and_length(inputs),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    others = family.make_inputs(3, family.lengths[1])
    output = session.run(["output"], {name: tensor.numpy() for name, tensor in others.items()})[0]
    with torch.no_grad():
        np.testing.assert_allclose(output, main_output(model, others).numpy(), rtol=1e-3, atol=1e-4)


def any_batch_and_length(inputs: dict[str, torch.Tensor]) -> dict[str, dict[int, Dim]]:
    """Images, `(batch_size, num_channels, height, width)`, have no length."""
    return {
        name: {0: Dim.DYNAMIC} if tensor.dim() == 4 else {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}
        for name, tensor in inputs.items()
    }
