"""The process of one engine and one workload: it builds, then answers what ``rounds.py`` asks, a line of JSON a time.

Every engine has a process of its own: no library feels another's threads, heap or settings, and the first call pays for compilation.

    python process.py WORKLOAD ENGINE THREADS ARRAYS.npz
"""

from __future__ import annotations

import gc
import importlib
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

FIRST = 3  # calls until an engine that compiles has compiled: the first may run eagerly, the second trace, the third is as all later ones
clock = time.perf_counter


def peak_megabytes() -> float | None:
    """The most memory that the process had."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def read_start(path: str) -> Any:
    import numpy as np
    from workloads.parts import Start

    arrays = np.load(path, allow_pickle=False)
    weights = {name.removeprefix("weights/"): arrays[name] for name in arrays.files if name.startswith("weights/")}
    count = sum(name.startswith("data/") for name in arrays.files)
    return Start(weights, tuple(arrays[f"data/{i}"] for i in range(count)), "")


class Runner:
    """A unit of work and where it stands."""

    def __init__(self, workload: str, engine: str, threads: int, path: str) -> None:
        from engines import ENGINES

        self.workload = importlib.import_module(f"workloads.{workload}")
        start = read_start(path)
        begin = clock()
        module = importlib.import_module(ENGINES[engine].module)
        if ENGINES[engine].compiles and hasattr(module, "import_compiler"):
            module.import_compiler()
        self.imports = clock() - begin
        module.set_threads(threads)
        begin = clock()
        self.unit = getattr(module, self.workload.KIND)(self.workload, start, ENGINES[engine].compiles)
        self.building = clock() - begin
        self.arguments: Iterator[tuple[Any, ...]] = itertools.cycle(self.unit.arguments)
        self.pace = 0.0  # seconds a call, lately

    def first(self, calls: int) -> dict[str, Any]:
        """The first calls: how long the first ``FIRST`` took, and the numbers of the first, the tenth and the last."""
        begin = clock()
        early, numbers = 0.0, {}
        for done in range(1, max(calls, FIRST) + 1):
            before = clock()
            result = self.unit.call(*next(self.arguments))
            self.unit.wait(result)
            self.pace = clock() - before
            if done == FIRST:
                early = clock() - begin
            if done in (1, 10, calls):
                numbers[done] = self.unit.numbers(result)
        return {"imports": self.imports, "building": self.building, "first": early, "numbers": numbers}

    def measure(self, seconds: float) -> dict[str, Any]:
        """As many calls as take about ``seconds``, after one that refills the caches."""
        count = max(1, round(seconds / self.pace))
        call, chosen = self.unit.call, list(itertools.islice(self.arguments, count + 1))
        self.unit.wait(call(*chosen.pop()))
        begin = clock()
        for arguments in chosen:
            result = call(*arguments)
        self.unit.wait(result)
        self.pace = (clock() - begin) / count
        return {"seconds": self.pace, "calls": count, "peak_megabytes": peak_megabytes()}


def main(workload: str, engine: str, threads: str, path: str) -> None:
    # Libraries print to standard output too; the answers go where only this file writes.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    from engines import NotApplicableError

    try:
        runner = Runner(workload, engine, int(threads), path)
        answer(built=True)
        gc.collect()
        gc.freeze()  # a collection in the middle of a call costs what the call made, not what its library holds
        for line in sys.stdin:
            words = json.loads(line)
            answer(**getattr(runner, words.pop("do"))(**words))
    except NotApplicableError as error:
        answer(left_out=str(error))
    except Exception as error:
        answer(failed=f"{type(error).__name__}: {error}".splitlines()[0])
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])
