# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What is said of errors without asking the Hub, and model cards. With a Hub: tests/hub."""

import pytest
from huggingface_hub import ModelCard
from transformers import AutoConfig, TrainerState

from hf_ssl import Data2Vec2AudioForCTC
from hf_ssl.card import CARD_MARK, training_card
from hf_ssl.hub import explain_hub_error, own_card
from hf_ssl.training import running
from hf_ssl.training.model_sizes import data2vec2_audio_config


@pytest.fixture
def model():
    return Data2Vec2AudioForCTC(data2vec2_audio_config("tiny", vocab_size=8))


def explanation_of(name: str) -> str | None:
    with pytest.raises(OSError) as caught:  # noqa: PT011
        AutoConfig.from_pretrained(name)
    return explain_hub_error(caught.value)


def test_names_that_lead_nowhere():
    assert explanation_of("user/model").startswith("HF_HUB_OFFLINE is set, and this is not on this machine yet")
    assert explanation_of("no/such/folder").startswith("Neither a folder here nor the name of a repository on the Hub")


def test_other_errors_keep_their_traceback():
    assert explain_hub_error(ValueError("expected --data")) is None

    def fail(argv):
        raise ValueError("expected --data")

    with pytest.raises(ValueError, match="expected --data"):
        running.run_script(fail)


def test_what_an_error_hides_is_not_explained():
    """`raise ... from None` says that the first error does not matter."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011, PT012
        try:
            AutoConfig.from_pretrained("user/model")
        except OSError:
            raise ValueError("something else") from None
    assert explain_hub_error(caught.value) is None


def test_a_card_says_what_the_run_knows(model, tmp_path):
    state = TrainerState(epoch=1.5, global_step=30)
    state.log_history = [{"loss": 3.0, "step": 10}, {"eval_wer": 0.25, "eval_runtime": 9.0}, {"loss": 2.0, "step": 30}]
    state.log_history.append({"test_wer": 0.5, "step": 30})
    card = ModelCard(training_card(model, state, name="mine", started_from="ada/base", metadata={"license": "mit"}))
    header = card.data.to_dict()
    assert [result["metrics"][0]["value"] for result in header.pop("model-index")[0]["results"]] == [0.25, 0.5]
    assert header == {
        "library_name": "transformers",
        "license": "mit",
        "base_model": "ada/base",
        "tags": ["data2vec2-audio", "hf_ssl"],
    }
    assert "`Data2Vec2AudioForCTC`, trained with `hf_ssl`" in card.text
    assert "30 updates, 1.50 epochs. It started from [ada/base]" in card.text
    assert "| loss | 2 |\n| eval_wer | 0.25 |\n| test_wer | 0.5 |\n\n" in card.text

    card = ModelCard(training_card(model, TrainerState(), name="mine", started_from=str(tmp_path)))
    assert "0 updates, 0.00 epochs. It started from a model in a local folder." in card.text
    assert "No figures were logged." in card.text
    assert str(tmp_path) not in card.content


def test_whose_card_it_is(model, tmp_path):
    assert own_card(str(tmp_path), None, revision=None, token=None) is None
    (tmp_path / "README.md").write_text(training_card(model, TrainerState(), name="mine"), encoding="utf-8")
    assert own_card(str(tmp_path), None, revision=None, token=None) is None
    edited = (tmp_path / "README.md").read_text(encoding="utf-8").replace(CARD_MARK, "")
    (tmp_path / "README.md").write_text(edited, encoding="utf-8")
    assert own_card(str(tmp_path), None, revision=None, token=None) == edited
