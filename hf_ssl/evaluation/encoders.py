# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Frozen encoders of speech, images and text, of any family with transformers' interface and from any package.

An encoder shows of every item the hidden states of all layers at what is really there: a clip's frames, an image's
patches, a text's tokens; never padding, classifier tokens or separators. Only items of the same length share a batch,
so that nothing depends on how a model treats padding.

```python
>>> encoder = load_frozen_encoder("facebook/wav2vec2-base")
>>> states = next(encoder.hidden_states([Clip("speech.wav", start=0.0, duration=2.0)]))
```
"""

import hashlib
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
    set_seed,
)

from ..devices import usable_device
from ..inference.windows import FrameGeometry
from ..models.feature_extraction_best_rq import BestRqFeatureExtractor
from .items import Clip, Item, LoadedClip, LoadedPicture, Picture, Text, TokenBlock

Modality = Literal["speech", "images", "text"]

# Weights that hidden states do not depend on, and that many checkpoints therefore lack.
_UNUSED_WEIGHTS = ("masked_spec_embed", "mask_token", "pooler")


class Representation(NamedTuple):
    """What probes are given of one item.

    Attributes:
        frames: `(num_layers + 1, num_frames, feature_size)`, float16. Each frame is normalised over its channels, so
            that no layer outweighs another in a weighted sum. Index 0 is what enters the first layer.
        statistics: `(num_layers + 1, statistics_size)`, float32, without that normalisation: mean and standard
            deviation over the frames of a clip, mean over the patches of an image or the tokens of a text.
    """

    frames: torch.Tensor
    statistics: torch.Tensor


class Representer(Protocol):
    """Whatever represents items: an encoder, or a baseline without a network."""

    def represent(self, items: Sequence[Any]) -> Iterator[Representation]:
        """One representation per item, in their order."""


class ModelInputs(NamedTuple):
    """`tensors`: what the model is called with, a batch of one; `real`: selects what is there of the positions."""

    tensors: dict[str, torch.Tensor]
    real: slice | torch.Tensor


class FrozenEncoder(ABC):
    """A model in evaluation mode with what prepares its input.

    Args:
        model: An encoder, or a model with one (`get_encoder()`, as Whisper's). It is put into evaluation mode.
        processor: Its feature extractor, image processor or tokenizer.
        batch_size: Items that are read at once; of these, those of the same length share a batch.

    Raises:
        ValueError: The batches would be empty.
    """

    modality: Modality

    def __init__(self, model: PreTrainedModel, processor: Any, *, batch_size: int = 8) -> None:
        if batch_size < 1:
            raise ValueError(f"Expected --batch_size of at least 1, got {batch_size}.")
        self.model = (model.get_encoder() if model.config.is_encoder_decoder else model).eval()
        self.processor = processor
        self.batch_size = batch_size

    @abstractmethod
    def prepare(self, item: Any) -> ModelInputs:
        """Reads an item.

        Raises:
            ValueError: It cannot be read, or is too short or too long for the model.
        """

    @abstractmethod
    def statistics(self, states: torch.Tensor) -> torch.Tensor:
        """`(num_layers + 1, num_frames, hidden_size)` -> `(num_layers + 1, statistics_size)`."""

    def hidden_states(self, items: Sequence[Item]) -> Iterator[torch.Tensor]:
        """Hidden states of all layers of every item, `(num_layers + 1, num_frames, hidden_size)`, float32, on the CPU.

        Raises:
            ValueError: An item cannot be used, or the model has no hidden states of this shape.
        """
        for start in range(0, len(items), self.batch_size):
            prepared = [self.prepare(item) for item in items[start : start + self.batch_size]]
            states: dict[int, torch.Tensor] = {}
            for rows in _rows_by_shape(prepared):
                of_rows = self._forward([prepared[row].tensors for row in rows])
                states |= {row: of_rows[:, position] for position, row in enumerate(rows)}
            for row, inputs in enumerate(prepared):
                yield states[row][:, inputs.real]

    def represent(self, items: Sequence[Item]) -> Iterator[Representation]:
        """One representation per item, see [`FrozenEncoder.hidden_states`]."""
        for states in self.hidden_states(items):
            yield Representation(normalize_frames(states), self.statistics(states))

    def fingerprint(self) -> str:
        """Changes with the weights, the model's configuration and that of its processor."""
        digest = hashlib.sha256(f"{type(self.model).__name__} {self.model.config.to_json_string()}".encode())
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        with tempfile.TemporaryDirectory() as folder:
            self.processor.save_pretrained(folder)
            for file in sorted(Path(folder).iterdir()):
                digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()

    # Not `inference_mode`: a model that is being trained must not keep tensors that no gradient may flow through.
    @torch.no_grad()
    def _forward(self, batch: list[dict[str, torch.Tensor]]) -> torch.Tensor:
        """`(num_layers + 1, batch_size, sequence_length, hidden_size)`."""
        inputs = {name: torch.cat([tensors[name] for tensors in batch]).to(self.model.device) for name in batch[0]}
        layers = self.model(**inputs, output_hidden_states=True).get("hidden_states")
        name = type(self.model).__name__
        if not layers:
            raise ValueError(f"{name} gives no hidden states: expected an encoder with `output_hidden_states`.")
        shapes = [tuple(layer.shape) for layer in layers]
        if len(set(shapes)) > 1 or len(shapes[0]) != 3:
            raise ValueError(f"Expected layers of the same (batch, length, size), got {shapes} from {name}.")
        return torch.stack(layers).float().cpu()


class SpeechEncoder(FrozenEncoder):
    """Reads clips. Of an input that the feature extractor fills up to a fixed length (Whisper's 30 s), the frames of
    the filling are cut off."""

    modality: Modality = "speech"

    def prepare(self, item: Clip | LoadedClip) -> ModelInputs:
        extractor = self.processor
        waveform = item.read(extractor.sampling_rate)
        if not isinstance(extractor, WhisperFeatureExtractor):
            inputs = extractor(waveform, sampling_rate=extractor.sampling_rate, return_tensors="pt")
            self._count_frames(item, len(waveform), inputs[self.model.main_input_name].shape[1])
            return ModelInputs(dict(inputs), slice(None))
        if len(waveform) > extractor.n_samples:
            raise ValueError(
                f"{item.name} has {len(waveform) / extractor.sampling_rate:.1f} s, but {type(self.model).__name__} "
                f"reads {extractor.chunk_length} s at most: leave longer clips out (--max_seconds "
                f"{extractor.chunk_length}), or cut them into shorter ones."
            )
        inputs = extractor(
            waveform, sampling_rate=extractor.sampling_rate, return_tensors="pt", return_attention_mask=True
        )
        num_frames = self._count_frames(item, len(waveform), int(inputs["attention_mask"].sum()))
        return ModelInputs({"input_features": inputs["input_features"]}, slice(num_frames))

    def _count_frames(self, item: Clip | LoadedClip, num_samples: int, num_steps: int) -> int:
        num_frames = int(self.model._get_feat_extract_output_lengths(torch.tensor([num_steps])))  # type: ignore[operator]
        if num_frames < 1:
            raise ValueError(
                f"{item.name} has {num_samples} samples, too few for one frame of {type(self.model).__name__}: leave "
                "shorter clips out (--min_seconds)."
            )
        return num_frames

    def statistics(self, states: torch.Tensor) -> torch.Tensor:
        return torch.cat([states.mean(1), states.std(1, correction=0)], dim=-1)

    def frame_times(self, num_frames: int, seconds: float) -> np.ndarray:
        """When the centres of a clip's frames are, in seconds from its beginning, `(num_frames,)`.

        Args:
            num_frames: Frames of the clip.
            seconds: Its length.

        Raises:
            ValueError: It cannot be known of this model.
        """
        extractor, config = self.processor, self.model.config
        frames = np.arange(num_frames)
        if isinstance(extractor, WhisperFeatureExtractor):
            # Mel frames are around multiples of the hop, and the second convolution keeps every n-th.
            stride = extractor.nb_max_frames // config.max_source_positions
            steps = frames * stride * extractor.hop_length
        elif isinstance(extractor, BestRqFeatureExtractor):
            num_mel_frames = extractor.num_mel_frames(round(seconds * extractor.sampling_rate))
            before = -num_mel_frames % config.stack_size if config.pad_start else 0
            steps = (frames * config.stack_size - before + (config.stack_size - 1) / 2) * extractor.hop_length
        else:
            geometry = FrameGeometry.of(config)
            steps = frames * geometry.stride + geometry.receptive_field / 2
        return steps / extractor.sampling_rate


class ImageEncoder(FrozenEncoder):
    """Reads images; tokens that stand before the patches (classifier, distillation, registers) are left out."""

    modality: Modality = "images"

    def prepare(self, item: Picture | LoadedPicture) -> ModelInputs:
        pixel_values = self.processor(item.read(), return_tensors="pt")["pixel_values"]
        patch_size = self.model.config.to_dict().get("patch_size")
        if patch_size is None:
            raise ValueError(
                f"Expected an image transformer with `patch_size` (such as ViT), got {type(self.model).__name__}."
            )
        height, width = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
        num_patches = (pixel_values.shape[-2] // height) * (pixel_values.shape[-1] // width)
        return ModelInputs({"pixel_values": pixel_values}, slice(-num_patches, None))

    def statistics(self, states: torch.Tensor) -> torch.Tensor:
        return states.mean(1)


class TextEncoder(FrozenEncoder):
    """Reads texts; longer ones than the tokenizer says the model can read are cut. Special tokens are left out."""

    modality: Modality = "text"

    def prepare(self, item: Text | TokenBlock) -> ModelInputs:
        if isinstance(item, TokenBlock):
            return self._prepare_block(item)
        encoded = self.processor(item.text, truncation=True, return_special_tokens_mask=True, return_tensors="pt")
        is_real = encoded.pop("special_tokens_mask")[0] == 0
        if not is_real.any():
            raise ValueError(f"The tokenizer finds no token in the text {item.name}: leave it out.")
        return ModelInputs(dict(encoded), is_real)

    def _prepare_block(self, block: TokenBlock) -> ModelInputs:
        tokenizer, input_ids = self.processor, torch.tensor([block.input_ids])
        marks = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id}
        is_real = ~torch.isin(input_ids[0], torch.tensor(sorted(marks - {None})))
        if not is_real.any():
            raise ValueError(f"Expected tokens of a text, got only marks of beginning and end in {block.name}.")
        return ModelInputs({"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}, is_real)

    def statistics(self, states: torch.Tensor) -> torch.Tensor:
        return states.mean(1)


def load_frozen_encoder(
    name_or_path: str, *, untrained_seed: int | None = None, batch_size: int = 8, device: str | None = None
) -> FrozenEncoder:
    """Opens the encoder of a folder or a model on the Hub, whatever head it was saved with, in float32.

    Args:
        name_or_path: Folder, or name on the Hub.
        untrained_seed: Of random weights, instead of those that were learned: the untrained twin.
        batch_size: Items that are read at once.
        device: Such as `"cuda:0"`; a GPU if there is one.

    Raises:
        ValueError: It cannot be opened, lacks weights, or reads neither speech nor images nor texts; or there is no
            such device.
    """
    device = usable_device(device)
    try:
        model = _load_model(name_or_path, untrained_seed)
    except (OSError, KeyError) as error:
        raise ValueError(f"Cannot open the model {name_or_path!r}: {str(error).splitlines()[0]}") from error
    model.to(torch.device(device))  # type: ignore[arg-type]
    return wrap_encoder(model, _load_processor(model, name_or_path), batch_size=batch_size)


def wrap_encoder(model: PreTrainedModel, processor: Any, *, batch_size: int = 8) -> FrozenEncoder:
    """The encoder of what the model reads.

    Raises:
        ValueError: It reads neither speech nor images nor texts.
    """
    match model.main_input_name:
        case "input_values" | "input_features":
            return SpeechEncoder(model, processor, batch_size=batch_size)
        case "pixel_values":
            return ImageEncoder(model, processor, batch_size=batch_size)
        case "input_ids":
            return TextEncoder(model, processor, batch_size=batch_size)
    raise ValueError(
        f"Expected a model of waveforms, log-mel features, images or texts, got a {type(model).__name__} of "
        f"{model.main_input_name!r}."
    )


def normalize_frames(states: torch.Tensor) -> torch.Tensor:
    """Every frame normalised over its channels (last dimension), float16."""
    return F.layer_norm(states.float(), states.shape[-1:]).half()


def _load_model(name_or_path: str, untrained_seed: int | None) -> PreTrainedModel:
    if untrained_seed is not None:
        set_seed(untrained_seed)
        return AutoModel.from_config(AutoConfig.from_pretrained(name_or_path), dtype=torch.float32)
    model, info = AutoModel.from_pretrained(name_or_path, dtype=torch.float32, output_loading_info=True)
    missing = sorted(key for key in info["missing_keys"] if not any(part in key for part in _UNUSED_WEIGHTS))
    if missing:
        raise ValueError(
            f"{name_or_path} has no weights for {', '.join(missing[:3])}{' and others' if missing[3:] else ''} of "
            f"{type(model).__name__}: its features would be random."
        )
    return model


def _load_processor(model: PreTrainedModel, name_or_path: str) -> Any:
    match model.main_input_name:
        case "pixel_values":
            return AutoImageProcessor.from_pretrained(name_or_path)
        case "input_ids":
            tokenizer = AutoTokenizer.from_pretrained(name_or_path)
            longest = model.config.to_dict().get("max_position_embeddings", tokenizer.model_max_length)
            # RoBERTa's positions begin behind the padding's number, so that two of them are no tokens.
            tokenizer.model_max_length = min(tokenizer.model_max_length, longest - 2)
            return tokenizer
        case "input_values" | "input_features":
            extractor = AutoFeatureExtractor.from_pretrained(name_or_path)
            _check_extractor(extractor, name_or_path)
            return extractor
    return None  # no modality of ours, which `wrap_encoder` says


def _check_extractor(extractor: object, name_or_path: str) -> None:
    if not isinstance(extractor, Wav2Vec2FeatureExtractor | BestRqFeatureExtractor | WhisperFeatureExtractor):
        raise ValueError(
            "Expected a Wav2Vec2FeatureExtractor, a BestRqFeatureExtractor or a WhisperFeatureExtractor in "
            f"{name_or_path!r}, got a {type(extractor).__name__}."
        )


def _rows_by_shape(prepared: Sequence[ModelInputs]) -> list[list[int]]:
    rows: dict[tuple, list[int]] = {}
    for row, inputs in enumerate(prepared):
        rows.setdefault(tuple(tensor.shape for tensor in inputs.tensors.values()), []).append(row)
    return list(rows.values())
