# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The thin layer over `transformers.Trainer` that pre-training needs."""

import logging
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from huggingface_hub import create_branch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import DataLoader, IterableDataset, Sampler, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, seed_worker
from transformers.utils import PushInProgress

from ..card import training_card
from ..card_curves import draw_course
from ..card_record import CardRecord
from ..data.dataset import AudioDataset, LengthGroupedSampler, StreamedAudioDataset
from ..data.duration_batches import DurationBatchSampler
from ..data.images import ImageDataset
from ..data.streamed_batches import StreamCounts, StreamedDurationBatches
from ..hub import explain_hub_error, own_card
from ..models.feature_extraction_best_rq import BestRqFeatureExtractor
from ..models.modeling_best_rq import BestRqForPreTrainingOutput
from ..models.modeling_data2vec2 import Data2Vec2ForPreTrainingOutput
from ..models.modeling_data2vec_pretraining import Data2VecForPreTrainingOutput
from ..models.teacher import ema_decay
from .arguments import AudioTrainingArguments, PreTrainingArguments
from .callbacks import FreedMemoryCallback, TeacherUpdateCallback, TerminationCallback
from .checkpoints import (
    check_same_batches,
    delete_old_checkpoints,
    explain_failed_write,
    mark_complete,
    mark_incomplete,
)
from .health import NonFiniteGradientCallback
from .health_measures import RepresentationHealthCallback
from .monitoring import (
    between_utterance_share,
    code_counts,
    codebook_perplexity,
    codebook_usage,
    effective_rank,
    feature_std,
    masked_accuracy,
    sample_frames,
    target_entropy,
)
from .run_record import RunRecordCallback, recorded_warnings
from .schedules import tri_stage_schedule

logger = logging.getLogger(__name__)


class AudioTrainer(Trainer):
    """`Trainer` for [`AudioDataset`] (batches of similar length) and [`ImageDataset`]: data are a function of seed and
    epoch. With the tri-stage schedule of [`AudioTrainingArguments`]."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._check_padding()
        self.card_record: CardRecord | None = None  # for the card; there is one when the run is over
        self._epoch_callback = _EpochCallback()
        self._stream: StreamedDurationBatches | None = None
        self.add_callback(self._epoch_callback)
        if not any(isinstance(callback, NonFiniteGradientCallback) for callback in self.callback_handler.callbacks):
            self.add_callback(NonFiniteGradientCallback())
        if self.args.device.type == "cpu":
            self.add_callback(FreedMemoryCallback())
        self.add_callback(TerminationCallback())
        self.add_callback(RunRecordCallback())
        # Batches of streams are put together in each process: their padded lengths differ.
        if isinstance(self.train_dataset, IterableDataset):
            self.accelerator.dataloader_config.dispatch_batches = False

    def _check_padding(self) -> None:
        args, dataset = self.args, self.train_dataset
        if not isinstance(args, AudioTrainingArguments) or args.pad_to_multiple_of_seconds is None:
            return
        if dataset is not None and not isinstance(dataset, AudioDataset | StreamedAudioDataset):
            raise ValueError(
                "--pad_to_multiple_of_seconds is for clips of audio, an AudioDataset or a StreamedAudioDataset, got a "
                f"{type(dataset).__name__}. Images, and blocks of text, have one size anyway: leave it out."
            )

    def _get_train_sampler(self, train_dataset=None) -> Sampler | None:
        """Groups by length as a pure function of seed and epoch, which transformers' own sampler is not."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if isinstance(dataset, ImageDataset):
            self._epoch_callback.followers = [dataset]
        if not isinstance(dataset, AudioDataset):
            return super()._get_train_sampler(train_dataset)
        self._epoch_callback.followers = [dataset]
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        sampler = LengthGroupedSampler(
            dataset.lengths,
            batch_size=self.args.train_batch_size * self.args.world_size,
            seed=self.args.seed if self.args.data_seed is None else self.args.data_seed,
        )
        self._epoch_callback.followers.append(sampler)
        return sampler

    def get_train_dataloader(self) -> DataLoader:
        """With `args.batch_seconds`, batches of so many seconds instead of so many clips."""
        batches = self._batches_of_seconds()
        if not batches:
            return super().get_train_dataloader()
        if isinstance(self.train_dataset, StreamedAudioDataset):
            return self._streamed_dataloader(self.train_dataset)
        if not isinstance(self.train_dataset, AudioDataset):
            raise ValueError(
                "Batches of seconds need clips of audio, an AudioDataset or a StreamedAudioDataset, got a "
                f"{type(self.train_dataset).__name__}. Leave --batch_seconds out."
            )
        args = self.args
        sampler = DurationBatchSampler(
            self.train_dataset.lengths,
            **batches,
            seed=args.seed if args.data_seed is None else args.data_seed,
        )
        logger.info(f"Batches of seconds: {len(sampler)} per epoch, {sampler.padding_share:.1%} of them padding.")
        self._epoch_callback.followers = [self.train_dataset, sampler]
        dataloader = DataLoader(self.train_dataset, batch_sampler=sampler, **self._loading())
        return self.accelerator.prepare(dataloader)

    def _loading(self) -> dict[str, Any]:
        """How batches are loaded, whatever is in them."""
        args = self.args
        return {
            "collate_fn": self.data_collator,
            "num_workers": args.dataloader_num_workers,
            "pin_memory": args.dataloader_pin_memory,
            "persistent_workers": args.dataloader_persistent_workers,
            "prefetch_factor": args.dataloader_prefetch_factor,
            "worker_init_fn": partial(seed_worker, num_workers=args.dataloader_num_workers, rank=args.process_index),
        }

    def _streamed_dataloader(self, dataset: StreamedAudioDataset) -> DataLoader:
        """Each process reads its own part of the stream: accelerate would have each read all and drop most of it."""
        args = self.args
        assert isinstance(args, AudioTrainingArguments)
        assert args.batch_seconds is not None
        self._stream = StreamedDurationBatches(
            dataset.part_of_process(args.process_index, args.world_size),
            batch_seconds=args.batch_seconds,
            num_workers=args.dataloader_num_workers,
            process_index=args.process_index,
            pad_to_multiple_of=args.pad_to_multiple_of(dataset.sampling_rate),
        )
        dataloader = DataLoader(self._stream, batch_size=None, **self._loading())
        return prepare_data_loader(
            dataloader,
            device=args.device,
            num_processes=1,
            process_index=0,
            put_on_device=True,
            dispatch_batches=False,
        )

    def _report_stream(self) -> None:
        """Says what became of a stream, over all processes."""
        if self._stream is None:
            return
        counts = torch.tensor(self._stream.counts, device=self.args.device)
        total = StreamCounts(*self.accelerator.reduce(counts, reduction="sum").tolist())
        trained = self.state.global_step * self.args.gradient_accumulation_steps * self.args.world_size
        logger.info(
            f"The stream: {total.read} clips read, of which {total.given} were put into {total.batches} batches "
            f"({trained} were trained on, the others prepared ahead) and {total.read - total.given} were left over in "
            f"buffers; {total.incomplete} batches had room for another clip; workers finished {total.passes} passes."
        )

    def _batches_of_seconds(self) -> dict[str, Any]:
        """Size of the batches of seconds, and how many make an update; empty where batches are of clips."""
        args = self.args
        if not isinstance(args, AudioTrainingArguments) or args.batch_seconds is None:
            return {}
        batches_per_update = args.world_size * args.gradient_accumulation_steps
        batches = {"batch_seconds": args.batch_seconds, "batches_per_update": batches_per_update}
        if args.pad_to_multiple_of_seconds is not None:
            batches["pad_to_multiple_of"] = args.pad_to_multiple_of_seconds
        if isinstance(self.train_dataset, StreamedAudioDataset):
            batches |= {"stream_processes": args.world_size, "stream_workers": args.dataloader_num_workers}
        return batches

    def train(self, resume_from_checkpoint: str | bool | None = None, *args, **kwargs):
        """As in transformers; going on from a checkpoint of a run with other global batches is refused."""
        if isinstance(resume_from_checkpoint, str):
            check_same_batches(resume_from_checkpoint, self._batches_of_seconds())
        with recorded_warnings(self.args):
            result = super().train(resume_from_checkpoint, *args, **kwargs)
        self._report_stream()
        return result

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Marks the checkpoint as whole at the end, and only then deletes older ones."""
        run_dir = self._get_output_dir(trial=trial)
        checkpoint = os.path.join(run_dir, f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        if self.args.should_save:
            mark_incomplete(checkpoint)
        self.accelerator.wait_for_everyone()
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            with explain_failed_write(checkpoint):
                super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            with explain_failed_write(checkpoint):
                mark_complete(checkpoint, self._batches_of_seconds())
            delete_old_checkpoints(run_dir, limit, step=self.state.global_step, best=self.state.best_model_checkpoint)

    def _get_eval_sampler(self, eval_dataset) -> Sampler | None:
        """In order: transformers' sampler by length would decode the whole data set to learn the lengths."""
        if isinstance(eval_dataset, AudioDataset):
            return SequentialSampler(eval_dataset)
        return super()._get_eval_sampler(eval_dataset)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """No weight decay on vectors, scalars and ALiBi's scales, as in the originals."""
        shapes = {name: parameter.dim() for name, parameter in model.named_parameters(remove_duplicate=False)}
        names = super().get_decay_parameter_names(model)
        return [name for name in names if shapes[name] > 1 and "attention_bias" not in name]

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LRScheduler:
        args = self.args
        if not isinstance(args, AudioTrainingArguments) or args.tri_stage_phases is None or self.lr_scheduler:
            return super().create_scheduler(num_training_steps, optimizer)
        warmup_steps, hold_steps, decay_steps = (int(num_training_steps * p) for p in args.tri_stage_phases)
        factor = partial(
            tri_stage_schedule,
            warmup_steps=warmup_steps,
            hold_steps=hold_steps,
            decay_steps=decay_steps,
            final_scale=args.tri_stage_final_scale,
        )
        optimizer = self.optimizer if optimizer is None else optimizer
        assert optimizer is not None
        self.lr_scheduler = LambdaLR(optimizer, factor)
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Also makes the branch of `--hub_revision`, which would otherwise be found missing after training."""
        super().init_hf_repo(token, private)
        branch = self.args.hub_revision
        if self.hub_model_id is not None and branch is not None and not branch.startswith("refs/"):
            create_branch(self.hub_model_id, branch=branch, token=token or self.args.hub_token, exist_ok=True)

    def create_model_card(  # type: ignore[override]
        self, model_name: str | None = None, finetuned_from: str | None = None, **metadata: Any
    ) -> None:
        """Writes README.md and the picture in it, unless somebody else did, here or on the Hub; see
        [`~hf_ssl.card.training_card`].

        transformers' own card claims that a model was trained from scratch, or fine-tuned from one without a name.

        Args:
            model_name: Title of the card.
            finetuned_from: The model that training began with, name or folder.
            **metadata: What else its header is to say, such as `license="mit"`: fields of `ModelCardData`.
        """
        if not self.is_world_process_zero():
            return
        folder, repo_id = self.args.output_dir, self.hub_model_id
        assert folder is not None
        text = own_card(folder, repo_id, revision=self.args.hub_revision, token=self.args.hub_token)
        if text is None:
            model = self.accelerator.unwrap_model(self.model)
            name = model_name or os.path.basename(os.path.abspath(folder))
            text = training_card(
                model,
                self.state,
                name=name,
                started_from=finetuned_from,
                metadata=metadata,
                record=self.card_record,
                has_picture=draw_course(self.state.log_history, folder),
            )
        with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as file:
            file.write(text)

    def wait_for_pushes(self) -> None:
        """Waits for the uploads of checkpoints (`--hub_strategy`): they read files that the next save overwrites."""
        if self.hub_model_id is not None:
            self._finish_current_push()

    def _finish_current_push(self) -> None:
        super()._finish_current_push()
        if self.hub_model_id is not None:  # without a repository the trainer has no pushes to speak of
            self._report_failed_pushes(self.push_in_progress)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """With the code that the configuration names, which transformers leaves out until the end of training; and,
        with `--hub_always_push`, after the push before, whose files would be overwritten while they are read."""
        if self.args.hub_always_push:
            self._finish_current_push()
        assert self.args.output_dir is not None
        if self.is_world_process_zero():
            for path in Path(checkpoint_folder).glob("*.py"):
                shutil.copy(path, self.args.output_dir)
        before = self.push_in_progress  # replaced if it has ended by then
        super()._push_from_checkpoint(checkpoint_folder)
        self._report_failed_pushes(before)

    def _report_failed_pushes(self, pushes: PushInProgress | None) -> None:
        """Says which uploads of checkpoints failed in the background; transformers leaves it at that."""
        if not self.is_world_process_zero() or pushes is None:
            return
        jobs: Any = pushes.jobs  # a list, which transformers' annotation leaves open
        for job in [job for job in jobs if job.done()]:
            error = job.exception()
            if error is not None:
                reason = explain_hub_error(error) or f"{type(error).__name__}: {error}"
                logger.warning(f"A push during training failed, and the next one will make up for it. {reason}")
            jobs.remove(job)


class _EpochCallback(TrainerCallback):
    """Tells data set and sampler the epoch.

    Accelerate tells only one of the two, and neither when it resumes in the middle of an epoch.
    """

    def __init__(self) -> None:
        self.followers: list[AudioDataset | ImageDataset | LengthGroupedSampler | DurationBatchSampler] = []

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        for follower in self.followers:
            follower.set_epoch(int(state.epoch or 0))


class PreTrainingTrainer(AudioTrainer):
    """`AudioTrainer` whose logs have the figures of the objective and the speed.

    Args:
        sampling_rate: Samples per second of the audio, for `audio_seconds_per_second` in the logs.
        *args, **kwargs: As for `transformers.Trainer`.
    """

    speed_name = "audio_seconds_per_second"

    def __init__(self, *args, sampling_rate: int = 16_000, **kwargs):
        super().__init__(*args, **kwargs)
        self.sampling_rate = sampling_rate
        if isinstance(self.args, PreTrainingArguments) and self.args.health_measures_steps is not None:
            self.add_callback(RepresentationHealthCallback(self, self.args.health_measures_steps))
        self._reset_meters()

    def step_metrics(self, outputs: Any) -> dict[str, torch.Tensor]:
        """Figures of one forward pass, averaged until the next log; NaN means that there is none this time."""
        return {}

    def convolution_features(self, outputs: Any) -> tuple[torch.Tensor, torch.Tensor | None] | None:
        """What the convolutions made of a batch, whose rank is logged as `convolution_rank`.

        Returns:
            Features `(batch_size, sequence_length, hidden_size)` and a mask of the frames that count; `None` if the
            model has none.
        """
        return None

    def num_samples(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Samples of audio, or tokens, in a batch, without padding."""
        return inputs["attention_mask"].sum()

    def train(self, resume_from_checkpoint: str | bool | None = None, *args, **kwargs):
        self._reset_meters()  # the time since the trainer was made is no training time
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if model.training:
            self._record(inputs, outputs)
            self._add_figure("nonfinite_loss_share", (~torch.isfinite(loss.detach())).float())
        return (loss, outputs) if return_outputs else loss

    @torch.no_grad()
    def _record(self, inputs: Mapping[str, torch.Tensor], outputs: Any) -> None:
        self._audio_samples += self.num_samples(inputs)
        self._record_padding(inputs)
        for name, value in self.step_metrics(outputs).items():
            self._add_figure(name, value)
        features = self.convolution_features(outputs)
        self._frames = None if features is None else sample_frames(*features)

    def _record_padding(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """All positions of a log's batches together; images have none that are padding. Nothing waits for a GPU."""
        attention_mask = inputs.get("attention_mask")
        if attention_mask is None:
            return
        self._sums["padding_share"] += (attention_mask == 0).sum().float()
        self._counts["padding_share"] += torch.full((), float(attention_mask.numel()), device=attention_mask.device)

    def _add_figure(self, name: str, value: torch.Tensor) -> None:
        is_number = ~torch.isnan(value)
        self._sums[name] = self._sums[name] + torch.where(is_number, value, 0.0).float()
        self._counts[name] = self._counts[name] + is_number.float()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._sums:
            logs |= self._read_meters()
        super().log(logs, start_time)

    def _read_meters(self) -> dict[str, float]:
        """Averages, and shares, over all processes since the last log; the rank is of each process's last batch."""
        if self._frames is not None:
            frames, is_real = self._frames
            self._add_figure("convolution_rank", effective_rank(frames[is_real]).to(frames.device))
        names = sorted(self._sums)
        seconds = time.perf_counter() - self._meters_since
        meters = torch.stack(
            [self._sums[name] for name in names]
            + [self._counts[name] for name in names]
            + [self._audio_samples.float() / self.sampling_rate / seconds]
        )
        totals = self.accelerator.reduce(meters, reduction="sum").tolist()
        sums, counts = totals[: len(names)], totals[len(names) : -1]
        figures = {name: total / n for name, total, n in zip(names, sums, counts, strict=True) if n > 0}
        self._reset_meters()
        return figures | {self.speed_name: totals[-1]}

    def _reset_meters(self) -> None:
        self._sums: dict[str, Any] = defaultdict(float)
        self._counts: dict[str, Any] = defaultdict(float)
        self._frames = None
        self._audio_samples: Any = 0
        self._meters_since = time.perf_counter()


class SelfDistillationTrainer(PreTrainingTrainer):
    """Trainer of the data2vec family: updates the teacher, and watches targets and predictions."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.add_callback(TeacherUpdateCallback())

    def step_metrics(
        self, outputs: Data2Vec2ForPreTrainingOutput | Data2VecForPreTrainingOutput
    ) -> dict[str, torch.Tensor]:
        """Standard deviations as published, variance between utterances, and how much was masked and encoded."""
        assert outputs.mask_time_indices is not None
        assert outputs.predictions is not None
        assert outputs.predicted_targets is not None
        assert outputs.targets is not None
        # with or without a dimension of masked copies
        masked = outputs.mask_time_indices.view(len(outputs.targets), -1, outputs.targets.shape[1]).float()
        real = torch.ones_like(masked) if outputs.frame_mask is None else outputs.frame_mask.unsqueeze(1).float()
        masked_share = masked.sum() / (real.sum() * (masked.shape[1] if outputs.frame_mask is not None else 1))
        return {
            "target_std": feature_std(outputs.predicted_targets, outputs.predicted_mask),
            "prediction_std": feature_std(outputs.predictions, outputs.predicted_mask),
            "between_utterance_share": between_utterance_share(outputs.targets, outputs.frame_mask),
            "masked_share": masked_share,
            "visible_share": 1 - masked_share,
        }

    def convolution_features(
        self, outputs: Data2Vec2ForPreTrainingOutput | Data2VecForPreTrainingOutput
    ) -> tuple[torch.Tensor, torch.Tensor | None] | None:
        """The local features of real frames, or of patches without their position."""
        return None if outputs.local_features is None else (outputs.local_features, outputs.frame_mask)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            config = self.accelerator.unwrap_model(self.model).config
            logs["ema_decay"] = ema_decay(
                self.state.global_step,
                config.ema_decay,
                config.ema_end_decay,
                anneal_steps=config.ema_anneal_end_step,
            )
        super().log(logs, start_time)


class ImageSelfDistillationTrainer(SelfDistillationTrainer):
    """[`SelfDistillationTrainer`] of images: logs `images_per_second`, and data2vec 2.0's parts of the loss."""

    speed_name = "images_per_second"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, sampling_rate=1, **kwargs)

    def num_samples(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Images in a batch."""
        return torch.full((), len(inputs["pixel_values"]), device=self.args.device)

    def step_metrics(self, outputs: Any) -> dict[str, torch.Tensor]:
        """Also the share of the CLS token in the loss, of which data2vec has none."""
        if isinstance(outputs, Data2VecForPreTrainingOutput):
            return super().step_metrics(outputs)
        assert outputs.loss is not None
        assert outputs.cls_loss is not None
        return super().step_metrics(outputs) | {"cls_loss_share": outputs.cls_loss / outputs.loss}


class TextSelfDistillationTrainer(SelfDistillationTrainer):
    """[`SelfDistillationTrainer`] of text: logs `tokens_per_second`."""

    speed_name = "tokens_per_second"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, sampling_rate=1, **kwargs)


class BestRqTrainer(PreTrainingTrainer):
    """Trainer of BEST-RQ, which logs how well masked codes are predicted and how well the codebook is used.

    Of a collator's waveforms (`--log_mel_on_device`) `processing_class` makes features on the device.
    """

    def _prepare_inputs(self, inputs: dict[str, torch.Tensor | Any]) -> dict[str, torch.Tensor | Any]:
        """Makes features first: DeepSpeed has inputs rounded to the model's precision."""
        if "waveforms" in inputs:
            if not isinstance(self.processing_class, BestRqFeatureExtractor):
                raise ValueError(
                    "The collator hands over waveforms, for features to be made of on the device: the trainer needs "
                    "`processing_class`, a BestRqFeatureExtractor, but has a "
                    f"{type(self.processing_class).__name__}."
                )
            there = {name: tensor.to(self.args.device) for name, tensor in inputs.items()}
            inputs = self.processing_class.with_features(there)
        return super()._prepare_inputs(inputs)

    def floating_point_ops(self, inputs: dict[str, torch.Tensor | Any]) -> int:
        """transformers' estimate, which is of the features, for waveforms of which they are made later too."""
        if "waveforms" in inputs:
            num_mel_bins = self.accelerator.unwrap_model(self.model).config.num_mel_bins
            inputs = {"input_features": torch.empty(*inputs["attention_mask"].shape, num_mel_bins, device="meta")}
        return super().floating_point_ops(inputs)

    def step_metrics(self, outputs: BestRqForPreTrainingOutput) -> dict[str, torch.Tensor]:
        """Share of predicted codes that are right, and how much was masked."""
        assert outputs.logits is not None
        assert outputs.predicted_codes is not None
        assert outputs.mask_time_indices is not None
        masked = outputs.mask_time_indices
        num_frames = masked.numel() if outputs.frame_mask is None else outputs.frame_mask.sum()
        return {
            "masked_accuracy": masked_accuracy(outputs.logits, outputs.predicted_codes),
            "masked_share": masked.sum() / num_frames,
        }

    def convolution_features(self, outputs: BestRqForPreTrainingOutput) -> tuple[torch.Tensor, torch.Tensor]:
        """Of real frames that are not hidden: noise in their place would look like speech of high rank."""
        assert outputs.local_features is not None
        assert outputs.mask_time_indices is not None
        visible = ~outputs.mask_time_indices
        return outputs.local_features, visible if outputs.frame_mask is None else visible & outputs.frame_mask

    def num_samples(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Samples of audio in a batch, whose attention mask is of mel frames."""
        return inputs["attention_mask"].sum() * self.accelerator.unwrap_model(self.model).config.hop_length

    @torch.no_grad()
    def _record(self, inputs: Mapping[str, torch.Tensor], outputs: BestRqForPreTrainingOutput) -> None:
        super()._record(inputs, outputs)
        assert outputs.codes is not None
        codebook_size = self.accelerator.unwrap_model(self.model).config.codebook_size
        self._code_counts += code_counts(outputs.codes, codebook_size, outputs.frame_mask)

    def _read_meters(self) -> dict[str, float]:
        """Also figures of all codes of real frames since the last log, masked or not: masks do not depend on them."""
        counts = self.accelerator.reduce(self._code_counts, reduction="sum")
        return super()._read_meters() | {
            "codebook_usage": codebook_usage(counts).item(),
            "codebook_perplexity": codebook_perplexity(counts).item(),
            "target_entropy": target_entropy(counts).item(),
            "codes_counted": int(counts.sum()),
        }

    def _reset_meters(self) -> None:
        super()._reset_meters()
        self._code_counts: Any = 0
