# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fine-tuning on images: data arguments, what images go through, layer decay and stochastic depth."""

import re
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import Data2VecVisionConfig, Data2VecVisionPreTrainedModel

from ..data.image_augmentation import ImageMixing, RandomErasing, RandomResizedCrop, TransformChain
from ..data.rand_augment import RandAugment
from ..models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from ..models.modeling_data2vec2_vision import image_classification_loss
from .finetuning import FineTuningArguments, FineTuningTrainer
from .image_arguments import check_crop_scale

_BLOCK_NAME = re.compile(r"\b(context_encoder|trunk)\.layers\.(\d+)\.")
# In transformers' own encoder of data2vec.
_LAYER_NAME = re.compile(r"\bencoder\.layer\.(\d+)\.")
_EMBEDDINGS = "data2vec_vision.embeddings."
ImageConfig = Data2Vec2VisionConfig | Data2VecVisionConfig


@dataclass
class ImageFineTuningArguments(FineTuningArguments):
    """`FineTuningArguments` with the published optimizer of data2vec 2.0's fine-tuning on images."""

    train_sampling_strategy: str = field(default="random", metadata={"help": "random or sequential."})
    learning_rate: float = field(default=1e-3, metadata={"help": "Highest learning rate, that of the head."})
    adam_beta2: float = field(default=0.95, metadata={"help": "Beta2 of AdamW."})
    weight_decay: float = field(default=0.05, metadata={"help": "Weight decay of AdamW."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Schedule after the warm-up."})
    layer_decay: float = field(
        default=0.65,
        metadata={
            "help": "Learning rate of a transformer layer as a share of that of the layer above; 1 for the same "
            "everywhere. As in the originals, patch embedding and extra tokens have the full learning rate in "
            "data2vec 2.0, and that of a layer below the first in data2vec."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"--layer_decay must be in (0, 1], got {self.layer_decay}.")


@dataclass
class ImageAugmentationArguments:
    """What images go through in training; the defaults are the published ones."""

    crop_scale: list[float] = field(
        default_factory=lambda: [0.08, 1.0],
        metadata={"help": "Smallest and largest share of an image to crop."},
    )
    rand_augment: float = field(default=9.0, metadata={"help": "Strength of RandAugment, from 0 (none) to 10."})
    mixup: float = field(default=0.7, metadata={"help": "Alpha of mixup; 0 for none."})
    cutmix: float = field(default=1.0, metadata={"help": "Alpha of CutMix; 0 for none."})
    mixup_prob: float = field(default=0.9, metadata={"help": "Probability of either for a batch."})
    mixup_switch_prob: float = field(default=0.5, metadata={"help": "Probability of CutMix instead of mixup."})
    label_smoothing: float = field(default=0.1, metadata={"help": "Probability that is spread over all labels."})
    random_erasing: float = field(default=0.25, metadata={"help": "Probability of noise in a rectangle of an image."})
    drop_path_rate: float = field(default=0.1, metadata={"help": "Stochastic depth of the last layer."})

    def __post_init__(self) -> None:
        check_crop_scale(self.crop_scale)
        values = asdict(self)
        for name in ("mixup_prob", "mixup_switch_prob", "random_erasing", "label_smoothing", "drop_path_rate"):
            if not 0 <= values[name] <= 1:
                raise ValueError(f"--{name} must be between 0 and 1, got {values[name]}.")
        if self.drop_path_rate == 1:
            raise ValueError("--drop_path_rate 1 would drop the last layer always: expected less.")
        if not 0 <= self.rand_augment <= 10:
            raise ValueError(f"--rand_augment must be between 0 and 10, got {self.rand_augment}.")
        if self.mixup < 0 or self.cutmix < 0:
            raise ValueError(f"--mixup and --cutmix must not be negative, got {self.mixup} and {self.cutmix}.")

    def transform(self, image_size: int) -> TransformChain:
        """Crop, flip and RandAugment."""
        crop = RandomResizedCrop(image_size, (self.crop_scale[0], self.crop_scale[1]))
        return TransformChain((crop, RandAugment(self.rand_augment)))

    @property
    def erasing(self) -> RandomErasing:
        return RandomErasing(self.random_erasing)

    @property
    def mixing(self) -> ImageMixing:
        return ImageMixing(
            self.mixup, self.cutmix, self.mixup_prob, self.mixup_switch_prob, label_smoothing=self.label_smoothing
        )


def drop_path_overrides(config: ImageConfig, rate: float) -> dict[str, Any]:
    """Fields with stochastic depth that rises from 0 at the first layer (of data2vec 2.0's prenet) to `rate` at the
    last (of its trunk).

    Deviation: the original spreads the rates over as many layers as the trunk has, counts the prenet among them, and
    stretches what is left for the trunk, so that layers share rates.
    """
    if isinstance(config, Data2VecVisionConfig):
        return {"drop_path_rate": rate}
    prenet, last = config.num_prenet_layers, config.num_prenet_layers + config.num_hidden_layers - 1
    step = rate / max(1, last)
    return {
        "prenet_drop_path_rates": [0.0, step * max(0, prenet - 1)],
        "drop_path_rates": [step * prenet, rate],
    }


def layer_scale(name: str, num_prenet_layers: int, num_hidden_layers: int, decay: float) -> float:
    """Factor on the learning rate of a parameter: `decay` for the last layer of the trunk, its square for the one
    below; 1 outside of layers.

    Args:
        name: Of the parameter.
        num_prenet_layers, num_hidden_layers: Of the model.
        decay: Of the learning rate from layer to layer.
    """
    found = _BLOCK_NAME.search(name)
    if found is None:
        return 1.0
    stage, index = found.groups()
    depth = int(index) + (num_prenet_layers if stage == "trunk" else 0)
    return decay ** (num_prenet_layers + num_hidden_layers - depth)


def data2vec_layer_scale(name: str, num_hidden_layers: int, decay: float) -> float:
    """The same of data2vec, whose embeddings count as the layer below the first (`LayerDecayValueAssigner` of BEiT,
    which the original takes): all but layers and embeddings, the shared table of positions too, have the factor 1."""
    if name.startswith(_EMBEDDINGS):
        return decay ** (num_hidden_layers + 1)
    found = _LAYER_NAME.search(name)
    return 1.0 if found is None else decay ** (num_hidden_layers - int(found[1]))


def scale_of_parameter(name: str, config: ImageConfig, decay: float) -> float:
    """Factor on the learning rate of a parameter of a classifier with an encoder of either family."""
    if isinstance(config, Data2VecVisionConfig):
        return data2vec_layer_scale(name, config.num_hidden_layers, decay)
    return layer_scale(name, config.num_prenet_layers, config.num_hidden_layers, decay)


class ImageFineTuningTrainer(FineTuningTrainer):
    """`FineTuningTrainer` with layer decay, and with labels that are probabilities (mixed images, smoothed labels)
    for transformers' own classifier too, which knows none."""

    args: ImageFineTuningArguments

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        if not isinstance(self.accelerator.unwrap_model(model), Data2VecVisionPreTrainedModel):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        outputs = model(pixel_values=inputs["pixel_values"])
        kind = "single_label_classification"
        loss = image_classification_loss(outputs.logits, inputs["labels"], kind, num_items_in_batch)
        return (loss, {"loss": loss, "logits": outputs.logits}) if return_outputs else loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Puts the parameters of every layer into groups of their own."""
        is_new = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if not is_new or self.args.layer_decay == 1:
            return optimizer
        unwrapped = self.accelerator.unwrap_model(self.model)
        scales = {
            id(parameter): scale_of_parameter(name, unwrapped.config, self.args.layer_decay)
            for name, parameter in unwrapped.named_parameters()
        }
        for group in list(optimizer.param_groups):
            parameters = group["params"]
            group["params"] = [parameter for parameter in parameters if scales[id(parameter)] == 1]
            for scale in sorted({scales[id(parameter)] for parameter in parameters} - {1.0}):
                layer = [parameter for parameter in parameters if scales[id(parameter)] == scale]
                optimizer.add_param_group({**group, "params": layer, "lr": group["lr"] * scale})
        return optimizer
