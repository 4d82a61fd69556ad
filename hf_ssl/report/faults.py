# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What went wrong and was survived: resumes, warnings, files left out."""

import re
from collections import Counter

from .markup import Child, element
from .privacy import last_name, without_paths
from .run_folder import Run
from .section import Section, foldable, table

_STEP = re.compile(r"^Step (\d+):? ")
_MOST_FILES = 200
_MOST_STEPS = 12


def num_resumes(run: Run) -> int:
    """How often the run went on from a checkpoint."""
    return sum(event.get("what") == "resume" for event in run.events)


def grouped_warnings(run: Run) -> dict[str, list[str]]:
    """Steps, or `""` where none is named, by the warning."""
    groups: dict[str, list[str]] = {}
    for event in run.events:
        if event.get("what") == "warning":
            message = str(event.get("message", ""))
            found = _STEP.match(message)
            step, words = (found[1], message[found.end() :]) if found else ("", message)
            groups.setdefault(without_paths(words), []).append(step)
    return groups


def unmarked_checkpoints(run: Run) -> list[int]:
    """Steps of checkpoints without the mark of having been written as a whole."""
    return [step for step, is_whole in run.checkpoints.items() if not is_whole]


def faults_section(run: Run) -> Section:
    """What happened besides training."""
    parts: list[Child] = [_events(run), _warnings(run), _skipped(run), _checkpoints(run)]
    return Section("Faults survived", [part for part in parts if part is not None])


def _events(run: Run) -> Child:
    if not run.has_record:
        return element(
            "p",
            "This run kept no record of when it began, went on and what it warned of (runs of other programs do not, "
            "nor do those of older versions).",
        )
    words = {"begin": "Began", "resume": "Went on from a checkpoint", "end": "Ended", "error": "Ended with an error"}
    rows = [
        (
            str(event.get("time", "")).replace("T", " ").replace("+00:00", " UTC"),
            words[str(event["what"])],
            str(event.get("step", "")),
            without_paths(str(event.get("message", ""))),
        )
        for event in run.events
        if event.get("what") in words
    ]
    return table(("When", "What", "Step", ""), rows) if rows else None


def _warnings(run: Run) -> Child:
    groups = grouped_warnings(run)
    if not groups:
        return element("p", "No warnings were given.") if run.has_record else None
    items = [
        element("li", element("p", words), element("p", _steps(steps), class_="caption"))
        for words, steps in groups.items()
    ]
    return [element("h3", "Warnings"), element("ul", items, class_="warnings")]


def _steps(steps: list[str]) -> str:
    named = [step for step in steps if step]
    if not named:
        return "" if len(steps) == 1 else f"{len(steps)} times"
    shown = ", ".join(named[:_MOST_STEPS]) + (f" and {len(named) - _MOST_STEPS} more" if named[_MOST_STEPS:] else "")
    return f"At step {shown}" if len(named) == 1 else f"{len(named)} times, at steps {shown}"


def _skipped(run: Run) -> Child:
    if not run.skipped:
        return element("p", "No file was left out.")
    kinds = Counter(reason.split(":")[0] for reason in run.skipped.values()).most_common()
    summary = ", ".join(f"{count:,} {without_paths(kind)}" for kind, count in kinds)
    rows = [(last_name(file), without_paths(reason)) for file, reason in list(run.skipped.items())[:_MOST_FILES]]
    more = len(run.skipped) - _MOST_FILES
    return [
        element("h3", "Files left out"),
        foldable(
            f"{len(run.skipped):,} in all: {summary}",
            table(("File", "Reason"), rows),
            element("p", f"And {more:,} more, in _skipped_files.jsonl.") if more > 0 else None,
        ),
    ]


def _checkpoints(run: Run) -> Child:
    unmarked = unmarked_checkpoints(run)
    if not run.checkpoints:
        return None
    if not unmarked:
        return element("p", f"{len(run.checkpoints)} checkpoint(s), all marked as whole.")
    if not run.has_record:  # of a program that does not mark them
        return element("p", f"{len(run.checkpoints)} checkpoint(s); whether they are whole was not written down.")
    return element(
        "p",
        f"{len(run.checkpoints)} checkpoint(s); not marked as whole: step {', '.join(map(str, unmarked))}. "
        "--resume_from_checkpoint last passes over these.",
    )
