# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The whole page, and the file it goes to."""

from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.resources import files
from pathlib import Path

from .. import __version__
from ..health_results import HealthResult
from .configuration import configuration_section, environment_section
from .curves import curve_sections
from .faults import faults_section
from .headline import headline, title_of
from .health import health_section
from .markup import Markup, element, embedded, fragment
from .privacy import without_paths
from .probes import ProbeFigure, probe_section
from .run_folder import Run, read_run
from .samples import SampleSource, sample_sections
from .section import Section
from .transcripts import transcript_sections

# The underscore keeps it from being pushed to the Hub: it may hold transcripts and a recording's spectrogram.
REPORT_NAME = "_report.html"
# Nothing may be loaded, from anywhere: all there is to see is in the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def write_report(
    folder: str | Path,
    *,
    sample: SampleSource | None = None,
    probes: Sequence[ProbeFigure] = (),
    health: Sequence[HealthResult] = (),
    notes: Sequence[str] = (),
    output: str | Path | None = None,
) -> Path:
    """Writes a page on a training run, of this package or of transformers' `Trainer`.

    Args:
        folder: The run's `output_dir`.
        sample: Data to show what the model makes of them: a sample is then in the page, or transcripts.
        probes: From [`~hf_ssl.report.probes.probe_figures`].
        health: From [`~hf_ssl.health_results.health_results`].
        notes: What of the results is not shown, from [`~hf_ssl.own_results.results_of_model`].
        output: Where to write it; `_report.html` in the folder if absent.

    Returns:
        Where it was written.

    Raises:
        ValueError: The folder is none of a run, or the sample cannot be shown; says why.
    """
    run = read_run(folder)
    sections = sample_sections(run, sample) if sample is not None else []
    page = render_page(run, sections, probes, health, notes)
    path = Path(output) if output is not None else run.folder / REPORT_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def render_page(
    run: Run,
    samples: Sequence[Section] = (),
    probes: Sequence[ProbeFigure] = (),
    health: Sequence[HealthResult] = (),
    notes: Sequence[str] = (),
) -> str:
    """The page as HTML.

    Args:
        run: The run.
        samples: What the model makes of data, from [`~hf_ssl.report.samples.sample_sections`].
        probes: What its frozen features know.
        health: How they use their space.
        notes: What of both is not shown.
    """
    sections = [
        *samples,
        *curve_sections(run),
        *([health_section(health)] if health else []),
        *([probe_section(probes)] if probes else []),
        *transcript_sections(run),
        configuration_section(run),
        environment_section(run),
        faults_section(run),
    ]
    contents = element("nav", [element("a", section.title, href=f"#{section.anchor}") for section in sections])
    footer = _footer(samples, probes, health, notes)
    main = element("main", headline(run), contents, [section.render() for section in sections], footer)
    return "<!doctype html>\n" + element("html", _head(run), element("body", main, _script()), lang="en") + "\n"


def _head(run: Run) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", f"{run.name} · {title_of(run)}"),
        element("style", embedded(_asset("page.css"))),
    )


def _script() -> Markup:
    return element("script", embedded(_asset("page.js")))


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _footer(
    samples: Sequence[Section], probes: Sequence[ProbeFigure], health: Sequence[HealthResult], notes: Sequence[str]
) -> Markup:
    """What the page does not show, and who wrote it."""
    missing = []
    if not samples:
        missing.append("what the model makes of a sample (--data)")
    if not probes:
        missing.append("what its features are good for (hf-ssl probe --results FILE, then --results FILE)")
    if not health:
        missing.append("their health after training (hf-ssl health --results FILE, then --results FILE)")
    lines = [element("p", without_paths(note)) for note in notes]
    if missing:
        lines.append(element("p", f"Not on this page: {'; '.join(missing)}."))
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    lines.append(
        element(
            "p",
            f"Written by hf_ssl {__version__}, {now}. The page loads nothing from anywhere. Transcripts, names of "
            "files and samples that are shown are in it: think before you pass it on.",
        )
    )
    return element("footer", fragment(lines))
