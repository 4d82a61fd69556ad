# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Conversion of checkpoints that are made here in the original's layout, and refusal of all that is none."""

import argparse
import copy
import io
import os
import pickle
import subprocess
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoFeatureExtractor, AutoModelForPreTraining

from hf_ssl import Data2Vec2AudioForPreTraining
from hf_ssl.conversion import UnsafeCheckpointError, convert_checkpoint, load_fairseq_checkpoint
from hf_ssl.conversion.fairseq_checkpoint import parse_conv_spec

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


def context_encoder_names(audio: dict[str, Any], num_layers: int) -> Names:
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
        context = context_encoder_names(audio, audio["prenet_depth"] + model["depth"])
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


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_weight_arrives_at_its_place(layout: str, tmp_path: Path) -> None:
    original = Original(**LAYOUTS[layout])
    out_dir = convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    model, info = AutoModelForPreTraining.from_pretrained(out_dir, output_loading_info=True)
    assert type(model) is Data2Vec2AudioForPreTraining
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    converted = model.state_dict()
    expected = original.expected
    if layout == "trunk-scope teacher, pre-norm":  # the last norm takes no part in targets; the original omits it
        for name in ("weight", "bias"):
            expected[f"teacher.trunk.layer_norm.{name}"] = expected[f"data2vec2_audio.trunk.layer_norm.{name}"]
    assert set(converted) == {*expected, "teacher.num_updates"}
    for name, tensor in expected.items():
        assert torch.equal(converted[name].flatten(), tensor.flatten()), name
    assert int(converted["teacher.num_updates"]) == 1234
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())


def test_options_become_fields(tmp_path: Path) -> None:
    out_dir = convert_checkpoint(Original().save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    config = AutoModelForPreTraining.from_pretrained(out_dir).config
    assert (config.hidden_size, config.num_hidden_layers, config.num_prenet_layers) == (HIDDEN, 2, 1)
    assert list(config.conv_kernel) == [8, 4, 4]
    assert list(config.conv_stride) == [4, 2, 2]
    assert config.intermediate_size == 2 * HIDDEN
    assert config.num_masks == 3
    assert list(config.drop_path_rates) == [0.0, 0.1]
    assert list(config.target_layer_norms) == ["instance"]
    assert (config.teacher_scope, config.target_source) == ("encoder", "ffn")
    assert config.convolve_padding
    assert config.norm_targets_over_padding
    assert not config.pre_norm_drops_residual


@pytest.mark.parametrize(
    ("overrides", "field", "value"),
    [
        ({"model": {"layer_norm_first": True}}, "pre_norm_drops_residual", True),
        ({"model": {"ema_encoder_only": True}}, "teacher_scope", "trunk"),
        ({"audio": {"ema_local_encoder": True}}, "teacher_scope", "model"),
        ({"model": {"end_of_block_targets": True}}, "target_source", "block"),
        ({"model": {"batch_norm_target_layer": True}}, "target_layer_norms", ["batch", "instance"]),
        (
            {"model": {"layer_norm_targets": True, "instance_norm_targets": True}},
            "target_norms",
            ["layer", "instance"],
        ),
        ({"audio": {"extractor_mode": "default"}}, "feat_extract_norm", "group"),
        ({"model": {"loss_beta": 0.25, "loss_scale": 2.0}}, "loss_beta", 0.25),
    ],
)
def test_an_option_sets_its_field(overrides: dict, field: str, value: Any, tmp_path: Path) -> None:
    out_dir = convert_checkpoint(Original(**overrides).save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    actual = AutoModelForPreTraining.from_pretrained(out_dir).config.to_dict()[field]
    assert (list(actual) if isinstance(actual, tuple) else actual) == value


@pytest.mark.parametrize("normalize", [True, False])
def test_the_preprocessor_normalises_as_the_task_says(normalize: bool, tmp_path: Path) -> None:
    original = Original()
    original.options["task"]["normalize"] = normalize
    out_dir = convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    extractor = AutoFeatureExtractor.from_pretrained(out_dir)
    assert extractor.do_normalize == normalize
    assert extractor.return_attention_mask


def test_the_four_dimensional_alibi_scale_of_old_checkpoints(tmp_path: Path) -> None:
    original = Original()
    for weights in (original.student, original.teacher):
        weights[f"{AUDIO}.alibi_scale"] = weights[f"{AUDIO}.alibi_scale"][0]
    out_dir = convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    model = AutoModelForPreTraining.from_pretrained(out_dir)
    expected = original.expected["data2vec2_audio.context_encoder.attention_bias.scale"]
    assert torch.equal(model.data2vec2_audio.context_encoder.attention_bias.scale.flatten(), expected.flatten())


def test_without_a_teacher_the_student_is_copied(tmp_path: Path) -> None:
    original = Original()
    original.teacher = None
    model = AutoModelForPreTraining.from_pretrained(
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    )
    for name, tensor in model.teacher.state_dict().items():
        if name != "num_updates":
            assert torch.equal(tensor, model.data2vec2_audio.state_dict()[name]), name


def test_a_legacy_file_that_is_no_zip(tmp_path: Path) -> None:
    path = Original().save(tmp_path / "checkpoint.pt", _use_new_zipfile_serialization=False)
    assert load_fairseq_checkpoint(path).num_updates == 1234
    assert convert_checkpoint(path, tmp_path / "out").is_dir()


def test_arguments_of_old_checkpoints_are_allowed(tmp_path: Path) -> None:
    state = Original().state() | {"args": argparse.Namespace(arch="data2vec_multi", lr=[0.1])}
    torch.save(state, tmp_path / "checkpoint.pt")
    assert load_fairseq_checkpoint(tmp_path / "checkpoint.pt").num_updates == 1234


# what does not fit


def test_unknown_weights_are_listed(tmp_path: Path) -> None:
    original = Original()
    original.student["blocks.0.adapter.weight"] = torch.zeros(2)
    original.teacher["surprise"] = torch.zeros(2)
    with pytest.raises(ValueError, match=r"not known: \['blocks\.0\.adapter\.weight', '_ema\.surprise'\]"):
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_weights_are_listed(tmp_path: Path) -> None:
    original = Original()
    del original.student["blocks.1.mlp.fc2.bias"], original.teacher["blocks.0.norm1.weight"]
    with pytest.raises(ValueError, match="missing") as error:
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    assert "data2vec2_audio.trunk.layers.1.mlp.fc2.bias" in str(error.value)
    assert "teacher.trunk.layers.0.attention_layer_norm.weight" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_weights_of_wrong_shape_are_listed(tmp_path: Path) -> None:
    original = Original()
    original.student["blocks.1.mlp.fc2.weight"] = torch.zeros(3, 3)
    with pytest.raises(ValueError, match=r"data2vec2_audio\.trunk\.layers\.1\.mlp\.fc2\.weight"):
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")


def test_a_weight_that_is_no_tensor_is_an_error(tmp_path: Path) -> None:
    original = Original()
    original.student["blocks.1.mlp.fc2.weight"] = "a string"
    with pytest.raises(ValueError, match=r"blocks\.1\.mlp\.fc2\.weight"):
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")


def test_unsupported_options_are_listed(tmp_path: Path) -> None:
    original = Original(
        model={"recon_loss": 1.0},
        audio={"num_extra_tokens": 2, "learned_alibi": True},
        decoder={"add_positions_all": True},
    )
    with pytest.raises(ValueError, match="no counterpart") as error:
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    for option in ("recon_loss = 1.0", "num_extra_tokens = 2", "learned_alibi = True", "add_positions_all = True"):
        assert option in str(error.value)


def test_different_dropouts_are_an_error(tmp_path: Path) -> None:
    path = Original(model={"post_mlp_drop": 0.3}).save(tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"after attention \(0\.1\) and after the feed-forward network \(0\.3\)"):
        convert_checkpoint(path, tmp_path / "out")


@pytest.mark.parametrize("path", [("model", "embed_dim"), ("model", "modalities", "audio", "mask_prob")])
def test_a_missing_option_is_named(path: tuple[str, ...], tmp_path: Path) -> None:
    original = Original()
    original.options = copy.deepcopy(original.options)
    section = original.options
    for name in path[:-1]:
        section = section[name]
    del section[path[-1]]
    with pytest.raises(ValueError, match=f"option .*{path[-1]}"):
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"audio": {"extractor_mode": "batch_norm"}}, "batch_norm"),
        ({"model": {"num_heads": 3}}, "num_attention_heads"),
        ({"model": {"average_top_k_layers": 9}}, "average_top_k_layers"),
        ({"model": {"attention_dropout": "much"}}, "attention_dropout"),
        ({"audio": {"feature_encoder_spec": "__import__('os').system('true')"}}, "Expected a list of"),
        ({"model": {"modalities": {"audio": None}}}, "audio"),
    ],
)
def test_options_that_cannot_work_are_an_error(overrides: dict, message: str, tmp_path: Path) -> None:
    state = Original().state()
    state["cfg"] = make_options(**overrides)
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(tmp_path / "checkpoint.pt", tmp_path / "out")


@pytest.mark.parametrize(
    "model", [{"_name": "wav2vec_ctc"}, {"supported_modality": "IMAGE"}, {"supported_modality": None}]
)
def test_other_models_are_an_error(model: dict, tmp_path: Path) -> None:
    path = Original(model=model).save(tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"What can be converted so far is data2vec 2\.0 pre-training on audio"):
        convert_checkpoint(path, tmp_path / "out")


# files that are no checkpoints


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content", [b"", b"hello, world\n", b"\x00" * 100, b"PK\x03\x04 not a zip", b"\x80\x02}q\x00.", pickle.dumps({})]
)
def test_files_that_are_no_checkpoints(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoint"):
        load_fairseq_checkpoint(write(tmp_path / "checkpoint.pt", content))


def test_the_reason_is_given_and_not_the_advice_to_load_unsafely(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unsupported operand 110") as error:
        load_fairseq_checkpoint(write(tmp_path / "checkpoint.pt", b"not a checkpoint\n"))
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_checkpoint(share: float, is_zip: bool, tmp_path: Path) -> None:
    path = Original().save(tmp_path / "checkpoint.pt", _use_new_zipfile_serialization=is_zip)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"cannot be read as a checkpoint"):
        load_fairseq_checkpoint(write(path, content[: int(len(content) * share)]))


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.pt"):
        with pytest.raises(FileNotFoundError, match="no checkpoint file"):
            load_fairseq_checkpoint(path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1, 2], "found list"),
        ({"weights": {}}, r"found \['weights'\]"),
        ({1: 2, "b": 3}, "no fairseq checkpoint"),
        ({"model": {}}, "has no `cfg`"),
        ({"model": {}, "cfg": {}}, "no section 'model', but None"),
        ({"model": {}, "cfg": {"model": "data2vec_multi"}}, "no section 'model', but 'data2vec_multi'"),
        ({"model": {"_ema": [1]}, "cfg": {}}, "has list where the teacher's weights should be"),
    ],
)
def test_other_content_is_no_checkpoint(state: Any, message: str, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(tmp_path / "checkpoint.pt", tmp_path / "out")


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, bytes]:
    """A small checkpoint as bytes, by whether it is a zip file."""
    state = {"model": {"weight": torch.arange(6.0)}, "cfg": {"model": {"depth": 3}}, "extra": [1, "two", 3.0, None]}
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.pt"
    saved = {}
    for is_zip in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=is_zip)
        saved[is_zip] = path.read_bytes()
    return saved


@given(
    is_zip=st.booleans(),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
)
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_checkpoint_is_read_or_refused_by_name(
    contents: dict[bool, bytes], is_zip: bool, changes: list[tuple[float, int]], tmp_path: Path
) -> None:
    """Whatever bytes are changed, the outcome is a checkpoint or a `ValueError`, never another exception."""
    content = bytearray(contents[is_zip])
    for position, value in changes:
        content[int(position * len(content))] = value
    path = write(tmp_path / "checkpoint.pt", bytes(content))
    try:
        checkpoint = load_fairseq_checkpoint(path)
    except ValueError as error:
        message = str(error)
    else:
        message = f"{path}: {len(checkpoint.model)} weights"
    assert "checkpoint.pt" in message


# files that want to run something


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


class Stateful:
    """Pickles as an object of our own, whose state a careless reader would set."""

    def __init__(self) -> None:
        self.field = 1


GADGETS: dict[str, Callable[[Path], Any]] = {
    "os.system": lambda canary: Call(os.system, f"touch {canary}"),
    "eval": lambda canary: Call(eval, f"open({str(canary)!r}, 'w')"),
    "exec": lambda canary: Call(exec, f"open({str(canary)!r}, 'w')"),
    "open": lambda canary: Call(open, str(canary), "w"),
    "getattr": lambda canary: Call(getattr, [], "append"),
    "subprocess": lambda canary: Call(subprocess.Popen, ["touch", str(canary)]),
    "a function of numpy": lambda canary: Call(np.save, str(canary), np.zeros(1)),
    "a function of torch": lambda canary: Call(torch.save, 1, str(canary)),
    "torch.load": lambda canary: Call(torch.load, str(canary)),
    "a class of torch": lambda canary: torch.nn.Linear(1, 1),
    "a class of ours": lambda canary: Stateful(),
    "numpy array": lambda canary: np.zeros(3),
    "path": lambda canary: canary,
}
PLACES: dict[str, Callable[[dict, Any], Any]] = {
    "whole file": lambda state, gadget: gadget,
    "cfg": lambda state, gadget: (
        state["cfg"]["model"]["modalities"]["audio"].update(extra=[{"deep": gadget}]) or state
    ),
    "weights": lambda state, gadget: state["model"].update(weight=gadget) or state,
    "arguments": lambda state, gadget: state.update(args=argparse.Namespace(field=gadget)) or state,
    "optimizer": lambda state, gadget: state.update(last_optimizer_state=gadget) or state,
}


def assert_refused(path: Path, canary: Path) -> None:
    with pytest.raises(UnsafeCheckpointError, match=r"was refused; nothing of it was executed") as error:
        convert_checkpoint(path, path.parent / "out")
    assert "weights_only" not in str(error.value)
    assert "safe_globals" not in str(error.value)
    assert not canary.exists()
    assert not (path.parent / "out").exists()


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("gadget", sorted(GADGETS))
def test_what_is_not_allowed_is_refused_before_it_runs(gadget: str, is_zip: bool, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    state = copy.deepcopy(Original().state())
    state["extra_state"]["gadget"] = GADGETS[gadget](canary)
    torch.save(state, tmp_path / "checkpoint.pt", _use_new_zipfile_serialization=is_zip)
    canary.unlink(missing_ok=True)
    assert_refused(tmp_path / "checkpoint.pt", canary)


@pytest.mark.parametrize("place", sorted(PLACES))
def test_it_is_refused_wherever_it_hides(place: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    state = PLACES[place](copy.deepcopy(Original().state()), GADGETS["os.system"](canary))
    torch.save(state, tmp_path / "checkpoint.pt")
    assert_refused(tmp_path / "checkpoint.pt", canary)


def test_the_gadget_would_have_run(tmp_path: Path) -> None:
    """Or else the canary proves nothing."""
    canary = tmp_path / "canary"
    torch.save(GADGETS["os.system"](canary), tmp_path / "checkpoint.pt")
    torch.load(tmp_path / "checkpoint.pt", weights_only=False)
    assert canary.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch canary'\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n(cbuiltins\n__dict__\nS'eval'\ntR.",
        b"ctorch\nload\n(S'canary'\ntR.",
        b"cargparse\nArgumentParser\n(tR.",
        b"cargparse\nNamespace\n)\x81}X\x09\x00\x00\x00__class__cos\nsystem\nsb.",
    ],
)
def test_bare_pickle_programs_are_refused(program: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafeCheckpointError, match="was refused"):
        load_fairseq_checkpoint(write(tmp_path / "checkpoint.pt", program))
    assert not (tmp_path / "canary").exists()


def test_extensions_registered_with_copyreg_are_refused(tmp_path: Path) -> None:
    """Protocol 2's short names for globals."""
    buffer = io.BytesIO(b"\x80\x02\x82\x01.")
    with pytest.raises(ValueError, match="checkpoint"):
        load_fairseq_checkpoint(write(tmp_path / "checkpoint.pt", buffer.getvalue()))


def test_the_allow_list_is_not_left_wider(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    load_fairseq_checkpoint(Original().save(tmp_path / "checkpoint.pt"))
    assert set(torch.serialization.get_safe_globals()) == before
    assert argparse.Namespace not in before


# layer lists


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]",
            [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2,
        ),
        (
            "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2",
            [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2,
        ),
        ("[(512, 10, 5)] + [(512, 8, 4)] + [(512, 4, 2)] * 3", [(512, 10, 5), (512, 8, 4)] + [(512, 4, 2)] * 3),
        ("2 * [(64, 3, 2)]", [(64, 3, 2)] * 2),
        ("[(8, 2, 1), (16, 3, 2)]", [(8, 2, 1), (16, 3, 2)]),
        ("[[8, 2, 1]]", [(8, 2, 1)]),
    ],
)
def test_published_layer_lists(spec: str, expected: list[tuple[int, int, int]]) -> None:
    assert parse_conv_spec(spec) == expected


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "[]",
        "512",
        "[512, 10, 5]",
        "[(512, 10)]",
        "[(512, 10, 5, 1)]",
        "[(512.0, 10, 5)]",
        "[('512', 10, 5)]",
        "[(True, 10, 5)]",
        "[(0, 10, 5)]",
        "[(512, 10, 0)]",
        "[(512, 10, 5)] * 0",
        "[(512, 10, 5)] - 1",
        "[(512, 10, 5)] * -1",
        "[(512, 10, 5)] * 2.0",
        "[(512, 10, 5)] ** 2",
        "[(512, 10, 5)] * 1000000000",
        "1000000000 * [(512, 10, 5)]",
        "[(512, 10, 5)] * 90 * 90 * 90 * 90 * 90 * 90",
        "[(9, 9, 9) * 100 * 100 * 100 * 100 * 100]",
        "[(512, [10], 5)]",
        "[(512, 10, 5)] + 'a'",
        "[(x, 10, 5) for x in (1, 2)]",
        "__import__('os').system('true')",
        "[(__import__('os').system('true'), 10, 5)]",
        "(lambda: [(512, 10, 5)])()",
        "[(512, 10, 5)][0:1]",
        "import os",
        "[(512, 10, 5)]\0",
        "(" * 5000 + ")" * 5000,
        "[(512, 10, 5)]" + " + [(512, 10, 5)]" * 5000,
        None,
        7,
    ],
    ids=lambda spec: str(spec)[:40],
)
def test_everything_else_is_refused(spec: Any) -> None:
    with pytest.raises(ValueError, match="Expected a list of"):
        parse_conv_spec(spec)


@pytest.mark.parametrize("spec", ["1000000 * [(1, 1, 1)]", "[(1, 1, 1)]" + " * 90" * 3])
def test_a_refused_layer_list_costs_no_memory(spec: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="Expected a list of"):
            parse_conv_spec(spec)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
