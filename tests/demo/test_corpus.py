# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The synthesised corpus: reproducible, well-formed, splits that are what they claim."""

import csv
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hf_ssl.demo.corpus import (
    DEFAULT_WORDS,
    METADATA_COLUMNS,
    SPLITS,
    CorpusConfig,
    draw_voices,
    read_split,
    synthesise_corpus,
)
from hf_ssl.demo.espeak import EspeakError, EspeakProcess, SpeechRequest

TEN_SECONDS = CorpusConfig(num_hours=10 / 3600, num_voices=5, seed=3)


def needs_espeak() -> None:
    pytest.importorskip("espeakng_loader", reason='eSpeak NG is not installed: pip install "hf-ssl[demo]"')


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs_espeak()
    return synthesise_corpus(tmp_path_factory.mktemp("corpus") / "spoken", TEN_SECONDS)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_configuration_gives_same_bytes(corpus: Path, tmp_path: Path) -> None:
    again = synthesise_corpus(tmp_path / "again", TEN_SECONDS)
    assert contents(again) == contents(corpus)


def test_another_seed_gives_other_speech(corpus: Path, tmp_path: Path) -> None:
    other = synthesise_corpus(tmp_path / "other", dataclasses.replace(TEN_SECONDS, seed=4))
    assert {clip.transcription for clip in read_split(other, "train")} != {
        clip.transcription for clip in read_split(corpus, "train")
    }


def test_splits_have_the_length_asked_for(corpus: Path) -> None:
    for split in SPLITS:
        clips = read_split(corpus, split)
        asked = 10 if split == "train" else 1.5
        # A split ends with the clip that reaches its length, but not before every voice has spoken.
        assert sum(clip.duration for clip in clips) >= asked
        assert sum(clip.duration for clip in clips[:-1]) < asked or len(clips) == len({clip.voice for clip in clips})


def test_voices_are_disjoint_but_for_seen_voices(corpus: Path) -> None:
    voices = {split: {clip.voice for clip in read_split(corpus, split)} for split in SPLITS}
    assert voices["train"] == voices["test_seen_voices"]
    assert len(voices["train"] | voices["validation"] | voices["test"]) == TEN_SECONDS.num_voices
    assert sum(len(voices[split]) for split in ("train", "validation", "test")) == TEN_SECONDS.num_voices


def test_transcripts_use_the_word_list_only(corpus: Path) -> None:
    for split in SPLITS:
        for clip in read_split(corpus, split):
            words = clip.transcription.split(" ")
            assert set(words) <= set(DEFAULT_WORDS)
            assert 1 <= len(words) <= 6
            assert clip.word == words[0]
            assert clip.is_single_word == (len(words) == 1)


def test_recordings_are_what_the_metadata_says(corpus: Path) -> None:
    for split in SPLITS:
        clips = read_split(corpus, split)
        assert {path.name for path in (corpus / split).glob("*.flac")} == {clip.path.name for clip in clips}
        for clip in clips:
            info = soundfile.info(clip.path)
            assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
            assert info.frames / 16000 == pytest.approx(clip.duration, abs=1e-4)
            assert 0.3 < clip.duration < 6


def test_metadata_columns(corpus: Path) -> None:
    with open(corpus / "train" / "metadata.csv", newline="", encoding="utf-8") as file:
        assert tuple(next(csv.reader(file))) == METADATA_COLUMNS


def test_levels_vary_and_do_not_clip(corpus: Path) -> None:
    peaks = [np.abs(soundfile.read(clip.path)[0]).max() for clip in read_split(corpus, "train")]
    assert max(peaks) < 1
    assert min(peaks) > 0.1
    assert max(peaks) / min(peaks) > 1.5


def test_existing_corpus_is_kept(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    assert synthesise_corpus(corpus, TEN_SECONDS) == corpus
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before


def test_another_corpus_is_not_overwritten(corpus: Path) -> None:
    with pytest.raises(FileExistsError, match="another configuration"):
        synthesise_corpus(corpus, dataclasses.replace(TEN_SECONDS, seed=9))


def test_interrupted_corpus_is_not_taken_for_complete(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(FileExistsError, match="no complete corpus"):
        synthesise_corpus(tmp_path, TEN_SECONDS)


def test_every_voice_is_distinct_up_to_the_limit() -> None:
    voices = draw_voices(CorpusConfig(num_voices=560))
    names = [voice.name for split in ("train", "validation", "test") for voice in voices[split]]
    assert len(set(names)) == 560


def test_up_to_seventy_voices_share_no_variant() -> None:
    voices = draw_voices(CorpusConfig(num_voices=70))
    variants = [voice.name.split("+")[1] for split in ("train", "validation", "test") for voice in voices[split]]
    assert len(set(variants)) == 70


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_hours", 0.0),
        ("num_voices", 2),
        ("num_voices", 561),
        ("words", ()),
        ("words", ("one", "one")),
        ("words", ("two words",)),
        ("words", ("One",)),
        ("words_per_utterance", (0, 2)),
        ("words_per_utterance", (3, 2)),
        ("single_word_share", 1.5),
        ("evaluation_share", 0.0),
        ("seed", -1),
        ("sampling_rate", 100),
        ("silence_seconds", (0.2, 0.1)),
        ("signal_to_noise_decibels", (40.0, 15.0)),
    ],
)
def test_bad_configuration_names_the_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(CorpusConfig(), **{field: value})


def test_unknown_split_is_named(corpus: Path) -> None:
    with pytest.raises(FileNotFoundError, match="test_seen_voices"):
        read_split(corpus, "dev")


def test_missing_espeak_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ImportError, match=r'pip install "hf-ssl\[demo\]"'):
        synthesise_corpus(tmp_path / "corpus", TEN_SECONDS)


def test_unknown_voice_is_an_error() -> None:
    needs_espeak()
    with EspeakProcess() as espeak, pytest.raises(EspeakError, match=r"nobody\+x9"):
        espeak.synthesize(SpeechRequest("one", voice="nobody+x9"))


def test_synthesis_does_not_depend_on_calls_in_another_process() -> None:
    needs_espeak()
    request = SpeechRequest("seven", voice="en-us+f2")  # a breathy voice: its noise is drawn by eSpeak NG
    with EspeakProcess() as first, EspeakProcess() as second:
        assert second.synthesize(request) == first.synthesize(request)
