# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Conversion of fine-tuned recognisers: weights, options, and above all what the outputs mean."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conversion.original import SYMBOLS, OriginalCTC
from transformers import (
    AutoModelForCTC,
    AutoProcessor,
    AutoTokenizer,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2Processor,
    pipeline,
)

from hf_ssl import Data2Vec2AudioForCTC
from hf_ssl.conversion import convert_checkpoint
from hf_ssl.conversion.fairseq_dictionary import FairseqDictionary, dictionary_of, make_tokenizer, read_dictionary


def convert(original: OriginalCTC, folder: Path) -> Path:
    return convert_checkpoint(original.save_with_dictionary(folder / "checkpoint.pt"), folder / "out")


def test_every_weight_arrives_at_its_place(tmp_path: Path) -> None:
    original = OriginalCTC()
    model, info = AutoModelForCTC.from_pretrained(convert(original, tmp_path), output_loading_info=True)
    assert type(model) is Data2Vec2AudioForCTC
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert set(model.state_dict()) == set(original.expected)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.flatten(), original.expected[name].flatten()), name


def test_options_of_fine_tuning_become_fields(tmp_path: Path) -> None:
    config = AutoModelForCTC.from_pretrained(convert(OriginalCTC(), tmp_path)).config
    assert (config.mask_time_prob, config.mask_time_length, config.mask_time_min_masks) == (0.65, 4, 1)
    assert (config.mask_feature_prob, config.mask_feature_length) == (0.25, 6)
    assert (config.final_dropout, config.local_grad_scale) == (0.125, 0.0)
    assert config.apply_spec_augment
    assert config.ctc_zero_infinity
    assert config.mask_noise_std == 0.01
    assert (config.vocab_size, config.pad_token_id) == (len(SYMBOLS), 0)


@pytest.mark.parametrize(
    ("overrides", "field", "value"),
    [
        ({"finetuning": {"apply_mask": False}}, "apply_spec_augment", False),
        ({"audio": {"encoder_zero_mask": True}}, "mask_noise_std", 0.0),
        ({"audio": {"mask_prob": 0.0}}, "mask_time_prob", 0.0),
        ({"criterion": {"zero_infinity": False}}, "ctc_zero_infinity", False),
        ({"model": {"encoder_dropout": 0.3, "post_mlp_drop": 0.3}}, "hidden_dropout", 0.3),
        ({"audio": {"learned_alibi_scale": False}}, "learn_alibi_scale", False),
    ],
)
def test_an_option_sets_its_field(overrides: dict, field: str, value: Any, tmp_path: Path) -> None:
    config = AutoModelForCTC.from_pretrained(convert(OriginalCTC(**overrides), tmp_path)).config
    assert config.to_dict()[field] == value


def test_options_without_counterpart_are_listed_with_everything_else(tmp_path: Path) -> None:
    original = OriginalCTC(finetuning={"blank_weight": 2.0}, audio={"mask_dropout": 0.5, "num_extra_tokens": 1})
    del original.options["task"]["normalize"]
    original.weights["w2v_encoder.adapter.weight"] = torch.zeros(2)
    del original.weights["w2v_encoder.proj.bias"]
    with pytest.raises(ValueError, match="cannot be converted") as error:
        convert(original, tmp_path)
    for part in (
        "blank_weight = 2.0",
        "mask_dropout = 0.5",
        "num_extra_tokens = 1",
        "lacks options: 'normalize'",
        "not known: ['w2v_encoder.adapter.weight']",
        "missing (our names): ['lm_head.bias']",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_mask_option_does_not_matter_where_nothing_is_masked(tmp_path: Path) -> None:
    original = OriginalCTC(finetuning={"apply_mask": False}, audio={"mask_dropout": 0.5, "mask_length": 1})
    assert not AutoModelForCTC.from_pretrained(convert(original, tmp_path)).config.apply_spec_augment


def test_what_has_no_place_is_on_the_card(tmp_path: Path) -> None:
    original = OriginalCTC(finetuning={"freeze_finetune_updates": 10000}, criterion={"sentence_avg": True})
    original.options["model"]["w2v_args"]["model"]["modalities"]["audio"]["of_a_fork"] = "value"
    card = (convert(original, tmp_path) / "README.md").read_text()
    for part in ("freeze_finetune_updates: 10000", "sentence_avg: True", "'of_a_fork': 'value'"):
        assert part in card


# what outputs mean


@pytest.mark.parametrize("source", ["in the checkpoint", "in a file"])
def test_the_tokenizer_numbers_symbols_as_the_original(source: str, tmp_path: Path) -> None:
    original = OriginalCTC()
    if source == "in a file":
        file = original.write_dictionary(tmp_path / "dict.ltr.txt")
        out_dir = convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out", dictionary=file)
    else:
        out_dir = convert(original, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(out_dir)
    assert isinstance(tokenizer, Wav2Vec2CTCTokenizer)
    assert len(tokenizer) == len(SYMBOLS)
    for number, symbol in enumerate(SYMBOLS[2:], start=2):
        assert tokenizer.convert_tokens_to_ids(symbol) == number
    # the blank is number 0 there as here; transformers and pyctcdecode know it by the name <pad>
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("<pad>", 0)
    assert (tokenizer.bos_token, tokenizer.bos_token_id) == ("<s>", 1)
    assert tokenizer.word_delimiter_token_id == SYMBOLS.index("|")


def test_decoding(tmp_path: Path) -> None:
    processor = AutoProcessor.from_pretrained(convert(OriginalCTC(), tmp_path))
    assert isinstance(processor, Wav2Vec2Processor)
    e, t, a, boundary = (SYMBOLS.index(letter) for letter in ("E", "T", "A", "|"))
    assert processor.decode([0, t, t, 0, e, 0, e, a, boundary, 0, 0, a, t]) == "TEEA AT"
    assert processor(text="TEA AT").input_ids == [t, e, a, boundary, a, t]


def test_a_pipeline_recognises_with_the_folder(tmp_path: Path) -> None:
    original = OriginalCTC()
    original.weights["w2v_encoder.proj.weight"].zero_()
    original.weights["w2v_encoder.proj.bias"].zero_()
    original.weights["w2v_encoder.proj.bias"][SYMBOLS.index("A")] = 5.0
    recognise = pipeline("automatic-speech-recognition", model=str(convert(original, tmp_path)))
    assert recognise(torch.randn(4000).numpy())["text"] == "A"


def test_without_symbols_the_error_says_what_to_do(tmp_path: Path) -> None:
    path = OriginalCTC().save(tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"does not say what its outputs mean.*--dictionary dict\.ltr\.txt"):
        convert_checkpoint(path, tmp_path / "out")


def test_a_dictionary_of_another_model_is_an_error(tmp_path: Path) -> None:
    original = OriginalCTC()
    file = original.write_dictionary(tmp_path / "dict.ltr.txt")
    file.write_text(file.read_text() + "X 1\n")
    with pytest.raises(ValueError, match=r"has 10 symbols.*outputs of shape \(9,\)"):
        convert_checkpoint(original.save(tmp_path / "checkpoint.pt"), tmp_path / "out", dictionary=file)
    with pytest.raises(ValueError, match="has a dictionary of its own, and it differs"):
        convert_checkpoint(original.save_with_dictionary(tmp_path / "own.pt"), tmp_path / "out", dictionary=file)
    with pytest.raises(FileNotFoundError, match="no dictionary file"):
        convert_checkpoint(tmp_path / "checkpoint.pt", tmp_path / "out", dictionary=tmp_path / "none.txt")


def test_a_vocabulary_without_word_boundary_is_an_error(tmp_path: Path) -> None:
    symbols = (*SYMBOLS[:4], "ax", "bx", "cx")
    with pytest.raises(ValueError, match=r"no word boundary '\|'"):
        convert(OriginalCTC(symbols), tmp_path)


@pytest.mark.parametrize("w2v_args", [None, "a string", {}])
def test_without_the_students_configuration(w2v_args: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no section '(w2v_args|model)'"):
        convert(OriginalCTC(finetuning={"w2v_args": w2v_args}), tmp_path)


def test_a_student_of_another_family_is_an_error(tmp_path: Path) -> None:
    original = OriginalCTC(model={"_name": "wav2vec2"})
    with pytest.raises(ValueError, match=r"holds the model wav2vec_ctc of wav2vec2\. What can be converted so far"):
        convert(original, tmp_path)


# fairseq's dictionary


def test_reading_a_dictionary(tmp_path: Path) -> None:
    (tmp_path / "dict.ltr.txt").write_text("| 94802\nÄ 51860\na b 3\nmadeupword0000 0\n", encoding="utf-8")
    dictionary = read_dictionary(tmp_path / "dict.ltr.txt")
    assert dictionary.symbols == ("<s>", "<pad>", "</s>", "<unk>", "|", "Ä", "a b", "madeupword0000")
    assert dictionary.counts[4:] == (94802, 51860, 3, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, found ''"),
        (b"| 1\nE\n", "line 2, found 'E'"),
        (b"| 1\nE many\n", "line 2, found 'E many'"),
        (b"| 1\n\nE 1\n", "line 2"),
        (b"| 1\nE 1\nE 2\n", r"more than once: \['E'\]"),
        (b"| 1\n<pad> 2\n", r"more than once: \['<pad>'\]"),
        (b"| 1\nE 1 #fairseq:overwrite\n", "line 2"),
        (b"\xff\xfe| 1\n", "utf-8"),
    ],
)
def test_what_is_no_dictionary(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "dict.ltr.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_dictionary(tmp_path / "dict.ltr.txt")
    assert "is no dictionary of fairseq" in str(error.value)


def test_tokenizer_and_back() -> None:
    dictionary = FairseqDictionary(SYMBOLS, [1] * len(SYMBOLS))
    again = dictionary_of(make_tokenizer(dictionary), len(SYMBOLS))
    assert (again.symbols, again.counts) == (dictionary.symbols, dictionary.counts)
    with pytest.raises(ValueError, match="but the model has 12 outputs"):
        dictionary_of(make_tokenizer(dictionary), 12)
