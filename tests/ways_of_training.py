# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A training step plainly and in another way, which must give the same gradients."""

from collections.abc import Callable, Mapping

import torch
from transformers import PreTrainedModel

from hf_ssl.training.activation_checkpointing import enable_activation_checkpointing

WAYS = ("checkpointed", "compiled")


def assert_same_gradients(
    way: str, make_model: Callable[[], PreTrainedModel], make_batch: Callable[[], Mapping[str, torch.Tensor]]
) -> None:
    """`make_model` and `make_batch` give the same model and batch each time."""
    gradients = []
    for is_plain in (True, False):
        model = make_model().train()
        if way == "checkpointed" and not is_plain:
            enable_activation_checkpointing(model)
        elif not is_plain:
            torch.compiler.reset()
            model.compile(backend="aot_eager")
        model(**make_batch()).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])
