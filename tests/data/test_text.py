# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Text: sources, packing, and the collator that owns masks."""

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerBase, RobertaTokenizer

from hf_ssl import Data2VecTextForPreTraining
from hf_ssl.data.collators_text import DataCollatorForData2Vec2Text, DataCollatorForData2VecText
from hf_ssl.data.text import PackedTextDataset, iterate_texts, load_text_sources
from hf_ssl.models.masking import row_positions
from hf_ssl.training.model_sizes import data2vec2_text_config, data2vec_text_config
from hf_ssl.training.text_tokenizers import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer(["abc abd abe"] * 3, vocab_size=264, model_max_length=64)


def texts_of(sources: list[Path], **options) -> list[str]:
    return list(iterate_texts(load_text_sources([str(source) for source in sources], **options)))


# sources


def test_files_folders_and_splits(tmp_path: Path) -> None:
    (tmp_path / "train" / "deep").mkdir(parents=True)
    (tmp_path / "train" / "a.txt").write_text("one\n\n  \ntwo\n")
    rows = [{"text": "three", "id": 1}, {"text": "", "id": 2}]
    (tmp_path / "train" / "deep" / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "c.csv").write_text('text,label\n"four, five",0\n')
    assert texts_of([tmp_path / "c.csv", tmp_path]) == ["four, five", "one", "two", "three"]
    assert texts_of([tmp_path / "train" / "a.txt"]) == ["one", "two"]


def test_units_of_text_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\n")
    assert texts_of([tmp_path / "a.txt"], text_unit="paragraph") == ["one\ntwo", "three\n"]
    assert texts_of([tmp_path / "a.txt"], text_unit="document") == ["one\ntwo\n\nthree\n"]


def test_other_column(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"content": "one"}\n')
    table = load_text_sources([str(tmp_path / "a.jsonl")], text_column="content")
    assert list(iterate_texts(table, "content")) == ["one"]


def test_bad_sources(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": 3}\n')
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.doc").write_text("one")
    with pytest.raises(ValueError, match="at least one file, folder or Hub data set"):
        load_text_sources([])
    with pytest.raises(ValueError, match=r"has no \.txt"):
        load_text_sources([str(tmp_path / "empty")])
    with pytest.raises(ValueError, match="There is no file or folder"):
        load_text_sources([str(tmp_path / "missing.txt")])
    with pytest.raises(ValueError, match=r"Expected a .txt, .* file, got .*a.doc"):
        load_text_sources([str(tmp_path / "a.doc")])
    with pytest.raises(ValueError, match="Expected texts in the column 'text', got 3"):
        texts_of([tmp_path / "a.jsonl"])


# packing


def write_numbers(path: Path, count: int) -> list[str]:
    lines = [f"abc {number} abd" for number in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return lines


def make_dataset(path: Path, tokenizer: PreTrainedTokenizerBase, **options) -> PackedTextDataset:
    return PackedTextDataset(
        load_text_sources([str(path)]),
        tokenizer,
        **({"block_size": 16, "seed": 0, "shuffle_buffer_size": 0} | options),
    )


def test_blocks_are_the_running_text(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    lines = write_numbers(tmp_path / "a.txt", 500)  # more than are tokenised at once
    blocks = [item["input_ids"] for item in make_dataset(tmp_path / "a.txt", tokenizer)]
    assert all(len(block) == 16 and block[0] == tokenizer.bos_token_id for block in blocks[:-1])
    assert 1 < len(blocks[-1]) <= 16
    stream = [number for block in blocks for number in block[1:]]
    expected = [number for line in lines for number in [*tokenizer(line)["input_ids"][1:-1], tokenizer.eos_token_id]]
    assert stream == expected


def test_shuffling_is_of_blocks_and_a_function_of_the_seed(tmp_path, tokenizer) -> None:
    write_numbers(tmp_path / "a.txt", 60)
    in_order = [tuple(item["input_ids"]) for item in make_dataset(tmp_path / "a.txt", tokenizer)]
    dataset = make_dataset(tmp_path / "a.txt", tokenizer, shuffle_buffer_size=8)
    shuffled = [tuple(item["input_ids"]) for item in dataset]
    assert list(dataset) == list(dataset)
    assert sorted(shuffled) == sorted(in_order)
    assert shuffled != in_order
    other_seed = make_dataset(tmp_path / "a.txt", tokenizer, shuffle_buffer_size=8, seed=1)
    assert [tuple(item["input_ids"]) for item in other_seed] != shuffled


def test_endless_stream_begins_anew_with_another_order_and_other_masks(tmp_path, tokenizer) -> None:
    write_numbers(tmp_path / "a.txt", 60)
    num_blocks = sum(1 for _ in make_dataset(tmp_path / "a.txt", tokenizer))
    endless = make_dataset(tmp_path / "a.txt", tokenizer, shuffle_buffer_size=8, endless=True)
    items = list(islice(endless, 2 * num_blocks))
    first, second = items[:num_blocks], items[num_blocks:]
    assert sorted(item["input_ids"] for item in first) == sorted(item["input_ids"] for item in second)
    assert [item["input_ids"] for item in first] != [item["input_ids"] for item in second]
    assert not {item["seed"] for item in first} & {item["seed"] for item in second}


def test_nothing_to_pack(tmp_path, tokenizer) -> None:
    (tmp_path / "a.txt").write_text("\n \n")
    with pytest.raises(RuntimeError, match="no text"):
        list(make_dataset(tmp_path / "a.txt", tokenizer, endless=True))
    with pytest.raises(ValueError, match="at least 2 tokens"):
        make_dataset(tmp_path / "a.txt", tokenizer, block_size=1)
    bare = RobertaTokenizer(vocab={"a": 0, "<s>": 1, "</s>": 2, "<unk>": 3}, merges=[], pad_token=None)
    with pytest.raises(ValueError, match="and a padding token"):
        make_dataset(tmp_path / "a.txt", bare)


# tokenizer


def test_trained_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]) == [0, 1, 2, 3, 4]
    assert len(tokenizer) == 264
    text = "abc  日本 ÿ"
    ids = tokenizer(text)["input_ids"]
    assert (ids[0], ids[-1]) == (0, 2)
    assert 3 not in ids  # every byte is a token
    assert tokenizer.decode(ids[1:-1], clean_up_tokenization_spaces=False) == text
    assert len(tokenizer("abc")["input_ids"]) < 5  # something was learned


def test_tokenizers_that_cannot_be_trained() -> None:
    with pytest.raises(ValueError, match="at least 261 tokens"):
        train_tokenizer(["abc"], vocab_size=260, model_max_length=64)
    with pytest.raises(ValueError, match="nothing to learn tokens from"):
        train_tokenizer([], vocab_size=300, model_max_length=64)


# collator


def test_batch() -> None:
    collator = DataCollatorForData2Vec2Text(data2vec2_text_config("tiny"))
    items = [{"input_ids": list(range(4, 24)), "seed": 5}, {"input_ids": [4, 5, 6, 7, 8], "seed": 6}]
    batch = collator(items)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, 20)
    assert batch["input_ids"][1].tolist() == [4, 5, 6, 7, 8] + [1] * 15
    assert batch["attention_mask"].sum(-1).tolist() == [20, 5]
    masks = batch["mask_time_indices"]
    assert masks.sum(-1).tolist() == [[10, 10], [3, 3]]
    assert not masks[1, :, 5:].any()
    assert torch.equal(batch["labels"] != -100, masks)
    alone = collator(items[1:])["mask_time_indices"]  # a mask does not depend on its batch
    assert torch.equal(alone[0], masks[1, :, :5])


def test_masks_on_padding() -> None:
    collator = DataCollatorForData2Vec2Text(data2vec2_text_config("tiny", mask_padding=True))
    batch = collator([{"input_ids": list(range(4, 24)), "seed": 5}, {"input_ids": [4, 5], "seed": 6}])
    assert batch["mask_time_indices"].sum(-1).tolist() == [[10, 10], [10, 10]]
    assert batch["attention_mask"].sum(-1).tolist() == [20, 2]


@pytest.mark.parametrize("length", [0, 65])
def test_texts_of_impossible_length(length: int) -> None:
    with pytest.raises(ValueError, match=f"texts of 1 to 64 tokens .* got one of {length}"):
        DataCollatorForData2Vec2Text(data2vec2_text_config("tiny"))([{"input_ids": [4] * length, "seed": 0}])


# data2vec


def test_data2vec_collator_masks_spans_by_the_items_seed() -> None:
    config = data2vec_text_config("tiny")
    collate = DataCollatorForData2VecText(config, mask_token_id=4)
    texts = [list(range(5, 45)), list(range(50, 61))]
    batch = collate([{"input_ids": text, "seed": seed} for seed, text in enumerate(texts)])
    positions = batch.pop("predicted_positions")
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == dict.fromkeys(batch, (2, 40))
    assert positions.shape[1] % 5 == 0  # an eighth of the length
    assert batch["attention_mask"].sum(1).tolist() == [40, 11]
    masked = batch["labels"] != -100
    assert masked.any(1).all()
    assert not masked[1, 11:].any()
    assert torch.equal(positions, row_positions(masked, positions.shape[1]))
    assert (batch["input_ids"][masked] == 4).all()
    assert (batch["input_ids"][1, 11:] == config.pad_token_id).all()
    for row, text in enumerate(texts):
        restored = torch.where(masked, batch["labels"], batch["input_ids"])[row, : len(text)]
        assert restored.tolist() == text
    alone = collate([{"input_ids": texts[1], "seed": 1}])
    assert torch.equal(alone["labels"][0], batch["labels"][1, :11])
    output = Data2VecTextForPreTraining(config)(**batch)
    assert torch.equal(output.prediction_mask, masked)


def test_data2vec_collator_and_bad_items() -> None:
    config = data2vec_text_config("tiny")
    with pytest.raises(ValueError, match="a mask token from 0 to 299, got None"):
        DataCollatorForData2VecText(config, None)
    with pytest.raises(ValueError, match="a mask token from 0 to 299, got 300"):
        DataCollatorForData2VecText(config, 300)
    collate = DataCollatorForData2VecText(config, 4)
    with pytest.raises(ValueError, match="A text has the mask token, 4"):
        collate([{"input_ids": [5, 4], "seed": 0}])
    assert collate([{"input_ids": [5] * 64, "seed": 0}])["labels"].shape == (1, 64)
    with pytest.raises(ValueError, match="texts of 1 to 64 tokens"):
        collate([{"input_ids": [5] * 65, "seed": 0}])
