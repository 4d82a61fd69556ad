# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What images go through in training: crops and flips, changed colours, erased rectangles, mixtures of two images.

With PIL and not torchvision, whose wheel on the package index needs CUDA's libraries and does not load beside a torch
for the CPU. Everything random comes from a generator that is handed in.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch.nn import functional as F

_ASPECT_RATIOS = (3 / 4, 4 / 3)
_CROP_ATTEMPTS = 10


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random part of an image, resized (bicubic) to a square, and flipped left to right half of the time.

    Args:
        image_size: Side of the result, in pixels.
        scale: Smallest and largest part of the image's area: .2 to 1 in data2vec 2.0's pre-training, .08 to 1 in
            fine-tuning.
        flip_prob: Probability of the flip.
    """

    image_size: int
    scale: tuple[float, float] = (0.2, 1.0)
    flip_prob: float = 0.5

    def __call__(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        left, upper, width, height = _crop_box(*image.size, self.scale, generator)
        size = (self.image_size, self.image_size)
        image = image.resize(size, Image.Resampling.BICUBIC, box=(left, upper, left + width, upper + height))
        if generator.random() < self.flip_prob:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image


@dataclass(frozen=True)
class ColorJitter:
    """Changes brightness, contrast and saturation of an image, each by a factor of its own.

    Deviation: in this order. The original of data2vec (torchvision's `ColorJitter`) draws the order too.

    Args:
        strength: Factors are drawn uniformly from `1 - strength` to `1 + strength`: .4 in data2vec's pre-training.

    Raises:
        ValueError: `strength` is not from 0 to 1.
    """

    strength: float

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"Expected a strength from 0 to 1, got {self.strength}.")

    def __call__(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhancer(image).enhance(generator.uniform(1 - self.strength, 1 + self.strength))
        return image


def _crop_box(
    width: int, height: int, scale: tuple[float, float], generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """Left, upper, width and height of a crop of random area and aspect ratio; the largest one in the middle if ten
    draws do not fit."""
    for _ in range(_CROP_ATTEMPTS):
        area = width * height * generator.uniform(*scale)
        ratio = math.exp(generator.uniform(math.log(_ASPECT_RATIOS[0]), math.log(_ASPECT_RATIOS[1])))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            left = int(generator.integers(width - crop_width + 1))
            upper = int(generator.integers(height - crop_height + 1))
            return left, upper, crop_width, crop_height
    crop_width = min(width, max(1, round(height * _ASPECT_RATIOS[1])))
    crop_height = min(height, max(1, round(width / _ASPECT_RATIOS[0])))
    return (width - crop_width) // 2, (height - crop_height) // 2, crop_width, crop_height


@dataclass(frozen=True)
class TransformChain:
    """Transforms of an image, one after the other."""

    transforms: tuple[Callable[[Image.Image, np.random.Generator], Image.Image], ...]

    def __call__(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        for transform in self.transforms:
            image = transform(image, generator)
        return image


@dataclass(frozen=True)
class RandomErasing:
    """Noise in a random rectangle of a normalised image (Zhong et al., 2020).

    Args:
        probability: Of erasing anything at all; .25 in data2vec 2.0's fine-tuning.
        area: Smallest and largest part of the image's area.
        ratio: Smallest and largest ratio of height to width.
    """

    probability: float = 0.25
    area: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)

    def __call__(self, pixel_values: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
        """`(num_channels, height, width)` -> the same."""
        if generator.random() >= self.probability:
            return pixel_values
        num_channels, height, width = pixel_values.shape
        for _ in range(_CROP_ATTEMPTS):
            area = height * width * generator.uniform(*self.area)
            ratio = math.exp(generator.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            rows, columns = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < rows < height and 0 < columns < width:
                upper, left = int(generator.integers(height - rows + 1)), int(generator.integers(width - columns + 1))
                noise = torch.from_numpy(generator.standard_normal((num_channels, rows, columns), dtype=np.float32))
                erased = pixel_values.clone()
                erased[:, upper : upper + rows, left : left + columns] = noise
                return erased
        return pixel_values


@dataclass(frozen=True)
class ImageMixing:
    """Mixup (Zhang et al., 2018) or CutMix (Yun et al., 2019) of each image of a batch with its mirror in the order of
    the batch, one draw for the whole batch; and smoothed labels, mixed or not.

    Args:
        mixup_alpha, cutmix_alpha: Of the beta distributions of the share; 0 for none of that kind.
        probability: Of mixing a batch at all.
        switch_prob: Of CutMix where both are possible.
        label_smoothing: Probability that is spread over all labels.
    """

    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    probability: float = 1.0
    switch_prob: float = 0.5
    label_smoothing: float = 0.0

    @property
    def does_nothing(self) -> bool:
        """Whether labels stay what they are."""
        return self.mixup_alpha == 0 and self.cutmix_alpha == 0 and self.label_smoothing == 0

    def __call__(
        self, pixel_values: torch.Tensor, labels: torch.Tensor, num_labels: int, generator: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            pixel_values: `(batch_size, num_channels, height, width)`.
            labels: `(batch_size,)`.
            num_labels: Number of labels.
            generator: Source of randomness.

        Returns:
            Images, and probabilities of labels, `(batch_size, num_labels)`.
        """
        off_value = self.label_smoothing / num_labels
        targets = F.one_hot(labels, num_labels).float() * (1 - self.label_smoothing) + off_value
        if (self.mixup_alpha == 0 and self.cutmix_alpha == 0) or generator.random() >= self.probability:
            return pixel_values, targets
        cuts = self.cutmix_alpha > 0 and (self.mixup_alpha == 0 or generator.random() < self.switch_prob)
        alpha = self.cutmix_alpha if cuts else self.mixup_alpha
        share = float(generator.beta(alpha, alpha))
        other = pixel_values.flip(0)
        if cuts:
            mixed, share = _paste(pixel_values, other, share, generator)
        else:
            mixed = share * pixel_values + (1 - share) * other
        return mixed, share * targets + (1 - share) * targets.flip(0)


def _paste(
    images: torch.Tensor, other: torch.Tensor, share: float, generator: np.random.Generator
) -> tuple[torch.Tensor, float]:
    """Puts a rectangle of about `1 - share` of the area from `other` over `images`; returns the share that is left."""
    height, width = images.shape[-2:]
    rows, columns = round(height * math.sqrt(1 - share)), round(width * math.sqrt(1 - share))
    middle_row, middle_column = int(generator.integers(height)), int(generator.integers(width))
    upper, lower = max(0, middle_row - rows // 2), min(height, middle_row + rows // 2)
    left, right = max(0, middle_column - columns // 2), min(width, middle_column + columns // 2)
    mixed = images.clone()
    mixed[..., upper:lower, left:right] = other[..., upper:lower, left:right]
    return mixed, 1 - (lower - upper) * (right - left) / (height * width)
