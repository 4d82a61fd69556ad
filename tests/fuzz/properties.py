# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What must hold for whatever is given to a model or a collator."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from transformers import PreTrainedModel

import hf_ssl

PACKAGE = Path(hf_ssl.__file__).parent
# Logits of negatives that are left out are -inf by design.
MAY_BE_MINUS_INFINITY = ("student_logits", "teacher_logits")
HAS_NAN = "has NaN"


class Case(NamedTuple):
    """Arguments of a call.

    Attributes:
        inputs: The arguments.
        fault: What is wrong with them; `None` if they are valid.
        is_training: Whether the model is in training mode.
    """

    inputs: dict[str, Any]
    fault: str | None
    is_training: bool


def check_model(model: PreTrainedModel, case: Case) -> None:
    """Valid input: everything that comes out is finite, gradients too. NaN goes in: it comes out, or is refused.
    Anything else: an error of ours."""
    model.train(case.is_training)
    model.zero_grad(set_to_none=True)
    if case.fault is None:
        check_finite(model, model(**case.inputs))
    elif case.fault == HAS_NAN:
        check_nan(model(**case.inputs))
    else:
        check_error(lambda: model(**case.inputs))


def check_nan(output: Any) -> None:
    """The first item has it. It shows in the loss, unless nothing of the item is predicted: a single frame."""
    assert any(tensor.isnan().any() for tensor in floating_tensors(output).values()), "the NaN has disappeared"
    if output.get("loss") is not None and output.prediction_mask[0].any():
        assert output.loss.isnan(), "the NaN does not show in the loss"


def check_finite(model: PreTrainedModel, output: Any) -> None:
    for name, tensor in floating_tensors(output).items():
        finite = tensor.isfinite() | (tensor == -torch.inf) if name in MAY_BE_MINUS_INFINITY else tensor.isfinite()
        assert finite.all(), f"{name} is not finite"
    loss = output.get("loss")
    if loss is None or not loss.requires_grad:
        return
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), f"the gradient of {name} is not finite"


def floating_tensors(output: Any) -> dict[str, torch.Tensor]:
    tensors = {name: value for name, value in output.items() if isinstance(value, torch.Tensor)}
    return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}


def check_error(call: Callable[[], object]) -> None:
    """It raises a `ValueError` or `TypeError` that this package words itself."""
    with pytest.raises(Exception, match=r"(?s).") as raised:
        call()
    where = traceback.extract_tb(raised.value.__traceback__)[-1]
    is_named = isinstance(raised.value, ValueError | TypeError) and Path(where.filename).is_relative_to(PACKAGE)
    assert is_named, f"unnamed error: {raised.value!r} from {where.filename}:{where.lineno}"


def check_collator(collator: Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]], case: Case) -> None:
    """Valid items: a batch of finite tensors. Anything else: an error of ours."""
    items = case.inputs["features"]
    if case.fault is None:
        batch = collator(items)
        assert all(len(tensor) == len(items) for tensor in batch.values())
        assert all(tensor.isfinite().all() for tensor in batch.values())
    else:
        check_error(lambda: collator(items))
