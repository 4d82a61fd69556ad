# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a recogniser of speech makes of transcribed recordings."""

from collections.abc import Iterator

from transformers import Wav2Vec2CTCTokenizer

from ..data.skipped import SkippedFiles
from ..data.sources import load_audio_sources
from ..inference.ctc_decoding import GreedyDecoder
from ..inference.inputs import Failures, InputFile
from ..inference.loading import load_ctc_model
from ..inference.transcribing import transcribe
from .run_folder import Run
from .samples import SampleSource, check_index
from .section import Section
from .transcripts import MOST_TRANSCRIPTS, transcript_list

_LONGEST_SECONDS = 30.0


def recognition_section(run: Run, source: SampleSource) -> Section:
    """Transcripts of some recordings with their errors marked.

    Raises:
        ValueError: The model or the data cannot be used.
    """
    column = source.text_column or "transcription"
    files, references = _transcribed(source, column)
    loaded, tokenizer = load_ctc_model(str(run.model_folder), device="cpu")
    failures = Failures()
    transcripts = list(transcribe(files, loaded, GreedyDecoder(tokenizer), failures=failures))
    failures.check()
    # The run does not say how it spelled its transcripts; its vocabulary does.
    spelled = [_spelled(reference, tokenizer) for reference in references]
    pairs = [(reference, transcript.text) for reference, transcript in zip(spelled, transcripts, strict=True)]
    introduction = (
        f"{len(pairs)} recordings of the data that were given. What was said is spelled with the letters of the "
        "model's vocabulary."
    )
    return Section("Recognised now", transcript_list(pairs, introduction))


def _transcribed(source: SampleSource, column: str) -> tuple[list[InputFile], list[str]]:
    table = load_audio_sources(
        source.data,
        min_seconds=None,
        max_seconds=_LONGEST_SECONDS,
        skipped=SkippedFiles(),
        split=source.split_name,
        columns=(column,),
    )
    if "path" not in table.column_names:
        raise ValueError("Transcripts are shown of files: give a folder with a metadata.csv, or a manifest.")
    check_index(source.index, len(table))
    rows = table.select(range(source.index, min(source.index + MOST_TRANSCRIPTS, len(table))))
    files = [InputFile(path, path) for path in rows["path"]]
    return files, [str(text) for text in rows[column]]


def _spelled(text: str, tokenizer: Wav2Vec2CTCTokenizer) -> str:
    """A transcript in the case of the vocabulary, with a space for what is not in it."""
    letters = set(tokenizer.get_vocab())
    return " ".join("".join(_letters(text, letters)).split())


def _letters(text: str, letters: set[str]) -> Iterator[str]:
    for letter in text:
        found = [spelling for spelling in (letter, letter.lower(), letter.upper()) if spelling in letters]
        yield found[0] if found else " "
