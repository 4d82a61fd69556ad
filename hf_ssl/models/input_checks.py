# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checks of what models are given: types and shapes, which cost nothing, and values where asking for them does not.

Values lie on the device, and asking for them makes the host wait. What is checked of them is checked together with
the lengths of a batch, which a forward asks for once, or only on a CPU (`can_ask`), and never while a graph is made of
the code.

No input is searched for NaN: it goes through to outputs and loss, where the trainers look for it. The collators refuse
it.
"""

import torch


def can_ask(tensor: torch.Tensor) -> bool:
    """Whether asking for values of a tensor costs nothing: it lies on the CPU, and no graph is being made."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def is_integer(tensor: torch.Tensor) -> bool:
    """Whether the type is one of integers; that of booleans is not."""
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def check_floating(name: str, tensor: torch.Tensor, advice: str) -> None:
    """
    Raises:
        ValueError: The type is not a floating one, as of samples or pixels that are not scaled and normalised.
    """
    if not tensor.is_floating_point():
        raise ValueError(f"`{name}` must be of a floating type, but are {tensor.dtype}. {advice}")


def check_mask_type(name: str, mask: torch.Tensor) -> None:
    """
    Raises:
        ValueError: The mask says neither yes or no nor 1 or 0.
    """
    if mask.is_floating_point() or mask.is_complex():
        raise ValueError(f"`{name}` must be bool, or integers of 0 and 1, but is {mask.dtype}.")


def check_integer_labels(labels: torch.Tensor) -> None:
    """
    Raises:
        ValueError: Labels of positions, or of tokens, are no integers.
    """
    if not is_integer(labels):
        raise ValueError(f"`labels` must be integers, -100 where there is none, but are {labels.dtype}.")


def check_marks_real_steps(
    name: str, marked: torch.Tensor, is_real: torch.Tensor | None, steps: str = "frames"
) -> None:
    """Checks that no padding is marked; on a CPU only.

    Args:
        name: The argument, for the error.
        marked: Bool, of any shape that that of `is_real` can be expanded to.
        is_real: Bool; `None` if there is no padding.
        steps: What is padded.

    Raises:
        ValueError: Padding is marked, which has no target.
    """
    if is_real is None or not can_ask(marked):
        return
    outside = int((marked & ~is_real).sum())
    if outside:
        raise ValueError(
            f"`{name}` marks {outside} padded {steps}. It must mark real {steps} only, for padding has no target."
        )


def check_attention_mask(attention_mask: torch.Tensor, shape: tuple[int, ...], name: str) -> None:
    """Checks what costs nothing.

    Args:
        attention_mask: Of any shape.
        shape: `(batch_size, length)`, what it should have.
        name: The input it belongs to.

    Raises:
        ValueError: It has another shape, or complex numbers.
    """
    if tuple(attention_mask.shape) != shape:
        raise ValueError(
            f"`attention_mask` must have the shape of `{name}`, {shape}, but has {tuple(attention_mask.shape)}."
        )
    if attention_mask.is_complex():
        raise ValueError(f"`attention_mask` must have the numbers 0 and 1, but is {attention_mask.dtype}.")


def shortest_right_padded(attention_mask: torch.Tensor) -> int:
    """The smallest number of real steps; asks the device once.

    Args:
        attention_mask: `(batch_size, length)`.

    Raises:
        ValueError: A row is not ones and then zeros.
    """
    lengths = attention_mask.long().sum(dim=-1)
    is_real = torch.arange(attention_mask.shape[1], device=attention_mask.device) < lengths.unsqueeze(-1)
    is_expected = (attention_mask == is_real).all()
    shortest, is_right_padded = torch.stack([lengths.min(), is_expected.long()]).tolist()
    if not is_right_padded:
        raise ValueError(
            "Every row of `attention_mask` must be ones, for what is real, and then zeros: padding stands on the "
            'right. Set `padding_side = "right"` of the preprocessor; scores to add to attention are no mask.'
        )
    return shortest


def check_classes(labels: torch.Tensor, shape: tuple[int, ...], num_labels: int, may_be_ignored: bool = True) -> None:
    """Checks labels that are classes.

    Args:
        labels: Of any shape.
        shape: What it should have.
        num_labels: Number of classes.
        may_be_ignored: Whether a label may be -100: none.

    Raises:
        ValueError: They have another shape or are no integers; or, looked at on a CPU only, they are out of range.
    """
    ignored = ", or -100 where there is none" if may_be_ignored else ""
    expected = f"Expected integer labels from 0 to {num_labels - 1}{ignored}, of shape {shape}"
    advice = "`config.num_labels` says how many there are, and `config.problem_type` whether several apply at once."
    if tuple(labels.shape) != shape or not is_integer(labels):
        found = f"of type {labels.dtype} and shape {tuple(labels.shape)}"
        raise ValueError(f"{expected}, but got labels {found}. {advice}")
    if can_ask(labels) and labels.numel():
        real = labels.masked_fill(labels == -100, 0) if may_be_ignored else labels
        smallest, largest = (int(bound) for bound in real.aminmax())
        if smallest < 0 or largest >= num_labels:
            raise ValueError(f"{expected}, but got labels from {smallest} to {largest}. {advice}")


def check_several_labels(labels: torch.Tensor, shape: tuple[int, ...], may_be_ignored: bool = True) -> None:
    """Checks labels that are numbers between 0 and 1 for each class.

    Args:
        labels: Of any shape.
        shape: What it should have.
        may_be_ignored: Whether a number may be -100: none.

    Raises:
        ValueError: They have another shape; or, looked at on a CPU only, they are other numbers.
    """
    ignored = " (-100 where there is none)" if may_be_ignored else ""
    expected = f"Expected zeros and ones{ignored} of shape {shape}, one per label that may apply"
    if tuple(labels.shape) != shape or labels.is_complex():
        raise ValueError(
            f"{expected}, but got labels of type {labels.dtype} and shape {tuple(labels.shape)}. "
            "`config.problem_type` says whether there are several labels at once."
        )
    if can_ask(labels):
        is_known = (labels >= 0) & (labels <= 1)
        is_known = is_known | (labels == -100) if may_be_ignored else is_known
        if not bool(is_known.all()):
            raise ValueError(f"{expected}, but got {labels[~is_known][0].item()}.")
