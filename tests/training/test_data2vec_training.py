# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Training of data2vec over transformers' own encoder: trainer, schedule, and the scripts end to end at tiny size."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from training_helpers import QUICK, load_script, read_json
from transformers import (
    AutoModelForCTC,
    AutoModelForPreTraining,
    Data2VecAudioConfig,
    Data2VecAudioForCTC,
    Data2VecAudioForSequenceClassification,
    Data2VecAudioModel,
    Trainer,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    set_seed,
)

from hf_ssl import Data2Vec2AudioForCTC, Data2VecAudioForPreTraining
from hf_ssl.data import AudioDataset, SkippedFiles, load_audio_sources
from hf_ssl.data.collators_pretraining import DataCollatorForData2VecAudio
from hf_ssl.training import SelfDistillationTrainer
from hf_ssl.training.arguments import PreTrainingArguments
from hf_ssl.training.finetuning import CTCTrainer, CTCTrainingArguments
from hf_ssl.training.model_sizes import DATA2VEC_AUDIO_TINY, data2vec2_audio_config, data2vec_audio_config
from hf_ssl.training.schedules import tri_stage_schedule

NO_DROPOUT = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "layerdrop": 0.0}


def make_trainer(folder: Path, output_dir: Path, **arguments: Any) -> Trainer:
    """A trainer of a tiny model, with the same weights every time."""
    set_seed(0)
    model = Data2VecAudioForPreTraining(data2vec_audio_config("tiny", **NO_DROPOUT))
    skipped = SkippedFiles()
    table = load_audio_sources([str(folder)], min_seconds=0.3, max_seconds=None, skipped=skipped)
    dataset = AudioDataset(table, sampling_rate=16000, max_seconds=None, min_seconds=0.3, seed=0, skipped=skipped)
    feature_extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    defaults = {"max_steps": 4, "logging_steps": 1, "save_strategy": "no", "dataloader_num_workers": 0}
    return SelfDistillationTrainer(
        model=model,
        args=PreTrainingArguments(
            output_dir=str(output_dir), use_cpu=True, report_to="none", disable_tqdm=True, **(defaults | arguments)
        ),
        train_dataset=dataset,
        data_collator=DataCollatorForData2VecAudio(feature_extractor, model.config),
        processing_class=feature_extractor,
    )


def logs_of(trainer: Trainer) -> list[dict[str, float]]:
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def script(name: str, *flags: str) -> Any:
    return load_script(name).main(["--logging_steps", "1", "--max_steps", "2", *QUICK, *flags])


def pretrain(recordings: Path, output_dir: Path, *flags: str) -> Any:
    data = ["--data", str(recordings), "--output_dir", str(output_dir), "--min_seconds", "0.3"]
    return script("pretrain_speech", "--model_type", "data2vec-audio", *data, *flags)


def test_logs_and_teacher(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path, per_device_train_batch_size=4)
    trainer.train()
    assert int(trainer.model.teacher.num_updates) == 4
    for step, entry in enumerate(logs_of(trainer), start=1):
        assert entry["ema_decay"] == pytest.approx(0.999 + 0.0009 * step / 100)
        assert entry["target_std"] > 0
        assert entry["prediction_std"] > 0
        assert 0 < entry["between_utterance_share"] < 2
        assert 0 < entry["masked_share"] < 1
        assert entry["visible_share"] == pytest.approx(1 - entry["masked_share"])


def test_accumulation_gives_the_loss_of_the_whole_batch(recordings, tmp_path):
    """Masks belong to items, and the loss is divided by the global number of masked frames."""
    steps = {"max_steps": 2, "learning_rate": 0.01, "max_grad_norm": 0.0, "warmup_steps": 0}
    whole = make_trainer(recordings, tmp_path, per_device_train_batch_size=4, **steps)
    parts = make_trainer(recordings, tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=2, **steps)
    for trainer in (whole, parts):
        trainer.args.train_sampling_strategy = "sequential"
        trainer.train()
    for one, other in zip(logs_of(whole), logs_of(parts), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=2e-2)


def test_tri_stage_schedule(recordings, tmp_path):
    trainer = make_trainer(
        recordings, tmp_path, tri_stage_phases=[0.25, 0.5, 0.25], tri_stage_final_scale=0.01, learning_rate=1.0
    )
    scheduler = trainer.create_scheduler(8, torch.optim.SGD(trainer.model.parameters(), lr=1.0))
    factors = [scheduler.lr_lambdas[0](step) for step in range(9)]
    stages = {"warmup_steps": 2, "hold_steps": 4, "decay_steps": 2, "final_scale": 0.01}
    assert factors == [tri_stage_schedule(step, **stages) for step in range(9)]
    assert factors[2:6] == [1.0] * 4
    assert factors[8] == pytest.approx(0.01)
    with pytest.raises(ValueError, match="three shares that add up to 1"):
        PreTrainingArguments(str(tmp_path), tri_stage_phases=[0.5, 0.6], use_cpu=True)


def test_collator_masks_real_frames_by_the_items_seed():
    feature_extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    collate = DataCollatorForData2VecAudio(feature_extractor, data2vec_audio_config("tiny"))
    items = [{"input_values": torch.randn(length).numpy(), "seed": seed} for length, seed in ((16000, 1), (9000, 2))]
    batch = collate(items)
    expected = {"input_values", "attention_mask", "mask_time_indices", "labels", "predicted_positions"}
    assert set(batch) == expected
    assert batch["mask_time_indices"].shape == batch["labels"].shape == (2, collate.config.num_frames(16000))
    assert batch["mask_time_indices"].any(dim=1).all()
    assert not batch["mask_time_indices"][1, collate.config.num_frames(9000) :].any()
    assert torch.equal(batch["labels"] != -100, batch["mask_time_indices"])
    alone = collate(items[1:])["mask_time_indices"][0]
    assert torch.equal(batch["mask_time_indices"][1, : len(alone)], alone)
    output = Data2VecAudioForPreTraining(collate.config)(**batch)
    assert torch.equal(output.prediction_mask, batch["mask_time_indices"])
    with pytest.raises(ValueError, match="shorter than the model's receptive field"):
        collate([{"input_values": torch.randn(100).numpy(), "seed": 0}])
    with pytest.raises(ValueError, match="return_attention_mask=True"):
        DataCollatorForData2VecAudio(Wav2Vec2FeatureExtractor(return_attention_mask=False), collate.config)


def test_accumulated_losses_of_other_libraries_heads_are_averaged(tmp_path):
    """transformers' heads take the number of items of the global batch, and ignore it."""
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    theirs = Wav2Vec2ForCTC(Wav2Vec2Config(**tiny, conv_dim=[8] * 7, num_conv_pos_embedding_groups=2))
    ours = Data2Vec2AudioForCTC(data2vec2_audio_config("tiny"))
    arguments = CTCTrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    accepts = [CTCTrainer(model=model, args=arguments).model_accepts_loss_kwargs for model in (theirs, ours)]
    assert accepts == [False, True]


def test_pre_training_and_fine_tuning_of_transformers_own_recogniser(recordings, transcribed, tmp_path):
    trainer = pretrain(recordings, tmp_path / "out", "--model_size", "tiny", "--eval_data", str(recordings))
    assert len(logs_of(trainer)) == 2
    assert read_json(tmp_path / "out" / "eval_results.json")["eval_loss"] > 0
    saved = AutoModelForPreTraining.from_pretrained(tmp_path / "out")
    assert int(saved.teacher.num_updates) == 2
    assert all(torch.equal(tensor, saved.state_dict()[name]) for name, tensor in trainer.model.state_dict().items())

    flags = [
        "--model_name_or_path",
        str(tmp_path / "out"),
        "--data",
        str(transcribed),
        "--eval_data",
        str(transcribed),
    ]
    trainer = script("finetune_ctc", *flags, "--output_dir", str(tmp_path / "ctc"))
    recogniser = AutoModelForCTC.from_pretrained(tmp_path / "ctc")
    assert type(trainer.model) is type(recogniser) is Data2VecAudioForCTC
    assert not trainer.model_accepts_loss_kwargs
    assert "eval_wer" in read_json(tmp_path / "ctc" / "eval_results.json")
    flags += ["--label_column", "label", "--output_dir", str(tmp_path / "classes")]
    trainer = script("finetune_audio_classification", *flags)
    assert type(trainer.model) is Data2VecAudioForSequenceClassification


def test_pre_training_with_a_configuration_from_a_file(recordings, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(DATA2VEC_AUDIO_TINY))
    flags = ["--config", str(tmp_path / "config.json"), "--config_overrides", json.dumps({"mask_prob": 0.25})]
    config = pretrain(recordings, tmp_path / "out", *flags).model.config
    assert (config.hidden_size, config.mask_prob, config.layerdrop) == (32, 0.25, 0.05)


def test_continues_from_a_folder_of_transformers(recordings, tmp_path):
    """The objective's fields may be overridden although its configuration has none; the teacher is the student's."""
    stock = Data2VecAudioConfig(
        **{name: DATA2VEC_AUDIO_TINY[name] for name in DATA2VEC_AUDIO_TINY if "ema" not in name}
    )
    encoder = Data2VecAudioModel(stock)
    encoder.save_pretrained(tmp_path / "stock")
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path / "stock")
    flags = ["--model_name_or_path", str(tmp_path / "stock"), "--learning_rate", "0"]
    overrides = json.dumps({"teacher_scope": "transformer", "ema_decay": 0.5})
    model = pretrain(recordings, tmp_path / "out", *flags, "--config_overrides", overrides).model
    assert (model.config.teacher_scope, model.config.ema_decay) == ("transformer", 0.5)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(model.data2vec_audio.state_dict()[name], tensor)
    for name, tensor in model.teacher.encoder.state_dict().items():
        torch.testing.assert_close(tensor, encoder.encoder.state_dict()[name])
