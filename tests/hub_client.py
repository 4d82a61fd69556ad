# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A process with the real Hub client, told by environment variables only to use the loopback Hub.

The client reads these variables once, when it is imported, so that the tests' own process, which is offline, cannot be
used. One process serves many tests, because importing everything takes seconds. It logs all that there is to log.
"""

import io
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

UNWANTED = ("HF_HUB_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "TRANSFORMERS_OFFLINE")


def hub_environment(endpoint: str, home: Path) -> dict[str, str]:
    """The environment of a process that uses the Hub at `endpoint` and keeps what it downloads in `home`."""
    settings = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",  # the loopback Hub speaks git-LFS only
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_DEBUG": "1",
        "HF_HUB_VERBOSITY": "debug",
        "TRANSFORMERS_VERBOSITY": "debug",
        "NO_PROXY": "127.0.0.1",
    }
    return {key: value for key, value in os.environ.items() if key not in UNWANTED} | settings


class ClientError(Exception):
    """An error in the client's process: the name of its class, its message, and how we explain it."""

    def __init__(self, kind: str, message: str, explanation: str | None):
        super().__init__(kind, message, explanation)
        self.kind, self.message, self.explanation = kind, message, explanation


class Client:
    """Runs functions of this module, one after the other, in a process of its own.

    Args:
        endpoint: The Hub.
        home: Folder of what it downloads, and of its output.
    """

    def __init__(self, endpoint: str, home: Path):
        self.output_path = home / "output.txt"
        self._environment = hub_environment(endpoint, home)
        self._pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_start, initargs=(str(self.output_path),)
        )

    def run(self, function: Callable[..., Any], *args: Any, token: str | None = None, **kwargs: Any) -> Any:
        """Calls `function` there, with a token in the environment; the first call starts the process."""
        with mock.patch.dict(os.environ, self._environment, clear=True):
            return self._pool.submit(_call, token, function, args, kwargs).result(timeout=300)

    def output(self) -> str:
        """All that the process has printed and logged."""
        return self.output_path.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        self._pool.shutdown()


def _start(output_path: str) -> None:
    output = os.open(output_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    logging.basicConfig(level=logging.DEBUG)


def _call(token: str | None, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    os.environ.pop("HF_TOKEN", None)
    if token is not None:
        os.environ["HF_TOKEN"] = token
    try:
        return function(*args, **kwargs)
    except Exception as error:
        from hf_ssl.hub import explain_hub_error

        logging.exception("the call failed")
        raise ClientError(type(error).__name__, str(error), explain_hub_error(error)) from None
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


# What the tests have the client do. Imports are inside: this module is imported by the tests' own process too.


def tiny_model(seed: int = 0) -> Any:
    from transformers import set_seed

    from hf_ssl import Data2Vec2AudioForPreTraining
    from hf_ssl.training.model_sizes import data2vec2_audio_config

    set_seed(seed)
    return Data2Vec2AudioForPreTraining(data2vec2_audio_config("tiny"))


def push_model(name: str, seed: int = 0, **options: Any) -> None:
    """Pushes the tiny model of a seed, and its feature extractor."""
    from transformers import Wav2Vec2FeatureExtractor

    tiny_model(seed).push_to_hub(name, **options)
    extractor_options = {key: value for key, value in options.items() if key == "revision"}
    Wav2Vec2FeatureExtractor(return_attention_mask=True).push_to_hub(name, **extractor_options)


def load_seed(name: str, cache: Path, **options: Any) -> int:
    """Loads a pre-trained model and its feature extractor; returns the seed whose weights it has."""
    import torch
    from transformers import AutoFeatureExtractor, AutoModelForPreTraining

    model = AutoModelForPreTraining.from_pretrained(name, cache_dir=cache, **options)
    assert AutoFeatureExtractor.from_pretrained(name, cache_dir=cache, **options).return_attention_mask
    loaded = model.state_dict()
    for seed in range(3):
        ours = tiny_model(seed).state_dict()
        if ours.keys() == loaded.keys() and all(torch.equal(tensor, loaded[key]) for key, tensor in ours.items()):
            return seed
    raise AssertionError("these are the weights of no seed")


def tag_model(name: str, tag: str) -> tuple[str, list[str]]:
    """Tags what a repository has now; returns who did it, and all branches and tags."""
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_tag(name, tag=tag)
    references = api.list_repo_refs(name)
    return api.whoami()["name"], [reference.name for reference in (*references.branches, *references.tags)]


def load_recogniser(name: str, cache: Path) -> tuple[str, str]:
    """Loads a recogniser and its processor; returns the model's class and the letter of a token."""
    from transformers import AutoModelForCTC, AutoProcessor

    processor = AutoProcessor.from_pretrained(name, cache_dir=cache)
    model = AutoModelForCTC.from_pretrained(name, cache_dir=cache)
    assert model.config.vocab_size == len(processor.tokenizer)
    return type(model).__name__, processor.tokenizer.decode(processor.tokenizer("t").input_ids)


def run_script(name: str, argv: list[str]) -> None:
    from training_helpers import load_script

    load_script(name).main(argv)


def end_of_script(name: str, argv: list[str]) -> str | int | None:
    """Runs a training script as the command line does; returns what it exits with, a line for stderr."""
    from training_helpers import load_script

    from hf_ssl.training import running

    with mock.patch.object(sys, "argv", [f"{name}.py", *argv]):
        try:
            return running.run_script(load_script(name).main)
        except SystemExit as end:
            return end.code


def end_of_command(argv: list[str]) -> tuple[int, str]:
    """Runs `hf-ssl`; returns its exit status and what it wrote to stderr."""
    from hf_ssl.cli import main

    errors = io.StringIO()
    with redirect_stderr(errors):
        return main(argv), errors.getvalue()


def without_waiting(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function whose retries do not wait for seconds."""
    sleep = time.sleep
    with mock.patch("time.sleep", lambda seconds: sleep(min(seconds, 0.01))):
        return function(*args, **kwargs)


def in_small_chunks(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function whose downloads are resumed behind 500 bytes instead of behind 10 MB."""
    with mock.patch("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 500):
        return function(*args, **kwargs)


@contextmanager
def assert_raises(kind: str, explanation: str) -> Iterator[pytest.ExceptionInfo[ClientError]]:
    """Expects an error of the client, and what we say about it."""
    with pytest.raises(ClientError) as caught:
        yield caught
    assert caught.value.kind == kind, caught.value.message
    assert explanation in f"{caught.value.explanation} {caught.value.message}"
