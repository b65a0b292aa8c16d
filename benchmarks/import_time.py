"""What `import gradus` costs over `import numpy`, in seconds.

Each round starts one fresh interpreter for each statement, in turn, so that a busy moment of the machine meets all of them.
The cost is the difference of the two minima: what the import needs when nothing disturbs it. The medians show how quiet the machine was.

    python benchmarks/import_time.py [rounds]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

STATEMENTS = ["pass", "import numpy", "import gradus"]
BUDGET = 0.10  # s over NumPy


def seconds(statement: str) -> float:
    """How long a fresh interpreter takes to run ``statement``, its start and end included."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main(rounds: int = 20) -> None:
    for statement in STATEMENTS:
        seconds(statement)  # compiles the bytecode and fills the file cache
    times: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for done in range(rounds):
        for statement in STATEMENTS:
            times[statement].append(seconds(statement))
        print(f"\rround {done + 1} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{'statement':<16}{'min':>10}{'median':>10}")
    for statement, values in times.items():
        print(f"{statement:<16}{min(values):>8.3f} s{statistics.median(values):>8.3f} s")
    least = min(times["import gradus"]) - min(times["import numpy"])
    middle = statistics.median(g - n for g, n in zip(times["import gradus"], times["import numpy"], strict=True))
    print(f"gradus over numpy: {least:.3f} s (difference of minima), {middle:.3f} s (median of differences); budget {BUDGET:.2f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
