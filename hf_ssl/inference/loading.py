# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Opening models for inference, and refusing those that would give nonsense instead of results."""

import pickle
from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForCTC,
    AutoTokenizer,
    PreTrainedModel,
    SequenceFeatureExtractor,
    Wav2Vec2CTCTokenizer,
)

from ..devices import usable_device
from .input_makers import InputMaker, make_input_maker
from .windows import WindowSize

_NUM_PROBE_FRAMES = 4
# What transformers and the libraries below it raise where a folder is damaged, hostile, or something else.
_REFUSALS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
    pickle.UnpicklingError,
)


class LoadedModel(NamedTuple):
    """A model in evaluation mode with what it needs to read audio.

    Attributes:
        model (`PreTrainedModel`): On its device.
        feature_extractor (`SequenceFeatureExtractor`): As it was saved.
        inputs (`InputMaker`): Makes the model's input of files.
    """

    model: PreTrainedModel
    feature_extractor: SequenceFeatureExtractor
    inputs: InputMaker

    @property
    def seconds_per_frame(self) -> float:
        """From one frame of the model to the next."""
        return self.inputs.geometry.stride / self.inputs.steps_per_second

    def window_size(self, window_seconds: float, overlap_seconds: float) -> WindowSize:
        """Windows of long recordings, see [`WindowSize.of_seconds`]."""
        inputs = self.inputs
        return WindowSize.of_seconds(
            inputs.geometry, inputs.steps_per_second, window_seconds, overlap_seconds, inputs.alignment
        )


def load_encoder(name_or_path: str, *, device: str | None = None, dtype: str = "float32") -> LoadedModel:
    """Opens the encoder of a folder or a model on the Hub, whatever head it was saved with.

    Args:
        name_or_path (`str`): Folder, or name on the Hub.
        device (`str`, *optional*): Such as `"cuda:0"`; a GPU if there is one.
        dtype (`str`): `"float32"`, `"bfloat16"` or `"float16"`.

    Raises:
        ValueError: It cannot be opened, lacks weights, or reads neither waveforms nor our log-mel features; or there
            is no such device.
    """
    return _load(AutoModel, name_or_path, device, dtype)


def load_ctc_model(
    name_or_path: str, *, device: str | None = None, dtype: str = "float32"
) -> tuple[LoadedModel, Wav2Vec2CTCTokenizer]:
    """Opens a speech recogniser and its tokenizer. See [`load_encoder`].

    Raises:
        ValueError: It cannot be opened, has no trained CTC head or no tokenizer, or the two do not fit.
    """
    loaded = _load(AutoModelForCTC, name_or_path, device, dtype)
    tokenizer = _open(AutoTokenizer, name_or_path, "tokenizer")
    if not isinstance(tokenizer, Wav2Vec2CTCTokenizer):
        raise ValueError(f"expected a Wav2Vec2CTCTokenizer in {name_or_path}, got a {type(tokenizer).__name__}")
    config = loaded.model.config
    if tokenizer.pad_token_id != config.pad_token_id or config.vocab_size > len(tokenizer):
        raise ValueError(
            f"the tokenizer of {name_or_path} does not belong to the model: {len(tokenizer)} tokens, blank (<pad>) "
            f"{tokenizer.pad_token_id}; the model has {config.vocab_size} and {config.pad_token_id}"
        )
    return loaded, tokenizer


def _load(auto_class: Any, name_or_path: str, device: str | None, dtype: str) -> LoadedModel:
    device = usable_device(device)
    model, info = _open(auto_class, name_or_path, "model", dtype=_DTYPES[dtype], output_loading_info=True)
    # What replaces masked frames in training is not among the weights of many models, and not used here.
    missing = sorted(key for key in info["missing_keys"] if not key.endswith("masked_spec_embed"))
    if missing:
        raise ValueError(
            f"{name_or_path} has no weights for {missing[:3]}{' and others' if missing[3:] else ''} of "
            f"{type(model).__name__}, which would be random. A pre-trained model must be fine-tuned before it can "
            "recognise speech: training_scripts/finetune_ctc.py"
        )
    feature_extractor = _open(AutoFeatureExtractor, name_or_path, "feature extractor")
    inputs = make_input_maker(feature_extractor, model.config, name_or_path)
    return LoadedModel(_to_device(model, device), feature_extractor, inputs)


def _open(auto_class: Any, name_or_path: str, what: str, **options) -> Any:
    try:
        return auto_class.from_pretrained(name_or_path, **options)
    except _REFUSALS as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"cannot open the {what} of {name_or_path!r}: {reason}") from error


def _to_device(model: PreTrainedModel, device: str) -> PreTrainedModel:
    try:
        model.to(device=torch.device(device))  # type: ignore[call-arg]
        return model.eval()
    except torch.OutOfMemoryError as error:
        raise ValueError(f"the model does not fit into {device}: {str(error).splitlines()[0]}") from error


def probe_frames(loaded: LoadedModel) -> torch.Tensor:
    """Noise of a few frames, `(1, num_steps, *step_shape)`, to see a model's shapes before any file is read."""
    generator = torch.Generator().manual_seed(0)
    num_steps = loaded.inputs.geometry.num_steps(_NUM_PROBE_FRAMES)
    noise = torch.randn(1, num_steps, *loaded.inputs.step_shape, generator=generator)
    return noise.to(loaded.model.device, loaded.model.dtype)


def check_frames(output: torch.Tensor, model: PreTrainedModel) -> None:
    """Raises `ValueError` if the output of `probe_frames`, `(1, num_frames, ...)`, has another number of frames."""
    if output.shape[1] != _NUM_PROBE_FRAMES:
        raise ValueError(
            f"{type(model).__name__} changes the frame rate behind its convolutions ({output.shape[1]} frames "
            f"where {_NUM_PROBE_FRAMES} were expected), which windows cannot follow"
        )


_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
DTYPE_NAMES = tuple(_DTYPES)
