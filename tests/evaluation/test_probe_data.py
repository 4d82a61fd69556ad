# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Splits to probe with: found, carved off, and checked before any encoder runs."""

from collections import Counter
from pathlib import Path

import pytest

from hf_ssl.data.labelled_texts import load_labelled_texts
from hf_ssl.evaluation.items import Text
from hf_ssl.evaluation.probe_data import (
    DataConfig,
    LabelledItems,
    ProbeData,
    ProbeTask,
    available_splits,
    carve_validation,
    check_labels,
    load_probe_data,
)


def labelled(*labels: str) -> LabelledItems:
    return LabelledItems([Text(str(index)) for index in range(len(labels))], list(labels))


def test_carved_validation_has_every_class_and_is_the_same_each_time() -> None:
    train = labelled(*"aaaaaaaaaabbbbbbbbbbccc")
    fitting, choosing = carve_validation(train, "classification")
    assert Counter(choosing.labels) == {"a": 2, "b": 2, "c": 1}
    assert sorted([*fitting.items, *choosing.items]) == sorted(train.items)
    assert carve_validation(train, "classification") == (fitting, choosing)


def test_carved_speakers_are_strangers() -> None:
    fitting, choosing = carve_validation(labelled(*"aabbccddeeff"), "verification")
    assert not set(fitting.labels) & set(choosing.labels)
    assert len(set(choosing.labels)) == 2


def test_class_of_one_item_stays_in_training() -> None:
    fitting, choosing = carve_validation(labelled(*"aaaab"), "classification")
    assert "b" in fitting.labels
    assert choosing.labels == ["a"]


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        ("classification", ("a", "a"), "at least two classes to tell apart, got only 'a'"),
        ("recognition", ("one", " "), "training split has empty transcripts"),
        ("verification", ("a", "b"), "several clips of several speakers"),
        ("verification", ("a", "a"), "several clips of several speakers"),
        ("multilabel", (), "Nothing is left for training"),
        ("multilabel", ("", ";"), "No item of training has a label"),
    ],
)
def test_labels_that_do_not_fit_are_named(task: ProbeTask, labels: tuple[str, ...], message: str) -> None:
    split = labelled(*labels)
    with pytest.raises(ValueError, match=message):
        check_labels(ProbeData(split, split, split, []), task)


@pytest.mark.parametrize("name", ["validation", "test"])
def test_labels_that_training_lacks_are_found_early(name: str) -> None:
    several = labelled("low; odd", "high")
    data = ProbeData(several, several, several, [])._replace(**{name: labelled("low;even", "far")})
    with pytest.raises(ValueError, match=f"Labels of {name} that training lacks cannot be learned: even, far. Take"):
        check_labels(data, "multilabel")
    check_labels(ProbeData(several, several, labelled("", "high;low"), []), "multilabel")


@pytest.mark.parametrize("rare", range(20))
def test_carving_leaves_every_label_a_carrier(rare: int) -> None:
    train = labelled(*("a;b;only" if index == rare else "a; b" for index in range(20)))
    fitting, choosing = carve_validation(train, "multilabel")
    assert "a;b;only" in fitting.labels
    assert choosing.labels == ["a; b"] * 4
    check_labels(ProbeData(fitting, choosing, train, []), "multilabel")


def test_items_that_are_all_needed_leave_nothing_to_choose_by() -> None:
    train = labelled("a", "b", "c", "d", "e")
    fitting, choosing = carve_validation(train, "multilabel")
    with pytest.raises(ValueError, match="Nothing is left for validation"):
        check_labels(ProbeData(fitting, choosing, train, []), "multilabel")


def test_splits_of_folders(recordings: Path, texts: Path, tmp_path: Path) -> None:
    assert available_splits(str(recordings)) == ["test", "train", "validation"]
    assert available_splits(str(texts)) == ["test", "train"]
    with pytest.raises(ValueError, match="neither a folder here nor a data set"):
        available_splits(str(tmp_path / "nothing"))


def test_a_folder_without_splits_is_not_its_own_test(recordings: Path) -> None:
    with pytest.raises(ValueError, match="has no split 'train'"):
        load_probe_data(DataConfig(str(recordings / "train"), "label"), "speech", "classification")


def test_recordings_without_a_label_are_told_of(recordings: Path) -> None:
    metadata = recordings / "test" / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("one two,low", "one two,", 1))
    data = load_probe_data(DataConfig(str(recordings), "label"), "speech", "classification")
    assert len(data.test.items) == 7
    assert data.notes == ["1 file(s) skipped (1 no label)"]


def test_texts_in_folders_and_their_faults(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "part.jsonl").write_text('{"text": "red", "label": "a"}\n{"text": " ", "label": "b"}\n')
    options = {"split": "train", "text_column": "text", "label_column": "label"}
    with pytest.raises(ValueError, match=r"row 1: expected a text and a label, got ' ' and 'b'"):
        load_labelled_texts(str(tmp_path), **options)
    with pytest.raises(ValueError, match="has no column 'topic'"):
        load_labelled_texts(str(tmp_path), **options | {"label_column": "topic"})
    (tmp_path / "train" / "part.csv").write_text("text,label\nred,a\n")
    with pytest.raises(ValueError, match="tables of one kind"):
        load_labelled_texts(str(tmp_path), **options)
