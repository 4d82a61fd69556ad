# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Conversion of pre-training checkpoints that are made here in the original's layout."""

import argparse
import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from conversion.original import AUDIO, HIDDEN, LAYOUTS, Original, make_options
from transformers import AutoFeatureExtractor, AutoModelForPreTraining

from hf_ssl import Data2Vec2AudioForPreTraining
from hf_ssl.conversion import convert_checkpoint, load_fairseq_checkpoint
from hf_ssl.conversion.data2vec2_audio import convert_data2vec2_audio_pretraining


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
    with pytest.raises(ValueError, match=f"lacks options: '{path[-1]}'"):
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
    ("model", "name"),
    [
        ({"_name": "wav2vec_ctc"}, "wav2vec_ctc"),
        ({"_name": 7}, "7"),
        ({"supported_modality": None}, r"data2vec_multi \(ANY MODALITY\)"),
    ],
)
def test_other_models_are_an_error(model: dict, name: str, tmp_path: Path) -> None:
    path = Original(model=model).save(tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=f"holds the model {name}. What can be converted so far is data2vec"):
        convert_checkpoint(path, tmp_path / "out")


def test_everything_that_does_not_fit_is_in_one_error(tmp_path: Path) -> None:
    original = Original(model={"recon_loss": 1.0, "post_mlp_drop": 0.3})
    original.student["blocks.0.adapter.weight"] = torch.zeros(2)
    original.student["blocks.1.mlp.fc2.weight"] = torch.zeros(3, 3)
    del original.teacher["blocks.0.norm1.weight"]
    with pytest.raises(ValueError, match="cannot be converted") as error:
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    for part in (
        "recon_loss = 1.0",
        "different dropouts",
        "not known: ['blocks.0.adapter.weight']",
        "missing (our names): ['teacher.trunk.layers.0.attention_layer_norm.weight']",
        "mlp.fc2.weight has shape (3, 3) instead of (16, 32)",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "out").exists()


def test_two_names_for_one_weight_are_an_error(tmp_path: Path) -> None:
    original = Original()
    original.student[f"{AUDIO}.relative_positional_encoder.1.1.0.bias"] = torch.zeros(HIDDEN)
    with pytest.raises(ValueError, match=r"not known: \['modality_encoders"):
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model": {"depth": 10**9}}, "`depth` = 1000000000 layers cannot be in a file of"),
        ({"audio": {"conv_pos_depth": 10**9, "conv_pos_width": 10**10}}, "`conv_pos_depth` = 1000000000 layers"),
        ({"decoder": {"decoder_layers": 10**9}}, "`decoder_layers` = 1000000000 layers"),
        ({"model": {"embed_dim": 10**30}}, "options make no model"),
        ({"model": {"embed_dim": 10**6}}, "`intermediate_size` must be from 1 to 1048576"),
        ({"model": {"embed_dim": 10**5}}, r"has shape \(16,\) instead of \(100000,\)"),
        ({"audio": {"conv_pos_depth": 0}}, "options make no model"),
    ],
)
def test_absurd_sizes_cost_nothing(overrides: dict, message: str, tmp_path: Path) -> None:
    state = Original().state() | {"cfg": make_options(**overrides)}
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(tmp_path / "checkpoint.pt", tmp_path / "out")


def test_options_of_a_fork_are_told(tmp_path: Path) -> None:
    original = Original(model={"of_a_fork": 1}, decoder={"of_another": "x"})
    card = (convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out") / "README.md").read_text()
    assert "'of_a_fork': 1" in card
    assert "'of_another': 'x'" in card


def test_weights_are_not_copied(tmp_path: Path) -> None:
    """A file of several GB is mapped into memory; its weights become the model's as they lie there."""
    checkpoint = load_fairseq_checkpoint(Original().save(tmp_path / "checkpoint.pt"))
    model = convert_data2vec2_audio_pretraining(checkpoint).model
    assert not any(parameter.is_meta for parameter in model.parameters())
    name = "blocks.1.mlp.fc2.weight"
    assert model.data2vec2_audio.trunk.layers[1].mlp.fc2.weight.data_ptr() == checkpoint.model[name].data_ptr()
    assert model.teacher.trunk.layers[1].mlp.fc2.weight.data_ptr() == checkpoint.teacher[name].data_ptr()


def test_views_of_one_storage_are_told_apart(tmp_path: Path) -> None:
    original = Original()
    flat = torch.cat([tensor.flatten() for tensor in original.student.values()])
    sizes = [tensor.numel() for tensor in original.student.values()]
    for (name, tensor), part in zip(original.student.items(), flat.split(sizes), strict=True):
        original.student[name] = part.view(tensor.shape)
    out_dir = convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    converted = AutoModelForPreTraining.from_pretrained(out_dir).state_dict()
    for name, tensor in original.expected.items():
        assert torch.equal(converted[name].flatten(), tensor.flatten()), name


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = Original().save(tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="is a file; expected a folder"):
        convert_checkpoint(path, path)


def test_pretrained_models_have_no_use_for_a_dictionary(tmp_path: Path) -> None:
    path = Original().save(tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="no use for a dictionary"):
        convert_checkpoint(path, tmp_path / "out", dictionary=path)


# other entries of the file


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"optimizer_history": "many"}, "`optimizer_history` is no list of dictionaries but 'many'"),
        ({"optimizer_history": {"num_updates": 1}}, "`optimizer_history` is no list"),
        ({"optimizer_history": [1234]}, "`optimizer_history` is no list"),
        ({"optimizer_history": [{"num_updates": "many"}]}, "counts 'many' updates"),
        ({"optimizer_history": [{"num_updates": -1}]}, "counts '-1' updates"),
        ({"optimizer_history": [{"num_updates": 2**64}]}, "counts '18446744073709551616' updates"),
        ({"task_state": [1]}, "`task_state` is no dictionary but list"),
        ({"task_state": {"target_dictionary": {"symbols": ["<s>"]}}}, "has dict where a dictionary of fairseq"),
    ],
)
def test_malformed_entries(entries: dict[str, Any], message: str, tmp_path: Path) -> None:
    torch.save(Original().state() | entries, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(tmp_path / "checkpoint.pt", tmp_path / "out")


@pytest.mark.parametrize("entries", [{"optimizer_history": None}, {"optimizer_history": []}, {"task_state": None}])
def test_entries_that_may_be_empty(entries: dict[str, Any], tmp_path: Path) -> None:
    torch.save(Original().state() | entries, tmp_path / "checkpoint.pt")
    assert convert_checkpoint(tmp_path / "checkpoint.pt", tmp_path / "out").is_dir()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"sample_rate": "16k"}, "`sample_rate` = '16k'"),
        ({"sample_rate": 0}, "`sample_rate` = 0"),
        ({"sample_rate": True}, "`sample_rate` = True"),
        ({"normalize": 1}, "`normalize` = 1"),
    ],
)
def test_a_task_that_makes_no_preprocessor(task: dict[str, Any], message: str, tmp_path: Path) -> None:
    original = Original()
    original.options["task"] |= task
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")


def test_the_preprocessor_has_the_rate_of_the_task(tmp_path: Path) -> None:
    original = Original()
    original.options["task"]["sample_rate"] = 8000
    out_dir = convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out")
    assert AutoFeatureExtractor.from_pretrained(out_dir).sampling_rate == 8000
