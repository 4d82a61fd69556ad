# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The image processor of data2vec 2.0, as the original prepares images for evaluation."""

from transformers import ViTImageProcessorPil
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, PILImageResampling

# Side of an image that is resized before its middle is cropped, per pixel of the crop; larger crops are the whole.
_MARGIN = 256 / 224
_LARGEST_WITH_MARGIN = 224


def make_image_processor(image_size: int) -> ViTImageProcessorPil:
    """Resizes the shorter side (bicubic, with a margin up to 224 pixels), crops the middle, and normalises by the mean
    and deviation of ImageNet.

    Args:
        image_size: Height and width of what the model reads, in pixels.
    """
    margin = _MARGIN if image_size <= _LARGEST_WITH_MARGIN else 1.0
    return ViTImageProcessorPil(
        do_convert_rgb=True,
        do_resize=True,
        size={"shortest_edge": int(image_size * margin)},
        resample=PILImageResampling.BICUBIC,
        do_center_crop=True,
        crop_size={"height": image_size, "width": image_size},
        image_mean=IMAGENET_DEFAULT_MEAN,
        image_std=IMAGENET_DEFAULT_STD,
    )
