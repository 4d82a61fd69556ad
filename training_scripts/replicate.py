#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Fills a table of all methods on your data: equal updates and equal time, probes and fine-tuning, several seeds.

    python replicate.py replications/speech.yaml --output_dir TABLE
    python replicate.py replications/speech.yaml --output_dir TABLE --folder DIGITS=/data/digits --data RECORDINGS

The plan (see `hf_ssl/replication/plan.py`) names methods, data and tasks. Every cell of the table is run by itself and
appended to `TABLE/results.jsonl`; what is there is not run again, nor is a fine-tuning that has ended in
`TABLE/fine-tuned`, so that the table can be filled over days, by several processes at the same time, or on several
machines one after another.
`TABLE/table.md` and `TABLE/chart.png` show what there is after every cell.
"""

import argparse
import logging
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

from hf_ssl.replication.cells import Budget, cells, is_measurable
from hf_ssl.replication.chart import draw_chart
from hf_ssl.replication.plan import read_plan
from hf_ssl.replication.running import Replication, ScriptRunner
from hf_ssl.replication.table import markdown_table
from hf_ssl.shared_files import written_whole

logger = logging.getLogger("hf_ssl.replicate")


def main(argv: Sequence[str] | None = None) -> None:
    arguments = make_parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M", level=logging.WARNING)
    logging.getLogger("hf_ssl").setLevel(logging.INFO)
    command = ["replicate.py", *(sys.argv[1:] if argv is None else argv)]
    plan = read_plan(arguments.plan, data=arguments.data, folders=read_folders(arguments.folder), gpu=arguments.gpu)
    for flag, chosen, known in (
        ("--methods", arguments.methods, plan.methods),
        ("--tasks", arguments.tasks, plan.tasks),
        ("--seeds", arguments.seeds, plan.seeds),
    ):
        check_chosen(flag, chosen, known)
    replication = Replication(plan, Path(arguments.output_dir), ScriptRunner(Path(__file__).parent), command)
    if not arguments.show:
        for _ in replication.fill(
            methods=arguments.methods,
            tasks=arguments.tasks,
            seeds=arguments.seeds,
            budgets=arguments.budgets,
            minutes=arguments.minutes,
        ):
            write(replication)
    print(write(replication))
    print(progress(replication))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("plan", help="YAML file, such as replications/speech.yaml")
    parser.add_argument("--output_dir", required=True, help="takes models, figures, table and chart")
    parser.add_argument("--data", nargs="+", default=[], help="the unlabelled pool, instead of the plan's")
    parser.add_argument(
        "--folder",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="what stands for NAME at the beginning of the plan's paths; may be repeated",
    )
    parser.add_argument(
        "--gpu",
        action="store_true",
        help="train on the accelerator and by the clock on the wall, also where the plan says CPU: another table",
    )
    parser.add_argument("--methods", nargs="+", default=[], help="fill the rows of these only")
    parser.add_argument("--tasks", nargs="+", default=[], help="fill the columns of these only")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], help="fill the cells of these only")
    parser.add_argument(
        "--budgets",
        nargs="+",
        default=[],
        choices=get_args(Budget),
        help="fill the rows of equal updates (steps), of equal time (time) or without training (none) only",
    )
    parser.add_argument("--minutes", type=float, help="begin nothing after so many minutes")
    parser.add_argument("--show", action="store_true", help="run nothing, write table and chart of what there is")
    return parser


def read_folders(arguments: Sequence[str]) -> dict[str, str]:
    """`NAME=PATH`, as a mapping."""
    pairs = [argument.partition("=") for argument in arguments]
    for (name, separator, path), argument in zip(pairs, arguments, strict=True):
        if not (name and separator and path):
            raise SystemExit(f"replicate.py: error: expected --folder NAME=PATH, got {argument!r}")
    return {name: path for name, _, path in pairs}


def check_chosen(flag: str, chosen: Sequence[Any], known: Collection[Any]) -> None:
    """Ends the program if something chosen is not in the plan."""
    for one in chosen:
        if one not in known:
            raise SystemExit(
                f"replicate.py: error: {flag}: the plan has no {one!r}, only {', '.join(map(str, known))}"
            )


def write(replication: Replication) -> str:
    """Writes table and chart of what there is; returns the table."""
    plan, filled = replication.plan, replication.filled()
    table = markdown_table(plan, filled)
    with written_whole(replication.folder / "table.md") as path:
        path.write_text(table, encoding="utf-8")
    if filled.figures:
        try:
            with written_whole(replication.folder / "chart.png") as path:
                draw_chart(plan, filled, path)
        except ImportError:
            logger.warning("No chart: matplotlib is not installed (it is in the extra [demo]).")
    return table


def progress(replication: Replication) -> str:
    """How many of the figures are there."""
    plan, filled = replication.plan, replication.filled()
    wanted = [
        (cell, name)
        for cell in cells(plan)
        for name, task in plan.tasks.items()
        if is_measurable(plan.methods[cell.method], task)
    ]
    return f"{sum(key in filled.figures for key in wanted)} of {len(wanted)} cells are filled."


if __name__ == "__main__":
    try:
        main()
    except (ValueError, RuntimeError) as error:
        sys.exit(f"replicate.py: error: {error}")
