# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The training scripts, end to end at tiny size."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from training_helpers import QUICK, SCRIPTS, load_script, read_json, write_metadata, write_recordings
from transformers import (
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    AutoModelForCTC,
    AutoModelForPreTraining,
    AutoProcessor,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from hf_ssl.training.finetuning import Transcripts
from hf_ssl.training.model_sizes import DATA2VEC2_AUDIO_TINY


def pretrain(recordings: Path, output_dir: Path, *flags: str):
    argv = ["--data", str(recordings), "--output_dir", str(output_dir), "--min_seconds", "0.3", "--logging_steps", "1"]
    return load_script("pretrain_speech").main([*argv, "--max_steps", "2", *QUICK, *flags])


def finetune(script: str, model: Path, data: Path, output_dir: Path, *flags: str):
    argv = ["--model_name_or_path", str(model), "--data", str(data), "--eval_data", str(data)]
    argv += ["--output_dir", str(output_dir), "--max_steps", "2", "--logging_steps", "1", *QUICK]
    return load_script(script).main([*argv, *flags])


def losses(trainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_pre_training(recordings, tmp_path):
    (recordings / "broken.wav").write_bytes(b"no audio")
    soundfile.write(recordings / "short.wav", [0.0] * 1600, 16000)
    trainer = pretrain(recordings, tmp_path / "out", "--model_size", "tiny", "--eval_data", str(recordings))
    assert len(losses(trainer)) == 2
    assert read_json(tmp_path / "out" / "eval_results.json")["eval_loss"] > 0

    listed = [json.loads(line) for line in (tmp_path / "out" / "_skipped_files.jsonl").read_text().splitlines()]
    reasons = {Path(entry["file"]).name: entry["reason"].split(":")[0] for entry in listed}
    assert reasons == {"broken.wav": "unreadable", "short.wav": "too short"}

    model = AutoModelForPreTraining.from_pretrained(tmp_path / "out")
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert int(model.teacher.num_updates) == 2
    assert AutoFeatureExtractor.from_pretrained(tmp_path / "out").return_attention_mask


@pytest.mark.parametrize("model_type", ["data2vec2-audio", "best-rq"])
def test_padding_up_to_multiples_of_seconds(recordings, tmp_path, caplog, model_type):
    flags = ("--model_type", model_type, "--model_size", "tiny", "--batch_seconds", "4")
    caplog.set_level("INFO", logger="hf_ssl.training.trainer")
    shares = []
    for padding in ((), ("--pad_to_multiple_of_seconds", "2")):
        trainer = pretrain(recordings, tmp_path / "out", *flags, *padding)
        batch = next(iter(trainer.get_train_dataloader()))
        (entry, *_) = [entry for entry in trainer.state.log_history if "loss" in entry]
        shares.append(entry["padding_share"])
    assert batch["attention_mask"].shape[1] == (201 if model_type == "best-rq" else 32000)
    assert shares[0] < shares[1] < 1
    planned = [float(text.split(", ")[1].split("%")[0]) for text in caplog.messages if "Batches of seconds" in text]
    assert planned[0] < planned[-1]


def test_features_of_the_device_train_alike(recordings, tmp_path):
    """BEST-RQ's; one run with padding on to multiples of a second, of which waveforms have none."""
    flags = ("--model_type", "best-rq", "--model_size", "tiny", "--pad_to_multiple_of_seconds", "1")
    of_workers = pretrain(recordings, tmp_path / "workers", *flags)
    of_device = pretrain(recordings, tmp_path / "device", *flags, "--log_mel_on_device", "true")
    assert "waveforms" in next(iter(of_device.get_train_dataloader()))
    assert losses(of_device) == losses(of_workers)
    assert of_device.state.total_flos == of_workers.state.total_flos > 0


def test_compiled_pre_training_is_the_same_training(recordings, tmp_path):
    # a graph draws what is dropped by other operations
    dropouts = ("hidden_dropout", "attention_dropout", "prenet_dropout", "decoder_input_dropout", "layerdrop")
    overrides = json.dumps(dict.fromkeys((*dropouts, "prenet_layerdrop"), 0.0))
    flags = ("--model_size", "tiny", "--config_overrides", overrides, "--pad_to_multiple_of_seconds", "2")
    expected = pretrain(recordings, tmp_path / "out", *flags)
    torch.compiler.reset()
    before = dict(torch._dynamo.utils.counters["graph_break"])
    compiled = pretrain(
        recordings, tmp_path / "compiled", *flags, "--torch_compile", "true", "--torch_compile_backend", "aot_eager"
    )
    assert losses(compiled) == pytest.approx(losses(expected), rel=1e-4)
    assert dict(torch._dynamo.utils.counters["graph_break"]) == before
    assert int(compiled.model.teacher.num_updates) == 2


def test_padding_up_to_multiples_of_seconds_is_for_audio(recordings, tmp_path):
    with pytest.raises(ValueError, match=r"--pad_to_multiple_of_seconds must be above 0, got 0"):
        pretrain(recordings, tmp_path / "out", "--model_size", "tiny", "--pad_to_multiple_of_seconds", "0")


def test_pre_training_with_a_configuration_from_a_file(recordings, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(DATA2VEC2_AUDIO_TINY))
    overrides = json.dumps({"num_masks": 3})
    trainer = pretrain(
        recordings, tmp_path / "out", "--config", str(tmp_path / "config.json"), "--config_overrides", overrides
    )
    assert (trainer.model.config.hidden_size, trainer.model.config.num_masks) == (32, 3)


@pytest.mark.parametrize("reset", [False, True])
def test_continued_pre_training(recordings, pretrained, tmp_path, reset):
    """A fresh schedule; the teacher as saved, or the student's copy."""
    saved = AutoModelForPreTraining.from_pretrained(pretrained)
    with torch.no_grad():
        for parameter in saved.teacher.parameters():
            parameter.mul_(1.5)
    saved.save_pretrained(pretrained)
    # the teacher hardly moves, so that what it began as can be told
    overrides = ["--config_overrides", json.dumps({"ema_decay": 1.0, "ema_end_decay": 1.0})]
    flags = ["--model_name_or_path", str(pretrained), *overrides, *(["--reset_teacher"] if reset else [])]
    trainer = pretrain(recordings, tmp_path / "out", *flags)
    assert trainer.state.global_step == 2
    start = saved.data2vec2_audio.trunk if reset else saved.teacher.trunk
    for ours, theirs in zip(trainer.model.teacher.trunk.parameters(), start.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_resuming_from_the_last_checkpoint(recordings, tmp_path):
    pretrain(recordings, tmp_path / "out", "--model_size", "tiny", "--save_steps", "2")
    trainer = pretrain(
        recordings, tmp_path / "out", "--model_size", "tiny", "--resume_from_checkpoint", "last", "--max_steps", "3"
    )
    assert trainer.state.global_step == 3
    assert [entry["step"] for entry in trainer.state.log_history if "loss" in entry] == [1, 2, 3]
    with pytest.raises(ValueError, match="has no checkpoint"):
        pretrain(recordings, tmp_path / "new", "--model_size", "tiny", "--resume_from_checkpoint", "last")
    with pytest.raises(ValueError, match="a checkpoint's folder or `last`"):
        pretrain(recordings, tmp_path / "new", "--model_size", "tiny", "--resume_from_checkpoint", "nowhere")


def test_bad_input_to_pre_training(recordings, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no audio below the folder"):
        pretrain(tmp_path / "empty", tmp_path / "out", "--model_size", "tiny")
    with pytest.raises(ValueError, match="exactly one of"):
        pretrain(recordings, tmp_path / "out", "--model_size", "tiny", "--config", "c.json")
    with pytest.raises(ValueError, match="no field 'num_mask' to override; did you mean 'num_masks'"):
        pretrain(recordings, tmp_path / "out", "--model_size", "tiny", "--config_overrides", '{"num_mask": 1}')
    with pytest.raises(ValueError, match="nothing usable"):
        pretrain(recordings, tmp_path / "out", "--model_size", "tiny", "--min_seconds", "9")


def test_pre_training_refuses_models_of_another_kind(recordings, tmp_path):
    Wav2Vec2Config().save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="is a model of type 'wav2vec2'"):
        pretrain(recordings, tmp_path / "out", "--model_name_or_path", str(tmp_path / "other"))


def launch(command: list[str], recordings: Path, output_dir: Path, *flags: str) -> list[dict]:
    """Runs pre-training in a process of its own; returns what was logged."""
    overrides = {"mask_noise_std": 0.0, "decoder_input_dropout": 0.0, "layerdrop": 0.0, "hidden_dropout": 0.0}
    overrides |= {"attention_dropout": 0.0, "prenet_dropout": 0.0, "prenet_layerdrop": 0.0}
    argv = [str(SCRIPTS / "pretrain_speech.py"), "--model_size", "tiny", "--config_overrides", json.dumps(overrides)]
    argv += ["--data", str(recordings), "--output_dir", str(output_dir), "--min_seconds", "0.3", "--max_steps", "4"]
    argv += ["--logging_steps", "1", "--save_strategy", "no", *QUICK, *flags]
    result = subprocess.run([*command, *argv], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return read_json(output_dir / "trainer_state.json")["log_history"]


@pytest.mark.slow
def test_two_processes_train_like_one(recordings, tmp_path):
    """`accelerate launch` over gloo: same global batches, so the same losses and gradients."""
    one = launch([sys.executable], recordings, tmp_path / "one", "--per_device_train_batch_size", "4")
    # its flag --cpu would start one process unless there is MPI
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    accelerate += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    two = launch(accelerate, recordings, tmp_path / "two", "--per_device_train_batch_size", "2")
    for name in ("loss", "grad_norm", "ema_decay"):
        ours = [entry[name] for entry in two if name in entry]
        assert len(ours) == 4
        assert ours == pytest.approx([entry[name] for entry in one if name in entry], rel=1e-3)
    assert AutoModelForPreTraining.from_pretrained(tmp_path / "two").teacher.num_updates == 4


@pytest.mark.parametrize("script", ["pretrain_speech", "finetune_ctc", "finetune_audio_classification"])
def test_help_names_our_flags(script, capsys):
    with pytest.raises(SystemExit):
        load_script(script).main(["--help"])
    text = capsys.readouterr().out
    assert "--data" in text
    assert "--learning_rate" in text


def test_ctc_fine_tuning_learns_and_its_folder_loads(pretrained, transcribed, tmp_path, capsys):
    quiet = {"layerdrop": 0.0, "prenet_layerdrop": 0.0, "hidden_dropout": 0.0, "attention_dropout": 0.0}
    flags = ["--max_steps", "150", "--learning_rate", "2e-3", "--logging_steps", "25", "--freeze_encoder_steps", "4"]
    flags += ["--no_freeze_feature_encoder", "--per_device_train_batch_size", "12", "--save_strategy", "no"]
    flags += ["--config_overrides", json.dumps(quiet | {"prenet_dropout": 0.0})]
    trainer = finetune("finetune_ctc", pretrained, transcribed, tmp_path / "out", *flags)
    assert losses(trainer)[-1] < 0.5 * losses(trainer)[0]

    metrics = read_json(tmp_path / "out" / "eval_results.json")
    assert 0 <= metrics["eval_cer"] < 0.9
    assert metrics["eval_wer"] >= 0
    with open(tmp_path / "out" / "_eval_transcripts.tsv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["reference"] for row in rows} == {"one two", "three", "two one", "three one"}
    printed = capsys.readouterr().out
    assert "said:       one two" in printed
    assert f"CER {metrics['eval_cer']:.3f}" in printed

    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    model = AutoModelForCTC.from_pretrained(tmp_path / "out").eval()
    assert model.config.vocab_size == len(processor.tokenizer)
    assert "t" in processor.tokenizer.get_vocab()
    audio, sampling_rate = soundfile.read(transcribed / "00.wav", dtype="float32")
    inputs = processor(audio, sampling_rate=sampling_rate, return_tensors="pt")
    with torch.no_grad():
        token_ids = model(**inputs).logits.argmax(-1)
    hypothesis = Transcripts(processor.tokenizer).hypotheses(token_ids.numpy())[0]
    assert hypothesis == next(row["hypothesis"] for row in rows)


def test_ctc_from_scratch_is_another_network_with_nothing_frozen(pretrained, transcribed, tmp_path):
    flags = ["--from_scratch", "--freeze_encoder_steps", "1000"]
    trainer = finetune("finetune_ctc", pretrained, transcribed, tmp_path / "out", *flags)
    assert all(parameter.requires_grad for parameter in trainer.model.parameters())
    pre = finetune("finetune_ctc", pretrained, transcribed, tmp_path / "pre", "--learning_rate", "0")
    saved = AutoModelForPreTraining.from_pretrained(pretrained).data2vec2_audio.state_dict()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in pre.model.data2vec2_audio.state_dict().items())
    name = "trunk.layers.0.mlp.fc1.weight"
    assert not torch.allclose(trainer.model.data2vec2_audio.state_dict()[name], saved[name], atol=1e-2)
    assert not pre.model.data2vec2_audio.local_encoder.conv_layers[0].conv.weight.requires_grad


def test_ctc_with_a_given_vocabulary_and_spelling(pretrained, transcribed, tmp_path):
    (tmp_path / "letters.txt").write_text("|\nE\nN\nO\nT\nW\nH\nR\n")
    flags = ["--vocabulary", str(tmp_path / "letters.txt"), "--text_case", "upper"]
    finetune("finetune_ctc", pretrained, transcribed, tmp_path / "out", *flags)
    vocabulary = AutoProcessor.from_pretrained(tmp_path / "out").tokenizer.get_vocab()
    assert [token for token, index in sorted(vocabulary.items(), key=lambda item: item[1])][4:] == list("|ENOTWHR")
    with pytest.raises(ValueError, match="the vocabulary has no 'e'"):
        finetune("finetune_ctc", pretrained, transcribed, tmp_path / "bad", *flags[:2])


def test_ctc_follows_the_tri_stage_schedule(pretrained, transcribed, tmp_path):
    flags = ["--max_steps", "10", "--learning_rate", "1", "--save_strategy", "no"]
    trainer = finetune("finetune_ctc", pretrained, transcribed, tmp_path / "out", *flags)
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    decay = [0.05 ** (step / 5) for step in range(5)]
    assert rates == pytest.approx([0.01, 1, 1, 1, 1, *decay])


def test_bad_input_to_ctc(pretrained, transcribed, tmp_path):
    with pytest.raises(ValueError, match="no column 'text'"):
        finetune("finetune_ctc", pretrained, transcribed, tmp_path / "out", "--text_column", "text")
    untranscribed = write_recordings(tmp_path / "untranscribed")
    with pytest.raises(ValueError, match=r"has no metadata\.csv"):
        finetune("finetune_ctc", pretrained, untranscribed, tmp_path / "out")


def test_ctc_of_a_model_of_transformers(transcribed, tmp_path):
    """wav2vec 2.0 goes through the same script."""
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=[8, 8],
        conv_kernel=[20, 16],
        conv_stride=[16, 16],
        num_conv_pos_embedding_groups=2,
        num_conv_pos_embeddings=4,
        feat_extract_norm="layer",
    )
    Wav2Vec2Model(config).save_pretrained(tmp_path / "wav2vec2")
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path / "wav2vec2")
    trainer = finetune("finetune_ctc", tmp_path / "wav2vec2", transcribed, tmp_path / "out")
    assert len(losses(trainer)) == 2
    assert read_json(tmp_path / "out" / "eval_results.json")["eval_wer"] >= 0


def test_classification(pretrained, transcribed, tmp_path):
    trainer = finetune("finetune_audio_classification", pretrained, transcribed, tmp_path / "out")
    assert read_json(tmp_path / "out" / "eval_results.json").keys() >= {"eval_accuracy", "eval_f1"}
    model = AutoModelForAudioClassification.from_pretrained(tmp_path / "out")
    assert model.config.label2id == {"high": 0, "low": 1}
    assert model.config.id2label == {0: "high", 1: "low"}
    assert model.classifier.out_features == 2
    assert trainer.model.data2vec2_audio.trunk.layers[0].mlp.fc1.weight.requires_grad


def test_linear_probe_trains_the_head_only(pretrained, transcribed, tmp_path):
    flags = ["--freeze_base_model", "--use_weighted_layer_sum", "--max_steps", "60", "--learning_rate", "1e-2"]
    trainer = finetune(
        "finetune_audio_classification", pretrained, transcribed, tmp_path / "out", *flags, "--save_strategy", "no"
    )
    assert losses(trainer)[-1] < 0.7 * losses(trainer)[0]
    saved = AutoModelForPreTraining.from_pretrained(pretrained).data2vec2_audio.state_dict()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in trainer.model.data2vec2_audio.state_dict().items())
    assert trainer.model.layer_weights.std() > 0
    assert trainer.model.config.layerdrop == 0.0


def test_multi_label_classification(pretrained, transcribed, tmp_path):
    flags = ["--multi_label", "--label_column", "tags"]
    finetune("finetune_audio_classification", pretrained, transcribed, tmp_path / "out", *flags)
    model = AutoModelForAudioClassification.from_pretrained(tmp_path / "out")
    assert model.config.label2id == {"high": 0, "low": 1, "odd": 2}
    assert model.config.problem_type == "multi_label_classification"
    assert 0 < read_json(tmp_path / "out" / "eval_results.json")["eval_mAP"] <= 1


def test_bad_input_to_classification(pretrained, transcribed, tmp_path):
    script = "finetune_audio_classification"
    with pytest.raises(ValueError, match="no column 'intent'"):
        finetune(script, pretrained, transcribed, tmp_path / "out", "--label_column", "intent")
    shutil.copytree(transcribed, tmp_path / "other")
    metadata = write_metadata(tmp_path / "other") / "metadata.csv"
    metadata.write_text(metadata.read_text().replace(",high,", ",medium,"))
    with pytest.raises(ValueError, match="unknown label 'medium'; label2id has 'high', 'low'"):
        finetune(script, pretrained, transcribed, tmp_path / "out", "--eval_data", str(tmp_path / "other"))
