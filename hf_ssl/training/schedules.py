# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Schedules of the learning rate that transformers has not."""


def tri_stage_schedule(
    step: int,
    *,
    warmup_steps: int,
    hold_steps: int,
    decay_steps: int,
    initial_scale: float = 0.01,
    final_scale: float = 0.05,
) -> float:
    """Factor on the learning rate: linear rise, constant, exponential fall (SpecAugment, section 4.2).

    Args:
        step: Number of optimizer steps taken so far.
        warmup_steps, hold_steps, decay_steps: Lengths of the three stages; `final_scale` from their end on.
        initial_scale, final_scale: Factors at the beginning and at the end.
    """
    if step < warmup_steps:
        return initial_scale + (1 - initial_scale) * step / warmup_steps
    step -= warmup_steps + hold_steps
    if step < 0:
        return 1.0
    if step < decay_steps:
        return final_scale ** (step / decay_steps)
    return final_scale
