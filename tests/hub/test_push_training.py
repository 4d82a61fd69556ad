# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The training scripts with `--push_to_hub`, through the real client."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hub_client import assert_raises, hub_environment, load_recogniser, run_script, tiny_model
from huggingface_hub import ModelCard
from loopback_hub import Fault
from training_helpers import QUICK, TRANSCRIPTS, read_json
from transformers import AutoModelForPreTraining, Wav2Vec2FeatureExtractor

PUSH = ["--push_to_hub", "--max_steps", "2", "--logging_steps", "1", *QUICK]
MODEL_FILES = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json", "training_args.bin"}


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def pretrain(hub, client, ada, recordings, out) -> Callable[..., None]:
    """`pretrain(*flags)`: pre-trains a tiny model on the recordings and pushes it to `ada/new`."""

    def run(*flags: str, token: str | None = ada) -> None:
        argv = ["--model_size", "tiny", "--data", str(recordings), "--min_seconds", "0.5", "--output_dir", str(out)]
        client.run(run_script, "pretrain_speech", [*argv, "--hub_model_id", "ada/new", *PUSH, *flags], token=token)

    return run


@pytest.fixture
def finetune(hub, client, ada, recordings, out) -> Callable[..., None]:
    """`finetune(script, model, *flags)`: fine-tunes a model and pushes it to `ada/new`."""

    def run(script: str, model: str, *flags: str) -> None:
        argv = ["--model_name_or_path", model, "--data", str(recordings), "--eval_data", str(recordings)]
        argv += ["--output_dir", str(out), "--hub_model_id", "ada/new"]
        client.run(run_script, script, [*argv, *PUSH, *flags], token=ada)

    return run


@pytest.fixture
def pretrained(tmp_path) -> Path:
    """The folder of a tiny pre-trained model."""
    tiny_model().save_pretrained(tmp_path / "pretrained")
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path / "pretrained")
    return tmp_path / "pretrained"


def card_of(hub) -> ModelCard:
    return ModelCard(hub.repositories["ada/new"].files()["README.md"].decode())


def test_pre_training(hub, client, pretrain, out, recordings):
    (recordings / "03.wav").write_bytes(b"no audio")
    pretrain("--save_steps", "1")
    repository = hub.repositories["ada/new"]
    assert repository.messages()[0] == "End of training"
    files = repository.files()
    assert files.keys() >= MODEL_FILES | {
        "trainer_state.json",
        "train_results.json",
        "run.json",
        "modeling_data2vec2_audio.py",
    }
    for name in MODEL_FILES:
        assert files[name] == (out / name).read_bytes(), name
    # what tells of the user's recordings stays on the user's machine
    assert str(recordings / "03.wav") in (out / "_skipped_files.jsonl").read_text(encoding="utf-8")
    assert not any(str(recordings).encode() in content for content in files.values())
    assert not any(name.startswith(("_", "checkpoint-")) for name in files)


def test_every_save_is_pushed_complete(hub, client, pretrain, tmp_path):
    """Also what is pushed in the middle of training can be loaded, without this package too."""
    pretrain("--save_steps", "1", "--hub_always_push")
    repository = hub.repositories["ada/new"]
    assert repository.messages()[:3] == [
        "End of training",
        "Training in progress, step 2",
        "Training in progress, step 1",
    ]
    first = next(oid for oid, commit in repository.commits.items() if commit.message.endswith("step 1"))
    files = repository.files(first)
    assert files.keys() >= MODEL_FILES - {"README.md"} | {"configuration_data2vec2.py", "modeling_data2vec2_audio.py"}
    assert files["model.safetensors"] != repository.files()["model.safetensors"]


def test_card_of_pre_training(hub, pretrain, recordings):
    """Nothing is said that the run does not know."""
    pretrain("--eval_data", str(recordings))
    card = card_of(hub)
    assert card.data.to_dict() == {"library_name": "transformers", "tags": ["data2vec2-audio", "hf_ssl"]}
    assert "`Data2Vec2AudioForPreTraining`, trained with `hf_ssl`" in card.text
    assert "2 updates" in card.text
    assert re.search(r"\| eval_loss \| \d", card.text)
    assert "started from" not in card.text


def test_card_of_a_recogniser(hub, client, finetune, pretrain, tmp_path):
    """Fine-tuned from the Hub: the base is named. And all that is needed to recognise speech was pushed."""
    pretrain()
    hub.repositories["ada/base"] = hub.repositories.pop("ada/new")
    finetune("finetune_ctc", "ada/base", "--output_dir", str(tmp_path / "ctc"))
    card = card_of(hub)
    assert card.data.base_model == "ada/base"
    assert card.data.license is None
    assert "It started from [ada/base]" in card.text
    assert "| eval_wer |" in card.text
    assert client.run(load_recogniser, "ada/new", tmp_path / "cache") == ("Data2Vec2AudioForCTC", "t")
    files = hub.repositories["ada/new"].files()
    spoken = [text.replace(",", "").encode() for text in TRANSCRIPTS if " " in text]
    assert spoken
    assert not any(text in content for text in spoken for content in files.values())


def test_card_of_a_classifier(hub, finetune, pretrained):
    """Fine-tuned from a folder, whose path is nobody's business; or from nothing."""
    finetune("finetune_audio_classification", str(pretrained))
    assert "It started from a model in a local folder." in card_of(hub).text
    assert "base_model" not in card_of(hub).data.to_dict()
    assert str(pretrained) not in card_of(hub).content
    finetune("finetune_audio_classification", str(pretrained), "--from_scratch")
    assert "started from" not in card_of(hub).text


def test_cards_that_somebody_wrote_stay(hub, pretrain, out):
    out.mkdir()
    (out / "README.md").write_text("---\nlicense: mit\n---\n\n# Mine\n", encoding="utf-8")
    pretrain()
    assert card_of(hub).content == "---\nlicense: mit\n---\n\n# Mine\n"
    (out / "README.md").unlink()  # edited on the Hub
    pretrain()
    assert card_of(hub).content == "---\nlicense: mit\n---\n\n# Mine\n"


def test_a_branch_of_its_own(hub, pretrain):
    pretrain("--hub_revision", "trial")
    assert hub.repositories["ada/new"].files().keys() == {".gitattributes"}
    assert hub.repositories["ada/new"].files("trial").keys() >= MODEL_FILES


def test_who_may_not_push_learns_it_before_training(hub, pretrain, out, eve):
    for token, explanation in ((eve, "use an access token that may write"), (None, "log in with `hf auth login`")):
        with assert_raises("HfHubHTTPError", explanation):
            pretrain(token=token)
    assert not (out / "config.json").exists()


def test_a_failed_push_of_a_checkpoint_is_reported_and_made_up_for(hub, client, pretrain):
    with hub.failing(Fault("POST", "/commit/", status=500)):
        pretrain("--save_steps", "1")
    assert hub.repositories["ada/new"].files().keys() >= MODEL_FILES
    said = "A push during training failed, and the next one will make up for it. The Hub answered with status 500"
    assert said in client.output()


def test_a_failed_push_at_the_end_loses_nothing(hub, pretrain, out, recordings, ada, tmp_path):
    """The model and its figures are saved, and the command in the error does what is left to do."""
    failing = hub.failing(Fault("POST", "/commit/", status=503))
    message = (
        f"The model is trained and saved in {out}, but it was not pushed to ada/new. The Hub answered with status 503"
    )
    with failing, assert_raises("PushError", message) as caught:
        pretrain("--eval_data", str(recordings), "--hub_strategy", "end")
    assert AutoModelForPreTraining.from_pretrained(out).teacher.num_updates == 2
    assert read_json(out / "eval_results.json")["eval_loss"] > 0
    assert hub.repositories["ada/new"].files().keys() == {".gitattributes"}

    command = shlex.split(caught.value.message.split("Push it with: ")[1])
    assert command[0] == "hf"
    command = [sys.executable, "-m", "huggingface_hub.cli.hf", *command[1:]]
    environment = hub_environment(hub.endpoint, tmp_path / "home") | {"HF_TOKEN": ada}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert ada not in result.stdout + result.stderr
    files = hub.repositories["ada/new"].files()
    assert files.keys() >= MODEL_FILES
    assert not any(name.startswith(("_", "checkpoint-")) for name in files)
    # the weights had arrived, and were not sent again
    assert len([request for request in hub.sent("PUT", "/upload/") if request.status == 200]) == 2


@pytest.mark.parametrize("given_by", ["environment", "flag"])
def test_no_token_is_written(hub, client, pretrain, out, ada, given_by):
    """Not in checkpoints, arguments, logs of tensorboard; and, by the fixtures, neither in output nor on the Hub."""
    flags = ["--report_to", "tensorboard", "--hub_strategy", "all_checkpoints", "--save_steps", "1"]
    flags += ["--log_level", "debug"]
    if given_by == "flag":
        pretrain(*flags, "--hub_token", ada, token=None)
    else:
        pretrain(*flags)
    assert hub.repositories["ada/new"].files().keys() >= MODEL_FILES
    written = [path for path in out.rglob("*") if path.is_file()]
    assert {"training_args.bin", "trainer_state.json", "optimizer.pt"} <= {path.name for path in written}
    assert any("tfevents" in path.name for path in written)
    assert [path for path in written if ada.encode() in path.read_bytes()] == []
    assert torch.load(out / "training_args.bin", weights_only=False).hub_token is None
