# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""transformers' own model test-suite, for our models.

The suite is in transformers' source distribution and not in its wheel. `load_model_tester_mixin` downloads the source
distribution of the installed version once, unpacks its `tests/` into `.cache/transformers-<version>/`, and imports it:

    suite = load_model_tester_mixin()

    class SomeModelTest(suite.ModelTesterMixin, unittest.TestCase):
        all_model_classes = (SomeModel, SomeModelForCTC)

Where the package index cannot be reached the calling test module is skipped with a message, or fails if the
environment variable `HF_SSL_REQUIRE_TRANSFORMERS_SUITE` is `1`.
"""

import functools
import importlib
import os
import subprocess
import sys
import tarfile
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import transformers
from filelock import FileLock

REQUIRE_SUITE_VARIABLE = "HF_SSL_REQUIRE_TRANSFORMERS_SUITE"
CACHE_DIR = Path(__file__).resolve().parent.parent / ".cache"
DOWNLOAD_TIMEOUT_SECONDS = 300

# Not `tests`, as in transformers: that name belongs to whichever `tests` folder was imported first, which may be ours.
# The suite's modules refer to each other by relative imports and do not mind.
PACKAGE = "transformers_own_tests"

# Modules that the suite imports, that the source distribution lacks, and that an encoder's tests do not need.
STUBS = {
    "__init__.py": "",
    "exporters/__init__.py": "",
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "generation/__init__.py": "",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "utils/__init__.py": "",
    # Arguments that every config takes, at values that are no defaults: `ConfigTester` checks that they arrive.
    "utils/test_configuration_utils.py": """config_common_kwargs = {
    "architectures": ["SomeModel"],
    "output_hidden_states": True,
    "output_attentions": True,
    "return_dict": False,
    "dtype": "float16",
    "chunk_size_feed_forward": 5,
    "is_encoder_decoder": True,
    "id2label": {0: "label"},
    "label2id": {"label": 0},
    "problem_type": "regression",
}
""",
}


class PreTrainingOutput:
    """What the suite cannot ask of models whose output is that of pre-training. To stand before the suite's class."""

    @unittest.skip(reason="the output has no hidden states")
    def test_hidden_states_output(self) -> None:
        pass

    @unittest.skip(reason="the output has no hidden states")
    def test_retain_grad_hidden_states_attentions(self) -> None:
        pass

    @unittest.skip(reason="the test subtracts outputs, and masks are among them")
    def test_model_outputs_equivalence(self) -> None:
        pass


class SuiteUnavailableError(RuntimeError):
    """The source distribution of the installed transformers could not be had; the message says why."""


class ModelTestSuite(NamedTuple):
    """The parts of transformers' test-suite that a model's test needs, under the names that they have there."""

    ModelTesterMixin: type
    ConfigTester: type
    ids_tensor: Callable
    floats_tensor: Callable
    random_attention_mask: Callable


def load_model_tester_mixin() -> ModelTestSuite:
    """Fetch transformers' test-suite, once per version, and import what a model's test needs.

    To be called at the top of a test module: where the suite cannot be had, the whole module is skipped.

    Returns:
        `ModelTestSuite`: `ModelTesterMixin`, `ConfigTester`, and the functions that make random inputs.
    """
    modeling = load_suite_module("test_modeling_common")
    configuration = load_suite_module("test_configuration_common")
    return ModelTestSuite(
        ModelTesterMixin=modeling.ModelTesterMixin,
        ConfigTester=configuration.ConfigTester,
        ids_tensor=modeling.ids_tensor,
        floats_tensor=modeling.floats_tensor,
        random_attention_mask=modeling.random_attention_mask,
    )


def load_suite_module(name: str) -> ModuleType:
    """Import one module of transformers' `tests/` folder, e.g. `test_training_mixin`; skips as above."""
    unavailable = _make_importable()
    if unavailable is None:
        return importlib.import_module(f"{PACKAGE}.{name}")
    if os.environ.get(REQUIRE_SUITE_VARIABLE) == "1":
        pytest.fail(f"{REQUIRE_SUITE_VARIABLE}=1, but {unavailable}", pytrace=False)
    pytest.skip(unavailable, allow_module_level=True)


def declare_model_classes(model_type: str, class_names: dict[str, str]) -> None:
    """Tell the suite what our classes are for.

    The suite looks a class's name up in transformers' own lists, e.g. `MODEL_FOR_CTC_MAPPING_NAMES`, to choose its
    labels and to decide whether a test applies; a class that is in none of them silently passes
    `test_problem_types`, `test_load_with_mismatched_shapes` and others untested. This adds to the suite's view of the
    lists; transformers' lists stay as they are.

    Args:
        model_type (`str`): The config's `model_type`, e.g. `"data2vec2-audio"`.
        class_names (`dict[str, str]`): From the list's name to the name of our class.

    Raises:
        KeyError: If the suite knows no list of that name.
    """
    modeling = load_suite_module("test_modeling_common")
    for list_name, class_name in class_names.items():
        declared = dict(vars(modeling)[list_name])
        declared[model_type] = class_name
        setattr(modeling, list_name, declared)


def expect_refusal_of_left_padding(test_case: type) -> type:
    """Class decorator: transformers' tests of attention with a mask padded on the left expect our error instead."""
    for name in dir(test_case):
        if name.startswith("test_eager_matches_sdpa_inference") and name.endswith(
            ("pad_left", "pad_left_sdpa_kernels")
        ):
            setattr(test_case, name, _expecting_refusal(getattr(test_case, name)))
    return test_case


def _expecting_refusal(test: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(test)
    def expecting(self: Any) -> None:
        with pytest.raises(ValueError, match="padding stands on the right"):
            test(self)

    return expecting


@functools.cache
def _make_importable() -> str | None:
    """Put the suite on the import path. Returns why it cannot be had, or `None`; asks the index once per process."""
    try:
        folder = fetch_suite(transformers.__version__, CACHE_DIR, download_source_distribution)
    except SuiteUnavailableError as error:
        return str(error)
    sys.path.append(str(folder))
    return None


def fetch_suite(version: str, cache_dir: Path, download: Callable[[str, Path], Path]) -> Path:
    """Return the folder that holds the suite's package, downloading it if it is not there yet.

    Several processes may call this at once: one downloads while the others wait, and the folder appears complete or
    not at all.

    Args:
        version (`str`): The version of transformers.
        cache_dir (`Path`): The folder `transformers-<version>` is made in it.
        download (`Callable`): Takes the version and a folder, returns the source distribution's path in that folder.

    Raises:
        SuiteUnavailableError: If the download fails or has no `tests/` folder.
    """
    folder = cache_dir / f"transformers-{version}"
    if folder.is_dir():
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(cache_dir / f"transformers-{version}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
                archive = download(version, Path(scratch))
                unpacked = Path(scratch) / "unpacked"
                unpack_suite(archive, unpacked / PACKAGE)
                unpacked.rename(folder)
    return folder


def download_source_distribution(version: str, folder: Path) -> Path:
    """Download transformers' source distribution with pip, from wherever pip is configured to look.

    `--no-build-isolation` spares a build environment: pip runs only the metadata step, with the setuptools that torch
    depends on anyway.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "1", "--no-deps"]
    command += ["--no-build-isolation", "--no-binary", "transformers", "--dest", str(folder)]
    try:
        subprocess.run(
            [*command, f"transformers=={version}"],
            check=True,
            timeout=DOWNLOAD_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        reason = str(error.stderr or "").strip().splitlines()[-1:] or [str(error)]
        raise SuiteUnavailableError(
            f"the source distribution of transformers {version}, which holds its test-suite, could not be downloaded: "
            f"{reason[0]}. Run the tests once where pip can reach a package index."
        ) from error
    return folder / f"transformers-{version}.tar.gz"


def unpack_suite(archive: Path, folder: Path) -> None:
    """Write the files directly in the archive's `tests/` into `folder`, and beside them the stubs."""
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            _, _, path_in_archive = member.name.partition("/")
            parent, _, name = path_in_archive.rpartition("/")
            content = source.extractfile(member) if member.isfile() else None
            if content is not None and parent == "tests":
                _write(folder / name, content.read())
    if not folder.is_dir():
        raise SuiteUnavailableError(f"{archive.name} has no files in tests/: the test-suite is no longer in there")
    for name, text in STUBS.items():
        if not (folder / name).exists():
            _write(folder / name, text.encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
