# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a pre-trained model of images makes of one: what was hidden from it, and where its predictions are off."""

from math import isqrt

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModelForPreTraining

from ..data.images import ImageReadError, load_images, read_image
from ..data.pretraining_collators import image_collator
from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.configuration_data2vec_pretraining import Data2VecVisionPreTrainingConfig
from .markup import Markup, element
from .model import open_model, open_part
from .numbers import format_share
from .pictures import data_uri, in_colour
from .privacy import last_name
from .run_folder import Run
from .samples import SampleSource, check_index
from .section import Section
from .similarities import Similarities, others_in_words, similarities

_MASK_SEED = 0
_HIDDEN_SHADE = 128

VisionConfig = Data2Vec2VisionConfig | Data2VecVisionPreTrainingConfig


def image_section(run: Run, source: SampleSource) -> Section:
    """An image, what the student saw of it, and how well it predicts the rest.

    Raises:
        ValueError: The model or the image cannot be used.
    """
    model = open_model(AutoModelForPreTraining, run)
    processor = open_part(AutoImageProcessor, run)
    table = load_images(source.data, split=source.split_name, image_column=source.image_column)
    check_index(source.index, len(table))
    row = table[source.index]["image"]
    try:
        image = read_image(row)
    except ImageReadError as error:
        raise ValueError(f"The sample cannot be read: {error}") from error
    batch = image_collator(model.config, processor)([{"image": image, "is_cropped": False, "seed": _MASK_SEED}])
    with torch.no_grad():
        found = similarities(model(**batch))
    pixels = _visible(batch["pixel_values"][0], processor)
    name = last_name(row["path"]) if row["path"] else f"item {source.index}"
    return Section("A sample", _pictures(pixels, found, model.config, name))


def _visible(pixel_values: torch.Tensor, processor) -> np.ndarray:
    """Pixels as they were before normalisation, `(height, width, 3)`, uint8."""
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    pixels = pixel_values.permute(1, 2, 0) * std + mean
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _pictures(pixels: np.ndarray, found: Similarities, config: VisionConfig, name: str) -> list[Markup]:
    hidden, predicted, errors = (
        _enlarge(values.numpy(), len(pixels))
        for values in (found.hidden, found.predicted, (1 - found.by_position) / 2)
    )
    seen = np.where(hidden[..., None], _HIDDEN_SHADE, pixels).astype(np.uint8)
    shown = np.where(predicted[..., None], in_colour(errors), _pale(pixels)).astype(np.uint8)
    has_several_masks = isinstance(config, Data2Vec2VisionConfig) and config.num_masks > 1
    others = others_in_words(found, "patch")
    share = format_share(found.hidden.float().mean().item())
    return [
        element(
            "p", f"{name}. {share} of its patches were hidden from the student, as in training.", class_="introduction"
        ),
        element(
            "div",
            _picture(pixels, "The image", "As the model's preprocessor gives it."),
            _picture(
                seen,
                "What the student saw",
                "The first of several masks." if has_several_masks else "What was hidden is grey.",
            ),
            _picture(
                shown,
                "Where it is wrong",
                "Bright: prediction and target point in opposite directions. Dark: they are the same. Pale: not "
                f"predicted. Cosine similarity {found.own.mean().item():.2f} on average{others}.",
            ),
            class_="pictures",
        ),
    ]


def _pale(pixels: np.ndarray) -> np.ndarray:
    """An image with so little contrast that no part of it passes for the colour of an error."""
    return pixels // 4 + 96


def _enlarge(patches: np.ndarray, image_size: int) -> np.ndarray:
    """Values of square patches of a square image as a picture of its size."""
    side = isqrt(len(patches))
    patch_size = image_size // side
    return patches.reshape(side, side).repeat(patch_size, axis=0).repeat(patch_size, axis=1)


def _picture(pixels: np.ndarray, title: str, caption: str) -> Markup:
    return element(
        "figure",
        element("figcaption", element("h3", title)),
        element("img", src=data_uri(pixels), alt=title),
        element("p", caption, class_="caption"),
    )
