# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The way back: what was converted gives the same checkpoint, and a model trained here gives one that converts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conversion.original import LAYOUTS, SYMBOLS, Original, OriginalCTC, make_finetuning_options, make_options
from parity.golden import find_cases
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Processor

from hf_ssl import Data2Vec2AudioConfig, Data2Vec2AudioForCTC, Data2Vec2AudioForPreTraining, Data2Vec2AudioModel
from hf_ssl.conversion import convert_checkpoint, convert_to_fairseq, load_fairseq_checkpoint
from hf_ssl.conversion.data2vec2_options import pretraining_options
from hf_ssl.conversion.fairseq_dictionary import FairseqDictionary, make_tokenizer, read_dictionary

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 23,  # no multiple of the hidden size
    "conv_dim": (8, 8),
    "conv_kernel": (8, 4),
    "conv_stride": (4, 2),
    "num_conv_pos_embeddings": 2,
    "conv_pos_kernel_size": 3,
    "num_conv_pos_embedding_groups": 2,
    "decoder_hidden_size": 8,
    "decoder_num_layers": 2,
    "decoder_kernel_size": 3,
    "decoder_groups": 2,
    "average_top_k_layers": 2,
}


def assert_equal(actual: Any, expected: Any, place: str = "checkpoint") -> None:
    """Same keys, types, values, and for tensors shapes, data types and bits."""
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys(), place
        for key in expected:
            assert_equal(actual[key], expected[key], f"{place}.{key}")
    elif isinstance(expected, torch.Tensor):
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape), place
        assert torch.equal(actual, expected), place
    else:
        assert type(actual) is type(expected), place
        assert actual == expected, place


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def save_processor(folder: Path, vocab_size: int | None = None) -> None:
    feature_extractor = Wav2Vec2FeatureExtractor(sampling_rate=8000, do_normalize=True)
    if vocab_size is None:
        feature_extractor.save_pretrained(folder)
    else:
        tokenizer = make_tokenizer(FairseqDictionary(SYMBOLS[:vocab_size], [1] * vocab_size))
        Wav2Vec2Processor(feature_extractor=feature_extractor, tokenizer=tokenizer).save_pretrained(folder)


CONVERTED = {
    ("data2vec1-audio", ""),
    ("data2vec2", "AUDIO"),
    ("data2vec2", "IMAGE"),
    ("finetuned", "wav2vec_ctc of data2vec1"),
    ("finetuned", "wav2vec_ctc of data2vec2"),
    ("finetuned", "mae_image_classification"),
}
GOLDEN = [case for case in find_cases([]) if case.kind in CONVERTED]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.folder.name)
def test_a_golden_checkpoint_comes_back_whole(case: Any, tmp_path: Path) -> None:
    dictionary = None
    if case.kind[1].startswith("wav2vec_ctc"):
        dictionary = tmp_path / "given.txt"
        dictionary.write_text("".join(f"{symbol} 3\n" for symbol in "|abcdefghijklmnopqrstuvwxyz'"))
    convert_checkpoint(case.folder / "checkpoint.pt", tmp_path / "folder", dictionary=dictionary)
    back = convert_to_fairseq(tmp_path / "folder", tmp_path / "back" / "checkpoint.pt")
    assert_equal(load(back), load(case.folder / "checkpoint.pt"))
    if dictionary is not None:
        assert (tmp_path / "back" / "dict.ltr.txt").read_text() == dictionary.read_text()


@pytest.mark.parametrize("layout", sorted(name for name in LAYOUTS if "pre-norm" not in name))
def test_every_layout_comes_back_whole(layout: str, tmp_path: Path) -> None:
    path = Original(**LAYOUTS[layout]).save(tmp_path / "checkpoint.pt")
    back = convert_to_fairseq(convert_checkpoint(path, tmp_path / "folder"), tmp_path / "back.pt")
    assert_equal(load(back), load(path))


def test_half_precision_comes_back_as_such(tmp_path: Path) -> None:
    original = Original()
    for name in original.student:
        original.student[name] = original.student[name].half()
    path = original.save(tmp_path / "checkpoint.pt")
    folder = convert_checkpoint(path, tmp_path / "folder")
    model = Data2Vec2AudioForPreTraining.from_pretrained(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert_equal(load(convert_to_fairseq(folder, tmp_path / "back.pt")), load(path))
    with torch.no_grad():  # a value that float16 does not hold
        model.data2vec2_audio.trunk.layers[0].mlp.fc1.bias.fill_(1 / 3)
    model.save_pretrained(folder)
    weights = load(convert_to_fairseq(folder, tmp_path / "trained.pt"))["model"]
    assert weights["blocks.0.mlp.fc1.bias"].dtype == torch.float32
    assert torch.equal(weights["blocks.0.mlp.fc1.bias"], model.data2vec2_audio.trunk.layers[0].mlp.fc1.bias)


def test_a_checkpoint_without_teacher_comes_back_without(tmp_path: Path) -> None:
    original = Original()
    original.teacher = None
    path = original.save(tmp_path / "checkpoint.pt")
    back = convert_to_fairseq(convert_checkpoint(path, tmp_path / "folder"), tmp_path / "back.pt")
    assert_equal(load(back), load(path))


def test_a_dictionary_in_the_checkpoint_comes_back_as_a_file(tmp_path: Path) -> None:
    original = OriginalCTC()
    path = original.save_with_dictionary(tmp_path / "checkpoint.pt")
    back = convert_to_fairseq(convert_checkpoint(path, tmp_path / "folder"), tmp_path / "back" / "back.pt")
    assert_equal(load(back), original.state())  # `task_state` is empty in it
    dictionary = read_dictionary(tmp_path / "back" / "dict.ltr.txt")
    assert dictionary.symbols == SYMBOLS
    assert dictionary.counts[4:] == tuple(range(4, len(SYMBOLS)))


def test_what_is_no_plain_data_is_named_and_left_out(tmp_path: Path) -> None:
    original = Original()
    state = original.state()
    state["extra_state"]["metrics"] = {"train": [(0, "loss", 1.5)], "best": np.float64(1.5)}
    state["last_optimizer_state"] = {"state": {0: {"exp_avg": torch.zeros(3)}}}
    torch.save(state, tmp_path / "checkpoint.pt")
    folder = convert_checkpoint(tmp_path / "checkpoint.pt", tmp_path / "folder")
    assert "'last_optimizer_state'" in (folder / "README.md").read_text()
    assert "'extra_state.metrics.train[0]'" in (folder / "README.md").read_text()
    assert "'extra_state.metrics.best'" in (folder / "README.md").read_text()
    back = load(convert_to_fairseq(folder, tmp_path / "back.pt"))
    assert back["last_optimizer_state"] is None
    assert back["extra_state"] == {"epoch": 3, "val_loss": 0.5, "metrics": {"train": []}}


def test_a_changed_configuration_is_entered(tmp_path: Path) -> None:
    original = Original(model={"min_target_var": 0.2})  # which our configuration does not have
    folder = convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "folder")
    model = Data2Vec2AudioForPreTraining.from_pretrained(folder, layerdrop=0.25)
    model.update_teacher()
    model.save_pretrained(folder)
    state = load(convert_to_fairseq(folder, tmp_path / "back.pt"))
    expected = make_options(model={"layerdrop": 0.25, "min_target_var": 0.2})
    assert_equal(state["cfg"], expected)
    assert state["optimizer_history"] == [{"optimizer_name": "CompositeOptimizer", "num_updates": 1235}]


def test_a_changed_recogniser_is_entered(tmp_path: Path) -> None:
    original = OriginalCTC(finetuning={"freeze_finetune_updates": 5})
    folder = convert_checkpoint(original.save_with_dictionary(tmp_path / "checkpoint.pt"), tmp_path / "folder")
    model = Data2Vec2AudioForCTC.from_pretrained(folder, mask_time_prob=0.25, ctc_zero_infinity=False)
    model.save_pretrained(folder)
    cfg = load(convert_to_fairseq(folder, tmp_path / "out" / "back.pt"))["cfg"]
    expected = make_finetuning_options(
        finetuning={"freeze_finetune_updates": 5, "mask_prob": 0.25},
        audio={"mask_prob": 0.25},
        criterion={"zero_infinity": False},
    )
    assert_equal(cfg, expected)


# models without an original


def test_a_model_trained_here_converts_there_and_back(tmp_path: Path) -> None:
    model = Data2Vec2AudioForPreTraining(Data2Vec2AudioConfig(**TINY))
    model.update_teacher()
    model.save_pretrained(tmp_path / "model")
    save_processor(tmp_path / "model")
    path = convert_to_fairseq(tmp_path / "model", tmp_path / "checkpoint.pt")
    checkpoint = load_fairseq_checkpoint(path)
    assert checkpoint.num_updates == 1
    assert checkpoint.config["task"]["sample_rate"] == 8000
    again = Data2Vec2AudioForPreTraining.from_pretrained(convert_checkpoint(path, tmp_path / "again"))
    assert_equal(dict(again.state_dict()), dict(model.state_dict()))
    fields, first = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("again", "model"))
    assert fields == first | {"convolve_padding": True, "norm_targets_over_padding": True}


def test_a_recogniser_trained_here_converts_there_and_back(tmp_path: Path) -> None:
    options = TINY | {
        "vocab_size": len(SYMBOLS),
        "mask_time_prob": 0.5,
        "mask_time_length": 4,
        "mask_time_min_masks": 1,
    }
    model = Data2Vec2AudioForCTC(Data2Vec2AudioConfig(**options))
    model.save_pretrained(tmp_path / "model")
    save_processor(tmp_path / "model", len(SYMBOLS))
    path = convert_to_fairseq(tmp_path / "model", tmp_path / "out" / "checkpoint.pt")
    again = convert_checkpoint(path, tmp_path / "again", dictionary=path.with_name("dict.ltr.txt"))
    restored = Data2Vec2AudioForCTC.from_pretrained(again)
    assert_equal(dict(restored.state_dict()), dict(model.state_dict()))
    assert restored.config.mask_time_prob == 0.5
    assert restored.config.layerdrop == model.config.layerdrop


@pytest.mark.parametrize("intermediate_size", [1, 23, 767, 1536, 2047, 3071, 3072])
@pytest.mark.parametrize("hidden_size", [16, 48, 768, 1024])
def test_the_ratio_gives_the_very_size(hidden_size: int, intermediate_size: int) -> None:
    config = Data2Vec2AudioConfig(hidden_size=hidden_size, intermediate_size=intermediate_size, num_attention_heads=8)
    assert int(hidden_size * pretraining_options(config)["mlp_ratio"]) == intermediate_size


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_act", "relu"),
        ("conv_bias", True),
        ("pre_norm_drops_residual", False),
        ("target_layer_norms", ("layer", "instance")),
    ],
)
def test_what_the_original_does_not_have_is_named(field: str, value: Any, tmp_path: Path) -> None:
    pre_norm = {"layer_norm_first": field == "pre_norm_drops_residual"}
    config = Data2Vec2AudioConfig(**TINY | pre_norm | {field: value})
    Data2Vec2AudioForPreTraining(config).save_pretrained(tmp_path / "model")
    save_processor(tmp_path / "model")
    with pytest.raises(ValueError, match=f"no option for .*{field} = "):
        convert_to_fairseq(tmp_path / "model", tmp_path / "checkpoint.pt")
    assert not (tmp_path / "checkpoint.pt").exists()


# what cannot be written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return convert_checkpoint(Original().save(tmp_path / "checkpoint.pt"), tmp_path / "folder")


def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    content = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError, match="exists already"):
        convert_to_fairseq(folder, tmp_path / "checkpoint.pt")
    assert (tmp_path / "checkpoint.pt").read_bytes() == content


def test_the_dictionary_beside_it_is_not_overwritten(tmp_path: Path) -> None:
    path = OriginalCTC().save_with_dictionary(tmp_path / "checkpoint.pt")
    recogniser = convert_checkpoint(path, tmp_path / "folder")
    (tmp_path / "dict.ltr.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"dict\.ltr\.txt.*exists already"):
        convert_to_fairseq(recogniser, tmp_path / "back.pt")
    assert (tmp_path / "dict.ltr.txt").read_text() == "mine"
    assert not (tmp_path / "back.pt").exists()


def test_an_interrupted_write_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(state: Any, stream: Any) -> None:
        stream.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_to_fairseq(folder, tmp_path / "out" / "back.pt")
    assert list((tmp_path / "out").iterdir()) == []


def test_folders_of_other_kinds(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        convert_to_fairseq(tmp_path, tmp_path / "back.pt")
    Data2Vec2AudioModel(Data2Vec2AudioConfig(**TINY)).save_pretrained(tmp_path / "encoder")
    save_processor(tmp_path / "encoder")
    with pytest.raises(ValueError, match="holds Data2Vec2AudioModel"):
        convert_to_fairseq(tmp_path / "encoder", tmp_path / "back.pt")


def test_an_incomplete_folder_is_not_filled_with_noise(folder: Path, tmp_path: Path) -> None:
    model = Data2Vec2AudioForPreTraining.from_pretrained(folder)
    weights = {name: tensor for name, tensor in model.state_dict().items() if name[0] != "t" and "fc1" not in name}
    model.save_pretrained(folder, state_dict=weights)
    with pytest.raises(ValueError, match=r"missing: .*data2vec2_audio\.trunk\.layers\.0\.mlp\.fc1\.bias"):
        convert_to_fairseq(folder, tmp_path / "back.pt")


def test_a_recogniser_without_tokenizer(tmp_path: Path) -> None:
    Data2Vec2AudioForCTC(Data2Vec2AudioConfig(**TINY)).save_pretrained(tmp_path / "model")
    save_processor(tmp_path / "model")
    with pytest.raises(ValueError, match="no tokenizer"):
        convert_to_fairseq(tmp_path / "model", tmp_path / "back.pt")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "dictionary": {"symbols": 1, "counts": []}}']
)
def test_a_damaged_record_is_an_error(content: str, folder: Path, tmp_path: Path) -> None:
    (folder / "fairseq.json").write_text(content)
    with pytest.raises(ValueError, match=r"fairseq\.json.*is no record"):
        convert_to_fairseq(folder, tmp_path / "back.pt")


def test_the_record_of_another_kind_of_model_is_an_error(folder: Path, tmp_path: Path) -> None:
    Data2Vec2AudioForCTC.from_pretrained(folder).save_pretrained(folder)
    with pytest.raises(ValueError, match=r"fairseq\.json in the folder belongs to another kind of model"):
        convert_to_fairseq(folder, tmp_path / "back.pt")


def test_without_the_record_it_is_made_of_the_configuration(folder: Path, tmp_path: Path) -> None:
    (folder / "fairseq.json").unlink()
    back, first = load(convert_to_fairseq(folder, tmp_path / "back.pt")), load(tmp_path / "checkpoint.pt")
    assert_equal(back["model"], first["model"])
    options = first["cfg"]["model"]
    for name, value in options.items():
        if name != "modalities":
            assert back["cfg"]["model"][name] == value, name
    audio = back["cfg"]["model"]["modalities"]["audio"]
    for name, value in options["modalities"]["audio"].items():
        if name != "feature_encoder_spec":  # written out without factors
            assert audio[name] == value, name
