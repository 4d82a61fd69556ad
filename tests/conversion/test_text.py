# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Text: checkpoints of models made here go to fairseq and come back; tokenizers give the original's numbers."""

import json
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import pytest
import regex
import torch
from transformers import AutoTokenizer

from hf_ssl import Data2Vec2TextForPreTraining, Data2Vec2TextForSequenceClassification
from hf_ssl.cli import main
from hf_ssl.conversion import convert_checkpoint, convert_to_fairseq
from hf_ssl.conversion.fairseq_dictionary import read_dictionary
from hf_ssl.conversion.roberta_tokenizer import make_roberta_tokenizer, read_byte_pair_encoding
from hf_ssl.training.model_sizes import data2vec2_text_config

# GPT-2's division of a text into words, and RoBERTa's ids of special tokens.
WORDS = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("Ġ", "a"), ("e", "r"), ("Ã", "©"), ("in", "g")]
TEXTS = ["the theatre", "in the thing's  end,\n\n a café 123", "ÿ日本 \t the", "TheThe!!!", " a"]


@lru_cache
def byte_characters() -> dict[int, str]:
    """How GPT-2's files write bytes: printable ones as they are, the others as the characters from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}


@pytest.fixture
def bpe_folder(tmp_path: Path) -> Path:
    """GPT-2's files at small size; the numbers are not in the order of the merges."""
    folder = tmp_path / "bpe"
    folder.mkdir()
    tokens = [*byte_characters().values(), *("".join(pair) for pair in MERGES), "<|endoftext|>"]
    encoder = {token: (7 * number) % len(tokens) for number, token in enumerate(tokens)}
    assert len(set(encoder.values())) == len(tokens)
    (folder / "encoder.json").write_text(json.dumps(encoder))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in MERGES), ""]
    (folder / "vocab.bpe").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def dictionary(tmp_path: Path, bpe_folder: Path) -> Path:
    """fairseq's dict.txt: GPT-2's numbers by frequency, and a word that fills it up."""
    numbers = sorted(json.loads((bpe_folder / "encoder.json").read_text()).values(), key=lambda number: -number % 17)
    path = tmp_path / "dict.txt"
    path.write_text("".join(f"{number} {1000 - number}\n" for number in numbers) + "madeupword0000 0\n")
    return path


def encode_like_fairseq(text: str, bpe_folder: Path, dictionary: Path) -> list[int]:
    """By the definitions: bytes of each word, merged by rank; GPT-2's number; the line of the dictionary behind `<s>`,
    `<pad>`, `</s>` and `<unk>`; between `<s>` and `</s>`."""
    encoder = json.loads((bpe_folder / "encoder.json").read_text())
    symbols = [line.split()[0] for line in dictionary.read_text().splitlines()]
    ids = []
    for word in WORDS.findall(text):
        tokens = [byte_characters()[byte] for byte in word.encode()]
        while ranked := [MERGES.index(pair) for pair in pairwise(tokens) if pair in MERGES]:
            first, second = MERGES[min(ranked)]
            merged: list[str] = []
            while tokens:
                is_pair = tokens[:2] == [first, second]
                merged.append("".join(tokens[:2]) if is_pair else tokens[0])
                tokens = tokens[2 if is_pair else 1 :]
            tokens = merged
        ids += [4 + symbols.index(str(encoder[token])) for token in tokens]
    return [0, *ids, 2]


def write_checkpoint(folder: Path, path: Path, model_class: type = Data2Vec2TextForPreTraining, **fields) -> Path:
    """A checkpoint of a tiny model in the original's layout."""
    torch.manual_seed(0)
    num_tokens = len(byte_characters()) + len(MERGES) + 1 + 1 + 4 + 1  # <|endoftext|>, made up, special, <mask>
    model = model_class(data2vec2_text_config("tiny", vocab_size=num_tokens, **fields))
    model.save_pretrained(folder)
    return convert_to_fairseq(folder, path)


def test_ids_are_the_originals(tmp_path: Path, bpe_folder: Path, dictionary: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "ours", tmp_path / "checkpoint.pt")
    folder = convert_checkpoint(
        checkpoint, tmp_path / "converted", dictionary=dictionary, byte_pair_encoding=bpe_folder
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert type(tokenizer).__name__ == "RobertaTokenizer"
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert ids == encode_like_fairseq(text, bpe_folder, dictionary)
        assert tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) == text
    pair = tokenizer("the", " a")["input_ids"]  # <s> first </s></s> second </s>
    first, second = (encode_like_fairseq(text, bpe_folder, dictionary) for text in ("the", " a"))
    assert pair == [*first, 2, *second[1:]]
    assert tokenizer.model_max_length == 64
    assert tokenizer.mask_token_id == len(tokenizer) - 1
    padded = tokenizer(["the", "a the thing"], padding=True, return_tensors="pt")
    model = Data2Vec2TextForPreTraining.from_pretrained(folder)
    assert torch.isfinite(model(**padded).loss)


def test_command_line(tmp_path: Path, bpe_folder: Path, dictionary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(write_checkpoint(tmp_path / "ours", tmp_path / "checkpoint.pt"))
    files = ["--dictionary", str(dictionary), "--bpe", str(bpe_folder)]
    assert main(["convert", checkpoint, str(tmp_path / "converted"), *files]) == 0
    assert (tmp_path / "converted" / "tokenizer.json").is_file()
    assert "FOLDER_OR_REPOSITORY" in (tmp_path / "converted" / "README.md").read_text()
    assert main(["convert", checkpoint, str(tmp_path / "other"), *files[:2]]) == 1
    assert "give both the dictionary" in capsys.readouterr().err
    assert main(["convert", "--to", "fairseq", str(tmp_path / "converted"), str(tmp_path / "back.pt"), *files]) == 1
    assert "have no use with --to fairseq" in capsys.readouterr().err


def test_without_a_tokenizer_the_card_says_so(tmp_path: Path) -> None:
    folder = convert_checkpoint(write_checkpoint(tmp_path / "ours", tmp_path / "a.pt"), tmp_path / "converted")
    assert "no tokenizer" in (folder / "README.md").read_text()
    assert not (folder / "tokenizer.json").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: lines[:-2], "but the model has 271 tokens"),
        (lambda lines: [*lines[1:], "madeupword0001 0"], "1 tokens of encoder.json are not in the dictionary"),
        (lambda lines: ["one 1", *lines[1:-1], lines[1]], "more than once"),
        (lambda lines: [f"word{number} 1" for number in range(len(lines))], "No symbol of the dictionary is a number"),
        (lambda lines: [*lines[:-1], "the 1"], "names in common"),
    ],
)
def test_dictionaries_that_do_not_fit(bpe_folder: Path, dictionary: Path, damage, message: str) -> None:
    dictionary.write_text("\n".join(damage(dictionary.read_text().splitlines())) + "\n")
    with pytest.raises(ValueError, match=message):
        make_roberta_tokenizer(
            read_dictionary(dictionary), read_byte_pair_encoding(bpe_folder), vocab_size=271, model_max_length=64
        )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("encoder.json", "{", "is no JSON"),
        ("encoder.json", '{"a": 0, "b": 0}', "each number once"),
        ("encoder.json", '{"a": "b"}', "must map tokens to numbers"),
        ("vocab.bpe", "#version: 0.2\nt h e\n", "two tokens in line 2"),
        ("vocab.bpe", "q u\n", "merges tokens that encoder.json does not have: 'qu'"),
    ],
)
def test_damaged_files_of_byte_pairs(bpe_folder: Path, name: str, text: str, message: str) -> None:
    (bpe_folder / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_byte_pair_encoding(bpe_folder)
    (bpe_folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        read_byte_pair_encoding(bpe_folder)


# to fairseq and back


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"teacher_scope": "model", "num_prenet_layers": 1, "prenet_dropout": 0.1, "mask_length": 3},
        {"use_alibi": True, "learn_alibi_scale": True, "layer_norm_first": True, "pre_norm_drops_residual": True},
        {
            "decoder_num_projections": 1,
            "target_layer_norms": ["layer"],
            "target_norms": ["instance"],
            "loss_beta": 4,
        },
    ],
    ids=["published", "whole-model teacher", "pre-norm with ALiBi", "large"],
)
def test_own_model_goes_and_comes_back(tmp_path: Path, fields: dict) -> None:
    checkpoint = write_checkpoint(tmp_path / "ours", tmp_path / "checkpoint.pt", **fields)
    folder = convert_checkpoint(checkpoint, tmp_path / "converted")
    ours = Data2Vec2TextForPreTraining.from_pretrained(tmp_path / "ours")
    back = Data2Vec2TextForPreTraining.from_pretrained(folder)
    assert set(back.state_dict()) == set(ours.state_dict())
    assert all(torch.equal(tensor, back.state_dict()[name]) for name, tensor in ours.state_dict().items())
    # what the original has no option for is set as it behaves
    behaviour = {"mask_padding": ours.config.mask_length == 1} | dict.fromkeys(
        ("convolve_padding", "norm_targets_over_padding"), True
    )
    changed = {
        name: value for name, value in back.config.to_diff_dict().items() if value != ours.config.to_dict()[name]
    }
    assert {name: value for name, value in changed.items() if name in behaviour} == {
        name: value for name, value in behaviour.items() if value
    }
    assert set(changed) <= {*behaviour, "pre_norm_drops_residual", "target_layer_norms", "target_norms"}


def test_own_classifier_goes_and_comes_back(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(
        tmp_path / "ours", tmp_path / "checkpoint.pt", Data2Vec2TextForSequenceClassification, num_labels=1,
        problem_type="regression", classifier_dropout=0.2,
    )  # fmt: skip
    folder = convert_checkpoint(checkpoint, tmp_path / "converted")
    ours = Data2Vec2TextForSequenceClassification.from_pretrained(tmp_path / "ours")
    back = Data2Vec2TextForSequenceClassification.from_pretrained(folder)
    assert all(torch.equal(tensor, back.state_dict()[name]) for name, tensor in ours.state_dict().items())
    assert (back.config.problem_type, back.num_labels, back.config.classifier_dropout) == ("regression", 1, 0.2)
    assert "drops" not in (folder / "README.md").read_text()  # no option was left out


def test_options_that_the_original_would_drop_are_told(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(
        tmp_path / "ours", tmp_path / "checkpoint.pt", Data2Vec2TextForSequenceClassification, num_labels=3
    )
    state = torch.load(checkpoint, weights_only=True)
    pretrained = state["cfg"]["model"]["pretrained_model_args"]
    pretrained["dataset"] = {"num_workers": 1}  # no part of a model
    pretrained["model"]["modalities"]["image"] = {"patch_size": 16}  # nor is another modality
    pretrained["model"]["modalities"]["text"]["of_a_fork"] = 3
    state["cfg"]["model"]["from_later"] = True
    torch.save(state, tmp_path / "changed.pt")
    card = (convert_checkpoint(tmp_path / "changed.pt", tmp_path / "converted") / "README.md").read_text()
    assert "'from_later': True; 'of_a_fork': 3." in card
    assert "num_workers" not in card
    assert "patch_size" not in card


def test_checkpoint_without_teacher_gets_a_copy(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "ours", tmp_path / "checkpoint.pt")
    state = torch.load(checkpoint, weights_only=True)
    del state["model"]["_ema"]
    torch.save(state, tmp_path / "student.pt")
    model = Data2Vec2TextForPreTraining.from_pretrained(convert_checkpoint(tmp_path / "student.pt", tmp_path / "out"))
    student = model.data2vec2_text.trunk.state_dict()
    assert all(torch.equal(tensor, student[name]) for name, tensor in model.teacher.trunk.state_dict().items())


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("text", "learned_pos", False),
        ("text", "layernorm_embedding", False),
        ("text", "num_extra_tokens", 1),
        ("model", "cls_loss", 0.1),
    ],
)
def test_options_without_counterpart_are_refused(tmp_path: Path, section: str, option: str, value) -> None:
    state = torch.load(write_checkpoint(tmp_path / "ours", tmp_path / "checkpoint.pt"), weights_only=True)
    model = state["cfg"]["model"]
    (model if section == "model" else model["modalities"]["text"])[option] = value
    torch.save(state, tmp_path / "changed.pt")
    with pytest.raises(ValueError, match=f"no counterpart here: {option} = {value}"):
        convert_checkpoint(tmp_path / "changed.pt", tmp_path / "out")


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = torch.load(write_checkpoint(tmp_path / "ours", tmp_path / "checkpoint.pt"), weights_only=True)
    del state["model"]["modality_encoders.TEXT.local_encoder.embed_tokens.weight"]
    state["model"]["something.else"] = torch.zeros(1)
    torch.save(state, tmp_path / "changed.pt")
    with pytest.raises(ValueError, match=r"not known: \['something.else'\].* missing .*word_embeddings"):
        convert_checkpoint(tmp_path / "changed.pt", tmp_path / "out")


def test_models_with_other_special_tokens_do_not_go_to_fairseq(tmp_path: Path) -> None:
    Data2Vec2TextForPreTraining(data2vec2_text_config("tiny", pad_token_id=0, bos_token_id=1)).save_pretrained(
        tmp_path
    )
    with pytest.raises(ValueError, match="pad_token_id = 0"):
        convert_to_fairseq(tmp_path, tmp_path / "checkpoint.pt")
