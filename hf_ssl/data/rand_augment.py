# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""RandAugment (Cubuk et al., 2020) with PIL, in the variant that data2vec 2.0's fine-tuning names
`rand-m9-mstd0.5-inc1`: two operations for an image, each left out half of the time, of a strength that is drawn around
9 of 10, and all of which change an image more at a greater strength."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

_LARGEST_STRENGTH = 10.0
# Grey of ImageNet's mean, where a moved image leaves a gap.
_FILL = (124, 116, 104)

# From an image, a strength from 0 to 1, and a sign.
Operation = Callable[[Image.Image, float, int], Image.Image]


def _move(image: Image.Image, matrix: tuple[float, float, float, float, float, float]) -> Image.Image:
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, resample=Image.Resampling.BICUBIC, fillcolor=_FILL
    )


def _enhance(enhancer: Callable[[Image.Image], Any]) -> Operation:
    return lambda image, strength, sign: enhancer(image).enhance(max(0.1, 1 + sign * 0.9 * strength))


def _solarize_add(image: Image.Image, strength: float, sign: int) -> Image.Image:
    """Adds to the darker half of the values."""
    added = int(110 * strength)
    return image.point([min(255, value + added) if value < 128 else value for value in range(256)] * 3)


OPERATIONS: tuple[Operation, ...] = (
    lambda image, strength, sign: ImageOps.autocontrast(image),
    lambda image, strength, sign: ImageOps.equalize(image),
    lambda image, strength, sign: ImageOps.invert(image),
    lambda image, strength, sign: image.rotate(
        sign * 30 * strength, resample=Image.Resampling.BICUBIC, fillcolor=_FILL
    ),
    lambda image, strength, sign: ImageOps.posterize(image, max(1, 4 - int(4 * strength))),
    lambda image, strength, sign: ImageOps.solarize(image, 256 - min(256, int(256 * strength))),
    _solarize_add,
    _enhance(ImageEnhance.Color),
    _enhance(ImageEnhance.Contrast),
    _enhance(ImageEnhance.Brightness),
    _enhance(ImageEnhance.Sharpness),
    lambda image, strength, sign: _move(image, (1, sign * 0.3 * strength, 0, 0, 1, 0)),
    lambda image, strength, sign: _move(image, (1, 0, 0, sign * 0.3 * strength, 1, 0)),
    lambda image, strength, sign: _move(image, (1, 0, sign * 0.45 * strength * image.width, 0, 1, 0)),
    lambda image, strength, sign: _move(image, (1, 0, 0, 0, 1, sign * 0.45 * strength * image.height)),
)


@dataclass(frozen=True)
class RandAugment:
    """Random operations on an image in RGB.

    Args:
        magnitude: Mean strength, from 0 to 10; 0 for no operation at all.
        magnitude_std: Standard deviation of the strength.
        num_operations: Drawn for an image, with replacement.
        probability: That a drawn operation is carried out.
    """

    magnitude: float = 9.0
    magnitude_std: float = 0.5
    num_operations: int = 2
    probability: float = 0.5

    def __call__(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        if self.magnitude == 0:
            return image
        for index in generator.integers(len(OPERATIONS), size=self.num_operations):
            drawn = generator.normal(self.magnitude, self.magnitude_std)
            sign = 1 if generator.random() < 0.5 else -1
            if generator.random() < self.probability:
                strength = float(np.clip(drawn, 0, _LARGEST_STRENGTH)) / _LARGEST_STRENGTH
                image = OPERATIONS[index](image, strength, sign)
        return image
