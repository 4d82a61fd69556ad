# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The guards: each symptom is provoked in a tiny training run and found in so many steps, and health is silent."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from training_helpers import QUICK, load_script, write_images
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from hf_ssl import (
    BestRqFeatureExtractor,
    BestRqForPreTraining,
    Data2Vec2AudioForPreTraining,
    Data2Vec2VisionForPreTraining,
    Data2VecAqcForPreTraining,
    Data2VecAudioForPreTraining,
)
from hf_ssl.training import (
    CodebookGuardCallback,
    CollapseGuardCallback,
    ConvolutionRankGuardCallback,
    NonFiniteGradientCallback,
    NonFiniteLossCallback,
    QuantizerGuardCallback,
    StandstillGuardCallback,
    TeacherGuardCallback,
    UnhealthyTrainingError,
    health,
    health_guards,
    trainer,
)
from hf_ssl.training.arguments import PreTrainingArguments
from hf_ssl.training.health import HealthGuardCallback
from hf_ssl.training.model_sizes import (
    best_rq_config,
    data2vec2_audio_config,
    data2vec2_vision_config,
    data2vec_aqc_config,
    data2vec_audio_config,
)
from hf_ssl.training.running import run_script

HEALTHY = {
    "target_std": 0.5,
    "prediction_std": 0.3,
    "between_utterance_share": 0.4,
    "convolution_rank": 9.0,
    "collision_share": 0.02,
    "nonfinite_loss_share": 0.0,
}


@pytest.fixture
def warnings_of_guard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(health.logger, "warning", messages.append)
    return messages


@pytest.fixture
def equally_long(tmp_path: Path) -> Path:
    """Half a second each of eight different noises."""
    folder = tmp_path / "equally_long"
    folder.mkdir()
    for index in range(8):
        noise = np.random.default_rng(index).standard_normal(8000)
        soundfile.write(folder / f"{index}.wav", (0.05 * noise).astype(np.float32), 16000)
    return folder


def pretrain(script_name: str, data: Path, output_dir: Path, *flags: str, model: PreTrainedModel | None = None):
    """Runs a training script on a new tiny model, or on a given one."""
    script = load_script(script_name)
    if model is not None:
        script.make_model = lambda *arguments: model
    argv = ["--model_size", "tiny", "--data", str(data), "--output_dir", str(output_dir), "--save_strategy", "no"]
    argv += ["--logging_steps", "1", "--per_device_train_batch_size", "4", *QUICK]
    return script.main([*argv, *flags])


def pretrain_speech(data: Path, output_dir: Path, *flags: str, model: PreTrainedModel | None = None):
    return pretrain("pretrain_speech", data, output_dir, "--min_seconds", "0.3", *flags, model=model)


def step_of(symptom: str, run: Callable[..., object], action: str, messages: list[str]) -> int:
    """Runs a training with `--health_guard ACTION`; the step at which a symptom was named first, with its remedy.

    A guard that is to warn must let the training go on, and one that is to stop must end it.
    """
    if action == "warn":
        run("--health_guard", "warn")
        message = next(message for message in messages if symptom in message)
    else:
        with pytest.raises(UnhealthyTrainingError, match=re.escape(symptom)) as caught:
            run("--health_guard", "stop")
        message = str(caught.value)
    step, _, text = message.partition(": ")
    assert len(text) > len(symptom) + 80  # what to do follows
    return int(step.removeprefix("Step "))


AT_STEP_2 = ("--max_steps", "3", "--health_collapse_steps", "2")
WARN_AND_STOP = pytest.mark.parametrize("action", ["warn", "stop"])


@WARN_AND_STOP
def test_a_loss_that_is_not_finite(recordings, tmp_path, warnings_of_guard, action):
    def run(*flags: str) -> None:
        pretrain_speech(recordings, tmp_path / "out", "--learning_rate", "1e30", "--max_steps", "5", *flags)

    symptom = "the loss was NaN or infinite in 100% of the batches"
    assert step_of(symptom, run, action, warnings_of_guard) <= 4  # the first step has no learning rate yet
    assert any("is left out: its gradient is not finite" in message for message in warnings_of_guard)


def frozen_teacher(**overrides) -> Data2Vec2AudioForPreTraining:
    set_seed(0)
    return Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny", ema_decay=1.0, ema_end_decay=1.0, **overrides))


@WARN_AND_STOP
def test_targets_that_are_always_the_same(recordings, tmp_path, warnings_of_guard, action):
    model = frozen_teacher()
    for parameter in model.teacher.parameters():
        parameter.data.zero_()

    def run(*flags: str) -> None:
        pretrain_speech(recordings, tmp_path / "out", *AT_STEP_2, *flags, model=model)

    assert step_of("`target_std` has fallen to 0.0010", run, action, warnings_of_guard) == 2


@WARN_AND_STOP
def test_predictions_that_are_always_the_same(recordings, tmp_path, warnings_of_guard, action):
    model = frozen_teacher()
    silence(model.decoder.projections[-1])

    def run(*flags: str) -> None:
        pretrain_speech(recordings, tmp_path / "out", *AT_STEP_2, *flags, model=model)

    assert step_of("`prediction_std` has fallen to 0.0010", run, action, warnings_of_guard) == 2


@WARN_AND_STOP
def test_targets_that_depend_on_the_position_alone(equally_long, tmp_path, warnings_of_guard, action):
    model = frozen_teacher()
    silence(model.data2vec2_audio.local_encoder.projection)  # what is left are the ends of the utterance
    model.reset_teacher()

    def run(*flags: str) -> None:
        pretrain_speech(equally_long, tmp_path / "out", *AT_STEP_2, *flags, model=model)

    assert step_of("`between_utterance_share` has fallen to 0.00", run, action, warnings_of_guard) == 2
    assert not any("`target_std`" in message for message in warnings_of_guard)  # to which the published floor is blind


def silence(layer: torch.nn.Linear | torch.nn.Conv2d) -> None:
    """Makes a layer give its bias, whatever comes in."""
    layer.weight.data.zero_()
    layer.requires_grad_(False)


def one_direction(layer: torch.nn.Linear | torch.nn.Conv2d) -> None:
    """Makes a layer give multiples of one vector."""
    weight = layer.weight.data.flatten(1)
    layer.weight.data = (weight[:, :1] * weight[:1]).view_as(layer.weight)
    layer.bias.data.zero_()
    layer.requires_grad_(False)


def convolutions_of(model: PreTrainedModel) -> torch.nn.Linear | torch.nn.Conv2d:
    """The last layer of what makes frames or patches."""
    match model:
        case Data2Vec2AudioForPreTraining():
            return model.data2vec2_audio.local_encoder.projection
        case Data2Vec2VisionForPreTraining():
            return model.data2vec2_vision.local_encoder.patch_embedding
        case Data2VecAqcForPreTraining():
            return model.data2vec_aqc.feature_projection.projection
        case Data2VecAudioForPreTraining():
            return model.data2vec_audio.feature_projection.projection
        case BestRqForPreTraining():
            return model.best_rq.subsampling.projection
    raise AssertionError(f"{type(model).__name__} has no convolutions that are known here")


@WARN_AND_STOP
@pytest.mark.parametrize("spoil", [silence, one_direction])
def test_convolutions_of_rank_one(recordings, tmp_path, warnings_of_guard, spoil, action):
    set_seed(0)
    model = Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny"))
    spoil(convolutions_of(model))

    def run(*flags: str) -> None:
        pretrain_speech(recordings, tmp_path / "out", *AT_STEP_2, *flags, model=model)

    symptom = "the convolutions give nearly the same features everywhere (`convolution_rank` 1.00)"
    assert step_of(symptom, run, action, warnings_of_guard) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Data2VecAudioForPreTraining(data2vec_audio_config("tiny")),
        lambda: Data2VecAqcForPreTraining(data2vec_aqc_config("tiny")),
        lambda: BestRqForPreTraining(best_rq_config("tiny")),
    ],
    ids=["data2vec-audio", "data2vec-aqc", "best-rq"],
)
def test_convolutions_of_rank_one_in_other_families_of_speech(recordings, tmp_path, warnings_of_guard, make):
    set_seed(0)
    model = make()
    one_direction(convolutions_of(model))
    kind = ["--model_type", model.config.model_type, *AT_STEP_2]

    def run(*flags: str) -> None:
        pretrain_speech(recordings, tmp_path / "out", *kind, *flags, model=model)

    assert step_of("`convolution_rank` 1.0", run, "warn", warnings_of_guard) == 2


def test_patches_of_rank_one(tmp_path, warnings_of_guard):
    set_seed(0)
    model = Data2Vec2VisionForPreTraining(data2vec2_vision_config("tiny"))
    one_direction(convolutions_of(model))
    images = write_images(tmp_path / "images")

    def run(*flags: str) -> None:
        pretrain("pretrain_vision", images, tmp_path / "out", *AT_STEP_2, *flags, model=model)

    assert step_of("`convolution_rank` 1.0", run, "warn", warnings_of_guard) == 2


@WARN_AND_STOP
def test_a_codebook_on_features_that_are_not_normalised(recordings, tmp_path, warnings_of_guard, action):
    for path in recordings.glob("*.wav"):  # as quiet as recordings are: their decibels are far from zero
        samples, sampling_rate = soundfile.read(path)
        soundfile.write(path, 0.03 * samples, sampling_rate)
    BestRqFeatureExtractor(normalization="none").save_pretrained(tmp_path / "preprocessor")
    kind = ["--model_type", "best-rq", "--preprocessor", str(tmp_path / "preprocessor")]

    def run(*flags: str) -> None:
        steps = ["--max_steps", "12", "--logging_steps", "500"]  # a guard does not wait for the first log
        pretrain_speech(recordings, tmp_path / "out", *kind, *steps, *flags)

    assert step_of("the codebook is badly used", run, action, warnings_of_guard) == 10


@WARN_AND_STOP
def test_a_quantizer_that_gives_everything_one_code(recordings, tmp_path, warnings_of_guard, action):
    set_seed(0)
    model = Data2VecAqcForPreTraining(data2vec_aqc_config("tiny"))
    scores = model.contrast.quantizer.scores
    silence(scores)
    scores.bias.data = 100.0 * (torch.arange(len(scores.bias)) % model.config.num_codevectors_per_group == 0)

    def run(*flags: str) -> None:
        kind = ["--model_type", "data2vec-aqc", "--max_steps", "3"]
        pretrain_speech(recordings, tmp_path / "out", *kind, *flags, model=model)

    symptom = "100% of the negatives have the very code of their positive"
    assert step_of(symptom, run, action, warnings_of_guard) == 1


class IdleUpdateCallback(TrainerCallback):
    """A broken one: it updates the teacher, but by nothing."""

    def on_step_end(self, args, state, control, model=None, **kwargs) -> None:
        model.teacher.update(model._student_stages(), decay=1.0)


@WARN_AND_STOP
def test_a_teacher_that_is_never_moved(recordings, tmp_path, warnings_of_guard, monkeypatch, action):
    monkeypatch.setattr(trainer, "TeacherUpdateCallback", IdleUpdateCallback)

    def run(*flags: str) -> None:
        steps = ["--max_steps", "6", "--logging_steps", "500", "--health_teacher_steps", "5"]
        pretrain_speech(recordings, tmp_path / "out", *steps, *flags)

    assert step_of("the student has moved, but the teacher's weights", run, action, warnings_of_guard) == 5


def test_a_teacher_that_is_never_updated_is_an_error_whatever_is_asked_for(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "TeacherUpdateCallback", TrainerCallback)
    with pytest.raises(RuntimeError, match="has been optimised 4 times since its teacher was last updated"):
        pretrain_speech(recordings, tmp_path / "out", "--max_steps", "8", "--health_guard", "off")


def test_a_teacher_that_is_frozen_on_purpose_is_none_of_its_business(recordings, tmp_path, warnings_of_guard):
    flags = ["--max_steps", "6", "--health_teacher_steps", "2", "--health_guard", "stop"]
    pretrain_speech(recordings, tmp_path / "out", *flags, model=frozen_teacher())
    assert warnings_of_guard == []


@WARN_AND_STOP
def test_a_loss_that_stands_still(recordings, tmp_path, warnings_of_guard, action):
    def run(*flags: str) -> None:
        steps = ["--max_steps", "15", "--learning_rate", "0", "--health_loss_steps", "14"]
        pretrain_speech(recordings, tmp_path / "out", *steps, *flags)

    assert step_of("the loss has not moved since the run began", run, action, warnings_of_guard) == 14


def test_off_is_off(recordings, tmp_path, warnings_of_guard):
    steps = ["--max_steps", "13", "--learning_rate", "0", "--health_loss_steps", "12"]
    pretrain_speech(recordings, tmp_path / "out", *steps, "--health_guard", "off")
    assert warnings_of_guard == []


class TestHealth:
    """Thirty steps of every family, in which nothing is said, though all guards are at work from early on."""

    FLAGS = ("--health_guard=stop", "--max_steps=30", "--health_loss_steps=24", "--health_collapse_steps=15")

    @pytest.mark.parametrize("model_type", ["data2vec2-audio", "data2vec-audio", "data2vec-aqc", "best-rq"])
    def test_speech(self, recordings, tmp_path, warnings_of_guard, model_type):
        kind = ["--model_type", model_type, "--learning_rate", "1e-2" if model_type == "best-rq" else "1e-3"]
        run = pretrain_speech(recordings, tmp_path / "out", *kind, *self.FLAGS)
        self.check(run, warnings_of_guard)
        assert all(entry["convolution_rank"] > 5 for entry in run.state.log_history if "loss" in entry)

    def test_images(self, tmp_path, warnings_of_guard):
        run = pretrain("pretrain_vision", write_images(tmp_path / "images"), tmp_path / "out", *self.FLAGS)
        self.check(run, warnings_of_guard)
        assert all(entry["convolution_rank"] > 5 for entry in run.state.log_history if "loss" in entry)

    def test_text(self, tmp_path, warnings_of_guard):
        generator = np.random.default_rng(0)
        words = ["great", "fine", "awful", "poor", "day", "nice", "lovely", "sad"]
        lines = [" ".join(generator.choice(words, 6)) for _ in range(300)]
        (tmp_path / "text.txt").write_text("\n".join(lines))
        tokens = ["--train_tokenizer", "280", "--block_size", "16", "--learning_rate", "5e-3"]
        run = pretrain("pretrain_text", tmp_path / "text.txt", tmp_path / "out", *tokens, *self.FLAGS)
        self.check(run, warnings_of_guard)

    def check(self, run: Trainer, messages: list[str]) -> None:
        assert messages == []
        assert run.state.global_step == 30
        guards = [guard for guard in run.callback_handler.callbacks if isinstance(guard, HealthGuardCallback)]
        assert len(guards) == len(health_guards(run.args)) == 8


def test_guards_work_with_transformers_own_trainer(tmp_path):
    set_seed(0)
    stock = Trainer(
        model=Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny")),
        args=TrainingArguments(str(tmp_path), max_steps=12, use_cpu=True, report_to="none", save_strategy="no"),
        train_dataset=[{"input_values": torch.randn(8000)} for _ in range(8)],
        callbacks=[IdleUpdateCallback(), TeacherGuardCallback(steps=3, stop=True)],
    )
    with pytest.raises(UnhealthyTrainingError, match="Step 3: the student has moved"):
        stock.train()


def log(guard: TrainerCallback, logs: dict[str, float], step: int = 10, max_steps: int = 100_000, model=None) -> None:
    arguments = TrainingArguments("unused", use_cpu=True)
    guard.on_log(
        arguments, TrainerState(global_step=step, max_steps=max_steps), TrainerControl(), logs=logs, model=model
    )


class TestFloors:
    """Guards that compare figures of the log with a floor."""

    @pytest.mark.parametrize("name", ["target_std", "prediction_std", "between_utterance_share"])
    def test_collapse_is_named(self, warnings_of_guard, name):
        log(CollapseGuardCallback(first_step=10), HEALTHY | {name: 0.001})
        assert len(warnings_of_guard) == 1
        assert f"`{name}` has fallen to 0.0010" in warnings_of_guard[0]

    def test_silent_about_health_and_about_what_is_not_logged(self, warnings_of_guard):
        for guard in health_guards(PreTrainingArguments("unused", use_cpu=True, health_collapse_steps=1)):
            log(guard, HEALTHY)
            log(guard, {"eval_loss": 1.0})
        assert warnings_of_guard == []

    @pytest.mark.parametrize("guard_class", [CollapseGuardCallback, ConvolutionRankGuardCallback])
    def test_silent_about_beginnings(self, warnings_of_guard, guard_class):
        collapsed = {"target_std": 0.001, "convolution_rank": 1.0}
        log(guard_class(first_step=10), collapsed, step=9)
        log(guard_class(), collapsed, step=4999)
        log(guard_class(), collapsed, step=99, max_steps=1000)
        assert warnings_of_guard == []
        log(guard_class(), collapsed, step=5000)
        log(guard_class(), collapsed, step=100, max_steps=1000)
        assert len(warnings_of_guard) == 2

    def test_the_remedy_is_said_once(self, warnings_of_guard):
        guard = CollapseGuardCallback(first_step=0)
        for step in (10, 20):
            log(guard, {"target_std": 0.001}, step=step)
        log(guard, {"prediction_std": 0.001}, step=30)
        assert ["Lower the learning rate" in message for message in warnings_of_guard] == [True, False, True]

    @pytest.mark.parametrize(("share", "stops"), [(0.02, False), (0.9, True)])
    def test_collisions(self, share, stops):
        guard = QuantizerGuardCallback(stop=True)
        if not stops:
            log(guard, {"collision_share": share}, step=1)
            return
        with pytest.raises(UnhealthyTrainingError, match="90% of the negatives"):
            log(guard, {"collision_share": share}, step=1)

    @pytest.mark.parametrize("logs", [{"loss": float("nan")}, {"loss": 1.0, "nonfinite_loss_share": 0.25}])
    def test_a_loss_that_is_not_finite_with_any_trainer(self, logs):
        with pytest.raises(UnhealthyTrainingError, match="NaN or infinite"):
            log(NonFiniteLossCallback(stop=True), logs)


class TestCodebook:
    """What is said about a random codebook."""

    def log(self, guard: CodebookGuardCallback, entropy: float, **others: float) -> None:
        logs = {"target_entropy": entropy, "codebook_perplexity": 3.4, "codes_counted": 1000} | others
        log(guard, logs, model=BestRqForPreTraining(best_rq_config("tiny")))

    def test_names_cause_and_remedy(self, warnings_of_guard):
        self.log(CodebookGuardCallback(), entropy=1.2)
        assert len(warnings_of_guard) == 1
        assert "Step 10: the codebook is badly used. Its 64 codes are as good as 3" in warnings_of_guard[0]
        assert "Are the features normalised?" in warnings_of_guard[0]

    def test_silent_about_health_and_about_too_few_codes(self, warnings_of_guard):
        self.log(CodebookGuardCallback(stop=True), entropy=1.5)  # a third of log(64) is 1.39
        self.log(CodebookGuardCallback(stop=True), entropy=1.2, codes_counted=199)
        assert warnings_of_guard == []

    def test_asks_for_logs_of_best_rq_only(self):
        for model, asks in ((BestRqForPreTraining(best_rq_config("tiny")), True), (torch.nn.Linear(1, 1), False)):
            control = TrainerControl()
            CodebookGuardCallback().on_step_end(None, TrainerState(global_step=10), control, model=model)
            assert control.should_log == asks


class TestStandstill:
    """Which losses have moved."""

    guard = StandstillGuardCallback()

    def noise(self, count: int, seed: int = 0, scale: float = 0.1) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return scale * torch.randn(count, generator=generator, dtype=torch.float64)

    @pytest.mark.parametrize("count", [12, 40, 400])
    def test_noise_has_not(self, count):
        moved = sum(self.guard.has_moved(5 + self.noise(count, seed)) for seed in range(300))
        assert moved <= 9  # 3 %

    def test_one_value_has_not(self):
        assert not self.guard.has_moved(torch.full((20,), 0.3, dtype=torch.float64))
        assert not self.guard.has_moved(torch.linspace(1.0, 0.9999, 40, dtype=torch.float64))

    @pytest.mark.parametrize("count", [16, 40, 400])
    @pytest.mark.parametrize(
        "curve",
        [
            lambda time: 1 - time,
            lambda time: torch.exp(-20 * time),
            lambda time: torch.where(time < 0.3, 1 - 3 * time, time - 0.2),  # falls, and rises again
            lambda time: (time == 0).double() * 0.5 + torch.exp(-100 * time),  # all before the second log
        ],
        ids=["falls", "falls quickly", "falls and rises", "falls at once"],
    )
    def test_a_trend_has(self, curve, count):
        time = torch.linspace(0, 1, count, dtype=torch.float64)
        for seed in range(50):
            assert self.guard.has_moved(5 + 4 * curve(time) + self.noise(count, seed, scale=0.02))

    def steps(self, **arguments) -> int:
        """The first step at which a run that stands still is named."""
        guard = StandstillGuardCallback(stop=True)
        arguments = TrainingArguments("unused", use_cpu=True, **arguments)
        state = TrainerState(max_steps=50_000)
        for step in range(100, 50_000, 100):
            state.global_step = step
            state.log_history.append({"loss": 1.0, "step": step})
            try:
                guard.on_log(arguments, state, TrainerControl(), logs={"loss": 1.0})
            except UnhealthyTrainingError:
                return step
        raise AssertionError("never named")

    def test_waits_for_the_warm_up(self):
        assert self.steps() == 2000
        assert self.steps(warmup_steps=3000) == 5000

    def test_waits_for_enough_logs(self):
        guard = StandstillGuardCallback(steps=1, stop=True)
        history = [{"loss": 1.0}] * 11
        state = TrainerState(global_step=11, max_steps=100, log_history=history)
        guard.on_log(TrainingArguments("unused", use_cpu=True), state, TrainerControl(), logs={"loss": 1.0})
        history.append({"loss": 1.0})
        with pytest.raises(UnhealthyTrainingError, match="has not moved"):
            guard.on_log(TrainingArguments("unused", use_cpu=True), state, TrainerControl(), logs={"loss": 1.0})


class TestNonFiniteGradient:
    """Steps whose gradient is not finite."""

    def step(self, callback: NonFiniteGradientCallback, gradient: float) -> torch.nn.Linear:
        model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.ones_(model.weight)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
        model.weight.grad = torch.full((1, 1), gradient)
        arguments = TrainingArguments("unused", use_cpu=True)
        callback.on_pre_optimizer_step(
            arguments, TrainerState(global_step=6), TrainerControl(), model=model, optimizer=optimizer
        )
        optimizer.step()
        return model

    @pytest.mark.parametrize("gradient", [float("nan"), float("inf")])
    def test_changes_nothing_and_is_told(self, warnings_of_guard, gradient):
        model = self.step(NonFiniteGradientCallback(), gradient)
        assert model.weight.item() == 1.0
        assert warnings_of_guard == ["Step 7 is left out: its gradient is not finite."]

    def test_finite_ones_are_taken_in_silence(self, warnings_of_guard):
        assert self.step(NonFiniteGradientCallback(), 1.0).weight.item() < 1.0
        assert warnings_of_guard == []

    def test_too_many_in_a_row_are_an_error(self, warnings_of_guard):
        callback = NonFiniteGradientCallback(most=2)
        for gradient in (float("nan"), float("nan"), 1.0, float("nan"), float("nan")):
            self.step(callback, gradient)
        with pytest.raises(UnhealthyTrainingError, match="3 steps in a row"):
            self.step(callback, float("nan"))

    def test_or_a_warning(self, warnings_of_guard):
        callback = NonFiniteGradientCallback(most=2, stop=False)
        for _ in range(4):
            assert self.step(callback, float("nan")).weight.item() == 1.0
        told = [message for message in warnings_of_guard if "steps in a row" in message]
        assert ["Lower the learning rate" in message for message in told] == [True, False]


@pytest.mark.parametrize(
    "arguments", [{"health_guard": "loud"}, {"health_loss_steps": 0}, {"health_collapse_steps": -1}]
)
def test_arguments_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        PreTrainingArguments("unused", use_cpu=True, **arguments)


def test_a_guard_that_stops_a_script_ends_it_with_one_line():
    def main(argv) -> None:
        raise UnhealthyTrainingError("Step 7: this is wrong.")

    with pytest.raises(SystemExit) as caught:
        run_script(main)
    assert str(caught.value).endswith("error: Step 7: this is wrong.")
