# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What `import hf_ssl` costs over `from transformers import AutoModel, PreTrainedModel`.

Fresh processes do the one and the other in turn, so that a machine that slows down meanwhile slows both. The limit
applies to the time of `import hf_ssl` in a process that has imported transformers: the difference of two processes,
which is printed too, is of the size of its own noise, several per cent of the seconds that transformers takes.

    python training_scripts/benchmarks/import_time.py --runs 7
"""

import argparse
import json
import statistics
import subprocess
import sys
from typing import NamedTuple

TRANSFORMERS = "from transformers import AutoModel, PreTrainedModel"
TIMED_PROGRAM = f"""\
import time
start = time.perf_counter()
{TRANSFORMERS}
middle = time.perf_counter()
{{statement}}
print(1000 * (middle - start), 1000 * (time.perf_counter() - middle))
"""


class ImportTimes(NamedTuple):
    """Milliseconds that a process spent on transformers, and on the statement after it."""

    transformers_ms: float
    statement_ms: float

    @property
    def total_ms(self) -> float:
        return self.transformers_ms + self.statement_ms


def time_imports(statement: str) -> ImportTimes:
    """Time transformers' import and then `statement` in a fresh process, the interpreter's own start left out."""
    program = TIMED_PROGRAM.format(statement=statement)
    finished = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    return ImportTimes(*map(float, finished.stdout.splitlines()[-1].split()))


def compare(runs: int) -> dict[str, float]:
    """Do both `runs` times in turn, after one untimed round that warms the file cache, and return the medians."""
    rounds = [(time_imports("pass"), time_imports("import hf_ssl")) for _ in range(runs + 1)][1:]
    without = statistics.median(times.total_ms for times, _ in rounds)
    with_hf_ssl = statistics.median(times.total_ms for _, times in rounds)
    figures = {
        "transformers_ms": without,
        "transformers_and_hf_ssl_ms": with_hf_ssl,
        "difference_ms": with_hf_ssl - without,
        "ratio": with_hf_ssl / without,
        "import_hf_ssl_ms": statistics.median(times.statement_ms for _, times in rounds),
    }
    return {name: round(value, 3) for name, value in figures.items()}


def main() -> None:
    """Print the medians, and exit with status 1 if `import hf_ssl` takes longer than the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="how many processes of each kind are timed")
    parser.add_argument("--limit_ms", type=float, default=250.0, help="the longest that `import hf_ssl` may take")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error(f"--runs must be at least 1, got {arguments.runs}")
    figures = compare(arguments.runs)
    print(json.dumps(figures, indent=2))
    if figures["import_hf_ssl_ms"] > arguments.limit_ms:
        sys.exit(f"import hf_ssl takes {figures['import_hf_ssl_ms']} ms, more than {arguments.limit_ms} ms")


if __name__ == "__main__":
    main()
