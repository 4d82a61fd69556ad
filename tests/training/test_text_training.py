# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Training on text: the scripts end to end at tiny size, arguments, metrics."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training_helpers import QUICK, load_script, read_json
from transformers import AutoModelForPreTraining, AutoTokenizer, EvalPrediction, pipeline

from hf_ssl.training.glue import TASKS, GlueDataArguments, binary_f1, first_of_each_label, metrics_of
from hf_ssl.training.model_sizes import DATA2VEC2_TEXT_TINY, data2vec2_text_config
from hf_ssl.training.text_arguments import TextDataArguments, TextModelArguments

TINY = {name: value for name, value in DATA2VEC2_TEXT_TINY.items() if name != "vocab_size"}
WORDS = {"good": ["fine great nice", "lovely fine day", "great great"], "bad": ["awful poor", "sad awful day", "poor"]}


def write_text(path: Path, count: int = 300) -> Path:
    words = [word for texts in WORDS.values() for text in texts for word in text.split()]
    generator = np.random.default_rng(0)
    path.write_text("\n".join(" ".join(generator.choice(words, 6)) for _ in range(count)) + "\n")
    return path


def write_table(path: Path) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sentence", "label", "score"])
        writer.writerows([text, name, index] for name, texts in WORDS.items() for index, text in enumerate(texts))
    return path


def pretrain(text: Path, out: Path, *flags: str):
    common = ["--data", str(text), "--output_dir", str(out), "--block_size", "16", "--logging_steps", "1"]
    common += ["--per_device_train_batch_size", "4", *QUICK]
    return load_script("pretrain_text").main([*common, *flags])


NEW_MODEL = ["--model_size", "tiny", "--train_tokenizer", "280"]


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """A tiny model after an update, with its tokenizer."""
    out = tmp_path / "pretrained"
    pretrain(write_text(tmp_path / "text.txt"), out, *NEW_MODEL, "--max_steps", "1", "--save_strategy", "no")
    return out


def test_pretraining_and_what_it_logs_and_saves(tmp_path: Path) -> None:
    text = write_text(tmp_path / "text.txt")
    trainer = pretrain(
        text, tmp_path / "out", *NEW_MODEL, "--max_steps", "4", "--eval_data", str(text), "--save_strategy", "no"
    )
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logs) == 4
    for entry in logs:
        assert 0 < entry["masked_share"] < 1
        assert 0 <= entry["padding_share"] < 1
        assert entry["target_std"] > 0
        assert entry["tokens_per_second"] > 0
        assert "between_utterance_share" in entry
        assert "audio_seconds_per_second" not in entry
    model, tokenizer = (auto.from_pretrained(tmp_path / "out") for auto in (AutoModelForPreTraining, AutoTokenizer))
    assert int(model.teacher.num_updates) == 4
    assert model.config.vocab_size == len(tokenizer) <= 280
    assert read_json(tmp_path / "out" / "eval_results.json")["eval_loss"] > 0


def test_resumed_run_is_the_run_that_was_not_stopped(tmp_path: Path) -> None:
    text = write_text(tmp_path / "text.txt", count=40)  # about eight updates in one pass over the text
    flags = [*NEW_MODEL, "--max_steps", "12", "--save_steps", "9", "--gradient_accumulation_steps", "2"]
    whole = pretrain(text, tmp_path / "out", *flags)
    resumed = pretrain(text, tmp_path / "out", *flags, "--resume_from_checkpoint", str(tmp_path / "out/checkpoint-9"))
    losses = [[e["loss"] for e in run.state.log_history if "loss" in e] for run in (whole, resumed)]
    assert losses[0] == losses[1]
    for name, tensor in resumed.model.state_dict().items():
        assert torch.equal(tensor, whole.model.state_dict()[name]), name


def test_continuing_keeps_tokenizer_and_teacher(tmp_path: Path, pretrained: Path) -> None:
    text = write_text(tmp_path / "more.txt")
    out = tmp_path / "continued"
    trainer = pretrain(text, out, "--model_name_or_path", str(pretrained), "--max_steps", "1", "--save_strategy", "no")
    assert len(trainer.processing_class) == trainer.model.config.vocab_size
    assert (out / "tokenizer.json").read_bytes() == (pretrained / "tokenizer.json").read_bytes()


def test_blocks_longer_than_the_positions_are_an_error(tmp_path: Path) -> None:
    text = write_text(tmp_path / "text.txt")
    with pytest.raises(ValueError, match="--block_size 65 is longer than the model's 64 positions"):
        pretrain(text, tmp_path / "out", *NEW_MODEL, "--max_steps", "1", "--block_size", "65")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_size": "tiny"}, "exactly one of --tokenizer, --train_tokenizer, got none"),
        ({"train_tokenizer": 300}, "exactly one of --model_size"),
        ({"model_name_or_path": "m", "tokenizer": "t"}, "keeps the tokenizer"),
        ({"model_size": "tiny", "tokenizer": "t", "reset_teacher": True}, "--reset_teacher is for"),
    ],
)
def test_arguments_of_models(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextModelArguments(**arguments)


def test_other_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--data with at least one"):
        TextDataArguments()
    with pytest.raises(ValueError, match="give --max_steps"):
        pretrain(tmp_path, tmp_path / "out", *NEW_MODEL)


# GLUE


def finetune(pretrained: Path, table: Path, out: Path, *flags: str):
    files = [f"--{split}_file={table}" for split in ("train", "validation", "test")]
    common = ["--model_name_or_path", str(pretrained), *files, "--output_dir", str(out), "--save_strategy", "no"]
    common += ["--per_device_train_batch_size", "3", "--learning_rate", "1e-3", *QUICK]
    return load_script("finetune_glue").main([*common, *flags])


def test_classification_and_the_pipeline(tmp_path: Path, pretrained: Path) -> None:
    table = write_table(tmp_path / "table.csv")
    out = tmp_path / "out"
    trainer = finetune(pretrained, table, out, "--text_columns", "sentence", "--num_train_epochs", "2")
    assert trainer.state.global_step == 4
    for split in ("eval", "test"):
        assert 0 <= read_json(out / f"{split}_results.json")[f"{split}_accuracy"] <= 1
    classify = pipeline("text-classification", model=str(out))
    answers = classify(["fine great", "awful"])
    assert {answer["label"] for answer in answers} <= {"good", "bad"}
    alone = classify("fine great")[0]
    assert (alone["label"], alone["score"]) == (answers[0]["label"], pytest.approx(answers[0]["score"], abs=1e-5))


def test_named_task_from_local_files(tmp_path: Path, pretrained: Path) -> None:
    """sst2's schema: `sentence` and `label`."""
    trainer = finetune(
        pretrained, write_table(tmp_path / "t.csv"), tmp_path / "out", "--task_name", "sst2", "--max_steps", "1"
    )
    assert trainer.model.config.id2label == {0: "bad", 1: "good"}


def test_regression_and_probe(tmp_path: Path, pretrained: Path) -> None:
    out = tmp_path / "out"
    flags = ["--text_columns", "sentence", "--label_column", "score", "--regression", "--freeze_base_model"]
    trainer = finetune(pretrained, write_table(tmp_path / "t.csv"), out, *flags, "--max_steps", "2")
    assert trainer.model.config.problem_type == "regression"
    assert {name.split(".")[0] for name, p in trainer.model.named_parameters() if p.requires_grad} == {"classifier"}
    assert "eval_spearmanr" in read_json(out / "eval_results.json")


def test_one_text_of_a_pair_may_be_empty_as_in_qqp(tmp_path: Path, pretrained: Path) -> None:
    table = tmp_path / "t.json"
    rows = (
        '{"question1": "good one", "question2": "", "label": 0}',
        '{"question1": "bad one", "question2": "good one", "label": 1}',
    )
    table.write_text("\n".join(rows))
    flags = ["--task_name", "qqp", "--max_steps", "1"]
    trainer = finetune(pretrained, table, tmp_path / "out", *flags)
    alone, pair = (row["input_ids"] for row in trainer.train_dataset)
    tokenizer = trainer.processing_class
    assert alone == tokenizer("good one")["input_ids"] + [tokenizer.sep_token_id] * 2
    assert pair == tokenizer("bad one", "good one")["input_ids"]
    table.write_text(rows[0].replace("good one", " ") + "\n" + rows[1])
    with pytest.raises(ValueError, match=r"columns \['question1', 'question2'\]"):
        finetune(pretrained, table, tmp_path / "out", *flags)


def test_tables_that_cannot_be_used(tmp_path: Path, pretrained: Path) -> None:
    table = write_table(tmp_path / "t.csv")
    with pytest.raises(ValueError, match="has no column 'premise'"):
        finetune(pretrained, table, tmp_path / "out", "--task_name", "mnli")
    table.write_text("sentence,label\n,good\nfine,bad\n")
    with pytest.raises(ValueError, match="Expected texts in the column 'sentence', got None"):
        finetune(pretrained, table, tmp_path / "out", "--text_columns", "sentence")
    with pytest.raises(ValueError, match=r"an existing \.csv"):
        finetune(pretrained, tmp_path / "missing.csv", tmp_path / "out", "--text_columns", "sentence")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Expected --task_name, or --train_file"),
        ({"task_name": "rte", "validation_file": "v.csv"}, "go with --train_file"),
        ({"train_file": "t.csv"}, "one or two --text_columns"),
        ({"task_name": "rte", "text_columns": ["a"]}, "are for tables without --task_name"),
        ({"task_name": "rte", "max_train_examples": 0}, "at least 1"),
    ],
)
def test_arguments_of_tables(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GlueDataArguments(**arguments)


def test_every_task_is_scored() -> None:
    logits, labels = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.5]]), np.array([0, 1, 1])
    scores = {name: metrics_of(task) for name, task in TASKS.items()}
    prediction = EvalPrediction(predictions=logits, label_ids=labels)
    assert scores["rte"](prediction) == {"accuracy": pytest.approx(2 / 3)}
    assert scores["mrpc"](prediction) == {"accuracy": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3)}
    assert scores["cola"](prediction) == {"matthews_correlation": pytest.approx(0.5)}
    numbers = EvalPrediction(predictions=np.array([[1.0], [2.0], [4.0]]), label_ids=np.array([0.0, 1.0, 1.5]))
    figures = scores["stsb"](numbers)
    assert figures["pearsonr"] == pytest.approx(np.corrcoef([1, 2, 4], [0, 1, 1.5])[0, 1])
    assert figures["spearmanr"] == pytest.approx(1.0)
    assert binary_f1(np.zeros(3), np.zeros(3)) == 0


def test_few_examples_of_each_label() -> None:
    import datasets

    table = datasets.Dataset.from_dict({"label": ["a", "b", "a", "a", "b"], "row": [0, 1, 2, 3, 4]})
    assert first_of_each_label(table, "label", 2)["row"][:] == [0, 1, 2, 4]


def test_configuration_of_a_file(tmp_path: Path) -> None:
    text = write_text(tmp_path / "text.txt")
    (tmp_path / "config.json").write_text(json.dumps(TINY | {"num_masks": 3}))
    flags = ["--config", str(tmp_path / "config.json"), "--train_tokenizer", "280", "--max_steps", "1"]
    trainer = pretrain(text, tmp_path / "out", *flags, "--save_strategy", "no")
    assert trainer.model.config.num_masks == 3
    assert trainer.model.config.hidden_size == data2vec2_text_config("tiny").hidden_size
