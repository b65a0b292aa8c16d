"""What `import gradus` costs over `import numpy`, in seconds.

Each round starts one fresh interpreter for each statement, in turn, so that a busy moment of the machine meets all of them.
The cost is the difference of the two minima: what the import needs when nothing disturbs it. The medians show how quiet the machine was.
Bytecode comes from a cache that the first, unmeasured round fills, as it does for every user after the first start.

    python benchmarks/import_time.py [rounds]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

STATEMENTS = ["pass", "import numpy", "import gradus"]
BUDGET = 0.10  # s over NumPy


def seconds(statement: str, environment: dict[str, str]) -> float:
    """How long a fresh interpreter takes to run ``statement``, its start and end included."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
    return time.perf_counter() - start


def measure(rounds: int) -> dict[str, list[float]]:
    """The seconds of each statement in each round."""
    times: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        for done in range(rounds + 1):
            for statement in STATEMENTS:
                times[statement].append(seconds(statement, environment))
            print(f"\rround {done} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {statement: values[1:] for statement, values in times.items()}


def main(rounds: int = 20) -> None:
    times = measure(rounds)
    print(f"{'statement':<16}{'min':>10}{'median':>10}")
    for statement, values in times.items():
        print(f"{statement:<16}{min(values):>8.3f} s{statistics.median(values):>8.3f} s")
    least = min(times["import gradus"]) - min(times["import numpy"])
    middle = statistics.median(g - n for g, n in zip(times["import gradus"], times["import numpy"], strict=True))
    print(f"gradus over numpy: {least:.3f} s (difference of minima), {middle:.3f} s (median of differences); budget {BUDGET:.2f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
