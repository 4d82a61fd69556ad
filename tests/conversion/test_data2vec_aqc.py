# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""data2vec-aqc: our folders -> the original's layout -> our folders. tests/parity has files of the original itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

from hf_ssl import Data2VecAqcForCTC, Data2VecAqcForPreTraining
from hf_ssl.conversion import convert_checkpoint, convert_to_fairseq
from hf_ssl.conversion.fairseq_dictionary import FairseqDictionary, make_tokenizer
from hf_ssl.training.model_sizes import data2vec_aqc_config

NUM_LAYERS = data2vec_aqc_config("tiny").num_hidden_layers
# What the original does, and so what comes back.
ORIGINAL = {
    "convolve_padding": True,
    "norm_targets_over_padding": True,
    "cluster_scope": "batch",
    "cluster_weighting": "multiply",
    "cluster_only_on_collision": True,
    "num_kmeans_iterations": 100,
    "conv_dim": (16, 16),
    "conv_kernel": (20, 16),
    "conv_stride": (16, 16),
    "target_layer_norms": ("instance",),
    "target_norms": (),
    "gumbel_temperature": (2.0, 0.5, 0.999995),
}


def save_pretraining(folder: Path, **overrides) -> Data2VecAqcForPreTraining:
    torch.manual_seed(0)
    model = Data2VecAqcForPreTraining(data2vec_aqc_config("tiny", **(ORIGINAL | overrides)))
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(1)
    model.teacher.num_updates.fill_(7)
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder)
    return model


def save_recogniser(folder: Path) -> Data2VecAqcForCTC:
    torch.manual_seed(0)
    model = Data2VecAqcForCTC(data2vec_aqc_config("tiny", **ORIGINAL, vocab_size=7, mask_time_prob=0.3))
    model.save_pretrained(folder)
    symbols = ["<s>", "<pad>", "</s>", "<unk>", "|", "a", "b"]
    tokenizer = make_tokenizer(FairseqDictionary(symbols, [1] * len(symbols)))
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return model


def fields_of(model: PreTrainedModel) -> dict[str, Any]:
    """What a pre-training checkpoint tells: all but the sizes of heads, and where a model was loaded from."""
    heads = ("classifier_proj_size", "tdnn_dim", "tdnn_kernel", "tdnn_dilation", "xvector_output_dim")
    return {name: field for name, field in model.config.to_dict().items() if name not in (*heads, "_name_or_path")}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quantizer_depth": 3, "quantizer_factor": 2},
        {"codevector_dim": 8, "num_cross_negatives": 2, "local_grad_scale": 0.1},
        {"teacher_scope": "transformer", "target_norms": ("layer", "instance"), "feat_quantizer_dropout": 0.1},
        {"teacher_scope": "model", "average_top_k_layers": NUM_LAYERS},
    ],
)
def test_there_and_back(options: dict, tmp_path: Path) -> None:
    model = save_pretraining(tmp_path / "ours", **options)
    path = convert_to_fairseq(tmp_path / "ours", tmp_path / "original.pt")
    back = Data2VecAqcForPreTraining.from_pretrained(convert_checkpoint(path, tmp_path / "back"))
    assert fields_of(back) == fields_of(model)
    expected, found = model.state_dict(), back.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_names_and_shapes_of_the_original(tmp_path: Path) -> None:
    save_pretraining(tmp_path / "ours", quantizer_depth=2)
    path = convert_to_fairseq(tmp_path / "ours", tmp_path / "original.pt")
    state = torch.load(path, weights_only=True)
    weights, options = state["model"], state["cfg"]["model"]
    assert weights["quantizer.vars"].shape == (1, 16, 8)
    assert {"quantizer.weight_proj.0.0.weight", "quantizer.weight_proj.1.weight", "project_q.bias"} <= set(weights)
    assert {"contr_proj.weight", "final_proj.weight", "mask_emb"} <= set(weights)
    assert "layers.0.fc1.weight" in weights["_ema"]
    assert (options["_name"], options["cluster_factor"], options["latent_vars"]) == ("data2vec_audio", 4, 8)
    assert options["ema_layers_only"]


def test_teacher_of_the_whole_model(tmp_path: Path) -> None:
    """`ema_transformer_only: false`: the original's teacher has, as a copy of the whole student, what it never reads,
    and its targets are of all layers whatever the option says."""
    model = save_pretraining(tmp_path / "ours", teacher_scope="model", average_top_k_layers=NUM_LAYERS)
    path = convert_to_fairseq(tmp_path / "ours", tmp_path / "original.pt")
    state = torch.load(path, weights_only=True)
    options, weights = state["cfg"]["model"], state["model"]
    assert (options["ema_transformer_only"], options["ema_layers_only"]) == (False, False)
    assert weights["_ema"].keys() == weights.keys() - {"_ema"}
    convolution = model.teacher.feature_extractor.conv_layers[0].conv.weight
    assert torch.equal(weights["_ema"]["feature_extractor.conv_layers.0.0.weight"], convolution)
    options["average_top_k_layers"] = 1
    torch.save(state, path)
    back = Data2VecAqcForPreTraining.from_pretrained(convert_checkpoint(path, tmp_path / "back"))
    assert (back.config.teacher_scope, back.config.average_top_k_layers) == ("model", NUM_LAYERS)
    assert torch.equal(back.teacher.feature_extractor.conv_layers[0].conv.weight, convolution)


@pytest.mark.parametrize("scope", ["layers", "model"])
def test_checkpoint_without_a_teacher(tmp_path: Path, scope: str) -> None:
    save_pretraining(tmp_path / "ours", teacher_scope=scope, average_top_k_layers=NUM_LAYERS)
    path = convert_to_fairseq(tmp_path / "ours", tmp_path / "original.pt")
    state = torch.load(path, weights_only=True)
    del state["model"]["_ema"]
    torch.save(state, path)
    model = Data2VecAqcForPreTraining.from_pretrained(convert_checkpoint(path, tmp_path / "back"))
    student, teacher = model.data2vec_aqc.state_dict(), dict(model.teacher.named_parameters())
    assert all(torch.equal(tensor, student[name]) for name, tensor in teacher.items())
    assert any(name.startswith("feature_extractor.") for name in teacher) == (scope == "model")
    assert "copy of the student" in (tmp_path / "back/README.md").read_text()


def test_recogniser_there_and_back(tmp_path: Path) -> None:
    """What a recogniser never reads is zero in the original's file, which wants it, and not in ours."""
    model = save_recogniser(tmp_path / "ours")
    path = convert_to_fairseq(tmp_path / "ours", tmp_path / "original.pt")
    weights = torch.load(path, weights_only=True)["model"]
    dead = [name for name in weights if ".quantizer." in name or ".project_q." in name or ".contr_proj." in name]
    assert len(dead) == 7
    assert not any(weights[name].any() for name in dead)
    converted = convert_checkpoint(path, tmp_path / "back", dictionary=tmp_path / "dict.ltr.txt")
    back = Data2VecAqcForCTC.from_pretrained(converted)
    assert back.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(back.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    assert back.config.mask_time_prob == 0.3
    assert "7 weights of its pre-training" in (converted / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"codebook_negatives": 5}, "codebook_negatives"), ({"quantize_input": True}, "quantize_input")],
)
def test_options_without_a_counterpart_are_named(options: dict, message: str, tmp_path: Path) -> None:
    save_pretraining(tmp_path / "ours")
    path = convert_to_fairseq(tmp_path / "ours", tmp_path / "original.pt")
    state = torch.load(path, weights_only=True)
    state["cfg"]["model"] |= options
    torch.save(state, path)
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(path, tmp_path / "back")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher_scope": "model", "average_top_k_layers": 1}, "average_top_k_layers"),
        ({"diversity_loss_weight": 1.0}, "diversity_loss_weight"),
    ],
)
def test_fields_without_a_counterpart_are_named(options: dict, message: str, tmp_path: Path) -> None:
    save_pretraining(tmp_path / "ours", **options)
    with pytest.raises(ValueError, match=message):
        convert_to_fairseq(tmp_path / "ours", tmp_path / "original.pt")
