# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checks of items before a collator makes a batch of them; `tests/fuzz` has all faults with every collator."""

import numpy as np
import pytest
import torch

from hf_ssl.data.collator_checks import integers_of, seeds_of, waveforms_of

NOISE = np.random.default_rng(0).normal(size=100)


@pytest.mark.parametrize(
    "values", [NOISE, NOISE.astype(np.float16), NOISE.tolist(), torch.from_numpy(NOISE).bfloat16()]
)
def test_waveforms_of_any_floating_type(values: object) -> None:
    (waveform,) = waveforms_of([{"input_values": values}])
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, NOISE, atol=2e-2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (NOISE[:0], r"got shape \(0,\)"),
        (NOISE.reshape(2, -1), r"got shape \(2, 50\)"),
        ((NOISE * 100).astype(np.int16), "type int16"),
        (np.append(NOISE, np.nan), "101 samples has 1 that are NaN or infinite"),
        (np.append(NOISE, 1e300), "NaN or infinite in float32"),
        ([[0.1], [0.2, 0.3]], "to be numbers, got list"),
        ("noise", "got shape"),
    ],
)
def test_other_waveforms(values: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        waveforms_of([{"input_values": values}])


@pytest.mark.parametrize("seed", [-1, 2**63, 0.0, "1", None, True])
def test_other_seeds(seed: object) -> None:
    with pytest.raises(ValueError, match=r"`seed` to be an integer from 0 to 2\*\*63 - 1"):
        seeds_of([{"seed": seed}])


def test_integers() -> None:
    assert integers_of("labels", torch.tensor([1, 2])) == [1, 2]
    assert integers_of("labels", []) == []
    with pytest.raises(ValueError, match=r"`labels` to be integers in a row, got shape .* type float64"):
        integers_of("labels", [1.5])
