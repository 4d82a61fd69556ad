#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Training steps of an original's code, for beside_originals.py, which starts this in the originals' own environment.

    python training_scripts/benchmarks/original_steps.py --method data2vec2-audio --repository FAIRSEQ

With `--store FOLDER`, for same_losses.py: nothing is trained; FOLDER takes the weights as a checkpoint of theirs, and
the batch, masks, loss and gradients of one step without dropout and noise.

The environment (Python 3.11) needs torch of the same version as ours, numpy, omegaconf 2.3, hydra-core 1.3, bitarray,
pillow, sacrebleu, scikit-learn, regex, cffi, timm 0.4.12 (`pip install --no-deps`), fast_pytorch_kmeans and soundfile;
for SpeechBrain HyperPyYAML, sentencepiece, joblib, scipy, tqdm, packaging, requests and huggingface_hub. torchvision
and torchaudio are not needed: what the repositories import of them no model of theirs calls.

Nothing in a repository is changed. What stands between its code and today's Python and libraries is bridged from here
before it is imported, see `bridge_to_today`. All else is theirs: models, criteria, optimizers, EMA and masks, as
their own YAML files of the base models say.
"""

import argparse
import dataclasses
import functools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from step_protocol import Step, serve
from torch import nn

SAMPLING_RATE = 16_000
# That of the first updates of a warm-up. It does not change what a step costs.
LEARNING_RATE = 1e-5


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--method", choices=sorted(MAKERS), required=True)
    parser.add_argument("--repository", type=Path, required=True, help="clone with the original's code")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument("--items", type=int, default=2, help="clips or images of a batch (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a clip (default: %(default)s)")
    parser.add_argument("--store", type=Path, help="take no steps; this folder takes what one computes (data2vec 2.0)")
    arguments = parser.parse_args(argv)
    if not arguments.repository.is_dir():
        parser.error(f"--repository {arguments.repository} is no folder")
    if arguments.store is None:
        serve(lambda: make_step(arguments), arguments.device)
    elif not arguments.method.startswith("data2vec2"):
        parser.error(f"--store is for data2vec 2.0, whose draws can be turned off; not for {arguments.method}")
    else:
        step, _ = make_step(arguments)
        assert isinstance(step, FairseqStep)
        step.store(arguments.store)


def make_step(arguments: argparse.Namespace) -> tuple[Step, int]:
    bridge_to_today(arguments.method)
    sys.path.insert(0, str(arguments.repository))
    torch.manual_seed(0)
    np.random.seed(0)
    autocast = torch.autocast(arguments.device, torch.bfloat16, enabled=arguments.precision == "bfloat16")
    return MAKERS[arguments.method](arguments, autocast)


# --- what the originals' code misses today -------------------------------------------------------------------------


_IMAGES = ["", ".datasets", ".datasets.vision", ".transforms", ".transforms.functional"]
# Reading and augmenting data, which no step does. timm, too, asks for torchvision.
NOT_CALLED = {
    "best-rq": ["torchaudio"],
    "data2vec-aqc": ["torchaudio", "torchaudio_augmentations"],
    "data2vec2-audio": [f"torchvision{name}" for name in _IMAGES],
    "data2vec2-vision": [f"torchvision{name}" for name in _IMAGES],
}


class StandIn(ModuleType):
    """A module that is imported but not called; any name in it is an empty class."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}") or type(name, (), {})


def bridge_to_today(method: str) -> None:
    """Makes the repositories importable without changing them."""
    # Python 3.11 refuses defaults that cannot be hashed; configurations of fairseq have dataclasses as defaults.
    dataclasses.dataclass = hashable_dataclass  # type: ignore[assignment]
    # numpy 1.24 dropped these names of Python's own types.
    np.float, np.int = float, int  # type: ignore[attr-defined]
    for name in NOT_CALLED[method]:
        sys.modules[name] = StandIn(name)


_dataclass = dataclasses.dataclass


def hashable_dataclass(cls: type | None = None, /, **options: Any) -> Any:
    if cls is None:
        return functools.partial(hashable_dataclass, **options)
    if cls.__module__.startswith(("fairseq", "examples")):
        options.setdefault("unsafe_hash", True)
    return _dataclass(cls, **options)


# Probabilities and amounts of what a step of data2vec 2.0 draws, masks aside.
DRAWS = {
    "activation_dropout", "attention_dropout", "dropout_input", "encoder_dropout", "end_drop_path_rate",
    "input_dropout", "layerdrop", "mask_noise_std", "post_mlp_drop", "prenet_dropout", "prenet_layerdrop",
    "start_drop_path_rate",
}  # fmt: skip


# --- fairseq: data2vec 2.0 and data2vec-aqc ------------------------------------------------------------------------


class FairseqStep:
    """An update as in fairseq's trainer, without its clipping and its gathering of logs.

    Args:
        model: With `set_num_updates`, which moves the EMA teacher.
        optimizer: Settings as in the recipe.
        make_sample: Draws masks and gives the input of the criterion.
        autocast: Context of the forward pass.
        recipe: The YAML file that all this is of.
    """

    def __init__(
        self, model: Any, optimizer: Any, make_sample: Callable[[], dict[str, Any]], autocast: Any, recipe: Path
    ) -> None:
        from fairseq.criterions.model_criterion import ModelCriterion

        self.model = model.train()
        self.criterion = ModelCriterion(task=None, loss_weights={}, log_keys=[])
        self.optimizer = optimizer
        self.make_sample = make_sample
        self.autocast = autocast
        self.recipe = recipe
        self.num_updates = 0
        model.set_num_updates(0)

    def __call__(self) -> float:
        loss = self.compute(self.make_sample())
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.num_updates += 1
        self.model.set_num_updates(self.num_updates)
        return loss.item()

    def compute(self, sample: dict[str, Any]) -> torch.Tensor:
        """The loss, and all gradients."""
        with self.autocast:
            loss, sample_size, _ = self.criterion(self.model, sample)
            loss = loss / sample_size
        loss.backward()
        return loss

    def store(self, folder: Path) -> None:
        """Writes `checkpoint.pt`, and `step.pt` with batch, masks, loss and gradients."""
        from omegaconf import OmegaConf

        sample = self.make_sample()
        loss = self.compute(sample)
        task: Any = OmegaConf.load(self.recipe).task
        settings = {"model": OmegaConf.to_container(self.model.cfg, resolve=True, enum_to_str=True)}
        settings["task"] = OmegaConf.to_container(task)
        torch.save({"cfg": settings, "model": self.model.state_dict()}, folder / "checkpoint.pt")
        gradients = {name: weight.grad for name, weight in self.model.named_parameters() if weight.grad is not None}
        torch.save({**sample["net_input"], "loss": loss.detach(), "gradients": gradients}, folder / "step.pt")


def fairseq_configs(recipe: Path, model_config: type) -> tuple[Any, Any]:
    """A recipe's settings of model and optimizer on top of the defaults in the code."""
    from fairseq.optim.adam import FairseqAdamConfig
    from omegaconf import OmegaConf

    yaml: Any = OmegaConf.load(recipe)
    # Images have one optimizer per group of parameters, of which there is one.
    adam = yaml.optimizer.groups.default.optimizer if "groups" in yaml.optimizer else yaml.optimizer
    config: Any = OmegaConf.create({"optimization": yaml.optimization, "common": {"seed": 1, "tpu": False}})
    config.model = OmegaConf.merge(OmegaConf.structured(model_config), yaml.model)
    config.optimizer = OmegaConf.merge(OmegaConf.structured(FairseqAdamConfig), adam, {"lr": [LEARNING_RATE]})
    return config.model, config.optimizer


def fairseq_optimizer(config: Any, model: nn.Module) -> tuple[Any, int]:
    """The optimizer, and how many parameters it trains."""
    from fairseq.optim.adam import FairseqAdam

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return FairseqAdam(config, trained), sum(parameter.numel() for parameter in trained)


def make_data2vec2(
    arguments: argparse.Namespace, autocast: Any, modality: str, source: torch.Tensor, make_mask: Callable
) -> tuple[Step, int]:
    """With masks drawn per clone as their data sets draw them (`precompute_mask_config` of the recipes).

    Args:
        make_mask: Draws `clone_batch` masks from the model's configuration, shape `(clone_batch, sequence_length)`.
    """
    import fairseq  # noqa: F401  (registers)
    from examples.data2vec.data.modality import Modality
    from examples.data2vec.models.data2vec2 import Data2VecMultiConfig, Data2VecMultiModel

    recipe = {"audio": "base_audio_only_task", "image": "base_images_only_task"}[modality]
    path = arguments.repository / "examples/data2vec/config/v2" / f"{recipe}.yaml"
    config, adam = fairseq_configs(path, Data2VecMultiConfig)
    if arguments.store is not None:
        turn_off_draws(config, config.modalities[modality])
    model = Data2VecMultiModel(config, [Modality[modality.upper()]]).to(arguments.device)
    optimizer, num_parameters = fairseq_optimizer(adam, model)

    def make_sample() -> dict[str, Any]:
        masks = torch.cat([make_mask(config) for _ in range(arguments.items)])
        net_input = {"source": source.to(arguments.device), "precomputed_mask": masks.to(arguments.device)}
        return {"id": torch.arange(arguments.items), "net_input": net_input}

    return FairseqStep(model, optimizer, make_sample, autocast, path), num_parameters


def turn_off_draws(config: Any, modality: Any) -> None:
    """Leaves nothing random in a step of data2vec 2.0 but its masks, which are stored."""
    for part in (config, modality, modality.decoder):
        for name in DRAWS.intersection(part):
            part[name] = 0.0


def make_data2vec2_audio(arguments: argparse.Namespace, autocast: Any) -> tuple[Step, int]:
    def make_mask(config: Any) -> torch.Tensor:
        from fairseq.data.data_utils import compute_block_mask_1d

        num_frames = int(arguments.seconds * SAMPLING_RATE)
        for _, kernel, stride in eval(config.modalities.audio.feature_encoder_spec):  # as fairseq reads it
            num_frames = (num_frames - kernel) // stride + 1
        return compute_block_mask_1d((config.clone_batch, num_frames), **mask_settings(config.modalities.audio))

    return make_data2vec2(arguments, autocast, "audio", make_waveforms(arguments), make_mask)


def make_data2vec2_vision(arguments: argparse.Namespace, autocast: Any) -> tuple[Step, int]:
    def make_mask(config: Any) -> torch.Tensor:
        from fairseq.data.data_utils import compute_block_mask_2d

        num_patches = (config.modalities.image.input_size // config.modalities.image.patch_size) ** 2
        return compute_block_mask_2d((config.clone_batch, num_patches), **mask_settings(config.modalities.image))

    return make_data2vec2(arguments, autocast, "image", torch.randn(arguments.items, 3, 224, 224), make_mask)


def mask_settings(config: Any) -> dict[str, Any]:
    """What their data sets take over from the model's configuration."""
    names = ("mask_prob", "mask_length", "mask_prob_adjust", "inverse_mask", "mask_dropout")
    return {name: config[name] for name in names}


def make_waveforms(arguments: argparse.Namespace) -> torch.Tensor:
    """Noise of mean 0 and variance 1, as their data sets normalise it: `(items, num_samples)`."""
    return torch.randn(arguments.items, int(arguments.seconds * SAMPLING_RATE))


def make_data2vec_aqc(arguments: argparse.Namespace, autocast: Any) -> tuple[Step, int]:
    import fairseq  # noqa: F401  (registers)
    from examples.data2vec.models.data2vec_audio import Data2VecAudioConfig, Data2VecAudioModel

    path = arguments.repository / "examples/data2vec/config/audio/pretraining/base_librispeech.yaml"
    config, adam = fairseq_configs(path, Data2VecAudioConfig)
    model = Data2VecAudioModel(config).to(arguments.device)
    # The forward pass casts the teacher's output to float16 (training was in float16), which float32 weights refuse.
    model.contr_proj.register_forward_pre_hook(lambda layer, inputs: (inputs[0].to(layer.weight.dtype),))
    optimizer, num_parameters = fairseq_optimizer(adam, model)
    views = [make_waveforms(arguments), make_waveforms(arguments)]  # clean and augmented

    def make_sample() -> dict[str, Any]:
        source = [view.to(arguments.device) for view in views]
        return {"id": torch.arange(arguments.items), "net_input": {"source": source}}

    return FairseqStep(model, optimizer, make_sample, autocast, path), num_parameters


# --- SpeechBrain: BEST-RQ ------------------------------------------------------------------------------------------


class SpeechBrainStep:
    """An update as in the recipe's train.py, whose `compute_forward` and `compute_objectives` are called as they are.

    Args:
        recipe: The module train.py.
        hparams: The recipe's YAML file, read by its own reader.
        arguments: Batch.
        autocast: Context of the forward pass.
    """

    def __init__(self, recipe: ModuleType, hparams: dict[str, Any], arguments: argparse.Namespace, autocast: Any):
        from speechbrain import Stage

        device = torch.device(arguments.device)
        modules = nn.ModuleDict(hparams["modules"]).to(device).train()
        # of a Brain what compute_forward asks for
        self.brain = SimpleNamespace(hparams=SimpleNamespace(**hparams), modules=modules, device=device)
        self.recipe = recipe
        self.stage = Stage.TRAIN
        self.autocast = autocast
        self.trained = [parameter for parameter in modules.parameters() if parameter.requires_grad]
        self.optimizer = hparams["optimizer"](self.trained, lr=LEARNING_RATE)
        waveforms = make_waveforms(arguments)
        self.clips = [{"id": str(number), "sig": waveform} for number, waveform in enumerate(waveforms)]

    def __call__(self) -> float:
        brain, batch = self.recipe.BestRQBrain, self.make_batch()
        with self.autocast:
            predictions = brain.compute_forward(self.brain, batch, self.stage)
            loss = brain.compute_objectives(self.brain, predictions, batch, self.stage)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()

    def make_batch(self) -> tuple[torch.Tensor, ...]:
        from speechbrain.lobes.models.BESTRQ import brq_mask_collate_fn

        hparams = self.brain.hparams
        samples_per_frame = hparams.sample_rate * hparams.hop_length // 1000
        return brq_mask_collate_fn(
            self.clips,
            get_out_len_fn=lambda num_samples: num_samples // samples_per_frame + 1,
            mask_prob=hparams.mask_prob,
            mask_length=hparams.mask_length,
            n_mels=hparams.n_mels,
        )


def make_best_rq(arguments: argparse.Namespace, autocast: Any) -> tuple[Step, int]:
    from hyperpyyaml import load_hyperpyyaml

    folder = arguments.repository / "recipes/LibriSpeech/self-supervised-learning/BEST-RQ"
    sys.path.insert(0, str(folder))
    import train as recipe

    with tempfile.TemporaryDirectory() as unused, open(folder / "hparams/BEST-RQ.yaml", encoding="utf-8") as file:
        # Without chunks, whose size is drawn anew for every batch: steps would not be alike.
        overrides = {"data_folder": unused, "output_folder": unused, "streaming": False}
        hparams = load_hyperpyyaml(file, overrides)
    step = SpeechBrainStep(recipe, hparams, arguments, autocast)
    return step, sum(parameter.numel() for parameter in step.trained)


MAKERS: dict[str, Callable[[argparse.Namespace, Any], tuple[Step, int]]] = {
    "best-rq": make_best_rq,
    "data2vec-aqc": make_data2vec_aqc,
    "data2vec2-audio": make_data2vec2_audio,
    "data2vec2-vision": make_data2vec2_vision,
}


if __name__ == "__main__":
    main()
