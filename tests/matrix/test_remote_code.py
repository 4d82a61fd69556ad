# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Saved models load with `trust_remote_code=True` in a process where `hf_ssl` cannot be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from families import EVERY_CLASS, FAMILIES, FAMILY_NAMES, Family, main_output, make_model
from safetensors.torch import load_file, save_file

# Opens every folder through every Auto class and writes what came out, by `<saved as>/<opened as>`. The code is that
# beside the weights for the Auto classes that are said to come with it, and transformers' own for the others.
STRANGER = """
import importlib.abc, json, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hf_ssl":
            raise ImportError("hf_ssl is not installed here")

sys.meta_path.insert(0, Refuse())
import torch, transformers
from safetensors.torch import load_file, save_file

folder, (saved, auto_classes, with_code, processors) = sys.argv[1], [names.split(",") for names in sys.argv[2:]]
inputs = load_file(f"{folder}/inputs.safetensors")
outputs, processor_classes = {}, {}
for saved_as in saved:
    for opened_as in auto_classes:
        # heads of the same name may have different shapes, as in transformers' own families
        model = getattr(transformers, opened_as).from_pretrained(
            f"{folder}/{saved_as}", trust_remote_code=True, ignore_mismatched_sizes=saved_as != opened_as
        )
        is_remote = type(model).__module__.startswith("transformers_modules.")
        assert is_remote == (opened_as in with_code), type(model)
        needs_tokens = type(model).__name__ == "Data2VecTextForPreTraining"
        labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100) if needs_tokens else None
        with torch.no_grad():
            output = model(**inputs, **({"labels": labels} if needs_tokens else {}))
        known = ("last_hidden_state", "targets", "codes", "logits", "start_logits")
        name = next(name for name in known if name in output)
        outputs[f"{saved_as}/{opened_as}"] = output[name].contiguous()
    for name in processors:
        loaded = getattr(transformers, name).from_pretrained(f"{folder}/{saved_as}", trust_remote_code=True)
        processor_classes[f"{saved_as}/{name}"] = type(loaded).__name__

# what a stranger fine-tunes and saves must again be loadable by strangers
model = transformers.AutoModel.from_pretrained(f"{folder}/{saved[0]}", trust_remote_code=True)
model.save_pretrained(f"{folder}/again")
again = transformers.AutoModel.from_pretrained(f"{folder}/again", trust_remote_code=True)
outputs["again"] = again(**inputs).last_hidden_state.detach()
save_file(outputs, f"{folder}/outputs.safetensors")
assert not [name for name in sys.modules if name.partition(".")[0] == "hf_ssl"]
print(json.dumps(processor_classes))
"""


def run_stranger(family: Family, saved: list[str], folder: Path) -> dict[str, str]:
    names = (saved, family.classes, family.auto_map, family.processors)
    command = [sys.executable, "-c", STRANGER, str(folder), *map(",".join, names)]
    environment = os.environ | {"HF_MODULES_CACHE": str(folder / "modules"), "HF_HUB_OFFLINE": "1"}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_every_folder_opens_as_every_class_without_the_package(family: Family, tmp_path: Path) -> None:
    inputs = family.make_inputs(2, family.lengths[0])
    save_file(inputs, tmp_path / "inputs.safetensors")
    saved = [auto_class for entry, auto_class in EVERY_CLASS if entry is family]
    expected: dict[str, torch.Tensor] = {}
    for saved_as in saved:
        model = make_model(family, saved_as)
        model.save_pretrained(tmp_path / saved_as)
        family.save_processors(tmp_path / saved_as)
        with torch.no_grad():
            expected[f"{saved_as}/{saved_as}"] = main_output(model, inputs)
            expected[f"{saved_as}/AutoModel"] = main_output(model.base_model, inputs)
    expected["again"] = expected[f"{saved[0]}/AutoModel"]

    processor_classes = run_stranger(family, saved, tmp_path)

    outputs = load_file(tmp_path / "outputs.safetensors")
    pairs = {f"{saved_as}/{opened}" for saved_as in saved for opened in family.classes}
    assert set(outputs) == pairs | {"again"}
    for name, tensor in expected.items():
        torch.testing.assert_close(outputs[name], tensor, msg=lambda message, name=name: f"{name}: {message}")
    assert set(processor_classes) == {f"{saved_as}/{name}" for saved_as in saved for name in family.processors}
