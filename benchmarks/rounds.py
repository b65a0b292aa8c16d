"""Engines in turn, round after round, so that a busy moment of the machine meets all of them; and what comes out of it."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from engines import BASE, ENGINES
from process import FIRST

HERE = Path(__file__).parent
SEED = 0
PAUSE = 0.005  # s between engines: the threads of some spin on for a while
Say = Callable[[str], None]


class EngineFailedError(Exception):
    """An engine gave no answer; the message is its own."""


class LeftOutError(Exception):
    """An engine does not run this workload; the message says why."""


def environment(threads: int, caches: Path) -> dict[str, str]:
    """One setting of threads for all libraries that could be inside, and empty places for what compilers keep on disk.

    What a shell forces upon OpenBLAS (a kernel for another processor, say) is left out: every library chooses as it does for its users.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")},
        **dict.fromkeys(names, str(threads)),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(caches / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "torch"),
        "GRADUS_CACHE": str(caches / "gradus"),
        "NUMBA_CACHE_DIR": str(caches / "numba"),
        "XDG_CACHE_HOME": str(caches),
    }


def cores(threads: int) -> set[int] | None:
    """The cores that an engine may use: as many as threads, so that one thread means one core for every library."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return set(allowed[-threads:])  # the first core serves the system's interrupts


class EngineProcess:
    """The other end of ``process.py``."""

    def __init__(self, workload: str, engine: str, threads: int, arrays: Path, caches: Path) -> None:
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 — closed in close()
        chosen = cores(threads)
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "process.py"), workload, engine, str(threads), str(arrays)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment(threads, caches),
            preexec_fn=(lambda: os.sched_setaffinity(0, chosen)) if chosen else None,
        )

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        fields = json.loads(line) if line else {"failed": f"the process ended with code {self.process.wait()}: {self.last_words()}"}
        if "left_out" in fields:
            raise LeftOutError(fields["left_out"])
        if "failed" in fields:
            raise EngineFailedError(fields["failed"])
        return fields

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def last_words(self) -> str:
        self.log.seek(0)
        return (self.log.read().strip().splitlines() or ["nothing was said"])[-1]

    def close(self) -> None:
        """End the process, in whatever state it is."""
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def save_start(workload: ModuleType, folder: Path) -> tuple[Path, str]:
    """The initial weights and the data, made once; returns the file and where the data comes from."""
    start = workload.start(np.random.default_rng(SEED))
    path = folder / "start.npz"
    arrays = {f"weights/{name}": value for name, value in start.weights.items()}
    np.savez(path, **arrays, **{f"data/{i}": value for i, value in enumerate(start.data)})
    return path, start.source


def reason_left_out(workload: ModuleType, engine: str) -> str:
    """Why an engine is not even started, or nothing."""
    reason = getattr(workload, "LEFT_OUT", {}).get(engine, "")
    package = ENGINES[engine].package
    return reason or ("" if importlib.util.find_spec(package) else f"{package} is not installed")


class Measurement:
    """One workload at one setting of threads, all engines."""

    def __init__(self, name: str, workload: ModuleType, threads: int, engines: Iterable[str], say: Say) -> None:
        self.name, self.workload, self.threads, self.say = name, workload, threads, say
        self.engines = list(engines)
        self.left_out: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, EngineProcess] = {}

    def attempt(self, engine: str, work: Callable[[], None]) -> None:
        """Do ``work``; an engine that cannot is taken out, with its reason."""
        try:
            work()
        except LeftOutError as error:
            self.left_out[engine] = str(error)
        except (EngineFailedError, OSError) as error:
            self.failed[engine] = str(error)
        else:
            return
        self.rows.pop(engine, None)
        if engine in self.processes:
            self.processes.pop(engine).close()

    def run(self, rounds: int, seconds: float, checked: int) -> dict[str, Any]:
        """Everything that is known about the workload afterwards, ready for JSON."""
        rounds = min(rounds, getattr(self.workload, "ROUNDS", rounds))
        began = time.strftime("%Y-%m-%d %H:%M:%S"), os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        with tempfile.TemporaryDirectory(prefix="gradus-bench-") as folder:
            self.say("weights and data")
            self.arrays, source = save_start(self.workload, Path(folder))
            self.folder = Path(folder)
            try:
                for engine in self.engines:
                    self.begin(engine, checked)
                for done in range(rounds):
                    self.say(f"round {done + 1} of {rounds}")
                    self.one_round(seconds)
                for process in self.processes.values():
                    process.close()
                # An epoch is too long to see compilation in; its step is that of another workload, where it is told.
                for engine in [name for name in self.rows if ENGINES[name].compiles and self.workload.KIND != "epoch"]:
                    self.start_again(engine)
            finally:
                for process in self.processes.values():
                    process.close()
        return {
            "title": self.workload.TITLE,
            "unit": self.workload.UNIT,
            "data": source,
            "began": began[0],
            "load_before": began[1],
            "rounds": rounds,
            "engines": {engine: summary(row, self.rows.get(BASE)) for engine, row in self.rows.items()},
            "agreement": agreement({engine: row["numbers"] for engine, row in self.rows.items()}, self.workload.TOLERANCE),
            "left_out": self.left_out,
            "failed": self.failed,
        }

    def begin(self, engine: str, checked: int) -> None:
        """Start the process, and make the first calls: compilation, and the numbers that must agree."""
        reason = reason_left_out(self.workload, engine)
        if reason:
            self.left_out[engine] = reason
            return
        self.say(f"{ENGINES[engine].label}: imports, first calls")

        def work() -> None:
            caches = self.folder / engine
            caches.mkdir()
            self.processes[engine] = process = EngineProcess(self.name, engine, self.threads, self.arrays, caches)
            process.read()
            self.rows[engine] = process.ask("first", calls=checked) | {"seconds": []}

        self.attempt(engine, work)

    def one_round(self, seconds: float) -> None:
        for engine, process in list(self.processes.items()):

            def work(engine: str = engine, process: EngineProcess = process) -> None:
                time.sleep(PAUSE)
                done = process.ask("measure", seconds=seconds)
                self.rows[engine]["seconds"].append(done["seconds"])
                self.rows[engine]["peak_megabytes"] = done["peak_megabytes"]

            self.attempt(engine, work)

    def start_again(self, engine: str) -> None:
        """The first calls in a new process that finds what the first one left on disk."""
        self.say(f"{ENGINES[engine].label}: second start")

        def work() -> None:
            self.processes[engine] = process = EngineProcess(self.name, engine, self.threads, self.arrays, self.folder / engine)
            process.read()
            self.rows[engine]["first_again"] = process.ask("first", calls=FIRST)["first"]
            process.close()

        self.attempt(engine, work)


def summary(row: dict[str, Any], base: dict[str, Any] | None) -> dict[str, Any]:
    """What is told about an engine: seconds, ratios to PyTorch (below 1 is faster), what the first calls cost above later ones."""
    seconds = row["seconds"]
    least, middle = min(seconds), statistics.median(seconds)
    told = {"minimum": least, "median": middle, "imports": row["imports"], "peak_megabytes": row["peak_megabytes"]}
    if base is not None:
        told["ratio_of_minima"] = least / min(base["seconds"])
        told["median_ratio"] = statistics.median(a / b for a, b in zip(seconds, base["seconds"], strict=True))
    for name, first in (("compile_cold", "first"), ("compile_second_start", "first_again")):
        if "first_again" in row:
            told[name] = max(0.0, row[first] - FIRST * middle)
    return told | {"seconds": seconds, "numbers": row["numbers"]}


def agreement(numbers: dict[str, dict[str, list[float]]], tolerance: float) -> dict[str, Any]:
    """How far the engines' numbers are apart at most, as a share of what they were after the first call."""
    apart = 0.0
    for a, b in itertools.combinations(numbers.values(), 2):
        for call in a:
            for i, first in enumerate(a["1"]):
                difference = abs(a[call][i] - b[call][i]) / abs(first)
                apart = max(apart, difference if difference == difference else float("inf"))
    calls = max((int(call) for row in numbers.values() for call in row), default=0)
    return {"calls": calls, "apart": apart, "tolerance": tolerance, "holds": apart <= tolerance, "engines": len(numbers)}
