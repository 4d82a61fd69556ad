# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A recipe's training data: read, augmented and put into batches as its script does it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import datasets
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler
from transformers import (
    AutoFeatureExtractor,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    ViTImageProcessorPil,
    Wav2Vec2FeatureExtractor,
)

from ..data.augmentation import WaveformAugmentation
from ..data.collators_images import square_size
from ..data.dataset import AudioDataset, LengthGroupedSampler
from ..data.duration_batches import DurationBatchSampler
from ..data.images import ImageDataset, load_images
from ..data.pretraining_collators import Collator, image_collator, speech_collator, text_collator
from ..data.skipped import SkippedFiles
from ..data.text import PackedTextDataset, block_token_ids, iterate_texts, load_text_sources
from ..models.configuration_best_rq import BestRqConfig
from ..models.feature_extraction_best_rq import BestRqFeatureExtractor
from ..models.image_processing_data2vec2 import make_image_processor
from ..planning.recipes import PlannedRecipe, RecipeArguments
from ..training.running import Reading, load_train_table, make_train_dataset, override_config
from ..training.text_tokenizers import train_tokenizer

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class TrainingData:
    """What batches are made of.

    Attributes:
        dataset: Clips, images, or a stream of blocks of tokens that does not end.
        batches: Indices of batches, without an end; `None` for a stream.
        items: Of a batch of a stream.
        collator: Makes a batch.
        config: The recipe's model; of text with the tokenizer's numbers.
        per_position: Seconds or tokens of an element of the attention mask; `None` for images.
        most_workers: More workers than these have nothing to read; `None` if there is no such number.
        skipped: What could not be used.
        on_device: What is left to be done to a batch once it is on the device, in every step; `None` if nothing is.
    """

    dataset: Any
    batches: "EndlessBatches | None"
    items: int
    collator: Collator
    config: PreTrainedConfig
    per_position: float | None
    most_workers: int | None
    skipped: SkippedFiles
    on_device: Callable[[Batch], Batch] | None = None

    def loader(self, num_workers: int, device: str) -> DataLoader:
        """Batches for ever."""
        batching: dict[str, Any] = {"batch_sampler": self.batches}
        if self.batches is None:
            batching = {"batch_size": self.items}
        return DataLoader(
            self.dataset,
            collate_fn=self.collator,
            num_workers=num_workers,
            pin_memory=device == "cuda",
            **batching,
        )

    def amounts(self, batch: Batch) -> tuple[float, float]:
        """Seconds of audio, images or tokens of a batch: without padding, and with it."""
        if self.per_position is None:
            number = float(len(batch["pixel_values"]))
            return number, number
        mask = batch["attention_mask"]
        return float(mask.sum()) * self.per_position, mask.numel() * self.per_position


class EndlessBatches(Sampler[list[int]]):
    """The batches of epoch after epoch, without the pause for new workers between them.

    Args:
        dataset: Is told the epoch.
        of_epoch: Makes the batches of an epoch.
    """

    def __init__(self, dataset: AudioDataset | ImageDataset, of_epoch: Callable[[int], Iterator[list[int]]]) -> None:
        self.dataset = dataset
        self.of_epoch = of_epoch

    def __iter__(self) -> Iterator[list[int]]:
        for epoch in count():
            self.dataset.set_epoch(epoch)
            yield from self.of_epoch(epoch)


def open_training_data(
    recipe: PlannedRecipe, arguments: RecipeArguments, sources: Sequence[str], items: int | None
) -> TrainingData:
    """Opens the data of a recipe.

    Args:
        recipe: With the longest item that is wanted.
        arguments: What its script reads from the command line, with `sources` as `--data`.
        sources: Folders, files, data sets on the Hub.
        items: Of a batch; as many as the recipe says if `None`.

    Raises:
        ValueError: Nothing in them can be used; they are of another kind; the recipe needs something else too, such
            as noises or a tokenizer.
    """
    match recipe.unit:
        case "images":
            return _images(recipe, arguments, sources, items)
        case "tokens":
            return _text(recipe, arguments, sources, items)
    return _speech(recipe, arguments, items)


def _speech(recipe: PlannedRecipe, arguments: RecipeArguments, items: int | None) -> TrainingData:
    if arguments.data.streaming:
        raise ValueError("Streamed recordings are not measured: add --set streaming=false, and give a folder.")
    extractor = _feature_extractor(recipe.config, arguments.model)
    reading = Reading(extractor.sampling_rate, SkippedFiles())
    data_args = replace(arguments.data, max_seconds=recipe.longest_item)
    dataset = make_train_dataset(load_train_table(data_args, reading), data_args, arguments.training, reading)
    assert isinstance(dataset, AudioDataset)
    augmentation = None
    if arguments.augmentation is not None and arguments.augmentation.is_active:
        augmentation = WaveformAugmentation(
            arguments.augmentation, sampling_rate=reading.sampling_rate, skipped=reading.skipped
        )
    step = extractor.hop_length if isinstance(extractor, BestRqFeatureExtractor) else 1
    return TrainingData(
        dataset=dataset,
        batches=EndlessBatches(dataset, _clip_batches(dataset, arguments.training, items)),
        items=items or recipe.items_per_device,
        collator=speech_collator(
            recipe.config,
            extractor,
            augmentation,
            arguments.training.pad_to_multiple_of(reading.sampling_rate),
            arguments.data.log_mel_on_device,
        ),
        on_device=extractor.with_features if arguments.data.log_mel_on_device else None,
        config=recipe.config,
        per_position=step / reading.sampling_rate,
        most_workers=None,
        skipped=reading.skipped,
    )


def _feature_extractor(config: PreTrainedConfig, model_args: Any) -> Any:
    folder = model_args.model_name_or_path or model_args.preprocessor
    if folder is not None:
        return AutoFeatureExtractor.from_pretrained(folder)
    if isinstance(config, BestRqConfig):
        return BestRqFeatureExtractor()
    return Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)


def _clip_batches(
    dataset: AudioDataset, training_args: Any, items: int | None
) -> Callable[[int], Iterator[list[int]]]:
    """Of so many seconds or so many clips, as the trainer makes them on one device."""
    seed = _seed(training_args)
    if items is None and training_args.batch_seconds is not None:
        of_seconds = DurationBatchSampler(
            dataset.lengths,
            batch_seconds=training_args.batch_seconds,
            batches_per_update=1,
            seed=seed,
            pad_to_multiple_of=training_args.pad_to_multiple_of_seconds,
        )
        return lambda epoch: _epoch_of(of_seconds, of_seconds, epoch)
    size = items or training_args.per_device_train_batch_size
    if training_args.train_sampling_strategy != "group_by_length":
        return _batches_in_order(dataset, training_args.train_sampling_strategy, size)
    grouped = LengthGroupedSampler(dataset.lengths, batch_size=size, seed=seed)
    return lambda epoch: _epoch_of(grouped, BatchSampler(grouped, size, drop_last=False), epoch)


def _seed(training_args: Any) -> int:
    return training_args.seed if training_args.data_seed is None else training_args.data_seed


def _epoch_of(
    told: DurationBatchSampler | LengthGroupedSampler, batches: Sampler[list[int]], epoch: int
) -> Iterator[list[int]]:
    told.set_epoch(epoch)
    return iter(batches)


def _batches_in_order(dataset: Any, strategy: str, size: int) -> Callable[[int], Iterator[list[int]]]:
    sampler = SequentialSampler(dataset) if strategy == "sequential" else RandomSampler(dataset)
    return lambda epoch: iter(BatchSampler(sampler, size, drop_last=False))


def _images(
    recipe: PlannedRecipe, arguments: RecipeArguments, sources: Sequence[str], items: int | None
) -> TrainingData:
    config: Any = recipe.config
    data_args, training_args = arguments.data, arguments.training
    skipped = SkippedFiles()
    dataset = ImageDataset(
        _load_images(sources, data_args),
        seed=_seed(training_args),
        skipped=skipped,
        transform=data_args.transform(square_size(config)),
    )
    folder = arguments.model.model_name_or_path or arguments.model.preprocessor
    processor = make_image_processor(square_size(config))
    if folder is not None:
        processor = ViTImageProcessorPil.from_pretrained(folder)
    size = items or recipe.items_per_device
    of_epoch = _batches_in_order(dataset, training_args.train_sampling_strategy, size)
    return TrainingData(
        dataset=dataset,
        batches=EndlessBatches(dataset, of_epoch),
        items=size,
        collator=image_collator(config, processor),
        config=config,
        per_position=None,
        most_workers=None,
        skipped=skipped,
    )


def _load_images(sources: Sequence[str], data_args: Any) -> datasets.Dataset:
    try:
        return load_images(sources, split=data_args.split, image_column=data_args.image_column)
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(
            f"Expected images in {', '.join(sources)}, for a recipe of images, but none could be read: {error}"
        ) from error


def _text(
    recipe: PlannedRecipe, arguments: RecipeArguments, sources: Sequence[str], items: int | None
) -> TrainingData:
    data_args, training_args = arguments.data, arguments.training
    block_size = int(recipe.longest_item)
    table = load_text_sources(
        sources, split=data_args.split, text_column=data_args.text_column, text_unit=data_args.text_unit
    )
    tokenizer = _tokenizer(arguments.model, table, data_args.text_column, block_size)
    config: Any = recipe.config
    if arguments.model.model_name_or_path is None:
        config = override_config(config, _numbers_of(tokenizer) | arguments.model.overrides)
    dataset = PackedTextDataset(
        table,
        tokenizer,
        block_size=block_size,
        seed=_seed(training_args),
        text_column=data_args.text_column,
        endless=True,
    )
    return TrainingData(
        dataset=dataset,
        batches=None,
        items=items or recipe.items_per_device,
        collator=text_collator(config, tokenizer.mask_token_id),
        config=config,
        per_position=1.0,
        most_workers=table.num_shards,
        skipped=SkippedFiles(),
    )


def _tokenizer(
    model_args: Any, table: datasets.IterableDataset, text_column: str, block_size: int
) -> PreTrainedTokenizerBase:
    """That of a saved model, a given one, or one that is trained on the data."""
    source = model_args.model_name_or_path or model_args.tokenizer
    if source is not None:
        return AutoTokenizer.from_pretrained(source)
    texts = iterate_texts(table, text_column)
    return train_tokenizer(texts, vocab_size=model_args.train_tokenizer, model_max_length=block_size)


def _numbers_of(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    begin, end = block_token_ids(tokenizer)
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": begin,
        "eos_token_id": end,
        "pad_token_id": tokenizer.pad_token_id,
    }
