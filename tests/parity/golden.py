# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Golden cases: what the original code computed, stored with its inputs, weights and random draws."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_DIRECTORIES = (REPOSITORY / "tests/fixtures/golden", REPOSITORY.parent / "shared/golden")


class GoldenCase:
    """One folder with `meta.json` and tensors. Remembers which tensors a test has compared or used."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.meta = json.loads((folder / "meta.json").read_text())
        self.untouched: set[str] = set()

    @property
    def kind(self) -> tuple[str, str]:
        """Family and modality (or the fine-tuned model's name), by which tests are chosen."""
        if "family" not in self.meta:
            return "functions", ""
        if self.meta["family"] == "finetuned" and "wav2vec_ctc" in self.meta.get("model_name", "wav2vec_ctc"):
            return self.meta["family"], f"wav2vec_ctc of {self._encoder_family}"
        return self.meta["family"], self.meta.get("modality") or self.meta.get("model_name") or ""

    @property
    def _encoder_family(self) -> str:
        """What a fine-tuned recogniser was made of, by the weights that only that has."""
        names = self.meta["state_dict_keys"]
        if any("modality_encoders.AUDIO" in name for name in names):
            return "data2vec2"
        return "data2vec-aqc" if any("w2v_model.quantizer." in name for name in names) else "data2vec1"

    def load(self) -> dict[str, torch.Tensor]:
        tensors: dict[str, torch.Tensor] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            tensors |= load_file(path)
        assert tensors, f"{self.folder} has no tensors"
        self.untouched = set(tensors)
        self.tensors = tensors
        return tensors

    def use(self, name: str) -> torch.Tensor:
        """A stored tensor that goes into the computation."""
        self.untouched.discard(name)
        return self.tensors[name]

    def compare(self, name: str, actual: torch.Tensor) -> None:
        """Activations: every element within 1e-4 of the stored tensor's RMS + 1e-5. Integers and masks: equal."""
        expected = self.use(name)
        actual = actual.detach()
        assert actual.shape == expected.shape, f"{name}: {tuple(actual.shape)} instead of {tuple(expected.shape)}"
        if not expected.is_floating_point():
            assert torch.equal(actual.to(expected.dtype), expected), f"{name} differs"
            return
        tolerance = 1e-4 * expected.double().square().mean().sqrt().item() + 1e-5
        error = (actual.double() - expected.double()).abs().max().item()
        assert error <= tolerance, f"{name}: largest error {error:.3g}, tolerance {tolerance:.3g}"

    def compare_gradient(self, name: str, actual: torch.Tensor, keep: slice = slice(None)) -> None:
        """Gradients: relative error of the norm of the difference at most 1e-3."""
        expected = self.use(name)[keep].double()
        error = (actual.detach()[keep].double() - expected).norm() / expected.norm()
        assert error <= 1e-3, f"{name}: relative error {error:.3g}"

    def assert_all_compared(self) -> None:
        assert not self.untouched, f"stored but never compared: {sorted(self.untouched)}"


def find_cases(directories: list[str]) -> list[GoldenCase]:
    """All cases under the given directories, or under the default ones that exist; a folder's name appears once."""
    roots = [Path(directory) for directory in directories] or [path for path in DEFAULT_DIRECTORIES if path.is_dir()]
    cases: dict[str, GoldenCase] = {}
    for root in roots:
        if not root.is_dir():
            raise FileNotFoundError(f"There is no golden directory {root}.")
        for meta in sorted(root.glob("*/meta.json")):
            cases.setdefault(meta.parent.name, GoldenCase(meta.parent))
    return list(cases.values())
