# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Arguments of the training scripts for images."""

from dataclasses import dataclass, field
from typing import Literal

from ..data.image_augmentation import ColorJitter, RandomResizedCrop, TransformChain
from .arguments import ModelArguments, PreTrainingArguments, check_eval_split


@dataclass
class ImageModelArguments(ModelArguments):
    """`ModelArguments` of image models."""

    model_type: Literal["data2vec2-vision", "data2vec-vision"] = field(  # type: ignore[assignment]
        default="data2vec2-vision", metadata={"help": "Kind of model: data2vec2-vision or data2vec-vision."}
    )
    model_size: Literal["tiny", "small", "base", "large", "huge"] | None = field(  # type: ignore[assignment]
        default=None,
        metadata={
            "help": "A new model: tiny (tests), small (laptop), base, large or huge (these as published; "
            "data2vec-vision has no huge)."
        },
    )
    preprocessor: str | None = field(
        default=None,
        metadata={
            "help": "A new model's image processor: folder with preprocessor_config.json. If absent, one that "
            "normalises by the mean and deviation of ImageNet."
        },
    )


@dataclass
class ImageDataArguments:
    """Which images to use."""

    data: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Folders of images (with metadata.csv, a sub-folder per label, or without labels), parquet files, "
            "or data sets on the Hub (`name` or `name:config`)."
        },
    )
    eval_data: list[str] = field(
        default_factory=list, metadata={"help": "The same for evaluation; none takes place without it."}
    )
    split: str = field(default="train", metadata={"help": "Split of --data."})
    eval_split: str = field(default="validation", metadata={"help": "Split of --eval_data."})
    image_column: str = field(default="image", metadata={"help": "Column with the image."})

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("Expected --data with at least one folder or data set, got none.")
        check_eval_split(self.eval_data, self.eval_split)


@dataclass
class ImagePreTrainingDataArguments(ImageDataArguments):
    """`ImageDataArguments` with the published crops."""

    crop_scale: list[float] = field(
        default_factory=lambda: [0.2, 1.0],
        metadata={"help": "Smallest and largest share of an image to crop."},
    )
    color_jitter: float = field(
        default=0.0,
        metadata={"help": "Change brightness, contrast and saturation by up to this share; 0 for not at all."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_crop_scale(self.crop_scale)
        if not 0 <= self.color_jitter <= 1:
            raise ValueError(f"--color_jitter must be between 0 and 1, got {self.color_jitter}.")

    def transform(self, image_size: int) -> TransformChain:
        """Change of colours, if any, and crop with flip."""
        crop = RandomResizedCrop(image_size, (self.crop_scale[0], self.crop_scale[1]))
        return TransformChain((ColorJitter(self.color_jitter), crop) if self.color_jitter else (crop,))


@dataclass
class ImageFineTuningDataArguments(ImageDataArguments):
    """`ImageDataArguments` with labels and a last test."""

    label_column: str = field(default="label", metadata={"help": "Column with the label."})
    test_split: str | None = field(
        default=None,
        metadata={"help": "Split of --eval_data to evaluate once, after training. Choose settings by --eval_split."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_split is not None and not self.eval_data:
            raise ValueError("--test_split is a split of --eval_data: give that too.")


@dataclass
class ImagePreTrainingArguments(PreTrainingArguments):
    """`PreTrainingArguments` with the published optimizer of data2vec 2.0 for images."""

    train_sampling_strategy: str = field(default="random", metadata={"help": "random or sequential."})
    dataloader_num_workers: int = field(default=2, metadata={"help": "Processes that decode images."})
    learning_rate: float = field(default=1e-3, metadata={"help": "Highest learning rate."})
    warmup_steps: float = field(default=0.13, metadata={"help": "Updates of warm-up, or their share if below 1."})
    adam_beta2: float = field(default=0.95, metadata={"help": "Beta2 of AdamW."})
    weight_decay: float = field(default=0.05, metadata={"help": "Weight decay of AdamW."})
    max_grad_norm: float = field(default=4.0, metadata={"help": "Longest gradient; longer ones are scaled down."})


def check_crop_scale(scale: list[float]) -> None:
    """Raises if `--crop_scale` is no range of shares."""
    if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"--crop_scale must be two rising shares of an image, got {scale}.")
