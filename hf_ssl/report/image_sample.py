# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a pre-trained model of images makes of one: what was hidden from it, and where its predictions are off."""

import numpy as np
import torch
from torch.nn import functional as F
from transformers import AutoImageProcessor, AutoModelForPreTraining

from ..data.collators_images import DataCollatorForData2Vec2Vision
from ..data.images import ImageReadError, load_images, read_image
from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from .markup import Markup, element
from .model import open_model, open_part
from .numbers import format_share
from .pictures import data_uri, in_colour
from .privacy import last_name
from .run_folder import Run
from .samples import SampleSource, check_index
from .section import Section

_MASK_SEED = 0
_HIDDEN_SHADE = 128


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
    collator = DataCollatorForData2Vec2Vision(processor, model.config)
    batch = collator([{"image": image, "is_cropped": False, "seed": _MASK_SEED}])
    with torch.no_grad():
        outputs = model(**batch)
    pixels = _visible(batch["pixel_values"][0], processor)
    name = last_name(row["path"]) if row["path"] else f"item {source.index}"
    return Section("A sample", _pictures(pixels, outputs, model.config, name))


def _visible(pixel_values: torch.Tensor, processor) -> np.ndarray:
    """Pixels as they were before normalisation, `(height, width, 3)`, uint8."""
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    pixels = pixel_values.permute(1, 2, 0) * std + mean
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _pictures(pixels: np.ndarray, outputs, config: Data2Vec2VisionConfig, name: str) -> list[Markup]:
    targets = outputs.targets[0]
    hidden, predicted = outputs.mask_time_indices[0, 0], outputs.prediction_mask[0, 0]
    predictions = outputs.predictions[: int(predicted.sum())]
    similarities = torch.zeros(len(targets))
    similarities[predicted] = F.cosine_similarity(predictions.float(), targets[predicted].float(), dim=-1)
    seen = np.where(_enlarge(hidden.numpy(), config)[..., None], _HIDDEN_SHADE, pixels).astype(np.uint8)
    errors = _enlarge(((1 - similarities) / 2).numpy(), config)
    shown = np.where(_enlarge(predicted.numpy(), config)[..., None], in_colour(errors), pixels // 4)
    mean = similarities[predicted].mean().item()
    share = format_share(hidden.float().mean().item())
    return [
        element(
            "p", f"{name}. {share} of its patches were hidden from the student, as in training.", class_="introduction"
        ),
        element(
            "div",
            _picture(pixels, "The image", "As the model's preprocessor gives it."),
            _picture(seen, "What the student saw", "The first of several masks."),
            _picture(
                shown.astype(np.uint8),
                "Where it is wrong",
                "Bright: prediction and target point in opposite directions. Dark: they are the same. Cosine "
                f"similarity {mean:.2f} on average.",
            ),
            class_="pictures",
        ),
    ]


def _enlarge(patches: np.ndarray, config: Data2Vec2VisionConfig) -> np.ndarray:
    """Values of patches as a picture of the image's size."""
    side = config.image_size // config.patch_size
    return patches.reshape(side, side).repeat(config.patch_size, axis=0).repeat(config.patch_size, axis=1)


def _picture(pixels: np.ndarray, title: str, caption: str) -> Markup:
    return element(
        "figure",
        element("figcaption", element("h3", title)),
        element("img", src=data_uri(pixels), alt=title),
        element("p", caption, class_="caption"),
    )
