# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the checks of a pre-training step of data2vec 2.0 share, whatever its modality."""

from collections.abc import Callable

import torch
from parity.golden import GoldenCase
from transformers import PreTrainedModel


def check_order(case: GoldenCase, mask: torch.Tensor) -> torch.Tensor:
    """The original's order of visible frames as positions in ours, which is ascending in time."""
    kept, restore = case.use("pre.ids_keep"), case.use("pre.ids_restore")
    kept, restore = (ids[..., 0] if ids.dim() == 3 else ids for ids in (kept, restore))
    assert torch.equal(kept.sort(dim=1).values, (~mask).nonzero()[:, 1].view(len(mask), -1))
    assert torch.equal(restore >= kept.shape[1], mask)
    return (~mask).long().cumsum(1).gather(1, kept) - 1


def noise_in_time(case: GoldenCase, mask: torch.Tensor) -> torch.Tensor:
    """The stored noise, which is in the original's order of masked frames, brought to its place in time."""
    raw, restore = case.use("pre.mask_noise_raw"), case.use("pre.ids_restore")
    restore = restore[..., 0] if restore.dim() == 3 else restore
    index = (restore - (mask.shape[1] - raw.shape[1])).clamp_min(0)
    return raw.gather(1, index.unsqueeze(-1).expand(-1, -1, raw.shape[-1])) * mask.unsqueeze(-1)


def check_gradients(case: GoldenCase, model: PreTrainedModel, our_name: Callable[[str], str]) -> None:
    """Of all parameters; `our_name` gives the name that a parameter of the original has in the whole model."""
    ours = dict(model.named_parameters())
    for name, norm in case.meta["grad_norms"].items():
        gradient = ours[our_name(name)].grad
        assert abs(gradient.norm().item() - norm) <= 1e-3 * norm, f"norm of gradient of {name}"
        if f"grad.{name}" in case.tensors:
            gradient = gradient.reshape(case.tensors[f"grad.{name}"].shape)
            if name.endswith("qkv.bias"):  # the key's third is zero but for rounding
                size = len(gradient) // 3
                case.compare_gradient(f"grad.{name}", gradient, slice(0, size))
                case.compare_gradient(f"grad.{name}", gradient, slice(2 * size, None))
            else:
                case.compare_gradient(f"grad.{name}", gradient)
    with_gradient = {name for name, parameter in ours.items() if parameter.grad is not None}
    assert with_gradient == {our_name(name) for name in case.meta["grad_norms"]}


def check_teacher_update(case: GoldenCase, model: PreTrainedModel, our_name: Callable[[str], str]) -> None:
    """After one optimizer step; `our_name` gives the name that a weight of the original has in the teacher."""
    ema = case.meta["ema"]
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=ema["sgd_lr"]).step()
    decay = model.update_teacher(step=ema["set_num_updates"])
    assert abs(decay - ema["decay"]) < 1e-12
    teacher = model.teacher.state_dict()
    del teacher["num_updates"]
    assert set(teacher) == {our_name(name) for name in ema["all_teacher_keys"]}
    for name, norm in ema["norms_after"].items():
        tensor = teacher[our_name(name)]
        assert abs(tensor.norm().item() - norm) <= 1e-5 * norm, f"norm of the teacher's {name}"
        if f"ema_after.{name}" in case.tensors:
            case.compare(f"ema_after.{name}", tensor.reshape(case.tensors[f"ema_after.{name}"].shape))
