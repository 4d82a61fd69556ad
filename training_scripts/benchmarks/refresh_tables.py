#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Makes tables and charts of our pages from model_cards/results.jsonl, or checks that they are up to date.

    python training_scripts/benchmarks/refresh_tables.py [--check]

How they are asked for is said in `hf_ssl/results_tables.py`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hf_ssl.replication.chart import draw_chart
from hf_ssl.results_tables import outdated_charts, refresh

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "model_cards" / "results.jsonl"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if something is out of date"
    )
    arguments = parser.parse_args(argv)
    outdated = [path for path in pages() if refresh(read(path), RESULTS, ROOT) != read(path)]
    for path in outdated:
        if arguments.check:
            print(f"{path.relative_to(ROOT)} has tables that are not those of {RESULTS.relative_to(ROOT)}")
        else:
            path.write_text(refresh(read(path), RESULTS, ROOT), encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    charts = [chart for path in pages() for chart in outdated_charts(read(path), RESULTS, ROOT)]
    for chart in charts:
        if arguments.check:
            print(f"{chart.path.relative_to(ROOT)} is not the chart of {RESULTS.relative_to(ROOT)}")
        else:
            draw_chart(*chart)
            print(f"drew {chart.path.relative_to(ROOT)}")
    return int(arguments.check and bool(outdated or charts))


def pages() -> list[Path]:
    """README and all pages beside what they speak of."""
    return [ROOT / "README.md", *sorted(ROOT.glob("model_cards/*.md")), *sorted(ROOT.glob("training_scripts/**/*.md"))]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
