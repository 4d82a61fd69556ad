# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Health of the representations while they are learned: measured beside training, without touching it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from math import isnan
from typing import Any

import numpy as np
import torch
from accelerate.utils import DistributedType
from torch.utils.data import IterableDataset
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..evaluation.encoders import FrozenEncoder, wrap_encoder
from ..evaluation.items import Item, LoadedClip, LoadedPicture, TokenBlock
from ..evaluation.representation_health import RepresentationHealth, measure_health
from ..evaluation.unlabelled import spread_rows

# Parameters that no process has as a whole.
_SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)


class RepresentationHealthCallback(TrainerCallback):
    """Measures the student's last layer (the last of the encoder's hidden states, nothing masked, no dropout) on the
    same few items every so many updates, and before the first, and logs the figures as `health/rankme`,
    `health/collapse_auc`, ... of [`~hf_ssl.evaluation.representation_health.RepresentationHealth`].

    Training does not notice: its losses are the same, bit for bit, with and without this callback. The items are read
    apart from the training's batches, the random state is put back, and no gradient, mode or step of the model
    changes. The main process measures alone, and the others wait for it with their next gradient.

    Args:
        trainer: The one that trains; its log takes the figures, and it has the data (items of the evaluation data if
            there are any, spread evenly, or else of the training data in their first epoch) and what prepares them.
        steps: Updates from one measurement to the next.
        num_items: How many clips, images or blocks of tokens.
    """

    def __init__(self, trainer: Trainer, steps: int, num_items: int = 32):
        self.trainer = trainer
        self.steps = steps
        self.num_items = num_items
        self._items: list[Item] | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """Fixes the items.

        Raises:
            ValueError: Parameters are sharded, or the data are of no known kind.
        """
        if self.trainer.accelerator.distributed_type in _SHARDED:
            raise ValueError(
                "--health_measures_steps needs a process that has the whole model, which none has with FSDP or "
                "DeepSpeed. Leave it out, and measure checkpoints with hf-ssl health."
            )
        if self._items is None and state.is_world_process_zero:
            with unchanged_random_state():
                self._items = self._read_items()
        if state.global_step == 0:
            self._log(state, control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        if state.global_step % self.steps == 0:
            self._log(state, control)

    def _log(self, state: TrainerState, control: TrainerControl) -> None:
        """In all processes: what follows a log may want to hear of all of them."""
        figures = self._measure() if state.is_world_process_zero else {}
        should_log = control.should_log  # which a log takes back, though that of the losses is still to come
        self.trainer.log(figures)
        control.should_log = should_log

    def _measure(self) -> dict[str, float]:
        assert self._items is not None
        with unchanged_random_state(), evaluation_mode(self._student()) as student:
            encoder = wrap_encoder(student, self.trainer.processing_class, batch_size=1)
            measures = measure_last_layer(encoder, self._items).measures()
        return {f"health/{name}": value for name, value in measures.items() if not isnan(value)}

    def _student(self) -> PreTrainedModel:
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        return model.base_model

    def _read_items(self) -> list[Item]:
        dataset: Any = self.trainer.eval_dataset or self.trainer.train_dataset
        if isinstance(dataset, IterableDataset):
            examples = list(islice(dataset, self.num_items))
        else:
            examples = [dataset[row] for row in spread_rows(len(dataset), self.num_items)]
        return [_item_of(example, self.trainer.processing_class) for example in examples]


def measure_last_layer(encoder: FrozenEncoder, items: list[Item]) -> RepresentationHealth:
    """The measures of the last hidden states of items."""
    return measure_health(states[-1] for states in encoder.hidden_states(items))


@contextmanager
def evaluation_mode(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """The model in evaluation mode, and afterwards every module in the mode that it had: some are never trained."""
    were_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield model
    finally:
        for module in were_training:
            module.training = True


@contextmanager
def unchanged_random_state() -> Iterator[None]:
    """Whatever is drawn inside, Python, numpy and torch (CPU and this process's GPU) go on as if it had not been."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    gpus = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=gpus):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def _item_of(example: dict[str, Any], processor: Any) -> Item:
    """What a data set of training gives, without what is drawn for it."""
    match example:
        case {"input_values": samples}:
            return LoadedClip(np.asarray(samples), processor.sampling_rate)
        case {"image": image}:
            return LoadedPicture(image)
        case {"input_ids": input_ids}:
            return TokenBlock(tuple(input_ids))
    raise ValueError(
        "--health_measures_steps needs data with `input_values`, `image` or `input_ids`, but they have "
        f"{', '.join(map(repr, example))}."
    )
