# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The package as a newcomer meets it: the README's commands, the pins, the wheel, the import, the console script."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hf_ssl

REPOSITORY = Path(__file__).resolve().parent.parent
FIRST_SCREEN_LINES = 40

# What `import hf_ssl` must leave for later: each takes a good part of the 250 ms that the import may cost.
HEAVY_MODULES = {
    "accelerate",
    "datasets",
    "evaluate",
    "jiwer",
    "matplotlib",
    "pandas",
    "pyarrow",
    "scipy",
    "sklearn",
    "tensorboard",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed.fsdp",
    "torch.nn.attention.flex_attention",
    "torch.onnx",
    "transformers.pipelines",
    "transformers.trainer",
}


def readme_command(marker: str) -> str:
    """Return the content of the fenced block after `<!-- marker -->`, which must be on the README's first screen."""
    first_screen = "\n".join((REPOSITORY / "README.md").read_text().splitlines()[:FIRST_SCREEN_LINES])
    block = re.search(rf"^<!-- {marker} -->\n```\w*\n(.*?)\n```$", first_screen, flags=re.MULTILINE | re.DOTALL)
    assert block is not None, f"the README's first {FIRST_SCREEN_LINES} lines have no block after <!-- {marker} -->"
    return block.group(1)


def pinned_requirements() -> dict[str, Requirement]:
    """Return the pins of constraints.txt that apply to the running Python, by normalised name."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    applicable = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    assert len({canonicalize_name(pin.name) for pin in applicable}) == len(applicable), "a package is pinned twice"
    return {canonicalize_name(pin.name): pin for pin in applicable}


@pytest.mark.parametrize(
    ("marker", "extras", "last_step"),
    [("demo-command", {"demo"}, "hf-ssl demo"), ("test-command", {"demo", "test"}, "pytest -n 2")],
)
def test_readme_command_installs_the_pins_and_runs(marker: str, extras: set[str], last_step: str) -> None:
    steps = [step.strip() for step in readme_command(marker).split("&&")]
    install = next(step for step in steps if step.startswith("pip install"))

    assert "-c constraints.txt" in install
    assert set(re.search(r"-e \"\.\[([\w,]+)\]\"", install).group(1).split(",")) == extras
    assert extras <= set(importlib.metadata.metadata("hf-ssl").get_all("Provides-Extra"))
    assert steps[-1] == last_step


def test_every_dependency_is_pinned_within_its_declared_range() -> None:
    pins = pinned_requirements()
    for requirement in map(Requirement, importlib.metadata.requires("hf-ssl")):
        environments = [{"extra": extra} for extra in ("", "demo", "test", "dev")]
        if requirement.marker is None or any(requirement.marker.evaluate(extra) for extra in environments):
            (pin,) = pins[canonicalize_name(requirement.name)].specifier
            assert pin.operator == "=="
            assert requirement.specifier.contains(pin.version), f"{requirement} excludes the pinned {pin.version}"


def test_pins_have_no_local_label() -> None:
    """`torch==2.13.0+cpu` would keep a machine with a GPU from installing its build."""
    labelled = [str(pin) for pin in pinned_requirements().values() if "+" in str(pin.specifier)]
    assert labelled == []


def test_version_is_the_same_everywhere() -> None:
    declared = re.search(r'^version = "(.+)"$', (REPOSITORY / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert declared is not None
    assert importlib.metadata.version("hf-ssl") == declared.group(1)
    assert hf_ssl.__version__ == declared.group(1)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy: setuptools writes `build/` and `*.egg-info` beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "hf_ssl", source / "hf_ssl", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(source)], check=True)
    return next(folder.glob("*.whl"))


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    sources = (path for path in (REPOSITORY / "hf_ssl").rglob("*") if path.is_file())
    expected = {path.relative_to(REPOSITORY).as_posix() for path in sources if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        packaged = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packaged == expected
    assert "hf_ssl/py.typed" in packaged


def test_wheel_carries_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
        assert archive.read(name) == (REPOSITORY / "LICENSE").read_bytes()
    assert "Version 2.0, January 2004" in (REPOSITORY / "LICENSE").read_text()


def modules_that_hf_ssl_adds() -> set[str]:
    """Return the modules that `import hf_ssl` imports on top of `from transformers import AutoModel, ...`."""
    program = (
        "import json, sys\n"
        "from transformers import AutoModel, PreTrainedModel\n"
        "before = set(sys.modules)\n"
        "import hf_ssl\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    return set(json.loads(finished.stdout.splitlines()[-1]))


def test_import_adds_no_heavy_module() -> None:
    added = modules_that_hf_ssl_adds()
    assert "hf_ssl" in added
    assert added & HEAVY_MODULES == set()


def test_console_script_shows_its_commands() -> None:
    script = shutil.which("hf-ssl", path=Path(sys.executable).parent)
    assert script is not None, 'no hf-ssl beside the interpreter; install with `pip install -e ".[test]"`'
    finished = subprocess.run([script, "--help"], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "demo" in finished.stdout


def test_console_script_rejects_an_unknown_command() -> None:
    script = shutil.which("hf-ssl", path=Path(sys.executable).parent)
    assert script is not None
    finished = subprocess.run([script, "no-such-command"], capture_output=True, text=True)
    assert finished.returncode == 2
    assert "no-such-command" in finished.stderr
