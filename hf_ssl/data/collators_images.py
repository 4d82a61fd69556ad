# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Collators of images: they normalise, and own the masks of pre-training and the mixtures of fine-tuning."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import Data2VecVisionConfig, ViTImageProcessorPil

from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.configuration_data2vec_pretraining import Data2VecVisionPreTrainingConfig
from ..models.masking import row_positions
from ..models.modeling_data2vec2_vision import draw_masks_of_image
from ..models.modeling_data2vec_vision_pretraining import draw_mask_of_image
from .collator_checks import check_items, seeds_of
from .collators_pretraining import IGNORED_LABEL
from .image_augmentation import ImageMixing, RandomErasing


def square_size(config: Data2Vec2VisionConfig | Data2VecVisionConfig) -> int:
    """Side of the images that a model reads, in pixels.

    Raises:
        ValueError: They are no squares, which is all that crops here can be.
    """
    size = config.image_size
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise ValueError(f"Expected a model of square images, got `image_size` = {size}.")
    return sides.pop()


def check_image_processor(image_processor: ViTImageProcessorPil, image_size: int) -> None:
    """Raises if evaluation would give images of another size than the model reads."""
    fields = image_processor.to_dict()
    size = fields["crop_size"] if fields.get("do_center_crop") else fields["size"]
    given = (size.get("height"), size.get("width"))
    if given != (image_size, image_size):
        raise ValueError(
            f"The image processor gives images of {given[0]} x {given[1]} pixels, but the model reads {image_size} x "
            f"{image_size}."
        )


class DataCollatorForData2Vec2Vision:
    """Makes a batch for [`Data2Vec2VisionForPreTraining`] out of images.

    Masks are drawn here and not in the model for the reasons that [`DataCollatorForData2Vec2Audio`] gives.

    Args:
        image_processor: Resizes what has not been cropped, and normalises.
        config: The model's configuration, for masks and sizes.
    """

    def __init__(self, image_processor: ViTImageProcessorPil, config: Data2Vec2VisionConfig):
        check_image_processor(image_processor, config.image_size)
        self.image_processor = image_processor
        self.config = config

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """
        Args:
            features: Items of an [`ImageDataset`]; `seed` determines an item's masks.

        Returns:
            `pixel_values`, `(batch_size, num_channels, image_size, image_size)`; `bool_masked_pos` (bool) and `labels`
            (0 at masked patches, -100 elsewhere), `(batch_size, num_masks, num_patches)`; `visible_positions` and
            `predicted_positions`, `(batch_size, num_masks, any number)`, where the masks are false and true.
        """
        generators = [torch.Generator().manual_seed(seed) for seed in seeds_of(features)]
        masks = torch.stack([draw_masks_of_image(self.config, generator) for generator in generators])
        return {
            "pixel_values": make_pixels(self.image_processor, features, self.config.image_size),
            "bool_masked_pos": masks,
            "labels": torch.where(masks, 0, IGNORED_LABEL),
            "visible_positions": row_positions(~masks),
            "predicted_positions": row_positions(masks),
        }


class DataCollatorForData2VecVision:
    """Makes a batch for [`Data2VecVisionForPreTraining`] out of images, with one mask of blocks for each.

    Masks are drawn here and not in the model for the reasons that [`DataCollatorForData2Vec2Audio`] gives.

    Args:
        image_processor: Resizes what has not been cropped, and normalises.
        config: The model's configuration, for masks and sizes.

    Raises:
        ValueError: Model or processor want other images than squares of one size.
    """

    def __init__(self, image_processor: ViTImageProcessorPil, config: Data2VecVisionPreTrainingConfig):
        self.image_size = square_size(config)
        check_image_processor(image_processor, self.image_size)
        self.image_processor = image_processor
        self.config = config

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """
        Args:
            features: Items of an [`ImageDataset`]; `seed` determines an item's mask.

        Returns:
            `pixel_values`, `(batch_size, num_channels, image_size, image_size)`; `bool_masked_pos` (bool) and `labels`
            (0 at masked patches, -100 elsewhere), `(batch_size, num_patches)`; `predicted_positions`, `(batch_size,
            num_mask_patches)`, where the masks are true.
        """
        masks = torch.stack(
            [draw_mask_of_image(self.config, np.random.default_rng(seed)) for seed in seeds_of(features)]
        )
        return {
            "pixel_values": make_pixels(self.image_processor, features, self.image_size),
            "bool_masked_pos": masks,
            "labels": torch.where(masks, 0, IGNORED_LABEL),
            "predicted_positions": row_positions(masks, self.config.num_mask_patches),
        }


class DataCollatorForImageClassification:
    """Makes a batch for [`Data2Vec2VisionForImageClassification`], or for transformers'
    `Data2VecVisionForImageClassification`.

    Args:
        image_processor: Resizes what has not been cropped, and normalises.
        label2id: Numbers of the labels.
        image_size: What the model reads.
        erasing, mixing: What cropped images go through besides; whole ones, of an evaluation, stay as they are.
    """

    def __init__(
        self,
        image_processor: ViTImageProcessorPil,
        label2id: Mapping[str, int],
        image_size: int,
        erasing: RandomErasing | None = None,
        mixing: ImageMixing | None = None,
    ):
        check_image_processor(image_processor, image_size)
        self.image_processor = image_processor
        self.label2id = dict(label2id)
        self.image_size = image_size
        self.erasing = erasing
        self.mixing = mixing

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """
        Args:
            features: Items of an [`ImageDataset`]; `seed` determines what is drawn for an item, `is_cropped` says that
                it is for training.

        Returns:
            `pixel_values`, `(batch_size, num_channels, image_size, image_size)`, and `labels`, `(batch_size,)`, or
            probabilities of labels, `(batch_size, num_labels)`, of mixed images or smoothed labels.

        Raises:
            ValueError: A label is not among `label2id`.
        """
        pixel_values = make_pixels(self.image_processor, features, self.image_size)
        check_items(features, "label")
        labels = torch.tensor([self._number(feature["label"]) for feature in features])
        if not features[0]["is_cropped"]:
            return {"pixel_values": pixel_values, "labels": labels}
        generators = [np.random.default_rng(seed) for seed in seeds_of(features)]
        if self.erasing is not None:
            pairs = zip(pixel_values, generators, strict=True)
            pixel_values = torch.stack([self.erasing(image, generator) for image, generator in pairs])
        if self.mixing is not None and not self.mixing.does_nothing:
            pixel_values, labels = self.mixing(pixel_values, labels, len(self.label2id), generators[0])
        return {"pixel_values": pixel_values, "labels": labels}

    def _number(self, label: str | int) -> int:
        if str(label) not in self.label2id:
            known = ", ".join(map(repr, list(self.label2id)[:20]))
            raise ValueError(f"An image has the unknown label {str(label)!r}; label2id has {known}.")
        return self.label2id[str(label)]


def make_pixels(
    image_processor: ViTImageProcessorPil, features: Sequence[Mapping[str, Any]], image_size: int
) -> torch.Tensor:
    """Normalised pixels, `(batch_size, num_channels, image_size, image_size)`; what has been cropped is not resized
    again.

    Raises:
        ValueError: An item has no image, or one that was cropped to another size.
    """
    check_items(features, "image", "is_cropped")
    return torch.stack([_pixels(image_processor, feature, image_size) for feature in features])


def _pixels(image_processor: ViTImageProcessorPil, feature: Mapping[str, Any], image_size: int) -> torch.Tensor:
    image, is_cropped = feature["image"], feature["is_cropped"]
    if not isinstance(image, Image.Image) or min(image.size) < 1:
        raise ValueError(f"expected `image` to be an image of PIL with at least one pixel, got {image!r}")
    if is_cropped and image.size != (image_size, image_size):
        raise ValueError(f"expected images cropped to {image_size} x {image_size} pixels, got one of {image.size}")
    resizing: dict[str, Any] = {"do_resize": False, "do_center_crop": False} if is_cropped else {}
    return image_processor(image, return_tensors="pt", **resizing)["pixel_values"][0]
