# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Arrays as pictures in the page."""

import base64
import io

import numpy as np
from PIL import Image

# From dark to light, as even to the eye as few stops allow; the light end stands out on white and on black.
_STOPS = np.array([[14, 17, 38], [58, 30, 108], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 236, 191]])


def in_colour(values: np.ndarray) -> np.ndarray:
    """Colours of values from 0 to 1.

    Args:
        values: `(height, width)`.

    Returns:
        `(height, width, 3)`, uint8.
    """
    positions = np.clip(values, 0.0, 1.0) * (len(_STOPS) - 1)
    channels = [np.interp(positions, np.arange(len(_STOPS)), _STOPS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def data_uri(pixels: np.ndarray) -> str:
    """A PNG in a link, of `(height, width, 3)`, uint8."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
