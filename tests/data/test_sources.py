# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Tests of listing every kind of audio source, on files made here."""

import io
import json
import logging
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile

from hf_ssl.data import AudioDataset, SkippedFiles, StreamedAudioDataset, load_audio_sources
from hf_ssl.data import sources as sources_module


@pytest.fixture
def skipped() -> SkippedFiles:
    return SkippedFiles()


def load(sources, skipped, **arguments):
    sources = [str(source) for source in (sources if isinstance(sources, list) else [sources])]
    return load_audio_sources(
        sources, **{"min_seconds": None, "max_seconds": None, "skipped": skipped, "split": "train", **arguments}
    )


def names(table) -> list[str]:
    return [Path(path).name for path in table["path"]]


@pytest.fixture
def labelled_folder(write_audio, tmp_path) -> Path:
    """Three clips of 1, 2 and 3 seconds with a metadata.csv in `corpus/train`."""
    for number in (1, 2, 3):
        write_audio(f"corpus/train/clips/{number}.wav", seconds=number, seed=number)
    (tmp_path / "corpus/train/metadata.csv").write_text(
        'file_name,transcription,label\nclips/2.wav,"TWO, TOO",b\nclips/1.wav,ONE,a\nclips/3.wav,THREE,a\n'
    )
    return tmp_path / "corpus"


def encode_wav(seconds: float, seed: int, sampling_rate: int = 16000) -> bytes:
    buffer = io.BytesIO()
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, size=round(seconds * sampling_rate))
    soundfile.write(buffer, samples, sampling_rate, format="WAV")
    return buffer.getvalue()


def write_parquet(path: Path, audio: list, as_audio_feature: bool = True, **columns: list) -> None:
    """As Hub data sets store audio: a struct of bytes and path, marked as `Audio` in the schema's metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict({"audio": audio, **columns})
    if as_audio_feature:
        table = table.cast_column("audio", datasets.Audio(sampling_rate=16000))
    table.to_parquet(str(path))


@pytest.fixture
def parquet_folder(tmp_path) -> Path:
    """Two shards of four clips, 1 to 8 half seconds long."""
    for shard in range(2):
        numbers = range(4 * shard, 4 * shard + 4)
        write_parquet(
            tmp_path / f"shards/data/train-0000{shard}-of-00002.parquet",
            [{"bytes": encode_wav((number + 1) / 2, number), "path": f"{number}.wav"} for number in numbers],
            transcription=[f"NUMBER {number}" for number in numbers],
        )
    return tmp_path / "shards"


def test_nested_folder_of_all_formats(write_audio, tmp_path, skipped):
    written = ["b/2.flac", "b/c/3.ogg", "b/c/4.opus", "a/1.wav", "5.mp3"]
    for number, name in enumerate(written):
        write_audio(f"corpus/{name}", seconds=1 + number / 4)
    (tmp_path / "corpus/notes.txt").write_text("not audio")
    table = load(tmp_path / "corpus", skipped)
    assert isinstance(table, datasets.Dataset)
    assert table.column_names == ["path", "start", "duration"]
    assert names(table) == ["5.mp3", "1.wav", "2.flac", "3.ogg", "4.opus"]  # sorted by path
    assert list(table["duration"]) == [2.0, 1.75, 1.0, 1.25, 1.5]
    assert set(table["start"]) == {0.0}
    assert all(Path(path).is_absolute() for path in table["path"])
    assert skipped.count == 0


def test_upper_case_extension_and_links_that_loop(write_audio, tmp_path, skipped):
    write_audio("corpus/a.wav").rename(tmp_path / "corpus/A.WAV")
    (tmp_path / "corpus/loop").symlink_to(tmp_path / "corpus")
    write_audio("elsewhere/b.wav")
    (tmp_path / "corpus/link").symlink_to(tmp_path / "elsewhere")
    assert names(load(tmp_path / "corpus", skipped)) == ["A.WAV", "b.wav"]


def test_bad_files_are_listed_and_the_counts_add_up(write_audio, tmp_path, skipped):
    for number in range(5):
        write_audio(f"corpus/good{number}.wav")
    content = write_audio("corpus/truncated.wav", seconds=4).read_bytes()
    (tmp_path / "corpus/truncated.wav").write_bytes(content[: len(content) // 2])
    (tmp_path / "corpus/zero.wav").write_bytes(b"")
    (tmp_path / "corpus/text.mp3").write_text("no audio")
    write_audio("corpus/one_sample.wav", samples=np.ones(1, dtype=np.float32))
    write_audio("corpus/three_channels.wav", num_channels=3)
    write_audio("corpus/long.wav", seconds=9)
    table = load(tmp_path / "corpus", skipped, min_seconds=0.1, max_seconds=4.0)
    assert skipped.by_reason() == {"empty": 1, "too short": 1, "unreadable": 1}
    assert len(set(table["path"])) + skipped.count == len(list((tmp_path / "corpus").iterdir()))
    durations = dict(zip(names(table), table["duration"], strict=True))
    assert durations["truncated.wav"] == pytest.approx(2.0, abs=0.01)
    assert durations["long.wav"] == 3.0


def test_long_recordings_become_equal_windows(write_audio, tmp_path, skipped):
    path = write_audio("corpus/long.wav", seconds=10.5, sampling_rate=8000)
    write_audio("corpus/short.wav", seconds=1)
    table = load(tmp_path / "corpus", skipped, min_seconds=1.0, max_seconds=3.0)
    assert names(table) == ["long.wav"] * 4 + ["short.wav"]
    dataset = AudioDataset(
        table, sampling_rate=8000, max_seconds=3.0, min_seconds=1.0, seed=0, skipped=skipped, random_crop=True
    )
    waveform = np.concatenate([dataset[index]["input_values"] for index in range(4)])
    np.testing.assert_array_equal(waveform, soundfile.read(path, dtype="float32")[0])
    assert dataset.lengths == [2.625] * 4 + [1.0]


def test_labelled_recordings_are_not_cut(labelled_folder, skipped):
    table = load(labelled_folder, skipped, max_seconds=2.0, columns=["transcription"])
    assert names(table) == ["2.wav", "1.wav"]
    assert skipped.by_reason() == {"too long": 1}


@pytest.mark.parametrize("subfolder", ["", "train"])
def test_metadata_csv_with_columns(labelled_folder, skipped, subfolder):
    table = load(labelled_folder / subfolder, skipped, columns=["transcription", "label"])
    assert table.column_names == ["path", "start", "duration", "transcription", "label"]
    assert names(table) == ["2.wav", "1.wav", "3.wav"]  # the order of the file
    assert table["transcription"][0] == "TWO, TOO"
    assert list(table["label"]) == ["b", "a", "a"]


def test_metadata_jsonl(write_audio, tmp_path, skipped):
    write_audio("corpus/a.wav")
    (tmp_path / "corpus/metadata.jsonl").write_text('{"file_name": "a.wav", "label": ["x", "y"]}\n\n')
    assert list(load(tmp_path / "corpus", skipped, columns=["label"])["label"]) == [["x", "y"]]


def test_metadata_that_does_not_list_all(labelled_folder, write_audio, skipped, caplog):
    write_audio("corpus/train/clips/unlisted.wav")
    with caplog.at_level(logging.WARNING):
        table = load(labelled_folder, skipped)
    assert len(table) == 3
    assert "1 audio file(s)" in caplog.text


def test_listed_files_that_are_missing_or_have_no_value(labelled_folder, skipped):
    with open(labelled_folder / "train/metadata.csv", "a") as file:
        file.write("clips/gone.wav,GONE,a\nclips/1.wav,,a\n")
    with open(labelled_folder / "train/metadata.csv") as file:
        num_listed = len(file.readlines()) - 1
    table = load(labelled_folder, skipped, columns=["transcription"])
    assert skipped.by_reason() == {"no transcription": 1, "not found": 1}
    assert len(table) + skipped.count == num_listed


def test_subfolder_of_the_split(write_audio, tmp_path, skipped):
    for name in ("train/a.wav", "train/deep/b.wav", "test/c.wav"):
        write_audio(f"corpus/{name}")
    assert names(load(tmp_path / "corpus", skipped)) == ["a.wav", "b.wav"]
    assert names(load(tmp_path / "corpus", skipped, split="test")) == ["c.wav"]
    with pytest.raises(ValueError, match=r"no split 'validation', only \['test', 'train'\]"):
        load(tmp_path / "corpus", skipped, split="validation")


MANIFESTS = {
    "list.tsv": 'path\tlabel\nclips/1.wav\t"a\nclips/2.wav\tb\n',
    "list.csv": 'label,file_name\n"""a",clips/1.wav\nb,clips/2.wav\n',
    "list.jsonl": '{"audio": "clips/1.wav", "label": "\\"a"}\n{"audio": "clips/2.wav", "label": "b"}\n',
    "lines.json": '{"audio_filepath": "clips/1.wav", "label": "\\"a"}\n'
    '{"audio_filepath": "clips/2.wav", "label": "b"}',
    "list.json": '[{"audio": "clips/1.wav", "label": "\\"a"}, {"audio": "clips/2.wav", "label": "b"}]',
}


@pytest.mark.parametrize("name", MANIFESTS)
@pytest.mark.parametrize("byte_order_mark", ["", "\ufeff"])
def test_manifests(labelled_folder, skipped, name, byte_order_mark):
    manifest = labelled_folder / "train" / name
    manifest.write_text(byte_order_mark + MANIFESTS[name], encoding="utf-8")
    table = load(manifest, skipped, columns=["label"])
    assert names(table) == ["1.wav", "2.wav"]
    assert list(table["label"]) == ['"a', "b"]
    assert list(table["duration"]) == [1.0, 2.0]


def test_manifest_with_absolute_paths(labelled_folder, tmp_path, skipped):
    manifest = tmp_path / "list.tsv"
    manifest.write_text(f"path\n{labelled_folder / 'train/clips/1.wav'}\n")
    assert list(load(manifest, skipped)["path"]) == [str(labelled_folder / "train/clips/1.wav")]


@pytest.mark.parametrize("root", ["absolute", "relative"])
def test_fairseq_manifest(labelled_folder, skipped, root):
    manifest = labelled_folder / "train.tsv"
    manifest.write_text(f"{labelled_folder / 'train' if root == 'absolute' else 'train'}\nclips/1.wav\t16000\n")
    assert list(load(manifest, skipped)["path"]) == [str(labelled_folder / "train/clips/1.wav")]
    with pytest.raises(ValueError, match=r"no column 'label'; its columns are \['path'\]"):
        load(manifest, skipped, columns=["label"])


def test_manifest_of_parts_of_a_recording(labelled_folder, skipped):
    lines = [
        {"audio_filepath": "clips/3.wav", "offset": 0.5, "duration": 1.0, "text": "A"},
        {"audio_filepath": "clips/3.wav", "offset": 1.5, "duration": 9.0, "text": "B"},
        {"audio_filepath": "clips/2.wav", "offset": 7.0, "duration": 1.0, "text": "C"},
        {"audio_filepath": "clips/2.wav", "offset": 8.0, "duration": 1.0, "text": "C"},
        {"audio_filepath": "clips/2.wav", "duration": 1.0, "text": "D"},
    ]
    manifest = labelled_folder / "train" / "list.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)))
    table = load(manifest, skipped, columns=["text"])
    assert list(zip(table["text"], table["start"], table["duration"], strict=True)) == [
        ("A", 0.5, 1.0),
        ("B", 1.5, 1.5),
        ("D", 0.0, 2.0),
    ]
    assert len(table) + skipped.count == len(lines)
    assert skipped.by_reason() == {"past the end": 2}
    windows = load(manifest, skipped, max_seconds=0.5)
    assert list(windows["start"][:5]) == [0.5, 1.0, 1.5, 2.0, 2.5]


BAD_MANIFESTS = {
    "no_audio.csv": ("name,label\na.wav,x\n", r"needs one of the columns .*has \['name', 'label'\]"),
    "empty.csv": ("path,label\n", "lists no recordings"),
    "comma.csv": ("path,label\na.wav,x,y\n", "more fields than columns"),
    "text.jsonl": ("hello\n", "line 1: expected a JSON object, got 'hello'"),
    "numbers.json": ("[1, 2]", "entry 1: expected a JSON object"),
    "root.tsv": ("no/such/folder\na.wav\t1\n", "existing folder"),
    "offset.jsonl": ('{"path": "a.wav", "offset": "x"}', "must be seconds"),
    "negative.jsonl": ('{"path": "a.wav", "offset": -1}', "expected offset >= 0"),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_bad_manifests(tmp_path, skipped, name):
    content, message = BAD_MANIFESTS[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / name, skipped)


def test_unknown_column_names_those_that_exist(labelled_folder, skipped):
    with pytest.raises(
        ValueError, match=r"no column 'text'; its columns are \['file_name', 'transcription', 'label'\]"
    ):
        load(labelled_folder, skipped, columns=["text"])


def test_columns_of_a_plain_folder_or_file(write_audio, tmp_path, skipped):
    path = write_audio("corpus/a.wav")
    with pytest.raises(ValueError, match=r"has no metadata.csv"):
        load(tmp_path / "corpus", skipped, columns=["label"])
    with pytest.raises(ValueError, match=r"is a single recording"):
        load(path, skipped, columns=["label"])
    assert names(load(path, skipped)) == ["a.wav"]


def test_sources_that_are_not(write_audio, tmp_path, skipped):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"no audio below the folder .*empty: looked for \.wav, \.flac, \.ogg"):
        load(tmp_path / "empty", skipped)
    with pytest.raises(ValueError, match=r"neither audio nor a manifest nor parquet"):
        load(tmp_path / "notes.txt", skipped)
    for missing in ("missing", "missing.tsv", "missing.wav"):
        with pytest.raises(ValueError, match=r"does not exist"):
            load(tmp_path / missing, skipped)
    with pytest.raises(ValueError, match=r"expected a list of at least one"):
        load_audio_sources("folder", min_seconds=None, max_seconds=None, skipped=skipped)
    write_audio("bad/a.wav", seconds=0.1)
    with pytest.raises(ValueError, match=r"nothing usable in .*1 too short"):
        load(tmp_path / "bad", skipped, min_seconds=1.0)


def test_a_run_that_would_use_few_of_its_clips_says_so_at_once(write_audio, tmp_path, skipped, caplog):
    write_audio("clips/a.wav", seconds=2.0)
    load(tmp_path / "clips", skipped, min_seconds=1.0)
    assert not caplog.messages
    for name in "bc":
        write_audio(f"clips/{name}.wav", seconds=0.1)
    load(tmp_path / "clips", skipped, min_seconds=1.0)
    assert caplog.messages == [f"Only 1 clip(s) are used: {skipped.summary()}."]
    assert "2 too short" in caplog.text


def test_name_that_is_not_on_the_hub(skipped, monkeypatch):
    def refuse(name, config, split, streaming):
        raise ConnectionError(f"Couldn't reach {name!r} on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(ValueError, match=r"someone/nothing is neither a file or folder here nor .*Couldn't reach"):
        load("someone/nothing", skipped)


def test_name_with_configuration(skipped, monkeypatch, parquet_folder):
    calls = []
    load_dataset = datasets.load_dataset

    def record(*arguments, **keywords):
        calls.append((arguments, keywords))
        return load_dataset(str(parquet_folder), split="train")

    monkeypatch.setattr(datasets, "load_dataset", record)
    assert len(load("someone/speech:clean", skipped, split="validation")) == 8
    assert calls == [(("someone/speech", "clean"), {"split": "validation", "streaming": False})]


def test_formats_are_noticed_once(write_audio, tmp_path, skipped, caplog):
    for number in range(3):
        write_audio(f"corpus/{number}.wav")
    write_audio("corpus/cd.wav", sampling_rate=44100, num_channels=2)
    with caplog.at_level(logging.WARNING):
        load(tmp_path / "corpus", skipped)
    assert len(caplog.records) == 1
    assert "(3 at 16000 Hz, 1 at 44100 Hz)" in caplog.text
    assert "(3 with 1, 1 with 2)" in caplog.text
    caplog.clear()
    (tmp_path / "corpus/cd.wav").unlink()
    with caplog.at_level(logging.WARNING):
        load(tmp_path / "corpus", skipped, sampling_rate=16000)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        load(tmp_path / "corpus", skipped, sampling_rate=8000)
    assert "resampled to 8000 Hz while reading (3 at 16000 Hz)" in caplog.text


def test_several_sources_and_determinism(labelled_folder, parquet_folder, write_audio, tmp_path, skipped):
    write_audio("more/z.flac")
    sources = [labelled_folder, tmp_path / "more", parquet_folder]
    table = load(sources, skipped)
    assert len(table) == 3 + 1 + 8
    assert table.to_dict() == load(sources, skipped).to_dict()
    dataset = AudioDataset(table, sampling_rate=16000, max_seconds=None, min_seconds=None, seed=0, skipped=skipped)
    assert [len(dataset[index]["input_values"]) / 16000 for index in range(12)] == dataset.lengths
    assert skipped.count == 0


def test_columns_of_different_types(labelled_folder, tmp_path, skipped):
    manifest = labelled_folder / "train" / "list.jsonl"
    manifest.write_text('{"path": "clips/1.wav", "label": ["a"]}\n')
    with pytest.raises(ValueError, match=r"values of different types in different sources"):
        load([labelled_folder, manifest], skipped, columns=["label"])


def test_scan_in_chunks_keeps_the_order(write_audio, tmp_path, skipped, monkeypatch, capsys):
    for number in range(7):
        write_audio(f"corpus/{number}.wav", seconds=0.1 * (number + 1))
    monkeypatch.setattr(sources_module, "_SCAN_CHUNK", 2)
    monkeypatch.setattr(sources_module, "_PROGRESS_BAR_FROM", 3)
    table = load(tmp_path / "corpus", skipped)
    assert list(table["duration"]) == pytest.approx([0.1 * (number + 1) for number in range(7)])
    assert "Reading audio headers" in capsys.readouterr().err


@pytest.mark.parametrize("as_audio_feature", [True, False])
def test_parquet_without_torchcodec(tmp_path, skipped, as_audio_feature):
    audio = [{"bytes": encode_wav(1.0, 1), "path": "a.wav"}, {"bytes": b"junk", "path": "b.wav"}]
    audio += [{"bytes": encode_wav(2.0, 2), "path": None}]
    write_parquet(tmp_path / "one.parquet", audio, as_audio_feature, label=["x", "y", None], id=[1, 2, 3])
    table = load(tmp_path / "one.parquet", skipped, columns=["label"])
    assert "torchcodec" not in sys.modules
    assert sorted(table.column_names) == ["audio", "duration", "label", "start"]
    assert list(table["duration"]) == [1.0]
    assert skipped.by_reason() == {"unreadable": 1, "no label": 1}
    assert any(name.endswith("one.parquet row 1 (b.wav)") for name in skipped.files)
    with pytest.raises(ValueError, match=r"no column 'text'; its columns are \['audio', 'label', 'id'\]"):
        load(tmp_path / "one.parquet", skipped, columns=["text"])


def test_parquet_needs_an_audio_column(tmp_path, skipped):
    datasets.Dataset.from_dict({"speech": ["x"]}).to_parquet(str(tmp_path / "one.parquet"))
    with pytest.raises(ValueError, match=r"no column 'audio'; its columns are \['speech'\]"):
        load(tmp_path / "one.parquet", skipped)


def test_parquet_windows_are_in_order_and_copy_nothing(parquet_folder, skipped):
    table = load(parquet_folder, skipped, min_seconds=1.0, max_seconds=1.5)
    paths = [row["path"] for row in table["audio"]]
    assert paths == [f"{number}.wav" for number in (1, 2, *[3] * 2, *[4] * 2, *[5] * 2, *[6] * 3, *[7] * 3)]
    assert list(table["start"][:4]) == [0.0, 0.0, 0.0, 1.0]
    assert skipped.by_reason() == {"too short": 1}
    assert sum(table["duration"]) == sum((number + 1) / 2 for number in range(1, 8))
    dataset = AudioDataset(table, sampling_rate=16000, max_seconds=1.5, min_seconds=1.0, seed=0, skipped=skipped)
    assert [len(dataset[index]["input_values"]) / 16000 for index in range(len(table))] == dataset.lengths
    # A copy of the bytes would be in memory; the shards are mapped from disk, and rows only point into them.
    assert table._indices is not None


def test_parquet_streamed(parquet_folder, skipped):
    table = load(parquet_folder, skipped, streaming=True, columns=["transcription"])
    assert isinstance(table, datasets.IterableDataset)
    items = list(
        StreamedAudioDataset(
            table,
            sampling_rate=16000,
            max_seconds=None,
            min_seconds=1.0,
            seed=0,
            skipped=skipped,
            columns=["transcription"],
            shuffle_buffer_size=0,
        )
    )
    assert "torchcodec" not in sys.modules
    assert [item["transcription"] for item in items] == [f"NUMBER {number}" for number in range(1, 8)]
    assert [len(item["input_values"]) for item in items] == [8000 * (number + 1) for number in range(1, 8)]
    assert skipped.by_reason() == {"too short": 1}


def test_streamed_and_local_sources_are_interleaved(parquet_folder, write_audio, tmp_path, skipped):
    for number in range(4):
        write_audio(f"corpus/{number}.wav", seconds=5.0)
    table = load([tmp_path / "corpus", parquet_folder], skipped, streaming=True, max_seconds=2.5)
    assert isinstance(table, datasets.IterableDataset)
    stream = StreamedAudioDataset(
        table, sampling_rate=16000, max_seconds=2.5, min_seconds=None, seed=0, skipped=skipped, shuffle_buffer_size=0
    )
    lengths = [len(item["input_values"]) / 16000 for item in stream]
    assert sum(lengths) == 4 * 5.0 + sum((number + 1) / 2 for number in range(8))
    assert lengths[:4] == [2.5, 0.5, 2.5, 1.0]
