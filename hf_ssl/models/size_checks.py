# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Sizes that no model has, as a damaged or hostile configuration may ask for them.

`from_pretrained` makes a model without memory before it looks at the weights, which then do not fit. What must not
come so far is what takes time or memory even so: layers, which are objects, and codebooks, which are drawn.
"""

from transformers.activations import ACT2FN

MAX_LAYERS = 1_000
MAX_SIZE = 2**20
MAX_DRAWN_NUMBERS = 2**28  # 1 GB


def check_layers(**counts: int) -> None:
    """
    Args:
        **counts: Fields of a configuration that say how many layers are made.

    Raises:
        ValueError: One asks for more than 1,000.
    """
    for name, count in counts.items():
        if count > MAX_LAYERS:
            raise ValueError(f"Expected at most {MAX_LAYERS} layers, but `{name}` is {count}. Is the file damaged?")


def check_transformer(*, hidden_act: str, **sizes: int) -> None:
    """
    Args:
        hidden_act: Activation, by transformers' name.
        **sizes: Fields of a configuration that are widths or numbers of heads.

    Raises:
        ValueError: There is no such activation, or a size is not from 1 to 2**20.
    """
    if hidden_act not in ACT2FN:
        raise ValueError(f"`hidden_act` must be one of {sorted(ACT2FN)}, but is {hidden_act!r}.")
    for name, size in sizes.items():
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"`{name}` must be from 1 to {MAX_SIZE}, but is {size}.")


def check_drawn_numbers(name: str, count: int) -> None:
    """
    Args:
        name: What is drawn.
        count: How many numbers.

    Raises:
        ValueError: They would take more than 1 GB.
    """
    if count > MAX_DRAWN_NUMBERS:
        raise ValueError(f"Expected {name} of at most {MAX_DRAWN_NUMBERS} numbers, but the sizes make {count}.")
