# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Transcripts with their errors marked."""

from collections.abc import Iterator, Sequence

import jiwer

from .markup import Child, Markup, element
from .numbers import format_share
from .run_folder import Run
from .section import Section

MOST_TRANSCRIPTS = 12


def transcript_sections(run: Run) -> list[Section]:
    """The first transcripts of each evaluation that the run has left in its folder."""
    sections = []
    for name, pairs in run.transcripts.items():
        introduction = f"{min(len(pairs), MOST_TRANSCRIPTS)} of {len(pairs):,} utterances, spelled as in training."
        sections.append(Section(f"Transcripts: {name}", transcript_list(pairs[:MOST_TRANSCRIPTS], introduction)))
    return sections


def transcript_list(pairs: Sequence[tuple[str, str]], introduction: str) -> Child:
    """References and what was recognised, with the errors and their rate.

    Args:
        pairs: Reference and hypothesis.
        introduction: What these are.
    """
    legend = [
        element("del", "said, not recognised"),
        " ",
        element("ins", "recognised, not said"),
    ]
    rows = [element("li", _marked(*pair), _rate(*pair)) for pair in pairs]
    return [
        element("p", introduction, class_="introduction"),
        element("p", legend, class_="legend"),
        element("ol", rows, class_="transcripts"),
    ]


def _marked(reference: str, hypothesis: str) -> Markup:
    return element("p", [[part, " "] for part in _parts(reference, hypothesis)], dir="auto")


def _parts(reference: str, hypothesis: str) -> Iterator[Child]:
    said, heard = reference.split(), hypothesis.split()
    if not said:  # nothing to align with
        yield element("ins", hypothesis) if heard else None
        return
    for chunk in jiwer.process_words(" ".join(said), " ".join(heard)).alignments[0]:
        left = " ".join(said[chunk.ref_start_idx : chunk.ref_end_idx])
        right = " ".join(heard[chunk.hyp_start_idx : chunk.hyp_end_idx])
        if chunk.type == "equal":
            yield left
            continue
        if left:
            yield element("del", left)
        if right:
            yield element("ins", right)


def _rate(reference: str, hypothesis: str) -> Child:
    if not reference.split():
        return None
    said, heard = " ".join(reference.split()), " ".join(hypothesis.split())
    words, characters = jiwer.wer(said, heard), jiwer.cer(said, heard)
    return element(
        "p", f"errors: {format_share(words)} of words, {format_share(characters)} of characters", class_="caption"
    )
