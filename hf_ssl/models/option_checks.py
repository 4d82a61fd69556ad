# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Ranges of a configuration's numbers. None of them holds NaN, which compares as neither too small nor too large."""

import math


def check_shares(**values: float) -> None:
    """
    Args:
        **values: Fields that are shares, probabilities or decays.

    Raises:
        ValueError: One does not lie between 0 and 1.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"`{name}` must lie between 0 and 1, but is {value}.")


def check_not_negative(**values: float | None) -> None:
    """
    Args:
        **values: Fields such as weights and numbers of steps; `None` stands for a default that is computed.

    Raises:
        ValueError: One is negative, infinite or NaN.
    """
    for name, value in values.items():
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise ValueError(f"`{name}` must be a finite number and not negative, but is {value}.")


def check_positive(**values: float) -> None:
    """
    Args:
        **values: Fields such as temperatures.

    Raises:
        ValueError: One is 0 or less, infinite or NaN.
    """
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"`{name}` must be a finite number above 0, but is {value}.")


def check_counts(**values: int) -> None:
    """
    Args:
        **values: Fields that say how many there are of something, or how long it is.

    Raises:
        ValueError: One is 0 or less.
    """
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, but is {value}.")


def check_regression(
    *, loss_beta: float, loss_scale: float | None, ema_decay: float, ema_end_decay: float, ema_anneal_end_step: int
) -> None:
    """The loss and the teacher's schedule. The decay may also fall.

    Raises:
        ValueError: A field is out of range.
    """
    check_not_negative(loss_beta=loss_beta, loss_scale=loss_scale, ema_anneal_end_step=ema_anneal_end_step)
    check_shares(ema_decay=ema_decay, ema_end_decay=ema_end_decay)
