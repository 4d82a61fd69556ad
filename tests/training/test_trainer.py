# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The trainers: teacher, logs, weight decay, sampling, and the exact normalisation of the loss."""

from pathlib import Path
from typing import Any

import pytest
import torch
from training_helpers import write_recordings
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    Wav2Vec2FeatureExtractor,
    set_seed,
)

from hf_ssl import Data2Vec2AudioForPreTraining
from hf_ssl.data import AudioDataset, LengthGroupedSampler, SkippedFiles, StreamedAudioDataset, load_audio_sources
from hf_ssl.data.collators_pretraining import DataCollatorForData2Vec2Audio
from hf_ssl.training import SelfDistillationTrainer, TeacherUpdateCallback
from hf_ssl.training.arguments import PreTrainingArguments
from hf_ssl.training.model_sizes import data2vec2_audio_config

# Nothing random in the forward, so that two ways to the same batch can be compared.
DETERMINISTIC = {
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "prenet_dropout": 0.0,
    "decoder_input_dropout": 0.0,
    "layerdrop": 0.0,
    "prenet_layerdrop": 0.0,
    "mask_noise_std": 0.0,
}


def make_trainer(
    folder: Path,
    output_dir: Path,
    trainer_class: type[Trainer] = SelfDistillationTrainer,
    config=None,
    **arguments: Any,
) -> Trainer:
    """A trainer of a tiny model, with the same weights every time."""
    set_seed(0)
    model = Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny", **(config or {})))
    skipped = SkippedFiles()
    table = load_audio_sources([str(folder)], min_seconds=0.3, max_seconds=None, skipped=skipped)
    dataset = AudioDataset(table, sampling_rate=16000, max_seconds=None, min_seconds=0.3, seed=0, skipped=skipped)
    feature_extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    defaults = {"max_steps": 4, "logging_steps": 1, "save_strategy": "no", "dataloader_num_workers": 0}
    return trainer_class(
        model=model,
        args=PreTrainingArguments(
            output_dir=str(output_dir), use_cpu=True, report_to="none", disable_tqdm=True, **(defaults | arguments)
        ),
        train_dataset=dataset,
        eval_dataset=dataset,
        data_collator=DataCollatorForData2Vec2Audio(feature_extractor, model.config),
        processing_class=feature_extractor,
    )


class GradientRecorder(TrainerCallback):
    def __init__(self):
        self.gradients: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state: TrainerState, control: TrainerControl, model=None, **kwargs):
        named = model.named_parameters()
        self.gradients = {name: p.grad.clone() for name, p in named if p.grad is not None}


class Inputs(TrainerCallback):
    """Remembers what the collator was given."""

    def __init__(self, trainer: Trainer):
        self.epochs: list[int] = []
        self.dataset = trainer.train_dataset

    def on_step_end(self, args, state, control, **kwargs):
        self.epochs.append(self.dataset.epoch)


def test_stock_trainer_without_the_callback_is_stopped(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path, Trainer, train_sampling_strategy="random", max_steps=20)
    with pytest.raises(RuntimeError, match="TeacherUpdateCallback"):
        trainer.train()


def test_stock_trainer_with_the_callback_trains(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path, Trainer, train_sampling_strategy="random", max_steps=10)
    trainer.add_callback(TeacherUpdateCallback())
    trainer.train()
    assert int(trainer.model.teacher.num_updates) == 10


def test_teacher_is_not_optimised(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path)
    trainer.train()
    teacher = {id(parameter) for parameter in trainer.model.teacher.parameters()}
    optimised = [parameter for group in trainer.optimizer.param_groups for parameter in group["params"]]
    assert len(teacher) > 10
    assert not teacher.intersection(map(id, optimised))
    trainable = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    assert {id(parameter) for parameter in optimised} == {id(parameter) for parameter in trainable}
    assert int(trainer.model.teacher.num_updates) == 4


def test_weight_decay_spares_vectors_and_scales(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path)
    decayed = set(trainer.get_decay_parameter_names(trainer.model))
    shapes = {name: parameter.dim() for name, parameter in trainer.model.named_parameters()}
    assert any(name.endswith("qkv.weight") for name in decayed)
    assert all(shapes[name] > 1 for name in decayed)
    assert not any("attention_bias" in name for name in decayed)


def test_logs(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path, logging_steps=2, config={"ema_anneal_end_step": 8})
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["step"] for entry in logs] == [2, 4]
    for entry in logs:
        assert 0 < entry["target_std"] < 2
        assert 0 < entry["prediction_std"] < 2
        assert 0.1 < entry["between_utterance_share"] < 1.5
        assert 0.4 < entry["masked_share"] < 0.6
        assert entry["visible_share"] == pytest.approx(1 - entry["masked_share"])
        assert entry["audio_seconds_per_second"] > 0
    # linear from .999 to .99999 in 8 steps, at the steps of the logs
    assert [entry["ema_decay"] for entry in logs] == pytest.approx([0.999 + 0.00099 * 2 / 8, 0.999 + 0.00099 * 4 / 8])


class BatchRecorder(SelfDistillationTrainer):
    """Remembers the masks of its batches."""

    def compute_loss(self, model, inputs, *args, **kwargs):
        self.attention_masks.append(inputs["attention_mask"])
        return super().compute_loss(model, inputs, *args, **kwargs)


def test_share_of_padding_is_of_all_batches_since_the_last_log(recordings, tmp_path):
    """A mean of the batches' shares would weight short batches as long ones."""
    sampling = {"train_sampling_strategy": "random", "per_device_train_batch_size": 3}
    trainer = make_trainer(recordings, tmp_path, BatchRecorder, logging_steps=2, **sampling)
    trainer.attention_masks = []
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    masks = trainer.attention_masks
    for entry, pair in zip(logs, (masks[:2], masks[2:]), strict=True):
        padded, positions = sum(int((mask == 0).sum()) for mask in pair), sum(mask.numel() for mask in pair)
        assert len(pair) == 2
        assert 0 < entry["padding_share"] < 1
        assert entry["padding_share"] == pytest.approx(padded / positions)
        assert entry["padding_share"] != pytest.approx(sum((mask == 0).float().mean().item() for mask in pair) / 2)


def test_accumulation_equals_one_big_batch(tmp_path):
    """Clips of unequal lengths: a mean of means would weight the frames of short ones more."""
    folder = write_recordings(tmp_path / "recordings", count=8)
    gradients, losses = [], []
    for batch_size, steps in ((8, 1), (2, 4)):
        trainer = make_trainer(
            folder,
            tmp_path,
            config=DETERMINISTIC,
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=steps,
            max_steps=1,
            max_grad_norm=0.0,
        )
        recorder = GradientRecorder()
        trainer.add_callback(recorder)
        trainer.train()
        gradients.append(torch.cat([gradient.flatten() for gradient in recorder.gradients.values()]))
        losses.append(trainer.state.log_history[0]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert (gradients[0] - gradients[1]).norm() < 1e-5 * gradients[0].norm()


def test_every_epoch_draws_anew(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path, per_device_train_batch_size=4, max_steps=6)
    inputs = Inputs(trainer)
    trainer.add_callback(inputs)
    trainer.train()
    assert inputs.epochs == [0, 0, 0, 1, 1, 1]


def test_batches_are_of_similar_length(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path, per_device_train_batch_size=3)
    sampler = trainer._get_train_sampler()
    assert isinstance(sampler, LengthGroupedSampler)
    assert sampler.batch_size == 3
    random = make_trainer(recordings, tmp_path, train_sampling_strategy="random")._get_train_sampler()
    assert isinstance(random, torch.utils.data.RandomSampler)


def test_evaluation_reads_in_order_and_is_repeatable(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path, config=DETERMINISTIC)
    assert list(trainer._get_eval_sampler(trainer.eval_dataset)) == list(range(12))
    first = trainer.evaluate()
    assert set(first) >= {"eval_loss"}
    assert trainer.evaluate()["eval_loss"] == first["eval_loss"]


def test_streams(tmp_path):
    """Parquet with the audio in it, streamed, several epochs long."""
    import datasets

    folder = write_recordings(tmp_path / "recordings", count=6)
    audio = [{"bytes": path.read_bytes(), "path": path.name} for path in sorted(folder.glob("*.wav"))]
    table = datasets.Dataset.from_dict({"audio": audio})
    table.to_parquet(str(tmp_path / "audio.parquet"))
    trainer = make_trainer(folder, tmp_path, max_steps=5, per_device_train_batch_size=2)
    skipped = SkippedFiles()
    stream = load_audio_sources(
        [str(tmp_path / "audio.parquet")], min_seconds=0.3, max_seconds=None, skipped=skipped, streaming=True
    )
    dataset = StreamedAudioDataset(
        stream, sampling_rate=16000, max_seconds=None, min_seconds=0.3, seed=0, skipped=skipped, shuffle_buffer_size=4
    )
    trainer = SelfDistillationTrainer(
        model=trainer.model, args=trainer.args, train_dataset=dataset, data_collator=trainer.data_collator
    )
    trainer.train()
    assert len([entry for entry in trainer.state.log_history if "loss" in entry]) == 5
    assert dataset.epoch == 1


def test_plain_training_arguments_work_too(recordings, tmp_path):
    """The trainer does not depend on the scripts' arguments."""
    trainer = make_trainer(recordings, tmp_path)
    arguments = TrainingArguments(
        str(tmp_path), remove_unused_columns=False, max_steps=1, use_cpu=True, report_to="none", disable_tqdm=True
    )
    plain = SelfDistillationTrainer(
        model=trainer.model,
        args=arguments,
        train_dataset=trainer.train_dataset,
        data_collator=trainer.data_collator,
    )
    assert plain.train().global_step == 1
