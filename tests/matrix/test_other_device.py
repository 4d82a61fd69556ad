# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Every family on a device beside the CPU (`tests/other_device.py`): nothing is left behind on the CPU, and outputs,
losses, gradients, teachers and logs are the CPU's, although other code computes them."""

import copy
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from families import (
    EVERY_CLASS,
    EVERY_CLASS_NAMES,
    FAMILIES,
    FAMILY_NAMES,
    Family,
    main_output,
    make_model,
    make_training_inputs,
    trainer_class,
)
from other_device import OTHER, OtherDeviceTensor, move, other_device
from torch.utils.data import Dataset, default_collate
from transformers import PreTrainedModel

from hf_ssl import BestRqConfig, BestRqFeatureExtractor
from hf_ssl.data.collators_pretraining import DataCollatorForBestRq
from hf_ssl.training.arguments import AudioTrainingArguments

DROPOUTS = ("hidden_dropout", "attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "layerdrop")
# What each class of head learns from, for two items.
LABELS = {
    "AutoModelForCTC": torch.tensor([[1, 2], [3, -100]]),
    "AutoModelForAudioClassification": torch.tensor([0, 2]),
    "AutoModelForImageClassification": torch.tensor([0, 2]),
    "AutoModelForSequenceClassification": torch.tensor([0, 2]),
    "AutoModelForAudioXVector": torch.tensor([0, 2]),
}
HEADS = [(family, auto_class) for family, auto_class in EVERY_CLASS if auto_class in LABELS]


def there(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: OtherDeviceTensor(value) for name, value in inputs.items()}


def back(tensor: torch.Tensor | None) -> torch.Tensor | None:
    """On the CPU; fails for what never left it."""
    if tensor is None:
        return None
    assert tensor.device == OTHER
    return tensor.detach().inner


def step(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Loss, with gradients, of one draw of masks and noise."""
    torch.manual_seed(1)
    np.random.seed(1)
    loss = model(**inputs).loss
    loss.backward()
    return loss


def assert_same_step(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> PreTrainedModel:
    """Loss and gradients; returns the model of the other device."""
    other = copy.deepcopy(model)
    loss = step(model, inputs)
    with other_device():
        move(other)
        torch.testing.assert_close(back(step(other, there(inputs))), loss)
        for name, parameter in model.named_parameters():
            assert_same(other.get_parameter(name).grad, parameter.grad, name)
    return other


def assert_same(tensor: torch.Tensor | None, expected: torch.Tensor | None, name: str) -> None:
    torch.testing.assert_close(back(tensor), expected, rtol=1e-3, atol=3e-5, msg=lambda text: f"{name}: {text}")


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("family", "auto_class"), EVERY_CLASS, ids=EVERY_CLASS_NAMES)
def test_outputs(family: Family, auto_class: str, attention: str) -> None:
    model = make_model(family, auto_class, attention)
    inputs = family.make_inputs(2, family.lengths[0])
    with torch.no_grad():
        expected = main_output(model, inputs)
        with other_device():
            move(model)
            torch.testing.assert_close(back(main_output(model, there(inputs))), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_steps_of_pretraining(family: Family) -> None:
    model = make_model(family, "AutoModelForPreTraining").train()
    other = assert_same_step(model, make_training_inputs(family))
    if not family.has_teacher:
        return
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    model.update_teacher(step=1)
    with other_device():
        torch.optim.SGD(other.parameters(), lr=0.1).step()
        other.update_teacher(step=1)
        for name, weight in model.state_dict().items():
            assert_same(other.state_dict()[name], weight, name)


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_steps_with_noise(family: Family) -> None:
    """Dropout and LayerDrop draw other noise than on a CPU, so that the loss is another."""
    config = family.make_config()
    config.update({name: 0.1 for name in DROPOUTS if name in config.to_dict()})
    torch.manual_seed(0)
    model = family.classes["AutoModelForPreTraining"](config).train()
    inputs = make_training_inputs(family)
    expected = step(copy.deepcopy(model), inputs)
    with other_device():
        move(model)
        torch.testing.assert_close(back(step(model, there(inputs))), expected, rtol=0.3, atol=0)
        gradients = [back(parameter.grad) for parameter in model.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(("family", "auto_class"), HEADS, ids=[f"{family.name}-{name}" for family, name in HEADS])
def test_steps_of_fine_tuning(family: Family, auto_class: str) -> None:
    inputs = family.make_inputs(2, family.lengths[0]) | {"labels": LABELS[auto_class]}
    assert_same_step(make_model(family, auto_class).train(), inputs)


class Rows(Dataset):
    """The rows of a batch, again and again."""

    def __init__(self, inputs: Mapping[str, torch.Tensor]):
        self.inputs = inputs

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: values[index % len(values)] for name, values in self.inputs.items()}


def train(family: Family, model: PreTrainedModel, folder: Path, there: bool) -> list[dict[str, float]]:
    """Three updates of four batches each, with evaluation; what was logged."""
    inputs = make_training_inputs(family)
    arguments = AudioTrainingArguments(
        output_dir=str(folder),
        max_steps=3,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=1e-3,
        optim="adamw_torch",  # the fused one asks for kinds of devices by name
        train_sampling_strategy="random",
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
    )
    trainer = trainer_class(family)(
        model=model,
        args=arguments,
        train_dataset=Rows(inputs),
        eval_dataset=Rows(inputs),
        data_collator=default_collate,
    )
    with ExitStack() as stack:
        if there:
            move(model)
            trainer.accelerator.device_placement = False
            stack.enter_context(other_device())
            stack.enter_context(patch.object(AudioTrainingArguments, "device", OTHER))
        trainer.train()
    return trainer.state.log_history


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_training(family: Family, tmp_path: Path) -> None:
    """The `Trainer`'s loop with all that ours measure and log."""
    model = make_model(family, "AutoModelForPreTraining")
    other = copy.deepcopy(model)
    expected = train(family, model, tmp_path, there=False)
    logged = train(family, other, tmp_path, there=True)
    assert other.device == OTHER
    assert len(logged) == len(expected) >= 4
    for found, wanted in zip(logged, expected, strict=True):
        assert found.keys() == wanted.keys()
        figures = [name for name in wanted if not name.endswith(("_per_second", "_runtime"))]
        assert [found[name] for name in figures] == pytest.approx([wanted[name] for name in figures], rel=1e-3)


@pytest.mark.parametrize("normalization", ["utterance", "dataset", "recipe"])
def test_log_mel_features(normalization: str) -> None:
    statistics = {"mean": [-30.0] * 80, "std": [12.0] * 80} if normalization == "dataset" else {}
    extractor = BestRqFeatureExtractor(normalization=normalization, **statistics)
    clips = [
        {"input_values": np.random.default_rng(n).normal(size=n).astype(np.float32), "seed": n} for n in (4000, 900)
    ]
    batch = DataCollatorForBestRq(extractor, BestRqConfig(), 1600, features_on_device=True)(clips)
    expected = extractor.with_features(batch)
    with other_device():
        for name, tensor in extractor.with_features(there(batch)).items():
            torch.testing.assert_close(back(tensor), expected[name])


def test_operands_on_two_devices_are_refused() -> None:
    here = torch.ones(3)
    with other_device():
        other = OtherDeviceTensor(torch.ones(3))
        with pytest.raises(RuntimeError, match="to be on one device"):
            other + here
        with pytest.raises(RuntimeError, match="to be on one device"):
            here[torch.zeros(1, dtype=torch.long, device=OTHER)]
        assert torch.zeros(2, device=OTHER).device == OTHER
        assert (other + torch.tensor(1.0)).device == OTHER  # a number, as on a GPU
        assert here.to(OTHER).device == OTHER
        assert other.cpu().device.type == "cpu"
