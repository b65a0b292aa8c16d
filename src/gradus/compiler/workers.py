"""Threads that help with large matrix products, where the user has asked for more than one.

A worker is a thread of Python that never comes back from :func:`gradus.kernels.gemm.serve` and does without Python's lock: it looks at its
line of memory for a job, and sleeps when there has been none for a while. A run never waits for one to wake up: what no worker has taken,
the run computes itself, and the numbers are the same.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import sys
import threading
import warnings

import numpy as np

from gradus import blas
from gradus.compiler.native import LIBRARY
from gradus.compiler.texts import SERVE
from gradus.errors import UsageWarning

WORDS = 8  # from one worker's line to the next: a line of the cache
LEAVE = -1
PATIENCE = 50_000  # looks at an empty line, 28 ns each: longer than a training loop takes between two steps


def other_cores() -> set[int]:
    """The cores of this process but the one that this thread runs on; empty if that is not known.

    A system that finds no idle core wakes a worker on the core of the thread that calls it, and leaves it there beside that thread.
    """
    if not hasattr(os, "sched_setaffinity"):
        return set()
    return os.sched_getaffinity(0) - {ctypes.CDLL(None).sched_getcpu()}


class Worker:
    """One thread.

    Args:
        line: its words, see :mod:`gradus.kernels.team`.
    """

    def __init__(self, line: np.ndarray) -> None:
        (address,) = LIBRARY.load([SERVE])
        # Unlike runs, which hold Python's lock (native.caller), this lets other threads run Python.
        self.serve = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address)
        self.cores = other_cores()
        self.sleeping_place, self.bell = os.pipe()
        line[:3] = 0, 0, self.bell
        self.line, self.result = line, np.zeros(3, np.int64)
        place = self.result.ctypes.data
        self.table = np.array([line.ctypes.data, self.sleeping_place, place + 16, PATIENCE], np.int64)
        self.thread = threading.Thread(target=self.run, name="gradus worker", daemon=True)
        try:
            self.thread.start()
        except RuntimeError:
            self.close()
            raise

    def run(self) -> None:
        """The thread's life."""
        if self.cores:
            with contextlib.suppress(OSError):  # the cores of the process are others now
                os.sched_setaffinity(0, self.cores)  # of this thread alone
        place = self.result.ctypes.data
        self.serve(place, place + 8, self.table.ctypes.data)

    def leave(self) -> None:
        """Have the thread end."""
        self.line[0] = LEAVE
        os.write(self.bell, b"!")
        self.thread.join(timeout=1)

    def close(self) -> None:
        """Give the pipe back, where no thread is at it."""
        os.close(self.sleeping_place)
        os.close(self.bell)


class Team:
    """All workers of this process.

    Attributes:
        words: what kernels know of it, see :mod:`gradus.kernels.team`.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.memory = np.zeros((1 + blas.most_threads()) * WORDS, np.int64)
        start = -self.memory.ctypes.data % 64 // 8
        self.lines = self.memory[start : start + blas.most_threads() * WORDS].reshape(-1, WORDS)
        self.words = np.array([self.lines.ctypes.data, 0, blas.THREADS.ctypes.data], np.int64)
        self.workers: list[Worker] = []
        self.refused = 0  # the number of threads that the system did not give
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)
        atexit.register(self.leave)

    def forget(self) -> None:
        """Begin anew, as a process after a fork does: threads do not come along."""
        for worker in self.workers:
            worker.close()
        self.lock, self.workers, self.refused = threading.Lock(), [], 0
        self.words[1] = 0

    def grow(self) -> None:
        """As many workers as there are threads but one. On systems without POSIX's pipes, and where no thread begins, runs work alone."""
        with self.lock:
            wanted = int(blas.THREADS[0])
            while os.name == "posix" and len(self.workers) < wanted - 1 and wanted != self.refused:
                try:
                    self.workers.append(Worker(self.lines[len(self.workers)]))
                except (OSError, RuntimeError, ImportError) as error:  # too many threads or files; or Python is shutting down
                    self.refused = wanted
                    _warn_of(wanted, len(self.workers) + 1, error)
                self.words[1] = len(self.workers)

    def leave(self) -> None:
        """Before the process ends, and with it the memory that kernels are in: no worker is in one any more."""
        for worker in self.workers:
            worker.leave()


def _warn_of(wanted: int, found: int, error: Exception) -> None:
    """Once for each number of threads that was asked for; nothing while Python shuts down."""
    if not sys.is_finalizing():
        text = f"{wanted} threads asked for, {found} found: {error}. Products are the same, but slower: gradus.set_num_threads({found})"
        warnings.warn(text, UsageWarning, stacklevel=6)  # out of grow, the program and the compiled function: where it was called


TEAM = Team()
