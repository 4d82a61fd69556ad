# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tables of images, the data set that decodes them, augmentation, and the collators."""

import io
import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from training_helpers import write_images

from hf_ssl import Data2VecVisionForPreTraining
from hf_ssl.data import SkippedFiles
from hf_ssl.data.collators_images import (
    DataCollatorForData2Vec2Vision,
    DataCollatorForData2VecVision,
    DataCollatorForImageClassification,
)
from hf_ssl.data.image_augmentation import ColorJitter, ImageMixing, RandomErasing, RandomResizedCrop
from hf_ssl.data.images import ImageDataset, ImageReadError, load_images, read_image
from hf_ssl.data.rand_augment import OPERATIONS, RandAugment
from hf_ssl.models.image_processing_data2vec2 import make_image_processor
from hf_ssl.training.model_sizes import data2vec2_vision_config, data2vec_vision_config

CROP = RandomResizedCrop(32)


@pytest.fixture(autouse=True)
def local_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(width: int = 48, height: int = 40, mode: str = "RGB") -> Image.Image:
    ramp = np.linspace(0, 255, width * height).reshape(height, width).astype(np.uint8)
    return Image.fromarray(ramp).convert(mode)


# tables


def test_folders_with_splits_and_labels(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("validation", 2)):
        write_images(tmp_path / "images" / split, count)
    table = load_images([str(tmp_path / "images")], split="train", label_column="label")
    assert table["label"][:] == ["dark"] * 3 + ["light"] * 3
    assert table.column_names == ["image", "label"]
    assert len(load_images([str(tmp_path / "images")] * 2, split="validation")) == 8


def test_folder_with_metadata_and_parquet(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(2):
        picture().save(folder / f"{index}.png")
    (folder / "metadata.csv").write_text("file_name,kind\n0.png,ramp\n1.png,other\n")
    table = load_images([str(folder)], split="train", label_column="kind")
    assert table["label"][:] == ["ramp", "other"]
    with io.BytesIO() as buffer:
        picture().save(buffer, format="PNG")
        encoded = buffer.getvalue()
    rows = {"picture": [{"bytes": encoded, "path": None}], "label": [7]}
    datasets.Dataset.from_dict(rows).cast_column("picture", datasets.Image()).to_parquet(tmp_path / "a.parquet")
    table = load_images([str(tmp_path / "a.parquet")], split="train", image_column="picture", label_column="label")
    assert table["label"][:] == [7]
    assert read_image(table[0]["image"]).size == (48, 40)


def test_a_column_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no column 'species'; it has image, label"):
        load_images([str(write_images(tmp_path / "images"))], split="train", label_column="species")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("image.tiff" if mode == "CMYK" else "image.png")
    picture(mode=mode).save(path)
    assert read_image({"path": str(path), "bytes": None}).mode == "RGB"


def test_images_are_turned_upright(tmp_path: Path) -> None:
    image, exif = picture(), Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    image.save(tmp_path / "image.jpg", exif=exif)
    assert read_image({"path": str(tmp_path / "image.jpg"), "bytes": None}).size == (40, 48)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_what_is_no_image(content: bytes | None, tmp_path: Path) -> None:
    if content is None:  # truncated
        picture(200, 200).save(tmp_path / "whole.png")
        content = (tmp_path / "whole.png").read_bytes()[:300]
    (tmp_path / "image.png").write_bytes(content)
    with pytest.raises(ImageReadError, match="cannot be decoded"):
        read_image({"path": str(tmp_path / "image.png"), "bytes": None})


# the data set


def test_broken_images_are_listed_and_replaced(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images")
    (folder / "dark" / "1.png").write_bytes(b"no image")
    skipped = SkippedFiles(str(tmp_path / "skipped.jsonl"))
    data = ImageDataset(load_images([str(folder)], split="train"), seed=0, skipped=skipped, transform=CROP)
    items = [data[index] for index in range(len(data))]
    assert [item["image"].size for item in items] == [(32, 32)] * 8
    (entry,) = map(json.loads, (tmp_path / "skipped.jsonl").read_text().splitlines())
    assert entry["file"].endswith("1.png")
    assert entry["reason"].startswith("cannot be decoded")


def test_only_broken_images_are_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no image")
    data = ImageDataset(load_images([str(folder)], split="train"), seed=0, skipped=SkippedFiles())
    with pytest.raises(RuntimeError, match=r"images in a row could not be read.*1 file\(s\) skipped"):
        data[0]


def test_items_are_a_function_of_seed_epoch_and_index(tmp_path: Path) -> None:
    table = load_images([str(write_images(tmp_path / "images"))], split="train")
    first, second = (ImageDataset(table, seed=3, skipped=SkippedFiles(), transform=CROP) for _ in range(2))
    second[0]
    assert first[5]["image"].tobytes() == second[5]["image"].tobytes()
    assert first[5]["seed"] == second[5]["seed"]
    second.set_epoch(1)
    assert first[5]["image"].tobytes() != second[5]["image"].tobytes()
    assert not ImageDataset(table, seed=3, skipped=SkippedFiles())[5]["is_cropped"]


# augmentation


def test_crops_cover_the_published_scales() -> None:
    boxes = []

    class Recorder:
        size = (100, 80)

        def resize(self, size, resample, box):
            boxes.append(box)
            return self

        def transpose(self, method):
            return self

    for seed in range(500):
        CROP(Recorder(), generator(seed))  # type: ignore[arg-type]
    areas = np.array([(right - left) * (lower - upper) / 8000 for left, upper, right, lower in boxes])
    ratios = np.array([(right - left) / (lower - upper) for left, upper, right, lower in boxes])
    assert 0.19 < areas.min() < 0.25
    assert 0.9 < areas.max() <= 1
    assert 0.72 < ratios.min() < ratios.max() < 1.37
    assert all(0 <= box[0] < box[2] <= 100 and 0 <= box[1] < box[3] <= 80 for box in boxes)


@pytest.mark.parametrize("size", [(400, 2), (2, 400), (1, 1)])
def test_crops_of_extreme_images(size: tuple[int, int]) -> None:
    assert CROP(picture(*size), generator()).size == (32, 32)


def test_half_of_the_crops_are_flipped() -> None:
    crop = RandomResizedCrop(32, scale=(1.0, 1.0))
    image = Image.fromarray(np.tile(np.linspace(0, 255, 32).astype(np.uint8), (32, 1))).convert("RGB")
    ends = [np.asarray(crop(image, generator(seed)))[16, 0, 0] > 128 for seed in range(200)]
    assert 70 < sum(ends) < 130


def test_rand_augment_changes_half_of_two_operations() -> None:
    image = picture()
    augmented = [RandAugment()(image, generator(seed)) for seed in range(400)]
    assert {result.size for result in augmented} == {image.size}
    assert {result.mode for result in augmented} == {"RGB"}
    unchanged = sum(result.tobytes() == image.tobytes() for result in augmented) / 400
    assert 0.2 < unchanged < 0.4  # a quarter, and operations that find nothing to do, such as autocontrast here
    assert RandAugment(0)(image, generator()).tobytes() == image.tobytes()


@pytest.mark.parametrize("index", range(len(OPERATIONS)))
def test_operations_change_more_at_greater_strength(index: int) -> None:
    slope = np.add.outer(np.linspace(60, 110, 40), np.linspace(0, 60, 48))[..., None]
    pixels = (slope + generator().integers(-15, 15, (40, 48, 3))).astype(np.uint8)
    image = Image.fromarray(pixels)
    changes = [
        np.abs(np.asarray(OPERATIONS[index](image, strength, 1)).astype(int) - pixels).mean()
        for strength in (0.1, 0.9)
    ]
    without_strength = index < 3  # autocontrast, equalize, invert
    assert changes[1] == changes[0] if without_strength else changes[1] > changes[0]


def test_random_erasing() -> None:
    pixels = torch.full((3, 32, 32), 9.0)
    erased = [RandomErasing(0.25)(pixels, generator(seed)) for seed in range(400)]
    shares = np.array([(image != 9).float().mean().item() for image in erased])
    assert 0.18 < (shares > 0).mean() < 0.32
    assert 0.015 < shares[shares > 0].min() < shares.max() < 0.36
    assert (pixels == 9).all()


def test_mixup_mixes_images_and_labels_alike() -> None:
    pixels = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    mixed, targets = ImageMixing(mixup_alpha=0.8)(pixels, torch.tensor([0, 2]), 3, generator())
    share = 1 - mixed[0, 0, 0, 0].item()
    assert 0 < share < 1
    torch.testing.assert_close(targets, torch.tensor([[share, 0, 1 - share], [1 - share, 0, share]]))


def test_cutmix_counts_what_it_pasted() -> None:
    pixels = torch.stack([torch.zeros(3, 16, 16), torch.ones(3, 16, 16)])
    for seed in range(20):
        mixed, targets = ImageMixing(cutmix_alpha=1.0)(pixels, torch.tensor([0, 1]), 2, generator(seed))
        torch.testing.assert_close(targets[0, 1], mixed[0].mean())
        assert set(mixed.unique().tolist()) <= {0.0, 1.0}


def test_label_smoothing_and_probability_of_mixing() -> None:
    pixels = torch.randn(2, 3, 8, 8)
    unmixed, targets = ImageMixing(0.7, 1.0, probability=0.0, label_smoothing=0.1)(
        pixels, torch.tensor([0, 1]), 5, generator()
    )
    assert torch.equal(unmixed, pixels)
    torch.testing.assert_close(targets[0], torch.tensor([0.92, 0.02, 0.02, 0.02, 0.02]))
    assert ImageMixing().does_nothing


# collators


def item(seed: int = 0, label: str = "a", is_cropped: bool = True) -> dict:
    size = (32, 32) if is_cropped else (48, 40)
    return {"image": picture(*size), "is_cropped": is_cropped, "seed": seed, "label": label}


def test_pre_training_batches() -> None:
    config = data2vec2_vision_config("tiny")
    collator = DataCollatorForData2Vec2Vision(make_image_processor(32), config)
    batch = collator([item(1), item(2)])
    assert batch["pixel_values"].shape == (2, 3, 32, 32)
    assert batch["bool_masked_pos"].shape == (2, config.num_masks, 16)
    assert torch.equal(batch["labels"] == 0, batch["bool_masked_pos"])
    assert set(batch["labels"].unique().tolist()) == {-100, 0}
    # masks depend on the item alone, and pixels are normalised by ImageNet's figures
    assert torch.equal(collator([item(2)])["bool_masked_pos"][0], batch["bool_masked_pos"][1])
    expected = (np.asarray(picture(32, 32))[0, 5, 0] / 255 - 0.485) / 0.229
    assert batch["pixel_values"][0, 0, 0, 5].item() == pytest.approx(expected, abs=1e-5)


def test_data2vec_batches() -> None:
    """One mask of blocks per image, by its seed."""
    config = data2vec_vision_config("tiny")
    collate = DataCollatorForData2VecVision(make_image_processor(32), config)
    images = [{"image": Image.new("RGB", (40, 50), (9 * seed, 0, 0)), "is_cropped": False} for seed in range(3)]
    batch = collate([image | {"seed": seed} for seed, image in enumerate(images)])
    assert batch["pixel_values"].shape == (3, 3, 32, 32)
    assert batch["bool_masked_pos"].shape == (3, 16)
    assert (batch["bool_masked_pos"].sum(1) <= config.num_mask_patches).all()
    assert batch["bool_masked_pos"].any(1).all()
    assert torch.equal(batch["labels"] == 0, batch["bool_masked_pos"])
    alone = collate([images[2] | {"seed": 2}])
    assert torch.equal(alone["bool_masked_pos"][0], batch["bool_masked_pos"][2])
    output = Data2VecVisionForPreTraining(config)(**batch)
    assert torch.equal(output.prediction_mask, batch["bool_masked_pos"])
    with pytest.raises(ValueError, match="square images, got `image_size` = "):
        DataCollatorForData2VecVision(
            make_image_processor(32), data2vec_vision_config("tiny", image_size=(32, 40), patch_size=8)
        )


def test_colours_change_within_bounds() -> None:
    image = Image.new("RGB", (4, 4), (100, 150, 200))
    jittered = [
        np.asarray(ColorJitter(0.4)(image, np.random.default_rng(seed)), dtype=float).mean() for seed in range(50)
    ]
    assert np.std(jittered) > 10
    assert 0.55 * 150 < min(jittered) < 150 < max(jittered) < 1.45 * 150
    same = ColorJitter(0.0)(image, np.random.default_rng(0))
    assert np.array_equal(np.asarray(same), np.asarray(image))
    with pytest.raises(ValueError, match="strength from 0 to 1, got 2"):
        ColorJitter(2)


def test_classification_batches() -> None:
    labels = {"a": 0, "b": 1}
    collator = DataCollatorForImageClassification(
        make_image_processor(32), labels, 32, RandomErasing(1.0), ImageMixing(mixup_alpha=1.0, label_smoothing=0.1)
    )
    training = collator([item(1, "a"), item(2, "b")])
    assert training["labels"].shape == (2, 2)
    torch.testing.assert_close(training["labels"].sum(-1), torch.ones(2))
    evaluation = collator([item(1, "b", is_cropped=False), item(2, "a", is_cropped=False)])
    assert evaluation["labels"].tolist() == [1, 0]
    assert torch.equal(evaluation["pixel_values"][0], evaluation["pixel_values"][1])  # nothing is drawn
    with pytest.raises(ValueError, match="unknown label 'c'; label2id has 'a', 'b'"):
        collator([item(1, "c")])


def test_an_image_processor_of_another_size() -> None:
    with pytest.raises(ValueError, match="gives images of 64 x 64 pixels, but the model reads 32 x 32"):
        DataCollatorForData2Vec2Vision(make_image_processor(64), data2vec2_vision_config("tiny"))
