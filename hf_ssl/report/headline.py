# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What to know at a glance: what was trained, how long, and what went well or wrong, in words."""

import math
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, Literal, NamedTuple

from ..run_metrics import RUN_METRICS
from ..training.health import CollapseGuardCallback
from .charts import TARGETS, is_drawn, num_not_finite
from .faults import grouped_warnings, num_resumes, unmarked_checkpoints
from .markup import Markup, element
from .numbers import format_count, format_duration, format_number, format_share
from .privacy import without_paths
from .run_folder import STATE_NAME, Run
from .section import facts

_FAMILIES = {
    "data2vec2-audio": "data2vec 2.0, speech",
    "data2vec2-vision": "data2vec 2.0, images",
    "data2vec2-text": "data2vec 2.0, text",
    "data2vec-audio": "data2vec, speech",
    "data2vec-vision": "data2vec, images",
    "data2vec-text": "data2vec, text",
    "data2vec-aqc": "data2vec-aqc, speech",
    "best-rq": "BEST-RQ, speech",
    "wav2vec2": "wav2vec 2.0, speech",
    "hubert": "HuBERT, speech",
    "wavlm": "WavLM, speech",
}
_PURPOSES = {
    "ForPreTraining": "pre-training",
    "ForCTC": "fine-tuning to recognise speech",
    "ForSequenceClassification": "fine-tuning to classify",
    "ForImageClassification": "fine-tuning to classify",
    "ForAudioFrameClassification": "fine-tuning to classify frames",
    "ForXVector": "fine-tuning to tell speakers apart",
}

Tone = Literal["good", "look", "bad", "note"]
_MARKS = {"good": "✓", "look": "!", "bad": "✕", "note": "·"}
_TONE_WORDS = {"good": "Good", "look": "Look at this", "bad": "Bad", "note": "Note"}


class Remark(NamedTuple):
    """A sentence on the run, and how it is meant."""

    tone: Tone
    text: str


def headline(run: Run) -> Markup:
    """The top of the page."""
    remarks = [
        element(
            "li",
            element("span", _MARKS[remark.tone], class_="mark", role="img", aria_label=_TONE_WORDS[remark.tone]),
            element("span", remark.text),
            class_=remark.tone,
        )
        for remark in remarks_on(run)
    ]
    return element(
        "header",
        element("p", f"Training run · {run.name}", class_="eyebrow"),
        element("h1", title_of(run)),
        element("div", facts(_facts(run)), class_="headline-facts"),
        element("ul", remarks, class_="remarks"),
    )


def title_of(run: Run) -> str:
    """Method, modality and purpose."""
    model_type = run.config.get("model_type")
    family = _FAMILIES.get(str(model_type), str(model_type) if model_type else "A model of unknown type")
    architectures = run.config.get("architectures")
    architecture = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    purpose = next((words for end, words in _PURPOSES.items() if architecture.endswith(end)), "training")
    return f"{family}: {purpose}"


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    num_parameters = sum(run.parameters.values())
    if num_parameters:
        teacher = run.parameters.get("teacher", 0)
        yield "Parameters" + (", without the teacher" if teacher else ""), format_count(num_parameters - teacher)
    yield "Steps", _steps(run)
    epoch = _number(run.state.get("epoch"))
    if epoch is not None:
        yield "Epochs", format_number(epoch)
    seconds = run.results.get("train", {}).get("train_runtime", run.last("train_runtime"))
    if seconds is not None:
        yield "Time of training" + (", last part" if num_resumes(run) else ""), format_duration(seconds)
    first, last = run.first("loss"), run.last("loss")
    if first is not None and last is not None:
        yield "Loss", f"{format_number(first)} → {format_number(last)}"
    yield from _results(run)
    yield f"{'Finished' if _has_ended(run) else 'Last written'} (UTC)", _when(run)


def _results(run: Run) -> Iterator[tuple[str, str]]:
    """Of every evaluation after training."""
    for name, metric in RUN_METRICS.items():
        for part, figures in run.results.items():
            if f"{part}_{name}" in figures:
                value = figures[f"{part}_{name}"]
                yield f"{metric.label}, {part}", format_share(value) if metric.is_share else format_number(value)


def _steps(run: Run) -> str:
    done, planned = _number(run.state.get("global_step")), _number(run.state.get("max_steps"))
    if done is None:
        return "unknown"
    return f"{done:,.0f}" + (f" of {planned:,.0f}" if planned is not None and planned > done else "")


def _when(run: Run) -> str:
    times = [str(event["time"]) for event in run.events if event.get("what") == "end" and "time" in event]
    try:
        time = datetime.fromisoformat(times[-1]) if times else _modified(run)
    except ValueError:
        time = _modified(run)
    return time.strftime("%Y-%m-%d, %H:%M")


def _modified(run: Run) -> datetime:
    return datetime.fromtimestamp((run.model_folder / STATE_NAME).stat().st_mtime, timezone.utc)


def _has_ended(run: Run) -> bool:
    return run.model_folder == run.folder


def _number(value: object) -> float | None:
    """A number of the state, whose values nobody has checked."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53
    return float(value) if is_number else None  # type: ignore[arg-type]


def remarks_on(run: Run) -> list[Remark]:
    """What went well and what did not, the worst first."""
    remarks = [*_end(run), *_not_finite(run), *_loss(run), *_limits(run), *_record(run), *_data(run)]
    remarks += [Remark("bad", without_paths(problem)) for problem in run.problems]
    order: list[Tone] = ["bad", "look", "good", "note"]
    return sorted(remarks, key=lambda remark: order.index(remark.tone))


def _end(run: Run) -> Iterator[Remark]:
    done, planned = _number(run.state.get("global_step")), _number(run.state.get("max_steps"))
    if done is not None and planned is not None and done < planned:
        yield Remark("look", f"It stopped after {done:,.0f} of {planned:,.0f} steps.")
    elif _has_ended(run):
        yield Remark("good", "It ran to its last step.")
    last: dict[str, Any] = next((event for event in reversed(run.events) if event.get("what") in ("error", "end")), {})
    if last.get("what") == "error":
        yield Remark("bad", "It ended with an error: see “Faults survived”.")


def _not_finite(run: Run) -> Iterator[Remark]:
    names = sorted({name for entry in run.log for name in entry.figures if is_drawn(name)})
    missing = {name: num_not_finite(run, name) for name in names}
    told = ", ".join(f"{name} ({count})" for name, count in missing.items() if count)
    if told:
        yield Remark("bad", f"Logged values that are NaN or infinite: {told}.")
    elif run.log:
        yield Remark("good", "All that was logged is finite.")


def _loss(run: Run) -> Iterator[Remark]:
    first, last, chance = run.first("loss"), run.last("loss"), run.last("target_entropy")
    if first is None or last is None or not (math.isfinite(first) and math.isfinite(last)):
        return
    if chance is not None and math.isfinite(chance):
        better = last < chance
        words = "below" if better else "not below"
        yield Remark(
            "good" if better else "look",
            f"The loss went from {format_number(first)} to {format_number(last)}, {words} the {format_number(chance)} "
            "of a model that knows only how frequent each code is.",
        )
    else:
        yield Remark("note", f"The loss went from {format_number(first)} to {format_number(last)}.")


def _limits(run: Run) -> Iterator[Remark]:
    """Of every figure with a guard its last value, if the run is long enough for the guards to look."""
    steps = _number(run.state.get("global_step")) or 0
    if steps < min(5000, max(100, (_number(run.state.get("max_steps")) or 0) // 10)):
        if any(run.last(name) is not None for name in CollapseGuardCallback.FLOORS):
            yield Remark("note", "It is too short to judge whether its targets collapse.")
        return
    for chart in TARGETS.charts:
        name = next(iter(chart.figures))
        value = run.last(name)
        if chart.limit is None or value is None or not math.isfinite(value):
            continue
        shown = format_share(value) if chart.kind == "share" else format_number(value)
        is_well = value >= chart.limit.value if chart.limit.is_floor else value <= chart.limit.value
        side = "below" if chart.limit.is_floor else "above"
        limit = f"{chart.limit.value:g}"
        if not is_well:
            yield Remark("bad", f"{chart.title}: {shown} at the end, {side} the guard's {limit}.")
    if all(run.last(name) is not None for name in ("target_std", "between_utterance_share")):
        spread, share = run.last("target_std"), run.last("between_utterance_share")
        if spread is not None and share is not None and spread > 0.1 and share > 0.02:
            yield Remark(
                "good",
                f"Its targets have not collapsed: their spread is {format_number(spread)}, and "
                f"{format_share(min(share, 1))} of their variance lies between items.",
            )


def _record(run: Run) -> Iterator[Remark]:
    if not run.has_record:
        yield Remark("note", "It kept no record of warnings and resumes, so these are not known.")
        return
    warnings = grouped_warnings(run)
    if warnings:
        yield Remark("look", f"Warnings were given, {sum(map(len, warnings.values()))} in all: see “Faults survived”.")
    else:
        yield Remark("good", "No guard spoke up, and no other warning was given.")
    if num_resumes(run):
        yield Remark(
            "note", f"It was stopped and went on {'once' if num_resumes(run) == 1 else f'{num_resumes(run)} times'}."
        )


def _data(run: Run) -> Iterator[Remark]:
    if run.skipped:
        yield Remark(
            "look", f"Files that could not be used were left out, {len(run.skipped):,} in all: see “Faults survived”."
        )
    if unmarked_checkpoints(run) and run.has_record:
        yield Remark("note", f"{len(unmarked_checkpoints(run))} checkpoint(s) are not marked as whole.")
