# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Training of BEST-RQ: trainer, guard, statistics, and the scripts end to end at tiny size."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from training_helpers import QUICK, SCRIPTS, load_script, read_json, write_recordings
from transformers import (
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    AutoModelForCTC,
    AutoModelForPreTraining,
    AutoProcessor,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    Wav2Vec2FeatureExtractor,
    set_seed,
)

from hf_ssl import BestRqFeatureExtractor, BestRqForPreTraining
from hf_ssl.data import AudioDataset, SkippedFiles, load_audio_sources, read_audio
from hf_ssl.data.collators_pretraining import DataCollatorForBestRq
from hf_ssl.training import BestRqTrainer
from hf_ssl.training.arguments import PreTrainingArguments
from hf_ssl.training.model_sizes import BEST_RQ_TINY, best_rq_config

NO_DROPOUT = {
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "subsampling_dropout": 0.0,
    "mask_noise_std": 0.0,
}


def make_trainer(
    folder: Path,
    output_dir: Path,
    config: dict[str, Any] | None = None,
    normalization: str = "utterance",
    **arguments: Any,
) -> BestRqTrainer:
    """A trainer of a tiny model, with the same weights every time."""
    set_seed(0)
    model = BestRqForPreTraining(best_rq_config("tiny", **(config or {})))
    skipped = SkippedFiles()
    table = load_audio_sources([str(folder)], min_seconds=0.3, max_seconds=None, skipped=skipped)
    dataset = AudioDataset(table, sampling_rate=16000, max_seconds=None, min_seconds=0.3, seed=0, skipped=skipped)
    feature_extractor = BestRqFeatureExtractor(normalization=normalization)
    defaults = {"max_steps": 4, "logging_steps": 1, "save_strategy": "no", "dataloader_num_workers": 0}
    return BestRqTrainer(
        model=model,
        args=PreTrainingArguments(
            output_dir=str(output_dir), use_cpu=True, report_to="none", disable_tqdm=True, **(defaults | arguments)
        ),
        train_dataset=dataset,
        data_collator=DataCollatorForBestRq(feature_extractor, model.config),
        processing_class=feature_extractor,
    )


def logs_of(trainer: BestRqTrainer) -> list[dict[str, float]]:
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def test_logs(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path, logging_steps=3, max_steps=6, per_device_train_batch_size=4)
    trainer.train()
    assert [entry["step"] for entry in logs_of(trainer)] == [3, 6]
    files = [read_audio(path, sampling_rate=16000) for path in sorted(recordings.glob("*.wav"))]
    for entry in logs_of(trainer):
        assert 0 <= entry["masked_accuracy"] <= 1
        assert 0.1 < entry["masked_share"] < 0.7
        assert 0 < entry["padding_share"] < 1
        assert 0 < entry["codebook_usage"] <= 1
        assert 1 < entry["codebook_perplexity"] <= 64 * entry["codebook_usage"]
        assert entry["target_entropy"] == pytest.approx(torch.tensor(entry["codebook_perplexity"]).log().item())
        # three steps of four are an epoch: figures are of all frames since the last log, not of one batch
        assert entry["codes_counted"] == sum((1 + len(file) // 160) // 4 for file in files)
        assert entry["audio_seconds_per_second"] > 0


def test_features_of_the_device_train_alike(recordings, tmp_path):
    """Also in evaluation."""
    figures = []
    for on_device in (False, True):
        trainer = make_trainer(recordings, tmp_path)
        trainer.data_collator.features_on_device = on_device
        trainer.train()
        figures.append([*(entry["loss"] for entry in logs_of(trainer)), trainer.evaluate(trainer.train_dataset)])
        for name in [name for name in figures[-1][-1] if name.endswith(("runtime", "per_second"))]:
            del figures[-1][-1][name]
    assert figures[0] == figures[1]
    trainer.processing_class = Wav2Vec2FeatureExtractor()
    with pytest.raises(ValueError, match="needs `processing_class`, a BestRqFeatureExtractor, but has a Wav2Vec2Feat"):
        trainer.train()


def test_seconds_of_audio_are_not_those_of_mel_frames(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path)
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(4)])
    samples = sum(len(trainer.train_dataset[index]["input_values"]) for index in range(4))
    assert trainer.num_samples(batch).item() == pytest.approx(samples, abs=4 * 160)


def test_weight_decay_spares_vectors_and_biases(recordings, tmp_path):
    trainer = make_trainer(recordings, tmp_path)
    decayed = set(trainer.get_decay_parameter_names(trainer.model))
    parameters = dict(trainer.model.named_parameters())
    assert {"prediction_head.weight", "best_rq.subsampling.projection.weight"} <= decayed
    assert all(parameters[name].dim() > 1 and "bias" not in name for name in decayed)
    assert any("content_bias" in name for name in parameters)


class GradientRecorder(TrainerCallback):
    def __init__(self):
        self.gradients: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state: TrainerState, control: TrainerControl, model=None, **kwargs):
        named = model.named_parameters()
        self.gradients = {name: p.grad.clone() for name, p in named if p.grad is not None}


def test_accumulation_equals_one_big_batch(tmp_path):
    """Clips of unequal lengths: a mean of means would weight the frames of short ones more."""
    folder = write_recordings(tmp_path / "recordings", count=8)
    gradients, losses = [], []
    for batch_size, steps in ((8, 1), (2, 4)):
        trainer = make_trainer(
            folder,
            tmp_path,
            config=NO_DROPOUT,
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=steps,
            max_steps=1,
            max_grad_norm=0.0,
        )
        recorder = GradientRecorder()
        trainer.add_callback(recorder)
        trainer.train()
        gradients.append(torch.cat([gradient.flatten() for gradient in recorder.gradients.values()]))
        losses.append(logs_of(trainer)[0]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[0].norm()


def pretrain(recordings: Path, output_dir: Path, *flags: str, model: tuple[str, str] = ("--model_size", "tiny")):
    argv = ["--model_type", "best-rq", *model, "--data", str(recordings), "--output_dir", str(output_dir)]
    argv += ["--min_seconds", "0.3", "--logging_steps", "1", "--max_steps", "2", *QUICK]
    return load_script("pretrain_speech").main([*argv, *flags])


def finetune(script: str, model: Path, data: Path, output_dir: Path, *flags: str):
    argv = ["--model_name_or_path", str(model), "--data", str(data), "--eval_data", str(data)]
    argv += ["--eval_split", "train", "--output_dir", str(output_dir), "--save_strategy", "no", *QUICK]
    return load_script(script).main([*argv, *flags])


def test_pre_training_learns_and_its_folder_loads(recordings, tmp_path):
    flags = ["--max_steps", "40", "--learning_rate", "3e-3", "--logging_steps", "20", "--eval_data", str(recordings)]
    trainer = pretrain(recordings, tmp_path / "out", *flags, "--eval_split", "train")
    first, last = logs_of(trainer)[0], logs_of(trainer)[-1]
    # tones are predictable, the noise they are in is not
    assert last["loss"] < 0.97 * first["loss"]
    assert last["masked_accuracy"] > first["masked_accuracy"]
    assert read_json(tmp_path / "out" / "eval_results.json")["eval_loss"] > 0
    model = AutoModelForPreTraining.from_pretrained(tmp_path / "out")
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert AutoFeatureExtractor.from_pretrained(tmp_path / "out").normalization == "utterance"


def test_continued_pre_training_keeps_the_quantizer(recordings, pretrained_best_rq, tmp_path):
    trainer = pretrain(recordings, tmp_path / "out", model=("--model_name_or_path", str(pretrained_best_rq)))
    saved = AutoModelForPreTraining.from_pretrained(pretrained_best_rq)
    assert torch.equal(trainer.model.quantizer.codebook, saved.quantizer.codebook)
    assert torch.equal(trainer.model.quantizer.projection, saved.quantizer.projection)
    assert not torch.equal(trainer.model.prediction_head.weight, saved.prediction_head.weight)


def test_resumed_run_is_the_run_that_was_not_stopped(recordings, tmp_path):
    flags = ["--max_steps", "4", "--per_device_train_batch_size", "4", "--save_steps", "2"]
    whole = pretrain(recordings, tmp_path / "out", *flags)
    resumed = pretrain(
        recordings, tmp_path / "out", *flags, "--resume_from_checkpoint", str(tmp_path / "out" / "checkpoint-2")
    )
    assert [entry["loss"] for entry in logs_of(resumed)] == [entry["loss"] for entry in logs_of(whole)]
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


def test_features_normalised_by_statistics_of_the_data_set(recordings, tmp_path):
    statistics = ["--data", str(recordings), "--output_dir", str(tmp_path / "preprocessor"), "--min_seconds", "0.3"]
    computed = load_script("feature_statistics").main(statistics)
    files = [read_audio(path, sampling_rate=16000) for path in recordings.glob("*.wav")]
    frames = torch.cat([computed(file, return_tensors="pt")["input_features"][0] for file in files])
    assert frames.mean(dim=0).abs().max() < 1e-3
    assert (frames.std(dim=0, correction=0) - 1).abs().max() < 1e-3

    trainer = pretrain(recordings, tmp_path / "out", "--preprocessor", str(tmp_path / "preprocessor"))
    assert len(logs_of(trainer)) == 2
    saved = AutoFeatureExtractor.from_pretrained(tmp_path / "out")
    assert (saved.normalization, saved.mean, saved.top_db) == ("dataset", computed.mean, 80.0)


def test_statistics_of_some_clips_and_for_streams(recordings, tmp_path):
    script = load_script("feature_statistics")
    flags = ["--data", str(recordings), "--output_dir", str(tmp_path / "out"), "--min_seconds", "0.3"]
    few = script.main([*flags, "--max_recordings", "3"])
    assert few.mean == script.main([*flags, "--max_recordings", "3"]).mean
    assert few.mean != script.main([*flags, "--max_recordings", "3", "--seed", "1"]).mean
    assert script.main([*flags, "--streaming_model"]).top_db is None


def test_bad_input_to_statistics(recordings, tmp_path):
    script = load_script("feature_statistics")
    with pytest.raises(ValueError, match="Expected --output_dir"):
        script.main(["--data", str(recordings)])
    with pytest.raises(ValueError, match="--max_recordings must be at least 1, got 0"):
        script.main(["--data", str(recordings), "--output_dir", str(tmp_path), "--max_recordings", "0"])
    for name in ("streaming", "log_mel_on_device"):
        with pytest.raises(ValueError, match=f"no use for --{name}"):
            script.main(["--data", str(recordings), "--output_dir", str(tmp_path), f"--{name}"])


def test_bad_input_to_pre_training(recordings, pretrained_best_rq, tmp_path):
    continued = ("--model_name_or_path", str(pretrained_best_rq))
    with pytest.raises(ValueError, match="Expected the size tiny, small or base, got 'large'"):
        pretrain(recordings, tmp_path / "out", model=("--model_size", "large"))
    with pytest.raises(ValueError, match="models with a teacher, which 'best-rq' has not"):
        pretrain(recordings, tmp_path / "out", "--reset_teacher", model=continued)
    with pytest.raises(ValueError, match="keeps the feature extractor"):
        pretrain(recordings, tmp_path / "out", "--preprocessor", str(pretrained_best_rq), model=continued)
    with pytest.raises(ValueError, match="type 'best-rq', but --model_type is 'data2vec2-audio'"):
        pretrain(recordings, tmp_path / "out", "--model_type", "data2vec2-audio", model=continued)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="gives `input_values`, but the model takes `input_features`"):
        pretrain(recordings, tmp_path / "out", "--preprocessor", str(tmp_path / "other"))


def test_configuration_from_a_file(recordings, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(BEST_RQ_TINY))
    overrides = json.dumps({"num_codebooks": 2})
    config = ("--config", str(tmp_path / "config.json"))
    trainer = pretrain(recordings, tmp_path / "out", "--config_overrides", overrides, model=config)
    assert (trainer.model.config.hidden_size, trainer.model.config.num_codebooks) == (32, 2)
    assert all(0 <= entry["masked_accuracy"] <= 1 for entry in logs_of(trainer))
    best_rq_config("tiny").to_json_file(tmp_path / "config.json")
    with pytest.raises(ValueError, match="type 'best-rq', but --model_type is 'data2vec2-audio'"):
        pretrain(recordings, tmp_path / "other", "--model_type", "data2vec2-audio", model=config)


def test_ctc_fine_tuning_learns_and_its_folder_loads(pretrained_best_rq, transcribed, tmp_path):
    flags = ["--max_steps", "120", "--learning_rate", "4e-3", "--logging_steps", "40", "--no_freeze_feature_encoder"]
    flags += ["--per_device_train_batch_size", "12"]
    trainer = finetune("finetune_ctc", pretrained_best_rq, transcribed, tmp_path / "out", *flags)
    losses = [entry["loss"] for entry in logs_of(trainer)]
    assert losses[-1] < 0.6 * losses[0]
    assert read_json(tmp_path / "out" / "eval_results.json")["eval_cer"] < 0.9

    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    assert isinstance(processor.feature_extractor, BestRqFeatureExtractor)
    model = AutoModelForCTC.from_pretrained(tmp_path / "out").eval()
    assert model.config.vocab_size == len(processor.tokenizer)
    audio = read_audio(transcribed / "00.wav", sampling_rate=16000)
    with torch.no_grad():
        logits = model(**processor(audio, sampling_rate=16000, return_tensors="pt")).logits
    assert logits.shape == (1, (1 + len(audio) // 160) // 4, len(processor.tokenizer))


def test_ctc_predictions_end_with_the_audio(pretrained_best_rq, transcribed, tmp_path):
    trainer = finetune("finetune_ctc", pretrained_best_rq, transcribed, tmp_path / "out", "--max_steps", "1")
    predictions = trainer.predict(trainer.eval_dataset).predictions
    files = [read_audio(path, sampling_rate=16000) for path in sorted(transcribed.glob("*.wav"))]
    assert (predictions != -100).sum(axis=1).tolist() == [(1 + len(file) // 160) // 4 for file in files]


def test_linear_probe_trains_the_head_only(pretrained_best_rq, transcribed, tmp_path):
    flags = ["--freeze_base_model", "--use_weighted_layer_sum", "--max_steps", "60", "--learning_rate", "1e-2"]
    trainer = finetune(
        "finetune_audio_classification",
        pretrained_best_rq,
        transcribed,
        tmp_path / "out",
        *flags,
        "--logging_steps",
        "20",
    )
    losses = [entry["loss"] for entry in logs_of(trainer)]
    assert losses[-1] < 0.7 * losses[0]
    saved = AutoModelForPreTraining.from_pretrained(pretrained_best_rq).best_rq.state_dict()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in trainer.model.best_rq.state_dict().items())
    assert AutoModelForAudioClassification.from_pretrained(tmp_path / "out").config.label2id == {"high": 0, "low": 1}


def test_speaker_verification(pretrained_best_rq, transcribed, tmp_path):
    flags = ["--speaker_column", "label", "--min_seconds", "0.3", "--max_steps", "2"]
    trainer = finetune("finetune_speaker_verification", pretrained_best_rq, transcribed, tmp_path / "out", *flags)
    metrics = trainer.evaluate()
    assert metrics["eval_trials"] == 12 * 11 / 2
    assert 0 <= metrics["eval_eer"] <= 1


def launch(command: list[str], output_dir: Path, *flags: str) -> list[dict[str, float]]:
    """Runs pre-training in a process of its own; returns what was logged."""
    argv = [*command, str(SCRIPTS / "pretrain_speech.py"), "--output_dir", str(output_dir), *flags]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return read_json(output_dir / "trainer_state.json")["log_history"]


@pytest.mark.slow
def test_two_processes_train_like_one(recordings, tmp_path):
    """`accelerate launch` over gloo: same global batches, so the same losses, gradients and use of the codebook."""
    flags = ["--model_type", "best-rq", "--model_size", "tiny", "--config_overrides", json.dumps(NO_DROPOUT)]
    flags += ["--data", str(recordings), "--min_seconds", "0.3", "--max_steps", "4", "--logging_steps", "1", *QUICK]
    one = launch([sys.executable], tmp_path / "one", *flags, "--per_device_train_batch_size", "4")
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    accelerate += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    two = launch(accelerate, tmp_path / "two", *flags, "--per_device_train_batch_size", "2")
    for name in ("loss", "grad_norm", "codebook_usage", "target_entropy", "codes_counted"):
        ours = [entry[name] for entry in two if name in entry]
        assert len(ours) == 4
        assert ours == pytest.approx([entry[name] for entry in one if name in entry], rel=1e-3), name
