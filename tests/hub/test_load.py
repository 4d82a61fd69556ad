# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Loading from the Hub through the real client: access, broken downloads, and without this package."""

import subprocess
import sys

import pytest
import torch
from hub_client import (
    assert_raises,
    end_of_command,
    end_of_script,
    hub_environment,
    in_small_chunks,
    load_seed,
    push_model,
    tiny_model,
)
from loopback_hub import Fault
from safetensors.torch import load_file
from transformers import Wav2Vec2FeatureExtractor


@pytest.fixture
def repository(hub, client, ada):
    """A public repository with a tiny pre-trained model."""
    client.run(push_model, "ada/tiny", token=ada)
    return hub.repositories["ada/tiny"]


def test_absent_and_private_repositories(client, repository, ada, eve, tmp_path):
    """Who may not read it is not told that it exists."""
    repository.is_private = True
    for name, token in (("ada/tiny", None), ("ada/tiny", eve), ("ada/other", None), ("ada/other", ada)):
        with assert_raises("OSError", f"no {name} that you may read: check the name; if it is private, log in"):
            client.run(load_seed, name, tmp_path, token=token)
    assert client.run(load_seed, "ada/tiny", tmp_path, token=ada) == 0
    repository.readers.add("eve")
    assert client.run(load_seed, "ada/tiny", tmp_path, token=eve) == 0


def test_gated_repositories(hub, client, repository, eve, tmp_path):
    repository.is_gated = True
    for token in (None, eve):
        with assert_raises(
            "OSError", f"ada/tiny is gated and not open to you: accept its conditions at {hub.endpoint}"
        ):
            client.run(load_seed, "ada/tiny", tmp_path, token=token)
    repository.readers.add("eve")
    assert client.run(load_seed, "ada/tiny", tmp_path, token=eve) == 0


def test_a_repository_without_a_feature_extractor(hub, client, repository, tmp_path):
    files = dict(repository.find("main").files)
    del files["preprocessor_config.json"]
    repository.add_commit("main", "Without", files)
    with assert_raises("OSError", "containing a preprocessor_config.json file"):
        client.run(load_seed, "ada/tiny", tmp_path)


def test_a_broken_download_is_resumed(hub, client, repository, tmp_path):
    with hub.failing(Fault("GET", "/download/", drop_after=1000)):
        assert client.run(in_small_chunks, load_seed, "ada/tiny", tmp_path) == 0
    assert [request.status for request in hub.sent("GET", "/download/")] == [200, 206]


def test_a_download_that_ends_with_an_error(hub, client, repository, tmp_path):
    """The client does not resume after a reset; what it has is thrown away, and the next call begins anew."""
    reset = Fault("GET", "/download/", drop_after=1000, reset=True)
    with hub.failing(reset), assert_raises("OSError", f"The connection to the Hub ({hub.endpoint}) failed"):
        client.run(load_seed, "ada/tiny", tmp_path)
    assert client.run(load_seed, "ada/tiny", tmp_path) == 0


ABSENT = "The Hub has no ada/none that you may read: check the name; if it is private, log in with `hf auth login`"
GATED = "ada/tiny is gated and not open to you: accept its conditions at http://127.0.0.1:"


@pytest.mark.parametrize("script", ["pretrain_speech", "finetune_ctc", "finetune_audio_classification"])
@pytest.mark.parametrize(("model", "explanation"), [("ada/none", ABSENT), ("ada/tiny", GATED)])
def test_scripts_end_with_one_line(client, repository, tmp_path, script, model, explanation):
    repository.is_gated = True
    argv = ["--model_name_or_path", model, "--data", str(tmp_path), "--output_dir", str(tmp_path / "out"), "--use_cpu"]
    line = client.run(end_of_script, script, argv)
    assert line.startswith(f"{script}.py: error: {explanation}")
    assert "\n" not in line


def test_commands_end_with_one_line(client, repository, recordings, tmp_path):
    status, errors = client.run(
        end_of_command, ["features", "ada/none", str(recordings), "--layer", "1", "--out", str(tmp_path / "features")]
    )
    assert status == 1
    assert errors.splitlines()[-1].startswith(f"hf-ssl features: {ABSENT}")


# Opens a pre-trained model as other classes of its family where `import hf_ssl` fails.
WITHOUT_THE_PACKAGE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hf_ssl":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from safetensors.torch import save_file
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForCTC

inputs = AutoFeatureExtractor.from_pretrained("ada/tiny")([0.1] * 4000, sampling_rate=16000, return_tensors="pt")
encoder = AutoModel.from_pretrained("ada/tiny", trust_remote_code=True)
recogniser = AutoModelForCTC.from_pretrained("ada/tiny", trust_remote_code=True)
outputs = {"encoder": encoder(**inputs).last_hidden_state, "base": recogniser.data2vec2_audio(**inputs)[0]}
outputs["logits"] = recogniser(**inputs).logits
save_file({name: tensor.detach().contiguous() for name, tensor in outputs.items()}, sys.argv[1])
"""


def test_loading_without_the_package(hub, repository, tmp_path):
    outputs = tmp_path / "outputs.safetensors"
    command = [sys.executable, "-c", WITHOUT_THE_PACKAGE, str(outputs)]
    environment = hub_environment(hub.endpoint, tmp_path / "home")
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    loaded = load_file(outputs)
    inputs = Wav2Vec2FeatureExtractor(return_attention_mask=True)(
        [0.1] * 4000, sampling_rate=16000, return_tensors="pt"
    )
    with torch.no_grad():
        expected = tiny_model(0).data2vec2_audio.eval()(**inputs).last_hidden_state
    assert torch.allclose(loaded["encoder"], expected, atol=1e-5)
    assert torch.equal(loaded["base"], loaded["encoder"])
    assert loaded["logits"].shape[:2] == expected.shape[:2]
