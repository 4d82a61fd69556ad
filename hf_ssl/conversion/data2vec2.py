# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""fairseq's data2vec 2.0 (`data2vec_multi`) -> our classes: configuration and names of weights."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError

from ..models.configuration_data2vec2 import Data2Vec2AudioConfig
from .fairseq_checkpoint import parse_conv_spec

_BLOCK_NAMES = {
    "norm1": "attention_layer_norm",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.out_proj",
    "norm2": "mlp_layer_norm",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_BLOCK_PATTERN = "|".join(re.escape(name) for name in _BLOCK_NAMES)
_AUDIO = r"modality_encoders\.AUDIO\."
# (pattern of the original's name, our name relative to the base model); the first match wins
_AUDIO_RULES: list[tuple[str, str]] = [
    (_AUDIO + r"alibi_scale", "context_encoder.attention_bias.scale"),
    (_AUDIO + r"local_encoder\.conv_layers\.(\d+)\.0\.(weight|bias)", r"local_encoder.conv_layers.\1.conv.\2"),
    (
        _AUDIO + r"local_encoder\.conv_layers\.(\d+)\.2\.1\.(weight|bias)",
        r"local_encoder.conv_layers.\1.layer_norm.\2",
    ),
    (_AUDIO + r"local_encoder\.conv_layers\.(\d+)\.2\.(weight|bias)", r"local_encoder.conv_layers.\1.group_norm.\2"),
    (_AUDIO + r"project_features\.1\.(weight|bias)", r"local_encoder.layer_norm.\1"),
    (_AUDIO + r"project_features\.2\.(weight|bias)", r"local_encoder.projection.\1"),
    (_AUDIO + r"relative_positional_encoder\.0\.(weight|bias)", r"context_encoder.position_encoder.layer_norm.\1"),
    (_AUDIO + r"context_encoder\.norm\.(weight|bias)", r"context_encoder.layer_norm.\1"),
    (r"norm\.(weight|bias)", r"trunk.layer_norm.\1"),
]
# Options of the original that we do not have, with the value at which they do nothing.
_UNSUPPORTED_MODEL_OPTIONS = {"shared_decoder": None, "recon_loss": 0, "cls_loss": 0, "d2v_loss": 1, "skip_ema": False}
_UNSUPPORTED_AUDIO_OPTIONS = {
    "num_extra_tokens": 0,
    "mask_prob_min": None,
    "keep_masked_pct": 0,
    "remove_masks": False,
    "mask_channel_prob": 0.0,
    "learned_alibi": False,
}
_EXTRACTOR_MODES = {"layer_norm": "layer", "default": "group"}
_UNSUPPORTED_DECODER_OPTIONS = {"add_positions_masked": False, "add_positions_all": False}


def audio_config(config: Mapping[str, Any]) -> Data2Vec2AudioConfig:
    """Configuration of a data2vec 2.0 audio model from the checkpoint's `cfg`.

    Raises:
        ValueError: An option is missing, cannot work, or is set and has no counterpart here; all of the latter are
            listed.
    """
    model = section(config, "model")
    audio = section(section(model, "modalities"), "audio")
    decoder = section(audio, "decoder")
    _refuse_unsupported(model, audio, decoder)
    try:
        return _build_config(model, audio, decoder)
    except (StrictDataclassError, TypeError, OverflowError) as error:
        raise ValueError(f"The checkpoint's options make no model: {error}") from error


class Options(dict[str, Any]):
    """A section of the checkpoint's configuration, which names an option that it does not have."""

    def __missing__(self, name: str) -> Any:
        raise ValueError(f"The checkpoint's configuration lacks the option {name!r}.")


def section(options: Mapping[str, Any], name: str) -> Options:
    """A named part of a configuration; a `ValueError` if there is none."""
    found = options.get(name)
    if not isinstance(found, Mapping):
        raise ValueError(f"The checkpoint's configuration has no section {name!r}, but {found!r} in its place.")
    return Options(found)


def _build_config(model: Options, audio: Options, decoder: Options) -> Data2Vec2AudioConfig:
    conv_layers = parse_conv_spec(audio["feature_encoder_spec"])
    return Data2Vec2AudioConfig(
        hidden_size=model["embed_dim"],
        num_hidden_layers=model["depth"],
        num_prenet_layers=audio["prenet_depth"],
        num_attention_heads=model["num_heads"],
        intermediate_size=int(model["embed_dim"] * model["mlp_ratio"]),
        hidden_dropout=_single_dropout(model),
        attention_dropout=model["attention_dropout"],
        activation_dropout=model["activation_dropout"],
        input_dropout=model["dropout_input"],
        prenet_dropout=audio["prenet_dropout"],
        layerdrop=model["layerdrop"],
        prenet_layerdrop=audio["prenet_layerdrop"],
        drop_path_rates=(model["start_drop_path_rate"], model["end_drop_path_rate"]),
        prenet_drop_path_rates=(audio["start_drop_path_rate"], audio["end_drop_path_rate"]),
        layer_norm_eps=model["norm_eps"],
        layer_norm_affine=model["norm_affine"],
        layer_norm_first=model["layer_norm_first"],
        pre_norm_drops_residual=model["layer_norm_first"],
        conv_dim=tuple(layer[0] for layer in conv_layers),
        conv_kernel=tuple(layer[1] for layer in conv_layers),
        conv_stride=tuple(layer[2] for layer in conv_layers),
        feat_extract_norm=_EXTRACTOR_MODES.get(audio["extractor_mode"], audio["extractor_mode"]),
        local_grad_scale=audio["local_grad_mult"],
        num_conv_pos_embeddings=audio["conv_pos_depth"],
        conv_pos_kernel_size=max(3, audio["conv_pos_width"] // audio["conv_pos_depth"]),
        num_conv_pos_embedding_groups=audio["conv_pos_groups"],
        conv_pos_layer_norm_first=audio["conv_pos_pre_ln"],
        use_alibi=audio["use_alibi_encoder"],
        alibi_scale=audio["alibi_scale"],
        learn_alibi_scale=audio["learned_alibi_scale"],
        alibi_scale_per_head=audio["learned_alibi_scale_per_head"],
        alibi_scale_per_layer=audio["learned_alibi_scale_per_layer"],
        num_masks=model["clone_batch"],
        mask_prob=audio["mask_prob"],
        mask_prob_adjust=audio["mask_prob_adjust"],
        mask_length=audio["mask_length"],
        mask_dropout=audio["mask_dropout"],
        inverse_mask=audio["inverse_mask"],
        mask_noise_std=audio["mask_noise_std"],
        encoder_zero_mask=audio["encoder_zero_mask"],
        decoder_hidden_size=decoder["decoder_dim"],
        decoder_num_layers=decoder["decoder_layers"],
        decoder_kernel_size=decoder["decoder_kernel"],
        decoder_groups=decoder["decoder_groups"],
        decoder_residual=decoder["decoder_residual"],
        decoder_num_projections=decoder["projection_layers"],
        decoder_projection_ratio=decoder["projection_ratio"],
        decoder_input_dropout=decoder["input_dropout"],
        average_top_k_layers=model["average_top_k_layers"],
        target_source="block" if model["end_of_block_targets"] else "ffn",
        target_layer_norms=tuple(
            norm for norm in ("batch", "instance", "layer") if model[f"{norm}_norm_target_layer"]
        ),
        target_norms=tuple(norm for norm in ("layer", "instance") if model[f"{norm}_norm_targets"]),
        norm_targets_over_padding=True,
        convolve_padding=True,
        loss_beta=model["loss_beta"],
        loss_scale=model["loss_scale"],
        ema_decay=model["ema_decay"],
        ema_end_decay=model["ema_end_decay"],
        ema_anneal_end_step=model["ema_anneal_end_step"],
        teacher_scope=_teacher_scope(model, audio),
    )


def audio_weight_name(name: str) -> str | None:
    """Our name, relative to the base model, of a student's or teacher's weight; `None` if it is not known."""
    for pattern, replacement in _AUDIO_RULES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    match = re.fullmatch(rf"({_AUDIO}context_encoder\.)?blocks\.(\d+)\.({_BLOCK_PATTERN})\.(weight|bias)", name)
    if match:
        stage = "context_encoder" if match[1] else "trunk"
        return f"{stage}.layers.{match[2]}.{_BLOCK_NAMES[match[3]]}.{match[4]}"
    # positions are numbered from 1, behind a transposition; with a leading layer norm they are nested one deeper
    match = re.fullmatch(rf"{_AUDIO}relative_positional_encoder\.(?:1\.)?(\d+)\.0\.(weight|bias)", name)
    if match:
        return f"context_encoder.position_encoder.layers.{int(match[1]) - 1}.conv.{match[2]}"
    return None


def decoder_weight_name(name: str) -> str | None:
    """Our name of a weight of the audio decoder; `None` if it is not one."""
    match = re.fullmatch(_AUDIO + r"decoder\.blocks\.(\d+)\.0\.(weight|bias)", name)
    if match:
        return f"decoder.layers.{match[1]}.conv.{match[2]}"
    match = re.fullmatch(_AUDIO + r"decoder\.proj\.(?:(\d+)\.)?(weight|bias)", name)
    if match:  # several projections alternate with activations
        return f"decoder.projections.{int(match[1] or 0) // 2}.{match[2]}"
    return None


def convert_audio_weights(
    student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor] | None, scope: str
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Renames the weights of a pre-training checkpoint.

    Returns:
        Weights of [`~hf_ssl.Data2Vec2AudioForPreTraining`] and the names that are not known.
    """
    converted: dict[str, torch.Tensor] = {}
    unknown: list[str] = []
    for name, tensor in student.items():
        ours = audio_weight_name(name)
        target = f"data2vec2_audio.{ours}" if ours else decoder_weight_name(name)
        _store(converted, unknown, name, target, tensor)
    for name, tensor in (teacher or {}).items():
        ours = audio_weight_name(f"blocks.{name}" if scope == "trunk" else name)
        _store(converted, unknown, f"_ema.{name}", f"teacher.{ours}" if ours else None, tensor)
    if teacher is not None and scope == "trunk":
        # the original's teacher is the blocks alone; the norm behind them, if any, takes no part in the targets
        for name in [name for name in converted if name.startswith("data2vec2_audio.trunk.layer_norm.")]:
            converted[name.replace("data2vec2_audio", "teacher")] = converted[name].clone()
    return converted, unknown


def _store(
    converted: dict[str, torch.Tensor], unknown: list[str], name: str, target: str | None, tensor: torch.Tensor
) -> None:
    if target is None:
        unknown.append(name)
        return
    if target.endswith("attention_bias.scale") and tensor.dim() in (4, 5):
        # (layers, 1, heads, 1, 1), and without the first dimension in the oldest checkpoints
        tensor = tensor.reshape(-1 if tensor.dim() == 5 else 1, tensor.shape[-3])
    # a copy: memory-mapped tensors of a file cannot be written over it, and shared storage cannot be saved
    converted[target] = tensor.clone()


def _single_dropout(model: Mapping[str, Any]) -> float:
    if model["encoder_dropout"] != model["post_mlp_drop"]:
        raise ValueError(
            f"The checkpoint has different dropouts after attention ({model['encoder_dropout']}) and after the "
            f"feed-forward network ({model['post_mlp_drop']}); we have one, `hidden_dropout`."
        )
    return model["encoder_dropout"]


def _teacher_scope(model: Mapping[str, Any], audio: Mapping[str, Any]) -> str:
    if model["ema_encoder_only"]:
        return "trunk"
    return "model" if audio["ema_local_encoder"] else "encoder"


def _refuse_unsupported(model: Mapping, audio: Mapping, decoder: Mapping) -> None:
    found = [
        f"{name} = {section.get(name)!r}"
        for section, options in (
            (model, _UNSUPPORTED_MODEL_OPTIONS),
            (audio, _UNSUPPORTED_AUDIO_OPTIONS),
            (decoder, _UNSUPPORTED_DECODER_OPTIONS),
        )
        for name, neutral in options.items()
        if section.get(name, neutral) != neutral
    ]
    if found:
        raise ValueError(f"The checkpoint uses options that have no counterpart here: {', '.join(found)}.")
