# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Transcripts as text, JSON lines, tables and subtitles."""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import TextIO

from .transcribing import TimedWord, Transcript

TRANSCRIPT_FORMATS = ("text", "jsonl", "tsv", "srt")

# Subtitles: a cue ends at a pause, or before it would be longer than two lines or six seconds.
_CUE_CHARACTERS = 84
_CUE_SECONDS = 6.0
_CUE_PAUSE_SECONDS = 1.0


def write_transcripts(
    transcripts: Iterable[Transcript], file: TextIO, *, kind: str, timestamps: bool, with_path: bool
) -> None:
    """Writes transcripts as they come.

    Args:
        transcripts: What to write.
        file: Where to.
        kind: `"text"`: one line per file; `"jsonl"`: one object per file; `"tsv"`: one row per file, or per word with
            `timestamps`; `"srt"`: subtitles of one recording.
        timestamps: Whether jsonl and tsv have the words and their times in seconds.
        with_path: Whether lines of text begin with their file.
    """
    if kind == "text":
        for transcript in transcripts:
            print(f"{transcript.path}: {transcript.text}" if with_path else transcript.text, file=file, flush=True)
    elif kind == "jsonl":
        for transcript in transcripts:
            print(json.dumps(_as_object(transcript, timestamps), ensure_ascii=False), file=file, flush=True)
    elif kind == "tsv":
        _write_table(transcripts, file, timestamps)
    else:
        for transcript in transcripts:
            file.writelines(_subtitles(transcript.words))


def check_format(kind: str, *, timestamps: bool, num_files: int) -> None:
    """Raises `ValueError` if a format cannot hold what is asked for."""
    if kind == "text" and timestamps:
        raise ValueError("--format text has no timestamps: use jsonl, tsv or srt")
    if kind == "srt" and num_files > 1:
        raise ValueError(f"--format srt holds the subtitles of one recording, got {num_files} files: use jsonl or tsv")


def _as_object(transcript: Transcript, timestamps: bool) -> dict:
    entry: dict = {"file": transcript.path, "seconds": round(transcript.seconds, 3), "text": transcript.text}
    if timestamps:
        entry["words"] = [
            {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)} for word in transcript.words
        ]
    return entry


def _write_table(transcripts: Iterable[Transcript], file: TextIO, timestamps: bool) -> None:
    writer = csv.writer(file, delimiter="\t", lineterminator="\n")
    writer.writerow(["file", "start", "end", "word"] if timestamps else ["file", "text"])
    for transcript in transcripts:
        if timestamps:
            for word in transcript.words:
                writer.writerow([transcript.path, f"{word.start:.3f}", f"{word.end:.3f}", word.text])
        else:
            writer.writerow([transcript.path, transcript.text])
        file.flush()


def _subtitles(words: Iterable[TimedWord]) -> Iterator[str]:
    for number, cue in enumerate(_cues(words), start=1):
        text = " ".join(word.text for word in cue)
        yield f"{number}\n{_clock(cue[0].start)} --> {_clock(cue[-1].end)}\n{text}\n\n"


def _cues(words: Iterable[TimedWord]) -> Iterator[list[TimedWord]]:
    cue: list[TimedWord] = []
    for word in words:
        if cue and (
            word.start - cue[-1].end > _CUE_PAUSE_SECONDS
            or word.end - cue[0].start > _CUE_SECONDS
            or sum(len(earlier.text) + 1 for earlier in cue) + len(word.text) > _CUE_CHARACTERS
        ):
            yield cue
            cue = []
        cue.append(word)
    if cue:
        yield cue


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"
