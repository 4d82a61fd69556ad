# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A run that is stopped in the middle of an epoch and resumed is the run that was not."""

import logging

import pytest
import torch
from training_helpers import write_recordings, write_shards
from transformers import PreTrainedModel, Trainer, TrainerCallback, Wav2Vec2FeatureExtractor, set_seed

from hf_ssl import Data2Vec2AudioForPreTraining, Data2VecAqcForPreTraining, Data2VecAudioForPreTraining
from hf_ssl.data import AudioDataset, SkippedFiles, StreamedAudioDataset, load_audio_sources
from hf_ssl.data.augmentation import AugmentationArguments, WaveformAugmentation
from hf_ssl.data.collators_augmented import DataCollatorForData2VecAqc
from hf_ssl.data.collators_pretraining import DataCollatorForData2Vec2Audio, DataCollatorForData2VecAudio
from hf_ssl.training import SelfDistillationTrainer
from hf_ssl.training.arguments import PreTrainingArguments
from hf_ssl.training.data2vec_aqc import Data2VecAqcTrainer
from hf_ssl.training.model_sizes import data2vec2_audio_config, data2vec_aqc_config, data2vec_audio_config

NUM_STEPS = 8
FAMILIES = ("data2vec2-audio", "data2vec-audio", "data2vec-aqc")
RANDOM_LAYERS = {"layerdrop": 0.3, "hidden_dropout": 0.2, "ema_decay": 0.9, "ema_end_decay": 0.95}


class StopAt(TrainerCallback):
    """Saves a checkpoint after a step, and stops."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            control.should_save = True
            control.should_training_stop = True


def make_dataset(folder, shards) -> AudioDataset | StreamedAudioDataset:
    reading = {"min_seconds": 0.3, "skipped": SkippedFiles()}
    decoding = reading | {"sampling_rate": 16000, "max_seconds": 0.8, "seed": 0}
    if shards is None:
        return AudioDataset(load_audio_sources([str(folder)], max_seconds=None, **reading), **decoding)
    table = load_audio_sources([str(shards)], max_seconds=0.8, streaming=True, **reading)
    return StreamedAudioDataset(table, shuffle_buffer_size=4, **decoding)


def make_model(family: str) -> PreTrainedModel:
    match family:
        case "data2vec2-audio":
            return Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny", **RANDOM_LAYERS))
        case "data2vec-audio":
            return Data2VecAudioForPreTraining(data2vec_audio_config("tiny", **RANDOM_LAYERS))
    # a temperature that falls at every update
    return Data2VecAqcForPreTraining(data2vec_aqc_config("tiny", gumbel_temperature=(2.0, 0.5, 0.9), **RANDOM_LAYERS))


def make_collator(family: str, feature_extractor: Wav2Vec2FeatureExtractor, config, folder):
    match family:
        case "data2vec2-audio":
            return DataCollatorForData2Vec2Audio(feature_extractor, config)
        case "data2vec-audio":
            return DataCollatorForData2VecAudio(feature_extractor, config)
    arguments = AugmentationArguments(
        noise_prob=0.7, noise_data=[str(folder)], reverberation_prob=0.5, white_noise_prob=0.5
    )
    augmentation = WaveformAugmentation(arguments, sampling_rate=16000, skipped=SkippedFiles())
    return DataCollatorForData2VecAqc(feature_extractor, config, augmentation)


def make_trainer(
    folder,
    output_dir,
    seed_of_weights: int,
    num_workers: int,
    batch_seconds: float | None = None,
    shards=None,
    family: str = "data2vec2-audio",
) -> Trainer:
    """Dropout and LayerDrop on, gradients accumulated; clips longer than 0.8 s are cropped at random. data2vec-aqc
    also draws the augmented view, Gumbel noise, negatives and first centroids."""
    set_seed(seed_of_weights)
    model = make_model(family)
    feature_extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    trainer_class = Data2VecAqcTrainer if family == "data2vec-aqc" else SelfDistillationTrainer
    return trainer_class(
        model=model,
        args=PreTrainingArguments(
            output_dir=str(output_dir),
            max_steps=NUM_STEPS,
            per_device_train_batch_size=2,
            batch_seconds=batch_seconds,
            gradient_accumulation_steps=2,
            dataloader_num_workers=num_workers,
            logging_steps=1,
            save_strategy="no",
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=make_dataset(folder, shards),
        data_collator=make_collator(family, feature_extractor, model.config, folder),
        processing_class=feature_extractor,
    )


def losses(trainer: Trainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


# 12 clips make 3 updates an epoch: step 4 lies within the second epoch, step 6 at the end of it.
@pytest.mark.parametrize(
    ("family", "stop_at", "batch_seconds"),
    [*((family, 4, None) for family in FAMILIES), ("data2vec2-audio", 6, None), ("data2vec2-audio", 4, 1.7)],
)
def test_resumed_run_is_bit_identical(tmp_path, family, stop_at, batch_seconds):
    folder = write_recordings(tmp_path / "recordings")
    common = {"num_workers": 2, "batch_seconds": batch_seconds, "family": family}
    whole = make_trainer(folder, tmp_path / "whole", seed_of_weights=1, **common)
    whole.train()

    stopped = make_trainer(folder, tmp_path / "stopped", seed_of_weights=1, **common)
    stopped.add_callback(StopAt(stop_at))
    stopped.train()
    assert losses(stopped) == losses(whole)[:stop_at]

    # other weights, and another state of the random generators: all must come from the checkpoint
    resumed = make_trainer(folder, tmp_path / "stopped", seed_of_weights=2, **common)
    resumed.train(resume_from_checkpoint=str(tmp_path / "stopped" / f"checkpoint-{stop_at}"))
    assert losses(resumed) == losses(whole)

    expected = whole.model.state_dict()
    assert any(name.startswith("teacher.") for name in expected)
    assert int(expected["teacher.num_updates"]) == NUM_STEPS
    for name, tensor in resumed.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_number_of_workers_makes_no_difference(tmp_path):
    folder = write_recordings(tmp_path / "recordings")
    trainers = [make_trainer(folder, tmp_path / "out", 1, num_workers) for num_workers in (0, 2)]
    for trainer in trainers:
        trainer.args.max_steps = 2
    items = [[batch["input_values"] for batch in trainer.get_train_dataloader()] for trainer in trainers]
    assert len(items[0]) == 6
    assert all(torch.equal(one, other) for one, other in zip(*items, strict=True))


def test_batches_of_seconds_hold_as_many_clips_as_fit(tmp_path):
    folder = write_recordings(tmp_path / "recordings")
    trainer = make_trainer(folder, tmp_path / "out", 1, num_workers=0, batch_seconds=2.7)
    batches = [batch["attention_mask"] for batch in trainer.get_train_dataloader()]
    assert len(batches) % 2 == 0  # two of them make an update
    assert sum(len(batch) for batch in batches) == 12
    assert all(batch.numel() <= 2.7 * 16000 for batch in batches)
    assert {len(batch) for batch in batches} != {2}


def test_batches_of_seconds_need_clips_of_audio(tmp_path):
    trainer = make_trainer(write_recordings(tmp_path / "recordings"), tmp_path / "out", 1, 0, batch_seconds=2.7)
    trainer.train_dataset = list(range(4))
    with pytest.raises(ValueError, match="StreamedAudioDataset, got a list"):
        trainer.get_train_dataloader()


def make_streaming_trainer(folder, output_dir, seed_of_weights: int, num_workers: int = 2) -> Trainer:
    """12 clips in 4 shards: some passes, in 16 batches."""
    trainer = make_trainer(None, output_dir, seed_of_weights, num_workers, batch_seconds=2.7, shards=folder)
    assert isinstance(trainer.train_dataset, StreamedAudioDataset)
    return trainer


def test_resumed_stream_is_bit_identical(tmp_path, caplog):
    folder = write_shards(tmp_path / "shards", num_shards=4, clips_per_shard=3)
    whole = make_streaming_trainer(folder, tmp_path / "whole", 1)
    with caplog.at_level(logging.INFO):
        whole.train()
    report = next(message for message in caplog.messages if message.startswith("The stream: "))
    assert "(16 were trained on, the others prepared ahead)" in report
    stopped = make_streaming_trainer(folder, tmp_path / "stopped", 1)
    stopped.add_callback(StopAt(3))
    stopped.train()
    checkpoint = str(tmp_path / "stopped" / "checkpoint-3")
    resumed = make_streaming_trainer(folder, tmp_path / "stopped", 2)
    resumed.train(resume_from_checkpoint=checkpoint)
    assert len(losses(whole)) == NUM_STEPS
    assert losses(resumed) == losses(whole)
    with pytest.raises(ValueError, match=r"as many processes and --dataloader_num_workers only"):
        make_streaming_trainer(folder, tmp_path / "stopped", 2, num_workers=1).train(resume_from_checkpoint=checkpoint)
