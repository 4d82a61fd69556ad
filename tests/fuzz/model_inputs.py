# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Strategies for what models read: valid at first, then with one fault or none."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from fuzz.properties import HAS_NAN
from hypothesis import strategies as st
from transformers import PreTrainedModel

Inputs = dict[str, Any]
Fault = Callable[[Inputs], Inputs]
FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
MASK_TYPES = (torch.long, torch.bool, torch.int32, torch.float32)


class Batch(NamedTuple):
    """Valid inputs.

    Attributes:
        inputs: The model's arguments, without masks of pre-training and labels.
        positions: Real positions (frames, tokens, patches) of each item.
        num_positions: Those of the padded batch.
    """

    inputs: Inputs
    positions: list[int]
    num_positions: int


def draw_noise(draw: st.DrawFn, shape: tuple[int, ...]) -> torch.Tensor:
    """Noise of some loudness, silence included, in some floating type."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([1.0, 1.0, 0.0, 1e-4, 100.0]))
    offset = draw(st.sampled_from([0.0, 0.0, 3.0]))
    return (torch.randn(shape, generator=generator) * scale + offset).to(draw(st.sampled_from(FLOATS)))


def draw_lengths(draw: st.DrawFn, shortest: int, longest: int) -> list[int]:
    """Of one to three items, often the very shortest."""
    length = st.sampled_from([shortest, shortest + 1]) | st.integers(shortest, longest)
    return draw(st.lists(length, min_size=1, max_size=3))


def draw_mask(draw: st.DrawFn, lengths: list[int], num_steps: int) -> torch.Tensor:
    is_real = torch.arange(num_steps) < torch.tensor(lengths).unsqueeze(-1)
    return is_real.to(draw(st.sampled_from(MASK_TYPES)))


def draw_padded(draw: st.DrawFn, shortest: int, longest: int) -> tuple[list[int], int, torch.Tensor | None]:
    """Real lengths, the padded one, and the attention mask; without a mask all steps are real."""
    lengths = draw_lengths(draw, shortest, longest)
    num_steps = max(lengths) + draw(st.sampled_from([0, 0, 1, longest // 3]))
    if draw(st.booleans()):
        return lengths, num_steps, draw_mask(draw, lengths, num_steps)
    return [num_steps] * len(lengths), num_steps, None


def tdnn_context(config: Any) -> int:
    pairs = zip(config.tdnn_kernel, config.tdnn_dilation, strict=True)
    return sum((kernel - 1) * dilation for kernel, dilation in pairs)


def draw_waveforms(draw: st.DrawFn, model: PreTrainedModel) -> Batch:
    config = model.config
    shortest = config.receptive_field
    if "XVector" in type(model).__name__:
        shortest += tdnn_context(config) * config.inputs_to_logits_ratio
    lengths, num_samples, attention_mask = draw_padded(draw, shortest, shortest + 2500)
    inputs: Inputs = {"input_values": draw_noise(draw, (len(lengths), num_samples))}
    if attention_mask is not None:
        inputs["attention_mask"] = attention_mask
    if "AqcForPreTraining" in type(model).__name__ and draw(st.booleans()):
        inputs["augmented_values"] = draw_noise(draw, (len(lengths), num_samples))
    return Batch(inputs, [config.num_frames(length) for length in lengths], config.num_frames(num_samples))


def draw_mel_frames(draw: st.DrawFn, model: PreTrainedModel) -> Batch:
    config = model.config
    shortest = config.stack_size
    if "XVector" in type(model).__name__:
        shortest *= tdnn_context(config) + 1
    lengths, num_mel_frames, attention_mask = draw_padded(draw, shortest, shortest + 40)
    inputs: Inputs = {"input_features": draw_noise(draw, (len(lengths), num_mel_frames, config.num_mel_bins))}
    if attention_mask is not None:
        inputs["attention_mask"] = attention_mask
    return Batch(inputs, [config.num_frames(length) for length in lengths], config.num_frames(num_mel_frames))


def draw_images(draw: st.DrawFn, model: PreTrainedModel) -> Batch:
    config = model.config
    batch_size = draw(st.integers(1, 3))
    inputs: Inputs = {}
    size = (config.image_size, config.image_size)
    if "Data2Vec2" in type(model).__name__ and "PreTraining" not in type(model).__name__ and draw(st.booleans()):
        size = (config.patch_size * draw(st.integers(1, 5)), config.patch_size * draw(st.integers(1, 5)))
        inputs["interpolate_pos_encoding"] = True
    inputs["pixel_values"] = draw_noise(draw, (batch_size, 3, *size))
    num_patches = size[0] * size[1] // config.patch_size**2
    return Batch(inputs, [num_patches] * batch_size, num_patches)


def draw_tokens(draw: st.DrawFn, model: PreTrainedModel) -> Batch:
    config = model.config
    lengths, num_tokens, attention_mask = draw_padded(draw, 1, 15)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    input_ids = torch.randint(
        config.pad_token_id + 1, config.vocab_size, (len(lengths), num_tokens), generator=generator
    )
    inputs: Inputs = {"input_ids": input_ids.to(draw(st.sampled_from([torch.long, torch.int32])))}
    if attention_mask is not None:
        is_real = torch.arange(num_tokens) < torch.tensor(lengths).unsqueeze(-1)
        inputs["input_ids"] = inputs["input_ids"].where(is_real, config.pad_token_id)
        inputs["attention_mask"] = attention_mask
    if "PreTraining" not in type(model).__name__ and draw(st.booleans()):  # padding on the left
        inputs = {name: tensor.flip(1) for name, tensor in inputs.items()}
    return Batch(inputs, lengths, num_tokens)


DRAWS: dict[str, Callable[[st.DrawFn, PreTrainedModel], Batch]] = {
    "input_values": draw_waveforms,
    "input_features": draw_mel_frames,
    "pixel_values": draw_images,
    "input_ids": draw_tokens,
}


# faults


def replaced(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Fault:
    return lambda inputs: inputs | {name: change(inputs[name])}


def with_value(tensor: torch.Tensor, value: float, at: int = -1) -> torch.Tensor:
    """One element changed: by default the last one of all."""
    tensor = tensor.clone(memory_format=torch.contiguous_format)
    tensor.view(-1)[at] = value
    return tensor


def masked_as(main: str, make: Callable[[int, int], torch.Tensor]) -> Fault:
    """Another attention mask, made of batch size and length."""
    return lambda inputs: inputs | {"attention_mask": make(*inputs[main].shape[:2])}


def left_padded(batch_size: int, length: int) -> torch.Tensor:
    mask = torch.ones(batch_size, length, dtype=torch.long)
    mask[0, 0] = 0
    return mask


def with_hole(batch_size: int, length: int) -> torch.Tensor:
    mask = torch.ones(batch_size, length, dtype=torch.long)
    mask[-1, length // 2] = 0
    return mask


def one_empty(batch_size: int, length: int) -> torch.Tensor:
    mask = torch.ones(batch_size, length, dtype=torch.long)
    mask[-1] = 0
    return mask


def additive(batch_size: int, length: int) -> torch.Tensor:
    """What attention adds to its scores: 0 at real steps and a very low number elsewhere."""
    mask = torch.zeros(batch_size, length)
    mask[-1, -1] = torch.finfo(torch.float32).min
    return mask


def attention_mask_faults(main: str) -> dict[str, Fault]:
    return {
        "no real step in a row": masked_as(main, one_empty),
        "mask of one length more": masked_as(main, lambda size, length: torch.ones(size, length + 1)),
        "mask of one item more": masked_as(main, lambda size, length: torch.ones(size + 1, length)),
        "mask of one dimension": masked_as(main, lambda size, length: torch.ones(length)),
        "mask of attention scores": masked_as(main, lambda size, length: torch.ones(size, 1, length, length)),
        "mask of twos": masked_as(main, lambda size, length: torch.full((size, length), 2)),
        "mask that is added": masked_as(main, additive),
        "complex mask": masked_as(main, lambda size, length: torch.ones(size, length, dtype=torch.complex64)),
    }


RIGHT_PADDING_FAULTS = {"left padding": left_padded, "hole in the mask": with_hole}


def without_masks(inputs: Inputs) -> Inputs:
    """Without what could hide a NaN."""
    return {name: value for name, value in inputs.items() if "mask" not in name and name != "labels"}


def floating_input_faults(main: str) -> dict[str, Fault]:
    return {
        "integers": replaced(main, lambda tensor: (tensor.float() * 100).to(torch.int16)),
        "bytes": replaced(main, lambda tensor: tensor.float().abs().to(torch.uint8)),
        "complex": replaced(main, lambda tensor: tensor.to(torch.complex64)),
        "one dimension less": replaced(main, lambda tensor: tensor[0]),
        "one dimension more": replaced(main, lambda tensor: tensor.unsqueeze(1)),
        "no items": replaced(main, lambda tensor: tensor[:0]),
        "no steps": replaced(main, lambda tensor: tensor[:, :0]),
        "a scalar": replaced(main, lambda tensor: tensor.float().mean()),
        HAS_NAN: lambda inputs: without_masks(inputs) | {main: with_value(inputs[main], torch.nan, at=0)},
    }


def without_mask(fault: Fault) -> Fault:
    def apply(inputs: Inputs) -> Inputs:
        return fault({name: value for name, value in inputs.items() if name != "attention_mask"})

    return apply


def waveform_faults(model: PreTrainedModel) -> dict[str, Fault]:
    shortest = model.config.receptive_field
    main = "input_values"
    faults = floating_input_faults(main) | attention_mask_faults(main)
    faults |= {name: masked_as(main, make) for name, make in RIGHT_PADDING_FAULTS.items()}
    for length in (1, shortest - 1):
        faults[f"{length} samples"] = without_mask(replaced(main, lambda tensor, length=length: tensor[:, :length]))

    def short(size: int, length: int) -> torch.Tensor:
        return (torch.arange(length) < shortest - 1).long().expand(size, -1)

    faults["a short utterance"] = masked_as(main, short)
    if "AqcForPreTraining" in type(model).__name__:
        faults["views of unequal length"] = lambda inputs: inputs | {"augmented_values": inputs[main][:, 1:]}
        faults["integers in a view"] = lambda inputs: inputs | {"augmented_values": inputs[main].int()}
    return faults


def mel_faults(model: PreTrainedModel) -> dict[str, Fault]:
    shortest = model.config.stack_size
    main = "input_features"
    faults = floating_input_faults(main) | attention_mask_faults(main)
    faults |= {name: masked_as(main, make) for name, make in RIGHT_PADDING_FAULTS.items()}
    faults["other mel bins"] = replaced(main, lambda tensor: tensor[..., :-1])
    for length in (1, shortest - 1):
        faults[f"{length} mel frames"] = without_mask(replaced(main, lambda tensor, length=length: tensor[:, :length]))
    return faults


def image_faults(model: PreTrainedModel) -> dict[str, Fault]:
    main, patch_size = "pixel_values", model.config.patch_size
    faults = floating_input_faults(main)
    faults["one channel"] = replaced(main, lambda tensor: tensor[:, :1])
    faults["four channels"] = replaced(main, lambda tensor: torch.cat([tensor, tensor[:, :1]], dim=1))
    faults["channels last"] = replaced(main, lambda tensor: tensor.permute(0, 2, 3, 1))
    faults["another size"] = lambda inputs: {main: torch.zeros(1, 3, 3 * patch_size, 5 * patch_size)}
    faults["a part of a patch"] = replaced(main, lambda tensor: tensor[..., :-1])
    faults["no pixels"] = replaced(main, lambda tensor: tensor[:, :, :0, :0])
    return faults


def token_faults(model: PreTrainedModel) -> dict[str, Fault]:
    config, main = model.config, "input_ids"
    limit = config.max_position_embeddings
    faults = attention_mask_faults(main) | {
        "token too large": replaced(main, lambda tensor: with_value(tensor, config.vocab_size)),
        "negative token": replaced(main, lambda tensor: with_value(tensor, -1)),
        "floats": replaced(main, lambda tensor: tensor.float()),
        "booleans": replaced(main, lambda tensor: tensor.bool()),
        "one dimension less": replaced(main, lambda tensor: tensor[0]),
        "one dimension more": replaced(main, lambda tensor: tensor.unsqueeze(1)),
        "no items": without_mask(replaced(main, lambda tensor: tensor[:0])),
        "no steps": without_mask(replaced(main, lambda tensor: tensor[:, :0])),
        "too long": without_mask(
            replaced(main, lambda tensor: tensor[:, :1].expand(-1, limit + config.pad_token_id + 2))
        ),
    }
    if "Data2Vec2" in type(model).__name__:  # the other takes for real what no mask says is not
        padding = replaced(main, lambda tensor: torch.full_like(tensor, config.pad_token_id))
        faults["nothing but padding"] = without_mask(padding)
    return faults


FAULTS: dict[str, Callable[[PreTrainedModel], dict[str, Fault]]] = {
    "input_values": waveform_faults,
    "input_features": mel_faults,
    "pixel_values": image_faults,
    "input_ids": token_faults,
}
