# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints in the original's layout with random weights, and what they must become."""

import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

AUDIO = "modality_encoders.AUDIO"
HIDDEN, HEADS, CHANNELS, DECODER = 16, 2, 8, 8

DECODER_OPTIONS = {
    "input_dropout": 0.1,
    "decoder_dim": DECODER,
    "decoder_groups": 2,
    "decoder_kernel": 3,
    "decoder_layers": 2,
    "decoder_residual": True,
    "projection_layers": 1,
    "projection_ratio": 2.0,
    "add_positions_masked": False,
    "add_positions_all": False,
}
AUDIO_OPTIONS = {
    "type": "AUDIO",
    "prenet_depth": 1,
    "prenet_layerdrop": 0.05,
    "prenet_dropout": 0.1,
    "start_drop_path_rate": 0.0,
    "end_drop_path_rate": 0.0,
    "num_extra_tokens": 0,
    "mask_noise_std": 0.01,
    "mask_prob_min": None,
    "mask_prob": 0.5,
    "mask_prob_adjust": 0.05,
    "inverse_mask": False,
    "keep_masked_pct": 0,
    "mask_length": 5,
    "mask_dropout": 0.0,
    "remove_masks": False,
    "mask_channel_prob": 0.0,
    "encoder_zero_mask": True,
    "ema_local_encoder": False,
    "local_grad_mult": 1.0,
    "use_alibi_encoder": True,
    "alibi_scale": 1.0,
    "learned_alibi": False,
    "learned_alibi_scale": True,
    "learned_alibi_scale_per_head": True,
    "learned_alibi_scale_per_layer": False,
    "extractor_mode": "layer_norm",
    "feature_encoder_spec": f"[({CHANNELS}, 8, 4)] + [({CHANNELS}, 4, 2)] * 2",
    "conv_pos_width": 6,
    "conv_pos_groups": 2,
    "conv_pos_depth": 2,
    "conv_pos_pre_ln": False,
}
MODEL_OPTIONS = {
    "_name": "data2vec_multi",
    "supported_modality": "AUDIO",
    "loss_beta": 0.0,
    "loss_scale": None,
    "depth": 2,
    "start_drop_path_rate": 0.0,
    "end_drop_path_rate": 0.1,
    "num_heads": HEADS,
    "norm_eps": 1e-5,
    "norm_affine": True,
    "encoder_dropout": 0.1,
    "post_mlp_drop": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.0,
    "dropout_input": 0.0,
    "layerdrop": 0.05,
    "embed_dim": HIDDEN,
    "mlp_ratio": 2.0,
    "layer_norm_first": False,
    "average_top_k_layers": 2,
    "end_of_block_targets": False,
    "clone_batch": 3,
    "layer_norm_target_layer": False,
    "batch_norm_target_layer": False,
    "instance_norm_target_layer": True,
    "layer_norm_targets": False,
    "instance_norm_targets": False,
    "ema_decay": 0.999,
    "ema_end_decay": 0.99999,
    "ema_anneal_end_step": 75000,
    "ema_encoder_only": False,
    "shared_decoder": None,
    "recon_loss": 0,
    "cls_loss": 0,
    "d2v_loss": 1,
    "skip_ema": False,
}


def make_options(
    model: dict[str, Any] | None = None, audio: dict[str, Any] | None = None, decoder: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The `cfg` of a checkpoint, with some options changed."""
    audio_options = AUDIO_OPTIONS | {"decoder": DECODER_OPTIONS | (decoder or {})} | (audio or {})
    return {
        "model": MODEL_OPTIONS | {"modalities": {"audio": audio_options}} | (model or {}),
        "task": {"_name": "audio_pretraining", "normalize": True},
    }


Names = dict[str, tuple[str, tuple[int, ...]]]  # the original's name -> ours, below the base model, and shape


def pair(original: str, ours: str, weight: tuple[int, ...]) -> Names:
    return {
        f"{original}.weight": (f"{ours}.weight", weight),
        f"{original}.bias": (f"{ours}.bias", weight[:1]),
    }


def block(original: str, ours: str) -> Names:
    return (
        pair(f"{original}.norm1", f"{ours}.attention_layer_norm", (HIDDEN,))
        | pair(f"{original}.attn.qkv", f"{ours}.attention.qkv", (3 * HIDDEN, HIDDEN))
        | pair(f"{original}.attn.proj", f"{ours}.attention.out_proj", (HIDDEN, HIDDEN))
        | pair(f"{original}.norm2", f"{ours}.mlp_layer_norm", (HIDDEN,))
        | pair(f"{original}.mlp.fc1", f"{ours}.mlp.fc1", (2 * HIDDEN, HIDDEN))
        | pair(f"{original}.mlp.fc2", f"{ours}.mlp.fc2", (HIDDEN, 2 * HIDDEN))
    )


def local_encoder_names(audio: dict[str, Any]) -> Names:
    names: Names = {}
    for layer, kernel in enumerate((8, 4, 4)):
        original, ours = f"{AUDIO}.local_encoder.conv_layers.{layer}", f"local_encoder.conv_layers.{layer}"
        names[f"{original}.0.weight"] = (f"{ours}.conv.weight", (CHANNELS, CHANNELS if layer else 1, kernel))
        if audio["extractor_mode"] == "layer_norm":
            names |= pair(f"{original}.2.1", f"{ours}.layer_norm", (CHANNELS,))
        elif layer == 0:
            names |= pair(f"{original}.2", f"{ours}.group_norm", (CHANNELS,))
    names |= pair(f"{AUDIO}.project_features.1", "local_encoder.layer_norm", (CHANNELS,))
    return names | pair(f"{AUDIO}.project_features.2", "local_encoder.projection", (HIDDEN, CHANNELS))


def context_encoder_names(model: dict[str, Any]) -> Names:
    audio = model["modalities"]["audio"]
    num_layers = audio["prenet_depth"] + model["depth"]
    names: Names = {}
    nested = "1." if audio["conv_pos_pre_ln"] else ""
    positions = f"{AUDIO}.relative_positional_encoder"
    for layer in range(audio["conv_pos_depth"]):
        ours = f"context_encoder.position_encoder.layers.{layer}.conv"
        names |= pair(f"{positions}.{nested}{layer + 1}.0", ours, (HIDDEN, HIDDEN // 2, 3))
    if nested:
        names |= pair(f"{positions}.0", "context_encoder.position_encoder.layer_norm", (HIDDEN,))
    if audio["use_alibi_encoder"]:
        layers = num_layers if audio["learned_alibi_scale_per_layer"] else 1
        heads = HEADS if audio["learned_alibi_scale_per_head"] else 1
        names[f"{AUDIO}.alibi_scale"] = ("context_encoder.attention_bias.scale", (layers, 1, heads, 1, 1))
    for layer in range(audio["prenet_depth"]):
        names |= block(f"{AUDIO}.context_encoder.blocks.{layer}", f"context_encoder.layers.{layer}")
    if model["layer_norm_first"]:  # then only the trunk has a norm, behind it
        return names
    return names | pair(f"{AUDIO}.context_encoder.norm", "context_encoder.layer_norm", (HIDDEN,))


def trunk_names(model: dict[str, Any]) -> Names:
    names: Names = {}
    for layer in range(model["depth"]):
        names |= block(f"blocks.{layer}", f"trunk.layers.{layer}")
    return names | (pair("norm", "trunk.layer_norm", (HIDDEN,)) if model["layer_norm_first"] else {})


def decoder_names(decoder: dict[str, Any]) -> Names:
    original, names = f"{AUDIO}.decoder", {}
    for layer in range(decoder["decoder_layers"]):
        shape = (DECODER, (DECODER if layer else HIDDEN) // 2, 3)
        names |= pair(f"{original}.blocks.{layer}.0", f"decoder.layers.{layer}.conv", shape)
    if decoder["projection_layers"] == 1:
        return names | pair(f"{original}.proj", "decoder.projections.0", (HIDDEN, DECODER))
    wide = int(DECODER * decoder["projection_ratio"])
    sizes = [DECODER] + [wide] * (decoder["projection_layers"] - 1) + [HIDDEN]
    for layer in range(decoder["projection_layers"]):
        shape = (sizes[layer + 1], sizes[layer])
        names |= pair(f"{original}.proj.{2 * layer}", f"decoder.projections.{layer}", shape)
    return names


class Original:
    """A checkpoint in the original's layout with random weights, and what it must become."""

    def __init__(self, **overrides: dict[str, Any]) -> None:
        self.options = make_options(**overrides)
        model = self.options["model"]
        audio = model["modalities"]["audio"]
        trunk = trunk_names(model)
        context = context_encoder_names(model)
        student = local_encoder_names(audio) | context | trunk
        if model["ema_encoder_only"]:  # its teacher has the blocks alone, without their prefix
            blocks = {name: entry for name, entry in trunk.items() if name.startswith("blocks.")}
            teacher = {name.removeprefix("blocks."): entry for name, entry in blocks.items()}
        else:
            teacher = (local_encoder_names(audio) if audio["ema_local_encoder"] else {}) | context | trunk
        self.expected: dict[str, torch.Tensor] = {}
        generator = torch.Generator().manual_seed(0)
        self.student = self._draw(student, "data2vec2_audio.", generator)
        self.student |= self._draw(decoder_names(audio["decoder"]), "", generator)
        self.teacher = self._draw(teacher, "teacher.", generator)

    def _draw(self, names: Names, prefix: str, generator: torch.Generator) -> OrderedDict[str, torch.Tensor]:
        weights = OrderedDict()
        for original, (ours, shape) in names.items():
            weights[original] = torch.randn(shape, generator=generator)
            self.expected[prefix + ours] = weights[original]
        return weights

    def state(self) -> dict[str, Any]:
        model = OrderedDict(self.student)
        if self.teacher is not None:
            model["_ema"] = self.teacher
        return {
            "args": None,
            "cfg": self.options,
            "model": model,
            "criterion": OrderedDict(),
            "optimizer_history": [{"optimizer_name": "CompositeOptimizer", "num_updates": 1234}],
            "task_state": {},
            "extra_state": {"epoch": 3, "val_loss": 0.5},
            "last_optimizer_state": None,
        }

    def save(self, path: Path, **options: Any) -> Path:
        torch.save(self.state(), path, **options)
        return path


LAYOUTS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "pre-norm": {"model": {"layer_norm_first": True}},
    "trunk-scope teacher": {"model": {"ema_encoder_only": True}},
    "trunk-scope teacher, pre-norm": {"model": {"ema_encoder_only": True, "layer_norm_first": True}},
    "teacher of everything": {"audio": {"ema_local_encoder": True}},
    "several projections": {"decoder": {"projection_layers": 3, "projection_ratio": 1.5}},
    "alibi per layer": {"audio": {"learned_alibi_scale_per_layer": True}},
    "alibi global": {"audio": {"learned_alibi_scale_per_head": False}},
    "alibi not learned": {"audio": {"learned_alibi_scale": False, "learned_alibi_scale_per_head": False}},
    "no alibi": {"audio": {"use_alibi_encoder": False}},
    "group norm": {"audio": {"extractor_mode": "default"}},
    "norm before positions": {"audio": {"conv_pos_pre_ln": True}},
    "no prenet": {"audio": {"prenet_depth": 0}},
}


# fine-tuned

LETTERS = ("|", "E", "T", "A", "madeupword0000")
SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>", *LETTERS)
FINETUNING_AUDIO_OPTIONS = {
    "mask_prob": 0.65,
    "mask_length": 4,
    "mask_channel_prob": 0.25,
    "mask_channel_length": 6,
    "encoder_zero_mask": False,
    "local_grad_mult": 0.0,
}


def make_finetuning_options(
    finetuning: dict[str, Any] | None = None,
    audio: dict[str, Any] | None = None,
    criterion: dict[str, Any] | None = None,
    **overrides: dict[str, Any],
) -> dict[str, Any]:
    """The `cfg` of a fine-tuned checkpoint: the student's is in `w2v_args`, with options of fine-tuning in it."""
    student = make_options(audio=FINETUNING_AUDIO_OPTIONS | (audio or {}), **overrides)
    options = {
        "_name": "wav2vec_ctc",
        "w2v_path": "pretrained.pt",
        "apply_mask": True,
        "final_dropout": 0.125,
        "blank_weight": 0,
        "blank_mode": "add",
        "freeze_finetune_updates": 0,
        "w2v_args": student | {"criterion": None},
    }
    return {
        "model": options | (finetuning or {}),
        "task": {"_name": "audio_finetuning", "labels": "ltr", "normalize": True, "sample_rate": 16000},
        "criterion": {"_name": "ctc", "zero_infinity": True} | (criterion or {}),
    }


class OriginalCTC:
    """A fine-tuned checkpoint in the original's layout with random weights, and what it must become."""

    def __init__(self, symbols: tuple[str, ...] = SYMBOLS, **overrides: dict[str, Any]) -> None:
        self.options = make_finetuning_options(**overrides)
        self.symbols = symbols
        pretrained = Original()
        self.weights: OrderedDict[str, torch.Tensor] = OrderedDict()
        for name, tensor in pretrained.student.items():
            if ".decoder." not in name:
                self.weights[f"w2v_encoder.w2v_model.{name}"] = tensor
        generator = torch.Generator().manual_seed(1)
        self.weights["w2v_encoder.proj.weight"] = torch.randn(len(symbols), HIDDEN, generator=generator)
        self.weights["w2v_encoder.proj.bias"] = torch.randn(len(symbols), generator=generator)
        self.expected = {
            name: tensor for name, tensor in pretrained.expected.items() if name.startswith("data2vec2_audio.")
        }
        self.expected["lm_head.weight"] = self.weights["w2v_encoder.proj.weight"]
        self.expected["lm_head.bias"] = self.weights["w2v_encoder.proj.bias"]

    def state(self) -> dict[str, Any]:
        return {
            "args": None,
            "cfg": self.options,
            "model": OrderedDict(self.weights),
            "criterion": None,
            "optimizer_history": [{"optimizer_name": "FairseqAdam", "num_updates": 77}],
            "task_state": {},
            "extra_state": {"epoch": 3, "val_loss": 0.5},
            "last_optimizer_state": None,
        }

    def save(self, path: Path) -> Path:
        """Without symbols, as the golden checkpoints."""
        torch.save(self.state(), path)
        return path

    def save_with_dictionary(self, path: Path, **fields: Any) -> Path:
        """With the symbols as fairseq pickles them."""
        with pickled_dictionary(dictionary_fields(self.symbols) | fields) as dictionary:
            torch.save(self.state() | {"task_state": {"target_dictionary": dictionary}}, path)
        return path

    def write_dictionary(self, path: Path) -> Path:
        path.write_text("".join(f"{symbol} {10 - index}\n" for index, symbol in enumerate(self.symbols[4:])))
        return path


def dictionary_fields(symbols: tuple[str, ...]) -> dict[str, Any]:
    """The attributes of `fairseq.data.dictionary.Dictionary`."""
    return {
        "bos_word": "<s>",
        "unk_word": "<unk>",
        "pad_word": "<pad>",
        "eos_word": "</s>",
        "symbols": list(symbols),
        "count": list(range(len(symbols))),
        "indices": {symbol: index for index, symbol in enumerate(symbols)},
        "bos_index": 0,
        "pad_index": 1,
        "eos_index": 2,
        "unk_index": 3,
        "nspecial": 4,
    }


@contextmanager
def pickled_dictionary(state: Any) -> Iterator[Any]:
    """An object that pickles as fairseq's dictionary does, with this state, as if fairseq were installed."""
    names = ("fairseq", "fairseq.data", "fairseq.data.dictionary")
    modules = {name: types.ModuleType(name) for name in names}
    kind = type("Dictionary", (), {"__module__": names[-1], "__getstate__": lambda self: state})
    modules[names[-1]].Dictionary = kind
    sys.modules.update(modules)
    try:
        yield kind()
    finally:
        for name in names:
            del sys.modules[name]
